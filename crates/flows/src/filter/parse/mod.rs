//! Words to tests.
//!
//! ```text
//!     filter  = any | nothing
//!     any     = all { ("or" | "||") all }
//!     all     = one { ["and" | "&&"] one }
//!     one     = ("not" | "!") one | "(" any ")" | test
//! ```

mod test;
mod values;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::lex::{Lexer, Place, Token};
use super::{Expr, words};
use crate::nearest::nearest;
use crate::{Complaint, Names};

/// How deep parentheses and `not` may nest.
const DEEPEST: usize = 64;

pub(super) fn parse(text: &str, names: &Names) -> Result<Option<Expr>, Complaint> {
    let mut lexer = Lexer::new(text);
    let (token, place) = lexer.next()?;
    let mut parser = Parser { text, names, lexer, token, place, depth: 0 };
    if parser.token == Token::End {
        return Ok(None);
    }
    let expr = parser.any()?;
    match parser.token {
        Token::End => Ok(Some(expr)),
        Token::Close => Err(parser.wrong("this parenthesis was never opened")),
        _ => Err(parser.not_a_test("expected the next test, and, or")),
    }
}

struct Parser<'t> {
    text: &'t str,
    names: &'t Names,
    lexer: Lexer<'t>,
    token: Token<'t>,
    place: Place,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn step(&mut self) -> Result<Token<'t>, Complaint> {
        let (token, place) = self.lexer.next()?;
        self.place = place;
        Ok(core::mem::replace(&mut self.token, token))
    }

    fn wrong(&self, what: impl Into<String>) -> Complaint {
        Complaint::new("filter", self.text, self.place.at, self.place.length, what)
    }

    /// The token is none of some words.
    fn unknown<'w>(&self, expected: &str, words: impl IntoIterator<Item = &'w str>) -> Complaint {
        let (what, near) = match &self.token {
            Token::End => (format!("{expected}; here the filter ends"), None),
            Token::Word(word) => {
                let near = nearest(word, words).map(ToString::to_string);
                (format!("{expected}, not {word:?}"), near)
            }
            Token::Quoted(_) => (format!("{expected}, not a name in quotes"), None),
            _ => (format!("{expected}, not {:?}", self.shown()), None),
        };
        Complaint { nearest: near, ..self.wrong(what) }
    }

    fn not_a_test(&self, expected: &str) -> Complaint {
        self.unknown(expected, words::BEGINNINGS.iter().copied())
    }

    fn shown(&self) -> &str {
        self.text.get(self.place.at..self.place.at + self.place.length).unwrap_or("")
    }

    fn word(&self) -> Option<&'t str> {
        match self.token {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn is_word(&self, wanted: &str) -> bool {
        self.word() == Some(wanted)
    }

    fn any(&mut self) -> Result<Expr, Complaint> {
        let first = self.all()?;
        let mut list = vec![first];
        while self.token == Token::Or || self.is_word("or") {
            self.step()?;
            list.push(self.all()?);
        }
        Ok(only(list, Expr::Or))
    }

    fn all(&mut self) -> Result<Expr, Complaint> {
        let mut list = vec![self.one()?];
        loop {
            let joined = self.token == Token::And || self.is_word("and");
            if joined {
                self.step()?;
            }
            let begins = match self.token {
                Token::Word(word) => word != "or" && word != "and",
                Token::Not | Token::Open => true,
                _ => false,
            };
            if !joined && !begins {
                return Ok(only(list, Expr::And));
            }
            list.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Expr, Complaint> {
        if self.depth == DEEPEST {
            return Err(self.wrong(format!("nested more than {DEEPEST} deep")));
        }
        self.depth += 1;
        let expr = if self.token == Token::Not || self.is_word("not") {
            self.step()?;
            Expr::Not(Box::new(self.one()?))
        } else if self.token == Token::Open {
            let opened = self.place;
            self.step()?;
            let inner = self.any()?;
            match self.token {
                Token::Close => self.step()?,
                Token::End => {
                    let what = "this parenthesis is never closed";
                    return Err(Complaint::new("filter", self.text, opened.at, 1, what));
                }
                _ => return Err(self.not_a_test("expected the next test, and, or, \")\"")),
            };
            inner
        } else {
            Expr::Test(self.test()?)
        };
        self.depth -= 1;
        Ok(expr)
    }
}

fn only(mut list: Vec<Expr>, many: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match list.len() {
        1 => list.swap_remove(0),
        _ => many(list),
    }
}
