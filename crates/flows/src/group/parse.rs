//! `--by state,dport,src/24` to keys.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use super::key::{Cut, Key, Keys, Span};
use crate::nearest::nearest;
use crate::words::both;
use crate::{Complaint, Words};

static BY: Words = Words::of("--by", "--by ");

/// The words, in the order in which help shows them.
const WORDS: &[(&str, Key)] = &[
    ("proto", Key::Protocol),
    ("family", Key::Family),
    ("state", Key::State),
    ("class", Key::Class),
    ("service", Key::Service),
    ("dport", Key::DestinationPort),
    ("sport", Key::SourcePort),
    ("src", Key::Source(Cut::NONE)),
    ("dst", Key::Destination(Cut::NONE)),
    ("reply-src", Key::ReplySource(Cut::NONE)),
    ("reply-dst", Key::ReplyDestination(Cut::NONE)),
    ("direction", Key::Direction),
    ("netns", Key::Netns),
    ("process", Key::Process),
    ("unit", Key::Unit),
    ("container", Key::Container),
    ("pod", Key::Pod),
    ("zone", Key::Zone),
    ("mark", Key::Mark),
    ("helper", Key::Helper),
    ("age", Key::Band(Span::Age)),
    ("idle", Key::Band(Span::Idle)),
    ("expires", Key::Band(Span::Expires)),
];

/// Names by which people know a key as well.
const ALSO: &[(&str, &str)] =
    &[("protocol", "proto"), ("source", "src"), ("destination", "dst"), ("port", "dport")];

/// Most keys of one grouping.
const MOST: usize = 8;

impl Keys {
    /// From words with commas between them. An address may be cut to a prefix: `src/24` groups IPv4 by 24 bits and
    /// IPv6 by 64, `src/24:48` says both.
    pub fn parse(text: &str) -> Result<Self, Complaint> {
        let mut keys = Vec::new();
        let mut at = 0;
        for word in text.split(',') {
            let trimmed = word.trim();
            let start = at + (word.len() - word.trim_start().len());
            at += word.len() + 1;
            let wrong = |what| Complaint::new(&BY, text, start, trimmed.len(), what);
            if keys.len() == MOST {
                return Err(wrong(both!("more than {MOST} keys", "键超过 {MOST} 个")));
            }
            let key = one(trimmed).map_err(|what| Complaint {
                nearest: nearest(name_of(trimmed), WORDS.iter().map(|(name, _)| *name))
                    .filter(|name| *name != name_of(trimmed))
                    .map(ToString::to_string),
                ..wrong(what)
            })?;
            if keys.contains(&key) {
                return Err(wrong(Words::of("this key was named before", "这个键前面已经写过")));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// Every word that `parse` understands.
    pub fn words() -> impl Iterator<Item = &'static str> {
        WORDS.iter().map(|(name, _)| *name)
    }
}

fn name_of(word: &str) -> &str {
    word.split('/').next().unwrap_or(word)
}

fn one(word: &str) -> Result<Key, Words> {
    let name = name_of(word);
    let name = ALSO.iter().find(|(also, _)| *also == name).map_or(name, |(_, name)| name);
    let Some((_, key)) = WORDS.iter().find(|(known, _)| *known == name) else {
        let all: Vec<&str> = Keys::words().collect();
        return Err(both!("expected one of {}", "应为其中之一：{}", all.join(", ")));
    };
    let Some((_, cut)) = word.split_once('/') else { return Ok(*key) };
    let cut = prefix(cut).ok_or(Words::of(
        "expected a prefix such as /24 or /24:64 (IPv4:IPv6)",
        "应为前缀，如 /24 或 /24:64（IPv4:IPv6）",
    ))?;
    match key {
        Key::Source(_) => Ok(Key::Source(cut)),
        Key::Destination(_) => Ok(Key::Destination(cut)),
        Key::ReplySource(_) => Ok(Key::ReplySource(cut)),
        Key::ReplyDestination(_) => Ok(Key::ReplyDestination(cut)),
        _ => Err(Words::of("only an address can be cut to a prefix", "只有地址可以截成前缀")),
    }
}

fn prefix(text: &str) -> Option<Cut> {
    let bits = |text: &str, most: u8| text.parse().ok().filter(|bits| *bits <= most);
    match text.split_once(':') {
        Some((v4, v6)) => Some(Cut { v4: bits(v4, 32)?, v6: bits(v6, 128)? }),
        None => Some(Cut { v4: bits(text, 32)?, v6: 64 }),
    }
}

/// The word of a key, as `parse` understands it.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bare, cut) = match *self {
            Self::Source(cut) => (Self::Source(Cut::NONE), cut),
            Self::Destination(cut) => (Self::Destination(Cut::NONE), cut),
            Self::ReplySource(cut) => (Self::ReplySource(Cut::NONE), cut),
            Self::ReplyDestination(cut) => (Self::ReplyDestination(Cut::NONE), cut),
            other => (other, Cut::NONE),
        };
        f.write_str(WORDS.iter().find(|(_, key)| *key == bare).map_or("", |(name, _)| name))?;
        match cut {
            Cut::NONE => Ok(()),
            Cut { v4, v6: 64 } => write!(f, "/{v4}"),
            Cut { v4, v6 } => write!(f, "/{v4}:{v6}"),
        }
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{key}")?;
        }
        Ok(())
    }
}
