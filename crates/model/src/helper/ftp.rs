//! What an FTP control connection says about data connections.
//!
//! Kernel: nf_conntrack_ftp.c, v6.18. Read is what begins where a line began: a segment whose first octet follows a
//! line end that was seen. So the first line of each side is never read. A line must be whole within its segment: one that
//! begins like a command and does not end is dropped, so that its sender repeats it. Not modelled: `loose=1`,
//! `ports=`.

use core::net::IpAddr;

use plimsoll_wire::packet::Packet;

use super::{address_v6, with_first_octets};
use crate::tcp::{Direction, Sequence};

/// Payload of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) seq: Sequence,
    /// The sequence number behind it.
    pub(super) end: Sequence,
    pub(super) bytes: &'a [u8],
    /// Its last octet is a line feed. One that the capture cut off is taken for one.
    pub(super) ends_a_line: bool,
}

impl<'a> Data<'a> {
    /// Of a TCP packet; `None`: it has none.
    pub(super) fn of(packet: &Packet<'a>) -> Option<Self> {
        let header = packet.payload.first_chunk::<20>()?;
        let [_, _, _, _, a, b, c, d, ..] = *header;
        let seq = Sequence(u32::from_be_bytes([a, b, c, d]));
        let begin = u32::from(header[12] >> 4) * 4;
        let length = packet.payload_length.checked_sub(begin).filter(|length| *length > 0)?;
        let bytes = packet.payload.get(begin as usize..).unwrap_or_default();
        let whole = bytes.len() == length as usize;
        let ends_a_line = !whole || bytes.last() == Some(&b'\n');
        Some(Self { seq, end: seq.plus(length), bytes, ends_a_line })
    }
}

/// Where the last lines of one side ended: a segment that begins there begins a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lines {
    ends: [Option<Sequence>; 2],
}

impl Lines {
    pub(super) fn begins_at(&self, seq: Sequence) -> bool {
        self.ends.contains(&Some(seq))
    }

    /// Two are remembered; the older one gives way to a newer.
    pub(super) fn note_end(&mut self, end: Sequence) {
        if self.ends.contains(&Some(end)) {
            return;
        }
        self.ends = match self.ends {
            [None, second] => [Some(end), second],
            [first @ Some(_), None] => [first, Some(end)],
            [Some(a), Some(b)] if a.before(b) && end.after(a) => [Some(end), Some(b)],
            [Some(a), Some(b)] if !a.before(b) && end.after(b) => [Some(a), Some(end)],
            both => both,
        };
    }
}

/// What a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing of interest.
    Nothing,
    /// The beginning of something of interest.
    Partial,
    /// A data connection to this address and port.
    Expect { address: IpAddr, port: u16 },
}

/// How a line is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// The sender's address.
    pub(super) own: IpAddr,
    /// A port must have sixteen bits, any other number eight; otherwise what is beyond them is lost, or overflows.
    pub(super) fits: bool,
}

/// Reads one that begins a line.
pub(super) fn read(direction: Direction, bytes: &[u8], by: Reader) -> Said {
    let (first, second): (Pattern, Pattern) = match direction {
        Direction::Original => (("PORT", Some(b' '), port), ("EPRT", Some(b' '), extended_port)),
        Direction::Reply => (("227 ", None, passive), ("229 ", Some(b'('), extended_passive)),
    };
    match matched(first, bytes, by) {
        Said::Nothing => matched(second, bytes, by),
        said => said,
    }
}

/// The word that begins the line, the octet behind which the address stands, its reader.
type Pattern = (&'static str, Option<u8>, fn(&[u8], Reader) -> Option<(IpAddr, u16)>);

fn matched((word, skip, address): Pattern, bytes: &[u8], by: Reader) -> Said {
    let word = word.as_bytes();
    if bytes.len() <= word.len() {
        let begins = !bytes.is_empty() && word[..bytes.len()].eq_ignore_ascii_case(bytes);
        return if begins { Said::Partial } else { Said::Nothing };
    }
    let (begin, rest) = bytes.split_at(word.len());
    if !begin.eq_ignore_ascii_case(word) {
        return Said::Nothing;
    }
    let rest = match skip {
        None => Some(rest),
        Some(skip) => rest.iter().position(|octet| *octet == skip).map(|at| &rest[at + 1..]),
    };
    match rest.and_then(|rest| address(rest, by)) {
        Some((address, port)) => Said::Expect { address, port },
        None => Said::Partial,
    }
}

/// So many decimal numbers with a separator between them, and what ends the last; `None`: any octet that is no
/// digit. The length up to the end.
fn numbers<const N: usize>(
    bytes: &[u8],
    separator: u8,
    end: Option<u8>,
    fits: bool,
) -> Option<([u32; N], usize)> {
    let mut all = [0_u32; N];
    let mut at = 0;
    for (length, &octet) in bytes.iter().enumerate() {
        if octet.is_ascii_digit() {
            all[at] = all[at].wrapping_mul(10).wrapping_add(u32::from(octet - b'0'));
            if fits && all[at] > 255 {
                return None;
            }
        } else if octet == separator {
            at += 1;
            if at == N {
                return None;
            }
        } else {
            let ends = end.is_none_or(|end| end == octet) && at == N - 1;
            return ends.then_some((all, length));
        }
    }
    None
}

/// Four numbers as they make an address; more than an octet overflows to the left.
fn address_of([a, b, c, d]: [u32; 4]) -> u32 {
    a << 24 | b << 16 | c << 8 | d
}

/// `10,0,0,1,4,1` and a carriage return.
fn port(bytes: &[u8], by: Reader) -> Option<(IpAddr, u16)> {
    six(bytes, by, Some(b'\r'))
}

fn six(bytes: &[u8], by: Reader, end: Option<u8>) -> Option<(IpAddr, u16)> {
    let ([a, b, c, d, high, low], _) = numbers(bytes, b',', end, by.fits)?;
    let port = (high << 8 | low) as u16;
    Some((with_first_octets(by.own, address_of([a, b, c, d])), port))
}

/// Six numbers somewhere behind, however they end.
fn passive(bytes: &[u8], by: Reader) -> Option<(IpAddr, u16)> {
    let at = bytes.iter().position(u8::is_ascii_digit)?;
    six(&bytes[at..], by, None)
}

/// The octet that separates the parts of an extended address.
fn delimiter(bytes: &[u8]) -> Option<u8> {
    let &first = bytes.first().filter(|_| bytes.len() > 3)?;
    ((33..=126).contains(&first) && !first.is_ascii_digit()).then_some(first)
}

/// `|1|10.0.0.1|1025|`
fn extended_port(bytes: &[u8], by: Reader) -> Option<(IpAddr, u16)> {
    let own = by.own;
    let delimiter = delimiter(bytes)?;
    let family = if own.is_ipv6() { b'2' } else { b'1' };
    if bytes[1] != family || bytes[2] != delimiter {
        return None;
    }
    let rest = &bytes[3..];
    let (address, length) = match own {
        IpAddr::V4(_) => {
            let (all, length) = numbers(rest, b'.', Some(delimiter), by.fits)?;
            (IpAddr::V4(address_of(all).into()), length)
        }
        IpAddr::V6(_) => {
            let (address, length) = address_v6::read(rest, delimiter)?;
            (IpAddr::V6(address), length)
        }
    };
    Some((address, last_port(rest.get(length + 1..)?, delimiter, by.fits)?))
}

/// `|||1025|`
fn extended_passive(bytes: &[u8], by: Reader) -> Option<(IpAddr, u16)> {
    let delimiter = delimiter(bytes)?;
    if bytes[1] != delimiter || bytes[2] != delimiter {
        return None;
    }
    Some((by.own, last_port(&bytes[3..], delimiter, by.fits)?))
}

/// A port and the delimiter. It has sixteen bits, whatever is written; or what is written must fit.
fn last_port(bytes: &[u8], delimiter: u8, fits: bool) -> Option<u16> {
    let mut port = 0_u16;
    for &octet in bytes {
        if octet == delimiter {
            return Some(port).filter(|port| *port != 0);
        }
        if !octet.is_ascii_digit() {
            return None;
        }
        let digit = u16::from(octet - b'0');
        let more = port.checked_mul(10).and_then(|port| port.checked_add(digit));
        port = match more {
            None if fits => return None,
            _ => port.wrapping_mul(10).wrapping_add(digit),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use core::net::Ipv6Addr;

    use super::*;

    const OWN: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1));
    const BY: Reader = Reader { own: OWN, fits: false };

    fn asked(text: &str) -> Said {
        read(Direction::Original, text.as_bytes(), BY)
    }

    fn answered(text: &str) -> Said {
        read(Direction::Reply, text.as_bytes(), BY)
    }

    fn expect(port: u16) -> Said {
        Said::Expect { address: OWN, port }
    }

    #[test]
    fn the_four_ways_of_agreeing_are_read() {
        assert_eq!(asked("PORT 10,0,0,1,4,1\r\n"), expect(1025));
        assert_eq!(asked("eprt |1|10.0.0.1|1025|\r\n"), expect(1025));
        assert_eq!(answered("227 Entering Passive Mode (10,0,0,1,4,1).\r\n"), expect(1025));
        assert_eq!(answered("227 =10,0,0,1,4,1\r\n"), expect(1025));
        assert_eq!(answered("229 Entering Extended Passive Mode (|||1025|)\r\n"), expect(1025));
        let six = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
        let text = b"EPRT |2|2001:db8::1|1025|\r\n";
        let said = read(Direction::Original, text, Reader { own: six, ..BY });
        assert_eq!(said, Said::Expect { address: six, port: 1025 });
    }

    #[test]
    fn what_begins_like_a_command_and_does_not_end_is_partial() {
        for text in ["PO", "PORT", "PORT 10,0,0,1,4,1", "PORT 10,0,0,1,4\r\n", "EPRT |3|x|1|\r\n"] {
            assert_eq!(asked(text), Said::Partial, "{text:?}");
        }
        for text in ["227 no address\r\n", "229 (|||0|)\r\n", "22"] {
            assert_eq!(answered(text), Said::Partial, "{text:?}");
        }
        for text in ["USER x\r\n", " PORT 1", "230 in\r\n"] {
            assert_eq!((asked(text), answered(text)), (Said::Nothing, Said::Nothing), "{text:?}");
        }
    }

    #[test]
    fn a_number_that_does_not_fit_loses_what_is_beyond_or_is_not_taken() {
        for (text, direction) in [
            ("PORT 10,0,0,1,260,1\r\n", Direction::Original),
            ("EPRT |1|10.0.0.1|66561|\r\n", Direction::Original),
            ("229 Entering Extended Passive Mode (|||66561|)\r\n", Direction::Reply),
        ] {
            let said = |fits| read(direction, text.as_bytes(), Reader { own: OWN, fits });
            assert_eq!((said(false), said(true)), (expect(1025), Said::Partial), "{text:?}");
        }
    }

    #[test]
    fn two_line_ends_are_remembered_and_the_older_gives_way() {
        let mut lines = Lines::default();
        for end in [10, 20, 15] {
            lines.note_end(Sequence(end));
        }
        let begins = [10, 15, 20].map(|seq| lines.begins_at(Sequence(seq)));
        assert_eq!(begins, [false, true, true]);
        lines.note_end(Sequence(5));
        assert!(!lines.begins_at(Sequence(5)));
    }
}
