//! Parts of a datagram, each for itself: any place, any length, and such as no datagram has.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::forge;
use crate::scripts::{Hosts, Step};

/// A part of a UDP datagram of 32 octets.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its place, in units of eight octets.
    pub offset: u16,
    /// Octets.
    pub length: u8,
    /// Whether it says that others follow, if not what is right.
    pub more: Option<bool>,
    /// Added to the identification.
    pub id: u8,
}

impl Part {
    pub(in crate::scripts) fn packet(&self, hosts: Hosts) -> Vec<u8> {
        let (source, destination) = hosts.ends(false);
        let whole = forge::udp(source, destination, (4000, 53), 24, 0);
        let header = if hosts.v6() { 40 } else { 20 };
        let (from, length) = (usize::from(self.offset) * 8, usize::from(self.length));
        let mut octets = whole.get(header + from..).unwrap_or_default().to_vec();
        octets.resize(length, 0x55);
        let more = self.more.unwrap_or(header + from + length < whole.len());
        forge::fragment(&whole, header, &octets, (77 + u32::from(self.id), from, more))
    }
}

fn part() -> impl Strategy<Value = Part> {
    let offset = prop_oneof![12 => 0u16..4, 1 => 8189u16..8192, 1 => 0u16..8192];
    let length = prop_oneof![10 => (1u8..4).prop_map(|units| units * 8), 1 => 0u8..40];
    let more = prop_oneof![6 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let id = prop_oneof![8 => Just(0u8), 1 => Just(1)];
    (offset, length, more, id).prop_map(|(offset, length, more, id)| Part {
        offset,
        length,
        more,
        id,
    })
}

pub(super) fn parts() -> impl Strategy<Value = Vec<Step>> {
    vec(part().prop_map(Step::Part), 2..12)
}
