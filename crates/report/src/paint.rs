//! Colour, as a layer that can be taken off.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Style;
use crate::wrap::{cut, width};

/// What a piece of text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// As the terminal has it.
    Plain,
    /// What is read first.
    Strong,
    /// What is read last.
    Faint,
    /// All is well.
    Good,
    /// Needs a look.
    Warn,
    /// Does harm.
    Bad,
    /// Not known.
    Unsure,
    /// To be typed.
    Code,
    /// The closing part of a table.
    Closing,
    /// The evictable part of a table.
    Evictable,
}

impl Paint {
    /// Parameters of the "select graphic rendition" sequence.
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "1;31",
            Self::Unsure => "35",
            Self::Code | Self::Closing => "36",
            Self::Evictable => "94",
        }
    }
}

/// A line in the making. Whatever enters is cleaned: there is no other way in.
#[derive(Debug, Clone, Default)]
pub struct Line {
    spans: Vec<(String, Option<Paint>)>,
}

impl Line {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a painted piece appended.
    pub fn with(mut self, style: &Style, paint: Paint, text: &str) -> Self {
        self.push(style, paint, text);
        self
    }

    /// With a plain piece appended.
    pub fn plain(self, style: &Style, text: &str) -> Self {
        self.with(style, Paint::Plain, text)
    }

    /// Appends a painted piece.
    pub fn push(&mut self, style: &Style, paint: Paint, text: &str) {
        if !text.is_empty() {
            let paint = (paint != Paint::Plain).then_some(paint);
            match self.spans.last_mut() {
                Some((last, same)) if *same == paint => last.push_str(&style.show(text)),
                _ => self.spans.push((style.show(text), paint)),
            }
        }
    }

    /// Appends another line's pieces.
    pub fn append(&mut self, other: Self) {
        self.spans.extend(other.spans);
    }

    /// Its pieces, each with its paint.
    pub fn pieces(&self) -> impl Iterator<Item = (&str, Paint)> {
        self.spans.iter().map(|(text, paint)| (text.as_str(), paint.unwrap_or(Paint::Plain)))
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.spans.iter().map(|(text, _)| width(text)).sum()
    }

    /// With blanks appended up to `columns`.
    pub fn padded(mut self, columns: usize) -> Self {
        let missing = columns.saturating_sub(self.width());
        if missing > 0 {
            let mut blanks = String::new();
            crate::wrap::pad(&mut blanks, missing);
            self.spans.push((blanks, None));
        }
        self
    }

    /// Cut where it is wider than `columns`.
    pub fn cut(mut self, style: &Style, columns: usize) -> Self {
        let mut used = 0;
        for i in 0..self.spans.len() {
            let wide = width(&self.spans[i].0);
            if used + wide > columns {
                self.spans[i].0 = cut(&self.spans[i].0, columns - used, style.unicode);
                self.spans.truncate(i + 1);
                break;
            }
            used += wide;
        }
        self
    }

    /// Writes it without a line break; blanks at its end are left out.
    pub fn write(&self, style: &Style, out: &mut String) {
        let start = out.len();
        for (text, paint) in &self.spans {
            match paint {
                Some(paint) if style.colour && !text.trim().is_empty() => {
                    out.push_str("\x1b[");
                    out.push_str(paint.code());
                    out.push('m');
                    out.push_str(text);
                    out.push_str("\x1b[0m");
                }
                _ => out.push_str(text),
            }
        }
        let end = out[start..].trim_end_matches(' ').len();
        out.truncate(start + end);
    }
}
