//! A line that is typed.

use crate::Key;

/// Text and the place in it where the next character goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    text: String,
    at: usize,
}

/// A line no longer than this is typed by people.
const LONGEST: usize = 2_000;

impl Line {
    pub fn of(text: String) -> Self {
        Self { at: text.len(), text }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the place.
    pub fn before(&self) -> &str {
        self.text.get(..self.at).unwrap_or("")
    }

    /// Takes a key; whether it was one for lines.
    pub fn key(&mut self, key: Key) -> bool {
        match key {
            Key::Char(c) if !c.is_control() && self.text.len() < LONGEST => {
                self.text.insert(self.at, c);
                self.at += c.len_utf8();
            }
            Key::Backspace => {
                if let Some(c) = self.before().chars().next_back() {
                    self.at -= c.len_utf8();
                    self.text.remove(self.at);
                }
            }
            Key::Delete => {
                if self.at < self.text.len() {
                    self.text.remove(self.at);
                }
            }
            Key::Left => self.at -= self.before().chars().next_back().map_or(0, char::len_utf8),
            Key::Right => {
                self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8);
            }
            Key::Home | Key::Ctrl('a') => self.at = 0,
            Key::End | Key::Ctrl('e') => self.at = self.text.len(),
            Key::Ctrl('u') => {
                self.text.replace_range(..self.at, "");
                self.at = 0;
            }
            Key::Ctrl('w') => {
                let kept = self.before().trim_end().rfind(' ').map_or(0, |space| space + 1);
                self.text.replace_range(kept..self.at, "");
                self.at = kept;
            }
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited_as_everywhere() {
        let mut line = Line::of("tcp and é".into());
        for key in [Key::Left, Key::Backspace, Key::Char('ü'), Key::End, Key::Backspace] {
            assert!(line.key(key));
        }
        assert_eq!(line.text(), "tcp andü");
        line.key(Key::Ctrl('w'));
        assert_eq!((line.text(), line.before()), ("tcp ", "tcp "));
        for key in [Key::Home, Key::Delete, Key::Left, Key::Right, Key::Ctrl('u')] {
            line.key(key);
        }
        assert_eq!(line.text(), "p ");
        assert!(!line.key(Key::Enter));
    }
}
