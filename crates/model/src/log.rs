//! The lines that a full table writes to the kernel log, as far as the networking rate limiter lets them.
//!
//! Kernel: `net_ratelimit()`, lib/ratelimit.c; to 2.6.26 `__printk_ratelimit()`, a token bucket. Other
//! networking messages share the limiter; the model knows of none.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use plimsoll_ct::LogWording;

use crate::defrag::Datagram;
use crate::settings::Settings;

/// A line of the kernel log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Ticks since the first packet.
    pub tick: u64,
    /// Text behind the time stamp.
    pub text: String,
    /// It is not whole: the packet that it is about belongs behind it. The model does not see all of that:
    /// [`describe`](crate::Model::describe).
    pub about_packet: bool,
    /// It was written as that packet left the host that sent it ([`loopback`](crate::Model::loopback)).
    pub leaving: bool,
}

/// Lines kept until somebody takes them.
const KEPT: usize = 10_000;

#[derive(Debug, Clone)]
pub(crate) struct Log {
    wording: LogWording,
    netns: Option<u64>,
    lines: Vec<LogLine>,
    /// So many of them stood there when the last packet came.
    pub(crate) before: usize,
    begun: Option<u64>,
    printed: u32,
    missed: u32,
    /// Of the token bucket, in ticks.
    tokens: u64,
    /// What the lines about the last packet are about, if it came in parts.
    datagram: Option<Datagram>,
    /// Whether it is leaving its host.
    pub(crate) leaving: bool,
}

impl Log {
    pub(crate) const fn new(wording: LogWording, netns: Option<u64>) -> Self {
        let lines = Vec::new();
        Self {
            wording,
            netns,
            lines,
            before: 0,
            begun: None,
            printed: 0,
            missed: 0,
            tokens: 0,
            datagram: None,
            leaving: false,
        }
    }

    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        (self.datagram, self.before) = (None, 0);
        mem::take(&mut self.lines)
    }

    /// Another packet comes: lines so far are not about it.
    #[inline]
    pub(crate) const fn next_packet(&mut self) {
        self.before = self.lines.len();
    }

    /// A line about a packet, without a limit.
    pub(crate) fn about_packet(&mut self, tick: u64, text: String) {
        self.datagram = None;
        self.push(LogLine { tick, text, about_packet: true, leaving: self.leaving });
    }

    /// The lines about the last packet, if there are any, are about this one.
    pub(crate) fn is_about(&mut self, datagram: Datagram) {
        self.datagram = self.awaits_packet().then_some(datagram);
    }

    /// Whether there are lines about the last packet that do not show it yet.
    pub(crate) fn awaits_packet(&self) -> bool {
        self.lines[self.before..].iter().any(|line| line.about_packet)
    }

    /// What the lines about the last packet are about, if it came in parts.
    pub(crate) fn take_datagram(&mut self) -> Option<Datagram> {
        self.datagram.take()
    }

    /// Writes behind the lines about the last packet what it is, leaving or not.
    pub(crate) fn describe(&mut self, mut append: impl FnMut(&mut String, bool)) {
        for line in self.lines[self.before..].iter_mut().filter(|line| line.about_packet) {
            append(&mut line.text, line.leaving);
            line.about_packet = false;
        }
    }

    pub(crate) fn table_full(&mut self, tick: u64, token_bucket: bool, settings: &Settings) {
        self.limited(tick, token_bucket, settings, Self::text);
    }

    /// The table of expectations is full.
    pub(crate) fn expectations_full(&mut self, tick: u64, token_bucket: bool, settings: &Settings) {
        self.limited(tick, token_bucket, settings, |log| {
            let prefix = match log.wording {
                LogWording::IpConntrack => "ip_conntrack: ",
                LogWording::FullStop | LogWording::Plain => "nf_conntrack: ",
                LogWording::Doubled | LogWording::Netns => "nf_conntrack: nf_conntrack: ",
            };
            alloc::format!("{prefix}expectation table full")
        });
    }

    /// Whether nothing more will be written at this tick.
    pub(crate) fn is_silent(&self, tick: u64, token_bucket: bool, settings: &Settings) -> bool {
        let interval = u64::from(settings.message_cost) * u64::from(settings.hz);
        !token_bucket
            && self.printed >= settings.message_burst
            && self.begun.is_some_and(|begun| tick <= begun + interval)
    }

    /// So many lines more were not written, at a tick at which it was [silent](Self::is_silent).
    pub(crate) const fn miss(&mut self, lines: u32) {
        self.missed = self.missed.saturating_add(lines);
    }

    fn limited(
        &mut self,
        tick: u64,
        token_bucket: bool,
        settings: &Settings,
        text: impl FnOnce(&Self) -> String,
    ) {
        let interval = u64::from(settings.message_cost) * u64::from(settings.hz);
        let burst = settings.message_burst;
        let allowed = if token_bucket {
            let full = interval.saturating_mul(u64::from(burst));
            let since = self.begun.map_or(full, |begun| tick - begun);
            self.begun = Some(tick);
            self.tokens = (self.tokens + since).min(full);
            let allowed = self.tokens >= interval;
            if allowed {
                self.tokens -= interval;
                self.suppressed(tick, "printk: ", " messages suppressed.");
            }
            allowed
        } else {
            let begun = *self.begun.get_or_insert(tick);
            if tick > begun + interval {
                self.suppressed(tick, "net_ratelimit: ", " callbacks suppressed");
                self.begun = Some(tick);
                self.printed = 0;
            }
            self.printed += 1;
            self.printed <= burst
        };
        if allowed {
            let text = text(self);
            self.line(tick, text);
        } else {
            self.missed += 1;
        }
    }

    fn suppressed(&mut self, tick: u64, before: &str, behind: &str) {
        if self.missed > 0 {
            let text = alloc::format!("{before}{}{behind}", self.missed);
            self.missed = 0;
            self.line(tick, text);
        }
    }

    fn text(&self) -> String {
        match (self.wording, self.netns) {
            (LogWording::IpConntrack, _) => "ip_conntrack: table full, dropping packet.".into(),
            (LogWording::FullStop, _) => "nf_conntrack: table full, dropping packet.".into(),
            (LogWording::Plain, _) => "nf_conntrack: table full, dropping packet".into(),
            (LogWording::Doubled, _) | (LogWording::Netns, None) => {
                "nf_conntrack: nf_conntrack: table full, dropping packet".into()
            }
            (LogWording::Netns, Some(inode)) => alloc::format!(
                "nf_conntrack: nf_conntrack: table full in netns {inode}, dropping packet"
            ),
        }
    }

    fn line(&mut self, tick: u64, text: String) {
        self.push(LogLine { tick, text, about_packet: false, leaving: false });
    }

    fn push(&mut self, line: LogLine) {
        if self.lines.len() < KEPT {
            self.lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use plimsoll_ct::{Bytes, Profile};

    fn settings() -> Settings {
        Settings::of(Profile::named("6.18").unwrap(), Bytes(8 << 30))
    }

    #[test]
    fn ten_lines_then_silence_then_the_number_of_those_suppressed() {
        let mut log = Log::new(LogWording::Netns, Some(7));
        for tick in 0..219 {
            log.table_full(tick, false, &settings());
        }
        log.table_full(2000, false, &settings());
        let lines = log.take();
        assert_eq!(lines.len(), 12);
        assert!(lines[0].text.contains("table full in netns 7, dropping packet"));
        assert_eq!(lines[10].text, "net_ratelimit: 209 callbacks suppressed");
    }

    #[test]
    fn the_token_bucket_of_2_6_18_gives_one_line_each_five_seconds_after_the_burst() {
        let mut log = Log::new(LogWording::IpConntrack, None);
        for tick in 0..15_000 {
            log.table_full(tick, true, &settings());
        }
        let lines = log.take();
        let full = lines.iter().filter(|l| l.text.contains("table full")).count();
        assert_eq!(full, 10 + 15_000 / 1250 - 1);
        assert!(lines.iter().any(|l| l.text.ends_with("messages suppressed.")));
    }
}
