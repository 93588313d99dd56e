//! Tests to words. Reading what is printed gives the same filter.

use core::fmt::{self, Display, Formatter, Write};

use super::lex::ends_word;
use super::words::{self, word};
use super::{Comparison, End, Expr, Filter, Glob, Mark, Nat, Port, Side, Target, Test};
use crate::{Direction, Net, Span};

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.expr {
            Some(expr) => expr.fmt(f),
            None => Ok(()),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(list) => joined(f, list, " and ", |f, e| match e {
                Self::And(_) | Self::Or(_) => write!(f, "({e})"),
                Self::Not(_) | Self::Test(_) => e.fmt(f),
            }),
            Self::Or(list) => joined(f, list, " or ", |f, e| match e {
                Self::Or(_) => write!(f, "({e})"),
                Self::And(_) | Self::Not(_) | Self::Test(_) => e.fmt(f),
            }),
            Self::Not(inner) => match &**inner {
                Self::And(_) | Self::Or(_) => write!(f, "not ({inner})"),
                Self::Not(_) | Self::Test(_) => write!(f, "not {inner}"),
            },
            Self::Test(test) => test.fmt(f),
        }
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family(plimsoll_ct::Family::V4) => f.write_str("ipv4"),
            Self::Family(plimsoll_ct::Family::V6) => f.write_str("ipv6"),
            Self::Protocol(protocol) if words::protocol(protocol.name()).is_some() => {
                f.write_str(protocol.name())
            }
            Self::Protocol(protocol) => write!(f, "proto {}", protocol.number()),
            Self::Address { side, end, nets } => {
                let one = nets.iter().all(Net::is_host);
                f.write_str(match (side, end) {
                    (Side::Original, End::Any) => "orig ",
                    (Side::Reply, _) => "reply ",
                    (Side::Any, End::Source | End::Destination)
                    | (Side::Original, End::Source | End::Destination)
                    | (Side::Any, End::Any) => "",
                })?;
                f.write_str(match end {
                    End::Source => "src ",
                    End::Destination => "dst ",
                    End::Any => "",
                })?;
                f.write_str(if one { "host " } else { "net " })?;
                joined(f, nets, ",", |f, net| net.fmt(f))
            }
            Self::Port { side, end, ports } => {
                f.write_str(match (side, end) {
                    (Side::Original, End::Any) => "orig ",
                    (Side::Reply, _) => "reply ",
                    (Side::Original, End::Source | End::Destination) | (Side::Any, _) => "",
                })?;
                f.write_str(match end {
                    End::Source => "sport ",
                    End::Destination => "dport ",
                    End::Any => "port ",
                })?;
                joined(f, ports, ",", |f, port| match port {
                    Port::Range(first, last) => range(f, (*first, *last)),
                    Port::Service { name, .. } => f.write_str(name),
                })
            }
            Self::IcmpType(kinds) => {
                f.write_str("type ")?;
                joined(f, kinds, ",", |f, kind| kind.fmt(f))
            }
            Self::State(names) => {
                f.write_str("state ")?;
                joined(f, names, ",", |f, name| f.write_str(name))
            }
            Self::Class(class) => f.write_str(class.name()),
            Self::Flag(flag) => f.write_str(word(&words::FLAGS, flag)),
            Self::Nat { kind, to } => {
                f.write_str(word(&words::NATS, kind))?;
                if to.is_empty() {
                    return Ok(());
                }
                f.write_str(" to ")?;
                joined(f, to, ",", |f, target| target.fmt(f))
            }
            Self::Direction(list) => {
                f.write_str("direction ")?;
                joined(f, list, ",", |f, direction: &Direction| f.write_str(direction.name()))
            }
            Self::Span { of, comparison, with } => {
                write!(f, "{} {comparison} {}", word(&words::SPANS, of), Span(*with))
            }
            Self::Amount { of, comparison, with } => {
                write!(f, "{} {comparison} {with}", word(&words::AMOUNTS, of))
            }
            Self::Mark(list) => {
                f.write_str("mark ")?;
                joined(f, list, ",", |f, Mark { value, mask }| match mask {
                    Some(mask) => write!(f, "{value:#x}/{mask:#x}"),
                    None => write!(f, "{value:#x}"),
                })
            }
            Self::Zone(list) => {
                f.write_str("zone ")?;
                joined(f, list, ",", |f, zone| zone.fmt(f))
            }
            Self::Label(list) => {
                f.write_str("label ")?;
                joined(f, list, ",", |f, (bit, name)| match name {
                    Some(name) => quoted(f, name),
                    None => bit.fmt(f),
                })
            }
            Self::Named { of, globs } => {
                write!(f, "{} ", word(&words::NAMED, of))?;
                joined(f, globs, ",", |f, glob: &Glob| quoted(f, glob.as_str()))
            }
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Equal => "=",
            Self::Different => "!=",
        })
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.net, self.ports) {
            (Some(net), Some(_)) if net.address().is_ipv6() => write!(f, "[{net}]")?,
            (Some(net), _) => net.fmt(f)?,
            (None, _) => {}
        }
        match self.ports {
            Some(ports) => {
                f.write_char(':')?;
                range(f, ports)
            }
            None => Ok(()),
        }
    }
}

/// The word of a rewritten end.
impl Display for Nat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(word(&words::NATS, self))
    }
}

fn range(f: &mut Formatter<'_>, (first, last): (u16, u16)) -> fmt::Result {
    if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
}

fn joined<T>(
    f: &mut Formatter<'_>,
    list: &[T],
    between: &str,
    one: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        one(f, item)?;
    }
    Ok(())
}

/// A name, in quotes where it could not be read back without.
fn quoted(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    let bare = !name.is_empty()
        && !name.contains(ends_word)
        && !name.bytes().all(|b| b.is_ascii_digit())
        && !words::CONNECTIVES.contains(&name);
    if bare {
        return f.write_str(name);
    }
    f.write_char('"')?;
    for c in name.chars() {
        if c == '"' || c == '\\' {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
