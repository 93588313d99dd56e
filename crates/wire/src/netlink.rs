//! Netlink framing: datagrams to messages, payloads to attributes, and back.
//!
//! Lengths, types and flags of the framing are in the host's byte order; what stands inside the
//! attributes of conntrack is big-endian and is the business of [`crate::ctnetlink`].
//!
//! Kernel: include/uapi/linux/netlink.h.

use alloc::vec::Vec;

use crate::{Expected, Malformed, Place};

/// Bytes of a message header.
pub const HEADER: usize = 16;

/// Flags of a message header.
pub mod flag {
    /// A request.
    pub const REQUEST: u16 = 1;
    /// Part of a sequence that [`Message::Done`](super::Message::Done) ends. Not so for the answer to
    /// ctnetlink's GET_STATS and single GET: they carry it and no DONE follows.
    pub const MULTI: u16 = 2;
    /// Please acknowledge.
    pub const ACK: u16 = 4;
    /// The dump was interrupted by a change. ctnetlink never sets it.
    pub const DUMP_INTR: u16 = 0x10;
    /// The kernel honoured the request's filter.
    pub const DUMP_FILTERED: u16 = 0x20;
    /// Everything, please.
    pub const DUMP: u16 = 0x300;
}

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length of header and payload.
    pub length: u32,
    /// Message type.
    pub kind: u16,
    /// See [`flag`].
    pub flags: u16,
    /// Sequence number of the request.
    pub sequence: u32,
    /// Port of the receiver, 0 for events.
    pub port: u32,
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Of a subsystem.
    Data {
        /// Header.
        header: Header,
        /// What follows it.
        payload: &'a [u8],
    },
    /// NLMSG_DONE: the dump's end.
    Done {
        /// Header.
        header: Header,
        /// 0, or a negative errno with which the dump was broken off.
        error: i32,
    },
    /// NLMSG_ERROR: refusal, or acknowledgement when `errno` is 0.
    Error {
        /// Header.
        header: Header,
        /// Positive errno; 0 for an acknowledgement.
        errno: i32,
    },
    /// NLMSG_NOOP, NLMSG_OVERRUN.
    Control(Header),
}

/// The messages of one datagram. Ends after the first malformed one.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    datagram: &'a [u8],
    at: usize,
}

impl<'a> Messages<'a> {
    /// The messages of a datagram as `recv` delivered it.
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self { datagram, at: 0 }
    }

    fn fail(&mut self, expected: Expected, seen: &[u8]) -> Malformed {
        let place = Place::Byte(self.at);
        self.at = self.datagram.len();
        Malformed::new(place, expected, seen)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.datagram.get(self.at..).filter(|rest| !rest.is_empty())?;
        let Some(header) = Header::read(rest) else {
            return Some(Err(
                self.fail(Expected::Words(&["a header of 16 bytes", "16 个字节的头"]), rest)
            ));
        };
        let length = header.length as usize;
        let Some(payload) = rest.get(HEADER..length) else {
            return Some(Err(self.fail(
                Expected::Words(&["a message within the datagram", "整条在数据报之内的消息"]),
                &rest[..HEADER],
            )));
        };
        self.at += align(length);
        let code = || i32_at(payload, 0);
        Some(Ok(match header.kind {
            2 => match code() {
                Some(code) => Message::Error { header, errno: code.saturating_neg() },
                None => {
                    return Some(Err(
                        self.fail(Expected::Words(&["an error code", "错误码"]), payload)
                    ));
                }
            },
            3 => Message::Done { header, error: code().unwrap_or(0) },
            1 | 4 => Message::Control(header),
            _ => Message::Data { header, payload },
        }))
    }
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            length: u32_at(bytes, 0)?,
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            sequence: u32_at(bytes, 8)?,
            port: u32_at(bytes, 12)?,
        })
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Number, without the flag bits.
    pub kind: u16,
    /// The kernel marked it as holding attributes.
    pub nested: bool,
    /// Value.
    pub value: &'a [u8],
}

/// The attributes of a payload. Ends after the first malformed one.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The attributes in `bytes`, or in another attribute's value.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let whole = core::mem::take(&mut self.rest);
        let found = u16_at(whole, 0).zip(u16_at(whole, 2)).and_then(|(length, kind)| {
            let length = usize::from(length);
            let value = whole.get(4..length)?;
            self.rest = whole.get(align(length)..).unwrap_or(&[]);
            Some(Attribute { kind: kind & 0x3fff, nested: kind & 0x8000 != 0, value })
        });
        Some(found.ok_or_else(|| {
            Malformed::new(
                Place::Words(&["attribute", "属性"]),
                Expected::Words(&["4 bytes and a fitting length", "4 个字节和相符的长度"]),
                whole,
            )
        }))
    }
}

/// Writes one message.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A message with an empty payload.
    pub fn message(kind: u16, flags: u16, sequence: u32) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes }
    }

    /// Only a payload, without a message header.
    pub const fn payload() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// An attribute of at most 65,531 bytes; what is longer is left out.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        if let Ok(length) = u16::try_from(value.len() + 4) {
            self.bytes.extend_from_slice(&length.to_ne_bytes());
            self.bytes.extend_from_slice(&kind.to_ne_bytes());
            self.bytes.extend_from_slice(value);
            self.pad();
        }
        self
    }

    /// An attribute that holds the attributes which `inside` writes.
    pub fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | 0x8000).to_ne_bytes());
        inside(self);
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => {
                self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
                self.pad();
            }
            Err(_) => self.bytes.truncate(start),
        }
        self
    }

    /// The payload as written.
    pub fn into_payload(self) -> Vec<u8> {
        self.bytes
    }

    /// The message, its length filled in.
    pub fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        if let Some(place) = self.bytes.get_mut(..4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(align(self.bytes.len()), 0);
    }
}

const fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_message_that_was_written_is_read_back() {
        let mut w = Writer::message(0x0100, flag::MULTI, 7);
        w.raw(&[2, 0, 0, 0]).attribute(12, &[1, 2, 3]).nest(1, |n| {
            n.attribute(2, &[9]);
        });
        let bytes = w.finish();
        let Message::Data { header, payload } = Messages::new(&bytes).next().unwrap().unwrap()
        else {
            panic!("data");
        };
        assert_eq!((header.kind, header.flags, header.sequence), (0x0100, flag::MULTI, 7));
        let all: Vec<_> = Attributes::new(&payload[4..]).map(|a| a.unwrap()).collect();
        assert_eq!(all[0], Attribute { kind: 12, nested: false, value: &[1, 2, 3] });
        assert!(all[1].nested);
        assert_eq!(Attributes::new(all[1].value).next().unwrap().unwrap().value, &[9]);
    }

    #[test]
    fn a_refusal_gives_its_errno_and_an_acknowledgement_gives_zero() {
        for (code, errno) in [(-1i32, 1), (0, 0), (i32::MIN, i32::MAX)] {
            let mut w = Writer::message(2, 0, 1);
            w.raw(&code.to_ne_bytes()).raw(&[0; 16]);
            let bytes = w.finish();
            let message = Messages::new(&bytes).next().unwrap().unwrap();
            assert!(matches!(message, Message::Error { errno: e, .. } if e == errno));
        }
    }

    #[test]
    fn a_length_beyond_the_datagram_is_malformed_and_ends_it() {
        let mut bytes = Writer::message(0x0100, 0, 1).finish();
        bytes[0] = 200;
        let mut messages = Messages::new(&bytes);
        assert!(messages.next().unwrap().is_err());
        assert!(messages.next().is_none());
    }

    #[test]
    fn a_length_smaller_than_the_header_is_malformed_and_does_not_loop() {
        for length in [0u8, 1, 15] {
            let mut bytes = Writer::message(0x0100, 0, 1).finish();
            bytes[0] = length;
            assert_eq!(Messages::new(&bytes).filter(Result::is_ok).count(), 0);
        }
        assert_eq!(Attributes::new(&[0, 0, 1, 0]).filter(Result::is_ok).count(), 0);
    }
}
