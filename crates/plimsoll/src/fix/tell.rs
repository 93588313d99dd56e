//! What is said on the way: answers on standard output, talk on standard error. A terminal that hung up
//! stops nothing.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use plimsoll_apply::{
    Applied, Event, Flow, Phase, Recovered, Sight, Transaction, Undone, sights, unreadable,
};
use plimsoll_diagnosis::plan::{Change, Filter, Plan};
use plimsoll_diagnosis::{Said, said};
use plimsoll_report::number::{count, counted};
use plimsoll_report::{Language, clean};

use crate::{exit, terminal};

/// What is told on the way. That it can't be written stops nothing.
pub fn text(language: Language, text: &str) {
    if let Err(why) = terminal::print(text) {
        talk(terminal::in_language(language, &why));
    }
}

/// All that was asked for: where it can't be written nothing was done.
pub fn answer(language: Language, text: &str) -> ExitCode {
    match terminal::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => exit::unwritten(language, &why),
    }
}

fn talk(what: &str) {
    let _ = writeln!(std::io::stderr(), "plimsoll: {}", clean(what));
}

/// Who speaks, in a language.
#[derive(Debug, Clone, Copy)]
pub struct Voice(pub Language);

impl Voice {
    /// A line of the answer. Names in it may come from strangers.
    pub fn say(self, line: &Said) {
        text(self.0, &self.line(line));
    }

    fn line(self, line: &Said) -> String {
        format!("{}\n", clean(terminal::in_language(self.0, line)))
    }

    /// A line of talk.
    pub fn error(self, what: &Said) {
        talk(terminal::in_language(self.0, what));
    }

    /// What was put in order that an earlier call had left.
    pub fn recovered(self, all: &[Recovered]) {
        all.iter().for_each(|one| self.error(&one.said()));
    }

    /// What was done and what reads back.
    pub fn applied(self, plan: &Plan, applied: &Applied) {
        self.say(&Said::default());
        for (change, readback) in plan.changes.iter().zip(&applied.readback) {
            if let Some(line) = made(change, readback.as_deref()) {
                self.say(&line);
            }
        }
        let id = applied.id;
        self.say(&match applied.window {
            Some(seconds) => said!(
                "Transaction {id} goes back by itself in {seconds} s, unless you run: plimsoll confirm",
                "事务 {id} 将在 {seconds} 秒后自动还原，除非运行：plimsoll confirm"
            ),
            None if plan.reversible() => said!(
                "Transaction {id}; to take it back: plimsoll undo {id}",
                "事务 {id}；要撤销它：plimsoll undo {id}"
            ),
            None => said!("Transaction {id}.", "事务 {id}。"),
        });
    }

    /// Whether drops have ended.
    pub fn watched(self, flow: &Flow) {
        let seconds = flow.span.as_secs_f64();
        let (packets, n) = (counted(flow.packets, "packet", "packets"), count(flow.packets));
        let packets = said!("{packets}", "{n} 个包");
        self.say(&match flow.drops {
            0 if flow.packets == 0 => said!(
                "No packet came in {seconds} s: whether drops have ended is not shown yet.",
                "{seconds} 秒内没有包到来：还看不出丢包是否已经停止。"
            ),
            0 => said!(
                "No drop in {seconds} s, while {packets} came in.",
                "{seconds} 秒内没有丢包，其间收到 {packets:#}。"
            ),
            n => {
                let (drops, n) = (counted(n, "drop", "drops"), count(n));
                said!(
                    "STILL DROPPING: {drops} in {seconds} s, while {packets} came in.",
                    "仍在丢包：{seconds} 秒内丢了 {n} 个，其间收到 {packets:#}。"
                )
            }
        });
    }

    /// Whether traffic that is exempted has entries.
    pub fn untracked(self, filter: &Filter, entries: Result<u64, Said>) {
        let filter = filter.said();
        match entries {
            Ok(0) => self.say(&said!(
                "No entry in the table is {filter}.",
                "表里没有这样的条目：{filter:#}。"
            )),
            Ok(n) => {
                let (are, n) = (counted(n, "entry is", "entries are"), count(n));
                self.say(&said!(
                    "STILL TRACKED: {are} {filter}.",
                    "仍被跟踪：这样的条目有 {n} 个：{filter:#}。"
                ));
            }
            Err(why) => self.error(&why),
        }
    }

    /// What was taken back.
    pub fn undone(self, undone: &Undone) {
        let Undone { id, title, .. } = undone;
        let others = undone.recovered.iter().filter(|r| r.id != *id);
        others.for_each(|r| self.error(&r.said()));
        self.say(&said!(
            "Transaction {id} is taken back: {title}.",
            "事务 {id} 已撤销：{title:#}。"
        ));
        if undone.gone_with_reboot {
            self.say(&Said::of(
                "What it had changed in the running kernel had ended with the reboot already.",
                "它在运行中的内核里改过的，重启时就已经没有了。",
            ));
        }
        for gone in &undone.gone {
            self.say(&said!(
                "Gone already, by somebody else's hand: {gone}.",
                "已被别人去掉：{gone:#}。"
            ));
        }
        if let Some(overfull) = &undone.overfull {
            self.say(&said!("Overfull: {overfull}.", "超限：{overfull:#}。"));
        }
        for left in &undone.left {
            self.say(&said!("Left as it is: {left}.", "保持现状：{left:#}。"));
        }
        undone.saved.iter().for_each(|lines| self.say(&saved(lines)));
        for table in &undone.emptied {
            self.say(&said!(
                "New with it, and stays without a rule: table {table}.",
                "随它新出现，留下来但没有规则的表：{table:#}。"
            ));
        }
    }

    /// Journals that can't be read: what they changed is nobody's to take back here, and the rest goes on.
    pub fn passed_over(self, state_dir: &Path) {
        unreadable(state_dir).iter().for_each(|why| self.error(why));
    }

    /// All transactions.
    pub fn history(self, all: &[Transaction]) -> ExitCode {
        let mut lines = Vec::new();
        if all.is_empty() {
            lines.push(Said::of("No transaction yet.", "还没有事务。"));
        }
        for (transaction, sight) in all.iter().zip(sights(all)) {
            let state = state(transaction, &sight);
            let why = match &transaction.why {
                Some(why) => said!(" ({why})", "（{why:#}）"),
                None => Said::default(),
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
            let (id, remedy) = (transaction.id, transaction.plan.remedy.name());
            let title = transaction.title();
            lines.push(said!(
                "{id:>4}  {time}  {remedy}: {title}  {state}{why}",
                "{id:>4}  {time}  {title:#}  {state:#}{why:#}"
            ));
            for left in transaction.left_alone() {
                lines.push(said!("      left as it was: {left}", "      保持原样：{left:#}"));
            }
            lines.extend(seen(id, &sight));
        }
        let lines: String = lines.iter().map(|line| self.line(line)).collect();
        answer(self.0, &lines)
    }

    /// Whether what was taken out is still away.
    pub fn stayed_away(self, path: &str, span: Duration, came: Option<&[String]>) {
        self.say(&match came {
            None if span.is_zero() => said!("{path} is gone.", "{path} 不在了。"),
            None => said!(
                "{path} is gone, and still was {} s later.",
                "{path} 不在了，{} 秒之后仍然不在。",
                span.as_secs_f64()
            ),
            Some([]) => said!("{path} IS STILL THERE.", "{path} 还在。"),
            Some(modules) => said!(
                "{path} CAME BACK: {} loaded again.",
                "{path} 又回来了：{} 被重新加载。",
                modules.join(", ")
            ),
        });
    }
}

/// How many entries, with their noun and without, as the kernel's answer was written down.
fn deleted(readback: &str) -> (String, String) {
    let n = readback.parse::<u64>();
    n.map_or_else(
        |_| (format!("{readback} entries"), readback.to_owned()),
        |n| (counted(n, "entry", "entries"), count(n)),
    )
}

/// A change that was made, and what reads back.
fn made(change: &Change, readback: Option<&str>) -> Option<Said> {
    Some(match (change, readback) {
        (Change::Setting(s), Some(value)) => {
            said!("{} reads {value}.", "{} 现在是 {value}。", name(&s.path))
        }
        (Change::File(f), _) => said!("{} is written.", "{} 已写入。", f.path),
        (Change::Delete(d), Some(n)) if d.left_over => {
            let (filter, (entries, n)) = (d.filter.said(), deleted(n));
            said!(
                "{entries} left over ({filter}) deleted.",
                "删除了剩下的 {n} 个条目（{filter:#}）。"
            )
        }
        (Change::Delete(_), Some(n)) => {
            let (entries, n) = deleted(n);
            said!("{entries} deleted.", "删除了 {n} 个条目。")
        }
        (Change::Nft(_) | Change::Iptables(_) | Change::Policy(_) | Change::Modules(_), _) => {
            let subject = change.subject();
            said!("{subject}: done.", "{subject:#}：完成。")
        }
        (Change::Setting(_) | Change::Delete(_), None) => return None,
    })
}

/// Where a transaction stands.
fn state(transaction: &Transaction, sight: &Sight) -> Said {
    match transaction.phase {
        Phase::Applying => Said::of("interrupted", "被打断"),
        Phase::Pending { .. } => match transaction.seconds_left() {
            0 => Said::of("not confirmed in time", "没有及时确认"),
            left => said!(
                "waits for `plimsoll confirm`, {left} s are left",
                "在等 `plimsoll confirm`，还剩 {left} 秒"
            ),
        },
        Phase::Standing if !transaction.plan.reversible() => {
            Said::of("done, for good", "已完成，无法撤销")
        }
        Phase::Standing if sight.gone.is_empty() && transaction.of_this_boot() => {
            Said::of("stands", "生效中")
        }
        Phase::Standing if !sight.gone.is_empty() => match sight.stands {
            true => Said::of("stands, but not all of it", "生效中，但已不完整"),
            false => Said::of("stands no more", "已不再生效"),
        },
        Phase::Standing => {
            Said::of("stands (made before the last boot)", "生效中（上次启动之前所做）")
        }
        Phase::Undoing => Said::of("being taken back", "正在撤销"),
        Phase::Undone => Said::of("taken back", "已撤销"),
        Phase::UndoneInPart => Said::of("taken back in part", "部分撤销"),
    }
}

/// What is not as a transaction left it.
fn seen(id: u64, sight: &Sight) -> Vec<Said> {
    let mut lines = Vec::new();
    if !sight.gone.is_empty() {
        let gone = Said::join(&sight.gone, &Said::of(", ", "、"));
        lines.push(match sight.stands {
            true => said!(
                "      gone: {gone}; `plimsoll undo {id}` takes back what is left",
                "      已不在：{gone:#}；`plimsoll undo {id}` 撤销剩下的"
            ),
            false => said!(
                "      gone: {gone}; nothing is left of it",
                "      已不在：{gone:#}；什么也没有剩下"
            ),
        });
    }
    let changed = sight.changed.iter();
    lines.extend(
        changed.map(|what| said!("      changed since: {what}", "      此后有变化：{what:#}")),
    );
    let unseen = sight
        .unseen
        .iter()
        .map(|what| said!("      could not be looked at: {what}", "      未能查看：{what:#}"));
    lines.extend(unseen);
    lines.extend(sight.saved.iter().map(|lines| said!("      {}", "      {:#}", saved(lines))));
    lines
}

/// Rules of one that is taken back are in a file that brings them back.
fn saved(lines: &Said) -> Said {
    said!(
        "SAVED: rules of it stand in {lines}, and the next reload or boot brings them back: save your rules again \
         (`netfilter-persistent save`, `service iptables save`), or take those lines out.",
        "已被保存：{lines:#}有它的规则，下次重载或启动会把它们带回来：请再保存一次您的规则（`netfilter-persistent save`、\
         `service iptables save`），或删去这些行。"
    )
}

/// A kernel value by its last name.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Shows how far it is.
pub struct Progress<'a> {
    plan: &'a Plan,
    voice: Voice,
    started: Instant,
    bar: bool,
}

impl<'a> Progress<'a> {
    /// Of a plan.
    pub fn new(plan: &'a Plan, voice: Voice) -> Self {
        Self { plan, voice, started: Instant::now(), bar: false }
    }

    /// Takes what happens.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Recovered(recovered) => self.voice.error(&recovered.said()),
            Event::Skipped(index, why) => {
                if let Some(change) = self.plan.changes.get(index) {
                    let subject = change.subject();
                    self.voice
                        .error(&said!("{subject} was left: {why}", "{subject:#} 没有动：{why:#}"));
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
        let line = said!(
            "[{bar}] {done} of {of} deleted, {seconds:.1} s",
            "[{bar}] 已删除 {done} / {of}，{seconds:.1} 秒"
        );
        let _ = write!(std::io::stderr(), "\r{}", line.spoken(self.voice.0));
    }

    /// Ends the line of the bar.
    pub fn end(&mut self) {
        if self.bar {
            let _ = writeln!(std::io::stderr());
            self.bar = false;
        }
    }
}
