//! GRE: version 0 with and without key, version 1 as PPTP sends it, and nonsense.

use proptest::collection::vec;
use proptest::prelude::*;

use super::Hosts;
use crate::forge;

/// A GRE packet.
#[derive(Debug, Clone)]
pub struct Gre {
    /// From the server.
    pub reply: bool,
    /// First four octets: flags, version, protocol.
    pub head: [u8; 4],
    /// Key, or payload length and call id.
    pub key: [u8; 4],
}

fn packet() -> impl Strategy<Value = Gre> {
    let head = prop_oneof![
        3 => Just([0u8, 0, 8, 0]),
        1 => Just([0x20, 0, 8, 0]),
        3 => Just([0x30, 1, 0x88, 0x0b]),
        1 => Just([0x30, 0x81, 0x88, 0x0b]),
        1 => any::<[u8; 4]>(),
    ];
    let key =
        prop_oneof![3 => Just([0u8, 8, 0, 7]), 1 => Just([0, 8, 0, 9]), 1 => any::<[u8; 4]>()];
    (any::<bool>(), head, key).prop_map(|(reply, head, key)| Gre { reply, head, key })
}

pub(super) fn tunnel() -> impl Strategy<Value = Vec<Gre>> {
    vec(packet(), 1..6)
}

impl Gre {
    pub(super) fn packet(&self, hosts: Hosts) -> Vec<u8> {
        let (source, destination) = hosts.ends(self.reply);
        let mut payload = self.head.to_vec();
        payload.extend_from_slice(&self.key);
        payload.extend_from_slice(&[0x55; 24]);
        forge::ip(source, destination, 47, &payload)
    }
}
