//! Layer-4 headers.

use super::{be16, be32};

/// A layer-4 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport<'a> {
    /// TCP.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Sequence number.
        seq: u32,
        /// Acknowledgement number.
        ack: u32,
        /// Flag octet.
        flags: u8,
        /// Window, unscaled.
        window: u16,
        /// Octets of payload that the IP header promises.
        payload: u32,
        /// Options.
        options: TcpOptions,
    },
    /// UDP or UDP-Lite.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Length field.
        length: u16,
    },
    /// ICMP or ICMPv6.
    Icmp(IcmpMessage<'a>),
    /// SCTP.
    Sctp(SctpHeader<'a>),
    /// DCCP.
    Dccp(DccpHeader),
    /// GRE.
    Gre {
        /// Version: 0, or 1 for PPTP.
        version: u8,
        /// Protocol type.
        protocol: u16,
        /// Call id of version 1.
        call_id: u16,
    },
    /// Anything else.
    Other,
}

/// Octets of a TCP header that conntrack reads, but for options: up to the window.
pub(super) const READ_OF_TCP: usize = 16;

/// TCP options that the tracker reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpOptions {
    /// The header promises options, whatever they are.
    pub present: bool,
    /// Window scale.
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// Right edge that the blocks of the first SACK option lead to: from the acknowledgement number to each that is
    /// ahead, modulo 2^32, of where one is. `None`: to none.
    pub sack_edge: Option<u32>,
    /// The capture cut them off: whether the flow scales its windows is unknown.
    pub cut: bool,
}

/// An ICMP or ICMPv6 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpMessage<'a> {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Identifier of a query.
    pub id: u16,
    /// What stands behind the 8 octets of the header: of an error, the packet it is about.
    pub body: &'a [u8],
}

/// An SCTP common header, with the chunks behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SctpHeader<'a> {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Verification tag.
    pub tag: u32,
    /// Chunks.
    pub chunks: &'a [u8],
}

/// A DCCP header (RFC 4340, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DccpHeader {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Type: 0 REQUEST, 1 RESPONSE, 2 DATA, 3 ACK, 4 DATAACK, 5 CLOSEREQ, 6 CLOSE, 7 RESET, 8 SYNC, 9 SYNCACK.
    pub kind: u8,
    /// Sequence number, of 48 bits or 24.
    pub sequence: u64,
    /// Acknowledgement number; 0 where the type has none.
    pub acknowledgement: u64,
    /// The packet is long enough for what its type has in its header.
    pub whole: bool,
}

/// Reads the header of `protocol`; `None` when the bytes end before it does, or it contradicts itself.
///
/// `promised`: octets behind the IP header as that header says, which the capture may have cut.
#[inline(always)]
pub fn parse_transport(protocol: u8, bytes: &[u8], promised: u32) -> Option<Transport<'_>> {
    Some(match protocol {
        6 => tcp(bytes, promised)?,
        17 | 136 => Transport::Udp {
            source: be16(bytes, 0)?,
            destination: be16(bytes, 2)?,
            length: be16(bytes, 4).or_else(|| assumed_length(promised))?,
        },
        1 | 58 => {
            let _whole = bytes.get(..8)?;
            Transport::Icmp(IcmpMessage {
                kind: bytes[0],
                code: bytes[1],
                id: be16(bytes, 4)?,
                body: &bytes[8..],
            })
        }
        132 => Transport::Sctp(SctpHeader {
            source: be16(bytes, 0)?,
            destination: be16(bytes, 2)?,
            tag: be32(bytes, 4)?,
            chunks: bytes.get(12..)?,
        }),
        33 => Transport::Dccp(dccp(bytes, promised)?),
        47 => {
            let flags = be16(bytes, 0)?;
            let version = (flags & 7) as u8;
            let call_id = if version == 1 { be16(bytes, 6)? } else { 0 };
            Transport::Gre { version, protocol: be16(bytes, 2)?, call_id }
        }
        _ => Transport::Other,
    })
}

/// The length field of a UDP header that the capture cut behind the ports: right, it is assumed.
const fn assumed_length(promised: u32) -> Option<u16> {
    match promised {
        0..8 => None,
        8..0xffff => Some(promised as u16),
        _ => Some(u16::MAX),
    }
}

/// A TCP segment that acknowledges, with data or without, and does nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Window, unscaled.
    pub window: u16,
    /// Octets of payload that the IP header promises.
    pub payload: u32,
}

impl Acknowledgement {
    /// One past its last octet.
    pub const fn end(&self) -> u32 {
        self.seq.wrapping_add(self.payload)
    }
}

/// Reads what most TCP headers are: ACK without SYN, FIN and RST, and no options but timestamps as they are usually
/// laid out (RFC 7323, appendix A). `None`: another one, or [`parse_transport`] finds none either.
#[inline(always)]
pub fn parse_acknowledgement(bytes: &[u8], promised: u32) -> Option<Acknowledgement> {
    const TIMESTAMPS: [u8; 4] = [1, 1, 8, 10];
    const KIND: u8 = 0x17;
    const ACK: u8 = 0x10;
    let header: &[u8; READ_OF_TCP] = bytes.first_chunk()?;
    if header[13] & KIND != ACK {
        return None;
    }
    let length = match header[12] >> 4 {
        5 => 20,
        8 if bytes.get(20..24) == Some(&TIMESTAMPS) => 32,
        _ => return None,
    };
    let [.., s0, s1, s2, s3, a0, a1, a2, a3, _, _, w0, w1] = *header;
    Some(Acknowledgement {
        seq: u32::from_be_bytes([s0, s1, s2, s3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        window: u16::from_be_bytes([w0, w1]),
        payload: promised.checked_sub(length)?,
    })
}

/// A SYN, or one that answers another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// It has ACK too.
    pub answers: bool,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number, whatever the flags say.
    pub ack: u32,
    /// Window, unscaled.
    pub window: u16,
    /// Octets of payload that the IP header promises.
    pub payload: u32,
    /// Options.
    pub options: TcpOptions,
}

impl Opening {
    /// One past its last octet; the SYN counts.
    pub const fn end(&self) -> u32 {
        self.seq.wrapping_add(self.payload).wrapping_add(1)
    }
}

/// Reads the header of a segment that opens a flow: SYN, with or without ACK, and neither FIN, RST nor URG. `None`: another one, or
/// [`parse_transport`] finds none either.
#[inline(always)]
pub fn parse_opening(bytes: &[u8], promised: u32) -> Option<Opening> {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    const KIND: u8 = 0x37 & !ACK;
    let header: &[u8; READ_OF_TCP] = bytes.first_chunk()?;
    let flags = header[13];
    if flags & KIND != SYN {
        return None;
    }
    let (payload, options) = behind(header, bytes, promised)?;
    let [.., s0, s1, s2, s3, a0, a1, a2, a3, _, _, w0, w1] = *header;
    Some(Opening {
        answers: flags & ACK != 0,
        seq: u32::from_be_bytes([s0, s1, s2, s3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        window: u16::from_be_bytes([w0, w1]),
        payload,
        options,
    })
}

fn dccp(bytes: &[u8], promised: u32) -> Option<DccpHeader> {
    if promised < 12 {
        let (source, destination) = (be16(bytes, 0)?, be16(bytes, 2)?);
        let nothing = DccpHeader { source, destination, ..DccpHeader::default() };
        return Some(nothing);
    }
    let header: &[u8; 12] = bytes.first_chunk()?;
    let [s0, s1, d0, d1, offset, coverage, _, _, kind, high, middle, low] = *header;
    let header_length = u32::from(offset) * 4;
    // Octets that the checksum covers, as the kernel counts them; 0: all.
    let covered = u32::from(coverage & 15).saturating_sub(1) * 4;
    if !(12..=promised).contains(&header_length) || covered > promised {
        return None;
    }
    let (extended, kind) = (kind & 1 != 0, kind >> 1 & 15);
    // Only data and acknowledgements may have the short numbers; the other types are reserved.
    if kind > 9 || !extended && !matches!(kind, 2..=4) {
        return None;
    }
    let number = |at: usize| {
        let [a, b, c, d, e, f] = *bytes.get(at..)?.first_chunk()?;
        Some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    };
    // What the capture cut is taken to be 0.
    let (basic, sequence) = if extended {
        (16, number(10).unwrap_or(0))
    } else {
        (12, u64::from(u32::from_be_bytes([0, high, middle, low])))
    };
    let rest = match kind {
        0 => 4,
        1 | 7 => 12,
        2 => 0,
        _ => 8,
    };
    let acknowledgement = if rest >= 8 { number(basic + 2).unwrap_or(0) } else { 0 };
    Some(DccpHeader {
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
        kind,
        sequence,
        acknowledgement,
        whole: promised >= basic as u32 + rest,
    })
}

#[inline(always)]
fn tcp(bytes: &[u8], promised: u32) -> Option<Transport<'_>> {
    let header: &[u8; READ_OF_TCP] = bytes.first_chunk()?;
    let (payload, options) = behind(header, bytes, promised)?;
    Some(Transport::Tcp {
        source: be16(bytes, 0)?,
        destination: be16(bytes, 2)?,
        seq: be32(bytes, 4)?,
        ack: be32(bytes, 8)?,
        flags: header[13],
        window: be16(bytes, 14)?,
        payload,
        options,
    })
}

/// Octets of payload, and the options; `None`: the header contradicts itself.
#[inline(always)]
fn behind(header: &[u8; READ_OF_TCP], bytes: &[u8], promised: u32) -> Option<(u32, TcpOptions)> {
    let length = usize::from(header[12] >> 4) * 4;
    if length < 20 || length as u32 > promised {
        return None;
    }
    let options = if length == 20 {
        TcpOptions::default()
    } else {
        let ack = be32(bytes, 8)?;
        let captured = bytes.get(20..length.min(bytes.len())).unwrap_or_default();
        options(captured, length - 20, ack).unpack()
    };
    Some((promised - length as u32, options))
}

/// [`TcpOptions`] in one word: it comes back in a register, where a struct would be written octet by octet and waited for by
/// who reads it in words.
#[derive(Clone, Copy)]
struct Options(u64);

impl Options {
    const PRESENT: u64 = 1 << 8;
    const CUT: u64 = 1 << 9;
    const SCALE: u64 = 1 << 10;
    const SACK_PERMITTED: u64 = 1 << 11;
    const EDGE: u64 = 1 << 12;

    const fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }

    const fn set_scale(&mut self, scale: u8) {
        self.0 = self.0 & !0xff | Self::SCALE | scale as u64;
    }

    const fn edge(self) -> Option<u32> {
        if self.has(Self::EDGE) { Some((self.0 >> 32) as u32) } else { None }
    }

    const fn set_edge(&mut self, edge: u32) {
        self.0 = self.0 & 0xffff_ffff | Self::EDGE | (edge as u64) << 32;
    }

    #[inline(always)]
    const fn unpack(self) -> TcpOptions {
        TcpOptions {
            present: self.has(Self::PRESENT),
            window_scale: if self.has(Self::SCALE) { Some(self.0 as u8) } else { None },
            sack_permitted: self.has(Self::SACK_PERMITTED),
            sack_edge: self.edge(),
            cut: self.has(Self::CUT),
        }
    }
}

#[inline(never)]
fn options(bytes: &[u8], promised: usize, ack: u32) -> Options {
    const END: u8 = 0;
    const NOP: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    const SACK_PERMITTED: u8 = 4;
    const SACK: u8 = 5;
    let mut found = Options(if promised > 0 { Options::PRESENT } else { 0 });
    if bytes.len() < promised {
        found.0 |= Options::CUT;
    }
    let mut rest = bytes;
    let mut sacks = false;
    while let Some(&kind) = rest.first() {
        match kind {
            END => break,
            NOP => rest = &rest[1..],
            _ => {
                let length = rest.get(1).map_or(0, |&l| usize::from(l));
                if length < 2 || length > rest.len() {
                    break;
                }
                let value = &rest[2..length];
                match (kind, value.len()) {
                    (WINDOW_SCALE, 1) => found.set_scale(value[0]),
                    (SACK_PERMITTED, 0) => found.0 |= Options::SACK_PERMITTED,
                    (SACK, n) if n >= 8 && n % 8 == 0 && !sacks => {
                        sacks = true;
                        for block in value.chunks_exact(8) {
                            let edge = be32(block, 4).unwrap_or(ack);
                            let best = found.edge().unwrap_or(ack);
                            // Half of all numbers away counts as ahead.
                            if (best.wrapping_sub(edge) as i32) < 0 {
                                found.set_edge(edge);
                            }
                        }
                    }
                    _ => {}
                }
                rest = &rest[length..];
            }
        }
    }
    found
}

/// The chunks of an SCTP packet: type, flags, and all that stands behind the chunk's header in the packet: conntrack looks there for
/// what an INIT holds, however short the chunk says it is. Stops at one that contradicts itself.
#[derive(Debug, Clone, Copy)]
pub struct SctpChunks<'a> {
    rest: &'a [u8],
}

/// Walks the chunks.
pub fn chunks<'a>(header: &SctpHeader<'a>) -> SctpChunks<'a> {
    SctpChunks { rest: header.chunks }
}

impl<'a> Iterator for SctpChunks<'a> {
    type Item = Option<(u8, u8, &'a [u8])>;

    /// `Some(None)`: a chunk of length 0, which makes the packet invalid.
    fn next(&mut self) -> Option<Self::Item> {
        let kind = *self.rest.first()?;
        let flags = *self.rest.get(1)?;
        let length = usize::from(be16(self.rest, 2)?);
        if length == 0 {
            self.rest = &[];
            return Some(None);
        }
        let value = self.rest.get(4..).unwrap_or_default();
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Some((kind, flags, value)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// The edge that SACK options with blocks of these edges lead to from an acknowledgement of 1000.
    fn edge(all: &[&[u32]]) -> Option<u32> {
        let mut bytes = Vec::new();
        for edges in all {
            bytes.extend([5, 2 + 8 * edges.len() as u8]);
            bytes.extend(
                edges.iter().flat_map(|edge| [*edge - 1, *edge]).flat_map(u32::to_be_bytes),
            );
        }
        options(&bytes, bytes.len(), 1000).unpack().sack_edge
    }

    /// As a running 6.18 does (a SYN/ACK with such options is in the window, or INVALID).
    #[test]
    fn the_blocks_of_the_first_sack_option_lead_on_from_the_acknowledgement() {
        assert_eq!(edge(&[&[900, 2000, 1500]]), Some(2000));
        assert_eq!(edge(&[&[900, 1000]]), None);
        // Each is ahead of the one before, the last of all behind the acknowledgement.
        assert_eq!(edge(&[&[0x7000_0000, 0xd000_0000]]), Some(0xd000_0000));
        assert_eq!(edge(&[&[0x8000_0000 + 1000]]), Some(0x8000_0000 + 1000), "half of all away");
        assert_eq!(edge(&[&[900], &[2000]]), None, "of the first option");
    }
}
