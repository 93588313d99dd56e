//! `conntrack -L -o xml`.
//!
//! The tool prints one `<flow>` a line; a file that was re-indented is read as well when it is cut by
//! [`flow_end`]. What the form leaves out is lost: type, code and id of ICMP.
//! conntrack-tools 1.4.7 names the states of every protocol by TCP's words (SCTP's CLOSED reads
//! `SYN_SENT`); the number behind the word is right, so it is taken through that.

use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{
    Accounting, DccpState, Entry, L4, Protocol, SctpState, Seconds, State, Status, TcpState, Tuple,
    Zone, ZoneDirection,
};

use super::digits::{self, formatted};
use super::parse::{address, hexadecimal, integer, wrong};
use super::write::shown;
use crate::{Expected, Malformed};

/// Where the first whole `<flow>` of a text ends, if there is one: the index behind `</flow>`.
pub fn flow_end(text: &[u8]) -> Option<usize> {
    const END: &[u8] = b"</flow>";
    text.windows(END.len()).position(|w| w == END).map(|at| at + END.len())
}

/// The entry of one `<flow>…</flow>`.
pub fn parse(flow: &[u8]) -> Result<Entry, Malformed> {
    let text = core::str::from_utf8(flow)
        .map_err(|e| wrong("<flow>", Expected::TEXT, &flow[e.valid_up_to()..]))?;
    let start = text.find("<flow").ok_or_else(|| wrong("<flow>", Expected::Name("<flow"), flow))?;
    let mut halves = [Half::default(); 2];
    let mut at = Place::Independent;
    let mut expires = None;
    let mut state = None;
    let mut zone = Zone::default();
    let (mut mark, mut id, mut references, mut age) = (None, None, None, None);
    let mut helper = None;
    let mut status = Status::SEEN_REPLY;
    for Element { name, attributes, text } in (Elements { rest: &text[start..] }) {
        match (name, at) {
            ("meta", _) => {
                at = match attribute(attributes, "direction") {
                    Some("original") => Place::Half(0),
                    Some("reply") => Place::Half(1),
                    _ => Place::Independent,
                };
            }
            ("layer4", Place::Half(h)) => {
                let number = attribute(attributes, "protonum").unwrap_or("");
                halves[h].protocol = Some(integer(number, "protonum")?);
            }
            ("src", Place::Half(h)) => halves[h].source = Some(address(text, "<src>")?),
            ("dst", Place::Half(h)) => halves[h].destination = Some(address(text, "<dst>")?),
            ("sport", Place::Half(h)) => halves[h].first = Some(integer(text, "<sport>")?),
            ("dport", Place::Half(h)) => halves[h].second = Some(integer(text, "<dport>")?),
            ("srckey", Place::Half(h)) => halves[h].first = Some(hexadecimal(text, "<srckey>")?),
            ("dstkey", Place::Half(h)) => halves[h].second = Some(hexadecimal(text, "<dstkey>")?),
            ("packets", Place::Half(h)) => halves[h].packets = Some(integer(text, "<packets>")?),
            ("bytes", Place::Half(h)) => halves[h].bytes = Some(integer(text, "<bytes>")?),
            ("state", Place::Independent) => state = TcpState::from_name(text),
            ("timeout", Place::Independent) => {
                expires = Some(Seconds(integer(text, "<timeout>")?));
            }
            ("mark", Place::Independent) => mark = Some(integer(text, "<mark>")?),
            ("zone", Place::Half(h)) => {
                let direction = if h == 0 { ZoneDirection::Original } else { ZoneDirection::Reply };
                zone = Zone { id: integer(text, "<zone>")?, direction };
            }
            ("zone", Place::Independent) => {
                zone = Zone { id: integer(text, "<zone>")?, direction: ZoneDirection::Both };
            }
            ("use", Place::Independent) => references = Some(integer(text, "<use>")?),
            ("id", Place::Independent) => id = Some(integer(text, "<id>")?),
            ("deltatime", Place::Independent) => {
                age = Some(Seconds(integer(text, "<deltatime>")?));
            }
            ("helper", Place::Independent) => helper = Some(text.into()),
            ("assured", Place::Independent) => status |= Status::ASSURED,
            ("unreplied", Place::Independent) => status.0 &= !Status::SEEN_REPLY.0,
            ("offload", Place::Independent) => status |= Status::OFFLOAD,
            ("hw_offload", Place::Independent) => status |= Status::HW_OFFLOAD,
            _ => {}
        }
    }
    let original = halves[0].tuple("original direction", flow)?;
    let reply = halves[1].tuple("reply direction", flow)?;
    if original.family() != reply.family() {
        return Err(wrong(crate::Place::Words(&["addresses", "地址"]), Expected::ONE_FAMILY, flow));
    }
    let state = state.map_or(State::Stateless, |s| by_number(original.protocol, s));
    Ok(Entry {
        expires,
        zone,
        mark,
        id,
        references,
        original_accounting: halves[0].accounting(),
        reply_accounting: halves[1].accounting(),
        age,
        helper,
        ..Entry::new(original, reply, state, status)
    })
}

/// What stands before the first flow and behind the last, each with its line feed.
pub const FRAME: [&str; 2] =
    ["<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<conntrack>\n", "</conntrack>\n"];

/// What a flow shows beside its entry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra<'a> {
    /// `new`, `update`, `destroy` of an event.
    pub event: Option<&'a str>,
    /// Start and stop in nanoseconds since 1970.
    pub times: (Option<u64>, Option<u64>),
    /// Security context.
    pub security: Option<&'a str>,
    /// Names of labels.
    pub labels: &'a [&'a str],
    /// Local time of the event: hour, minute, second, day of the week (Sunday is 1), day, month, year.
    pub when: Option<[u16; 7]>,
}

/// Appends `<flow>…</flow>` of an entry, as conntrack-tools 1.4.7 writes it.
pub fn append(out: &mut Vec<u8>, entry: &Entry, extra: &Extra<'_>) {
    out.extend_from_slice(b"<flow");
    if let Some(event) = extra.event {
        formatted(out, format_args!(" type=\"{event}\""));
    }
    out.push(b'>');
    let zone = |direction| (entry.zone.direction == direction).then_some(entry.zone.id);
    let original = zone(ZoneDirection::Original);
    half(out, "original", &entry.original, original, entry.original_accounting);
    half(out, "reply", &entry.reply, zone(ZoneDirection::Reply), entry.reply_accounting);
    out.extend_from_slice(b"<meta direction=\"independent\">");
    let number = match entry.state {
        State::Stateless => None,
        State::Tcp(state) => Some(state.number()),
        State::Sctp(state) => Some(state.number()),
        State::Dccp(state) => Some(state.number()),
    };
    if let Some(number) = number {
        formatted(out, format_args!("<state>{}</state>", TcpState::from_number(number)));
    }
    element(out, "timeout", entry.expires.map(Seconds::get));
    element(out, "mark", entry.mark);
    if let Some(security) = extra.security {
        formatted(out, format_args!("<secctx>{security}</secctx>"));
    }
    element(out, "zone", zone(ZoneDirection::Both).filter(|id| *id != 0));
    element(out, "use", entry.references);
    element(out, "id", entry.id);
    if entry.is_assured() {
        out.extend_from_slice(b"<assured/>");
    }
    if !entry.is_replied() {
        out.extend_from_slice(b"<unreplied/>");
    }
    if let (Some(start), stop) = extra.times {
        formatted(out, format_args!("<timestamp><start>{start}</start>"));
        element(out, "stop", stop);
        out.extend_from_slice(b"</timestamp>");
    }
    element(out, "deltatime", entry.age.map(Seconds::get));
    out.extend_from_slice(b"</meta>");
    if !extra.labels.is_empty() {
        out.extend_from_slice(b"<labels>");
        for label in extra.labels {
            formatted(out, format_args!("<label>{label}</label>"));
        }
        out.extend_from_slice(b"</labels>");
    }
    if let Some(helper) = &entry.helper {
        formatted(out, format_args!("<helper>{helper}</helper>"));
    }
    if let Some([hour, minute, second, weekday, day, month, year]) = extra.when {
        formatted(
            out,
            format_args!(
                "<when><hour>{hour}</hour><min>{minute:02}</min><sec>{second:02}</sec><wday>{weekday}</wday>\
                 <day>{day}</day><month>{month}</month><year>{year}</year></when>"
            ),
        );
    }
    out.extend_from_slice(b"</flow>");
}

fn half(
    out: &mut Vec<u8>,
    direction: &str,
    tuple: &Tuple,
    zone: Option<u16>,
    accounting: Option<Accounting>,
) {
    let (number, name) = if tuple.source.is_ipv4() { (2, "ipv4") } else { (10, "ipv6") };
    formatted(
        out,
        format_args!(
            "<meta direction=\"{direction}\"><layer3 protonum=\"{number}\" protoname=\"{name}\"><src>"
        ),
    );
    digits::address(out, tuple.source);
    out.extend_from_slice(b"</src><dst>");
    digits::address(out, tuple.destination);
    let protocol = tuple.protocol;
    formatted(
        out,
        format_args!(
            "</dst></layer3><layer4 protonum=\"{}\" protoname=\"{}\">",
            protocol.number(),
            protocol.name()
        ),
    );
    match shown(tuple) {
        L4::Ports { source, destination } => {
            element(out, "sport", Some(source));
            element(out, "dport", Some(destination));
        }
        L4::Gre { source, destination } => formatted(
            out,
            format_args!("<srckey>{source:#x}</srckey><dstkey>{destination:#x}</dstkey>"),
        ),
        L4::Icmp { .. } | L4::None => {}
    }
    out.extend_from_slice(b"</layer4>");
    element(out, "zone", zone);
    if let Some(Accounting { packets, bytes }) = accounting {
        out.extend_from_slice(b"<counters>");
        element(out, "packets", Some(packets));
        element(out, "bytes", Some(bytes));
        out.extend_from_slice(b"</counters>");
    }
    out.extend_from_slice(b"</meta>");
}

fn element(out: &mut Vec<u8>, name: &str, value: Option<impl Into<u64>>) {
    if let Some(value) = value {
        formatted(out, format_args!("<{name}>{}</{name}>", value.into()));
    }
}

fn by_number(protocol: Protocol, word: TcpState) -> State {
    match protocol {
        Protocol::Tcp => State::Tcp(word),
        Protocol::Sctp => State::Sctp(SctpState::from_number(word.number())),
        Protocol::Dccp => State::Dccp(DccpState::from_number(word.number())),
        _ => State::Stateless,
    }
}

#[derive(Clone, Copy)]
enum Place {
    Half(usize),
    Independent,
}

#[derive(Debug, Default, Clone, Copy)]
struct Half {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    protocol: Option<u8>,
    first: Option<u16>,
    second: Option<u16>,
    packets: Option<u64>,
    bytes: Option<u64>,
}

impl Half {
    fn tuple(&self, place: &'static str, flow: &[u8]) -> Result<Tuple, Malformed> {
        match (self.source, self.destination, self.protocol) {
            (Some(source), Some(destination), Some(number))
                if source.is_ipv4() == destination.is_ipv4() =>
            {
                let protocol = Protocol::from_number(number);
                let l4 = match (protocol, self.first, self.second) {
                    (Protocol::Gre, Some(source), Some(destination)) => {
                        L4::Gre { source, destination }
                    }
                    // A form of foreign bytes may give ports to what has none.
                    (Protocol::Icmp | Protocol::Icmpv6, ..) => L4::None,
                    (_, Some(source), Some(destination)) => L4::Ports { source, destination },
                    _ => L4::None,
                };
                Ok(Tuple { source, destination, protocol, l4 })
            }
            _ => Err(wrong(
                place,
                Expected::Words(&["<src>, <dst> and protonum", "<src>、<dst> 和 protonum"]),
                flow,
            )),
        }
    }

    fn accounting(&self) -> Option<Accounting> {
        self.packets.zip(self.bytes).map(|(packets, bytes)| Accounting { packets, bytes })
    }
}

/// One opening tag, and the text up to the next tag.
struct Element<'a> {
    name: &'a str,
    attributes: &'a str,
    text: &'a str,
}

struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            let (_, tag) = self.rest.split_once('<')?;
            let (tag, rest) = tag.split_once('>')?;
            self.rest = rest;
            if tag.starts_with('/') {
                continue;
            }
            let tag = tag.trim_end_matches('/');
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            let text = rest.split_once('<').map_or(rest, |(text, _)| text).trim();
            return Some(Element { name, attributes, text });
        }
    }
}

fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = attributes.split_once(name)?;
    rest.strip_prefix("=\"")?.split_once('"').map(|(value, _)| value)
}
