//! The `plimsoll` binary: flags in, the right crate called, the answer on standard output.
//!
//! Knows: the command line and the terminal. Does not know: any arithmetic on facts.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

#[macro_use]
mod terminal;

mod arguments;
mod boot;
mod check;
mod completions;
#[cfg(test)]
mod documents;
mod exit;
mod explain;
mod fix;
mod flows;
mod help;
mod lab;
mod manual;
mod memory;
mod replay;
mod size;
mod top;
mod usage;

use std::io::{Write, stderr};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use arguments::{Arguments, Command};
use plimsoll_report::Language;

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory::new();

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let language = usage::language(words.iter().map(AsRef::as_ref));
    let understood = |command: clap::Command| {
        let mut command = usage::with_negative_numbers(command);
        let matched = command.try_get_matches_from_mut(&words)?;
        usage::shown(&mut command, &matched)?;
        Arguments::from_arg_matches(&matched)
    };
    let mut parsed = understood(Arguments::command());
    if language == Language::Chinese && parsed.as_ref().is_err_and(usage::is_help) {
        parsed = understood(help::in_chinese(Arguments::command(), terminal::columns(None)));
    }
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers; everything else is wrong usage.
            if !error.use_stderr() {
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            if language == Language::Chinese
                && let Some(text) = usage::chinese(&error)
            {
                let _ = write!(stderr(), "{}", terminal::cleaned(&text));
                return exit::usage();
            }
            let text = error.render().to_string();
            let shown = terminal::cleaned(&usage::english(&error, &text));
            // Its colours are controls, too: only where all else is clean.
            let _ = if shown == text { error.print() } else { write!(stderr(), "{shown}") };
            return exit::usage();
        }
    };
    match arguments.command {
        None => check::run(&arguments.check),
        Some(Command::Check(check)) => check::run(&check),
        Some(Command::Boot(boot)) => boot::run(&boot),
        Some(Command::Explain(explain)) => explain::run(&explain),
        Some(Command::Fix(fix)) => fix::run(&fix),
        Some(Command::Confirm(confirm)) => fix::confirm(&confirm),
        Some(Command::Undo(undo)) => fix::undo(&undo),
        Some(Command::Guard(guard)) => fix::guard(&guard),
        Some(Command::Lab(lab)) => lab::run(&lab),
        Some(Command::Size(size)) => size::run(&size),
        Some(Command::Replay(replay)) => replay::run(&replay),
        Some(Command::Flows(flows)) => flows::run(&flows),
        Some(Command::Top(top)) => top::run(&top),
        Some(Command::Manual(manual)) => manual::run(&manual),
        Some(Command::TerminalGuard) => top::stand_guard(),
    }
}
