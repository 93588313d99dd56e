//! TCP: connections as real stacks make them, and segments that none would send.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::Hosts;
use crate::forge::TcpSegment;

/// A TCP segment relative to what its side sent and received before.
#[derive(Debug, Clone)]
pub struct Segment {
    /// From the server.
    pub reply: bool,
    /// Flags.
    pub flags: u8,
    /// Off the next sequence number.
    pub seq: i64,
    /// Off the acknowledgement of all that the other side sent.
    pub ack: i64,
    /// Window.
    pub window: u16,
    /// Octets.
    pub payload: usize,
    /// Window scale.
    pub scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// A SACK block: its left edge off the acknowledgement.
    pub sack: Option<u32>,
}

/// A connection, or what is left of one.
pub(super) fn connection() -> impl Strategy<Value = Vec<Segment>> {
    (opening(), vec(segment(), 0..8), prop_oneof![5 => Just(vec![]), 1 => opening()]).prop_map(
        |(mut segments, rest, again)| {
            segments.extend(rest);
            // The same ports once more.
            segments.extend(again);
            segments
        },
    )
}

fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => Just(0i64),
        1 => Just(1),
        1 => Just(-1),
        1 => -3000i64..3000,
        1 => prop_oneof![Just(65_535i64), Just(66_000), Just(66_001), Just(-66_000), Just(-66_001), Just(-70_000)],
        1 => -140_000i64..140_000,
        1 => any::<i32>().prop_map(i64::from),
    ]
}

fn flags() -> impl Strategy<Value = u8> {
    prop_oneof![
        6 => Just(0x10u8),
        3 => Just(0x18),
        3 => Just(0x02),
        3 => Just(0x12),
        3 => Just(0x11),
        2 => Just(0x04),
        2 => Just(0x14),
        1 => any::<u8>(),
    ]
}

fn segment() -> impl Strategy<Value = Segment> {
    let window = prop_oneof![4 => Just(65_535u16), 2 => Just(502), 1 => Just(0), 1 => any::<u16>()];
    let payload = prop_oneof![3 => Just(0usize), 1 => Just(1), 1 => 1usize..1400];
    (
        (any::<bool>(), flags(), offset(), offset()),
        (window, payload),
        (option::weighted(0.3, 0u8..16), any::<bool>(), option::weighted(0.1, 0u32..3000)),
    )
        .prop_map(
            |((reply, flags, seq, ack), (window, payload), (scale, sack_permitted, sack))| {
                Segment { reply, flags, seq, ack, window, payload, scale, sack_permitted, sack }
            },
        )
}

/// A segment that a real stack would send at this point.
fn plain(reply: bool, flags: u8) -> Segment {
    Segment {
        reply,
        flags,
        seq: 0,
        ack: 0,
        window: 65_535,
        payload: 0,
        scale: (flags & 2 != 0).then_some(7),
        sack_permitted: flags & 2 != 0,
        sack: None,
    }
}

fn opening() -> impl Strategy<Value = Vec<Segment>> {
    prop_oneof![
        4 => Just(vec![plain(false, 0x02), plain(true, 0x12), plain(false, 0x10)]),
        1 => Just(vec![plain(false, 0x02)]),
        1 => Just(vec![plain(false, 0x02), plain(true, 0x12)]),
        1 => Just(vec![plain(false, 0x10), plain(true, 0x10)]),
        1 => Just(vec![
            plain(false, 0x02), plain(true, 0x12), plain(false, 0x10), plain(false, 0x11),
            plain(true, 0x11), plain(false, 0x10),
        ]),
        1 => Just(vec![plain(false, 0x02), plain(true, 0x12), plain(false, 0x10), plain(true, 0x14)]),
        1 => Just(vec![plain(false, 0x02), plain(true, 0x02), plain(true, 0x12), plain(false, 0x12)]),
        1 => Just(vec![]),
    ]
}

impl Segment {
    pub(super) fn packet(&self, next: &mut [u32; 2], hosts: Hosts) -> Vec<u8> {
        let me = usize::from(self.reply);
        let seq = (i64::from(next[me]) + self.seq) as u32;
        let ack =
            if self.flags & 0x10 == 0 { 0 } else { (i64::from(next[1 - me]) + self.ack) as u32 };
        let mut options = Vec::new();
        if self.flags & 2 != 0 {
            if let Some(scale) = self.scale {
                options.extend_from_slice(&[1, 3, 3, scale]);
            }
            if self.sack_permitted {
                options.extend_from_slice(&[1, 1, 4, 2]);
            }
        }
        if let Some(edge) = self.sack {
            options.extend_from_slice(&[1, 1, 5, 10]);
            options.extend_from_slice(&ack.wrapping_add(edge).to_be_bytes());
            options.extend_from_slice(&ack.wrapping_add(edge + 100).to_be_bytes());
        }
        let extra = u32::from(self.flags & 2 != 0) + u32::from(self.flags & 1 != 0);
        if self.seq == 0 && self.flags & 4 == 0 {
            next[me] = seq.wrapping_add(self.payload as u32 + extra);
        }
        let ports = if self.reply { (80, 4000) } else { (4000, 80) };
        let (source, destination) = hosts.ends(self.reply);
        let (flags, window, payload) = (self.flags, self.window, self.payload);
        let data = Vec::new();
        TcpSegment { ports, seq, ack, flags, window, options, payload, data }
            .packet(source, destination)
    }
}
