//! The messages that a table of millions is made of, at the speed that takes.
//!
//! Kernels write the attributes of an entry in few shapes: a tuple of IPv4 with ports is the same 48 bytes but for
//! addresses and ports. Where all headers of a shape stand where the kernel puts them, its values are taken from
//! their places; nothing is looked for, nothing allocated. A message that holds anything else is left to
//! [`super::decode`], which knows attributes by their numbers alone: so both must say the same, and the fuzz
//! target holds them to it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_ct::{
    Accounting, Entry, L4, Protocol, SctpState, Seconds, State, Status, TcpState, Time, Tuple,
    Zone, ZoneDirection,
};

use super::{GENERIC, number};

/// Flag of an attribute that holds attributes.
const NESTED: u16 = 0x8000;

/// An attribute's header: its length with the header, and its kind with the flag.
const fn header(length: u16, kind: u16) -> u32 {
    let ([a, b], [c, d]) = (length.to_ne_bytes(), kind.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// The four bytes at `AT`, of which the caller's array has enough.
const fn word<const AT: usize, const N: usize>(bytes: &[u8; N]) -> [u8; 4] {
    const { assert!(AT + 4 <= N) }
    [bytes[AT], bytes[AT + 1], bytes[AT + 2], bytes[AT + 3]]
}

/// Whether this header stands at `AT`.
const fn stands<const AT: usize, const N: usize>(bytes: &[u8; N], length: u16, kind: u16) -> bool {
    u32::from_ne_bytes(word::<AT, N>(bytes)) == header(length, kind)
}

const fn port<const AT: usize, const N: usize>(bytes: &[u8; N]) -> u16 {
    const { assert!(AT + 2 <= N) }
    u16::from_be_bytes([bytes[AT], bytes[AT + 1]])
}

/// Fills in all of `entry` but its namespace. `false`: not one of the usual messages, and `entry` holds anything.
pub(super) fn entry(payload: &[u8], now: Option<Time>, entry: &mut Entry) -> bool {
    let Some((_, mut rest)) = payload.split_first_chunk::<GENERIC>() else { return false };
    (entry.state, entry.zone) = (State::Stateless, Zone::default());
    (entry.expires, entry.mark, entry.id, entry.references) = (None, None, None, None);
    (entry.original_accounting, entry.reply_accounting) = (None, None);
    (entry.started, entry.age, entry.helper, entry.labels) = (None, None, None, None);
    let mut seen = 0;
    while let Some((head, _)) = rest.split_first_chunk::<4>() {
        let [a, b, c, d] = *head;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let kind = u16::from_ne_bytes([c, d]) & 0x3fff;
        // All that the kernel writes ends at a word.
        let Some((attribute, after)) = rest.split_at_checked(length.next_multiple_of(4)) else {
            return false;
        };
        let Some(value) = attribute.get(4..length) else { return false };
        rest = after;
        let understood = match kind {
            number::TUPLE_ORIG => {
                seen |= 1;
                tuple(value, &mut entry.original)
            }
            number::TUPLE_REPLY => {
                seen |= 2;
                tuple(value, &mut entry.reply)
            }
            number::STATUS => {
                seen |= 4;
                be32(value).map(|bits| entry.status = Status(bits)).is_some()
            }
            number::TIMEOUT => {
                entry.expires = be32(value).map(|left| Seconds(left.into()));
                entry.expires.is_some()
            }
            number::MARK => {
                entry.mark = be32(value);
                entry.mark.is_some()
            }
            number::USE => {
                entry.references = be32(value);
                entry.references.is_some()
            }
            number::ID => {
                entry.id = be32(value);
                entry.id.is_some()
            }
            number::ZONE => match value {
                [a, b] => {
                    let id = u16::from_be_bytes([*a, *b]);
                    entry.zone = Zone { id, direction: ZoneDirection::Both };
                    true
                }
                _ => false,
            },
            number::PROTOINFO => match state(value) {
                Some(state) => {
                    entry.state = state;
                    true
                }
                None => false,
            },
            number::COUNTERS_ORIG => {
                entry.original_accounting = accounting(value);
                entry.original_accounting.is_some()
            }
            number::COUNTERS_REPLY => {
                entry.reply_accounting = accounting(value);
                entry.reply_accounting.is_some()
            }
            number::TIMESTAMP => started(value, now, entry),
            number::LABELS => match value.try_into() {
                Ok(labels) => {
                    entry.labels = Some(labels);
                    true
                }
                Err(_) => false,
            },
            // A helper's name, what is no attribute of the kernel's.
            number::HELP | 0 => false,
            // Nothing that an entry holds.
            _ => true,
        };
        if !understood {
            return false;
        }
    }
    rest.is_empty() && seen == 7
}

fn be32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// A tuple without a zone, of IPv4 or IPv6, with ports or an ICMP query.
fn tuple(value: &[u8], tuple: &mut Tuple) -> bool {
    if let Some((addresses, layer4)) = value.split_first_chunk::<20>()
        && stands::<0, 20>(addresses, 20, NESTED | 1)
        && stands::<4, 20>(addresses, 8, 1)
        && stands::<12, 20>(addresses, 8, 2)
    {
        tuple.source = IpAddr::V4(Ipv4Addr::from(word::<8, 20>(addresses)));
        tuple.destination = IpAddr::V4(Ipv4Addr::from(word::<16, 20>(addresses)));
        return protocol(layer4, tuple);
    }
    if let Some((addresses, layer4)) = value.split_first_chunk::<44>()
        && stands::<0, 44>(addresses, 44, NESTED | 1)
        && stands::<4, 44>(addresses, 20, 3)
        && stands::<24, 44>(addresses, 20, 4)
    {
        tuple.source = IpAddr::V6(address::<8>(addresses));
        tuple.destination = IpAddr::V6(address::<28>(addresses));
        return protocol(layer4, tuple);
    }
    false
}

fn address<const AT: usize>(bytes: &[u8; 44]) -> Ipv6Addr {
    const { assert!(AT + 16 <= 44) }
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[AT..AT + 16]);
    Ipv6Addr::from(octets)
}

fn protocol(value: &[u8], tuple: &mut Tuple) -> bool {
    if let Ok(bytes) = <&[u8; 28]>::try_from(value)
        && stands::<0, 28>(bytes, 28, NESTED | 2)
        && stands::<4, 28>(bytes, 5, 1)
        && stands::<12, 28>(bytes, 6, 2)
        && stands::<20, 28>(bytes, 6, 3)
    {
        let (source, destination) = (port::<16, 28>(bytes), port::<24, 28>(bytes));
        tuple.protocol = Protocol::from_number(bytes[8]);
        tuple.l4 = match tuple.protocol {
            Protocol::Gre => L4::Gre { source, destination },
            _ => L4::Ports { source, destination },
        };
        return true;
    }
    if let Ok(bytes) = <&[u8; 36]>::try_from(value)
        && stands::<0, 36>(bytes, 36, NESTED | 2)
        && stands::<4, 36>(bytes, 5, 1)
        && (stands::<12, 36>(bytes, 6, 4) && bytes[8] == 1
            || stands::<12, 36>(bytes, 6, 7) && bytes[8] == 58)
        && (stands::<20, 36>(bytes, 5, 5) && stands::<28, 36>(bytes, 5, 6)
            || stands::<20, 36>(bytes, 5, 8) && stands::<28, 36>(bytes, 5, 9))
    {
        tuple.protocol = Protocol::from_number(bytes[8]);
        tuple.l4 = L4::Icmp { kind: bytes[24], code: bytes[32], id: port::<16, 36>(bytes) };
        return true;
    }
    false
}

/// The state of TCP and SCTP, with what the kernel tells beside it.
fn state(value: &[u8]) -> Option<State> {
    if let Ok(tcp) = <&[u8; 44]>::try_from(value)
        && stands::<0, 44>(tcp, 44, NESTED | 1)
        && stands::<4, 44>(tcp, 5, 1)
        && stands::<12, 44>(tcp, 5, 2)
        && stands::<20, 44>(tcp, 5, 3)
        && stands::<28, 44>(tcp, 6, 4)
        && stands::<36, 44>(tcp, 6, 5)
    {
        return Some(State::Tcp(TcpState::from_number(tcp[8])));
    }
    if let Ok(sctp) = <&[u8; 28]>::try_from(value)
        && stands::<0, 28>(sctp, 28, NESTED | 3)
        && stands::<4, 28>(sctp, 5, 1)
        && stands::<12, 28>(sctp, 8, 2)
        && stands::<20, 28>(sctp, 8, 3)
    {
        return Some(State::Sctp(SctpState::from_number(sctp[8])));
    }
    None
}

fn accounting(value: &[u8]) -> Option<Accounting> {
    let bytes: &[u8; 24] = value.try_into().ok()?;
    (stands::<0, 24>(bytes, 12, 1) && stands::<12, 24>(bytes, 12, 2)).then(|| Accounting {
        packets: long(word::<4, 24>(bytes), word::<8, 24>(bytes)),
        bytes: long(word::<16, 24>(bytes), word::<20, 24>(bytes)),
    })
}

const fn long([a, b, c, d]: [u8; 4], [e, f, g, h]: [u8; 4]) -> u64 {
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The time at which a living entry was made.
fn started(value: &[u8], now: Option<Time>, entry: &mut Entry) -> bool {
    let Ok(bytes) = <&[u8; 12]>::try_from(value) else { return false };
    if !stands::<0, 12>(bytes, 12, 1) {
        return false;
    }
    let start = long(word::<4, 12>(bytes), word::<8, 12>(bytes));
    entry.started = i64::try_from(start).ok().map(Time);
    let now = now.and_then(|now| u64::try_from(now.0).ok());
    entry.age = now.map(|now| Seconds(now.saturating_sub(start) / 1_000_000_000));
    true
}
