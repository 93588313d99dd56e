//! Entries of the journal as `journalctl -o json` and `-o export` write them.
//!
//! journald marks what it read from /dev/kmsg with `_TRANSPORT=kernel`, which no program can set, and
//! keeps the facility: 0 is the kernel, anything else was written into /dev/kmsg by a program.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use plimsoll_ct::{Nanos, Time, TimeRange};
use serde_json::{Map, Value};

use super::bytes::number;
use super::clock::DRIFT;
use super::line::{Line, Speaker, Times};
use super::stamp::Stamp;

/// Longest entry that is looked at; the kernel's own are under 2 KiB.
const LONGEST: usize = 64 << 10;

/// The fields of an entry that we need.
#[derive(Default)]
struct Fields<'a> {
    message: Option<Cow<'a, [u8]>>,
    transport: Option<Cow<'a, [u8]>>,
    facility: Option<Cow<'a, [u8]>>,
    identifier: Option<Cow<'a, [u8]>>,
    host: Option<Cow<'a, [u8]>>,
    realtime: Option<u64>,
    monotonic: Option<u64>,
    source_monotonic: Option<u64>,
}

impl<'a> Fields<'a> {
    fn set(&mut self, name: &[u8], value: Cow<'a, [u8]>) {
        let as_number = |value: &[u8]| number(value).map(|(n, _)| n);
        match name {
            b"MESSAGE" => self.message = Some(value),
            b"_TRANSPORT" => self.transport = Some(value),
            b"SYSLOG_FACILITY" => self.facility = Some(value),
            b"SYSLOG_IDENTIFIER" => self.identifier = Some(value),
            b"_HOSTNAME" => self.host = Some(value),
            b"__REALTIME_TIMESTAMP" => self.realtime = as_number(&value),
            b"__MONOTONIC_TIMESTAMP" => self.monotonic = as_number(&value),
            b"_SOURCE_MONOTONIC_TIMESTAMP" => self.source_monotonic = as_number(&value),
            _ => {}
        }
    }

    /// When the kernel wrote the line that journald stamped with `read`.
    ///
    /// journald keeps the kernel's own stamp too. The difference of the two monotonic stamps is how
    /// late it was (it reads what a whole boot has written when it starts), but for the drift of the
    /// kernel's clock, which over months looks like lateness.
    fn written(&self, read: u64) -> TimeRange {
        let nanos = |micros: u64| Nanos(micros.saturating_mul(1000));
        let read = Time(i64::try_from(read.saturating_mul(1000)).unwrap_or(i64::MAX));
        let (Some(then), Some(written)) = (self.monotonic, self.source_monotonic) else {
            return TimeRange::exact(read);
        };
        let late = then.saturating_sub(written);
        let drift = written / DRIFT;
        let unsure = if late > 1_000_000 { drift } else { 0 };
        TimeRange {
            earliest: read.minus(nanos(late)).minus(nanos(unsure)),
            latest: read.minus(nanos(late.saturating_sub(drift))),
        }
    }

    fn line(self) -> Option<Line<'a>> {
        let kernel = self.transport.as_deref() == Some(b"kernel");
        let by_kernel = match self.facility.as_deref() {
            Some(facility) => facility == b"0",
            None => self.identifier.as_deref() == Some(b"kernel"),
        };
        let stamp = self.realtime.map(|read| Stamp::Known(self.written(read)));
        let message = self.message?;
        let (speaker, text) = match (kernel, by_kernel) {
            (true, true) => (Speaker::Kernel, message),
            // journald took "SOMETHING: " off the line and made it the identifier.
            (true, false) => match self.identifier {
                Some(name) => {
                    (Speaker::Injected, Cow::Owned([&name[..], b": ", &message[..]].concat()))
                }
                None => (Speaker::Injected, message),
            },
            (false, _) => (Speaker::Program(self.identifier.unwrap_or_default()), message),
        };
        Some(Line { stamp, host: self.host, speaker, text, times: Times::Once })
    }
}

/// One line of `journalctl -o json`.
pub fn json_line(bytes: &[u8]) -> Option<Line<'static>> {
    if bytes.len() > LONGEST {
        return None;
    }
    let entry: Map<alloc::string::String, Value> = serde_json::from_slice(bytes).ok()?;
    let mut fields = Fields::default();
    for (name, value) in entry {
        if let Some(value) = json_value(value) {
            fields.set(name.as_bytes(), Cow::Owned(value));
        }
    }
    fields.line()
}

/// A field is a string; an array of numbers where it is not UTF-8; an array of these where the field
/// was given several times.
fn json_value(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.into_bytes()),
        Value::Array(items) if items.iter().all(Value::is_number) => items
            .iter()
            .map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok()))
            .collect(),
        Value::Array(items) => items.into_iter().next().and_then(|first| match first {
            Value::Array(_) | Value::String(_) => json_value(first),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// One entry of `journalctl -o export`: lines of `NAME=value`, or the name alone, a length of eight
/// bytes and as many bytes of value. Entries are separated by an empty line.
pub fn export_entry(bytes: &[u8]) -> Option<Line<'_>> {
    let (mut fields, mut rest, mut any) = (Fields::default(), bytes, false);
    while !rest.is_empty() {
        let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        let (line, next) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
        if let Some(at) = line.iter().position(|&b| b == b'=') {
            fields.set(&line[..at], Cow::Borrowed(&line[at + 1..]));
            (rest, any) = (next, true);
        } else if line.is_empty() {
            rest = next;
        } else {
            let length = u64::from_le_bytes(next.get(..8)?.try_into().ok()?);
            let length = usize::try_from(length).ok()?;
            let value = next.get(8..)?.get(..length)?;
            fields.set(line, Cow::Borrowed(value));
            (rest, any) = (next[8 + length..].strip_prefix(b"\n").unwrap_or_default(), true);
        }
    }
    if any { fields.line() } else { None }
}
