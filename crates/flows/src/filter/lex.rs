//! A filter's text to words and signs, each with its place.

use alloc::borrow::Cow;
use alloc::string::String;

use super::FILTER;
use crate::{Complaint, Words};

/// A word or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// As typed.
    Word(&'t str),
    /// Between quotes: a name, never a keyword.
    Quoted(Cow<'t, str>),
    Open,
    Close,
    Comma,
    Not,
    And,
    Or,
    /// `<`, `<=`, `>`, `>=`, `=`, `!=`
    Sign(&'static str),
    End,
}

/// Where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub at: usize,
    pub length: usize,
}

/// Signs, the longer first; each with its token.
const SIGNS: &[(&str, Token<'static>)] = &[
    ("&&", Token::And),
    ("||", Token::Or),
    ("<=", Token::Sign("<=")),
    (">=", Token::Sign(">=")),
    ("!=", Token::Sign("!=")),
    ("==", Token::Sign("=")),
    ("<", Token::Sign("<")),
    (">", Token::Sign(">")),
    ("=", Token::Sign("=")),
    ("!", Token::Not),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
];

/// Whether a character can't be part of a bare word.
pub(super) fn ends_word(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "()!<>=&|,\"".contains(c)
}

pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    pub fn next(&mut self) -> Result<(Token<'t>, Place), Complaint> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
        self.at += rest.len() - trimmed.len();
        let at = self.at;
        if trimmed.is_empty() {
            return Ok((Token::End, Place { at, length: 0 }));
        }
        if let Some(inside) = trimmed.strip_prefix('"') {
            return self.quoted(inside);
        }
        let sign = SIGNS.iter().find(|(sign, _)| trimmed.starts_with(sign));
        let (token, length) = match sign {
            Some((sign, token)) => (token.clone(), sign.len()),
            None => {
                let length = trimmed.find(ends_word).unwrap_or(trimmed.len());
                (Token::Word(&trimmed[..length]), length)
            }
        };
        if length == 0 {
            let what = Words::of(
                "a single & or |: write && or and, || or or",
                "单个 & 或 |：请写 && 或 and，|| 或 or",
            );
            return Err(Complaint::new(&FILTER, self.text, at, 1, what));
        }
        self.at += length;
        Ok((token, Place { at, length }))
    }

    fn quoted(&mut self, inside: &'t str) -> Result<(Token<'t>, Place), Complaint> {
        let at = self.at;
        let mut value = String::new();
        let mut escaped = false;
        for (index, c) in inside.char_indices() {
            match c {
                _ if escaped => {
                    value.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    let length = index + 2;
                    self.at += length;
                    return Ok((Token::Quoted(Cow::Owned(value)), Place { at, length }));
                }
                c => value.push(c),
            }
        }
        let what = Words::of("this quote is never closed", "这个引号没有结束");
        Err(Complaint::new(&FILTER, self.text, at, 1, what))
    }
}
