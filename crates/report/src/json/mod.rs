//! The JSON form, `plimsoll.check/1`: a contract, described in docs/formats/check-json.md.
//!
//! [`shape`] is the form, `write` fills it from a diagnosis, `read` makes a diagnosis of it again. The
//! form holds the whole diagnosis: what is written and read again shows the same screen.

mod read;
mod shape;
mod write;

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use plimsoll_diagnosis::Diagnosis;
use plimsoll_wire::is_hidden;

/// The name of the schema in the `schema` field.
pub const SCHEMA: &str = "plimsoll.check/1";

/// The diagnosis as one line of JSON.
///
/// The text of the host is whole in it; characters that a terminal would obey or hide are written as
/// `\u` escapes, so the JSON too may be sent to a terminal.
pub fn json(diagnosis: &Diagnosis) -> String {
    // Only maps with keys that are no strings, and failing writers, can fail.
    serde_json::to_string(&write::check(diagnosis)).map_or_else(|_| String::new(), escaped)
}

/// As [`json`], indented for a person.
pub fn json_pretty(diagnosis: &Diagnosis) -> String {
    serde_json::to_string_pretty(&write::check(diagnosis)).map_or_else(|_| String::new(), escaped)
}

/// Escapes what [`crate::clean`] would take away. Outside of strings JSON has only line feeds of it.
pub(crate) fn escaped(json: String) -> String {
    let hidden = |c: char| c != '\n' && is_hidden(c);
    if !json.contains(hidden) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Why a text is not a check result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotACheck {
    /// It is not JSON, or not of this form; with the place.
    Form(String),
    /// It is of another schema or version.
    Schema(String),
    /// A field holds a word that this version does not know: (field, word).
    Word(&'static str, String),
}

impl fmt::Display for NotACheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(why) => write!(f, "not a {SCHEMA} document: {}", crate::clean(why)),
            Self::Schema(saw) => {
                write!(f, "schema: expected \"{SCHEMA}\", saw \"{}\"", crate::clean(saw))
            }
            Self::Word(field, saw) => {
                write!(f, "{field}: \"{}\" is not known to this version", crate::clean(saw))
            }
        }
    }
}

impl core::error::Error for NotACheck {}

/// The diagnosis that a JSON document was made of.
///
/// # Errors
/// When it is not JSON, of another schema, or names ids (findings, remedies, counters, profiles) that
/// this version does not know.
pub fn check_from_json(text: &str) -> Result<Diagnosis, NotACheck> {
    let check: shape::Check =
        serde_json::from_str(text).map_err(|e| NotACheck::Form(e.to_string()))?;
    read::diagnosis(check)
}

#[cfg(test)]
mod tests;
