//! `plimsoll explain`: the page of a finding.

use std::process::ExitCode;

use plimsoll_diagnosis::{CATALOGUE, said};
use plimsoll_report::{self as report, Language, PAGES_ZH, Style, wrap};

use crate::arguments::Explain;
use crate::{exit, terminal};

/// Prints the page, or the list of all findings.
pub fn run(arguments: &Explain) -> ExitCode {
    let language = terminal::spoken(arguments.lang, arguments.screen.ascii);
    let screen = &arguments.screen;
    let unicode = terminal::shows(arguments.lang, screen.ascii);
    let style = Style { unicode, ..terminal::style(screen) };
    let text = match &arguments.finding {
        None => list(language, &style),
        Some(finding) => match report::explain(finding, language, &style) {
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

fn list(language: Language, style: &Style) -> String {
    let title = |id: &str, english: &'static str| {
        let page = PAGES_ZH.iter().find(|page| page.id == id);
        // A page begins with the number, the name, and its title.
        let heading = page.and_then(|page| page.markdown.lines().next());
        match (language, heading.and_then(|line| line.split_once('：'))) {
            (Language::Chinese, Some((_, title))) => title,
            (Language::Chinese | Language::English, _) => english,
        }
    };
    let name = CATALOGUE.iter().map(|d| d.name.len()).max().unwrap_or(0);
    CATALOGUE.iter().fold(String::new(), |mut text, d| {
        let start = format!("{}  {:<name$} ", d.id, d.name);
        let room = style.width.saturating_sub(start.len());
        let lines = wrap(&style.show(title(d.id, d.title)), room, room);
        text.push_str(&start);
        text.push_str(&lines.join(&format!("\n{:1$}", "", start.len())));
        text.push('\n');
        text
    })
}
