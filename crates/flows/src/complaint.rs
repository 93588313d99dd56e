//! What is wrong with a text that a person typed, and where.

use alloc::format;
use alloc::string::String;
use core::fmt;

/// Something wrong at a place of a text. Its `Display` shows the text with a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What the text is: `filter`, `--by`.
    pub place: &'static str,
    /// The text.
    pub text: String,
    /// Where in it, in bytes; at its end when something is missing there.
    pub at: usize,
    /// How many bytes are meant.
    pub length: usize,
    /// What is wrong.
    pub what: String,
    /// The nearest word that would be right.
    pub nearest: Option<String>,
}

impl Complaint {
    pub(crate) fn new(
        place: &'static str,
        text: &str,
        at: usize,
        length: usize,
        what: impl Into<String>,
    ) -> Self {
        Self { place, text: text.into(), at, length, what: what.into(), nearest: None }
    }

    /// The column of the place, counted from 1 in characters.
    pub fn column(&self) -> usize {
        self.text.get(..self.at).unwrap_or(&self.text).chars().count() + 1
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.column();
        writeln!(f, "{}, column {column}: {}", self.place, self.what)?;
        // One line, nothing that a terminal would obey: every character keeps its column.
        let text = self.text.chars().map(|c| if c.is_control() { ' ' } else { c });
        writeln!(f, "  {}", text.collect::<String>())?;
        let meant = self.text.get(self.at..self.at + self.length).unwrap_or("").chars().count();
        let carets = "^".repeat(meant.max(1));
        write!(f, "  {:>width$}{}", "", carets, width = column - 1)?;
        if let Some(nearest) = &self.nearest {
            f.write_str(&format!(" did you mean {nearest:?}?"))?;
        }
        Ok(())
    }
}

impl core::error::Error for Complaint {}
