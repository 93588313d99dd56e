//! The screen of `plimsoll top`: what it shows, and what keys and the mouse do.
//!
//! Knows: which moment is looked at, what is asked of the table, how it looks, when the next reading is due. Does
//! not know: where entries come from, the terminal, the clock.
//! [`Moment`]s, keys and spans of time enter; a drawn [`ratatui::Frame`], a [`Question`] and a [`Step`] leave.
//! Invariant: nothing here reads, writes or waits; the same keys and moments give the same screen.
#![forbid(unsafe_code)]

mod app;
mod draw;
mod history;
mod keys;
mod line;
mod moment;
mod pace;
mod presets;
#[cfg(test)]
mod tests;

pub use app::{App, Look, Step};
pub use history::History;
pub use keys::{Key, Mouse};
pub use moment::{Moment, Place, Question, Scope, Space, Split, Table};
pub use pace::{LONGEST, PURSE, Pace};
