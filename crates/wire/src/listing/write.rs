//! An entry to one line of text, byte for byte as the kernel or the tool writes it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use plimsoll_ct::{Accounting, Family, L4, Protocol, State, Status, Tuple, ZoneDirection};

use super::digits::{address, all_digits, decimal, formatted};
use super::{Dialect, Line};

/// Writes one line, without the line feed.
///
/// What the dialect prints and the line does not know is left out.
pub fn write(out: &mut impl fmt::Write, line: &Line<'_>, dialect: Dialect) -> fmt::Result {
    let mut bytes = Vec::new();
    append(&mut bytes, line, dialect);
    out.write_str(&String::from_utf8(bytes).map_err(|_| fmt::Error)?)
}

/// The same at the end of a buffer.
pub fn append(out: &mut Vec<u8>, line: &Line<'_>, dialect: Dialect) {
    let entry = &line.entry;
    let tool = matches!(dialect, Dialect::Tool | Dialect::ToolExtended);
    let long = !tool;

    if matches!(dialect, Dialect::Proc | Dialect::ToolExtended) {
        out.extend_from_slice(match entry.original.family() {
            Family::V4 => b"ipv4     2 ",
            Family::V6 => b"ipv6     10 ",
        });
    }
    let protocol = entry.original.protocol;
    // A kernel that has no tracker of a protocol shows no ports of it and has no name for it either.
    let name = match (protocol, entry.original.l4) {
        (Protocol::Dccp | Protocol::UdpLite, L4::None) if long => "unknown",
        _ => protocol.name(),
    };
    let name = name.as_bytes();
    out.extend_from_slice(name);
    out.extend_from_slice(&b"         "[name.len().min(8)..]);
    decimal(out, protocol.number().into());
    if let Some(seconds) = entry.expires {
        out.push(b' ');
        decimal(out, seconds.get());
    }
    match entry.state {
        State::Stateless => {}
        State::Tcp(state) if state.name().is_some() => word(out, state.name()),
        State::Sctp(state) if state.name().is_some() => word(out, state.name()),
        state => formatted(out, format_args!(" {state}")),
    }
    if let (true, Some((timeout, stream))) = (long, line.gre) {
        formatted(out, format_args!(" timeout={timeout}, stream_timeout={stream}"));
    }

    direction(out, &entry.original, long);
    if entry.zone.direction == ZoneDirection::Original {
        number(out, b" zone-orig=", entry.zone.id);
    }
    counters(out, entry.original_accounting);
    if !entry.is_replied() {
        out.extend_from_slice(b" [UNREPLIED]");
    }
    direction(out, &entry.reply, long);
    if entry.zone.direction == ZoneDirection::Reply {
        number(out, b" zone-reply=", entry.zone.id);
    }
    counters(out, entry.reply_accounting);
    if entry.status.contains(Status::HW_OFFLOAD) {
        out.extend_from_slice(b" [HW_OFFLOAD]");
    } else if entry.status.contains(Status::OFFLOAD) {
        out.extend_from_slice(b" [OFFLOAD]");
    } else if entry.is_assured() {
        out.extend_from_slice(b" [ASSURED]");
    }

    if let (Dialect::Proc24, Some(references)) = (dialect, entry.references) {
        number(out, b" use=", references);
    }
    if let Some(mark) = entry.mark {
        number(out, b" mark=", mark);
    }
    if let Some(mark) = line.secmark {
        number(out, b" secmark=", mark);
    }
    if let Some(context) = line.security {
        text(out, b" secctx=", context);
    }
    if line.zone_shown && entry.zone.direction == ZoneDirection::Both {
        number(out, b" zone=", entry.zone.id);
    }
    if let Some(age) = entry.age {
        number(out, b" delta-time=", age.get());
    }
    if tool {
        if let Some(start) = line.started {
            text(out, b" [start=", start);
            out.push(b']');
            if let Some(stop) = line.stopped {
                text(out, b" [stop=", stop);
                out.push(b']');
            }
        }
        if let Some(helper) = &entry.helper {
            text(out, b" helper=", helper.as_str());
        }
    }
    if let (true, Some(references)) = (dialect != Dialect::Proc24, entry.references) {
        number(out, b" use=", references);
    }
    if tool {
        if let Some(id) = entry.id {
            number(out, b" id=", id);
        }
        if let Some(labels) = line.labels {
            text(out, b" labels=", labels);
        }
    }
}

fn word(out: &mut Vec<u8>, word: Option<&str>) {
    text(out, b" ", word.unwrap_or(""));
}

fn text(out: &mut Vec<u8>, before: &[u8], text: &str) {
    out.extend_from_slice(before);
    out.extend_from_slice(text.as_bytes());
}

fn number(out: &mut Vec<u8>, before: &[u8], value: impl Into<u64>) {
    out.extend_from_slice(before);
    decimal(out, value.into());
}

pub(super) fn direction(out: &mut Vec<u8>, tuple: &Tuple, long: bool) {
    for (before, end) in [(b" src=", tuple.source), (b" dst=", tuple.destination)] {
        out.extend_from_slice(before);
        match end {
            IpAddr::V6(a) if long => all_digits(out, a),
            end => address(out, end),
        }
    }
    ends(out, tuple, long);
}

/// Ports, keys, or what ICMP has.
pub(super) fn ends(out: &mut Vec<u8>, tuple: &Tuple, long: bool) {
    match if long { tuple.l4 } else { shown(tuple) } {
        L4::Ports { source, destination } => {
            number(out, b" sport=", source);
            number(out, b" dport=", destination);
        }
        L4::Icmp { kind, code, id } => {
            number(out, b" type=", kind);
            number(out, b" code=", code);
            number(out, b" id=", id);
        }
        L4::Gre { source, destination } => {
            formatted(out, format_args!(" srckey={source:#x} dstkey={destination:#x}"));
        }
        L4::None => {}
    }
}

/// What conntrack(8) shows of a tuple's protocol. Of one whose ports or keys the kernel does not tell, since it has no
/// tracker of it (DCCP from 6.17 on), it shows zeros.
pub(super) fn shown(tuple: &Tuple) -> L4 {
    match (tuple.protocol, tuple.l4) {
        (
            Protocol::Tcp | Protocol::Udp | Protocol::UdpLite | Protocol::Sctp | Protocol::Dccp,
            L4::None,
        ) => L4::Ports { source: 0, destination: 0 },
        (Protocol::Gre, L4::None) => L4::Gre { source: 0, destination: 0 },
        (_, l4) => l4,
    }
}

fn counters(out: &mut Vec<u8>, accounting: Option<Accounting>) {
    if let Some(Accounting { packets, bytes }) = accounting {
        number(out, b" packets=", packets);
        number(out, b" bytes=", bytes);
    }
}
