//! The command line's own words in Chinese, for `--help`, the manual pages and completions. In English clap has them.
//!
//! chinese.txt has each paragraph of the English beside its Chinese; what isn't in there stays English, and a test fails.

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};
use plimsoll_report::{Language, width, wrap};

use crate::arguments::Arguments;
use crate::{terminal, usage};

/// A paragraph in English, the same in Chinese, an empty line.
const TEXTS: &str = include_str!("chinese.txt");

/// The page of a command that was given without what it needs.
pub fn of(name: &str, language: Language) -> String {
    let mut command = Arguments::command();
    if language == Language::Chinese {
        command = in_chinese(command, terminal::columns(None));
    }
    command.build();
    command.find_subcommand_mut(name).map_or_else(String::new, |of| of.render_help().to_string())
}

/// The command line with all its pages in Chinese, on so many columns.
pub fn in_chinese(mut command: Command, columns: usize) -> Command {
    fn paged(command: Command, columns: usize) -> Command {
        if command.is_hide_set() {
            return command;
        }
        let page = page(&command, columns);
        command.override_help(page).mut_subcommands(|inner| paged(inner, columns))
    }
    // Only then it knows the usage of its commands.
    command.build();
    paged(translated(command), columns)
}

/// The command line, once it is built, with all that it says of itself in Chinese.
pub fn translated(mut command: Command) -> Command {
    if command.is_hide_set() {
        return command;
    }
    command = match command.get_about().map(chinese) {
        Some(about) => command.about(about),
        None => command,
    };
    command = match command.get_long_about().map(chinese) {
        Some(about) => command.long_about(about),
        None => command,
    };
    command = match command.get_after_help().map(examples) {
        Some(examples) => command.after_help(examples),
        None => command,
    };
    command.mut_args(argument).mut_subcommands(translated)
}

/// With what it may be and what it is where it is not given: clap would say so in English.
fn argument(flag: Arg) -> Arg {
    let said = said(&flag);
    let heading = flag.get_help_heading().and_then(known);
    let flag = match heading {
        Some(heading) => flag.help_heading(heading),
        None => flag,
    };
    let ours = flag.help(said.clone()).long_help(said);
    ours.hide_possible_values(true).hide_default_value(true)
}

/// What is said of it, what it may be, and what it is where it is not given.
fn said(flag: &Arg) -> String {
    let help = flag.get_long_help().or(flag.get_help());
    let mut said = help.map(chinese).unwrap_or_default().replace("\n\n", "。");
    if !flag.get_action().takes_values() {
        return said;
    }
    let values = flag.get_possible_values();
    if values.iter().any(|value| !said.contains(value.get_name())) {
        let values = values.iter().map(|value| match value.get_help().map(chinese) {
            Some(help) => format!("{}（{help}）", value.get_name()),
            None => value.get_name().to_owned(),
        });
        said.push_str(&format!(" [可选：{}]", values.collect::<Vec<_>>().join("、")));
    }
    let default = flag.get_default_values().first().filter(|_| !flag.is_hide_default_value_set());
    if let Some(value) = default {
        said.push_str(&format!(" [默认：{}]", value.to_string_lossy()));
    }
    said
}

/// What clap has of one thing, paragraph by paragraph.
pub fn chinese(english: &StyledStr) -> String {
    let english = english.to_string();
    english.split("\n\n").map(text).collect::<Vec<_>>().join("\n\n")
}

/// One paragraph.
fn text(english: &str) -> &str {
    known(english).unwrap_or(english)
}

fn known(english: &str) -> Option<&'static str> {
    texts().find_map(|(from, to)| (from == english).then_some(to))
}

fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    TEXTS.split("\n\n").filter_map(|pair| pair.trim().split_once('\n'))
}

/// What is typed stays; what is said beside it is Chinese.
fn examples(english: &StyledStr) -> String {
    let mut out = "示例：".to_owned();
    for line in english.to_string().lines().skip(1) {
        out.push('\n');
        match line.split_once("# ") {
            Some((typed, said)) => out.push_str(&format!("{typed}# {}", text(said))),
            None => out.push_str(line),
        }
    }
    out
}

/// The page of one command, from what it says of itself in Chinese.
fn page(command: &Command, columns: usize) -> String {
    let about = command.get_long_about().or(command.get_about());
    let mut page = paragraphs(about, columns).join("\n\n");
    page.push_str(&format!("\n\n{}\n", usage::usage(&command.clone().render_usage().to_string())));
    let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    let mut groups = vec![("命令", Vec::new()), ("参数", Vec::new()), ("选项", Vec::new())];
    groups[0].1.extend(inner.map(|inner| {
        let about = inner.get_about().map(ToString::to_string).unwrap_or_default();
        (inner.get_name().to_owned(), about)
    }));
    for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
        let of_none = if flag.is_positional() { "参数" } else { "选项" };
        let heading = flag.get_help_heading().unwrap_or(of_none);
        let said = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let row = (written(flag), said);
        match groups.iter_mut().find(|(name, _)| *name == heading) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((heading, vec![row])),
        }
    }
    for (heading, rows) in groups.iter().filter(|(_, rows)| !rows.is_empty()) {
        page.push_str(&format!("\n{heading}：\n{}", table(rows, columns)));
    }
    if let Some(examples) = command.get_after_help() {
        page.push_str(&format!("\n{examples}\n"));
    }
    page
}

fn paragraphs(text: Option<&StyledStr>, columns: usize) -> Vec<String> {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.split("\n\n").map(|one| wrap(one, columns, columns).join("\n")).collect()
}

/// How an argument is written: `-v, --verbose`, `    --root <DIR>`, `[CAPTURE]...`.
fn written(flag: &Arg) -> String {
    match flag.get_short() {
        Some(short) => format!("-{short}, {flag}"),
        None if flag.is_positional() => flag.to_string(),
        None => format!("    {flag}"),
    }
}

/// Rows of a word and what is said of it.
fn table(rows: &[(String, String)], columns: usize) -> String {
    let wide = rows.iter().map(|(word, _)| width(word)).max().unwrap_or(0) + 4;
    let room = columns.saturating_sub(wide);
    let mut out = String::new();
    for (word, said) in rows {
        for (place, line) in wrap(said, room, room).iter().enumerate() {
            let word = if place == 0 { word.as_str() } else { "" };
            out.push_str(&format!("  {word:at$}{line}\n", at = wide - 2));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// All commands that people type, with all that stands on their pages.
    fn everywhere(see: &mut impl FnMut(&Command)) {
        fn visible(command: &Command, see: &mut impl FnMut(&Command)) {
            see(command);
            let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set());
            inner.for_each(|inner| visible(inner, see));
        }
        let mut whole = Arguments::command();
        whole.build();
        visible(&whole, see);
    }

    /// The English is this, to the octet: where it changes, its Chinese has to be looked at.
    #[test]
    fn whatever_the_english_help_says_has_its_chinese_and_nothing_else_has() {
        let mut english = BTreeSet::new();
        everywhere(&mut |command| {
            let of = [command.get_about(), command.get_long_about()];
            let mut said: Vec<String> = of.into_iter().flatten().map(ToString::to_string).collect();
            for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
                let values = flag.get_possible_values();
                let values = values.iter().filter_map(|value| value.get_help());
                let help = [flag.get_help(), flag.get_long_help()].into_iter().flatten();
                said.extend(help.chain(values).map(ToString::to_string));
                said.extend(flag.get_help_heading().map(str::to_owned));
            }
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let beside = examples.lines().filter_map(|line| line.split_once("# "));
            said.extend(beside.map(|(_, said)| said.to_owned()));
            english.extend(said.iter().flat_map(|all| all.split("\n\n")).map(str::to_owned));
        });
        let known: BTreeSet<String> = texts().map(|(from, _)| from.to_owned()).collect();
        let without: Vec<_> = english.difference(&known).collect();
        assert_eq!(without, Vec::<&String>::new(), "has no Chinese");
        let unused: Vec<_> = known.difference(&english).collect();
        assert_eq!(unused, Vec::<&String>::new(), "is said nowhere");
        assert!(known.len() > 180 && known.len() == texts().count(), "{}", known.len());
        for (from, to) in texts() {
            let same = from == "ctnetlink" || from == "/proc/net/nf_conntrack";
            assert_ne!(same, to.contains(|c| c >= '\u{4e00}'), "{from}: {to}");
        }
    }

    #[test]
    fn every_page_is_within_the_columns() {
        let mut names = Vec::new();
        everywhere(&mut |command| {
            for columns in [60, 80, 100] {
                let page = page(&translated(command.clone()), columns);
                let ours = |line: &&str| {
                    !["  plimsoll ", "  tcpdump ", "用法"].iter().any(|b| line.starts_with(b))
                };
                let wide = page.lines().filter(ours).find(|line| width(line) > columns);
                assert_eq!(wide, None, "{page}");
            }
            names.push(command.get_name().to_owned());
        });
        assert!(names.len() > 25, "{names:?}");
    }
}
