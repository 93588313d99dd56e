//! Timeout policies: timeouts that a rule gives to the entries it meets, in place of the namespace's.
//!
//! Kernel: `nft_ct_timeout_obj_eval()`, `xt_ct_set_timeout()`, nf_conntrack_timeout.c, `*_timeout_nlattr_to_obj()` of
//! the trackers. An entry gets its policy when it is made and keeps it. What a policy does not name is what the
//! namespace had when the policy was made.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::settings::Settings;

/// Timeouts of one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeoutPolicy {
    protocol: Tracker,
    number: u8,
    /// State, seconds.
    changes: Vec<(State, u32)>,
}

/// Name within a policy (nft's, nfct's), and that of the sysctl that it stands for.
type State = (&'static str, &'static str);

/// A protocol and its states; the first is the one that a rule gives to a new entry.
type Tracker = (&'static str, &'static [State]);

/// Its timeouts, as they are written: `established=600 close_wait=10`.
impl fmt::Display for TimeoutPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, ((state, _), seconds)) in self.changes.iter().enumerate() {
            write!(f, "{}{state}={seconds}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Why there is no such policy. `{}` is the English, `{:#}` the Chinese.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    word: String,
    tracker: Tracker,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protocol, states) = self.tracker;
        if !f.alternate() {
            write!(f, "{protocol} has no timeout {:?}, only", self.word)?;
        } else if self.tracker == GENERIC {
            write!(f, "没有跟踪器的协议没有 {:?} 这个超时，只有", self.word)?;
        } else {
            write!(f, "{protocol} 没有 {:?} 这个超时，只有", self.word)?;
        }
        for (i, (word, _)) in states.iter().enumerate() {
            write!(f, "{} {word}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl core::error::Error for PolicyError {}

const TCP: Tracker = (
    "tcp",
    &[
        ("syn_sent", "tcp_timeout_syn_sent"),
        ("syn_recv", "tcp_timeout_syn_recv"),
        ("established", "tcp_timeout_established"),
        ("fin_wait", "tcp_timeout_fin_wait"),
        ("close_wait", "tcp_timeout_close_wait"),
        ("last_ack", "tcp_timeout_last_ack"),
        ("time_wait", "tcp_timeout_time_wait"),
        ("close", "tcp_timeout_close"),
        ("syn_sent2", "tcp_timeout_syn_sent2"),
        ("retrans", "tcp_timeout_max_retrans"),
        ("unack", "tcp_timeout_unacknowledged"),
    ],
);
const UDP: Tracker = ("udp", &[("unreplied", "udp_timeout"), ("replied", "udp_timeout_stream")]);
const UDP_LITE: Tracker =
    ("udplite", &[("unreplied", "udplite_timeout"), ("replied", "udplite_timeout_stream")]);
const ICMP: Tracker = ("icmp", &[("timeout", "icmp_timeout")]);
const ICMPV6: Tracker = ("icmpv6", &[("timeout", "icmpv6_timeout")]);
const GRE: Tracker = ("gre", &[("unreplied", "gre_timeout"), ("replied", "gre_timeout_stream")]);
const SCTP: Tracker = (
    "sctp",
    &[
        ("closed", "sctp_timeout_closed"),
        ("cookie_wait", "sctp_timeout_cookie_wait"),
        ("cookie_echoed", "sctp_timeout_cookie_echoed"),
        ("established", "sctp_timeout_established"),
        ("shutdown_sent", "sctp_timeout_shutdown_sent"),
        ("shutdown_recd", "sctp_timeout_shutdown_recd"),
        ("shutdown_ack_sent", "sctp_timeout_shutdown_ack_sent"),
        ("heartbeat_sent", "sctp_timeout_heartbeat_sent"),
        ("heartbeat_acked", "sctp_timeout_heartbeat_acked"),
    ],
);
const DCCP: Tracker = (
    "dccp",
    &[
        ("request", "dccp_timeout_request"),
        ("respond", "dccp_timeout_respond"),
        ("partopen", "dccp_timeout_partopen"),
        ("open", "dccp_timeout_open"),
        ("closereq", "dccp_timeout_closereq"),
        ("closing", "dccp_timeout_closing"),
        ("timewait", "dccp_timeout_timewait"),
        // Where the kernel has no tracker for it.
        ("timeout", "generic_timeout"),
    ],
);
const GENERIC: Tracker = ("a protocol without a tracker", &[("timeout", "generic_timeout")]);

impl TimeoutPolicy {
    /// Of a protocol by its number, with the namespace's timeouts.
    pub const fn new(number: u8) -> Self {
        let protocol = match number {
            1 => ICMP,
            6 => TCP,
            17 => UDP,
            33 => DCCP,
            47 => GRE,
            58 => ICMPV6,
            132 => SCTP,
            136 => UDP_LITE,
            _ => GENERIC,
        };
        Self { protocol, number, changes: Vec::new() }
    }

    /// Changes the timeout of a state: `established`, `unreplied`.
    ///
    /// ```
    /// let mut policy = plimsoll_model::TimeoutPolicy::new(6);
    /// policy.set("established", 600).expect("a state of TCP's");
    /// assert!(policy.set("unreplied", 10).is_err());
    /// ```
    pub fn set(&mut self, state: &str, seconds: u32) -> Result<(), PolicyError> {
        let known = self.protocol.1.iter().find(|(word, _)| *word == state);
        let error = || PolicyError { word: state.to_string(), tracker: self.protocol };
        let known = *known.ok_or_else(error)?;
        self.changes.retain(|(other, _)| *other != known);
        self.changes.push((known, seconds));
        Ok(())
    }

    /// The number of its protocol: entries of others do not get it.
    pub const fn protocol(&self) -> u8 {
        self.number
    }

    /// All timeouts of the entries that it is given to.
    pub(crate) fn resolve(&self, namespace: &Settings) -> Timeouts {
        let mut settings = Settings { policies: Vec::new(), ..namespace.clone() };
        for ((_, name), seconds) in &self.changes {
            if let Some((place, unit)) = settings.timeout_mut(name) {
                *place = seconds.saturating_mul(unit);
            }
        }
        if self.protocol == UDP_LITE {
            // It is UDP's tracker that asks on most kernels.
            settings.udp = settings.udp_lite;
        }
        let first = self.protocol.1.first().and_then(|(_, name)| settings.timeout_mut(name));
        let (first, unit) = first.map_or((0, 1), |(place, unit)| (*place, unit));
        Timeouts { protocol: self.number, first: first / unit, settings }
    }
}

/// A policy in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) protocol: u8,
    /// What a rule gives to a new entry, whatever its state is, in seconds.
    pub(crate) first: u32,
    /// Only the timeouts matter.
    pub(crate) settings: Settings,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_ct::{Bytes, Profile};

    use super::*;

    #[test]
    fn every_state_names_a_timeout_that_the_model_has() {
        let settings = Settings::of(Profile::named("6.18").unwrap(), Bytes(8 << 30));
        for number in 0..=u8::MAX {
            let mut policy = TimeoutPolicy::new(number);
            for (state, name) in policy.protocol.1 {
                policy.set(state, 7).unwrap();
                let mut resolved = policy.resolve(&settings).settings;
                let value = resolved.timeout_mut(name).map(|(place, unit)| *place / unit);
                assert_eq!(value, Some(7), "{name}");
            }
        }
    }

    #[test]
    fn what_a_policy_does_not_name_is_the_namespaces() {
        let mut settings = Settings::of(Profile::named("6.18").unwrap(), Bytes(8 << 30));
        settings.set("nf_conntrack_tcp_timeout_syn_sent", 11).unwrap();
        let mut policy = TimeoutPolicy::new(6);
        policy.set("established", 600).unwrap();
        let own = policy.resolve(&settings);
        assert_eq!((own.first, own.settings.tcp_timeouts.states[3]), (11, 600));
        assert_eq!(
            policy.set("stream", 1).unwrap_err().to_string().split(',').next(),
            Some("tcp has no timeout \"stream\"")
        );
    }
}
