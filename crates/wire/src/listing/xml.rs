//! `conntrack -L -o xml`.
//!
//! The tool prints one `<flow>` a line; a file that was re-indented is read as well when it is cut by
//! [`flow_end`]. What the form leaves out is lost: type, code and id of ICMP, keys of GRE, one-way zones.
//! conntrack-tools 1.4.7 names the states of every protocol by TCP's words (SCTP's CLOSED reads
//! `SYN_SENT`); the number behind the word is right, so it is taken through that.

use core::net::IpAddr;

use plimsoll_ct::{
    Accounting, DccpState, Entry, L4, Protocol, SctpState, Seconds, State, Status, TcpState, Tuple,
    Zone, ZoneDirection,
};

use super::parse::{address, integer, wrong};
use crate::Malformed;

/// Where the first whole `<flow>` of a text ends, if there is one: the index behind `</flow>`.
pub fn flow_end(text: &[u8]) -> Option<usize> {
    const END: &[u8] = b"</flow>";
    text.windows(END.len()).position(|w| w == END).map(|at| at + END.len())
}

/// The entry of one `<flow>…</flow>`.
pub fn parse(flow: &[u8]) -> Result<Entry, Malformed> {
    let text = core::str::from_utf8(flow)
        .map_err(|e| wrong("<flow>", "text", &flow[e.valid_up_to()..]))?;
    let start = text.find("<flow").ok_or_else(|| wrong("<flow>", "<flow", flow))?;
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
            ("packets", Place::Half(h)) => halves[h].packets = Some(integer(text, "<packets>")?),
            ("bytes", Place::Half(h)) => halves[h].bytes = Some(integer(text, "<bytes>")?),
            ("state", Place::Independent) => state = TcpState::from_name(text),
            ("timeout", Place::Independent) => {
                expires = Some(Seconds(integer(text, "<timeout>")?));
            }
            ("mark", Place::Independent) => mark = Some(integer(text, "<mark>")?),
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
    Ok(Entry {
        original,
        reply,
        state: state.map_or(State::Stateless, |s| by_number(original.protocol, s)),
        status,
        expires,
        zone,
        mark,
        id,
        references,
        original_accounting: halves[0].accounting(),
        reply_accounting: halves[1].accounting(),
        age,
        helper,
    })
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
                let l4 = match (self.first, self.second) {
                    (Some(source), Some(destination)) => L4::Ports { source, destination },
                    _ => L4::None,
                };
                Ok(Tuple { source, destination, protocol: Protocol::from_number(number), l4 })
            }
            _ => Err(wrong(place, "<src>, <dst> and protonum", flow)),
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
