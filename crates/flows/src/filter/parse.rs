//! Words to tests.
//!
//! ```text
//!     filter  = any | nothing
//!     any     = all { ("or" | "||") all }
//!     all     = one { ["and" | "&&"] one }
//!     one     = ("not" | "!") one | "(" any ")" | test
//! ```

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::Protocol;

use super::lex::{Lexer, Place, Token};
use super::words::{self, value};
use super::{Comparison, End, Expr, Glob, Mark, Named, Nat, Port, Side, Target, Test};
use crate::nearest::nearest;
use crate::{Complaint, Direction, Names, Net, Span};

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
        _ => {
            Err(parser
                .unknown("expected the next test, and, or", words::BEGINNINGS.iter().copied()))
        }
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
                _ => {
                    return Err(self.unknown(
                        "expected the next test, and, or, \")\"",
                        words::BEGINNINGS.iter().copied(),
                    ));
                }
            };
            inner
        } else {
            Expr::Test(self.test()?)
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn test(&mut self) -> Result<Test, Complaint> {
        let unknown = |p: &Self| p.unknown("expected a test", words::BEGINNINGS.iter().copied());
        let Some(word) = self.word() else { return Err(unknown(self)) };
        let test = if let Some(family) = words::family(word) {
            Test::Family(family)
        } else if let Some(protocol) = words::protocol(word) {
            Test::Protocol(protocol)
        } else if let Some(class) = words::class(word) {
            Test::Class(class)
        } else if let Some(flag) = value(&words::FLAGS, word) {
            Test::Flag(flag)
        } else if let Some(direction) = Direction::ALL.into_iter().find(|d| d.name() == word) {
            Test::Direction(vec![direction])
        } else {
            return self.with_value(word);
        };
        self.step()?;
        Ok(test)
    }

    /// A test whose word is followed by what it asks for.
    fn with_value(&mut self, word: &'t str) -> Result<Test, Complaint> {
        let unknown = |p: &Self| p.unknown("expected a test", words::BEGINNINGS.iter().copied());
        if let Some(of) = value(&words::SPANS, word) {
            self.step()?;
            let comparison = self.comparison()?;
            let with = self.typed("a span such as 90s, 10m, 1h30m or 5d", Span::parse)?.0;
            return Ok(Test::Span { of, comparison, with });
        }
        if let Some(of) = value(&words::AMOUNTS, word) {
            self.step()?;
            let comparison = self.comparison()?;
            let with = self.typed("a number such as 1000, 10k, 5M or 2Gi", amount)?;
            return Ok(Test::Amount { of, comparison, with });
        }
        if let Some(of) = value(&words::NAMED, word) {
            self.step()?;
            self.equals()?;
            return Ok(Test::Named { of, globs: self.list(|p| p.glob(of))? });
        }
        if let Some(kind) = value(&words::NATS, word) {
            self.step()?;
            return self.nat(kind);
        }
        let at = self.place;
        match word {
            "src" | "dst" | "host" | "net" | "port" | "sport" | "dport" => {
                let side = match word {
                    "host" | "net" | "port" => Side::Any,
                    _ => Side::Original,
                };
                self.step()?;
                self.end(side, word)
            }
            "reply" | "orig" => {
                let side = if word == "reply" { Side::Reply } else { Side::Original };
                self.step()?;
                const ENDS: [&str; 7] = ["src", "dst", "host", "net", "port", "sport", "dport"];
                match self.word().filter(|word| ENDS.contains(word)) {
                    Some(word) => {
                        self.step()?;
                        self.end(side, word)
                    }
                    None => {
                        Err(self
                            .unknown("expected src, dst, host, net, port, sport or dport", ENDS))
                    }
                }
            }
            "proto" => {
                self.step()?;
                self.equals()?;
                self.protocol()
            }
            "type" => {
                self.step()?;
                self.equals()?;
                let what = "a type of ICMP: 0 to 255";
                Ok(Test::IcmpType(self.list(|p| p.typed(what, |w| w.parse().ok()))?))
            }
            "state" => {
                self.step()?;
                self.equals()?;
                Ok(Test::State(self.list(Self::state)?))
            }
            "class" => {
                self.step()?;
                self.equals()?;
                let class = self.word().and_then(words::class);
                let class = class.ok_or_else(|| {
                    let classes = ["evictable", "closing", "protected"];
                    self.unknown("expected evictable, closing or protected", classes)
                })?;
                self.step()?;
                Ok(Test::Class(class))
            }
            "direction" => {
                self.step()?;
                self.equals()?;
                Ok(Test::Direction(self.list(Self::direction)?))
            }
            "mark" => {
                self.step()?;
                self.equals()?;
                Ok(Test::Mark(self.list(|p| p.typed("a mark such as 5, 0x10 or 0x1/0xff", mark))?))
            }
            "zone" => {
                self.step()?;
                self.equals()?;
                Ok(Test::Zone(self.list(|p| p.typed("a zone: 0 to 65535", |w| w.parse().ok()))?))
            }
            "label" => {
                self.step()?;
                self.equals()?;
                Ok(Test::Label(self.list(Self::label)?))
            }
            _ => {
                debug_assert_eq!(at, self.place);
                Err(unknown(self))
            }
        }
    }

    /// What follows `src`, `dport`, `host` and their kin.
    fn end(&mut self, side: Side, word: &str) -> Result<Test, Complaint> {
        let mut end = match word {
            "src" | "sport" => End::Source,
            "dst" | "dport" => End::Destination,
            _ => End::Any,
        };
        let mut ports = matches!(word, "port" | "sport" | "dport");
        // `src or dst host …`, as pcap has it.
        if word == "src" && self.is_word("or") {
            self.step()?;
            if !self.is_word("dst") {
                return Err(self.unknown("expected dst", ["dst"]));
            }
            self.step()?;
            end = End::Any;
        }
        if matches!(word, "src" | "dst") {
            match self.word() {
                Some("host" | "net") => {
                    self.step()?;
                }
                Some("port") => {
                    ports = true;
                    self.step()?;
                }
                _ => {}
            }
        }
        self.equals()?;
        if ports {
            return Ok(Test::Port { side, end, ports: self.list(Self::port)? });
        }
        let what = "an address or a net such as 10.0.0.1, 10.0.0.0/8 or fd00::/8";
        Ok(Test::Address { side, end, nets: self.list(|p| p.typed(what, Net::parse))? })
    }

    fn nat(&mut self, kind: Nat) -> Result<Test, Complaint> {
        if !self.is_word("to") {
            return Ok(Test::Nat { kind, to: Vec::new() });
        }
        self.step()?;
        let what = "a target such as 10.0.0.5, 10.0.0.5:80, 10.0.0.0/8, :80 or [fd00::1]:80";
        Ok(Test::Nat { kind, to: self.list(|p| p.typed(what, target))? })
    }

    /// An optional `=` before a value.
    fn equals(&mut self) -> Result<(), Complaint> {
        match self.token {
            Token::Sign("=") => self.step().map(|_| ()),
            Token::Sign(_) => {
                Err(self.wrong(format!("{:?} does not go here: there is no order", self.shown())))
            }
            _ => Ok(()),
        }
    }

    fn comparison(&mut self) -> Result<Comparison, Complaint> {
        let comparison = match self.token {
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::AtMost,
            Token::Sign(">") => Comparison::Greater,
            Token::Sign(">=") => Comparison::AtLeast,
            Token::Sign("=") => Comparison::Equal,
            Token::Sign("!=") => Comparison::Different,
            _ => return Err(self.unknown("expected <, <=, >, >=, = or !=", [])),
        };
        self.step()?;
        Ok(comparison)
    }

    fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, Complaint>,
    ) -> Result<Vec<T>, Complaint> {
        let mut list = vec![one(self)?];
        while self.token == Token::Comma {
            self.step()?;
            list.push(one(self)?);
        }
        Ok(list)
    }

    /// A word that a function understands.
    fn typed<T>(&mut self, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, Complaint> {
        match self.word().and_then(read) {
            Some(value) => {
                self.step()?;
                Ok(value)
            }
            None => Err(self.unknown(&format!("expected {what}"), [])),
        }
    }

    fn port(&mut self) -> Result<Port, Complaint> {
        let Some(word) = self.word() else {
            return Err(
                self.unknown("expected a port, a range such as 8000-8100, or a service", [])
            );
        };
        let port = match range(word) {
            Some((first, last)) if first <= last => Port::Range(first, last),
            Some(_) => return Err(self.wrong("the range ends before it begins")),
            None => {
                let places = self.names.places(word);
                if places.is_empty() {
                    let services = self.names.service_names();
                    let what = "expected a port (0 to 65535), a range such as 8000-8100, or a service of /etc/services";
                    return Err(self.unknown(what, services));
                }
                Port::Service { name: word.into(), places }
            }
        };
        self.step()?;
        Ok(port)
    }

    fn protocol(&mut self) -> Result<Test, Complaint> {
        let read = |word: &str| {
            let number = word.parse().ok().map(Protocol::from_number);
            number.or_else(|| words::protocol(word)).or_else(|| self.names.protocol(word))
        };
        let Some(protocol) = self.word().and_then(read) else {
            return Err(self.unknown(
                "expected a protocol: its number (0 to 255) or a name of /etc/protocols",
                self.names.protocol_names(),
            ));
        };
        self.step()?;
        Ok(Test::Protocol(protocol))
    }

    fn state(&mut self) -> Result<&'static str, Complaint> {
        match self.word().and_then(words::state) {
            Some(state) => {
                self.step()?;
                Ok(state)
            }
            None => Err(self.unknown("expected a state such as ESTABLISHED", words::states())),
        }
    }

    fn direction(&mut self) -> Result<Direction, Complaint> {
        let found = Direction::ALL.into_iter().find(|d| self.is_word(d.name()));
        let Some(direction) = found else {
            let all = Direction::ALL.map(Direction::name);
            return Err(self.unknown("expected in, out, forward or local", all));
        };
        self.step()?;
        Ok(direction)
    }

    fn label(&mut self) -> Result<(u16, Option<Box<str>>), Complaint> {
        let name: Option<&str> = match &self.token {
            Token::Word(word) => Some(word),
            Token::Quoted(name) => Some(name),
            _ => None,
        };
        let quoted = matches!(self.token, Token::Quoted(_));
        let number = |n: &&str| n.parse::<u16>().ok().filter(|bit| *bit < 128 && !quoted);
        let found = name.and_then(|name| match number(&name) {
            Some(bit) => Some((bit, None)),
            None => self.names.label(name).map(|bit| (bit, Some(name.into()))),
        });
        match found {
            Some(label) => {
                self.step()?;
                Ok(label)
            }
            None => Err(self.unknown(
                "expected a label: its bit (0 to 127) or a name of connlabel.conf",
                self.names.label_names(),
            )),
        }
    }

    fn glob(&mut self, of: Named) -> Result<Glob, Complaint> {
        let what =
            || format!("expected the name of a {}, or a pattern", words::word(&words::NAMED, &of));
        let glob = match &self.token {
            Token::Word(word) if words::CONNECTIVES.contains(word) => {
                let what = format!("{}; a name that is {word:?} must stand in quotes", what());
                return Err(self.wrong(what));
            }
            Token::Word(word) => Glob::new(word),
            Token::Quoted(name) => Glob::new(name),
            _ => return Err(self.unknown(&what(), [])),
        };
        self.step()?;
        Ok(glob)
    }
}

fn only(mut list: Vec<Expr>, many: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match list.len() {
        1 => list.swap_remove(0),
        _ => many(list),
    }
}

fn range(word: &str) -> Option<(u16, u16)> {
    match word.split_once('-') {
        Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
        None => word.parse().ok().map(|port| (port, port)),
    }
}

/// `1000`, `10k`, `5M`, `2Gi`.
fn amount(word: &str) -> Option<u64> {
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let number: u64 = word[..digits].parse().ok()?;
    let unit: u64 = match &word[digits..] {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn bits(word: &str) -> Option<u32> {
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

fn mark(word: &str) -> Option<Mark> {
    match word.split_once('/') {
        Some((value, mask)) => Some(Mark { value: bits(value)?, mask: Some(bits(mask)?) }),
        None => Some(Mark { value: bits(word)?, mask: None }),
    }
}

/// `10.0.0.5`, `10.0.0.5:80`, `:80-90`, `[fd00::1]:80`, `[fd00::/8]:80`, `fd00::/8`.
fn target(word: &str) -> Option<Target> {
    let ports = |text: &str| range(text).filter(|(first, last)| first <= last);
    if let Some(rest) = word.strip_prefix('[') {
        let (net, after) = rest.split_once(']')?;
        let net = Some(Net::parse(net)?);
        return match after.strip_prefix(':') {
            Some(text) => Some(Target { net, ports: Some(ports(text)?) }),
            None => after.is_empty().then_some(Target { net, ports: None }),
        };
    }
    if let Some(text) = word.strip_prefix(':')
        && !text.contains(':')
    {
        return Some(Target { net: None, ports: Some(ports(text)?) });
    }
    if let Some(net) = Net::parse(word) {
        return Some(Target { net: Some(net), ports: None });
    }
    let (net, text) = word.rsplit_once(':')?;
    let net = Net::parse(net).filter(|net| net.address().is_ipv4())?;
    Some(Target { net: Some(net), ports: Some(ports(text)?) })
}
