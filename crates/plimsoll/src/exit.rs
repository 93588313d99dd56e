//! Exit status: one meaning each.

use std::process::ExitCode;

use plimsoll_diagnosis::Said;
use plimsoll_report::Language;

use crate::terminal;

/// Wrong usage (`EX_USAGE` of sysexits.h).
pub fn usage() -> ExitCode {
    ExitCode::from(64)
}

/// The answer could not be written: nobody was told.
pub fn unwritten(language: Language, why: &Said) -> ExitCode {
    terminal::tell(language, why);
    ExitCode::from(3)
}

/// Something that was to be done could not be done.
pub fn failed() -> ExitCode {
    ExitCode::FAILURE
}
