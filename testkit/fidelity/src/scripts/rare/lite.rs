//! UDP-Lite with checksums over any part of a datagram; GRE with any header, and errors about it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::errors;
use super::headers::Icmp;
use crate::forge;
use crate::scripts::{Hosts, Step};

/// A datagram of UDP-Lite.
#[derive(Debug, Clone)]
pub struct Lite {
    /// From the server.
    pub reply: bool,
    /// Octets behind the header.
    pub payload: usize,
    /// Octets that the checksum covers, as the header says; 0: all.
    pub field: u16,
    /// Those that it covers.
    pub covered: usize,
    /// The protocol that it is summed up with.
    pub protocol: u8,
}

impl Lite {
    pub(in crate::scripts) fn packet(&self, hosts: Hosts) -> Vec<u8> {
        let (source, destination) = hosts.ends(self.reply);
        let ports = if self.reply { (53, 4000) } else { (4000, 53) };
        let Self { payload, field, covered, protocol, .. } = *self;
        forge::udp_lite_over(source, destination, ports, payload, (field, covered, protocol))
    }
}

fn lite() -> impl Strategy<Value = Lite> {
    let field = prop_oneof![2 => Just(0u16), 4 => 0u16..14, 4 => 8u16..70, 1 => any::<u16>()];
    let protocol = prop_oneof![3 => Just(17u8), 1 => Just(136)];
    (any::<bool>(), 0usize..50, field, prop::option::weighted(0.1, 0usize..60), protocol).prop_map(
        |(reply, payload, field, covered, protocol)| {
            let right = if field == 0 { 8 + payload } else { field.into() };
            Lite { reply, payload, field, covered: covered.unwrap_or(right), protocol }
        },
    )
}

pub(super) fn datagrams() -> impl Strategy<Value = Vec<Step>> {
    vec(lite().prop_map(Step::Lite), 1..8)
}

/// Any flags, versions 0 to 3, keys that differ in an octet, headers that end early; errors that quote them.
pub(super) fn tunnels() -> impl Strategy<Value = Vec<Step>> {
    let flags = prop_oneof![3 => Just(0x20u8), 2 => Just(0x30), 1 => Just(0), 1 => Just(0xb0), 1 => any::<u8>()];
    let version =
        prop_oneof![4 => Just(0u8), 4 => Just(1), 1 => Just(0x81), 1 => 0u8..4, 1 => any::<u8>()];
    let carried =
        prop_oneof![3 => Just(0x0800u16), 3 => Just(0x880b), 1 => Just(0x6558), 1 => any::<u16>()];
    let key = prop_oneof![3 => Just([0u8, 0, 0, 7]), 2 => Just([0, 8, 0, 9]), 1 => [0u8..2, 0u8..2, 0u8..2, 0u8..2]];
    let cut = prop_oneof![5 => Just(24usize), 1 => 0usize..12];
    let packet = (any::<bool>(), flags, version, carried, key, cut).prop_map(
        |(reply, flags, version, id, key, cut)| {
            let mut body = [&key[..], &[0x55; 20]].concat();
            body.truncate(cut);
            Step::Icmp(Icmp { reply, protocol: Some(47), kind: (flags, version), id, body })
        },
    );
    vec(prop_oneof![4 => packet, 1 => errors::quote()], 1..10)
}
