//! DCCP connections (RFC 4340): states on the kernels that know them, nothing but addresses on the others.

use proptest::collection::vec;
use proptest::prelude::*;

use super::Hosts;
use crate::forge;

/// A DCCP packet.
#[derive(Debug, Clone)]
pub struct Dccp {
    /// From the server.
    pub reply: bool,
    /// Type: 0 REQUEST, 1 RESPONSE, 2 DATA, 3 ACK, 4 DATAACK, 5 CLOSEREQ, 6 CLOSE, 7 RESET, 8 SYNC, 9 SYNCACK.
    pub kind: u8,
    /// Off the next sequence number.
    pub seq: i8,
    /// Off the acknowledgement of the last that the other side sent.
    pub ack: i8,
    /// What else is unusual.
    pub manner: forge::DccpManner,
}

const fn plain(reply: bool, kind: u8) -> Dccp {
    let manner = forge::DccpManner { short: false, coverage: 0, words: None };
    Dccp { reply, kind, seq: 0, ack: 0, manner }
}

fn packet() -> impl Strategy<Value = Dccp> {
    let kind = prop_oneof![10 => 0u8..10, 1 => 10u8..16];
    let off = || prop_oneof![5 => Just(0i8), 1 => -2i8..3];
    let coverage = prop_oneof![15 => Just(0u8), 1 => 1u8..10];
    let words = prop_oneof![15 => Just(None), 1 => (3u8..9).prop_map(Some)];
    let manner = (proptest::bool::weighted(0.05), coverage, words);
    (any::<bool>(), kind, off(), off(), manner).prop_map(|(reply, kind, seq, ack, manner)| {
        let (short, coverage, words) = manner;
        Dccp { reply, kind, seq, ack, manner: forge::DccpManner { short, coverage, words } }
    })
}

pub(super) fn connection() -> impl Strategy<Value = Vec<Dccp>> {
    let open = vec![plain(false, 0), plain(true, 1), plain(false, 3)];
    let used = [&open[..], &[plain(false, 4), plain(true, 4)]].concat();
    let closed = [&used[..], &[plain(true, 5), plain(false, 6), plain(true, 7)]].concat();
    let begin = prop_oneof![
        2 => Just(open.clone()),
        2 => Just(used),
        2 => Just(closed),
        1 => Just(open[..1].to_vec()),
        1 => Just(vec![]),
    ];
    (begin, vec(packet(), 0..6)).prop_map(|(mut begin, rest)| {
        begin.extend(rest);
        begin
    })
}

impl Dccp {
    pub(super) fn packet(&self, next: &mut [u32; 2], hosts: Hosts) -> Vec<u8> {
        let me = usize::from(self.reply);
        let seq = (u64::from(next[me])).wrapping_add_signed(self.seq.into());
        let ack = (u64::from(next[1 - me])).wrapping_add_signed(i64::from(self.ack) - 1);
        next[me] = (seq as u32).wrapping_add(1);
        let ports = if self.reply { (80, 4000) } else { (4000, 80) };
        let (source, destination) = hosts.ends(self.reply);
        forge::dccp(source, destination, ports, self.kind, (seq, ack), self.manner)
    }
}
