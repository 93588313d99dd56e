//! One line of a log, taken apart: when, on which host, who speaks, what is said.

use alloc::borrow::Cow;

use super::bytes::{number, word};
use super::stamp::{self, Stamp};

/// How a file is written, which decides what a line without a tag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// What dmesg prints: every line is of the kernel.
    Dmesg,
    /// A syslog file or `journalctl` in any of its short forms: lines carry a tag, and only the tag
    /// `kernel:` is the kernel. A line without a stamp continues what a program said.
    Syslog,
    /// `journalctl -o json`, one entry a line.
    Json,
    /// `journalctl -o export`, entries separated by empty lines.
    Export,
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker<'a> {
    /// The kernel.
    Kernel,
    /// A program, by way of /dev/kmsg.
    Injected,
    /// A program, under this tag.
    Program(Cow<'a, [u8]>),
}

/// How often it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Times {
    /// Once.
    Once,
    /// `message repeated N times: [ … ]`: the line quotes what was said N times more.
    More(u64),
    /// `last message repeated N times`: the line before this one in the file was said N times more.
    LastAgain(u64),
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// When.
    pub stamp: Option<Stamp>,
    /// The host it names.
    pub host: Option<Cow<'a, [u8]>>,
    /// Who speaks.
    pub speaker: Speaker<'a>,
    /// What is said, without stamp and tag.
    pub text: Cow<'a, [u8]>,
    /// How often.
    pub times: Times,
}

impl<'a> Line<'a> {
    /// Takes one line (for [`Form::Export`] one entry) apart. `None` when it is not of that form.
    pub fn parse(bytes: &'a [u8], form: Form) -> Option<Self> {
        let bytes = bytes.trim_ascii_end();
        match form {
            Form::Json => super::json_line(bytes),
            Form::Export => super::export_entry(bytes),
            Form::Dmesg => Some(dmesg(bytes)),
            Form::Syslog => syslog(bytes),
        }
    }

    fn kernel(stamp: Option<Stamp>, host: Option<&'a [u8]>, text: &'a [u8]) -> Self {
        let (text, times) = repeated(text);
        let host = host.map(Cow::Borrowed);
        Self { stamp, host, speaker: Speaker::Kernel, text: Cow::Borrowed(text), times }
    }

    fn program(stamp: Stamp, host: Option<&'a [u8]>, tag: &'a [u8], text: &'a [u8]) -> Self {
        let (text, times) = repeated(text);
        Self {
            stamp: Some(stamp),
            host: host.map(Cow::Borrowed),
            speaker: Speaker::Program(Cow::Borrowed(tag)),
            text: Cow::Borrowed(text),
            times,
        }
    }
}

/// `[  123.456789] text`, with `<4>` or `kern  :warn  : ` before it, `[   T12]` behind the stamp, a
/// date in the brackets (-T), an ISO date without brackets, or no stamp at all.
fn dmesg(bytes: &[u8]) -> Line<'_> {
    let (mut rest, mut injected) = (bytes, false);
    if let Some((priority, next)) = priority(rest) {
        (rest, injected) = (next, priority >> 3 != 0);
    } else if let Some((facility, next)) = decoded(rest) {
        (rest, injected) = (next, facility != b"kern");
    }
    let (stamp, text) = match bracketed(rest) {
        Some((stamp, text)) => (stamp, text),
        None => match stamp::iso(rest) {
            Some((stamp, text)) => (Some(as_computed(stamp)), text),
            None => (None, rest),
        },
    };
    let mut line = Line::kernel(stamp, None, without_caller(text));
    if injected {
        line.speaker = Speaker::Injected;
    }
    line
}

/// `Nov 22 03:12:07 host kernel: text`; `host kern.warn kernel: text` and `kernel: text` (BusyBox);
/// RFC 5424; `[  123.456] host kernel: text` (journalctl -o short-monotonic).
fn syslog(bytes: &[u8]) -> Option<Line<'_>> {
    let (from_kernel, rest) = match priority(bytes) {
        Some((priority, rest)) => (priority >> 3 == 0, rest),
        None => (true, bytes),
    };
    let versioned = rest.strip_prefix(b"1 ").filter(|rest| stamp::iso(rest).is_some());
    let (stamp, rest) = match stamp::keeper(versioned.unwrap_or(rest)) {
        Some(found) => found,
        None => match bracketed(rest) {
            Some((Some(stamp @ Stamp::SinceBoot(_)), rest)) => (stamp, rest.trim_ascii_start()),
            _ => return None,
        },
    };
    let Header { host, tag, text } =
        if versioned.is_some() { rfc5424(rest)? } else { header(rest) };
    if tag == b"kernel" && from_kernel {
        return Some(Line::kernel(Some(stamp), host, without_caller(inner_stamp(text))));
    }
    Some(Line::program(stamp, host, tag, text))
}

/// What stands between stamp and text.
struct Header<'a> {
    host: Option<&'a [u8]>,
    tag: &'a [u8],
    text: &'a [u8],
}

/// Host, tag and text of a traditional line.
fn header(rest: &[u8]) -> Header<'_> {
    if let Some((tag, text)) = tagged(rest) {
        return Header { host: None, tag, text };
    }
    let (host, rest) = word(rest);
    if let Some((tag, text)) = tagged(rest) {
        return Header { host: Some(host), tag, text };
    }
    // BusyBox writes facility and severity before the tag, and no host when it is local.
    if is_facility(host) || is_facility(word(rest).0) {
        let (host, rest) =
            if is_facility(host) { (None, rest) } else { (Some(host), word(rest).1) };
        let (tag, text) = tagged(rest).unwrap_or((&[], rest));
        return Header { host, tag, text };
    }
    Header { host: Some(host), tag: &[], text: rest }
}

/// `kernel: text`, `kernel:text`, `sshd[812]: text`.
fn tagged(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(text) = rest.strip_prefix(b"kernel:") {
        return Some((b"kernel", text.strip_prefix(b" ").unwrap_or(text)));
    }
    let (first, text) = word(rest);
    let name = first.strip_suffix(b":")?;
    let end = name.iter().position(|&b| b == b'[').unwrap_or(name.len());
    Some((&name[..end], text))
}

/// `kern.warn`
fn is_facility(word: &[u8]) -> bool {
    let mut parts = word.split(|&b| b == b'.');
    let facility = parts.next().unwrap_or_default();
    let known: &[&[u8]] = &[b"kern", b"user", b"daemon", b"auth", b"authpriv", b"syslog", b"cron"];
    (known.contains(&facility) || facility.starts_with(b"local")) && parts.next().is_some()
}

/// After the stamp: `host kernel - - - text`, the last of the three maybe `[…]` structured data.
fn rfc5424(rest: &[u8]) -> Option<Header<'_>> {
    let (host, rest) = word(rest);
    let (tag, rest) = word(rest);
    let (_process, rest) = word(rest);
    let (_kind, mut rest) = word(rest);
    if let Some(next) = rest.strip_prefix(b"-") {
        rest = next;
    } else {
        while rest.first() == Some(&b'[') {
            let (mut end, mut quoted) = (1, false);
            loop {
                match (rest.get(end)?, quoted) {
                    (b'\\', true) => end += 1,
                    (b'"', _) => quoted = !quoted,
                    (b']', false) => break,
                    _ => {}
                }
                end += 1;
            }
            rest = &rest[end + 1..];
        }
    }
    let text = rest.strip_prefix(b" ").unwrap_or(rest);
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    Some(Header { host: (host != b"-").then_some(host), tag, text })
}

/// `<4>`
fn priority(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (priority, rest) = number(bytes.strip_prefix(b"<")?)?;
    Some((priority, rest.strip_prefix(b">")?))
}

/// `kern  :warn  : ` (dmesg -x)
fn decoded(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (facility, rest) = (bytes.get(..6)?, bytes.get(6..)?.strip_prefix(b":")?);
    let (level, rest) = (rest.get(..6)?, rest.get(6..)?.strip_prefix(b": ")?);
    let word = |padded: &[u8]| padded.trim_ascii_end().iter().all(u8::is_ascii_lowercase);
    (word(facility) && word(level)).then_some((facility.trim_ascii_end(), rest))
}

/// `[  123.456789] `, `[Sun Nov 22 03:12:07 2026] `; `[  +0.000012] ` is a stamp that says nothing.
fn bracketed(bytes: &[u8]) -> Option<(Option<Stamp>, &[u8])> {
    let inside = bytes.strip_prefix(b"[")?.trim_ascii_start();
    let (stamp, rest) = if let Some((since, rest)) = stamp::since_boot(inside) {
        (Some(Stamp::SinceBoot(since)), rest)
    } else if let Some((civil, rest)) = stamp::ctime(inside) {
        (Some(Stamp::Computed(civil)), rest)
    } else {
        let (_, rest) = stamp::since_boot(inside.strip_prefix(b"+")?)?;
        (None, rest)
    };
    let rest = rest.strip_prefix(b"]")?;
    Some((stamp, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// The kernel's stamp that some keepers leave in front of the text; theirs is the wall clock's.
fn inner_stamp(text: &[u8]) -> &[u8] {
    let text = priority(text).map_or(text, |(_, rest)| rest);
    bracketed(text).map_or(text, |(_, rest)| rest)
}

/// `[  T123]`, `[    C0]`: the thread or CPU that printed (CONFIG_PRINTK_CALLER).
fn without_caller(text: &[u8]) -> &[u8] {
    let caller = || {
        let inside = text.trim_ascii_start().strip_prefix(b"[")?.trim_ascii_start();
        let id = inside.strip_prefix(b"T").or_else(|| inside.strip_prefix(b"C"))?;
        let (_, rest) = number(id)?;
        let rest = rest.strip_prefix(b"]")?;
        Some(rest.strip_prefix(b" ").unwrap_or(rest))
    };
    caller().unwrap_or(text)
}

/// dmesg --time-format iso is computed as -T is, and says its zone.
fn as_computed(stamp: Stamp) -> Stamp {
    match stamp {
        Stamp::Local(civil) => Stamp::Computed(civil),
        Stamp::Known(_) | Stamp::SinceBoot(_) | Stamp::Computed(_) => stamp,
    }
}

/// `last message repeated 3 times`, `message repeated 3 times: [ text]`.
fn repeated(text: &[u8]) -> (&[u8], Times) {
    let trimmed = text.trim_ascii_start();
    let last = trimmed.strip_prefix(b"last ");
    let rest = last.unwrap_or(trimmed).strip_prefix(b"message repeated ").and_then(number);
    let Some((count, rest)) = rest else { return (text, Times::Once) };
    let Some(rest) = rest.strip_prefix(b" times") else { return (text, Times::Once) };
    if let Some(quoted) = rest.strip_prefix(b": [") {
        let quoted = quoted.strip_suffix(b"]").unwrap_or(quoted);
        let quoted = quoted.strip_prefix(b" ").unwrap_or(quoted);
        return (without_caller(inner_stamp(quoted)), Times::More(count));
    }
    if last.is_some() { (text, Times::LastAgain(count)) } else { (text, Times::Once) }
}
