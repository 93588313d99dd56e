//! Entries as a table for people.
//!
//! One line for each entry; a second for what few have: another destination behind NAT, a zone, a mark, an owner.
//! Columns have fixed places, so that the first line needs not wait for the last. Ends that a line has no room for
//! stand below it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{Class, Entry, L4, Protocol, State, Status, Tuple};
use plimsoll_flows::{Names, Span, View};

use crate::wrap;
use crate::{Language, Style, clean};

/// Columns of the parts; the addresses share what is left of at most 130.
const PROTOCOL: usize = 7;
const STATE: usize = 12;
const LEFT: usize = 7;
const CLASS: usize = 9;

fn end_width(style: &Style) -> usize {
    style.columns().min(130).saturating_sub(PROTOCOL + STATE + LEFT + 1 + CLASS) / 2
}

/// The line above the entries.
pub fn entries_header(style: &Style) -> String {
    let width = end_width(style);
    let mut line = String::new();
    let heads = match style.language {
        Language::English => ["PROTO", "STATE", "SOURCE", "DESTINATION", "EXPIRES", "CLASS"],
        Language::Chinese => ["协议", "状态", "来源", "目的", "剩余", "类别"],
    };
    let mut at = 0;
    for (head, width) in heads.into_iter().zip([PROTOCOL, STATE, width, width]) {
        at = column(&mut line, head, at, at + width);
    }
    line.push_str(&format!("{} {}\n", wrap::right(heads[4], LEFT), heads[5]));
    line
}

/// Appends the lines of an entry. `several`: entries of more than one namespace are shown.
pub fn entry_lines(out: &mut String, view: &View<'_>, names: &Names, several: bool, style: &Style) {
    let (entry, language) = (view.entry, style.language);
    let width = end_width(style);
    let state = match entry.state {
        State::Stateless if entry.is_replied() => "-".to_string(),
        State::Stateless => spoken!(language, "unreplied", "未应答"),
        state => state.to_string(),
    };
    let source = end(&entry.original, true, None);
    let service = entry
        .original
        .destination_port()
        .and_then(|port| names.service(entry.original.protocol, port));
    let named = end(&entry.original, false, service);
    let mut destination = named.clone();
    if wrap::width(&destination) >= width {
        destination = end(&entry.original, false, None);
    }
    let protocol = match entry.original.protocol {
        Protocol::Other(n) => {
            names.protocol_name(entry.original.protocol).map_or_else(|| n.to_string(), Into::into)
        }
        named => named.name().into(),
    };
    let left = match entry.expires {
        Some(left) => short(left.get()),
        None => "-".into(),
    };
    let offloaded =
        entry.status.contains(Status::OFFLOAD) || entry.status.contains(Status::HW_OFFLOAD);
    let class = match offloaded {
        true => spoken!(language, "offloaded", "流表卸载"),
        false => class_word(entry.class(), language).to_string(),
    };

    let indent = PROTOCOL + STATE;
    let at = column(out, &protocol, 0, PROTOCOL);
    let at = column(out, &state, at, indent);
    let begun = out.len();
    // Two IPv6 addresses fill a line each.
    for beside in [&[&source, &destination][..], &[&source], &[]] {
        let (mut at, mut to, mut fits) = (at, indent, true);
        for text in beside {
            to += 2 * width / beside.len();
            at = column(out, text, at, to);
            fits &= at == to;
        }
        if !fits {
            out.truncate(begun);
            continue;
        }
        let blanks = (indent + 2 * width).saturating_sub(at);
        out.push_str(&format!("{:blanks$}{left:>LEFT$} {class}\n", ""));
        if beside.is_empty() {
            shifted(out, &source, indent, style);
        }
        if beside.len() < 2 {
            shifted(out, &format!("> {named}"), indent, style);
        }
        break;
    }
    let mut below: Vec<String> = Vec::new();
    below.extend(rewritten(entry, language));
    below.extend(beside(view, several, language));
    if !below.is_empty() {
        let text = clean(&below.join(comma(language))).into_owned();
        for line in wrap::wrap(&text, style.columns() - indent, style.columns() - indent) {
            out.push_str(&format!("{:indent$}{line}\n", ""));
        }
    }
}

/// One line for something that happened to an entry.
pub fn event_line(
    clock: &str,
    event: &str,
    view: &View<'_>,
    names: &Names,
    several: bool,
    reread: bool,
    language: Language,
) -> String {
    let entry = view.entry;
    let service = entry
        .original
        .destination_port()
        .and_then(|port| names.service(entry.original.protocol, port));
    let protocol = entry.original.protocol.name();
    let mut line =
        spoken!(language, "{clock} {event:<7} {protocol} ", "{clock} {event} {protocol} ");
    if entry.state != State::Stateless {
        line.push_str(&format!("{} ", entry.state));
    }
    let (source, destination) =
        (end(&entry.original, true, None), end(&entry.original, false, service));
    line.push_str(&format!("{source} > {destination}"));
    let mut rest = Vec::new();
    if !entry.is_replied() {
        rest.push(spoken!(language, "unreplied", "未应答"));
    }
    if entry.is_assured() {
        rest.push(spoken!(language, "assured", "ASSURED"));
    }
    rest.extend(rewritten(entry, language));
    rest.extend(beside(view, several, language));
    if reread {
        rest.push(spoken!(language, "found by reading again", "重新读取时发现"));
    }
    for more in rest {
        line.push_str(comma(language));
        line.push_str(&more);
    }
    format!("{}\n", clean(&line))
}

/// What NAT made of the ends.
fn rewritten(entry: &Entry, language: Language) -> Vec<String> {
    let mut text = Vec::new();
    if entry.is_destination_rewritten() {
        let to = end_of(entry.reply.source, &entry.reply, true);
        text.push(spoken!(language, "dnat to {to}", "DNAT 到 {to}"));
    }
    if entry.is_source_rewritten() {
        let to = end_of(entry.reply.destination, &entry.reply, false);
        text.push(spoken!(language, "snat to {to}", "SNAT 到 {to}"));
    }
    text
}

/// What few entries have.
fn beside(view: &View<'_>, several: bool, language: Language) -> Vec<String> {
    let entry = view.entry;
    let mut below = Vec::new();
    if let (true, Some(netns)) = (several, &view.around.netns) {
        let name = netns.name().map(ToString::to_string);
        if let Some(name) = name.or_else(|| netns.inode.map(|inode| inode.to_string())) {
            below.push(spoken!(language, "netns {name}", "命名空间 {name}"));
        }
    }
    if entry.zone.id != 0 {
        below.push(format!("zone {}", entry.zone.id));
    }
    if let Some(mark) = entry.mark.filter(|mark| *mark != 0) {
        below.push(spoken!(language, "mark {mark:#x}", "标记 {mark:#x}"));
    }
    if let Some(helper) = entry.helper {
        below.push(format!("helper {helper}"));
    }
    if let Some(age) = entry.age {
        let age = short(age.get());
        below.push(spoken!(language, "age {age}", "存活 {age}"));
    }
    if let (Some(a), Some(b)) = (entry.original_accounting, entry.reply_accounting) {
        let packets = a.packets.saturating_add(b.packets);
        let word = if packets == 1 { "packet" } else { "packets" };
        let bytes = crate::number::bytes(plimsoll_ct::Bytes(a.bytes.saturating_add(b.bytes)));
        below.push(spoken!(language, "{packets} {word}, {bytes}", "{packets} 个包，{bytes}"));
    }
    if let Some(owner) = view.owners.and_then(|owners| owners.first()) {
        let process = match (&owner.process, owner.pid) {
            (Some(name), Some(pid)) => Some(format!("{name}[{pid}]")),
            (Some(name), None) => Some(name.to_string()),
            (None, Some(pid)) => Some(format!("pid {pid}")),
            (None, None) => None,
        };
        below.extend(process);
        below.extend(
            owner.unit.as_deref().map(|unit| spoken!(language, "unit {unit}", "单元 {unit}")),
        );
        let container = owner.container.as_deref().map(brief);
        below.extend(container.map(|name| spoken!(language, "container {name}", "容器 {name}")));
        // One without a name on this node is called `pod UID` already.
        below.extend(owner.pod.as_deref().map(|name| match name.starts_with("pod ") {
            true => name.to_string(),
            false => format!("pod {name}"),
        }));
    }
    below
}

/// What stands between what few entries have.
fn comma(language: Language) -> &'static str {
    match language {
        Language::English => ", ",
        Language::Chinese => "，",
    }
}

/// What a full table may do with an entry.
pub(super) fn class_word(class: Class, language: Language) -> &'static str {
    match (language, class) {
        (Language::English, class) => class.name(),
        (Language::Chinese, Class::Evictable) => "可淘汰",
        (Language::Chinese, Class::Closing) => "关闭中",
        (Language::Chinese, Class::Protected) => "受保护",
    }
}

/// A container's full id as engines list it, by its first twelve digits; a name whole.
fn brief(name: &str) -> &str {
    let full = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    if full { name.get(..12).unwrap_or(name) } else { name }
}

fn end(tuple: &Tuple, source: bool, service: Option<&str>) -> String {
    let address = if source { tuple.source } else { tuple.destination };
    let mut text = end_of(address, tuple, source);
    if let Some(service) = service {
        text.push(' ');
        text.push_str(&clean(service));
    }
    text
}

fn end_of(address: IpAddr, tuple: &Tuple, source: bool) -> String {
    let port = match tuple.l4 {
        L4::Ports { source: s, destination: d } => Some(if source { s } else { d }.to_string()),
        L4::Gre { source: s, destination: d } => Some(format!("{:#x}", if source { s } else { d })),
        L4::Icmp { kind, id, .. } => {
            let what = if source { format!(" id {id}") } else { format!(" type {kind}") };
            return format!("{address}{what}");
        }
        L4::None => None,
    };
    match (address, port) {
        (IpAddr::V6(a), Some(port)) => format!("[{a}]:{port}"),
        (IpAddr::V4(a), Some(port)) => format!("{a}:{port}"),
        (a, None) => a.to_string(),
    }
}

/// A span in at most two units: `4d23h`.
fn short(seconds: u64) -> String {
    let unit = [86_400, 3_600, 60, 1].into_iter().find(|unit| seconds >= *unit).unwrap_or(1);
    let next = match unit {
        86_400 => 3_600,
        3_600 => 60,
        _ => 1,
    };
    Span(plimsoll_ct::Seconds(seconds / next * next)).to_string()
}

/// Text where a line has come to (`at`), and blanks up to where the next column begins: one blank at least. Where the line
/// has come to now.
fn column(out: &mut String, text: &str, at: usize, to: usize) -> usize {
    out.push_str(text);
    let end = at + wrap::width(text);
    let to = to.max(end + 1);
    out.push_str(&" ".repeat(to - end));
    to
}

/// A line of its own, as far to the right as it fits, but not beyond `indent`.
fn shifted(out: &mut String, text: &str, indent: usize, style: &Style) {
    let indent = style.columns().saturating_sub(wrap::width(text)).min(indent);
    out.push_str(&format!("{:indent$}{text}\n", ""));
}
