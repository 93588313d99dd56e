//! The columns of an entry and of a group: the contract of JSON lines, CSV and Parquet (docs/formats/flows.md).

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{L4, State, Status, ZoneDirection};
use plimsoll_flows::{Direction, Group, Key, Names, Owner, Value, View};

use super::entries::class_word;
use crate::Language;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// true or false
    Flag,
    /// 0 to 2^64 - 1
    Number,
    /// 0 to 1
    Share,
    /// UTF-8
    Text,
}

/// The value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// Not told, or there is none.
    Missing,
    /// true or false
    Flag(bool),
    /// A number.
    Number(u64),
    /// A share.
    Share(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// An address.
    Address(IpAddr),
}

/// A column of an entry.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it means.
    pub about: &'static str,
    /// Its value.
    pub cell: for<'a> fn(&View<'a>, &'a Names) -> Cell<'a>,
}

macro_rules! columns {
    ($($name:literal $kind:ident $about:literal $cell:expr;)*) => {
        /// All columns of an entry, in order. New ones are added at the end.
        pub const COLUMNS: &[Column] = &[
            $(Column { name: $name, kind: Kind::$kind, about: $about, cell: $cell },)*
        ];
    };
}

columns! {
    "netns" Text "network namespace: its name" |v, _| text(v.around.netns.as_ref().and_then(|n| n.name()));
    "netns_inode" Number "network namespace: its inode" |v, _| number(v.entry.netns);
    "family" Text "ipv4, ipv6" |v, _| borrowed(if v.entry.original.source.is_ipv4() { "ipv4" } else { "ipv6" });
    "protocol" Text "name of the protocol, as conntrack prints it" |v, _| borrowed(v.entry.original.protocol.name());
    "protocol_number" Number "number of the protocol" |v, _| Cell::Number(v.entry.original.protocol.number().into());
    "state" Text "state of the protocol's machine" |v, _| state(v.entry.state);
    "class" Text "evictable, closing, protected: what a full table may do with it" |v, _| borrowed(v.entry.class().name());
    "assured" Flag "[ASSURED]" |v, _| Cell::Flag(v.entry.is_assured());
    "replied" Flag "an answer was seen; false is [UNREPLIED]" |v, _| Cell::Flag(v.entry.is_replied());
    "offloaded" Flag "in a flow table of software or hardware" |v, _| Cell::Flag(has(v, Status::OFFLOAD) || has(v, Status::HW_OFFLOAD));
    "src" Text "source of the first packet" |v, _| Cell::Address(v.entry.original.source);
    "sport" Number "source port of the first packet" |v, _| number(v.entry.original.source_port());
    "dst" Text "destination of the first packet" |v, _| Cell::Address(v.entry.original.destination);
    "dport" Number "destination port of the first packet" |v, _| number(v.entry.original.destination_port());
    "service" Text "name of that port in /etc/services" |v, names| text(v.entry.original.destination_port().and_then(|port| names.service(v.entry.original.protocol, port)));
    "icmp_type" Number "type of an ICMP query" |v, _| icmp(v).map_or(Cell::Missing, |(kind, _, _)| Cell::Number(kind));
    "icmp_code" Number "code of an ICMP query" |v, _| icmp(v).map_or(Cell::Missing, |(_, code, _)| Cell::Number(code));
    "icmp_id" Number "id of an ICMP query" |v, _| icmp(v).map_or(Cell::Missing, |(_, _, id)| Cell::Number(id));
    "reply_src" Text "source of the answers: the real destination behind DNAT" |v, _| Cell::Address(v.entry.reply.source);
    "reply_sport" Number "source port of the answers" |v, _| number(v.entry.reply.source_port());
    "reply_dst" Text "destination of the answers: the source behind SNAT" |v, _| Cell::Address(v.entry.reply.destination);
    "reply_dport" Number "destination port of the answers" |v, _| number(v.entry.reply.destination_port());
    "snat" Flag "the source is rewritten" |v, _| Cell::Flag(v.entry.is_source_rewritten());
    "dnat" Flag "the destination is rewritten" |v, _| Cell::Flag(v.entry.is_destination_rewritten());
    "expires" Number "seconds until it expires" |v, _| number(v.entry.expires.map(|s| s.get()));
    "age" Number "seconds since it was made" |v, _| number(v.entry.age.map(|s| s.get()));
    "idle" Number "seconds since the last packet: the timeout of its state less what is left of it" |v, _| number(v.idle().map(|s| s.get()));
    "orig_packets" Number "packets of the original direction" |v, _| number(v.entry.original_accounting.map(|a| a.packets));
    "orig_bytes" Number "bytes of the original direction" |v, _| number(v.entry.original_accounting.map(|a| a.bytes));
    "reply_packets" Number "packets of the reply direction" |v, _| number(v.entry.reply_accounting.map(|a| a.packets));
    "reply_bytes" Number "bytes of the reply direction" |v, _| number(v.entry.reply_accounting.map(|a| a.bytes));
    "mark" Number "mark" |v, _| number(v.entry.mark);
    "zone" Number "zone" |v, _| Cell::Number(v.entry.zone.id.into());
    "zone_direction" Text "both, original, reply: the directions that the zone applies to" |v, _| borrowed(zone(v.entry.zone.direction));
    "helper" Text "helper" |v, _| v.entry.helper.map_or(Cell::Missing, |h| Cell::Text(Cow::Owned(h.as_str().into())));
    "labels" Text "labels by name or bit, separated by commas" |v, names| labels(v, names);
    "id" Number "id: the same for the life of the entry" |v, _| number(v.entry.id);
    "use" Number "references held on it" |v, _| number(v.entry.references);
    "status" Number "all status bits (text tells only some)" |v, _| number(v.around.tells.status.then_some(v.entry.status.0));
    "direction" Text "in, out, forward, local, as seen from the namespace" |v, _| text(v.direction().map(|d| d.name()));
    "pid" Number "process that holds the socket" |v, _| number(owner(v).and_then(|o| o.pid));
    "process" Text "its name" |v, _| text(owner(v).and_then(|o| o.process.as_deref()));
    "unit" Text "systemd unit" |v, _| text(owner(v).and_then(|o| o.unit.as_deref()));
    "container" Text "container" |v, _| text(owner(v).and_then(|o| o.container.as_deref().or(o.container_id.as_deref())));
    "pod" Text "pod, namespace/name" |v, _| text(owner(v).and_then(|o| o.pod.as_deref()));
    "started" Number "when it was made, in nanoseconds since 1970" |v, _| number(v.entry.started.and_then(|t| u64::try_from(t.0).ok()));
}

fn borrowed(text: &'static str) -> Cell<'static> {
    Cell::Text(Cow::Borrowed(text))
}

fn text(value: Option<&str>) -> Cell<'_> {
    value.map_or(Cell::Missing, |text| Cell::Text(Cow::Borrowed(text)))
}

fn number(value: Option<impl Into<u64>>) -> Cell<'static> {
    value.map_or(Cell::Missing, |number| Cell::Number(number.into()))
}

fn has(view: &View<'_>, bits: Status) -> bool {
    view.entry.status.contains(bits)
}

fn state(state: State) -> Cell<'static> {
    match state {
        State::Stateless => Cell::Missing,
        known => Cell::Text(Cow::Owned(known.to_string())),
    }
}

fn icmp(view: &View<'_>) -> Option<(u64, u64, u64)> {
    match view.entry.original.l4 {
        L4::Icmp { kind, code, id } => Some((kind.into(), code.into(), id.into())),
        L4::Ports { .. } | L4::Gre { .. } | L4::None => None,
    }
}

const fn zone(direction: ZoneDirection) -> &'static str {
    match direction {
        ZoneDirection::Both => "both",
        ZoneDirection::Original => "original",
        ZoneDirection::Reply => "reply",
    }
}

fn labels<'a>(view: &View<'a>, names: &'a Names) -> Cell<'a> {
    let Some(bits) = view.entry.labels else { return Cell::Missing };
    let mut out = String::new();
    for bit in (0..128_u16).filter(|bit| bits[usize::from(bit / 8)] >> (bit % 8) & 1 == 1) {
        if !out.is_empty() {
            out.push(',');
        }
        match names.label_name(bit) {
            Some(name) => out.push_str(name),
            None => out.push_str(&bit.to_string()),
        }
    }
    Cell::Text(Cow::Owned(out))
}

fn owner<'a>(view: &View<'a>) -> Option<&'a Owner> {
    view.owners?.first()
}

/// The columns of a group behind those of its keys.
pub const GROUP_COLUMNS: &[(&str, Kind, &str)] = &[
    ("entries", Kind::Number, "entries"),
    ("share", Kind::Share, "of all entries that the filter lets through, 0 to 1"),
    ("unreplied", Kind::Number, "those of them that no answer was seen of"),
    ("evictable", Kind::Number, "those of them that a full table may evict at once"),
    (
        "closing",
        Kind::Number,
        "those of them that are closing: a full table may take them within a minute",
    ),
    ("protected", Kind::Number, "those of them that nothing but their timeout removes"),
    ("accounted", Kind::Number, "those of them that carry counters (nf_conntrack_acct)"),
    ("packets", Kind::Number, "packets of those, both directions"),
    ("bytes", Kind::Number, "bytes of those, both directions"),
    ("error", Kind::Number, "entries that it may have beyond what is said; 0: exact"),
];

/// The column of a key: `src/24` is `src`.
pub fn key_name(key: &Key) -> String {
    let word = key.to_string();
    word.split('/').next().unwrap_or("").replace('-', "_")
}

/// What the column of a key holds.
pub const fn key_kind(key: &Key) -> Kind {
    match key {
        Key::SourcePort | Key::DestinationPort | Key::Zone | Key::Mark => Kind::Number,
        Key::Protocol
        | Key::Family
        | Key::State
        | Key::Class
        | Key::Service
        | Key::Source(_)
        | Key::Destination(_)
        | Key::ReplySource(_)
        | Key::ReplyDestination(_)
        | Key::Direction
        | Key::Netns
        | Key::Process
        | Key::Unit
        | Key::Container
        | Key::Pod
        | Key::Helper
        | Key::Band(_) => Kind::Text,
    }
}

/// All cells of a group: its keys, then [`GROUP_COLUMNS`]. `all`: the entries of all groups.
pub fn group_cells(group: &Group, all: u64, names: &Names) -> Vec<Cell<'static>> {
    let tally = &group.tally;
    let share = if all == 0 { 0.0 } else { tally.entries as f64 / all as f64 };
    let mut cells: Vec<Cell<'static>> =
        group.values.iter().map(|value| value_cell(value, names)).collect();
    cells.push(Cell::Number(tally.entries));
    cells.push(Cell::Share(share));
    cells.extend(
        [tally.unreplied, tally.evictable, tally.closing, tally.protected].map(Cell::Number),
    );
    cells.push(Cell::Number(tally.accounted));
    // Without a counter nothing is known of packets, and that is not zero.
    let counted = |n| if tally.accounted == 0 { Cell::Missing } else { Cell::Number(n) };
    cells.extend([counted(tally.packets), counted(tally.bytes), Cell::Number(group.error)]);
    cells
}

fn value_cell(value: &Value, names: &Names) -> Cell<'static> {
    let owned = |text: String| Cell::Text(Cow::Owned(text));
    match value {
        // A column of numbers has no other way to say that there is none.
        Value::Missing | Value::Nothing => Cell::Missing,
        Value::Port(n) | Value::Zone(n) => Cell::Number((*n).into()),
        Value::Mark(n) => Cell::Number((*n).into()),
        Value::Others => owned("(other names)".into()),
        Value::Text(name) => owned(name.to_string()),
        Value::Protocol(protocol) => owned(protocol_word(*protocol, names)),
        Value::Service(..)
        | Value::Family(_)
        | Value::State(_)
        | Value::Class(_)
        | Value::Net(_)
        | Value::Direction(_)
        | Value::Band(_) => owned(value_word(value, names, Language::English)),
    }
}

fn protocol_word(protocol: plimsoll_ct::Protocol, names: &Names) -> String {
    match protocol {
        plimsoll_ct::Protocol::Other(n) => {
            names.protocol_name(protocol).map_or_else(|| format!("proto-{n}"), Into::into)
        }
        named => named.name().into(),
    }
}

/// Which way an entry goes, as seen from its namespace.
fn direction_word(direction: Direction, language: Language) -> &'static str {
    match (language, direction) {
        (Language::English, direction) => direction.name(),
        (Language::Chinese, Direction::In) => "入站",
        (Language::Chinese, Direction::Out) => "出站",
        (Language::Chinese, Direction::Forward) => "转发",
        (Language::Chinese, Direction::Local) => "本机",
    }
}

/// A value as the table shows it.
pub(super) fn value_word(value: &Value, names: &Names, language: Language) -> String {
    use plimsoll_ct::{Family, Protocol};
    match value {
        Value::Missing => spoken!(language, "(not known)", "（不知道）"),
        Value::Nothing => "-".into(),
        Value::Others => spoken!(language, "(other names)", "（其他名字）"),
        Value::Protocol(protocol) => protocol_word(*protocol, names),
        Value::Family(Family::V4) => "ipv4".into(),
        Value::Family(Family::V6) => "ipv6".into(),
        Value::State(state) => state.to_string(),
        Value::Class(class) => class_word(*class, language).into(),
        Value::Service(protocol @ (Protocol::Icmp | Protocol::Icmpv6), kind) => {
            spoken!(language, "{protocol} type {kind}", "{protocol} 类型 {kind}")
        }
        Value::Service(protocol @ (Protocol::Other(_) | Protocol::Gre), _) => {
            protocol_word(*protocol, names)
        }
        Value::Service(protocol, port) => match names.service(*protocol, *port) {
            Some(name) => format!("{port}/{protocol} {name}"),
            None => format!("{port}/{protocol}"),
        },
        Value::Port(port) => port.to_string(),
        Value::Net(net) => net.to_string(),
        Value::Direction(direction) => direction_word(*direction, language).into(),
        Value::Text(name) => name.to_string(),
        Value::Zone(zone) => zone.to_string(),
        Value::Mark(mark) => format!("{mark:#x}"),
        Value::Band(band) => band.name().into(),
    }
}
