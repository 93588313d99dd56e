//! `plimsoll boot`: read the files, simulate, print.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use plimsoll_ct::Setting;
use plimsoll_diagnosis::boot::{BootFacts, boot};
use plimsoll_probe::{boot as probe, dead};
use plimsoll_report::{self as report, Style};

use crate::arguments::Boot;
use crate::{exit, terminal};

/// Runs it. Exit status: 0 nothing is wrong, 1 something is, 64 wrong usage.
pub fn run(arguments: &Boot) -> ExitCode {
    match look(arguments) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("plimsoll: {why}");
            exit::usage()
        }
    }
}

fn look(arguments: &Boot) -> Result<ExitCode, String> {
    let facts = facts(arguments)?;
    let boot = boot(&facts, &[]);
    let mut asked = Vec::new();
    for key in &arguments.keys {
        let setting = Setting::find(key)
            .filter(|s| boot.outcomes.iter().any(|o| o.setting.name == s.name))
            .ok_or_else(|| match facts.nearest(key) {
                Some(near) => format!(
                    "{key:?}: this kernel has no such setting of conntrack; the nearest is {near}"
                ),
                None => format!("{key:?}: this kernel has no such setting of conntrack"),
            })?;
        asked.push(setting.name);
    }
    let text = if arguments.json {
        let mut text = report::boot_json(&boot, &asked);
        text.push('\n');
        text
    } else {
        let style = Style {
            width: terminal::columns(arguments.width),
            colour: terminal::colour(arguments.color),
            unicode: !arguments.ascii && terminal::unicode(),
            verbose: arguments.verbose,
            ..Style::default()
        };
        report::boot_text(&boot, &asked, &style)
    };
    let mut out = std::io::stdout().lock();
    // A reader that closed the pipe has what it wanted.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let wrong = boot.lints.iter().any(|l| !l.harmless);
    Ok(ExitCode::from(u8::from(wrong)))
}

fn facts(arguments: &Boot) -> Result<BootFacts, String> {
    let (path, tree): (&Path, bool) = match (&arguments.root, &arguments.bundle) {
        (Some(path), _) => (path, true),
        (None, Some(path)) => (path, false),
        (None, None) => return Ok(probe::live()),
    };
    if path.is_dir() != tree {
        let expected = if tree { "a directory that holds a host's files" } else { "an archive" };
        return Err(format!("{}: expected {expected}", path.display()));
    }
    let (files, origin) = dead::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(probe::saved(&files, origin))
}
