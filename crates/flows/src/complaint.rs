//! What is wrong with a text that a person typed, and where.

use alloc::string::String;
use core::fmt;

use unicode_width::UnicodeWidthStr;

use crate::Words;
use crate::words::both;

/// Something wrong at a place of a text. Its `Display` shows the text with a caret under the place, in English; `{:#}` in
/// Chinese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What the text is: `filter`, `--by`.
    pub place: &'static Words,
    /// The text.
    pub text: String,
    /// Where in it, in bytes; at its end when something is missing there.
    pub at: usize,
    /// How many bytes are meant.
    pub length: usize,
    /// What is wrong.
    pub what: Words,
    /// The nearest word that would be right.
    pub nearest: Option<String>,
}

impl Complaint {
    pub(crate) fn new(
        place: &'static Words,
        text: &str,
        at: usize,
        length: usize,
        what: Words,
    ) -> Self {
        Self { place, text: text.into(), at, length, what, nearest: None }
    }

    /// Where, and what is wrong.
    pub fn heading(&self) -> Words {
        let (place, column, what) = (self.place, self.column(), &self.what);
        both!("{place}, column {column}: {what}", "{place:#}第 {column} 列：{what:#}")
    }

    /// The word that was probably meant.
    pub fn hint(&self) -> Option<Words> {
        self.nearest.as_ref().map(|word| both!("did you mean {word:?}?", "您是不是指 {word:?}？"))
    }

    /// Columns of a terminal before what is meant, and those that it takes: one at least, where a caret stands.
    pub fn columns(&self) -> (usize, usize) {
        let before = self.text.get(..self.at).unwrap_or(&self.text);
        let meant = self.text.get(self.at..self.at + self.length).unwrap_or("");
        (shown(before).width(), shown(meant).width().max(1))
    }

    /// The column of the place, counted from 1 in characters.
    pub fn column(&self) -> usize {
        self.text.get(..self.at).unwrap_or(&self.text).chars().count() + 1
    }
}

/// One line, nothing that a terminal would obey: every character keeps its columns.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.heading();
        f.write_str(if f.alternate() { line.chinese() } else { line.english() })?;
        let (before, meant) = self.columns();
        writeln!(f, "\n  {}", shown(&self.text))?;
        write!(f, "  {:before$}{}", "", "^".repeat(meant))?;
        if let Some(hint) = self.hint() {
            f.write_str(" ")?;
            f.write_str(if f.alternate() { hint.chinese() } else { hint.english() })?;
        }
        Ok(())
    }
}

impl core::error::Error for Complaint {}
