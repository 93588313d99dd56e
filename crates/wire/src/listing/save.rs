//! `conntrack -L -o save`: one `conntrack -A` command line for each entry.

use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{Entry, L4, Protocol, Seconds, State, Status, Tuple, Zone, ZoneDirection};

use super::digits;
use super::parse::{address, integer, named_state, wrong};
use crate::{Expected, Malformed, Place};

/// The entry of one line. Counters, id and references are not in this form; unknown options are skipped.
pub fn parse(line: &[u8]) -> Result<Entry, Malformed> {
    let text = core::str::from_utf8(line).map_err(|e| {
        wrong(
            Place::Words(&["conntrack -A line", "conntrack -A 的一行"]),
            Expected::TEXT,
            &line[e.valid_up_to()..],
        )
    })?;
    let mut words = text.split_ascii_whitespace();
    let mut addresses: [Option<IpAddr>; 4] = [None; 4];
    let mut numbers: [Option<u16>; 4] = [None; 4];
    let mut icmp = [None; 3];
    let mut protocol = None;
    let mut status = Status::empty();
    let mut state = None;
    let mut expires = None;
    let mut zone = Zone::default();
    let mut mark = None;
    let mut helper = None;
    while let Some(option) = words.next() {
        let mut value = || words.next().unwrap_or("");
        match option {
            "-t" => expires = Some(Seconds(integer(value(), "-t")?)),
            "-u" => {
                for bit in value().split(',') {
                    match bit {
                        "SEEN_REPLY" => status |= Status::SEEN_REPLY,
                        "ASSURED" => status |= Status::ASSURED,
                        "FIXED_TIMEOUT" => status |= Status::FIXED_TIMEOUT,
                        "EXPECTED" => status |= Status::EXPECTED,
                        "OFFLOAD" => status |= Status::OFFLOAD,
                        "HW_OFFLOAD" => status |= Status::HW_OFFLOAD,
                        _ => {}
                    }
                }
            }
            "-s" => addresses[0] = Some(address(value(), "-s")?),
            "-d" => addresses[1] = Some(address(value(), "-d")?),
            "-r" => addresses[2] = Some(address(value(), "-r")?),
            "-q" => addresses[3] = Some(address(value(), "-q")?),
            "-p" => protocol = Some(named_protocol(value())?),
            "-m" => mark = Some(integer(value(), "-m")?),
            "-w" => zone = Zone { id: integer(value(), "-w")?, direction: ZoneDirection::Both },
            "--orig-zone" => {
                let id = integer(value(), "--orig-zone")?;
                zone = Zone { id, direction: ZoneDirection::Original };
            }
            "--reply-zone" => {
                let id = integer(value(), "--reply-zone")?;
                zone = Zone { id, direction: ZoneDirection::Reply };
            }
            "--sport" | "--srckey" => numbers[0] = Some(integer(value(), "--sport")?),
            "--dport" | "--dstkey" => numbers[1] = Some(integer(value(), "--dport")?),
            "--reply-port-src" | "--reply-key-src" => {
                numbers[2] = Some(integer(value(), "--reply-port-src")?);
            }
            "--reply-port-dst" | "--reply-key-dst" => {
                numbers[3] = Some(integer(value(), "--reply-port-dst")?);
            }
            "--icmp-type" | "--icmpv6-type" => icmp[0] = Some(integer(value(), "--icmp-type")?),
            "--icmp-code" | "--icmpv6-code" => icmp[1] = Some(integer(value(), "--icmp-code")?),
            "--icmp-id" | "--icmpv6-id" => icmp[2] = Some(integer(value(), "--icmp-id")?),
            "--state" => state = Some(value()),
            "--helper" => helper = Some(value().into()),
            _ => {}
        }
    }
    let protocol =
        protocol.ok_or_else(|| wrong("-p", Expected::Words(&["a protocol", "协议"]), line))?;
    let half = |at: usize, reply: bool| {
        let l4 = match (protocol, numbers[at], numbers[at + 1], icmp) {
            (Protocol::Icmp | Protocol::Icmpv6, .., [Some(kind), Some(code), Some(id)]) => {
                let kind = u8::try_from(kind).unwrap_or(u8::MAX);
                let kind = if reply { answer(protocol, kind) } else { kind };
                L4::Icmp { kind, code: u8::try_from(code).unwrap_or(u8::MAX), id }
            }
            (Protocol::Icmp | Protocol::Icmpv6, ..) => L4::None,
            (Protocol::Gre, Some(source), Some(destination), _) => L4::Gre { source, destination },
            (_, Some(source), Some(destination), _) => L4::Ports { source, destination },
            _ => L4::None,
        };
        match (addresses[at], addresses[at + 1]) {
            (Some(source), Some(destination)) if source.is_ipv4() == destination.is_ipv4() => {
                Ok(Tuple { source, destination, protocol, l4 })
            }
            _ => Err(wrong(
                Place::Words(&["conntrack -A line", "conntrack -A 的一行"]),
                Expected::Words(&["-s, -d, -r and -q", "-s、-d、-r 和 -q"]),
                line,
            )),
        }
    };
    let (original, reply) = (half(0, false)?, half(2, true)?);
    if original.family() != reply.family() {
        return Err(wrong(Place::Words(&["addresses", "地址"]), Expected::ONE_FAMILY, line));
    }
    let state = state.map_or(State::Stateless, |name| named_state(protocol, name));
    Ok(Entry { expires, zone, mark, helper, ..Entry::new(original, reply, state, status) })
}

/// Appends the line of an entry, without the line feed, as conntrack-tools 1.4.7 writes it.
///
/// `tags`: verification tags of SCTP, original and reply; they are printed with their octets in the order of the
/// packet read as a number of this machine, as the tool does.
pub fn append(out: &mut Vec<u8>, entry: &Entry, tags: Option<[Option<u32>; 2]>) {
    let put = |out: &mut Vec<u8>, option: &str, value: u64| {
        out.extend_from_slice(option.as_bytes());
        digits::decimal(out, value);
    };
    out.extend_from_slice(b"-A");
    if let Some(seconds) = entry.expires {
        put(out, " -t ", seconds.get());
    }
    let mut between = " -u ";
    for (bit, name) in [
        (Status::EXPECTED, "EXPECTED"),
        (Status::SEEN_REPLY, "SEEN_REPLY"),
        (Status::ASSURED, "ASSURED"),
        (Status::FIXED_TIMEOUT, "FIXED_TIMEOUT"),
    ] {
        if entry.status.contains(bit) {
            digits::formatted(out, format_args!("{between}{name}"));
            between = ",";
        }
    }
    if between == " -u " {
        out.extend_from_slice(b" -u UNSET");
    }
    match entry.zone {
        Zone { id, direction: ZoneDirection::Original } => put(out, " --orig-zone ", id.into()),
        Zone { id, direction: ZoneDirection::Reply } => put(out, " --reply-zone ", id.into()),
        Zone { id: 0, direction: ZoneDirection::Both } => {}
        Zone { id, direction: ZoneDirection::Both } => put(out, " -w ", id.into()),
    }
    for (option, end) in [
        (" -s ", entry.original.source),
        (" -d ", entry.original.destination),
        (" -r ", entry.reply.source),
        (" -q ", entry.reply.destination),
    ] {
        out.extend_from_slice(option.as_bytes());
        digits::address(out, end);
    }
    match entry.original.protocol {
        Protocol::Other(number) => put(out, " -p ", number.into()),
        named => digits::formatted(out, format_args!(" -p {}", named.name())),
    }
    let v6 = entry.original.protocol == Protocol::Icmpv6;
    match (entry.original.l4, entry.reply.l4) {
        (
            L4::Ports { source, destination },
            L4::Ports { source: reply_source, destination: reply_destination },
        ) => {
            put(out, " --sport ", source.into());
            put(out, " --dport ", destination.into());
            put(out, " --reply-port-src ", reply_source.into());
            put(out, " --reply-port-dst ", reply_destination.into());
        }
        (
            L4::Gre { source, destination },
            L4::Gre { source: reply_source, destination: reply_destination },
        ) => {
            put(out, " --srckey ", source.into());
            put(out, " --dstkey ", destination.into());
            put(out, " --reply-key-src ", reply_source.into());
            put(out, " --reply-key-dst ", reply_destination.into());
        }
        (L4::Icmp { kind, code, id }, _) => {
            let icmp = if v6 { "icmpv6" } else { "icmp" };
            digits::formatted(
                out,
                format_args!(" --{icmp}-type {kind} --{icmp}-code {code} --{icmp}-id {id}"),
            );
        }
        _ => {}
    }
    if entry.state != State::Stateless {
        digits::formatted(out, format_args!(" --state {}", entry.state));
    }
    if let Some([Some(original), Some(reply)]) = tags {
        put(out, " --orig-vtag ", u32::from_be(original).into());
        put(out, " --reply-vtag ", u32::from_be(reply).into());
    }
}

fn named_protocol(text: &str) -> Result<Protocol, Malformed> {
    Ok(match text {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "icmp" => Protocol::Icmp,
        "icmpv6" => Protocol::Icmpv6,
        "sctp" => Protocol::Sctp,
        "dccp" => Protocol::Dccp,
        "gre" => Protocol::Gre,
        "udplite" => Protocol::UdpLite,
        number => Protocol::from_number(integer(number, "-p")?),
    })
}

/// The type that answers a query (`-o save` names the query's only).
const fn answer(protocol: Protocol, kind: u8) -> u8 {
    match (protocol, kind) {
        (Protocol::Icmp, 8) => 0,
        (Protocol::Icmp, 13) => 14,
        (Protocol::Icmp, 15) => 16,
        (Protocol::Icmp, 17) => 18,
        (Protocol::Icmpv6, 128) => 129,
        (Protocol::Icmpv6, 139) => 140,
        (_, other) => other,
    }
}
