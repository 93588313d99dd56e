//! `plimsoll explain`: the page of a finding.

use std::process::ExitCode;

use plimsoll_diagnosis::CATALOGUE;
use plimsoll_report::{self as report, Language};

use crate::arguments::{Explain, Lang};
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
    let language = match arguments.lang {
        Some(Lang::En) => Language::English,
        Some(Lang::Zh) => Language::Chinese,
        None => terminal::language(),
    };
    report::explain(finding, language, &terminal::style(&arguments.screen))
}
