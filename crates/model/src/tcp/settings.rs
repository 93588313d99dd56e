//! What can be set of the TCP tracker, and what differs between generations.

use super::Generation;

/// Timeouts of the TCP tracker, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// By state number; NONE is never used.
    pub states: [u32; 10],
    /// After too many retransmissions, or a closed window.
    pub max_retrans: u32,
    /// With octets in flight.
    pub unacknowledged: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            states: [120, 120, 60, 432_000, 120, 60, 30, 120, 10, 120],
            max_retrans: 300,
            unacknowledged: 300,
        }
    }
}

/// What differs between generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Transition table.
    pub table: Generation,
    /// Old retransmissions and delayed ACKs are ignored, not invalid (6.1).
    pub window_misses_are_ignored: bool,
    /// An RST in an assured ESTABLISHED flow closes only with the exact sequence number (4.19, 5.4).
    pub exact_reset: bool,
    /// Unless such a flow is open, an RST of the number 0 is not held against what the other side acknowledged (5.15).
    pub zero_reset_passes: bool,
    /// An RST in a closing state is not checked (5.15).
    pub closing_reset_unchecked: bool,
    /// An RST answers only an ignored SYN of the other side (since 2026, in all stable series: 5.10, 6.1, 6.12, 6.18).
    pub reset_answers_other_side: bool,
    /// Behind an ignored SYN the number of an RST is not held against what the other side acknowledged (5.15).
    pub syn_excuses_reset: bool,
    /// In SYN_SENT an RST of the client answers a challenge ACK, wherever its number lies (6.1 stable).
    pub reset_answers_challenge: bool,
    /// An RST that leaves the state as it was gives the entry no CLOSE timeout, but at most the unacknowledged one; one that ends
    /// the flow gives CLOSE's, unless what else lowers a timeout does (6.12 stable, 7.1).
    pub vain_reset_is_unacknowledged: bool,
    /// A repeated SYN does not refresh (5.4 stable).
    pub syn_retransmission_refreshes: bool,
    /// Octets in flight lower the timeout (not in 2.6.18).
    pub unacknowledged_timeout: bool,
    /// A zero window lowers the timeout (4.19 stable).
    pub zero_window_timeout: bool,
    /// A SYN that re-opens a side leaves its liberal flag (6.1, 5.10 of 2026).
    pub options_keep_liberal: bool,
    /// In SYN_SENT the original side begins anew with any segment that ends further on, in SYN_RECV the
    /// answering one; later with a SYN only (to 5.15).
    pub data_begins_anew: bool,
    /// An invalid FIN or RST in both directions lowers the expiry (6.1).
    pub invalid_close_lowers: bool,
    /// `nf_conntrack_tcp_loose` takes 0 and 1 alone (5.2).
    pub loose_is_a_switch: bool,
}

impl Behaviour {
    /// 6.1 to 7.1.
    pub const MODERN: Self = Self {
        table: Generation::Modern,
        window_misses_are_ignored: true,
        exact_reset: true,
        zero_reset_passes: true,
        closing_reset_unchecked: true,
        reset_answers_other_side: true,
        syn_excuses_reset: true,
        reset_answers_challenge: true,
        vain_reset_is_unacknowledged: false,
        syn_retransmission_refreshes: false,
        unacknowledged_timeout: true,
        zero_window_timeout: true,
        options_keep_liberal: true,
        data_begins_anew: false,
        invalid_close_lowers: true,
        loose_is_a_switch: true,
    };
}

/// Settings of the TCP tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSettings {
    /// `nf_conntrack_tcp_loose`
    pub loose: bool,
    /// `nf_conntrack_tcp_be_liberal`
    pub be_liberal: bool,
    /// `nf_conntrack_tcp_ignore_invalid_rst`
    pub ignore_invalid_rst: bool,
    /// `nf_conntrack_tcp_max_retrans`
    pub max_retrans: u8,
    /// Generation.
    pub behaviour: Behaviour,
}

impl Default for TcpSettings {
    fn default() -> Self {
        Self {
            loose: true,
            be_liberal: false,
            ignore_invalid_rst: false,
            max_retrans: 3,
            behaviour: Behaviour::MODERN,
        }
    }
}
