//! What a decoder says when it can't go on.

use alloc::string::String;
use core::fmt;

use crate::shown;

/// Input that could not be understood: where, what was expected, what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Line (from 1), byte offset or attribute: "line 3, column `early_drop`". Empty: the whole input, which who read
    /// it names.
    pub place: String,
    /// What should stand there: "hexadecimal".
    pub expected: &'static str,
    /// What stands there, cut to a readable length and cleaned of control characters.
    pub seen: String,
}

impl Malformed {
    /// Cuts and cleans `seen`.
    pub fn new(place: impl Into<String>, expected: &'static str, seen: &[u8]) -> Self {
        let seen =
            String::from_utf8_lossy(&seen[..seen.len().min(60)]).chars().map(shown).collect();
        Self { place: place.into(), expected, seen }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.place.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}expected {}, saw {:?}", self.place, self.expected, self.seen)
    }
}

impl core::error::Error for Malformed {}
