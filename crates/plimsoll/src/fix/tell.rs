//! What is said on the way: answers on standard output, talk on standard error. A terminal that hung up
//! stops nothing.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use plimsoll_apply::{Applied, Event, Flow, Phase, Transaction, Undone};
use plimsoll_diagnosis::plan::{Change, Filter, Plan};
use plimsoll_report::clean;

use crate::terminal;

/// A line of the answer.
pub fn say(line: &str) {
    text(&format!("{line}\n"));
}

/// The answer. That it can't be written stops nothing.
pub fn text(text: &str) {
    if let Err(why) = terminal::print(text) {
        error(&why);
    }
}

/// A line of talk.
pub fn error(what: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "plimsoll: {}", clean(&what.to_string()));
}

/// Shows how far it is.
pub struct Progress<'a> {
    plan: &'a Plan,
    started: Instant,
    bar: bool,
}

impl<'a> Progress<'a> {
    /// Of a plan.
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, started: Instant::now(), bar: false }
    }

    /// Takes what happens.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Recovered(recovered) => error(&recovered),
            Event::Skipped(index, why) => {
                if let Some(change) = self.plan.changes.get(index) {
                    error(&format!("{} was left: {why}", change.subject()));
                }
            }
            Event::Change(_) => {}
            Event::Deleted { done, of } => self.deleted(done, of),
        }
    }

    fn deleted(&mut self, done: u64, of: u64) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        self.bar = true;
        const WIDTH: u64 = 40;
        let full = (done * WIDTH).checked_div(of).unwrap_or(WIDTH).min(WIDTH) as usize;
        let bar = format!("{}{}", "#".repeat(full), ".".repeat(WIDTH as usize - full));
        let seconds = self.started.elapsed().as_secs_f64();
        let _ = write!(std::io::stderr(), "\r[{bar}] {done} of {of} deleted, {seconds:.1} s");
    }

    /// Ends the line of the bar.
    pub fn end(&mut self) {
        if self.bar {
            let _ = writeln!(std::io::stderr());
            self.bar = false;
        }
    }
}

/// What was done and what reads back.
pub fn applied(plan: &Plan, applied: &Applied) {
    say("");
    for (change, readback) in plan.changes.iter().zip(&applied.readback) {
        match (change, readback) {
            (Change::Setting(s), Some(value)) => say(&format!("{} reads {value}.", name(&s.path))),
            (Change::File(f), _) => say(&format!("{} is written.", f.path)),
            (Change::Delete(d), Some(n)) if d.left_over => {
                say(&format!("{n} entries were left over ({}), and are deleted.", d.filter));
            }
            (Change::Delete(_), Some(n)) => say(&format!("{n} entries deleted.")),
            (Change::Nft(_) | Change::Iptables(_) | Change::Policy(_) | Change::Modules(_), _) => {
                say(&format!("{}: done.", change.subject()));
            }
            (Change::Setting(_) | Change::Delete(_), None) => {}
        }
    }
    match applied.window {
        Some(seconds) => say(&format!(
            "Transaction {} goes back by itself in {seconds} s, unless you run: plimsoll confirm",
            applied.id
        )),
        None if plan.reversible() => {
            say(&format!("Transaction {}; to take it back: plimsoll undo {0}", applied.id));
        }
        None => say(&format!("Transaction {}.", applied.id)),
    }
}

/// Whether drops have ended.
pub fn watched(flow: &Flow) {
    let seconds = flow.span.as_secs_f64();
    let packets = match flow.packets {
        1 => "1 packet".to_owned(),
        n => format!("{n} packets"),
    };
    match flow.drops {
        0 if flow.packets == 0 => {
            say(&format!(
                "No packet came in {seconds} s: whether drops have ended is not shown yet."
            ));
        }
        0 => say(&format!("No drop in {seconds} s, while {packets} came in.")),
        n => say(&format!("STILL DROPPING: {n} drops in {seconds} s, while {packets} came in.")),
    }
}

/// Whether traffic that is exempted has entries.
pub fn untracked(filter: &Filter, entries: Result<u64, String>) {
    match entries {
        Ok(0) => say(&format!("No entry in the table is {filter}.")),
        Ok(n) => say(&format!("STILL TRACKED: {n} entries are {filter}.")),
        Err(why) => error(&why),
    }
}

/// What was taken back.
pub fn undone(undone: &Undone) {
    undone.recovered.iter().filter(|r| r.id != undone.id).for_each(|r| error(r));
    say(&format!("Transaction {} is taken back: {}.", undone.id, undone.title));
    if undone.gone_with_reboot {
        say("What it had changed in the running kernel had ended with the reboot already.");
    }
    for gone in &undone.gone {
        say(&format!("Gone already, by somebody else's hand: {}.", clean(gone)));
    }
    for left in &undone.left {
        say(&format!("Left as it is: {}.", clean(left)));
    }
    for table in &undone.emptied {
        say(&format!("New with it, and stays without a rule: table {}.", clean(table)));
    }
}

/// All transactions.
pub fn history(all: &[Transaction]) {
    if all.is_empty() {
        say("No transaction yet.");
    }
    for transaction in all {
        let state = match transaction.phase {
            Phase::Applying => "interrupted".to_owned(),
            Phase::Pending { .. } => match transaction.seconds_left() {
                0 => "not confirmed in time".to_owned(),
                left => format!("waits for `plimsoll confirm`, {left} s are left"),
            },
            Phase::Standing if !transaction.plan.reversible() => "done, for good".to_owned(),
            Phase::Standing if transaction.of_this_boot() => "stands".to_owned(),
            Phase::Standing => "stands (made before the last boot)".to_owned(),
            Phase::Undoing => "being taken back".to_owned(),
            Phase::Undone => "taken back".to_owned(),
            Phase::UndoneInPart => "taken back in part".to_owned(),
        };
        let why = match &transaction.why {
            Some(why) => format!(" ({})", clean(why)),
            None => String::new(),
        };
        let time = jiff::Timestamp::from_second(i64::try_from(transaction.began).unwrap_or(0))
            .map_or_else(
                |_| String::new(),
                |t| {
                    t.to_zoned(jiff::tz::TimeZone::system())
                        .strftime("%Y-%m-%d %H:%M:%S")
                        .to_string()
                },
            );
        say(&format!(
            "{:>4}  {time}  {}: {}  {state}{why}",
            transaction.id,
            transaction.plan.remedy.name(),
            clean(&transaction.plan.title)
        ));
        for left in transaction.left_alone() {
            say(&format!("      left as it was: {}", clean(&left)));
        }
    }
}

/// A kernel value by its last name.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether what was taken out is still away.
pub fn stayed_away(path: &str, span: Duration, came: Option<&[String]>) {
    match came {
        None if span.is_zero() => say(&format!("{path} is gone.")),
        None => say(&format!("{path} is gone, and still was {} s later.", span.as_secs_f64())),
        Some([]) => say(&format!("{path} IS STILL THERE.")),
        Some(modules) => say(&format!("{path} CAME BACK: {} loaded again.", modules.join(", "))),
    }
}
