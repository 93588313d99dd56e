//! modprobe.d files.

use alloc::string::String;

/// What a line says of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// `options MODULE NAME=VALUE` (one for each option).
    Option {
        /// Option name.
        name: String,
        /// Value, if given.
        value: Option<String>,
    },
    /// `blacklist MODULE`
    Blacklist,
    /// `install MODULE COMMAND`
    Install {
        /// Command.
        command: String,
    },
}

/// One directive with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleDirective {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Module, dashes turned to underscores.
    pub module: String,
    /// What is said.
    pub directive: Directive,
}
