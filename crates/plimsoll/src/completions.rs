//! What shells complete: the commands and flags that people type, each with its first words.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgGroup, Command, CommandFactory};
use clap_complete::Shell;
use plimsoll_report::Language;

use crate::arguments::Arguments;
use crate::help;

/// Where each shell looks below a prefix, and what it expects there.
const PLACES: [(Shell, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions/plimsoll"),
    (Shell::Zsh, "share/zsh/site-functions/_plimsoll"),
    (Shell::Fish, "share/fish/vendor_completions.d/plimsoll.fish"),
];

/// Each shell's script and its place below a prefix, with descriptions in a language.
pub fn scripts(language: Language) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let mut command = shown(&Arguments::command());
    command.set_bin_name(env!("CARGO_PKG_NAME"));
    // Only then it knows the flags that the library adds.
    command.build();
    if language == Language::Chinese {
        command = described(command);
    }
    PLACES.into_iter().map(move |(shell, path)| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, env!("CARGO_PKG_NAME"), &mut script);
        (path, script)
    })
}

/// A command without what is hidden: the library would offer that as well.
fn shown(command: &Command) -> Command {
    let flags = || command.get_arguments().filter(|flag| !flag.is_hide_set());
    let groups = command.get_groups().map(|group| {
        let members = group.get_args().filter(|id| flags().any(|flag| flag.get_id() == *id));
        ArgGroup::new(group.get_id().clone())
            .args(members.cloned())
            .multiple(group.clone().is_multiple())
    });
    let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    let shown = Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .groups(groups)
        .args(flags())
        .subcommands(inner.map(shown));
    match command.get_version() {
        Some(version) => shown.version(version.to_owned()),
        None => shown,
    }
}

/// With its descriptions in Chinese.
fn described(mut command: Command) -> Command {
    let about = command.get_about().map(help::chinese);
    if let Some(about) = about {
        command = command.about(about);
    }
    command.mut_args(in_chinese).mut_subcommands(described)
}

fn in_chinese(flag: Arg) -> Arg {
    let values: Vec<_> = flag
        .get_possible_values()
        .into_iter()
        .map(|value| {
            let help = value.get_help().map(help::chinese).unwrap_or_default();
            value.help(help)
        })
        .collect();
    let flag = match flag.get_help().map(help::chinese) {
        Some(help) => flag.help(help),
        None => flag,
    };
    match values.is_empty() {
        true => flag,
        false => flag.value_parser(PossibleValuesParser::new(values)),
    }
}
