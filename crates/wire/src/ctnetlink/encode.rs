//! An entry with its details to a message's payload.

use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{Accounting, L4, Protocol, State, Tuple, Zone, ZoneDirection};

use super::flow::{Details, Flow};
use super::number;
use crate::netlink::Writer;

/// The order in which a kernel of today writes a dump reply.
pub(super) const DUMP_ORDER: &[u16] = &[
    number::TUPLE_ORIG,
    number::TUPLE_REPLY,
    number::ZONE,
    number::STATUS,
    number::MARK,
    number::ID,
    number::USE,
    number::TUPLE_MASTER,
    number::TIMEOUT,
    number::PROTOINFO,
    number::COUNTERS_ORIG,
    number::COUNTERS_REPLY,
    number::TIMESTAMP,
    number::HELP,
    number::SECCTX,
    number::LABELS,
    number::SEQ_ADJ_ORIG,
    number::SEQ_ADJ_REPLY,
    number::SYNPROXY,
];

impl Flow {
    /// The payload, its attributes in the order they came in, or in a dump's order when there is none.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::payload();
        w.raw(&self.details.generic);
        let order = if self.order.is_empty() { DUMP_ORDER } else { &self.order };
        for &kind in order {
            self.attribute(kind, &mut w);
        }
        w.into_payload()
    }

    fn attribute(&self, kind: u16, w: &mut Writer) {
        let entry = &self.entry;
        let details = &self.details;
        let word = |w: &mut Writer, value: Option<u32>| {
            if let Some(value) = value {
                w.attribute(kind, &value.to_be_bytes());
            }
        };
        match kind {
            number::TUPLE_ORIG => {
                let zone = in_tuple(entry.zone, ZoneDirection::Original);
                w.nest(kind, |w| tuple(&entry.original, zone, w));
            }
            number::TUPLE_REPLY => {
                let zone = in_tuple(entry.zone, ZoneDirection::Reply);
                w.nest(kind, |w| tuple(&entry.reply, zone, w));
            }
            number::TUPLE_MASTER => {
                if let Some(master) = &details.master {
                    w.nest(kind, |w| tuple(master, None, w));
                }
            }
            number::ZONE => {
                if entry.zone.id != 0 && entry.zone.direction == ZoneDirection::Both {
                    w.attribute(kind, &entry.zone.id.to_be_bytes());
                }
            }
            number::STATUS => word(w, Some(entry.status.0)),
            number::MARK => word(w, entry.mark),
            number::ID => word(w, entry.id),
            number::USE => word(w, entry.references),
            number::TIMEOUT => {
                word(w, entry.expires.map(|s| u32::try_from(s.get()).unwrap_or(u32::MAX)));
            }
            number::COUNTERS_ORIG => accounting(kind, entry.original_accounting, w),
            number::COUNTERS_REPLY => accounting(kind, entry.reply_accounting, w),
            number::PROTOINFO => protoinfo(entry.state, details, w),
            number::HELP => {
                if let Some(name) = &entry.helper {
                    w.nest(kind, |w| string(1, name.as_str(), w));
                }
            }
            number::SECCTX => {
                if let Some(name) = &details.security {
                    w.nest(kind, |w| string(1, name, w));
                }
            }
            number::TIMESTAMP => {
                if details.started.is_some() || details.stopped.is_some() {
                    w.nest(kind, |w| {
                        for (kind, value) in [(1, details.started), (2, details.stopped)] {
                            if let Some(value) = value {
                                w.attribute(kind, &value.to_be_bytes());
                            }
                        }
                    });
                }
            }
            number::TIMESTAMP_EVENT => {
                if let Some(value) = details.event {
                    w.attribute(kind, &value.to_be_bytes());
                }
            }
            number::SEQ_ADJ_ORIG | number::SEQ_ADJ_REPLY => {
                if let Some(s) = details.sequence[usize::from(kind - number::SEQ_ADJ_ORIG)] {
                    words(kind, [s.correction, s.before, s.after], w);
                }
            }
            number::SYNPROXY => {
                if let Some(s) = details.synproxy {
                    words(kind, [s.initial_sequence, s.initial_timestamp, s.timestamp_offset], w);
                }
            }
            number::LABELS => {
                if let Some(labels) = &details.labels {
                    w.attribute(kind, labels);
                }
            }
            other => {
                for (_, value) in details.unknown.iter().filter(|(kind, _)| *kind == other) {
                    w.attribute(other, value);
                }
            }
        }
    }
}

fn in_tuple(zone: Zone, direction: ZoneDirection) -> Option<u16> {
    (zone.direction == direction).then_some(zone.id)
}

pub(super) fn tuple(tuple: &Tuple, zone: Option<u16>, w: &mut Writer) {
    w.nest(1, |w| {
        let pair = [(1, 3, tuple.source), (2, 4, tuple.destination)];
        for (v4, v6, address) in pair {
            match address {
                IpAddr::V4(a) => w.attribute(v4, &a.octets()),
                IpAddr::V6(a) => w.attribute(v6, &a.octets()),
            };
        }
    });
    w.nest(2, |w| {
        w.attribute(1, &[tuple.protocol.number()]);
        match tuple.l4 {
            L4::Ports { source, destination } | L4::Gre { source, destination } => {
                w.attribute(2, &source.to_be_bytes()).attribute(3, &destination.to_be_bytes());
            }
            L4::Icmp { kind, code, id } => {
                let first = if tuple.protocol == Protocol::Icmpv6 { 7 } else { 4 };
                w.attribute(first, &id.to_be_bytes())
                    .attribute(first + 1, &[kind])
                    .attribute(first + 2, &[code]);
            }
            L4::None => {}
        }
    });
    if let Some(zone) = zone {
        w.attribute(3, &zone.to_be_bytes());
    }
}

fn protoinfo(state: State, details: &Details, w: &mut Writer) {
    if state == State::Stateless {
        return;
    }
    w.nest(number::PROTOINFO, |w| match state {
        State::Stateless => {}
        State::Tcp(state) => {
            w.nest(1, |w| {
                w.attribute(1, &[state.number()]);
                let tcp = details.tcp.unwrap_or_default();
                for (kind, scale) in [2, 3].into_iter().zip(tcp.window_scale) {
                    if let Some(scale) = scale {
                        w.attribute(kind, &[scale]);
                    }
                }
                for (kind, flags) in [4, 5].into_iter().zip(tcp.flags) {
                    if let Some(flags) = flags {
                        w.attribute(kind, &flags);
                    }
                }
            });
        }
        State::Dccp(state) => {
            w.nest(2, |w| {
                w.attribute(1, &[state.number()]);
                let dccp = details.dccp.unwrap_or_default();
                if let Some(role) = dccp.role {
                    w.attribute(2, &[role]);
                }
                if let Some(sequence) = dccp.handshake {
                    w.attribute(3, &sequence.to_be_bytes());
                }
            });
        }
        State::Sctp(state) => {
            w.nest(3, |w| {
                w.attribute(1, &[state.number()]);
                for (kind, tag) in [2, 3].into_iter().zip(details.sctp_tags.unwrap_or_default()) {
                    if let Some(tag) = tag {
                        w.attribute(kind, &tag.to_be_bytes());
                    }
                }
            });
        }
    });
}

fn accounting(kind: u16, counters: Option<Accounting>, w: &mut Writer) {
    if let Some(counters) = counters {
        w.nest(kind, |w| {
            w.attribute(1, &counters.packets.to_be_bytes());
            w.attribute(2, &counters.bytes.to_be_bytes());
        });
    }
}

fn words(kind: u16, values: [u32; 3], w: &mut Writer) {
    w.nest(kind, |w| {
        for (kind, value) in (1..).zip(values) {
            w.attribute(kind, &value.to_be_bytes());
        }
    });
}

/// A string with its NUL.
fn string(kind: u16, text: &str, w: &mut Writer) {
    let mut bytes = Vec::from(text.as_bytes());
    bytes.push(0);
    w.attribute(kind, &bytes);
}
