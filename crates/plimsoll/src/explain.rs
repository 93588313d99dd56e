//! `plimsoll explain`: the page of a finding.

use std::process::ExitCode;

use plimsoll_diagnosis::{CATALOGUE, Definition, said};
use plimsoll_report::{self as report, Language, PAGES_ZH, Style};

use crate::arguments::Explain;
use crate::{exit, terminal};

/// Prints the page, or the list of all findings.
pub fn run(arguments: &Explain) -> ExitCode {
    let language = terminal::spoken(arguments.lang, arguments.screen.ascii);
    let text = match &arguments.finding {
        None => list(language),
        Some(finding) => match page(finding, arguments) {
            Some(page) => page,
            None => {
                let why = said!(
                    "no finding {finding:?}; `plimsoll explain` lists them: CT001, table-full, …",
                    "没有诊断结论 {finding:?}；`plimsoll explain` 列出全部：CT001、table-full ……"
                );
                terminal::tell(language, &why);
                return exit::usage();
            }
        },
    };
    match terminal::print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => exit::unwritten(language, &why),
    }
}

fn list(language: Language) -> String {
    let title = |id: &str, english: &'static str| {
        let page = PAGES_ZH.iter().find(|page| page.id == id);
        // A page begins with the number, the name, and its title.
        let heading = page.and_then(|page| page.markdown.lines().next());
        match (language, heading.and_then(|line| line.split_once('：'))) {
            (Language::Chinese, Some((_, title))) => title,
            (Language::Chinese | Language::English, _) => english,
        }
    };
    let line = |d: &Definition| format!("{}  {:<24} {}\n", d.id, d.name, title(d.id, d.title));
    CATALOGUE.iter().map(line).collect()
}

fn page(finding: &str, arguments: &Explain) -> Option<String> {
    let (lang, screen) = (arguments.lang, &arguments.screen);
    let unicode = terminal::shows(lang, screen.ascii);
    let style = Style { unicode, ..terminal::style(screen) };
    report::explain(finding, terminal::spoken(lang, screen.ascii), &style)
}
