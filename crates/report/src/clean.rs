//! The one gate between foreign text and a terminal.

use alloc::borrow::Cow;
use alloc::string::String;

use plimsoll_wire::{is_hidden, shown};

/// Text that may be sent to a terminal: one line, nothing that moves the cursor, turns the reading
/// direction or hides.
///
/// Line breaks and tabs become a space; every other control (C0, C1, DEL), bidirectional control and
/// invisible character becomes `U+FFFD`, so that one sees that something was there.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_break(c) || is_hidden(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        out.push(match c {
            c if is_break(c) => ' ',
            c => shown(c),
        });
    }
    Cow::Owned(out)
}

/// Whether [`clean`] would change the text.
pub(crate) fn is_clean(text: &str) -> bool {
    matches!(clean(text), Cow::Borrowed(_))
}

const fn is_break(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0b' | '\x0c' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_of_any_script_passes_unchanged() {
        for text in ["host", "名前", "é – ± ░▒█", "Ω"] {
            assert!(matches!(clean(text), Cow::Borrowed(t) if t == text));
        }
    }

    #[test]
    fn an_escape_sequence_loses_its_escape() {
        assert_eq!(clean("\x1b[2J\x1b]0;pwned\x07x"), "\u{fffd}[2J\u{fffd}]0;pwned\u{fffd}x");
    }

    #[test]
    fn c1_controls_do_not_pass() {
        assert_eq!(clean("a\u{9b}31mb\u{85}c"), "a\u{fffd}31mb c");
    }

    #[test]
    fn a_line_break_becomes_a_space() {
        assert_eq!(clean("one\r\ntwo\u{2028}three\tfour"), "one  two three four");
    }

    #[test]
    fn invisible_characters_are_seen() {
        assert_eq!(
            clean("a\u{200b}b\u{feff}c\u{ad}d\u{e0041}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}"
        );
    }

    #[test]
    fn what_was_cleaned_is_clean() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let mut buffer = [0; 4];
            let once = clean(c.encode_utf8(&mut buffer));
            assert!(is_clean(&once), "{:x}", c as u32);
        }
    }
}
