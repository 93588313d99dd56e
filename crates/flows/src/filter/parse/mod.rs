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
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::lex::{Lexer, Place, Token};
use super::{Expr, FILTER, words};
use crate::nearest::nearest;
use crate::words::both;
use crate::{Complaint, Names, Words};

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
        Token::Close => {
            Err(parser.wrong(Words::of("this parenthesis was never opened", "这个括号没有开头")))
        }
        _ => Err(parser
            .not_a_test(&Words::of("expected the next test, and, or", "应为下一个测试、and、or"))),
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

    fn wrong(&self, what: Words) -> Complaint {
        Complaint::new(&FILTER, self.text, self.place.at, self.place.length, what)
    }

    /// The token is none of some words.
    fn unknown<'w>(&self, expected: &Words, words: impl IntoIterator<Item = &'w str>) -> Complaint {
        let (what, near) = match &self.token {
            Token::End => (
                both!("{expected}; here the filter ends", "{expected:#}；过滤器到此就结束了"),
                None,
            ),
            Token::Word(word) => {
                let near = nearest(word, words).map(ToString::to_string);
                (both!("{expected}, not {word:?}", "{expected:#}，实为 {word:?}"), near)
            }
            Token::Quoted(_) => {
                (both!("{expected}, not a name in quotes", "{expected:#}，实为引号里的名字"), None)
            }
            _ => {
                let shown = self.shown();
                (both!("{expected}, not {shown:?}", "{expected:#}，实为 {shown:?}"), None)
            }
        };
        Complaint { nearest: near, ..self.wrong(what) }
    }

    fn not_a_test(&self, expected: &Words) -> Complaint {
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
            return Err(
                self.wrong(both!("nested more than {DEEPEST} deep", "嵌套超过 {DEEPEST} 层"))
            );
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
                    let what = Words::of("this parenthesis is never closed", "这个括号没有结束");
                    return Err(Complaint::new(&FILTER, self.text, opened.at, 1, what));
                }
                _ => {
                    return Err(self.not_a_test(&Words::of(
                        "expected the next test, and, or, \")\"",
                        "应为下一个测试、and、or、\")\"",
                    )));
                }
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
