//! Programs that keep logs and tell that they lost lines.
//!
//! None of these proves anything about packets. They matter since a log that lost lines cannot prove
//! that a line was never there.

use super::bytes::{after, contains, find, number};

/// Who keeps the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keeper {
    /// systemd-journald.
    Journald,
    /// rsyslogd.
    Rsyslog,
}

/// Lines that a keeper says it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loss {
    /// Who lost them.
    pub by: Keeper,
    /// How many, if it says.
    pub count: Option<u64>,
    /// Whether lines of the kernel can be among them: journald and imuxsock limit programs only,
    /// while imjournal, imklog and an overrun of /dev/kmsg lose the kernel's lines too.
    pub kernel: bool,
}

/// Recognises a keeper's notice by the tag it logs under and its text.
pub fn recognise_loss(tag: &[u8], text: &[u8]) -> Option<Loss> {
    let text = text.trim_ascii();
    if tag.starts_with(b"systemd-journal") {
        return journald(text);
    }
    if tag.starts_with(b"rsyslogd") { rsyslog(text) } else { None }
}

fn journald(text: &[u8]) -> Option<Loss> {
    let loss = |count, kernel| Some(Loss { by: Keeper::Journald, count, kernel });
    if let Some((count, rest)) = text.strip_prefix(b"Suppressed ").and_then(number) {
        return if rest.starts_with(b" messages from") { loss(Some(count), false) } else { None };
    }
    if let Some((count, rest)) = text.strip_prefix(b"Missed ").and_then(number) {
        return if rest.starts_with(b" kernel messages") { loss(Some(count), true) } else { None };
    }
    if text.starts_with(b"/dev/kmsg buffer overrun") { loss(None, true) } else { None }
}

fn rsyslog(text: &[u8]) -> Option<Loss> {
    if !contains(text, b"due to rate-limiting") {
        return None;
    }
    let kernel = text.starts_with(b"imjournal") || text.starts_with(b"imklog");
    // `imuxsock lost 12 messages from pid 3 …`, `imjournal: 12 messages lost …`, `… begin to drop …`
    let count = after(text, b" lost ")
        .and_then(number)
        .filter(|(_, rest)| rest.starts_with(b" messages"))
        .or_else(|| {
            let at = find(text, b": ")?;
            number(&text[at + 2..]).filter(|(_, rest)| rest.starts_with(b" messages lost"))
        })
        .map(|(count, _)| count);
    Some(Loss { by: Keeper::Rsyslog, count, kernel })
}
