//! Records of /dev/kmsg: `4,1234,5678901,-;nf_conntrack: table full, dropping packet`.
//!
//! Priority (facility × 8 + level), sequence, microseconds since boot, flags, maybe more fields, then
//! the text; lines that begin with a blank carry a dictionary. The kernel itself writes with facility
//! 0, which nobody can forge: what programs write into /dev/kmsg gets facility 1 or what they name.

use alloc::borrow::Cow;
use plimsoll_ct::Nanos;

use super::bytes::number;
use super::line::{Line, Speaker, Times};
use super::stamp::Stamp;

/// One record as a read of /dev/kmsg returns it, and its sequence number: a gap in these tells how
/// many records were overwritten before they could be read.
pub fn record(bytes: &[u8]) -> Option<(u64, Line<'_>)> {
    let (priority, rest) = number(bytes)?;
    let (sequence, rest) = number(rest.strip_prefix(b",")?)?;
    let (micros, rest) = number(rest.strip_prefix(b",")?)?;
    let at = rest.iter().position(|&b| b == b';' || b == b'\n')?;
    let text = rest[at..].strip_prefix(b";")?;
    let end = text.iter().position(|&b| b == b'\n').unwrap_or(text.len());
    let line = Line {
        stamp: Some(Stamp::SinceBoot(Nanos(micros.checked_mul(1000)?))),
        host: None,
        speaker: if priority >> 3 == 0 { Speaker::Kernel } else { Speaker::Injected },
        text: Cow::Borrowed(&text[..end]),
        times: Times::Once,
    };
    Some((sequence, line))
}
