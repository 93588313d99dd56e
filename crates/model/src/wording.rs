//! How kernels word what they say of packets that they do not like (`nf_conntrack_log_invalid`): what differs between
//! them. What they have in common stands with each tracker.
//!
//! Source: their logs, compared line by line by `cargo xtask fidelity log` (docs/model.md).

/// What is said, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wording {
    /// Compared with a kernel's log, line by line.
    pub compared: bool,
    /// TCP's causes name what was seen and what was expected (6.1); before, a cause stands alone.
    pub tcp_in_numbers: bool,
    /// A segment that can open no flow has a line (6.12).
    pub tcp_new: bool,
    /// What lets an entry end sooner is told with both segments and the timeout (6.18 only); elsewhere, that it does.
    pub tcp_shortened_by: bool,
    /// Chunks and tags of SCTP have lines (6.1); before, only what is short, and checksums.
    pub sctp_chunks: bool,
    /// The interface and the link addresses of a packet are told (6.1).
    pub path: bool,
    /// The bit of TCP's accurate ECN has a name (6.18); before, it was reserved.
    pub accurate_ecn: bool,
}

impl Wording {
    /// 6.18.
    pub(crate) const V6_18: Self = Self {
        compared: true,
        tcp_in_numbers: true,
        tcp_new: true,
        tcp_shortened_by: true,
        sctp_chunks: true,
        path: true,
        accurate_ecn: true,
    };
    /// 7.3.
    pub(crate) const V7_3: Self = Self { tcp_shortened_by: false, ..Self::V6_18 };
    /// 6.12.
    pub(crate) const V6_12: Self = Self { accurate_ecn: false, ..Self::V7_3 };
    /// 6.1.
    pub(crate) const V6_1: Self = Self { tcp_new: false, ..Self::V6_12 };
    /// 5.10.
    pub(crate) const V5_10: Self =
        Self { tcp_in_numbers: false, sctp_chunks: false, path: false, ..Self::V6_1 };

    /// Thought to be as this one.
    pub(crate) const fn not_compared(self) -> Self {
        Self { compared: false, ..self }
    }
}
