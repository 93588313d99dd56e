//! A filter: which entries are meant.
//!
//! `Filter::parse` reads what a person typed, `Display` writes it back (and reading that gives the same filter),
//! [`Filter::judge`] says of an entry whether it is meant. Judging is three-valued: where a fact is missing that decides,
//! the answer is [`Truth::Unknown`], and `not` of it is so as well.

mod glob;
mod judge;
mod lex;
mod parse;
mod print;
#[cfg(test)]
mod tests;
mod words;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{Class, Family, Protocol, Seconds};

pub use glob::Glob;

use crate::{Complaint, Direction, Lacks, Names, Net, View, Words};

/// What complaints call the text.
static FILTER: Words = Words::of("filter", "过滤器");

/// Which entries are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// `None`: all of them.
    pub expr: Option<Expr>,
}

/// Tests and how they combine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// All of them; two at least.
    And(Vec<Expr>),
    /// Any of them; two at least.
    Or(Vec<Expr>),
    /// Not this.
    Not(Box<Expr>),
    /// One test.
    Test(Test),
}

/// Whether an entry is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// A fact that decides is missing.
    Unknown,
}

/// One question about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// `ipv4`, `ipv6`
    Family(Family),
    /// `tcp`, `proto 47`
    Protocol(Protocol),
    /// `src net 10.0.0.0/8`
    Address {
        /// Which tuple.
        side: Side,
        /// Which end.
        end: End,
        /// One of these.
        nets: Vec<Net>,
    },
    /// `dport 80,443,8000-8100,https`
    Port {
        /// Which tuple.
        side: Side,
        /// Which end.
        end: End,
        /// One of these.
        ports: Vec<Port>,
    },
    /// `type 8`, of an ICMP query.
    IcmpType(Vec<u8>),
    /// `state ESTABLISHED,TIME_WAIT`, by the words of the kernel.
    State(Vec<&'static str>),
    /// `evictable`, `closing`, `protected`
    Class(Class),
    /// `assured`, `unreplied`, …
    Flag(Flag),
    /// `snat`, `dnat to 10.0.0.5:80`
    Nat {
        /// Which end was rewritten.
        kind: Nat,
        /// To what.
        to: Vec<Target>,
    },
    /// `direction in,forward`
    Direction(Vec<Direction>),
    /// `age > 1h`
    Span {
        /// What is compared.
        of: SpanOf,
        /// How.
        comparison: Comparison,
        /// With what.
        with: Seconds,
    },
    /// `bytes >= 10M`
    Amount {
        /// What is compared.
        of: Amount,
        /// How.
        comparison: Comparison,
        /// With what.
        with: u64,
    },
    /// `mark 0x1/0xff`
    Mark(Vec<Mark>),
    /// `zone 3,4`
    Zone(Vec<u16>),
    /// `label web,7`, by bit. The name it was called by is printed again.
    Label(Vec<(u16, Option<Box<str>>)>),
    /// `process nginx`, `pod kube-system/coredns-*`
    Named {
        /// Whose name.
        of: Named,
        /// One of these.
        globs: Vec<Glob>,
    },
}

/// Which tuple is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// That of the first packet.
    Original,
    /// That of the answers.
    Reply,
    /// Any of the two.
    Any,
}

/// Which end of a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Source.
    Source,
    /// Destination.
    Destination,
    /// Any of the two.
    Any,
}

/// Ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// From the first to the second, both included.
    Range(u16, u16),
    /// A service by its name: the ports it has.
    Service {
        /// Its name.
        name: Box<str>,
        /// Where it is.
        places: Vec<(Protocol, u16)>,
    },
}

/// What an entry is or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// No full table takes it, unless it is closing.
    Assured,
    /// No answer was seen.
    Unreplied,
    /// An answer was seen.
    Replied,
    /// In a flow table, of software or hardware.
    Offloaded,
    /// It came from an expectation.
    Expected,
    /// It is being removed.
    Dying,
    /// Its timeout is never refreshed.
    Fixed,
}

/// Which end was rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// The source.
    Source,
    /// The destination.
    Destination,
    /// Any of the two.
    Any,
}

/// What an end was rewritten to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Addresses; `None`: any.
    pub net: Option<Net>,
    /// Ports, first and last; `None`: any.
    pub ports: Option<(u16, u16)>,
}

/// Spans of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanOf {
    /// Since it was made.
    Age,
    /// Since the last packet that refreshed it.
    Idle,
    /// Until it expires.
    Expires,
}

/// Counters of an entry, both directions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Packets.
    Packets,
    /// Bytes.
    Bytes,
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `=`
    Equal,
    /// `!=`
    Different,
}

/// A mark, or the bits of it that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Value.
    pub value: u32,
    /// Which bits count; `None`: all.
    pub mask: Option<u32>,
}

/// Whose name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Connection-tracking helper.
    Helper,
    /// Network namespace, by name or inode.
    Netns,
    /// Process, by name or id.
    Process,
    /// Systemd unit, with or without `.service`.
    Unit,
    /// Container, by name or the beginning of its id.
    Container,
    /// Pod, `namespace/name` or the name alone.
    Pod,
}

impl Filter {
    /// From what a person typed; blank: all entries. Names of services, protocols and labels are looked up at once.
    pub fn parse(text: &str, names: &Names) -> Result<Self, Complaint> {
        parse::parse(text, names).map(|expr| Self { expr })
    }

    /// Whether an entry is meant.
    pub fn judge(&self, view: &View<'_>) -> Truth {
        self.judge_and_note(view, &mut Lacks::NONE.clone())
    }

    /// The same; where the answer is unknown, what was lacking is added to `lacks`.
    pub fn judge_and_note(&self, view: &View<'_>, lacks: &mut Lacks) -> Truth {
        let Some(expr) = &self.expr else { return Truth::Yes };
        let mut lacking = Lacks::NONE;
        let truth = expr.judge(view, &mut lacking);
        if truth == Truth::Unknown {
            *lacks |= lacking;
        }
        truth
    }

    /// Narrower by one more test; one that it has already adds nothing.
    #[must_use]
    pub fn and(self, expr: Expr) -> Self {
        let mut list = match self.expr {
            None => Vec::new(),
            Some(Expr::And(list)) => list,
            Some(one) => Vec::from([one]),
        };
        match expr {
            Expr::And(more) => more.into_iter().for_each(|one| add(&mut list, one)),
            one => add(&mut list, one),
        }
        let expr = if list.len() > 1 { Some(Expr::And(list)) } else { list.pop() };
        Self { expr }
    }

    /// The facts beyond the bare entry that it may ask for.
    pub fn needs(&self) -> Lacks {
        self.expr.as_ref().map_or(Lacks::NONE, Expr::needs)
    }
}

fn add(list: &mut Vec<Expr>, expr: Expr) {
    if !list.contains(&expr) {
        list.push(expr);
    }
}

impl Target {
    fn admits(&self, address: IpAddr, port: Option<u16>) -> bool {
        self.net.is_none_or(|net| net.contains(address))
            && self
                .ports
                .is_none_or(|(first, last)| port.is_some_and(|port| (first..=last).contains(&port)))
    }
}
