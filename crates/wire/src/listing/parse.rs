//! One line of text to an entry.

use core::net::IpAddr;

use plimsoll_ct::{
    Accounting, DccpState, Entry, Family, L4, Protocol, SctpState, Seconds, State, Status,
    TcpState, Tuple, Zone, ZoneDirection,
};

use super::Line;
use crate::{Expected, Malformed, Place};

/// The entry of one line of /proc/net/nf_conntrack, /proc/net/ip_conntrack or `conntrack -L`.
///
/// The line may end with blanks or a line feed. The bits of the status that text tells are SEEN_REPLY,
/// ASSURED, OFFLOAD and HW_OFFLOAD. An offloaded entry hides whether it is ASSURED; for TCP it is, since
/// a flow table takes no other connection.
pub fn parse(line: &[u8]) -> Result<Line<'_>, Malformed> {
    let text = core::str::from_utf8(line).map_err(|e| {
        wrong(
            Place::Words(&["listing line", "列表中的一行"]),
            Expected::TEXT,
            &line[e.valid_up_to()..],
        )
    })?;
    let mut words = Words(text).peekable();
    let mut family = None;
    let mut word = words.next().ok_or_else(|| {
        wrong(
            Place::Words(&["listing line", "列表中的一行"]),
            Expected::Words(&["an entry", "条目"]),
            line,
        )
    })?;
    if word == "ipv4" || word == "ipv6" {
        family = Some(if word == "ipv4" { Family::V4 } else { Family::V6 });
        words.next();
        word = words
            .next()
            .ok_or_else(|| wrong(Place::Words(&["protocol", "协议"]), Expected::PROTOCOL, line))?;
    }
    if word.contains(['=', '[']) {
        return Err(wrong(
            Place::Words(&["protocol", "协议"]),
            Expected::PROTOCOL,
            word.as_bytes(),
        ));
    }
    let number = words.next().ok_or_else(|| {
        wrong(Place::Words(&["protocol number", "协议号"]), Expected::NUMBER, line)
    })?;
    let protocol =
        Protocol::from_number(integer(number, Place::Words(&["protocol number", "协议号"]))?);

    let mut expires = None;
    if let Some(seconds) = words.next_if(|w| w.bytes().all(|b| b.is_ascii_digit())) {
        expires = Some(Seconds(integer(seconds, Place::Words(&["seconds left", "剩余秒数"]))?));
    }
    let mut state = State::Stateless;
    if let Some(name) = words.next_if(|w| !w.contains(['=', '['])) {
        state = named_state(protocol, name);
    }

    let mut found = Found { protocol, ..Found::default() };
    for word in words {
        if let Some(value) = word.strip_prefix("[start=") {
            found.started = Some(value.trim_end_matches(']'));
            continue;
        }
        if let Some(value) = word.strip_prefix("[stop=") {
            found.stopped = Some(value.trim_end_matches(']'));
            continue;
        }
        match word {
            "[UNREPLIED]" => found.unreplied = true,
            "[ASSURED]" => found.status |= Status::ASSURED,
            "[OFFLOAD]" => found.status |= Status::OFFLOAD,
            "[HW_OFFLOAD]" => found.status |= Status::HW_OFFLOAD,
            _ => {
                if let Some((key, value)) = word.split_once('=') {
                    found.pair(key, value)?;
                }
            }
        }
    }
    found.finish(family, state, expires, line)
}

/// What was read of one direction.
#[derive(Debug, Default, Clone, Copy)]
struct Half {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    /// `sport`, `srckey` or `type`.
    first: Option<u16>,
    /// `dport`, `dstkey` or `code`.
    second: Option<u16>,
    /// ICMP's `id`.
    id: Option<u16>,
    packets: Option<u64>,
    bytes: Option<u64>,
}

struct Found<'a> {
    protocol: Protocol,
    halves: [Half; 2],
    /// Index of the half being read; 2 would be a third `src=`, which no one prints.
    half: usize,
    unreplied: bool,
    status: Status,
    gre: [Option<Seconds>; 2],
    zone: Zone,
    zone_shown: bool,
    mark: Option<u32>,
    secmark: Option<u32>,
    security: Option<&'a str>,
    labels: Option<&'a str>,
    started: Option<&'a str>,
    stopped: Option<&'a str>,
    age: Option<Seconds>,
    references: Option<u32>,
    id: Option<u32>,
    helper: Option<&'a str>,
}

impl Default for Found<'_> {
    fn default() -> Self {
        Self {
            protocol: Protocol::Other(0),
            halves: [Half::default(); 2],
            half: 0,
            unreplied: false,
            status: Status::empty(),
            gre: [None; 2],
            zone: Zone::default(),
            zone_shown: false,
            mark: None,
            secmark: None,
            security: None,
            labels: None,
            started: None,
            stopped: None,
            age: None,
            references: None,
            id: None,
            helper: None,
        }
    }
}

impl<'a> Found<'a> {
    fn pair(&mut self, key: &'a str, value: &'a str) -> Result<(), Malformed> {
        if key == "src" && self.halves[0].source.is_some() {
            if self.half == 1 {
                return Err(wrong(
                    Place::Words(&["third src=", "第三个 src="]),
                    Expected::Words(&["two tuples", "两个元组"]),
                    value.as_bytes(),
                ));
            }
            self.half = 1;
        }
        let icmp = matches!(self.protocol, Protocol::Icmp | Protocol::Icmpv6);
        let half = &mut self.halves[self.half];
        match key {
            "src" => half.source = Some(address(value, "src=")?),
            "dst" => half.destination = Some(address(value, "dst=")?),
            "sport" => half.first = Some(integer(value, "sport=")?),
            "dport" => half.second = Some(integer(value, "dport=")?),
            "srckey" => half.first = Some(hexadecimal(value, "srckey=")?),
            "dstkey" => half.second = Some(hexadecimal(value, "dstkey=")?),
            "type" => half.first = Some(integer::<u8>(value, "type=")?.into()),
            "code" => half.second = Some(integer::<u8>(value, "code=")?.into()),
            // Both the ICMP query and the entry have an id; the tuple's stands in the tuple.
            "id" if icmp && half.first.is_some() && half.id.is_none() => {
                half.id = Some(integer(value, "id=")?);
            }
            "id" => self.id = Some(integer(value, "id=")?),
            "packets" => half.packets = Some(integer(value, "packets=")?),
            "bytes" => half.bytes = Some(integer(value, "bytes=")?),
            "timeout" => self.gre[0] = seconds(value),
            "stream_timeout" => self.gre[1] = seconds(value),
            "zone" => {
                self.zone_shown = true;
                let id = integer(value, "zone=")?;
                if id != 0 {
                    self.zone = Zone { id, direction: ZoneDirection::Both };
                }
            }
            "zone-orig" => {
                let id = integer(value, "zone-orig=")?;
                self.zone = Zone { id, direction: ZoneDirection::Original };
            }
            "zone-reply" => {
                let id = integer(value, "zone-reply=")?;
                self.zone = Zone { id, direction: ZoneDirection::Reply };
            }
            "mark" => self.mark = Some(integer(value, "mark=")?),
            "secmark" => self.secmark = Some(integer(value, "secmark=")?),
            "secctx" => self.security = Some(value),
            "labels" => self.labels = Some(value),
            "delta-time" => self.age = Some(Seconds(integer(value, "delta-time=")?)),
            "use" => self.references = Some(integer(value, "use=")?),
            "helper" => self.helper = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn finish(
        self,
        family: Option<Family>,
        state: State,
        expires: Option<Seconds>,
        line: &[u8],
    ) -> Result<Line<'a>, Malformed> {
        let original = self.tuple(0, Place::Words(&["original tuple", "原方向元组"]), line)?;
        let reply = self.tuple(1, Place::Words(&["reply tuple", "回复方向元组"]), line)?;
        if original.family() != reply.family() || family.is_some_and(|f| f != original.family()) {
            return Err(wrong(Place::Words(&["addresses", "地址"]), Expected::ONE_FAMILY, line));
        }
        let mut status = self.status;
        if !self.unreplied {
            status |= Status::SEEN_REPLY;
        }
        let offloaded = status.contains(Status::OFFLOAD) || status.contains(Status::HW_OFFLOAD);
        if offloaded && self.protocol == Protocol::Tcp {
            status |= Status::ASSURED;
        }
        let entry = Entry {
            expires,
            zone: self.zone,
            mark: self.mark,
            id: self.id,
            references: self.references,
            original_accounting: self.accounting(0),
            reply_accounting: self.accounting(1),
            age: self.age,
            helper: self.helper.map(Into::into),
            ..Entry::new(original, reply, state, status)
        };
        Ok(Line {
            entry,
            gre: self.gre[0].zip(self.gre[1]),
            zone_shown: self.zone_shown,
            secmark: self.secmark,
            security: self.security,
            labels: self.labels,
            started: self.started,
            stopped: self.stopped,
        })
    }

    fn tuple(&self, half: usize, place: impl Into<Place>, line: &[u8]) -> Result<Tuple, Malformed> {
        let half = &self.halves[half];
        let (Some(source), Some(destination)) = (half.source, half.destination) else {
            return Err(wrong(place, Expected::Words(&["src= and dst=", "src= 和 dst="]), line));
        };
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(wrong(
                place,
                Expected::Words(&["addresses of one family", "同一地址族的地址"]),
                line,
            ));
        }
        let l4 = match (self.protocol, half.first, half.second, half.id) {
            (Protocol::Icmp | Protocol::Icmpv6, Some(kind), Some(code), Some(id)) => {
                L4::Icmp { kind: kind as u8, code: code as u8, id }
            }
            (Protocol::Icmp | Protocol::Icmpv6, ..) => L4::None,
            (Protocol::Gre, Some(source), Some(destination), _) => L4::Gre { source, destination },
            (_, Some(source), Some(destination), _) => L4::Ports { source, destination },
            _ => L4::None,
        };
        Ok(Tuple { source, destination, protocol: self.protocol, l4 })
    }

    fn accounting(&self, half: usize) -> Option<Accounting> {
        let half = &self.halves[half];
        half.packets.zip(half.bytes).map(|(packets, bytes)| Accounting { packets, bytes })
    }
}

/// The state by its word; a word that this build does not know is no state.
pub(super) fn named_state(protocol: Protocol, name: &str) -> State {
    let state = match protocol {
        Protocol::Tcp => TcpState::from_name(name).map(State::Tcp),
        Protocol::Sctp => SctpState::from_name(name).map(State::Sctp),
        Protocol::Dccp => DccpState::from_name(name).map(State::Dccp),
        _ => None,
    };
    state.unwrap_or_default()
}

pub(super) fn address(text: &str, place: impl Into<Place>) -> Result<IpAddr, Malformed> {
    text.parse()
        .map_err(|_| wrong(place, Expected::Words(&["an address", "地址"]), text.as_bytes()))
}

pub(super) fn integer<T: core::str::FromStr>(
    text: &str,
    place: impl Into<Place>,
) -> Result<T, Malformed> {
    text.parse().map_err(|_| wrong(place, Expected::NUMBER, text.as_bytes()))
}

pub(super) fn hexadecimal(text: &str, place: impl Into<Place>) -> Result<u16, Malformed> {
    u16::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16)
        .map_err(|_| wrong(place, Expected::HEXADECIMAL, text.as_bytes()))
}

/// `30,` of GRE's `timeout=30, stream_timeout=180`; other trackers' forms are not of interest.
fn seconds(text: &str) -> Option<Seconds> {
    text.trim_end_matches(',').parse().ok().map(Seconds)
}

/// Words between blanks; `[start=Mon Nov 23 01:02:51 2026]` is one word.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_ascii_start();
        let dated = text.starts_with("[start=") || text.starts_with("[stop=");
        let end = match dated.then(|| text.find(']')).flatten() {
            Some(bracket) => bracket + 1,
            None => text.bytes().position(|b| b.is_ascii_whitespace()).unwrap_or(text.len()),
        };
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

pub(super) fn wrong(place: impl Into<Place>, expected: Expected, seen: &[u8]) -> Malformed {
    Malformed::new(place, expected, seen)
}
