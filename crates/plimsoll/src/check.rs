//! `plimsoll check`: read, diagnose, print.

use std::path::Path;
use std::process::ExitCode;

use plimsoll_diagnosis::facts::Origin;
use plimsoll_diagnosis::{Diagnosis, Said, asks_for_ways, diagnose, said};
use plimsoll_probe::files::Files;
use plimsoll_probe::live::{self, NamespaceSelector, Observation};
use plimsoll_probe::{dead, said_of, ways};
use plimsoll_report::{self as report, Clock, Style};

use crate::arguments::{Check, Lang, Output, Screen};
use crate::{exit, terminal};

/// Runs it; the exit status is the verdict.
pub fn run(arguments: &Check) -> ExitCode {
    let language = terminal::spoken(arguments.output.lang, arguments.output.screen.ascii);
    let diagnosis = match look(arguments) {
        Ok(diagnosis) => diagnosis,
        Err(why) => {
            terminal::tell(language, &why);
            return exit::usage();
        }
    };
    let (text, status) = print(&diagnosis, &arguments.output);
    match terminal::print(&text) {
        Ok(()) => ExitCode::from(status),
        Err(why) => exit::unwritten(language, &why),
    }
}

/// The screen of one namespace of this host, as `check --netns` prints it.
pub fn screen_of_namespace(name: &str, screen: &Screen, asked: Option<Lang>) -> String {
    let options = live::Options {
        only: vec![NamespaceSelector::Name(name.into())],
        ..live::Options::default()
    };
    let diagnosis = judged(live::observe(&options));
    report::text(&diagnosis, &terminal::spoken_style(screen, asked))
}

fn look(arguments: &Check) -> Result<Diagnosis, Said> {
    if let Some(path) = arguments.root.as_ref().or(arguments.bundle.as_ref()) {
        return saved(path, arguments.root.is_some());
    }
    let options = live::Options {
        interval: arguments.interval,
        dump_budget: arguments.budget,
        census: !arguments.budget.is_zero(),
        only: arguments.netns.iter().map(|text| NamespaceSelector::parse(text)).collect(),
        ..live::Options::default()
    };
    let (lang, ascii) = (arguments.output.lang, arguments.output.screen.ascii);
    let (language, unicode) = (terminal::spoken(lang, ascii), terminal::shows(lang, ascii));
    let observation =
        terminal::measuring(options.interval, language, unicode, || live::observe(&options));
    if !observation.unmatched.is_empty() {
        // Quoted as Rust does: what a terminal would obey is escaped.
        let asked: Vec<String> = arguments
            .netns
            .iter()
            .filter(|text| observation.unmatched.contains(&NamespaceSelector::parse(text)))
            .map(|text| format!("{text:?}"))
            .collect();
        return Err(said!(
            "no network namespace answers to {}",
            "没有这样的网络命名空间：{}",
            asked.join(", ")
        ));
    }
    Ok(judged(observation))
}

/// What an observation means. Rules in full are read only where a remedy is planned on them.
fn judged(mut observation: Observation) -> Diagnosis {
    for place in asks_for_ways(Some(&observation.before), &observation.after) {
        if let Some(namespace) = observation.after.namespaces.get_mut(place) {
            namespace.ways = ways(namespace.inode, true);
        }
    }
    diagnose(Some(&observation.before), &observation.after)
}

/// A dead host, from a directory or from an archive.
fn saved(path: &Path, tree: bool) -> Result<Diagnosis, Said> {
    let (files, origin) = open(path, tree)?;
    let mut diagnosis = diagnose(None, &dead::snapshot(&files, origin));
    // What of a bundle was left out.
    diagnosis.notes.extend_from_slice(files.notes());
    Ok(diagnosis)
}

/// The files of a dead host: of a directory (`tree`) or an archive, as was asked for.
pub fn open(path: &Path, tree: bool) -> Result<(Files, Origin), Said> {
    if path.is_dir() != tree {
        let expected = match tree {
            true => Said::of("a directory that holds a host's files", "存放主机文件的目录"),
            false => Said::of("an archive", "归档文件"),
        };
        return Err(said!("{}: expected {expected}", "{}：应为{expected:#}", path.display()));
    }
    dead::open(path).map_err(|e| {
        let why = said_of(&e);
        said!("{}: {why}", "{}：{why:#}", path.display())
    })
}

fn print(diagnosis: &Diagnosis, output: &Output) -> (String, u8) {
    let status = report::exit_status(diagnosis.verdict);
    if output.json {
        let mut text = report::json_pretty(diagnosis);
        text.push('\n');
        return (text, status);
    }
    if output.nagios || output.npd {
        let answer = if output.npd { report::npd(diagnosis) } else { report::nagios(diagnosis) };
        return (format!("{}\n", answer.line), answer.status);
    }
    let style = terminal::spoken_style(&output.screen, output.lang);
    let clock = if output.utc { Clock::Utc } else { style.clock };
    let style = Style { verbose: output.verbose, commands: output.commands, clock, ..style };
    (report::text(diagnosis, &style), status)
}
