//! A packet of the traffic in question, as far as it is known, against one condition.

use alloc::vec::Vec;

use plimsoll_wire::filter::{Match, Numbers, Side, States, TableFamily, Test};

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// It does not.
    No,
    /// It depends on what is not known.
    Maybe,
    /// It does.
    Yes,
}

impl Holds {
    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }

    pub(super) fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Whose address stands at one end of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// One of this host's own.
    Own,
    /// Not this host's.
    Foreign,
    /// One of these, as ranges of numbers; not this host's.
    Among(Numbers),
    /// Anybody's.
    Any,
}

/// The transport header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Ports as ranges, and TCP's flags.
    Ports {
        /// IP protocol number.
        protocol: u8,
        /// Source port.
        source: (u16, u16),
        /// Destination port.
        destination: (u16, u16),
        /// FIN 1, SYN 2, RST 4, ACK 16; `None` if it is not TCP.
        flags: Option<u8>,
    },
    /// Type and code of ICMP or ICMPv6.
    Icmp(u8, u8),
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'a> {
    /// IPv4 or IPv6.
    pub family: TableFamily,
    /// Transport header.
    pub header: Header,
    /// Source.
    pub source: End,
    /// Destination.
    pub destination: End,
    /// This host's addresses of the family as numbers; `None`: not known.
    pub own: Option<&'a [u128]>,
    /// State that tracking gives it.
    pub state: States,
    /// It has come in by an interface other than `lo`.
    pub came_in: bool,
    /// It goes out by an interface other than `lo`, which is known.
    pub goes_out: bool,
}

impl Packet<'_> {
    /// Whether all conditions of a rule hold.
    pub fn meets(&self, matches: &[Match]) -> Holds {
        let mut all = Holds::Yes;
        for m in matches {
            all = all.min(self.holds(&m.test));
            if all == Holds::No {
                break;
            }
        }
        all
    }

    /// Whether one condition holds.
    pub fn holds(&self, test: &Test) -> Holds {
        match test {
            Test::Always => Holds::Yes,
            Test::Family(family) => Holds::of(*family == self.family),
            Test::Protocol(set) => Holds::of(set.has(u128::from(self.protocol()))),
            Test::Port(side, set) => self.port(*side, set),
            Test::Address(side, set) => self.address(*side, set),
            Test::Local(side) => match self.end(*side) {
                End::Any => Holds::Maybe,
                end => Holds::of(*end == End::Own),
            },
            Test::Interface(side, names) => self.interface(*side, names),
            Test::State(states) => Holds::of(states.meets(self.state)),
            Test::Flags { mask, set } => match self.header {
                Header::Ports { flags: Some(flags), .. } => Holds::of(flags & mask == *set),
                Header::Ports { .. } | Header::Icmp(..) => Holds::No,
            },
            Test::Icmp(kinds, codes) => match self.header {
                Header::Icmp(kind, code) => Holds::of(
                    kinds.has(u128::from(kind))
                        && codes.as_ref().is_none_or(|set| set.has(u128::from(code))),
                ),
                Header::Ports { .. } => Holds::No,
            },
            // What only a tracked packet has, an untracked one neither has nor lacks: the rule ends there.
            Test::Not(inner) if matches!(**inner, Test::Tracked(_)) => self.holds(inner),
            Test::Not(inner) => self.holds(inner).not(),
            Test::All(parts) => parts.iter().map(|t| self.holds(t)).min().unwrap_or(Holds::Yes),
            Test::Any(parts) => self.any(parts),
            Test::Tracked(_) if self.state.meets(States::UNTRACKED) => Holds::No,
            Test::Tracked(_) | Test::Rate | Test::Unknown => Holds::Maybe,
        }
    }

    fn any(&self, parts: &[Test]) -> Holds {
        let mut best = Holds::No;
        for part in parts {
            best = best.max(self.holds(part));
            if best == Holds::Yes {
                break;
            }
        }
        best
    }

    fn protocol(&self) -> u8 {
        match self.header {
            Header::Ports { protocol, .. } => protocol,
            Header::Icmp(..) if self.family == TableFamily::Ip6 => 58,
            Header::Icmp(..) => 1,
        }
    }

    fn port(&self, side: Side, set: &Numbers) -> Holds {
        let Header::Ports { source, destination, .. } = self.header else { return Holds::No };
        let (first, last) = if side == Side::Source { source } else { destination };
        within(set, u128::from(first), u128::from(last))
    }

    fn end(&self, side: Side) -> &End {
        if side == Side::Source { &self.source } else { &self.destination }
    }

    fn address(&self, side: Side, set: &Numbers) -> Holds {
        let top = if self.family == TableFamily::Ip { u128::from(u32::MAX) } else { u128::MAX };
        if set.covers(0, top) {
            return Holds::Yes;
        }
        if !set.meets(0, top) {
            return Holds::No;
        }
        match self.end(side) {
            End::Own => match self.own {
                Some(own) if !own.is_empty() => {
                    all_or_none(own.iter().map(|ip| Holds::of(set.has(*ip))))
                }
                Some(_) | None => Holds::Maybe,
            },
            End::Any => Holds::Maybe,
            // Neither loopback nor a set of this host's own addresses and no other has a foreign one.
            End::Foreign if is_loopback(self.family, set) => Holds::No,
            End::Foreign => match self.own {
                Some(own) if is_among(set, own) => Holds::No,
                Some(_) | None => Holds::Maybe,
            },
            End::Among(some) => {
                all_or_none(some.ranges().iter().map(|(first, last)| within(set, *first, *last)))
            }
        }
    }

    fn interface(&self, side: Side, names: &[alloc::string::String]) -> Holds {
        let there = if side == Side::Source { self.came_in } else { self.goes_out };
        if !there {
            return Holds::No;
        }
        let mut best = Holds::No;
        for name in names {
            best = best.max(match name.as_str() {
                "lo" => Holds::No,
                "*" => Holds::Yes,
                _ => Holds::Maybe,
            });
        }
        best
    }
}

/// Whether a set has all, some or none of a range.
fn within(set: &Numbers, first: u128, last: u128) -> Holds {
    if set.covers(first, last) {
        Holds::Yes
    } else if set.meets(first, last) {
        Holds::Maybe
    } else {
        Holds::No
    }
}

fn all_or_none(each: impl Iterator<Item = Holds>) -> Holds {
    let all: Vec<Holds> = each.collect();
    match (all.iter().min(), all.iter().max()) {
        (Some(low), Some(high)) if low == high => *low,
        _ => Holds::Maybe,
    }
}

/// Whether a set has nothing but loopback addresses, which come from no other host.
fn is_loopback(family: TableFamily, set: &Numbers) -> bool {
    let (first, last) =
        if family == TableFamily::Ip { (127 << 24, (128 << 24) - 1) } else { (1, 1) };
    !set.is_empty() && set.ranges().iter().all(|(a, b)| first <= *a && *b <= last)
}

/// Whether a set has nothing but these.
pub(super) fn is_among(set: &Numbers, own: &[u128]) -> bool {
    set.ranges().iter().all(|(first, last)| first == last && own.contains(first))
}
