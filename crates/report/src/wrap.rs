//! Breaking text into lines, and cutting it to a width, by columns of the terminal.

use alloc::string::String;
use alloc::vec::Vec;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text`, cut with an ellipsis where it is wider than `columns`.
pub(crate) fn cut(text: &str, columns: usize, unicode: bool) -> String {
    if width(text) <= columns {
        return text.into();
    }
    if columns == 0 {
        return String::new();
    }
    let mark = if unicode { "…" } else { "~" };
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > columns {
            break;
        }
        used += w;
        out.push(c);
    }
    out.push_str(mark);
    out
}

/// Cut or filled with blanks on the right to exactly `columns`.
pub(crate) fn left(text: &str, columns: usize, unicode: bool) -> String {
    let mut out = cut(text, columns, unicode);
    pad(&mut out, columns);
    out
}

/// Filled with blanks on the left to at least `columns`.
pub(crate) fn right(text: &str, columns: usize) -> String {
    let mut out = String::new();
    pad(&mut out, columns.saturating_sub(width(text)));
    out.push_str(text);
    out
}

/// Appends blanks until the text takes `columns`.
pub(crate) fn pad(text: &mut String, columns: usize) {
    for _ in width(text)..columns {
        text.push(' ');
    }
}

/// Whether a line may be broken before or after this character without a blank.
fn is_ideographic(c: char) -> bool {
    c.width() == Some(2)
}

/// Punctuation that does not begin a line.
fn closes(c: char) -> bool {
    "，。、；：！？）》」』】”’…".contains(c)
}

/// Punctuation that does not end a line.
fn opens(c: char) -> bool {
    "（《「『【“‘".contains(c)
}

/// Pieces of a word between which a line may be broken, a blank apart or not.
fn pieces(word: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut before: Option<char> = None;
    for (at, c) in word.char_indices() {
        if let Some(b) = before
            && (is_ideographic(b) || is_ideographic(c))
            && !closes(c)
            && !opens(b)
        {
            pieces.push(&word[start..at]);
            start = at;
        }
        before = Some(c);
    }
    pieces.push(&word[start..]);
    pieces
}

/// Words of a text; a number and its `%` are one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_matches(' ');
    core::iter::from_fn(move || {
        let mut blanks = rest.match_indices(' ').map(|(at, _)| at);
        let end = blanks.find(|at| !rest[at + 1..].starts_with('%')).unwrap_or(rest.len());
        let word = &rest[..end];
        rest = rest[end..].trim_start_matches(' ');
        (!word.is_empty()).then_some(word)
    })
}

/// Lines of at most `first` columns, then `rest`. A word wider than a line is broken anywhere.
pub fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let rest = rest.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    let mut room = first.max(2);
    for word in words(text) {
        for (i, piece) in pieces(word).into_iter().enumerate() {
            let gap = usize::from(i == 0 && used > 0);
            let wide = width(piece);
            if used + gap + wide <= room {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(piece);
                used += gap + wide;
                continue;
            }
            if used > 0 {
                lines.push(core::mem::take(&mut line));
                room = rest;
                used = 0;
            }
            for c in piece.chars() {
                let w = c.width().unwrap_or(0);
                if used + w > room {
                    lines.push(core::mem::take(&mut line));
                    room = rest;
                    used = 0;
                }
                line.push(c);
                used += w;
            }
        }
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn words_are_kept_whole() {
        assert_eq!(wrap("one two three", 7, 5), vec!["one two", "three"]);
        assert_eq!(wrap("", 10, 10), vec![""]);
    }

    #[test]
    fn a_number_and_its_percent_sign_stay_together() {
        assert_eq!(wrap("less than 1 % full", 11, 11), vec!["less than", "1 % full"]);
        assert_eq!(wrap("50 %, then 7 %", 6, 6), vec!["50 %,", "then", "7 %"]);
        assert_eq!(wrap("  a   b ", 2, 2), vec!["a", "b"]);
    }

    #[test]
    fn a_word_wider_than_the_line_is_broken() {
        assert_eq!(wrap("a 1234567890", 4, 4), vec!["a", "1234", "5678", "90"]);
    }

    #[test]
    fn chinese_is_broken_between_characters_but_not_before_a_stop() {
        assert_eq!(wrap("表满了，丢包。", 6, 6), vec!["表满", "了，丢", "包。"]);
    }

    #[test]
    fn a_wide_character_is_never_cut_in_half() {
        assert_eq!(cut("名前名前", 5, true), "名前…");
        assert_eq!(width(&cut("名前名前", 4, true)), 3);
        assert_eq!(left("名前名前", 4, true), "名… ");
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let text =
            "The table 连接跟踪表 is full: 65,536/65,536 名前名前名前 aaaaaaaaaaaaaaaaaaaaaa";
        for columns in 2..40 {
            for line in wrap(text, columns, columns) {
                assert!(width(&line) <= columns, "{columns}: {line}");
            }
        }
    }
}
