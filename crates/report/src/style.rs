//! How a screen is to look.

use alloc::format;
use alloc::string::{String, ToString};

use plimsoll_ct::{Time, TimeRange};
use plimsoll_diagnosis::{Language, Said};

use crate::civil;
use crate::spoken::span;

/// Which clock times are shown by. JSON always has UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Clock {
    /// UTC.
    #[default]
    Utc,
    /// A fixed offset from UTC.
    Offset {
        /// Minutes east of Greenwich.
        minutes: i16,
    },
}

impl Clock {
    /// `2026-11-22 03:12:07 UTC`, `2026-11-22 04:12:07 +01:00`.
    pub(crate) fn show(self, at: Time) -> String {
        match self {
            Self::Utc => format!("{} UTC", civil::wall_clock(at, 0)),
            Self::Offset { minutes } => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let away = minutes.unsigned_abs();
                format!(
                    "{} {sign}{:02}:{:02}",
                    civil::wall_clock(at, minutes),
                    away / 60,
                    away % 60
                )
            }
        }
    }

    /// `03:12:07`
    pub fn time(self, at: Time) -> String {
        let minutes = match self {
            Self::Utc => 0,
            Self::Offset { minutes } => minutes,
        };
        let whole = civil::wall_clock(at, minutes);
        whole.split(' ').next_back().unwrap_or_default().to_string()
    }

    /// As [`Self::show`], with the uncertainty if there is one worth saying.
    pub(crate) fn show_range(self, range: TimeRange, language: Language) -> String {
        let slack = range.slack().as_secs_f64();
        let at = self.show(range.middle());
        if slack < 0.5 { at } else { format!("{at} ± {}", span(language, slack)) }
    }
}

/// How a screen is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Style {
    /// Columns; at least 60 are used.
    pub width: usize,
    /// Whether to send colours (the 16 of ANSI). Nothing is said by colour alone.
    pub colour: bool,
    /// Whether the terminal shows more than ASCII.
    pub unicode: bool,
    /// Everything rather than what matters.
    pub verbose: bool,
    /// The plain commands of a remedy rather than ours.
    pub commands: bool,
    /// Clock.
    pub clock: Clock,
    /// Of sentences, where they stand in both.
    pub language: Language,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            width: 80,
            colour: false,
            unicode: true,
            verbose: false,
            commands: false,
            clock: Clock::Utc,
            language: Language::English,
        }
    }
}

impl Style {
    /// The columns in use.
    pub(crate) fn columns(&self) -> usize {
        self.width.clamp(40, 400)
    }

    /// What was said, in the language of the screen.
    pub fn said<'a>(&self, said: &'a Said) -> &'a str {
        said.spoken(self.language)
    }

    /// Foreign or own text as this terminal may be sent it.
    pub fn show(&self, text: &str) -> String {
        let text = crate::clean(text);
        if self.unicode || text.is_ascii() {
            return text.into_owned();
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                c if c.is_ascii() => out.push(c),
                '–' | '—' | '‐' | '‑' | '−' | '·' | '─' => out.push('-'),
                '…' => out.push_str("..."),
                '×' => out.push('x'),
                '±' => out.push_str("+/-"),
                '→' => out.push_str("->"),
                '←' => out.push_str("<-"),
                '≥' => out.push_str(">="),
                '≤' => out.push_str("<="),
                '“' | '”' | '„' => out.push('"'),
                '‘' | '’' => out.push('\''),
                '\u{a0}' | '\u{2009}' | '\u{202f}' => out.push(' '),
                '•' => out.push('*'),
                '░' => out.push('.'),
                '▒' => out.push(':'),
                '█' => out.push('#'),
                '═' => out.push('='),
                '│' => out.push('|'),
                _ => out.push('?'),
            }
        }
        out
    }

    /// What is between the parts of a line.
    pub(crate) fn dot(&self) -> String {
        self.show(" · ").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_ct::Nanos;

    #[test]
    fn an_uncertain_time_says_so() {
        let at = Time::from_secs(1_709_210_096);
        let clock = Clock::Offset { minutes: -150 };
        assert_eq!(
            clock.show_range(TimeRange::exact(at), Language::English),
            "2024-02-29 10:04:56 -02:30"
        );
        let range = TimeRange::around(at, Nanos(90_000_000_000));
        assert_eq!(
            Clock::Utc.show_range(range, Language::English),
            "2024-02-29 12:34:56 UTC ± 1 min 30 s"
        );
    }

    #[test]
    fn an_ascii_terminal_gets_ascii() {
        let ascii = Style { unicode: false, ..Style::default() };
        assert_eq!(ascii.show("4 × 5 ≥ 3 – “é”"), "4 x 5 >= 3 - \"?\"");
    }
}
