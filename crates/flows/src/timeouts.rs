//! How long an entry has been idle, from the seconds it has left.
//!
//! The kernel keeps no time of the last packet; it sets the remaining seconds anew to the timeout of the state. So
//! idle = timeout - remaining, as far as the timeout is known and was not changed since.
//!
//! Kernel: Documentation/networking/nf_conntrack-sysctl.rst; `nf_ct_refresh_acct()`.

use alloc::boxed::Box;
use alloc::vec::Vec;

use plimsoll_ct::{Entry, Seconds, State, Status, TcpState, idle_behind_flow_table, timeout_name};

/// The timeouts in force in one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// By name, sorted.
    known: Vec<(Box<str>, Seconds)>,
    /// Whether entries may come out of a flow table.
    offload: bool,
}

impl Timeouts {
    /// From sysctl names and values: `nf_conntrack_tcp_timeout_established`, 432000. The names of ip_conntrack are
    /// understood; what is no timeout is left out.
    pub fn new<'a>(settings: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let bare = |name: &'a str| {
            let name = name.rsplit('.').next().unwrap_or(name);
            name.strip_prefix("nf_conntrack_").or_else(|| name.strip_prefix("ip_conntrack_"))
        };
        let mut found: Vec<(Box<str>, Seconds)> = settings
            .into_iter()
            .filter_map(|(name, value)| Some((bare(name)?, Seconds(value))))
            .filter(|(name, _)| name.contains("timeout"))
            .map(|(name, value)| (name.into(), value))
            .collect();
        found.sort();
        Self { known: found, offload: false }
    }

    /// With entries that may come out of a flow table, or without.
    #[must_use]
    pub fn with_offload(self, offload: bool) -> Self {
        Self { offload, ..self }
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// A timeout by its name without `nf_conntrack_`.
    pub fn get(&self, name: &str) -> Option<Seconds> {
        let at = self.known.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        self.known.get(at).map(|(_, value)| *value)
    }

    /// Seconds since the last packet that refreshed the entry. `None`: not known, since the timeout is not, or was
    /// lowered since, or the entry has none (offloaded) or a fixed one.
    pub fn idle(&self, entry: &Entry) -> Option<Seconds> {
        let left = entry.expires?;
        if entry.status.contains(Status::FIXED_TIMEOUT) {
            return None;
        }
        let whole = self.get(name(entry)?)?;
        if entry.state == State::Tcp(TcpState::Established) {
            // With data in flight or a zero window it gets the smaller of these, and the entry does not tell which.
            // The shorter idle time is taken: nothing is called idle that may be busy.
            let in_flight =
                self.get("tcp_timeout_unacknowledged").max(self.get("tcp_timeout_max_retrans"));
            if let Some(in_flight) = in_flight.filter(|t| *t < whole && left <= *t) {
                return Some(in_flight.saturating_sub(left));
            }
            if self.offload
                && let Some(idle) = idle_behind_flow_table(whole, left)
            {
                return Some(idle);
            }
        }
        (left <= whole).then(|| whole.saturating_sub(left))
    }
}

/// Which timeout an entry got with its last packet.
fn name(entry: &Entry) -> Option<&'static str> {
    timeout_name(entry.original.protocol, entry.state, entry.is_assured(), entry.is_replied())
}
