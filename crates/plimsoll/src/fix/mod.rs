//! `plimsoll fix`, `confirm`, `undo`: read, plan, show, carry out, watch.

pub mod arguments;
mod cut;
mod plans;
mod rules;
mod tell;

pub use plans::quick;

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use plimsoll_apply::{
    ApplyError, Fault, GuardProgram, Leftover, Options, Phase, Transaction, apply, history,
    stand_guard,
};
use plimsoll_ct::Time;
use plimsoll_diagnosis::RemedyId;
use plimsoll_diagnosis::plan::{Change, Plan, Verify};
use plimsoll_report::{self as report, Style, Told};

use crate::{exit, terminal};
use arguments::{Fix, How, Persist, RemedyCommand};

/// Faults on purpose, for the tests: `N` or `N:guard`.
const FAULT: &str = "PLIMSOLL_FAULT";
/// The same for the guard, which takes its steps only while it takes back.
const GUARD_FAULT: &str = "PLIMSOLL_GUARD_FAULT";

/// Runs it.
pub fn run(arguments: &Fix) -> ExitCode {
    if arguments.list {
        return list(arguments);
    }
    let Some(remedy) = &arguments.remedy else { return exit::usage() };
    let root = match remedy {
        RemedyCommand::Persist(Persist { root: Some(root), .. }) => root,
        _ => Path::new("/"),
    };
    let (how, plan) = match remedy {
        RemedyCommand::Raise(raise) => (&raise.how, plans::raise(raise)),
        RemedyCommand::Timeout(timeout) => (&timeout.how, plans::timeout(timeout)),
        RemedyCommand::Persist(persist) => (&persist.how, plans::persist(persist, root)),
        RemedyCommand::Shed(shed) => (&shed.how, cut::shed(shed)),
        RemedyCommand::Unload(unload) => (&unload.how, plans::unload(unload, root)),
        RemedyCommand::Bypass(bypass) => (&bypass.how, rules::bypass(bypass)),
        RemedyCommand::Lifeline(lifeline) => (&lifeline.how, rules::lifeline(lifeline)),
        RemedyCommand::Limit(limit) => (&limit.how, rules::limit(limit)),
    };
    match plan {
        Ok(plan) => {
            let allow_lower = matches!(remedy, RemedyCommand::Raise(raise) if raise.allow_lower);
            let code = carry_out(&plan, how, root, allow_lower);
            if let RemedyCommand::Persist(persist) = remedy
                && code == ExitCode::SUCCESS
                && !(how.dry_run || how.json)
            {
                plans::prove(&plan, persist);
            }
            code
        }
        Err(why) => {
            tell::error(&why);
            exit::usage()
        }
    }
}

/// Keeps what waits.
pub fn confirm(arguments: &arguments::Confirm) -> ExitCode {
    match plimsoll_apply::confirm(&arguments.state_dir, arguments.id, &fault(FAULT)) {
        Ok((id, title, recovered)) => {
            recovered.iter().for_each(|r| tell::error(r));
            tell::say(&format!("Transaction {id} stays: {title}."));
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

/// Takes back.
pub fn undo(arguments: &arguments::Undo) -> ExitCode {
    let leftover = if arguments.leave_changed { Leftover::Leave } else { Leftover::Refuse };
    let undone = plimsoll_apply::undo(
        &arguments.state_dir,
        arguments.id,
        leftover,
        arguments.allow_lower,
        &fault(FAULT),
    );
    match undone {
        Ok(undone) => {
            tell::undone(&undone);
            ExitCode::SUCCESS
        }
        Err(error) => {
            if matches!(error, ApplyError::Changed(_)) {
                tell::error(&error);
                tell::error(&"--leave-changed takes back the rest and leaves that as it is");
                return exit::failed();
            }
            failed(&error)
        }
    }
}

/// Stands guard.
pub fn guard(arguments: &arguments::Guard) -> ExitCode {
    match stand_guard(&arguments.state_dir, arguments.id, &fault(GUARD_FAULT)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn list(arguments: &Fix) -> ExitCode {
    match history(&arguments.state_dir) {
        Ok(all) if arguments.json => {
            let all: Vec<Told> = all.iter().map(told).collect();
            tell::text(&report::transactions_json(&all));
            ExitCode::SUCCESS
        }
        Ok(all) => {
            tell::history(&all);
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

/// What is told of a transaction.
fn told(t: &Transaction) -> Told {
    let time =
        |seconds: u64| Time(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000));
    let pending = matches!(t.phase, Phase::Pending { .. });
    Told {
        id: t.id,
        remedy: t.plan.remedy.name(),
        title: t.plan.title.to_string(),
        phase: t.phase.name(),
        began: time(t.began),
        ended: t.ended.map(time),
        seconds_left: pending.then(|| t.seconds_left()),
        of_this_boot: t.of_this_boot(),
        reversible: t.plan.reversible(),
        why: t.why.clone(),
        left_alone: t.left_alone(),
    }
}

fn failed(error: &ApplyError) -> ExitCode {
    tell::error(error);
    exit::failed()
}

fn fault(variable: &str) -> Fault {
    std::env::var(variable).ok().and_then(|text| Fault::parse(&text)).unwrap_or_default()
}

fn carry_out(plan: &Plan, how: &How, root: &Path, allow_lower: bool) -> ExitCode {
    if how.json {
        tell::text(&report::plan_json(plan));
        return if plan.refused.is_empty() { ExitCode::SUCCESS } else { exit::failed() };
    }
    tell::text(&report::plan(plan, &Style { verbose: true, ..terminal::style(&how.screen) }));
    if !plan.refused.is_empty() {
        return exit::failed();
    }
    if how.dry_run || plan.changes.is_empty() {
        return ExitCode::SUCCESS;
    }
    if !how.yes {
        match asked(plan) {
            Some(true) => {}
            Some(false) => {
                tell::say("Nothing was changed.");
                return exit::failed();
            }
            None => {
                tell::error(&"nobody can be asked here: --yes does it, --dry-run only shows it");
                return exit::usage();
            }
        }
    }
    let Some(options) = options(how, root, allow_lower) else {
        tell::error(&"the program's own file can't be found, and the guard needs it");
        return exit::failed();
    };
    let mut progress = tell::Progress::new(plan);
    match apply(plan, &options, &mut |event| progress.event(event)) {
        Ok(applied) => {
            progress.end();
            tell::applied(plan, &applied);
        }
        Err(error) => {
            progress.end();
            return failed(&error);
        }
    }
    watch(plan, how);
    ExitCode::SUCCESS
}

fn options(how: &How, root: &Path, allow_lower: bool) -> Option<Options> {
    let program = std::env::current_exe().ok()?;
    Some(Options {
        state_dir: how.state_dir.clone(),
        root: root.to_owned(),
        confirm: how.confirm,
        allow_lower,
        guard: GuardProgram { program, arguments: vec!["guard".into()] },
        fault: fault(FAULT),
    })
}

/// `None`: there is nobody to ask.
fn asked(plan: &Plan) -> Option<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let what = if plan.reversible() { "Do it?" } else { "Do it? It can't be taken back." };
    let _ = write!(std::io::stderr(), "\n{what} [y/N] ");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Whether the drops end, and what was taken out stays away.
fn watch(plan: &Plan, how: &How) {
    for proof in &plan.verify {
        if let Verify::Gone { path } = proof {
            match plimsoll_apply::stays_away(path, how.watch) {
                Ok(came) => tell::stayed_away(path, how.watch, came.as_deref()),
                Err(error) => {
                    tell::error(&format!("whether {path} stays away could not be seen: {error}"))
                }
            }
        }
    }
    if how.watch.is_zero() || !plan.verify.contains(&Verify::DropsEnd) {
        return;
    }
    let flow = match plan.remedy {
        RemedyId::Raise => plimsoll_apply::watch_all(how.watch),
        _ => plimsoll_apply::watch(&plan.target, how.watch),
    };
    match flow {
        Ok(flow) => tell::watched(&flow),
        Err(error) => tell::error(&format!("whether drops end could not be seen: {error}")),
    }
    for change in &plan.changes {
        if let Change::Delete(left_over) = change
            && left_over.left_over
        {
            tell::untracked(&left_over.filter, cut::counted(plan.target.inode, &left_over.filter));
        }
    }
}
