//! What entries are grouped by, and how an entry's value is kept in a few bytes.

use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{Class, L4, Protocol, Seconds, State, Tuple};

use super::value::{Texts, Value};
use crate::{Band, Direction, Lacks, Net, SpanOf, View};

/// One key of a grouping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Layer-4 protocol.
    Protocol,
    /// IPv4 or IPv6.
    Family,
    /// State of the protocol's machine.
    State,
    /// evictable, closing, protected.
    Class,
    /// Protocol and destination port of the first packet.
    Service,
    /// Source port of the first packet.
    SourcePort,
    /// Destination port of the first packet.
    DestinationPort,
    /// Source of the first packet.
    Source(Cut),
    /// Destination of the first packet.
    Destination(Cut),
    /// Source of the answers: the real destination behind DNAT.
    ReplySource(Cut),
    /// Destination of the answers: the source behind SNAT.
    ReplyDestination(Cut),
    /// in, out, forward, local.
    Direction,
    /// Network namespace.
    Netns,
    /// Name of the process.
    Process,
    /// Systemd unit.
    Unit,
    /// Container.
    Container,
    /// Pod.
    Pod,
    /// Zone.
    Zone,
    /// Mark.
    Mark,
    /// Helper.
    Helper,
    /// A band of ages, idle times or seconds left.
    Band(Span),
}

/// Which span is banded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// Since it was made.
    Age,
    /// Since the last packet.
    Idle,
    /// Until it expires.
    Expires,
}

/// How many bits of an address count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cut {
    /// Of an IPv4 address.
    pub v4: u8,
    /// Of an IPv6 address.
    pub v6: u8,
}

impl Cut {
    /// Whole addresses.
    pub const NONE: Self = Self { v4: 32, v6: 128 };

    fn of(self, address: IpAddr) -> Net {
        Net::of(address, if address.is_ipv4() { self.v4 } else { self.v6 })
    }
}

/// The keys of a grouping, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(pub(super) Vec<Key>);

impl Keys {
    /// The keys.
    pub fn list(&self) -> &[Key] {
        &self.0
    }

    /// The facts beyond the bare entry that they ask for.
    pub fn needs(&self) -> Lacks {
        self.0.iter().fold(Lacks::NONE, |needs, key| needs | key.needs())
    }

    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|key| key.width()).sum()
    }

    pub(super) fn encode(&self, view: &View<'_>, texts: &mut Texts, out: &mut Vec<u8>) {
        out.clear();
        for key in &self.0 {
            let end = out.len() + key.width();
            key.encode(view, texts, out);
            out.resize(end, 0);
        }
    }

    /// Makes the bytes of a key that another grouping wrote ours: names have other numbers here.
    pub(super) fn translate(&self, bytes: &mut [u8], theirs: &Texts, ours: &mut Texts) {
        let mut at = 0;
        for key in &self.0 {
            let end = at + key.width();
            if key.is_name()
                && let Some([KNOWN, number @ ..]) = bytes.get_mut(at..end)
                && let Ok(old) = <[u8; 4]>::try_from(&*number)
            {
                let new = theirs.translate(u32::from_be_bytes(old), ours);
                number.copy_from_slice(&new.to_be_bytes());
            }
            at = end;
        }
    }

    pub(super) fn decode(&self, mut bytes: &[u8], texts: &Texts) -> Vec<Value> {
        let one = |key: &Key| {
            let (this, rest) = bytes.split_at_checked(key.width())?;
            bytes = rest;
            key.decode(this, texts)
        };
        self.0.iter().map(one).map(|value| value.unwrap_or(Value::Missing)).collect()
    }
}

/// The first byte says whether a value follows.
const MISSING: u8 = 0;
const KNOWN: u8 = 1;
/// It is known that there is none: a port of a protocol without ports.
const NOTHING: u8 = 3;

impl Key {
    /// The facts beyond the bare entry that it asks for.
    const fn needs(self) -> Lacks {
        match self {
            Self::Protocol
            | Self::Family
            | Self::State
            | Self::Class
            | Self::Service
            | Self::SourcePort
            | Self::DestinationPort
            | Self::Source(_)
            | Self::Destination(_)
            | Self::ReplySource(_)
            | Self::ReplyDestination(_)
            | Self::Zone => Lacks::NONE,
            Self::Direction => Lacks::DIRECTION,
            Self::Netns => Lacks::NETNS,
            Self::Process | Self::Unit | Self::Container | Self::Pod => Lacks::OWNER,
            Self::Mark => Lacks::MARK,
            Self::Helper => Lacks::HELPER,
            Self::Band(Span::Age) => Lacks::AGE,
            Self::Band(Span::Idle) => Lacks::IDLE,
            Self::Band(Span::Expires) => Lacks::EXPIRES,
        }
    }

    /// Whether the bytes are the number of a name.
    const fn is_name(self) -> bool {
        matches!(
            self,
            Self::Netns | Self::Process | Self::Unit | Self::Container | Self::Pod | Self::Helper
        )
    }

    const fn width(self) -> usize {
        match self {
            Self::Protocol | Self::Family | Self::Class | Self::Direction | Self::Band(_) => 2,
            Self::State | Self::Zone | Self::SourcePort | Self::DestinationPort => 3,
            Self::Service => 4,
            Self::Source(_)
            | Self::Destination(_)
            | Self::ReplySource(_)
            | Self::ReplyDestination(_) => 17,
            Self::Netns
            | Self::Process
            | Self::Unit
            | Self::Container
            | Self::Pod
            | Self::Mark
            | Self::Helper => 5,
        }
    }

    fn encode(self, view: &View<'_>, texts: &mut Texts, out: &mut Vec<u8>) {
        let entry = view.entry;
        let original = &entry.original;
        match self {
            Self::Protocol => out.extend([KNOWN, original.protocol.number()]),
            Self::Family => out.extend([KNOWN, u8::from(original.source.is_ipv6())]),
            Self::State => match entry.state {
                State::Stateless => match original.protocol {
                    Protocol::Tcp | Protocol::Sctp | Protocol::Dccp => out.push(MISSING),
                    _ => out.extend([KNOWN, 0, 0]),
                },
                State::Tcp(state) => out.extend([KNOWN, 1, state.number()]),
                State::Sctp(state) => out.extend([KNOWN, 2, state.number()]),
                State::Dccp(state) => out.extend([KNOWN, 3, state.number()]),
            },
            Self::Class => out.extend([KNOWN, entry.class() as u8]),
            Self::Service => service(original, out),
            Self::SourcePort => number(original.source_port(), out),
            Self::DestinationPort => number(original.destination_port(), out),
            Self::Source(cut) => address(cut, original.source, out),
            Self::Destination(cut) => address(cut, original.destination, out),
            Self::ReplySource(cut) => address(cut, entry.reply.source, out),
            Self::ReplyDestination(cut) => address(cut, entry.reply.destination, out),
            Self::Direction => match view.direction() {
                Some(direction) => out.extend([KNOWN, direction as u8]),
                None => out.push(MISSING),
            },
            Self::Netns => match &view.around.netns {
                None => out.push(MISSING),
                Some(netns) => match (netns.name(), netns.inode) {
                    (Some(name), _) => text(Some(name), texts, out),
                    (None, Some(inode)) => text(Some(&alloc::format!("net:[{inode}]")), texts, out),
                    (None, None) => out.push(MISSING),
                },
            },
            Self::Process => owner(view, texts, out, |owner| owner.process.as_deref()),
            Self::Unit => owner(view, texts, out, |owner| owner.unit.as_deref()),
            Self::Container => owner(view, texts, out, |owner| owner.container.as_deref()),
            Self::Pod => owner(view, texts, out, |owner| owner.pod.as_deref()),
            Self::Zone => number(Some(entry.zone.id), out),
            Self::Mark => match entry.mark {
                Some(mark) => {
                    out.push(KNOWN);
                    out.extend(mark.to_be_bytes());
                }
                None => out.push(MISSING),
            },
            Self::Helper => match &entry.helper {
                Some(helper) => text(Some(helper.as_str()), texts, out),
                None if view.around.tells.helper => text(None, texts, out),
                None => out.push(MISSING),
            },
            Self::Band(span) => {
                let span: Option<Seconds> = match span {
                    Span::Age => entry.age,
                    Span::Idle => view.idle(),
                    Span::Expires => entry.expires,
                };
                match span {
                    Some(span) => out.extend([KNOWN, Band::of(span) as u8]),
                    None => out.push(MISSING),
                }
            }
        }
    }

    fn decode(self, bytes: &[u8], texts: &Texts) -> Option<Value> {
        let (&first, rest) = bytes.split_first()?;
        match first {
            MISSING => return None,
            NOTHING => return Some(Value::Nothing),
            _ => {}
        }
        let short = || Some(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?));
        let long = || Some(u32::from_be_bytes(rest.get(..4)?.try_into().ok()?));
        let byte = rest.first().copied();
        Some(match self {
            Self::Protocol => Value::Protocol(Protocol::from_number(byte?)),
            Self::Family => Value::Family(if byte? == 0 {
                plimsoll_ct::Family::V4
            } else {
                plimsoll_ct::Family::V6
            }),
            Self::State => {
                let n = *rest.get(1)?;
                Value::State(match byte? {
                    1 => State::Tcp(plimsoll_ct::TcpState::from_number(n)),
                    2 => State::Sctp(plimsoll_ct::SctpState::from_number(n)),
                    3 => State::Dccp(plimsoll_ct::DccpState::from_number(n)),
                    _ => State::Stateless,
                })
            }
            Self::Class => {
                let all = [Class::Evictable, Class::Closing, Class::Protected];
                Value::Class(*all.get(usize::from(byte?))?)
            }
            Self::Service => {
                let protocol = Protocol::from_number(byte?);
                Value::Service(protocol, u16::from_be_bytes(rest.get(1..3)?.try_into().ok()?))
            }
            Self::SourcePort | Self::DestinationPort => Value::Port(short()?),
            Self::Zone => Value::Zone(short()?),
            Self::Source(cut)
            | Self::Destination(cut)
            | Self::ReplySource(cut)
            | Self::ReplyDestination(cut) => {
                let address: IpAddr = if first == V4 {
                    <[u8; 4]>::try_from(rest.get(..4)?).ok()?.into()
                } else {
                    <[u8; 16]>::try_from(rest).ok()?.into()
                };
                Value::Net(cut.of(address))
            }
            Self::Direction => Value::Direction(*Direction::ALL.get(usize::from(byte?))?),
            Self::Netns
            | Self::Process
            | Self::Unit
            | Self::Container
            | Self::Pod
            | Self::Helper => texts.value(long()?),
            Self::Mark => Value::Mark(long()?),
            Self::Band(_) => Value::Band(*Band::ALL.get(usize::from(byte?))?),
        })
    }
}

/// First byte of an IPv4 address; of an IPv6 address it is 2.
const V4: u8 = 1;

fn address(cut: Cut, address: IpAddr, out: &mut Vec<u8>) {
    match cut.of(address).address() {
        IpAddr::V4(a) => {
            out.push(V4);
            out.extend(a.octets());
        }
        IpAddr::V6(a) => {
            out.push(2);
            out.extend(a.octets());
        }
    }
}

fn number(value: Option<u16>, out: &mut Vec<u8>) {
    match value {
        Some(value) => {
            out.push(KNOWN);
            out.extend(value.to_be_bytes());
        }
        None => out.push(NOTHING),
    }
}

/// Protocol and destination port; of ICMP the type in its place.
fn service(tuple: &Tuple, out: &mut Vec<u8>) {
    let place = match tuple.l4 {
        L4::Ports { destination, .. } => destination,
        L4::Icmp { kind, .. } => kind.into(),
        L4::Gre { .. } | L4::None => 0,
    };
    out.extend([KNOWN, tuple.protocol.number()]);
    out.extend(place.to_be_bytes());
}

fn text(name: Option<&str>, texts: &mut Texts, out: &mut Vec<u8>) {
    out.push(KNOWN);
    out.extend(texts.number(name).to_be_bytes());
}

/// The first owner that has it; "none" when some were found that have not, missing when nobody was found.
fn owner(
    view: &View<'_>,
    texts: &mut Texts,
    out: &mut Vec<u8>,
    name: impl for<'o> Fn(&'o crate::Owner) -> Option<&'o str>,
) {
    match view.owners {
        None | Some([]) => out.push(MISSING),
        Some(owners) => text(owners.iter().find_map(name), texts, out),
    }
}

impl From<Span> for SpanOf {
    fn from(span: Span) -> Self {
        match span {
            Span::Age => Self::Age,
            Span::Idle => Self::Idle,
            Span::Expires => Self::Expires,
        }
    }
}
