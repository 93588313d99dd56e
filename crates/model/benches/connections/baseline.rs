//! The table that one would write first: two keys of each connection in hashbrown's map (foldhash), the entries in a
//! slab, and the same tracker of TCP.

use hashbrown::HashMap;
use plimsoll_ct::Status;
use plimsoll_model::{
    Direction, EntryView, Flags, Info, Outcome, Segment, Sequence, Settings, Tcp,
};
use plimsoll_wire::packet::{Packet, Transport, parse_transport};

/// Addresses, ports, protocol.
type Tuple = (u32, u32, u16, u16, u8);

/// The same tracker on the table that one would write first.
#[derive(Default)]
pub struct Baseline {
    index: HashMap<Tuple, (u32, Direction)>,
    slab: Vec<(Tcp, Status, u64)>,
}

impl Baseline {
    pub fn packet(&mut self, packet: &Packet<'_>, settings: &Settings, now: u64) -> Info {
        let transport = parse_transport(packet.protocol, packet.payload, packet.payload_length);
        let (std::net::IpAddr::V4(from), std::net::IpAddr::V4(to), Some(Transport::Tcp { .. })) =
            (packet.source(), packet.destination(), &transport)
        else {
            return Info::Invalid;
        };
        let Some(Transport::Tcp { source, destination, seq, ack, flags, window, payload, options }) =
            transport
        else {
            return Info::Invalid;
        };
        let segment = Segment {
            seq: Sequence(seq),
            ack: Sequence(ack),
            window,
            flags: Flags(flags),
            payload,
            has_options: options.present,
            window_scale: options.window_scale,
            sack_permitted: options.sack_permitted,
            sack_edge: options.sack_edge.map(Sequence),
        };
        let key = (from.to_bits(), to.to_bits(), source, destination, 6);
        let (at, direction) = match self.index.get(&key) {
            Some(&found) => found,
            None => {
                let Some(tcp) = Tcp::open(&segment, &settings.tcp) else { return Info::Invalid };
                let at = self.slab.len() as u32;
                self.slab.push((tcp, Status::CONFIRMED, 0));
                self.index.insert(key, (at, Direction::Original));
                let back = (to.to_bits(), from.to_bits(), destination, source, 6);
                self.index.insert(back, (at, Direction::Reply));
                (at, Direction::Original)
            }
        };
        let (tcp, status, expires) = &mut self.slab[at as usize];
        let replied = status.contains(Status::SEEN_REPLY);
        let view = EntryView { assured: status.contains(Status::ASSURED), replied };
        match tcp.judge(direction, &segment, view, &settings.tcp, &settings.tcp_timeouts) {
            Outcome::Refresh { timeout, assure, .. } => {
                *expires = now + u64::from(settings.ticks(timeout));
                if assure {
                    *status |= Status::ASSURED;
                }
            }
            Outcome::Ignore => {}
            Outcome::Invalid { .. } | Outcome::Reopen | Outcome::Delete => return Info::Invalid,
        }
        match (direction, replied) {
            (Direction::Reply, _) => {
                *status |= Status::SEEN_REPLY;
                Info::EstablishedReply
            }
            (Direction::Original, true) => Info::Established,
            (Direction::Original, false) => Info::New,
        }
    }
}
