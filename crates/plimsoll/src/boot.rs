//! `plimsoll boot`: read the files, simulate, print; or watch a setting and print who changes it.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use plimsoll_ct::Scope;
use plimsoll_diagnosis::boot::{BootFacts, Outcome, boot};
use plimsoll_diagnosis::{Said, said};
use plimsoll_probe::boot as probe;
use plimsoll_probe::watch::{Watch, Watched};
use plimsoll_report::{self as report, Style};

use crate::arguments::Boot;
use crate::{check, exit, terminal};

/// Runs it. Exit status: 0 nothing is wrong, 1 something is, 64 wrong usage.
pub fn run(arguments: &Boot) -> ExitCode {
    let done = if arguments.watch.is_empty() { look(arguments) } else { watch(arguments) };
    match done {
        Ok(code) => code,
        Err(why) => {
            let language = terminal::spoken(arguments.lang, arguments.screen.ascii);
            terminal::tell(language, &why);
            exit::usage()
        }
    }
}

fn look(arguments: &Boot) -> Result<ExitCode, Said> {
    let facts = facts(arguments)?;
    let boot = boot(&facts, &[]);
    let asked =
        named(&arguments.keys, &facts, &boot)?.iter().map(|o| o.setting.name).collect::<Vec<_>>();
    let text = if arguments.json {
        let mut text = report::boot_json(&boot, &asked);
        text.push('\n');
        text
    } else {
        report::boot_text(
            &boot,
            &asked,
            &Style {
                verbose: arguments.verbose,
                ..terminal::spoken_style(&arguments.screen, arguments.lang)
            },
        )
    };
    if let Err(why) = terminal::print(&text) {
        let language = terminal::spoken(arguments.lang, arguments.screen.ascii);
        return Ok(exit::unwritten(language, &why));
    }
    let wrong = boot.lints.iter().any(|l| !l.harmless);
    Ok(ExitCode::from(u8::from(wrong)))
}

/// The settings of these keys, old or new, in any notation.
fn named<'a>(
    keys: &[String],
    facts: &BootFacts,
    boot: &'a plimsoll_diagnosis::boot::Boot,
) -> Result<Vec<&'a Outcome>, Said> {
    let mut asked = Vec::new();
    for key in keys {
        let outcome = boot.outcome(key).ok_or_else(|| match facts.nearest(key) {
            Some(near) => said!(
                "{key:?}: this kernel has no such setting of conntrack; the nearest is {near}",
                "{key:?}：本内核的连接跟踪没有这个设置；最接近的是 {near}"
            ),
            None => said!(
                "{key:?}: this kernel has no such setting of conntrack",
                "{key:?}：本内核的连接跟踪没有这个设置"
            ),
        })?;
        asked.push(outcome);
    }
    Ok(asked)
}

/// Watches settings until enough changed, or for ever.
fn watch(arguments: &Boot) -> Result<ExitCode, Said> {
    let facts = probe::live();
    let boot = boot(&facts, &[]);
    let settings = named(&arguments.watch, &facts, &boot)?
        .into_iter()
        .map(|outcome| Watched {
            key: outcome.key.clone(),
            aliases: facts.aliases(outcome.setting),
            global: outcome.setting.scope == Scope::Global,
        })
        .collect();
    let mut watch = Watch::begin(settings);
    let means = watch.means();
    let style = terminal::spoken_style(&arguments.screen, arguments.lang);
    let how = match means.name {
        "bpf" => Said::of(
            "bpf: every write on this host is seen, with its process",
            "bpf：本机的每一次写入都看得到，连同写入的进程",
        ),
        "fanotify" => Said::of(
            "fanotify: writes through this /proc are seen, with their process; a container has a /proc of its own",
            "fanotify：看得到经由这个 /proc 的写入和写入的进程；容器有它自己的 /proc",
        ),
        _ => Said::of(
            "reading again and again: the time is told, and what began to run shortly before",
            "反复读取：能说出时间，以及此前不久启动了什么",
        ),
    };
    let tell = |what: Said| terminal::tell(style.language, &what);
    tell(said!("by {how}", "办法：{how:#}"));
    for why in &means.lacking {
        tell(said!("not by {why}", "用不了 {why:#}"));
    }
    for (key, value) in watch.values() {
        tell(match value {
            Some(value) => said!("{key} is {value}", "{key} 现在是 {value}"),
            None => said!("{key} is not there yet", "还没有 {key}"),
        });
    }
    let mut left = arguments.changes.unwrap_or(usize::MAX);
    while left > 0 {
        let changes = watch
            .next(Duration::from_secs(3600))
            .map_err(|e| said!("watching: {e}", "监视：{e}"))?;
        let mut out = std::io::stdout().lock();
        for change in changes.iter().take(left) {
            let text = match arguments.json {
                true => report::change_json(change, means.name),
                false => report::change_text(change, &style),
            };
            if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                return Ok(ExitCode::SUCCESS);
            }
        }
        left = left.saturating_sub(changes.len());
    }
    Ok(ExitCode::SUCCESS)
}

fn facts(arguments: &Boot) -> Result<BootFacts, Said> {
    let (path, tree): (&Path, bool) = match (&arguments.root, &arguments.bundle) {
        (Some(path), _) => (path, true),
        (None, Some(path)) => (path, false),
        (None, None) => return Ok(probe::live()),
    };
    let (files, origin) = check::open(path, tree)?;
    Ok(probe::saved(&files, origin))
}
