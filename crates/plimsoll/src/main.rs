//! The `plimsoll` binary: flags in, the right crate called, the answer on standard output.
//!
//! Knows: the command line and the terminal. Does not know: any arithmetic on facts.

mod arguments;
mod boot;
mod check;
mod exit;
mod explain;
mod fix;
mod flows;
mod lab;
mod manual;
mod memory;
mod replay;
mod size;
mod terminal;
mod top;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory::new();

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers; everything else is wrong usage.
            let _ = error.print();
            return if error.use_stderr() { exit::usage() } else { ExitCode::SUCCESS };
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
