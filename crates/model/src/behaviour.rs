//! What differs between kernel generations, in one table.
//!
//! Source: docs/KERNELS.md, sections 1 and 4. What a reader of the table needs stands in
//! [`Profile`]; what only the model needs stands here, keyed by the profile's name.

use plimsoll_ct::{PROFILES, Profile};

use crate::tcp;
use crate::wording::Wording;

/// When a UDP entry counts as a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpRule {
    /// To 4.19: with the second packet after a reply, stream timeout and assured.
    AtOnce,
    /// 5.0 to 5.15: assured at once, the stream timeout only 2 s after creation.
    AssuredAtOnce,
    /// 6.1, and 5.10 of 2024: both only 2 s after creation.
    AfterTwoSeconds,
}

/// How the SCTP tracker differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SctpRule {
    /// Timeouts by state, in hundredths of a second.
    pub timeouts: [u32; 10],
    /// A tenth state HEARTBEAT_ACKED.
    pub heartbeat_acked: bool,
    /// An INIT ACK that nobody asked for brings no new tag (6.6, stable kernels of its time).
    pub collisions: bool,
}

/// What differs between kernel generations for a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Name of the profile that it belongs to.
    pub name: &'static str,
    /// TCP.
    pub tcp: tcp::Behaviour,
    /// UDP.
    pub udp: UdpRule,
    /// SCTP.
    pub sctp: SctpRule,
    /// A tracker for DCCP (2.6.30 to 6.14).
    pub dccp: bool,
    /// It drops a packet that ends within the header of its type (6.1); later it calls it INVALID (6.12).
    pub dccp_drops_cut: bool,
    /// A tracker for UDP-Lite (2.6.32 to 7.0).
    pub udp_lite: bool,
    /// UDP-Lite has timeouts of its own (to 4.9), later it has UDP's.
    pub udp_lite_timeouts: bool,
    /// A refresh by less than a second is not made (2.6.32 to 3.10).
    pub lazy_refresh: bool,
    /// An ICMP error must be addressed to its flow's source (5.x).
    pub error_names_flow: bool,
    /// An echo that is answered as often as asked is deleted (2.6.18).
    pub balanced_echo_ends: bool,
    /// A first fragment of IPv6 that ends before its datagram's headers do is not kept (5.11, 5.10 stable).
    pub headers_in_first_fragment: bool,
    /// Parts of which some know congestion and others do not make no datagram (3.x).
    pub mixed_ecn_ends: bool,
    /// An IPv6 redirect that does not come from its link is an error (5.10).
    pub redirects: bool,
    /// ICMPv6 messages of multicast router discovery (types 151, 152) are not tracked (6.12; 6.1 calls them
    /// INVALID).
    pub router_discovery: bool,
    /// Timeout policies and helpers are given by nft's rules behind the tracker (4.19), a policy beginning with its
    /// first timeout; earlier, by a template in front of it.
    pub late_rules: bool,
    /// FTP's helper takes no port above 65,535 and no number of an octet above 255; before, what is beyond is lost or
    /// overflows (7.1).
    pub ftp_numbers_fit: bool,
    /// What a helper gives up is expected no more, but stays in the table's way, and is counted as deleted only when
    /// somebody comes by (6.12 stable, 7.1).
    pub expectations_linger: bool,
    /// A packet of UDP, UDP-Lite or a protocol without a tracker whose entry would share a tuple with another counts as one
    /// of that (to 6.1).
    pub clashes_join: bool,
    /// The chains of one tuple are other ones in each zone (5.14); before, zones share them.
    pub zones_scatter: bool,
    /// The event of an entry's end tells its state, and what was left to it (5.12).
    pub end_tells_state: bool,
    /// What is said of invalid packets.
    pub wording: Wording,
    /// Helpers are assigned by port when no rule does it (to 4.6).
    pub helpers: bool,
    /// The networking rate limiter is a token bucket: one line per interval after the burst (2.6.18).
    pub token_bucket: bool,
}

const DAYS_5: u32 = 43_200_000;

const NEW_SCTP: SctpRule = SctpRule {
    timeouts: [0, 1000, 300, 300, 21_000, 300, 300, 300, 3000, 21_000],
    heartbeat_acked: false,
    collisions: true,
};

const OLD_SCTP: SctpRule = SctpRule {
    timeouts: [0, 1000, 300, 300, DAYS_5, 30, 30, 300, 3000, 21_000],
    heartbeat_acked: true,
    collisions: false,
};

const V6_18: Behaviour = Behaviour {
    name: "6.18",
    tcp: tcp::Behaviour::MODERN,
    udp: UdpRule::AfterTwoSeconds,
    sctp: NEW_SCTP,
    dccp: false,
    dccp_drops_cut: false,
    udp_lite: true,
    udp_lite_timeouts: false,
    lazy_refresh: false,
    error_names_flow: true,
    balanced_echo_ends: false,
    headers_in_first_fragment: true,
    mixed_ecn_ends: true,
    redirects: true,
    router_discovery: true,
    late_rules: true,
    ftp_numbers_fit: false,
    expectations_linger: false,
    clashes_join: false,
    zones_scatter: true,
    end_tells_state: true,
    wording: Wording::V6_18,
    helpers: false,
    token_bucket: false,
};

const V7_1: Behaviour = Behaviour {
    name: "7.1",
    tcp: tcp::Behaviour { vain_reset_is_unacknowledged: true, ..V6_18.tcp },
    udp_lite: false,
    ftp_numbers_fit: true,
    expectations_linger: true,
    wording: Wording::V7_3,
    ..V6_18
};

const V6_12: Behaviour = Behaviour {
    name: "6.12",
    tcp: tcp::Behaviour { vain_reset_is_unacknowledged: true, ..V6_1.tcp },
    dccp_drops_cut: false,
    router_discovery: true,
    expectations_linger: true,
    clashes_join: false,
    wording: Wording::V6_12,
    ..V6_1
};

const V6_1: Behaviour = Behaviour {
    name: "6.1",
    dccp: true,
    dccp_drops_cut: true,
    router_discovery: false,
    clashes_join: true,
    wording: Wording::V6_1,
    ..V6_18
};

const V5_15: Behaviour = Behaviour {
    name: "5.15",
    tcp: tcp::Behaviour {
        window_misses_are_ignored: false,
        invalid_close_lowers: false,
        options_keep_liberal: false,
        data_begins_anew: true,
        reset_answers_other_side: false,
        reset_answers_challenge: false,
        ..V6_1.tcp
    },
    udp: UdpRule::AssuredAtOnce,
    sctp: OLD_SCTP,
    wording: Wording::V6_1.not_compared(),
    ..V6_1
};

const V5_4: Behaviour = Behaviour {
    name: "5.4",
    tcp: tcp::Behaviour {
        zero_reset_passes: false,
        closing_reset_unchecked: false,
        syn_excuses_reset: false,
        ..V5_15.tcp
    },
    headers_in_first_fragment: false,
    redirects: false,
    zones_scatter: false,
    end_tells_state: false,
    wording: Wording::V5_10.not_compared(),
    ..V5_15
};

const V5_10: Behaviour = Behaviour {
    name: "5.10",
    tcp: tcp::Behaviour { reset_answers_other_side: true, options_keep_liberal: true, ..V5_4.tcp },
    udp: UdpRule::AfterTwoSeconds,
    sctp: NEW_SCTP,
    headers_in_first_fragment: true,
    redirects: true,
    wording: Wording::V5_10,
    ..V5_4
};

const V4_14: Behaviour = Behaviour {
    name: "4.14",
    tcp: tcp::Behaviour {
        exact_reset: false,
        syn_retransmission_refreshes: true,
        zero_window_timeout: false,
        loose_is_a_switch: false,
        ..V5_4.tcp
    },
    udp: UdpRule::AtOnce,
    error_names_flow: false,
    late_rules: false,
    ..V5_4
};

const V4_9: Behaviour = Behaviour { name: "4.9", udp_lite_timeouts: true, ..V4_14 };

const V3_10: Behaviour = Behaviour { name: "3.10", lazy_refresh: true, helpers: true, ..V4_9 };

const V2_6_32: Behaviour = Behaviour {
    name: "2.6.32",
    tcp: tcp::Behaviour { table: tcp::Generation::El6, ..V4_14.tcp },
    sctp: SctpRule { heartbeat_acked: false, ..OLD_SCTP },
    mixed_ecn_ends: false,
    ..V3_10
};

const V2_6_18: Behaviour = Behaviour {
    name: "2.6.18",
    tcp: tcp::Behaviour {
        table: tcp::Generation::Old,
        unacknowledged_timeout: false,
        ..V2_6_32.tcp
    },
    dccp: false,
    udp_lite: false,
    lazy_refresh: false,
    balanced_echo_ends: true,
    token_bucket: true,
    ..V2_6_32
};

/// All behaviours, oldest first.
pub const BEHAVIOURS: &[Behaviour] = &[
    V2_6_18,
    V2_6_32,
    V3_10,
    Behaviour { name: "3.4", ..V3_10 },
    Behaviour { name: "4.1", ..V3_10 },
    Behaviour { name: "4.7", helpers: false, ..V3_10 },
    V4_9,
    Behaviour { name: "4.10", ..V4_14 },
    V4_14,
    Behaviour {
        name: "el8",
        tcp: tcp::Behaviour { zero_window_timeout: true, ..V4_14.tcp },
        udp: UdpRule::AssuredAtOnce,
        late_rules: true,
        ..V4_14
    },
    V5_4,
    V5_10,
    Behaviour { name: "5.14", ..V5_15 },
    V5_15,
    Behaviour { name: "el9", wording: Wording::V6_1.not_compared(), ..V6_1 },
    V6_1,
    V6_12,
    V6_18,
    Behaviour { name: "6.19", wording: Wording::V6_18.not_compared(), ..V6_18 },
    V7_1,
];

impl Behaviour {
    /// Of a profile. One that the table does not name behaves as the youngest.
    pub fn of(profile: &Profile) -> &'static Self {
        BEHAVIOURS.iter().find(|b| b.name == profile.name).unwrap_or(&V7_1)
    }
}

/// The profile by a person's word: its name, or that of the distribution (`el5`, `el6`, `el7`).
pub fn profile_named(word: &str) -> Option<&'static Profile> {
    if let Some(profile) = Profile::named(word) {
        return Some(profile);
    }
    let major: u8 = word.strip_prefix("el")?.parse().ok()?;
    PROFILES.iter().find(|p| p.enterprise == Some(major))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_a_behaviour_of_its_own_name() {
        for profile in PROFILES {
            assert_eq!(Behaviour::of(profile).name, profile.name);
        }
    }

    #[test]
    fn distributions_are_found_by_their_word() {
        assert_eq!(profile_named("el6").map(|p| p.name), Some("2.6.32"));
        assert_eq!(profile_named("6.18").map(|p| p.name), Some("6.18"));
        assert_eq!(profile_named("windows"), None);
    }
}
