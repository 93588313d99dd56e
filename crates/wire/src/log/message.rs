//! What the kernel says: the text of one message, without stamps and names before it.
//!
//! Wordings: docs/formats/kernel-log.md. Matching is anchored at the first byte, since a message that
//! carries our words further behind only quotes them.

use super::bytes::{after, contains, find, number};

/// Words of which every message that [`recognise`] or [`super::recognise_loss`] knows, every
/// `message repeated` line, contains at least one: a search for these finds all candidates.
pub const NEEDLES: &[&str] = &[
    "able full",
    "able overflow",
    "SYN flooding",
    "ocket memory",
    "orphaned sockets",
    "consider tuning tcp_mem",
    "page allocation failure",
    "_alloc+0x",
    "init_conntrack+0x",
    "cache: nf_conntrack",
    "cache: ip_conntrack",
    "conntrack version",
    "uppressed",
    "message repeated ",
    "rate-limiting",
    " kernel messages",
    "messages lost",
];

/// Whose table a line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// It names none: before 6.18 any namespace, since then the initial one.
    Unnamed,
    /// Inode of the network namespace (6.18 and later).
    Namespace(u64),
    /// Number of an OpenVZ container.
    Container(u64),
}

/// Which neighbour table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NeighbourTable {
    /// `arp_cache`
    Arp,
    /// `ndisc_cache`
    Ndisc,
    /// Old kernels name none.
    Unnamed,
}

/// What TCP ran out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketMemoryKind {
    /// Pages allowed by `tcp_mem`.
    Memory,
    /// Sockets without an owner allowed by `tcp_max_orphans`.
    Orphans,
}

/// Which rate limiter swallowed messages, which decides what its notice proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limiter {
    /// `net_ratelimit`: networking messages of all kinds, ours among them.
    Networking,
    /// `printk` (to 2.6.26) and `__ratelimit` (2.6.27 to 2.6.32): any limiter of the kernel, since all
    /// gave the same name; the networking one among them.
    Any,
    /// A limiter of one function that has nothing to do with conntrack.
    Other,
}

/// One message of the kernel that concerns us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// `nf_conntrack: table full, dropping packet`: one packet lost.
    TableFull(Scope),
    /// `nf_conntrack: expectation table full`: an expectation was refused, so a related connection
    /// (an FTP data channel, say) may fail. No packet was dropped by this.
    ExpectationFull,
    /// `neighbour: arp_cache: neighbor table overflow!`
    NeighbourOverflow(NeighbourTable),
    /// `Possible SYN flooding on port N`: a listen queue is full.
    SynFlood {
        /// The listening port, where it can be read.
        port: Option<u16>,
        /// Cookies are sent (true) or requests are dropped (false); `None` where the line does not say.
        cookies: Option<bool>,
    },
    /// TCP reached a limit of memory or of orphans.
    SocketMemory(SocketMemoryKind),
    /// `page allocation failure`: any caller. It concerns conntrack only when a
    /// [`Message::ConntrackFrame`] or [`Message::ConntrackCache`] follows in the same report.
    PageAllocation,
    /// A line of a call trace inside the allocation of an entry.
    ConntrackFrame,
    /// The slab allocator names the cache that could not grow, and it is that of entries.
    ConntrackCache,
    /// `nf_conntrack version 0.5.0 (16384 buckets, 65536 max)`: loaded, with these sizes.
    Loaded {
        /// Buckets.
        buckets: u64,
        /// Limit.
        max: u64,
        /// Bytes of an entry, where the line tells them (`304 bytes per conntrack`).
        entry_bytes: Option<u64>,
    },
    /// A rate limiter tells how many messages it swallowed.
    Suppressed {
        /// Which.
        by: Limiter,
        /// Messages.
        count: u64,
    },
}

/// Recognises a message of the kernel; `None` for what does not concern us.
pub fn recognise(text: &[u8]) -> Option<Message> {
    let text = text.trim_ascii_end();
    conntrack(text)
        .or_else(|| neighbour(text))
        .or_else(|| syn_flood(text))
        .or_else(|| socket_memory(text))
        .or_else(|| suppressed(text))
        .or_else(|| allocation(text))
}

/// Messages that begin with the tracker's name, once, twice or three times.
fn conntrack(text: &[u8]) -> Option<Message> {
    let (mut rest, mut scope, mut named) = (text, Scope::Unnamed, false);
    loop {
        if let Some(next) = ["nf_conntrack: ", "ip_conntrack: ", "ip6_conntrack: "]
            .iter()
            .find_map(|name| rest.strip_prefix(name.as_bytes()))
        {
            (rest, named) = (next, true);
        } else if let Some((id, next)) = container(rest) {
            (rest, scope) = (next, Scope::Container(id));
        } else {
            break;
        }
    }
    if !named {
        return loaded(text);
    }
    if let Some(tail) = rest.strip_prefix(b"expectation table full") {
        return ends_well(tail).then_some(Message::ExpectationFull);
    }
    let tail = rest.strip_prefix(b"table full")?;
    if !ends_well(tail) {
        return None;
    }
    if let Some((inode, _)) = after(tail, b" netns ").and_then(number) {
        scope = Scope::Namespace(inode);
    }
    Some(Message::TableFull(scope))
}

/// OpenVZ puts the container's number before or after the tracker's name.
fn container(text: &[u8]) -> Option<(u64, &[u8])> {
    let rest = ["VPS", "VE", "CTID", "CT"].iter().find_map(|w| text.strip_prefix(w.as_bytes()))?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let rest = rest.strip_prefix(b" ").or_else(|| rest.strip_prefix(b"#"))?;
    let (id, rest) = number(rest)?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    Some((id, rest.strip_prefix(b" ")?))
}

/// What may follow `table full`: nothing, or more words after a separator, since the next generation
/// may add some. `IN=` marks the LOG target of iptables, whose prefix an administrator chose.
fn ends_well(tail: &[u8]) -> bool {
    match tail.first() {
        None => true,
        Some(b',' | b'.' | b' ' | b':' | b'!') => !contains(tail, b"IN="),
        Some(_) => false,
    }
}

/// `nf_conntrack version 0.5.0 (16384 buckets, 65536 max) - 304 bytes per conntrack`
fn loaded(text: &[u8]) -> Option<Message> {
    let rest = text
        .strip_prefix(b"nf_conntrack version ")
        .or_else(|| text.strip_prefix(b"ip_conntrack version "))?;
    let (buckets, rest) = number(after(rest, b" (")?)?;
    let (max, rest) = number(rest.strip_prefix(b" buckets, ")?)?;
    let entry_bytes = rest
        .strip_prefix(b" max) - ")
        .and_then(number)
        .filter(|(_, rest)| rest.starts_with(b" bytes"))
        .map(|(bytes, _)| bytes);
    Some(Message::Loaded { buckets, max, entry_bytes })
}

fn neighbour(text: &[u8]) -> Option<Message> {
    let modern = text.strip_prefix(b"neighbour: ").unwrap_or(text);
    for (name, table) in
        [("arp_cache: ", NeighbourTable::Arp), ("ndisc_cache: ", NeighbourTable::Ndisc)]
    {
        if let Some(rest) = modern.strip_prefix(name.as_bytes()) {
            return overflow(rest).then_some(Message::NeighbourOverflow(table));
        }
    }
    let (table, rest) = if let Some(rest) = text.strip_prefix(b"IPv4: ") {
        (NeighbourTable::Arp, rest)
    } else if let Some(rest) = text.strip_prefix(b"IPv6: ") {
        (NeighbourTable::Ndisc, rest)
    } else {
        (NeighbourTable::Unnamed, modern)
    };
    overflow(rest).then_some(Message::NeighbourOverflow(table))
}

/// `Neighbour table overflow.`, `neighbor table overflow!`
fn overflow(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"N").or_else(|| text.strip_prefix(b"n")) else {
        return false;
    };
    let Some(rest) = rest.strip_prefix(b"eighbo") else { return false };
    let rest = rest.strip_prefix(b"u").unwrap_or(rest);
    matches!(rest.strip_prefix(b"r table overflow"), Some(b"" | b"." | b"!"))
}

fn syn_flood(text: &[u8]) -> Option<Message> {
    let mut rest = text;
    while rest.starts_with(b"TCP") || rest.starts_with(b"request_sock_") {
        rest = after(rest, b": ")?;
    }
    let rest = rest.strip_prefix(b"p").or_else(|| rest.strip_prefix(b"P"))?;
    let rest = rest.strip_prefix(b"ossible SYN flooding on port ")?;
    let end = find(rest, b". ").unwrap_or(rest.len());
    let socket = rest[..end].strip_suffix(b".").unwrap_or(&rest[..end]);
    let digits = socket.rsplit(|&b| b == b':').next().unwrap_or(socket);
    let port = number(digits)
        .filter(|(_, rest)| rest.is_empty())
        .and_then(|(port, _)| u16::try_from(port).ok());
    let cookies = if contains(rest, b"Sending cookies") {
        Some(true)
    } else if contains(rest, b"Dropping request") {
        Some(false)
    } else {
        None
    };
    Some(Message::SynFlood { port, cookies })
}

fn socket_memory(text: &[u8]) -> Option<Message> {
    let rest = text.strip_prefix(b"TCP: ").or_else(|| text.strip_prefix(b"TCPv6: "));
    let rest = rest.unwrap_or(text);
    let starts = |words: &str| rest.starts_with(words.as_bytes());
    if starts("out of memory -- consider tuning tcp_mem") || starts("Out of socket memory") {
        Some(Message::SocketMemory(SocketMemoryKind::Memory))
    } else if starts("too many orphaned sockets") || starts("too many of orphaned sockets") {
        Some(Message::SocketMemory(SocketMemoryKind::Orphans))
    } else {
        None
    }
}

/// `printk: 3 messages suppressed.`, `net_ratelimit: 209 callbacks suppressed`
fn suppressed(text: &[u8]) -> Option<Message> {
    let at = find(text, b": ")?;
    let (name, rest) = (&text[..at], &text[at + 2..]);
    if name.is_empty() || name.contains(&b' ') {
        return None;
    }
    let (count, rest) = number(rest)?;
    let by = match rest {
        b" messages suppressed." | b" messages suppressed" => match name {
            b"printk" | b"__ratelimit" => Limiter::Any,
            b"net_ratelimit" => Limiter::Networking,
            _ => Limiter::Other,
        },
        b" callbacks suppressed" | b" callbacks suppressed." => match name {
            b"net_ratelimit" => Limiter::Networking,
            b"__ratelimit" | b"printk" => Limiter::Any,
            _ => Limiter::Other,
        },
        _ => return None,
    };
    Some(Message::Suppressed { by, count })
}

/// Reports of the page and slab allocators, line by line.
fn allocation(text: &[u8]) -> Option<Message> {
    if let Some(rest) = after(text, b": page allocation failure") {
        let sound = matches!(rest.first(), Some(b':' | b'.' | b','));
        return (sound && contains(rest, b"order:")).then_some(Message::PageAllocation);
    }
    let words = text.trim_ascii_start();
    if words.starts_with(b"cache: nf_conntrack") || words.starts_with(b"cache: ip_conntrack") {
        // `nf_conntrack_expect` and `nf_conntrack_helper` are caches of other things.
        let name = &words[b"cache: ".len()..];
        let end = name.iter().position(|&b| b == b',').unwrap_or(name.len());
        let other = contains(&name[..end], b"expect") || contains(&name[..end], b"helper");
        return (!other).then_some(Message::ConntrackCache);
    }
    [
        "__nf_conntrack_alloc+0x",
        "nf_conntrack_alloc+0x",
        "ip_conntrack_alloc+0x",
        "init_conntrack+0x",
    ]
    .iter()
    .any(|frame| frame_of(words, frame.as_bytes()))
    .then_some(Message::ConntrackFrame)
}

/// ` [<ffffffffa0001234>] ? __nf_conntrack_alloc+0x5d/0x150 [nf_conntrack]`: the symbol is a word of
/// its own, and little stands before it.
fn frame_of(text: &[u8], symbol: &[u8]) -> bool {
    find(text, symbol).is_some_and(|at| at < 48 && (at == 0 || matches!(text[at - 1], b' ' | b']')))
}
