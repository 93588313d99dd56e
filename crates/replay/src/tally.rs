//! What a capture held, and what it could not tell.

use alloc::vec::Vec;

use plimsoll_model::Arrival;
use plimsoll_wire::packet::{NoPacket, Packet};

use crate::doubts::TCP;

/// An Ethernet frame holds no longer IP packet.
const ETHERNET: u32 = 1500;

/// Packets of the captures by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Frames read.
    pub frames: u64,
    /// Packets that went through the model.
    pub packets: u64,
    /// Not IP.
    pub not_ip: u64,
    /// On a link of a type that is not read.
    pub unknown_link: u64,
    /// The first such type, as numbered by tcpdump.org.
    pub unread_link: Option<u32>,
    /// Cut before the end of what conntrack reads of their headers.
    pub truncated: u64,
    /// With an IP header that contradicts itself: a host drops them before conntrack.
    pub malformed: u64,
    /// Without a time: taken to follow the one before at once.
    pub untimed: u64,
    /// Earlier than one before them, whose time they are given.
    pub backwards: u64,
    /// By so many nanoseconds at most.
    pub backwards_by: u64,
    /// Nanoseconds of the longest silence, if it is one of more than a day; else 0.
    pub gap: u64,
    /// The frame that ended it, counted from 1.
    pub gap_before: u64,
    /// TCP segments longer than an Ethernet frame: merged by the network card, so that repeated segments
    /// and acknowledgements are fewer than on the wire.
    pub merged: u64,
    /// Cut by the snapshot length behind that.
    pub sliced: u64,
    /// SYNs among them that lack options: whether their flows scale windows is unknown.
    pub options_cut: u64,
    /// Those among them about which the log has lines: they show as much of the packet as was captured, and tell of no
    /// checksum.
    pub log_cut: u64,
    /// Entries that began in the middle of a TCP flow: their windows and state are guesses.
    pub picked_up: u64,
}

impl Tally {
    /// Counts packets that go through the model, and leaves out those that were cut within their headers.
    pub(crate) fn sift(&mut self, arrivals: &mut Vec<Arrival<'_>>) {
        let long = |packet: &Packet<'_>| packet.length > ETHERNET;
        // Of most captures no packet is either.
        let odd = |any, Arrival { packet, .. }: &_| any | long(packet) | packet.is_cut();
        if arrivals.iter().fold(false, odd) {
            arrivals.retain(|Arrival { packet, .. }| {
                if packet.lacks_header() {
                    self.truncated += 1;
                    return false;
                }
                self.merged += u64::from((packet.protocol == TCP) & long(packet));
                self.sliced += u64::from(packet.is_cut());
                self.options_cut += u64::from(packet.is_cut() && lacks_options(packet));
                true
            });
        }
        self.packets += arrivals.len() as u64;
    }

    pub(crate) fn refused(&mut self, why: NoPacket, link: u32) {
        if why == NoPacket::UnknownLink {
            self.unread_link.get_or_insert(link);
        }
        *match why {
            NoPacket::NotIp => &mut self.not_ip,
            NoPacket::Truncated => &mut self.truncated,
            NoPacket::Malformed => &mut self.malformed,
            NoPacket::UnknownLink => &mut self.unknown_link,
        } += 1;
    }
}

/// Whether it is a SYN whose options the capture cut.
fn lacks_options(packet: &Packet<'_>) -> bool {
    const SYN: u8 = 2;
    let Some(&[offset, flags]) = packet.payload.get(12..14) else { return false };
    let is_syn = packet.protocol == TCP && packet.fragment.is_none() && flags & SYN != 0;
    // Without options it is 20 octets long, whatever of them is there.
    is_syn && usize::from(offset >> 4) * 4 > packet.payload.len().max(20)
}
