//! Patterns for names: `*` is any run of characters, `?` one.

use alloc::boxed::Box;
use core::fmt;

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob(Box<str>);

impl Glob {
    /// From its text. Every text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name fits, in time of at most pattern × name.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // Where to go on after the last star, should what follows it not fit.
        let mut again = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    again = Some((p + 1, n));
                    p += 1;
                }
                Some(b'?') => {
                    p += 1;
                    n += 1;
                    // One character, whatever its bytes.
                    while name.get(n).is_some_and(|b| b & 0xc0 == 0x80) {
                        n += 1;
                    }
                }
                Some(b) if *b == name[n] => {
                    p += 1;
                    n += 1;
                }
                Some(_) | None => match again {
                    Some((after, from)) => {
                        again = Some((after, from + 1));
                        p = after;
                        n = from + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|b| *b == b'*')
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_and_a_question_mark_for_one_character() {
        for (pattern, name, fits) in [
            ("nginx", "nginx", true),
            ("nginx", "nginx2", false),
            ("kube-system/coredns-*", "kube-system/coredns-7f9-x", true),
            ("*", "", true),
            ("?", "", false),
            ("a?c", "aéc", true),
            ("*a*b", "xxaxxab", true),
            ("*a*b", "xxaxxac", false),
            ("", "", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), fits, "{pattern} {name}");
        }
    }
}
