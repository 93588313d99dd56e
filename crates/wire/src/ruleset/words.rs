//! Words of a rule's line: what blanks, quotes and braces make of it.

/// Most words given of one brace group: enough to see its ports, and a set of a million addresses
/// still lets the words after it be seen.
const GROUP: usize = 512;

/// One word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// The word without its quotes; escapes inside quotes are left as they are.
    pub text: &'a str,
    /// It stood in quotes, so it is a name or a comment and never a keyword.
    pub quoted: bool,
    /// Brace groups around it.
    pub depth: u32,
}

impl Word<'_> {
    /// Whether it is this keyword.
    pub fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text == keyword
    }
}

/// Words of a line. Braces are words of their own; a comma or semicolon at the end of a word ends it and is
/// not given.
pub fn words(line: &str) -> impl Iterator<Item = Word<'_>> {
    Words { rest: line, depth: 0, in_group: 0 }
}

struct Words<'a> {
    rest: &'a str,
    depth: u32,
    in_group: usize,
}

impl<'a> Words<'a> {
    fn take(&mut self) -> Option<Word<'a>> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',', ';']);
        let bytes = self.rest.as_bytes();
        let (length, skip_after, quoted) = match *bytes.first()? {
            b'{' => {
                self.depth = self.depth.saturating_add(1);
                (1, 0, false)
            }
            b'}' => {
                self.depth = self.depth.saturating_sub(1);
                (1, 0, false)
            }
            b'"' => {
                self.rest = &self.rest[1..];
                let end = closing_quote(self.rest.as_bytes());
                (end, usize::from(end < self.rest.len()), true)
            }
            _ => {
                let end = bytes
                    .iter()
                    .position(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'{' | b'}' | b'"'))
                    .unwrap_or(bytes.len());
                (end, 0, false)
            }
        };
        let (text, rest) = self.rest.split_at(length);
        self.rest = &rest[skip_after..];
        let text = if quoted { text } else { text.trim_end_matches([',', ';']) };
        Some(Word { text, quoted, depth: self.depth })
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            let word = self.take()?;
            if self.depth == 0 {
                self.in_group = 0;
                return Some(word);
            }
            self.in_group += 1;
            if self.in_group <= GROUP {
                return Some(word);
            }
        }
    }
}

/// Place of the quote that ends a quoted text; a backslash protects the next byte.
fn closing_quote(bytes: &[u8]) -> usize {
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i,
            _ => i += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn quotes_hide_keywords_and_escapes_do_not_end_them() {
        let all: Vec<_> = words(r#"-m comment --comment "say \"hi\" -j DROP" -j ACCEPT"#).collect();
        assert_eq!(all[3], Word { text: r#"say \"hi\" -j DROP"#, quoted: true, depth: 0 });
        assert!(all[4].is("-j") && all[5].is("ACCEPT"));
    }

    #[test]
    fn what_stands_after_a_huge_set_is_still_seen() {
        let mut line = alloc::string::String::from("ip saddr { ");
        for _ in 0..5000 {
            line.push_str("192.0.2.1, ");
        }
        line.push_str("} drop");
        assert!(words(&line).count() < 600);
        assert!(words(&line).last().expect("words").is("drop"));
    }

    #[test]
    fn an_open_quote_ends_with_the_line() {
        assert_eq!(words("a \"b\\").map(|w| w.text).collect::<Vec<_>>(), ["a", "b\\"]);
        assert_eq!(words("\"").map(|w| w.text).collect::<Vec<_>>(), [""]);
    }
}
