//! `plimsoll explain`: the page of a finding.

use std::process::ExitCode;

use plimsoll_diagnosis::CATALOGUE;
use plimsoll_report::{self as report, Style};

use crate::arguments::Explain;
use crate::{exit, terminal};

/// Prints the page, or the list of all findings.
pub fn run(arguments: &Explain) -> ExitCode {
    let text = match &arguments.finding {
        None => list(),
        Some(finding) => match page(finding, arguments) {
            Some(page) => page,
            None => {
                say!(
                    "no finding {finding:?}; `plimsoll explain` lists them: CT001, \
                     table-full, …"
                );
                return exit::usage();
            }
        },
    };
    match terminal::print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => exit::unwritten(&why),
    }
}

fn list() -> String {
    CATALOGUE.iter().map(|d| format!("{}  {:<24} {}\n", d.id, d.name, d.title)).collect()
}

fn page(finding: &str, arguments: &Explain) -> Option<String> {
    let (lang, screen) = (arguments.lang, &arguments.screen);
    let unicode = terminal::shows(lang, screen.ascii);
    let style = Style { unicode, ..terminal::style(screen) };
    report::explain(finding, terminal::spoken(lang, screen.ascii), &style)
}
