//! A message's attributes to an entry.
//!
//! [`decode_into`] is the hot path of a census: nothing is allocated.

use alloc::boxed::Box;
use alloc::string::String;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_ct::{
    Accounting, DccpState, Entry, HelperName, L4, Protocol, SctpState, Seconds, State, Status,
    TcpState, Time, Tuple, Zone, ZoneDirection,
};

use super::flow::{DccpDetails, Details, SequenceAdjustment, Synproxy, TcpDetails};
use super::{GENERIC, number, quick};
use crate::netlink::{Attribute, Attributes};
use crate::{Expected, Malformed, Place};

/// The entry of a dump reply or event.
///
/// `now` turns the start timestamp into an age; a DESTROY event tells its own end.
pub fn decode(payload: &[u8], now: Option<Time>) -> Result<Entry, Malformed> {
    let mut entry = Entry::UNKNOWN;
    decode_into(payload, now, &mut entry).map(|()| entry)
}

/// The same into an entry that stands already: all of it is filled in, but the namespace; after an error it holds anything.
pub fn decode_into(payload: &[u8], now: Option<Time>, entry: &mut Entry) -> Result<(), Malformed> {
    if !quick::entry(payload, now, entry) {
        *entry = Entry { netns: entry.netns, ..read(payload, now, &mut Nothing)? };
    }
    Ok(())
}

/// The same, and all else that the message tells; `details` is cleared before.
pub fn decode_with(
    payload: &[u8],
    now: Option<Time>,
    entry: &mut Entry,
    details: &mut Details,
) -> Result<(), Malformed> {
    *details = Details::default();
    *entry = Entry { netns: entry.netns, ..read(payload, now, details)? };
    Ok(())
}

/// What takes that for which [`Entry`] has no place.
pub(super) trait Sink {
    /// An attribute of this kind is about to be read.
    fn attribute(&mut self, _kind: u16) {}
    /// Where details go, if anybody wants them.
    fn details(&mut self) -> Option<&mut Details>;
}

impl Sink for Details {
    fn details(&mut self) -> Option<&mut Details> {
        Some(self)
    }
}

struct Nothing;

impl Sink for Nothing {
    fn details(&mut self) -> Option<&mut Details> {
        None
    }
}

pub(super) fn read(
    payload: &[u8],
    now: Option<Time>,
    sink: &mut impl Sink,
) -> Result<Entry, Malformed> {
    let attributes = payload
        .get(GENERIC..)
        .ok_or_else(|| Malformed::new("nfgenmsg", Expected::NFGENMSG, payload))?;
    let mut original = None;
    let mut reply = None;
    let mut status = None;
    let mut protoinfo = None;
    let mut started = None;
    let mut stopped = None;
    let mut entry = Entry::UNKNOWN;
    for attribute in Attributes::new(attributes) {
        let attribute = attribute?;
        sink.attribute(attribute.kind);
        let value = attribute.value;
        match attribute.kind {
            number::TUPLE_ORIG => {
                original = Some(tuple(value, &mut entry.zone, ZoneDirection::Original)?);
            }
            number::TUPLE_REPLY => {
                reply = Some(tuple(value, &mut entry.zone, ZoneDirection::Reply)?);
            }
            number::STATUS => status = Some(Status(be32(value, "CTA_STATUS")?)),
            number::PROTOINFO => protoinfo = Some(value),
            number::HELP => entry.helper = helper(value)?,
            number::TIMEOUT => {
                entry.expires = Some(Seconds(be32(value, "CTA_TIMEOUT")?.into()));
            }
            number::MARK => entry.mark = Some(be32(value, "CTA_MARK")?),
            number::COUNTERS_ORIG => entry.original_accounting = Some(accounting(value)?),
            number::COUNTERS_REPLY => entry.reply_accounting = Some(accounting(value)?),
            number::USE => entry.references = Some(be32(value, "CTA_USE")?),
            number::ID => entry.id = Some(be32(value, "CTA_ID")?),
            number::ZONE => {
                entry.zone = Zone { id: be16(value, "CTA_ZONE")?, direction: ZoneDirection::Both };
            }
            number::TIMESTAMP => {
                for inner in Attributes::new(value) {
                    let inner = inner?;
                    match inner.kind {
                        1 => started = Some(be64(inner.value, "CTA_TIMESTAMP_START")?),
                        2 => stopped = Some(be64(inner.value, "CTA_TIMESTAMP_STOP")?),
                        _ => {}
                    }
                }
                entry.started = started.and_then(|start| i64::try_from(start).ok()).map(Time);
                if let Some(details) = sink.details() {
                    (details.started, details.stopped) = (started, stopped);
                }
            }
            number::LABELS => {
                let mut labels = [0; 16];
                for (to, from) in labels.iter_mut().zip(value) {
                    *to = *from;
                }
                entry.labels = Some(labels);
                if let Some(details) = sink.details() {
                    details.labels = Some(value.into());
                }
            }
            kind => {
                if let Some(details) = sink.details() {
                    detail(kind, value, details)?;
                }
            }
        }
    }
    entry.original = original.ok_or_else(|| missing("CTA_TUPLE_ORIG"))?;
    entry.reply = reply.ok_or_else(|| missing("CTA_TUPLE_REPLY"))?;
    entry.status = status.ok_or_else(|| missing("CTA_STATUS"))?;
    if let Some(value) = protoinfo {
        entry.state = state(value, sink.details())?;
    }
    let end = stopped.or(now.and_then(|now| u64::try_from(now.0).ok()));
    if let (Some(start), Some(end)) = (started, end) {
        entry.age = Some(Seconds(end.saturating_sub(start) / 1_000_000_000));
    }
    Ok(entry)
}

pub(super) fn tuple(
    value: &[u8],
    zone: &mut Zone,
    direction: ZoneDirection,
) -> Result<Tuple, Malformed> {
    let mut addresses = None;
    let mut layer4 = None;
    for attribute in Attributes::new(value) {
        let attribute = attribute?;
        match attribute.kind {
            1 => addresses = Some(pair(attribute.value)?),
            2 => layer4 = Some(protocol(attribute.value)?),
            3 => *zone = Zone { id: be16(attribute.value, "CTA_TUPLE_ZONE")?, direction },
            _ => {}
        }
    }
    let (source, destination) = addresses.ok_or_else(|| missing("CTA_TUPLE_IP"))?;
    let (protocol, l4) = layer4.ok_or_else(|| missing("CTA_TUPLE_PROTO"))?;
    Ok(Tuple { source, destination, protocol, l4 })
}

fn pair(value: &[u8]) -> Result<(IpAddr, IpAddr), Malformed> {
    let mut source = None;
    let mut destination = None;
    for attribute in Attributes::new(value) {
        let attribute = attribute?;
        let place = match attribute.kind {
            1 | 3 => &mut source,
            2 | 4 => &mut destination,
            _ => continue,
        };
        *place = Some(if attribute.kind <= 2 {
            let bytes: [u8; 4] = sized(attribute.value, "CTA_IP_V4")?;
            IpAddr::V4(Ipv4Addr::from(bytes))
        } else {
            let bytes: [u8; 16] = sized(attribute.value, "CTA_IP_V6")?;
            IpAddr::V6(Ipv6Addr::from(bytes))
        });
    }
    match (source, destination) {
        (Some(s), Some(d)) if s.is_ipv4() == d.is_ipv4() => Ok((s, d)),
        _ => Err(Malformed::new(
            Place::Words(&["ctnetlink message", "ctnetlink 消息"]),
            Expected::Words(&["two addresses of one family", "同一地址族的两个地址"]),
            b"nothing",
        )),
    }
}

fn protocol(value: &[u8]) -> Result<(Protocol, L4), Malformed> {
    let mut number = None;
    let mut ports = (None, None);
    let mut icmp = (None, None, None);
    for attribute in Attributes::new(value) {
        let attribute = attribute?;
        let v = attribute.value;
        match attribute.kind {
            1 => number = Some(byte(v, "CTA_PROTO_NUM")?),
            2 => ports.0 = Some(be16(v, "CTA_PROTO_SRC_PORT")?),
            3 => ports.1 = Some(be16(v, "CTA_PROTO_DST_PORT")?),
            4 | 7 => icmp.0 = Some(be16(v, "CTA_PROTO_ICMP_ID")?),
            5 | 8 => icmp.1 = Some(byte(v, "CTA_PROTO_ICMP_TYPE")?),
            6 | 9 => icmp.2 = Some(byte(v, "CTA_PROTO_ICMP_CODE")?),
            _ => {}
        }
    }
    let protocol = Protocol::from_number(number.ok_or_else(|| missing("CTA_PROTO_NUM"))?);
    let l4 = match (protocol, ports, icmp) {
        (Protocol::Icmp | Protocol::Icmpv6, _, (Some(id), Some(kind), Some(code))) => {
            L4::Icmp { kind, code, id }
        }
        (Protocol::Gre, (Some(source), Some(destination)), _) => L4::Gre { source, destination },
        (_, (Some(source), Some(destination)), _) => L4::Ports { source, destination },
        _ => L4::None,
    };
    Ok((protocol, l4))
}

fn state(value: &[u8], mut details: Option<&mut Details>) -> Result<State, Malformed> {
    let mut state = State::Stateless;
    for attribute in Attributes::new(value) {
        let attribute = attribute?;
        let protocol = attribute.kind;
        let mut tcp = TcpDetails::default();
        let mut dccp = DccpDetails::default();
        let mut tags = [None; 2];
        for inner in Attributes::new(attribute.value) {
            let Attribute { kind, value: v, .. } = inner?;
            match (protocol, kind) {
                (1, 1) => state = State::Tcp(TcpState::from_number(byte(v, "TCP state")?)),
                (1, 2 | 3) => tcp.window_scale[usize::from(kind - 2)] = Some(byte(v, "wscale")?),
                (1, 4 | 5) => {
                    tcp.flags[usize::from(kind - 4)] = Some(sized(v, "TCP flags")?);
                }
                (2, 1) => state = State::Dccp(DccpState::from_number(byte(v, "DCCP state")?)),
                (2, 2) => dccp.role = Some(byte(v, "DCCP role")?),
                (2, 3) => dccp.handshake = Some(be64(v, "DCCP handshake sequence")?),
                (3, 1) => state = State::Sctp(SctpState::from_number(byte(v, "SCTP state")?)),
                (3, 2 | 3) => tags[usize::from(kind - 2)] = Some(be32(v, "SCTP tag")?),
                _ => {}
            }
        }
        if let Some(details) = details.as_deref_mut() {
            match protocol {
                1 => details.tcp = Some(tcp),
                2 => details.dccp = Some(dccp),
                3 => details.sctp_tags = Some(tags),
                _ => {}
            }
        }
    }
    Ok(state)
}

/// Attributes that only a full reading keeps.
fn detail(kind: u16, value: &[u8], details: &mut Details) -> Result<(), Malformed> {
    match kind {
        number::TUPLE_MASTER => {
            let mut zone = Zone::default();
            details.master = Some(tuple(value, &mut zone, ZoneDirection::Original)?);
        }
        number::SEQ_ADJ_ORIG => details.sequence[0] = Some(sequence(value)?),
        number::SEQ_ADJ_REPLY => details.sequence[1] = Some(sequence(value)?),
        number::SECCTX => {
            for inner in Attributes::new(value) {
                let inner = inner?;
                if inner.kind == 1 {
                    details.security = Some(text(inner.value));
                }
            }
        }
        number::SYNPROXY => {
            let mut s = Synproxy::default();
            for inner in Attributes::new(value) {
                let inner = inner?;
                match inner.kind {
                    1 => s.initial_sequence = be32(inner.value, "synproxy isn")?,
                    2 => s.initial_timestamp = be32(inner.value, "synproxy its")?,
                    3 => s.timestamp_offset = be32(inner.value, "synproxy tsoff")?,
                    _ => {}
                }
            }
            details.synproxy = Some(s);
        }
        number::TIMESTAMP_EVENT => details.event = Some(be64(value, "CTA_TIMESTAMP_EVENT")?),
        _ => details.unknown.push((kind, value.into())),
    }
    Ok(())
}

fn sequence(value: &[u8]) -> Result<SequenceAdjustment, Malformed> {
    let mut s = SequenceAdjustment::default();
    for inner in Attributes::new(value) {
        let inner = inner?;
        match inner.kind {
            1 => s.correction = be32(inner.value, "CTA_SEQADJ_CORRECTION_POS")?,
            2 => s.before = be32(inner.value, "CTA_SEQADJ_OFFSET_BEFORE")?,
            3 => s.after = be32(inner.value, "CTA_SEQADJ_OFFSET_AFTER")?,
            _ => {}
        }
    }
    Ok(s)
}

fn accounting(value: &[u8]) -> Result<Accounting, Malformed> {
    let mut counters = Accounting::default();
    for inner in Attributes::new(value) {
        let inner = inner?;
        match inner.kind {
            1 => counters.packets = be64(inner.value, "CTA_COUNTERS_PACKETS")?,
            2 => counters.bytes = be64(inner.value, "CTA_COUNTERS_BYTES")?,
            // Before 2.6.27 or so: 32 bits wide.
            3 => counters.packets = be32(inner.value, "CTA_COUNTERS32_PACKETS")?.into(),
            4 => counters.bytes = be32(inner.value, "CTA_COUNTERS32_BYTES")?.into(),
            _ => {}
        }
    }
    Ok(counters)
}

fn helper(value: &[u8]) -> Result<Option<HelperName>, Malformed> {
    for inner in Attributes::new(value) {
        let inner = inner?;
        if inner.kind == 1 {
            return Ok(Some(HelperName::new(inner.value)));
        }
    }
    Ok(None)
}

/// A string attribute, up to its NUL.
fn text(value: &[u8]) -> Box<str> {
    let end = value.iter().position(|&b| b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into()
}

fn missing(what: &'static str) -> Malformed {
    Malformed::new(
        Place::Words(&["ctnetlink message", "ctnetlink 消息"]),
        Expected::Name(what),
        b"nothing",
    )
}

fn sized<const N: usize>(value: &[u8], place: &'static str) -> Result<[u8; N], Malformed> {
    value.try_into().map_err(|_| Malformed::new(place, Expected::Bytes(N), value))
}

pub(super) fn byte(value: &[u8], place: &'static str) -> Result<u8, Malformed> {
    sized::<1>(value, place).map(|[b]| b)
}

pub(super) fn be16(value: &[u8], place: &'static str) -> Result<u16, Malformed> {
    sized(value, place).map(u16::from_be_bytes)
}

pub(super) fn be32(value: &[u8], place: &'static str) -> Result<u32, Malformed> {
    sized(value, place).map(u32::from_be_bytes)
}

pub(super) fn be64(value: &[u8], place: &'static str) -> Result<u64, Malformed> {
    sized(value, place).map(u64::from_be_bytes)
}
