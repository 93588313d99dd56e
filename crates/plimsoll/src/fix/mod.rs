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
    ApplyError, Fault, GuardProgram, Leftover, Options, Phase, Sight, Transaction, apply, history,
    sights, stand_guard,
};
use plimsoll_ct::Time;
use plimsoll_diagnosis::plan::{Change, Plan, Verify};
use plimsoll_diagnosis::{RemedyId, Said, said};
use plimsoll_report::{self as report, Language, Style, Told};

use crate::{exit, help, terminal};
use arguments::{Fix, How, Persist, RemedyCommand};
use tell::Voice;

/// Faults on purpose, for the tests: `N` or `N:guard`.
const FAULT: &str = "PLIMSOLL_FAULT";
/// The same for the guard, which takes its steps only while it takes back.
const GUARD_FAULT: &str = "PLIMSOLL_GUARD_FAULT";

/// Runs it.
pub fn run(arguments: &Fix) -> ExitCode {
    if arguments.list {
        return list(arguments, Voice(terminal::spoken(arguments.lang, false)));
    }
    let Some(remedy) = &arguments.remedy else {
        let help = help::of("fix", terminal::spoken(arguments.lang, false));
        let _ = write!(std::io::stderr(), "{help}");
        return exit::usage();
    };
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
            let code = carry_out(&plan, how, root, allow_lower, how.voice());
            if let RemedyCommand::Persist(persist) = remedy
                && code == ExitCode::SUCCESS
                && !(how.dry_run || how.json)
            {
                plans::prove(&plan, persist, how.voice());
            }
            code
        }
        Err(why) => {
            how.voice().error(&why);
            exit::usage()
        }
    }
}

/// Keeps what waits.
pub fn confirm(arguments: &arguments::Confirm) -> ExitCode {
    let voice = Voice(terminal::spoken(arguments.lang, false));
    voice.passed_over(&arguments.state_dir);
    match plimsoll_apply::confirm(&arguments.state_dir, arguments.id, &fault(FAULT)) {
        Ok((id, title, recovered)) => {
            voice.recovered(&recovered);
            voice.say(&said!("Transaction {id} stays: {title}.", "事务 {id} 保留：{title:#}。"));
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error, voice),
    }
}

/// Takes back.
pub fn undo(arguments: &arguments::Undo) -> ExitCode {
    let voice = Voice(terminal::spoken(arguments.lang, false));
    voice.passed_over(&arguments.state_dir);
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
            voice.undone(&undone);
            ExitCode::SUCCESS
        }
        Err(error) => {
            if matches!(error, ApplyError::Changed(_)) {
                voice.error(&error.said());
                voice.error(&Said::of(
                    "--leave-changed takes back the rest and leaves that as it is",
                    "--leave-changed 撤销其余的，把这些留着不动",
                ));
                return exit::failed();
            }
            failed(&error, voice)
        }
    }
}

/// Stands guard.
pub fn guard(arguments: &arguments::Guard) -> ExitCode {
    match stand_guard(&arguments.state_dir, arguments.id, &fault(GUARD_FAULT)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, Voice(Language::English)),
    }
}

fn list(arguments: &Fix, voice: Voice) -> ExitCode {
    voice.passed_over(&arguments.state_dir);
    match history(&arguments.state_dir) {
        Ok(all) if arguments.json => {
            let all: Vec<Told> = all.iter().zip(&sights(&all)).map(told).collect();
            tell::answer(Language::English, &report::transactions_json(&all))
        }
        Ok(all) => voice.history(&all),
        Err(error) => failed(&error, voice),
    }
}

/// What is told of a transaction.
fn told((t, sight): (&Transaction, &Sight)) -> Told {
    let words = |all: &[Said]| all.iter().map(ToString::to_string).collect();
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
        why: t.why.as_ref().map(ToString::to_string),
        left_alone: words(&t.left_alone()),
        gone: words(&sight.gone),
        changed: words(&sight.changed),
        unseen: words(&sight.unseen),
        saved: words(&sight.saved),
    }
}

fn failed(error: &ApplyError, voice: Voice) -> ExitCode {
    voice.error(&error.said());
    exit::failed()
}

fn fault(variable: &str) -> Fault {
    std::env::var(variable).ok().and_then(|text| Fault::parse(&text)).unwrap_or_default()
}

fn carry_out(plan: &Plan, how: &How, root: &Path, allow_lower: bool, voice: Voice) -> ExitCode {
    let style = terminal::spoken_style(&how.screen, how.lang);
    let shown = match how.json {
        true => tell::answer(Language::English, &report::plan_json(plan)),
        false => tell::answer(voice.0, &report::plan(plan, &Style { verbose: true, ..style })),
    };
    if !plan.refused.is_empty() {
        return exit::failed();
    }
    if how.json || how.dry_run || plan.changes.is_empty() {
        return shown;
    }
    if !how.yes {
        match asked(plan, voice) {
            Some(true) => {}
            Some(false) => {
                voice.say(&Said::of("Nothing was changed.", "什么也没有改。"));
                return exit::failed();
            }
            None => {
                voice.error(&Said::of(
                    "nobody can be asked here: --yes does it, --dry-run only shows it",
                    "这里没有人可问：--yes 直接执行，--dry-run 只显示",
                ));
                return exit::usage();
            }
        }
    }
    let Some(options) = options(how, root, allow_lower) else {
        voice.error(&Said::of(
            "the program's own file can't be found, and the guard needs it",
            "找不到本程序自己的文件，而守护进程需要它",
        ));
        return exit::failed();
    };
    voice.passed_over(&how.state_dir);
    let mut progress = tell::Progress::new(plan, voice);
    match apply(plan, &options, &mut |event| progress.event(event)) {
        Ok(applied) => {
            progress.end();
            voice.applied(plan, &applied);
        }
        Err(error) => {
            progress.end();
            return failed(&error, voice);
        }
    }
    watch(plan, how, voice);
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
fn asked(plan: &Plan, voice: Voice) -> Option<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let what = match plan.reversible() {
        true => Said::of("Do it?", "执行吗？"),
        false => Said::of("Do it? It can't be taken back.", "执行吗？无法撤销。"),
    };
    let _ = write!(std::io::stderr(), "\n{} [y/N] ", what.spoken(voice.0));
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Whether the drops end, and what was taken out stays away.
fn watch(plan: &Plan, how: &How, voice: Voice) {
    for proof in &plan.verify {
        if let Verify::Gone { path } = proof {
            match plimsoll_apply::stays_away(path, how.watch) {
                Ok(came) => voice.stayed_away(path, how.watch, came.as_deref()),
                Err(error) => {
                    voice.error(&said!(
                        "whether {path} stays away could not be seen: {error}",
                        "看不到 {path} 是否不再出现：{error}"
                    ));
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
        Ok(flow) => voice.watched(&flow),
        Err(error) => voice.error(&said!(
            "whether drops end could not be seen: {error}",
            "看不到丢包是否停止：{error}"
        )),
    }
    for change in &plan.changes {
        if let Change::Delete(left_over) = change
            && left_over.left_over
        {
            let counted = cut::counted(plan.target.inode, &left_over.filter);
            voice.untracked(&left_over.filter, counted);
        }
    }
}
