//! `plimsoll manual`: the manual pages and the shells' completions, from the command line's own data.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use plimsoll_diagnosis::said;
use plimsoll_probe::said_of;
use plimsoll_report::number::counted;

use crate::arguments::Arguments;
use crate::{exit, terminal};

/// Of commands for administrators.
const SECTION: &str = "8";

/// Where each shell looks below a prefix, and what it expects there.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions/plimsoll"),
    (Shell::Zsh, "share/zsh/site-functions/_plimsoll"),
    (Shell::Fish, "share/fish/vendor_completions.d/plimsoll.fish"),
];

/// `plimsoll manual`.
#[derive(Debug, Args)]
pub struct Manual {
    /// Where share/man and the rest are: /usr/local, ~/.local
    #[arg(value_name = "PREFIX")]
    pub prefix: PathBuf,
}

/// Runs it.
pub fn run(arguments: &Manual) -> ExitCode {
    let language = terminal::spoken(None, false);
    let said = match install(&arguments.prefix) {
        Ok(pages) => {
            let some = counted(pages, "manual page", "manual pages");
            let place = arguments.prefix.join("share/man/man8");
            let place = place.display();
            said!(
                "{some} in {place}, completions for bash, zsh and fish beside them. `man plimsoll` is the first.\n",
                "{place} 里有 {pages} 个手册页，旁边有 bash、zsh、fish 的补全。从 `man plimsoll` 看起。\n"
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
fn install(prefix: &Path) -> Result<u64, (PathBuf, io::Error)> {
    let mut files = Vec::new();
    for (name, page) in pages().map_err(|error| (prefix.to_owned(), error))? {
        files.push((format!("share/man/man{SECTION}/{name}.{SECTION}"), page));
    }
    let pages = files.len() as u64;
    for (shell, path) in COMPLETIONS {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "plimsoll", &mut script);
        files.push((path.to_owned(), script));
    }
    for (path, bytes) in files {
        let path = prefix.join(path);
        let folder = path.parent().unwrap_or(prefix);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes));
        written.map_err(|error| (path, error))?;
    }
    Ok(pages)
}

/// The page of each command that people type, by its name: `plimsoll-fix-raise`.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    fn of(command: &Command, all: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        all.push((name.to_owned(), page(command, name)?));
        visible(command).try_for_each(|inner| of(inner, all))
    }
    let mut whole = Arguments::command().disable_help_subcommand(true);
    whole.build();
    let mut all = Vec::new();
    of(&whole, &mut all)?;
    Ok(all)
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set())
}

fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let version = concat!("plimsoll ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(name).section(SECTION).source(version);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    part(&mut page, "SYNOPSIS", |roff| {
        let usage = command.clone().render_usage().to_string();
        let forms = usage.trim_start_matches("Usage:").lines().map(str::trim);
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
        part(&mut page, "EXAMPLES", |roff| {
            roff.control("EX", []);
            for line in examples.to_string().lines().skip(1) {
                roff.text([roman(line)]);
            }
            roff.control("EE", []);
        })?;
    }
    part(&mut page, "SEE ALSO", |roff| {
        roff.text([roman(others(name))]);
    })?;
    Ok(page)
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
