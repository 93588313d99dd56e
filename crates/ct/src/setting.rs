//! The settings (sysctls) of conntrack as data: names old and new, defaults, scope, unit.

/// Who has a copy of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One value for the host.
    Global,
    /// One value for each network namespace; a new one starts from the compiled-in default.
    Namespace,
}

/// What the number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Entries.
    Entries,
    /// Hash buckets.
    Buckets,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A switch or a small enumeration.
    Switch,
    /// Retransmissions.
    Packets,
}

/// Whether it can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Never writable.
    ReadOnly,
    /// Writable (globals: in the initial namespace only).
    Writable,
    /// Read-only to 4.8, writable since.
    WritableSince4_9,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Name under net.netfilter: `nf_conntrack_max`.
    pub name: &'static str,
    /// Name under net.ipv4.netfilter on kernels to 4.8: `ip_conntrack_max`.
    pub old_name: Option<&'static str>,
    /// Compiled-in default where it is one number in all generations.
    pub default: Option<u64>,
    /// Who has a copy.
    pub scope: Scope,
    /// What it counts.
    pub unit: Unit,
    /// Whether it can be written.
    pub access: Access,
    /// Release ranks (`KernelVersion::rank`) between which it exists: first, and last if it is gone.
    pub since: (u16, u16),
    /// Last release that has it.
    pub until: Option<(u16, u16)>,
}

impl Setting {
    /// By a sysctl name in any notation: `net.netfilter.nf_conntrack_max`, `net/nf_conntrack_max`,
    /// `net.ipv4.netfilter.ip_conntrack_max`, `net.ipv4.ip_conntrack_max`, or the bare name.
    pub fn find(key: &str) -> Option<&'static Self> {
        let bare = key.rsplit(['.', '/']).next().unwrap_or(key);
        SETTINGS.iter().find(|s| s.name == bare || s.old_name == Some(bare))
    }
}

const fn base(name: &'static str, old_name: Option<&'static str>) -> Setting {
    Setting {
        name,
        old_name,
        default: None,
        scope: Scope::Namespace,
        unit: Unit::Switch,
        access: Access::Writable,
        since: (2, 20),
        until: None,
    }
}

const fn timeout(name: &'static str, old_name: Option<&'static str>, seconds: u64) -> Setting {
    Setting { default: Some(seconds), unit: Unit::Seconds, ..base(name, old_name) }
}

const fn switch(name: &'static str, old_name: Option<&'static str>, default: u64) -> Setting {
    Setting { default: Some(default), ..base(name, old_name) }
}

/// Every setting of conntrack, in the order of the kernel's listing.
pub const SETTINGS: &[Setting] = &[
    Setting {
        unit: Unit::Entries,
        scope: Scope::Global,
        ..base("nf_conntrack_max", Some("ip_conntrack_max"))
    },
    Setting {
        unit: Unit::Entries,
        access: Access::ReadOnly,
        ..base("nf_conntrack_count", Some("ip_conntrack_count"))
    },
    Setting {
        unit: Unit::Buckets,
        scope: Scope::Global,
        access: Access::WritableSince4_9,
        ..base("nf_conntrack_buckets", Some("ip_conntrack_buckets"))
    },
    Setting { unit: Unit::Entries, scope: Scope::Global, ..base("nf_conntrack_expect_max", None) },
    switch("nf_conntrack_checksum", Some("ip_conntrack_checksum"), 1),
    switch("nf_conntrack_log_invalid", Some("ip_conntrack_log_invalid"), 0),
    switch("nf_conntrack_acct", None, 0),
    Setting { since: (3, 3), ..switch("nf_conntrack_timestamp", None, 0) },
    base("nf_conntrack_events", None),
    Setting { until: Some((3, 10)), ..timeout("nf_conntrack_events_retry_timeout", None, 15) },
    Setting { since: (3, 5), until: Some((5, 19)), ..base("nf_conntrack_helper", None) },
    timeout("nf_conntrack_frag6_timeout", None, 60),
    Setting { unit: Unit::Bytes, ..base("nf_conntrack_frag6_low_thresh", None) },
    Setting { unit: Unit::Bytes, ..base("nf_conntrack_frag6_high_thresh", None) },
    timeout("nf_conntrack_generic_timeout", Some("ip_conntrack_generic_timeout"), 600),
    timeout("nf_conntrack_icmp_timeout", Some("ip_conntrack_icmp_timeout"), 30),
    timeout("nf_conntrack_icmpv6_timeout", None, 30),
    timeout("nf_conntrack_udp_timeout", Some("ip_conntrack_udp_timeout"), 30),
    Setting {
        default: None,
        ..timeout("nf_conntrack_udp_timeout_stream", Some("ip_conntrack_udp_timeout_stream"), 0)
    },
    Setting { until: Some((4, 9)), ..timeout("nf_conntrack_udplite_timeout", None, 30) },
    Setting { until: Some((4, 9)), ..timeout("nf_conntrack_udplite_timeout_stream", None, 180) },
    Setting { since: (5, 1), ..timeout("nf_conntrack_gre_timeout", None, 30) },
    Setting { since: (5, 1), ..timeout("nf_conntrack_gre_timeout_stream", None, 180) },
    timeout("nf_conntrack_tcp_timeout_syn_sent", Some("ip_conntrack_tcp_timeout_syn_sent"), 120),
    timeout("nf_conntrack_tcp_timeout_syn_recv", Some("ip_conntrack_tcp_timeout_syn_recv"), 60),
    timeout(
        "nf_conntrack_tcp_timeout_established",
        Some("ip_conntrack_tcp_timeout_established"),
        432_000,
    ),
    timeout("nf_conntrack_tcp_timeout_fin_wait", Some("ip_conntrack_tcp_timeout_fin_wait"), 120),
    timeout("nf_conntrack_tcp_timeout_close_wait", Some("ip_conntrack_tcp_timeout_close_wait"), 60),
    timeout("nf_conntrack_tcp_timeout_last_ack", Some("ip_conntrack_tcp_timeout_last_ack"), 30),
    timeout("nf_conntrack_tcp_timeout_time_wait", Some("ip_conntrack_tcp_timeout_time_wait"), 120),
    timeout("nf_conntrack_tcp_timeout_close", Some("ip_conntrack_tcp_timeout_close"), 10),
    timeout(
        "nf_conntrack_tcp_timeout_max_retrans",
        Some("ip_conntrack_tcp_timeout_max_retrans"),
        300,
    ),
    timeout("nf_conntrack_tcp_timeout_unacknowledged", None, 300),
    Setting {
        unit: Unit::Packets,
        ..switch("nf_conntrack_tcp_max_retrans", Some("ip_conntrack_tcp_max_retrans"), 3)
    },
    Setting {
        default: None,
        ..switch("nf_conntrack_tcp_loose", Some("ip_conntrack_tcp_loose"), 1)
    },
    switch("nf_conntrack_tcp_be_liberal", Some("ip_conntrack_tcp_be_liberal"), 0),
    Setting { since: (5, 14), ..switch("nf_conntrack_tcp_ignore_invalid_rst", None, 0) },
    timeout("nf_conntrack_sctp_timeout_closed", Some("ip_conntrack_sctp_timeout_closed"), 10),
    timeout(
        "nf_conntrack_sctp_timeout_cookie_wait",
        Some("ip_conntrack_sctp_timeout_cookie_wait"),
        3,
    ),
    timeout(
        "nf_conntrack_sctp_timeout_cookie_echoed",
        Some("ip_conntrack_sctp_timeout_cookie_echoed"),
        3,
    ),
    Setting {
        default: None,
        ..timeout(
            "nf_conntrack_sctp_timeout_established",
            Some("ip_conntrack_sctp_timeout_established"),
            0,
        )
    },
    Setting {
        default: None,
        ..timeout(
            "nf_conntrack_sctp_timeout_shutdown_sent",
            Some("ip_conntrack_sctp_timeout_shutdown_sent"),
            0,
        )
    },
    Setting {
        default: None,
        ..timeout(
            "nf_conntrack_sctp_timeout_shutdown_recd",
            Some("ip_conntrack_sctp_timeout_shutdown_recd"),
            0,
        )
    },
    timeout(
        "nf_conntrack_sctp_timeout_shutdown_ack_sent",
        Some("ip_conntrack_sctp_timeout_shutdown_ack_sent"),
        3,
    ),
    Setting { since: (4, 1), ..timeout("nf_conntrack_sctp_timeout_heartbeat_sent", None, 30) },
    Setting {
        since: (4, 1),
        until: Some((6, 0)),
        ..timeout("nf_conntrack_sctp_timeout_heartbeat_acked", None, 210)
    },
    Setting { until: Some((6, 14)), ..switch("nf_conntrack_dccp_loose", None, 1) },
    Setting { until: Some((6, 14)), ..timeout("nf_conntrack_dccp_timeout_request", None, 240) },
    Setting { until: Some((6, 14)), ..timeout("nf_conntrack_dccp_timeout_respond", None, 480) },
    Setting { until: Some((6, 14)), ..timeout("nf_conntrack_dccp_timeout_partopen", None, 480) },
    Setting { until: Some((6, 14)), ..timeout("nf_conntrack_dccp_timeout_open", None, 43200) },
    Setting { until: Some((6, 14)), ..timeout("nf_conntrack_dccp_timeout_closereq", None, 64) },
    Setting { until: Some((6, 14)), ..timeout("nf_conntrack_dccp_timeout_closing", None, 64) },
    Setting { until: Some((6, 14)), ..timeout("nf_conntrack_dccp_timeout_timewait", None, 240) },
];
