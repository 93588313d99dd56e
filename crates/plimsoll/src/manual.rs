//! `plimsoll manual`: the manual pages, in English and in Chinese, and the shells' completions, from the command line's own data.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use plimsoll_diagnosis::said;
use plimsoll_probe::said_of;
use plimsoll_report::Language;
use plimsoll_report::number::counted;

use crate::arguments::{Arguments, Lang};
use crate::{completions, exit, help, terminal, usage};

/// Of commands for administrators.
const SECTION: &str = "8";

/// `plimsoll manual`.
#[derive(Debug, Args)]
pub struct Manual {
    /// Where share/man and the rest are: /usr/local, ~/.local
    #[arg(value_name = "PREFIX")]
    pub prefix: PathBuf,
    /// Language of the completions [default: zh when the locale says so]; the pages are there in both
    #[arg(long, value_name = "LANG")]
    pub lang: Option<Lang>,
}

/// Runs it.
pub fn run(arguments: &Manual) -> ExitCode {
    let language = terminal::spoken(arguments.lang, false);
    let said = match install(&arguments.prefix, language) {
        Ok(pages) => {
            let some = counted(pages, "manual page", "manual pages");
            let place = |pages| arguments.prefix.join("share").join(pages);
            let (place, zh) = (place("man/man8"), place("man/zh_CN/man8"));
            let (place, zh) = (place.display(), zh.display());
            said!(
                "{some} in {place}, in Chinese in {zh};\ncompletions for bash, zsh and fish beside them. `man plimsoll` is the first.\n",
                "{place} 里有 {pages} 个手册页，中文的在 {zh}；\n旁边有 bash、zsh、fish 的补全。从 `man plimsoll` 看起。\n"
            )
        }
        Err((place, error)) => {
            let (place, why) = (place.display(), said_of(&error));
            terminal::tell(language, &said!("{place}: {why}", "{place}：{why:#}"));
            return exit::failed();
        }
    };
    match terminal::print(said.spoken(language)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => exit::unwritten(language, &why),
    }
}

/// Writes all of them; the number of pages, or where it failed.
fn install(prefix: &Path, language: Language) -> Result<u64, (PathBuf, io::Error)> {
    let mut files = Vec::new();
    let (mut english, mut chinese) = (Vec::new(), Vec::new());
    of_all(&whole(), &WORDS, &mut english).map_err(|error| (prefix.to_owned(), error))?;
    let translated = help::translated(whole());
    of_all(&translated, &WORDS_ZH, &mut chinese).map_err(|error| (prefix.to_owned(), error))?;
    let pages = english.len() as u64;
    for (folder, pages) in [("man", english), ("man/zh_CN", chinese)] {
        files.extend(
            pages.into_iter().map(|(name, page)| {
                (format!("share/{folder}/man{SECTION}/{name}.{SECTION}"), page)
            }),
        );
    }
    files.extend(completions::scripts(language).map(|(path, script)| (path.to_owned(), script)));
    for (path, bytes) in files {
        let path = prefix.join(path);
        let folder = path.parent().unwrap_or(prefix);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes));
        written.map_err(|error| (path, error))?;
    }
    Ok(pages)
}

/// What of a page is neither ours nor the command line's.
struct Words {
    synopsis: &'static str,
    usage: fn(&str) -> String,
    examples: &'static str,
    see_also: &'static str,
    /// The library's headings, and what stands there instead.
    headings: &'static [(&'static str, &'static str)],
    /// What roff has to know of the script.
    script: &'static str,
}

const WORDS: Words = Words {
    synopsis: "SYNOPSIS",
    usage: str::to_owned,
    examples: "EXAMPLES",
    see_also: "SEE ALSO",
    headings: &[],
    script: "",
};

const WORDS_ZH: Words = Words {
    synopsis: "概述",
    usage: usage::usage,
    examples: "示例",
    see_also: "另请参阅",
    headings: &[
        (".SH NAME\n", ".SH 名称\n"),
        (".SH DESCRIPTION\n", ".SH 描述\n"),
        (".SH OPTIONS\n", ".SH 选项\n"),
        (".SH SUBCOMMANDS\n", ".SH 子命令\n"),
    ],
    // A line may end before any character, and behind what closes; blanks are not stretched, and no word is divided.
    script: "\
.class [zh] \\[u4E00]-\\[u9FFF] \\[uFF08]
.class [zhclose] \\[u3001] \\[u3002] \\[uFF0C] \\[uFF1A] \\[uFF1B] \\[uFF09]
.cflags 66 \\C'[zh]'
.cflags 68 \\C'[zhclose]'
.ad l
.nh
",
};

/// The command line as it is told of.
fn whole() -> Command {
    let mut whole = Arguments::command().disable_help_subcommand(true);
    whole.build();
    whole
}

/// The page of a command and of each below it that people type, by its name: `plimsoll-fix-raise`.
fn of_all(command: &Command, words: &Words, all: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    all.push((name.to_owned(), page(command, name, words)?));
    visible(command).try_for_each(|inner| of_all(inner, words, all))
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set())
}

fn page(command: &Command, name: &str, words: &Words) -> io::Result<Vec<u8>> {
    let version = concat!("plimsoll ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(name).section(SECTION).source(version);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    part(&mut page, words.synopsis, |roff| {
        let usage = (words.usage)(&command.clone().render_usage().to_string());
        let forms =
            usage.trim_start_matches("Usage:").trim_start_matches("用法：").lines().map(str::trim);
        for form in forms.filter(|form| !form.is_empty()) {
            roff.control("PP", []);
            roff.text([bold(form)]);
        }
    })?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if visible(command).next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(examples) = command.get_after_help() {
        part(&mut page, words.examples, |roff| {
            roff.control("EX", []);
            for line in examples.to_string().lines().skip(1) {
                roff.text([roman(line)]);
            }
            roff.control("EE", []);
        })?;
    }
    part(&mut page, words.see_also, |roff| {
        roff.text([roman(others(name))]);
    })?;
    if words.headings.is_empty() {
        return Ok(page);
    }
    let mut whole = String::from_utf8_lossy(&page).into_owned();
    for (english, ours) in words.headings {
        whole = whole.replace(english, ours);
    }
    // The title sets these anew.
    Ok(whole.replacen(".SH ", &[words.script, ".SH "].concat(), 1).into_bytes())
}

/// The pages above a command's, and the kernel's own.
fn others(name: &str) -> String {
    let above = name.match_indices('-').map(|(at, _)| &name[..at]);
    let mut all: Vec<String> = above.map(|name| format!("{name}({SECTION})")).collect();
    all.extend(["conntrack(8)", "sysctl(8)"].map(str::to_owned));
    all.join(", ")
}

fn part(page: &mut Vec<u8>, title: &str, write: impl FnOnce(&mut Roff)) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", [title]);
    write(&mut roff);
    roff.to_writer(page)
}
