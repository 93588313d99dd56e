//! sysctl.d files: assignments with their place; `sysctl -a`; what scripts and the kernel's command line set.
//!
//! Source: sysctl.d(5), sysctl.conf(5), kernel-parameters (`sysctl.`), and what systemd-sysctl 252 and procps 4.0.2
//! did with such files.

mod script;
#[cfg(test)]
mod tests;

pub use script::{read_command_line, read_script};

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::SETTINGS;

use crate::{Expected, Malformed, Place};

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// File as the host knows it: `/etc/sysctl.d/90-x.conf`.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Key in dotted notation, as `sysctl -a` prints it: `net.netfilter.nf_conntrack_max`. A dot within a
    /// part (an interface's name) is a slash here, as there. Behind `- ` it keeps its blank, which makes it no key for procps.
    pub key: String,
    /// Value, trimmed.
    pub value: String,
    /// Line began with `-`: failure is ignored.
    pub may_fail: bool,
}

/// A file of assignments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conf {
    /// The file.
    pub file: String,
    /// Assignments, in order. Keys may be patterns (`net.ipv4.conf.*.rp_filter`).
    pub assignments: Vec<Assignment>,
    /// Lines and keys that no pattern may set (`-net.ipv4.conf.eth0.rp_filter` without a value). Behind `- ` with its blank, too.
    pub excluded: Vec<(u32, String)>,
    /// Lines that are neither.
    pub malformed: Vec<Malformed>,
}

/// Reads a file. A line that can't be understood is noted and costs nothing else.
pub fn read_conf(file: &str, text: &str) -> Conf {
    let mut conf = Conf { file: file.into(), ..Conf::default() };
    for (line, content) in (1..).zip(text.lines()) {
        conf.read(line, content, dotted);
    }
    conf
}

/// Reads a file as systemd-sysctl does: a carriage return or a NUL ends a line as well (its number stays that of the
/// editor's), and the blank of `- KEY` is nothing.
pub fn read_conf_of_systemd(file: &str, text: &str) -> Conf {
    let mut conf = Conf { file: file.into(), ..Conf::default() };
    for (line, content) in (1..).zip(text.lines()) {
        content.split(['\r', '\0']).for_each(|part| conf.read(line, part, dotted));
    }
    let keys = conf.assignments.iter_mut().map(|a| &mut a.key);
    let keys = keys.chain(conf.excluded.iter_mut().map(|(_, key)| key));
    keys.for_each(|key| *key = key.trim_start().into());
    conf
}

/// Reads a file as sysctl of procps does: nothing behind a NUL; and a key with a separator in front keeps it, as a dot,
/// since that program does not take it for the same key when it looks what a pattern may set.
pub fn read_conf_of_procps(file: &str, text: &str) -> Conf {
    let mut conf = Conf { file: file.into(), ..Conf::default() };
    let spelt = |key: &str| {
        let rooted = if key.starts_with(['.', '/']) { "." } else { "" };
        format!("{rooted}{}", dotted(key))
    };
    for (line, content) in (1..).zip(text.lines()) {
        conf.read(line, content.split('\0').next().unwrap_or(""), spelt);
    }
    conf
}

/// Reads a file as busybox's sysctl does: a `\` at a line's end leads on in the next one, a `#` ends a line wherever it stands,
/// and a key has its separators as they come; there is no `-` or separator in front of one, and no pattern: such keys are none.
pub fn read_conf_of_busybox(file: &str, text: &str) -> Conf {
    let mut conf = Conf { file: file.into(), ..Conf::default() };
    let mut whole = String::new();
    let mut first = None;
    for (line, content) in (1..).zip(text.split('\n')) {
        let from = *first.get_or_insert(line);
        if let Some(part) = content.strip_suffix('\\') {
            whole.push_str(part);
            continue;
        }
        whole.push_str(content);
        conf.read_of_busybox(from, &core::mem::take(&mut whole));
        first = None;
    }
    if let Some(first) = first {
        conf.read_of_busybox(first, &whole);
    }
    conf
}

impl Conf {
    fn read_of_busybox(&mut self, line: u32, content: &str) {
        let content = content.split(['#', '\0']).next().unwrap_or("");
        // Without a value it is no assignment.
        let content =
            content.trim_end_matches(|c: char| c == '=' || c.is_whitespace()).trim_start();
        if !content.starts_with(['-', '.', '/']) {
            self.read(line, content, |key| key.replace('/', "."));
        }
    }

    /// A line, or a part of one. `spelt`: how a key is written down.
    fn read(&mut self, line: u32, content: &str, spelt: impl Fn(&str) -> String) {
        let content = content.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            return;
        }
        let (may_fail, content) = match content.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, content),
        };
        let blank = if content.starts_with([' ', '\t']) { " " } else { "" };
        let named = |key: &str| format!("{blank}{}", spelt(key.trim()));
        match content.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => self.assignments.push(Assignment {
                file: self.file.clone(),
                line,
                key: named(key),
                value: value.trim().into(),
                may_fail,
            }),
            None if may_fail && !content.trim().is_empty() => {
                self.excluded.push((line, named(content)));
            }
            Some(_) | None => self.malformed.push(Malformed::new(
                Place::File(self.file.as_str().into(), line),
                Expected::Name("`key = value`"),
                content.as_bytes(),
            )),
        }
    }
}

/// Reads `sysctl -a`: key and value of each line that has both.
pub fn read_listing(text: &str) -> impl Iterator<Item = (String, &str)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        let key = key.trim();
        (!key.is_empty() && !key.contains(' ')).then(|| (dotted(key), value.trim()))
    })
}

/// A key in dotted notation. The first separator decides which notation it is in; in the one with slashes a dot
/// belongs to a name, and dotted notation writes it as a slash. A separator several times is one, as in any path.
pub fn dotted(key: &str) -> String {
    let key = key.trim_start_matches(['.', '/']);
    let mut dotted = match key.find(['.', '/']) {
        Some(first) if key.as_bytes()[first] == b'/' => swapped(key),
        Some(_) | None => key.to_owned(),
    };
    while dotted.contains("..") {
        dotted = dotted.replace("..", ".");
    }
    dotted
}

/// Path of a key in dotted notation under /proc/sys.
pub fn path(key: &str) -> String {
    format!("/proc/sys/{}", swapped(key))
}

/// Dots for slashes and slashes for dots.
fn swapped(key: &str) -> String {
    let swap = |c| match c {
        '/' => '.',
        '.' => '/',
        c => c,
    };
    key.chars().map(swap).collect()
}

/// Whether a key is one of conntrack, of any generation, those included that no kernel has
/// (`nf_conntrack_maximum`): a wrong name is worth telling.
pub fn is_conntrack(key: &str) -> bool {
    let bare = key.rsplit('.').next().unwrap_or(key);
    ["nf_conntrack", "ip_conntrack", "nf_flowtable_"].iter().any(|p| bare.starts_with(p))
}

/// Whether a key is a pattern.
pub fn is_pattern(key: &str) -> bool {
    key.contains(['*', '?', '['])
}

/// Every conntrack key, of all generations, that a pattern names.
pub fn expand(pattern: &str) -> Vec<String> {
    let new = SETTINGS.iter().map(|s| format!("net.netfilter.{}", s.name));
    let old = SETTINGS.iter().filter_map(|s| s.old_name).map(|n| format!("net.ipv4.netfilter.{n}"));
    let roots = ["net.nf_conntrack_max", "net.ipv4.ip_conntrack_max"].map(String::from);
    new.chain(old).chain(roots).filter(|key| matches(pattern, key)).collect()
}

/// Whether a key fits a pattern of `*`, `?` and `[...]`. As in a path, none of them crosses a separator.
pub fn matches(pattern: &str, key: &str) -> bool {
    let (pattern, key): (Vec<&str>, Vec<&str>) =
        (pattern.split('.').collect(), key.split('.').collect());
    pattern.len() == key.len() && pattern.iter().zip(&key).all(|(p, k)| fits(p, k))
}

/// Whether one part of a path fits a pattern, with the usual backtracking to the last star: linear in practice, bounded by the product.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(&pattern[p..], text[t]),
            Some(c) if *c == text[t] => Some(1),
            Some(_) | None => None,
        };
        match (step, star) {
            (Some(length), _) => (p, t) = (p + length, t + 1),
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// `[abc]`, `[a-z]`, `[!a-z]`: the length of the class when it has the byte.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|c| *c == b']')? + 2;
    let inner = &pattern[1..end];
    let (negated, inner) = match inner.first() {
        Some(b'!' | b'^') => (true, &inner[1..]),
        Some(_) | None => (false, inner),
    };
    let mut i = 0;
    let mut found = false;
    while i < inner.len() {
        if i + 2 < inner.len() && inner[i + 1] == b'-' {
            found |= (inner[i]..=inner[i + 2]).contains(&byte);
            i += 3;
        } else {
            found |= inner[i] == byte;
            i += 1;
        }
    }
    (found != negated).then_some(end + 1)
}
