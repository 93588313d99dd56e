//! An entry to one line of text, byte for byte as the kernel or the tool writes it.

use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv6Addr};

use plimsoll_ct::{Accounting, Family, L4, State, Status, Tuple, ZoneDirection};

use super::{Dialect, Line};

/// Writes one line, without the line feed.
///
/// What the dialect prints and the line does not know is left out.
pub fn write(out: &mut impl Write, line: &Line<'_>, dialect: Dialect) -> fmt::Result {
    let entry = &line.entry;
    let tool = matches!(dialect, Dialect::Tool | Dialect::ToolExtended);
    let long = !tool;
    let out = &mut Separated { out, pending: false };

    if matches!(dialect, Dialect::Proc | Dialect::ToolExtended) {
        out.put(match entry.original.family() {
            Family::V4 => format_args!("ipv4     2"),
            Family::V6 => format_args!("ipv6     10"),
        })?;
    }
    let protocol = entry.original.protocol;
    out.put(format_args!("{:<8} {}", protocol.name(), protocol.number()))?;
    if let Some(seconds) = entry.expires {
        out.put(format_args!("{seconds}"))?;
    }
    if entry.state != State::Stateless {
        out.put(format_args!("{}", entry.state))?;
    }
    if let (true, Some((timeout, stream))) = (long, line.gre) {
        out.put(format_args!("timeout={timeout}, stream_timeout={stream}"))?;
    }

    direction(out, &entry.original, long)?;
    if entry.zone.direction == ZoneDirection::Original {
        out.put(format_args!("zone-orig={}", entry.zone.id))?;
    }
    counters(out, entry.original_accounting)?;
    if !entry.is_replied() {
        out.put(format_args!("[UNREPLIED]"))?;
    }
    direction(out, &entry.reply, long)?;
    if entry.zone.direction == ZoneDirection::Reply {
        out.put(format_args!("zone-reply={}", entry.zone.id))?;
    }
    counters(out, entry.reply_accounting)?;
    if entry.status.contains(Status::HW_OFFLOAD) {
        out.put(format_args!("[HW_OFFLOAD]"))?;
    } else if entry.status.contains(Status::OFFLOAD) {
        out.put(format_args!("[OFFLOAD]"))?;
    } else if entry.is_assured() {
        out.put(format_args!("[ASSURED]"))?;
    }

    if let (Dialect::Proc24, Some(references)) = (dialect, entry.references) {
        out.put(format_args!("use={references}"))?;
    }
    if let Some(mark) = entry.mark {
        out.put(format_args!("mark={mark}"))?;
    }
    if let Some(mark) = line.secmark {
        out.put(format_args!("secmark={mark}"))?;
    }
    if let Some(context) = line.security {
        out.put(format_args!("secctx={context}"))?;
    }
    if line.zone_shown && entry.zone.direction == ZoneDirection::Both {
        out.put(format_args!("zone={}", entry.zone.id))?;
    }
    if let Some(age) = entry.age {
        out.put(format_args!("delta-time={age}"))?;
    }
    if tool {
        match (line.started, line.stopped) {
            (Some(start), Some(stop)) => out.put(format_args!("[start={start}] [stop={stop}]"))?,
            (Some(start), None) => out.put(format_args!("[start={start}]"))?,
            (None, _) => {}
        }
        if let Some(helper) = &entry.helper {
            out.put(format_args!("helper={helper}"))?;
        }
    }
    if let (true, Some(references)) = (dialect != Dialect::Proc24, entry.references) {
        out.put(format_args!("use={references}"))?;
    }
    if tool {
        if let Some(id) = entry.id {
            out.put(format_args!("id={id}"))?;
        }
        if let Some(labels) = line.labels {
            out.put(format_args!("labels={labels}"))?;
        }
    }
    Ok(())
}

/// Fields with one blank between them.
struct Separated<'a, W> {
    out: &'a mut W,
    pending: bool,
}

impl<W: Write> Separated<'_, W> {
    fn put(&mut self, field: fmt::Arguments<'_>) -> fmt::Result {
        if self.pending {
            self.out.write_char(' ')?;
        }
        self.pending = true;
        self.out.write_fmt(field)
    }
}

fn direction<W: Write>(out: &mut Separated<'_, W>, tuple: &Tuple, long: bool) -> fmt::Result {
    let (source, destination) = (tuple.source, tuple.destination);
    match (long, source, destination) {
        (true, IpAddr::V6(s), IpAddr::V6(d)) => {
            out.put(format_args!("src={} dst={}", Full(s), Full(d)))?;
        }
        _ => out.put(format_args!("src={source} dst={destination}"))?,
    }
    match tuple.l4 {
        L4::Ports { source, destination } => {
            out.put(format_args!("sport={source} dport={destination}"))
        }
        L4::Icmp { kind, code, id } => out.put(format_args!("type={kind} code={code} id={id}")),
        L4::Gre { source, destination } => {
            out.put(format_args!("srckey={source:#x} dstkey={destination:#x}"))
        }
        L4::None => Ok(()),
    }
}

fn counters<W: Write>(out: &mut Separated<'_, W>, a: Option<Accounting>) -> fmt::Result {
    match a {
        Some(a) => out.put(format_args!("packets={} bytes={}", a.packets, a.bytes)),
        None => Ok(()),
    }
}

/// An IPv6 address with all its digits.
struct Full(Ipv6Addr);

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.segments().into_iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{segment:04x}")?;
        }
        Ok(())
    }
}
