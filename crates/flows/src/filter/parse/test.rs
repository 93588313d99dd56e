//! A single test: its word, and what the word asks for.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::Protocol;

use super::Parser;
use super::values::{amount, mark, range, target};
use crate::filter::lex::Token;
use crate::filter::words::{self, value};
use crate::filter::{Comparison, End, Glob, Named, Nat, Port, Side, Test};
use crate::words::both;
use crate::{Complaint, Direction, Net, Span, Words};

const TEST: Words = Words::of("expected a test", "应为测试");

/// Words for one end of an entry.
const ENDS: [&str; 7] = ["src", "dst", "host", "net", "port", "sport", "dport"];

impl<'t> Parser<'t> {
    pub(super) fn test(&mut self) -> Result<Test, Complaint> {
        let Some(word) = self.word() else { return Err(self.not_a_test(&TEST)) };
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
        if let Some(of) = value(&words::SPANS, word) {
            self.step()?;
            let comparison = self.comparison()?;
            let with = self.typed(
                Words::of(
                    "a span such as 90s, 10m, 1h30m or 5d",
                    "一段时间，如 90s、10m、1h30m 或 5d",
                ),
                Span::parse,
            )?;
            let with = with.0;
            return Ok(Test::Span { of, comparison, with });
        }
        if let Some(of) = value(&words::AMOUNTS, word) {
            self.step()?;
            let comparison = self.comparison()?;
            let with = self.typed(
                Words::of(
                    "a number such as 1000, 10k, 5M or 2Gi",
                    "一个数，如 1000、10k、5M 或 2Gi",
                ),
                amount,
            )?;
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
        if ENDS.contains(&word) {
            self.step()?;
            let any = matches!(word, "host" | "net" | "port");
            return self.end(if any { Side::Any } else { Side::Original }, word);
        }
        if word == "reply" || word == "orig" {
            self.step()?;
            let Some(end) = self.word().filter(|word| ENDS.contains(word)) else {
                let what = Words::of(
                    "expected src, dst, host, net, port, sport or dport",
                    "应为 src、dst、host、net、port、sport 或 dport",
                );
                return Err(self.unknown(&what, ENDS));
            };
            self.step()?;
            return self.end(if word == "reply" { Side::Reply } else { Side::Original }, end);
        }
        let read = match word {
            "proto" => Self::protocol,
            "type" => |p: &mut Self| {
                let what = Words::of("a type of ICMP: 0 to 255", " ICMP 的类型：0 到 255");
                Ok(Test::IcmpType(p.list(|p| p.typed(what.clone(), |w| w.parse().ok()))?))
            },
            "state" => |p: &mut Self| Ok(Test::State(p.list(Self::state)?)),
            "class" => Self::class,
            "direction" => |p: &mut Self| Ok(Test::Direction(p.list(Self::direction)?)),
            "mark" => |p: &mut Self| {
                let what =
                    Words::of("a mark such as 5, 0x10 or 0x1/0xff", "标记，如 5、0x10 或 0x1/0xff");
                Ok(Test::Mark(p.list(|p| p.typed(what.clone(), mark))?))
            },
            "zone" => |p: &mut Self| {
                let what = Words::of("a zone: 0 to 65535", " zone：0 到 65535");
                Ok(Test::Zone(p.list(|p| p.typed(what.clone(), |w| w.parse().ok()))?))
            },
            "label" => |p: &mut Self| Ok(Test::Label(p.list(Self::label)?)),
            _ => return Err(self.not_a_test(&TEST)),
        };
        self.step()?;
        self.equals()?;
        read(self)
    }

    fn class(&mut self) -> Result<Test, Complaint> {
        let class = self.word().and_then(words::class).ok_or_else(|| {
            let classes = ["evictable", "closing", "protected"];
            let what = Words::of(
                "expected evictable, closing or protected",
                "应为 evictable、closing 或 protected",
            );
            self.unknown(&what, classes)
        })?;
        self.step()?;
        Ok(Test::Class(class))
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
                return Err(self.unknown(&Words::of("expected dst", "应为 dst"), ["dst"]));
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
        let what = Words::of(
            "an address or a net such as 10.0.0.1, 10.0.0.0/8 or fd00::/8",
            "地址或网段，如 10.0.0.1、10.0.0.0/8 或 fd00::/8",
        );
        let nets = self.list(|p| p.typed(what.clone(), Net::parse))?;
        Ok(Test::Address { side, end, nets })
    }

    fn nat(&mut self, kind: Nat) -> Result<Test, Complaint> {
        if !self.is_word("to") {
            return Ok(Test::Nat { kind, to: Vec::new() });
        }
        self.step()?;
        let what = Words::of(
            "a target such as 10.0.0.5, 10.0.0.5:80, 10.0.0.0/8, :80 or [fd00::1]:80",
            "目标，如 10.0.0.5、10.0.0.5:80、10.0.0.0/8、:80 或 [fd00::1]:80",
        );
        Ok(Test::Nat { kind, to: self.list(|p| p.typed(what.clone(), target))? })
    }

    /// An optional `=` before a value.
    fn equals(&mut self) -> Result<(), Complaint> {
        match self.token {
            Token::Sign("=") => self.step().map(|_| ()),
            Token::Sign(_) => {
                let shown = self.shown();
                Err(self.wrong(both!(
                    "{shown:?} does not go here: there is no order",
                    "这里不能用 {shown:?}：没有大小之分"
                )))
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
            _ => {
                let what =
                    Words::of("expected <, <=, >, >=, = or !=", "应为 <、<=、>、>=、= 或 !=");
                return Err(self.unknown(&what, []));
            }
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
    fn typed<T>(&mut self, what: Words, read: impl Fn(&str) -> Option<T>) -> Result<T, Complaint> {
        match self.word().and_then(read) {
            Some(value) => {
                self.step()?;
                Ok(value)
            }
            None => Err(self.unknown(&both!("expected {what}", "应为{what:#}"), [])),
        }
    }

    fn port(&mut self) -> Result<Port, Complaint> {
        let Some(word) = self.word() else {
            let what = Words::of(
                "expected a port, a range such as 8000-8100, or a service",
                "应为端口、范围（如 8000-8100）或服务名",
            );
            return Err(self.unknown(&what, []));
        };
        let port = match range(word) {
            Some((first, last)) if first <= last => Port::Range(first, last),
            Some(_) => {
                let what = Words::of("the range ends before it begins", "范围的终点在起点之前");
                return Err(self.wrong(what));
            }
            None => {
                let places = self.names.places(word);
                if places.is_empty() {
                    let services = self.names.service_names();
                    let what = Words::of(
                        "expected a port (0 to 65535), a range such as 8000-8100, or a service of /etc/services",
                        "应为端口（0 到 65535）、范围（如 8000-8100）或 /etc/services 里的服务名",
                    );
                    return Err(self.unknown(&what, services));
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
            let what = Words::of(
                "expected a protocol: its number (0 to 255) or a name of /etc/protocols",
                "应为协议：协议号（0 到 255）或 /etc/protocols 里的名字",
            );
            return Err(self.unknown(&what, self.names.protocol_names()));
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
            None => {
                let what =
                    Words::of("expected a state such as ESTABLISHED", "应为状态，如 ESTABLISHED");
                Err(self.unknown(&what, words::states()))
            }
        }
    }

    fn direction(&mut self) -> Result<Direction, Complaint> {
        let found = Direction::ALL.into_iter().find(|d| self.is_word(d.name()));
        let Some(direction) = found else {
            let all = Direction::ALL.map(Direction::name);
            let what =
                Words::of("expected in, out, forward or local", "应为 in、out、forward 或 local");
            return Err(self.unknown(&what, all));
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
            None => {
                let what = Words::of(
                    "expected a label: its bit (0 to 127) or a name of connlabel.conf",
                    "应为标签：位号（0 到 127）或 connlabel.conf 里的名字",
                );
                Err(self.unknown(&what, self.names.label_names()))
            }
        }
    }

    fn glob(&mut self, of: Named) -> Result<Glob, Complaint> {
        let kind = words::word(&words::NAMED, &of);
        let what =
            both!("expected the name of a {kind}, or a pattern", "应为 {kind} 的名字或通配模式");
        let glob = match &self.token {
            Token::Word(word) if words::CONNECTIVES.contains(word) => {
                let what = both!(
                    "{what}; a name that is {word:?} must stand in quotes",
                    "{what:#}；名字就是 {word:?} 时要放在引号里"
                );
                return Err(self.wrong(what));
            }
            Token::Word(word) => Glob::new(word),
            Token::Quoted(name) => Glob::new(name),
            _ => return Err(self.unknown(&what, [])),
        };
        self.step()?;
        Ok(glob)
    }
}
