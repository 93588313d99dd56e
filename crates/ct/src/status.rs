//! The status bits of an entry (include/uapi/linux/netfilter/nf_conntrack_common.h).

use core::ops::{BitOr, BitOrAssign};

/// Status bits of one entry. Unknown bits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Status(pub u32);

impl Status {
    /// Came from an expectation.
    pub const EXPECTED: Self = Self(1);
    /// A reply was seen; clear = `[UNREPLIED]`.
    pub const SEEN_REPLY: Self = Self(1 << 1);
    /// `[ASSURED]`: never evicted by early drop.
    pub const ASSURED: Self = Self(1 << 2);
    /// In the table.
    pub const CONFIRMED: Self = Self(1 << 3);
    /// Source rewritten.
    pub const SRC_NAT: Self = Self(1 << 4);
    /// Destination rewritten.
    pub const DST_NAT: Self = Self(1 << 5);
    /// Sequence numbers adjusted by a helper.
    pub const SEQ_ADJUST: Self = Self(1 << 6);
    /// NAT decision made for the source.
    pub const SRC_NAT_DONE: Self = Self(1 << 7);
    /// NAT decision made for the destination.
    pub const DST_NAT_DONE: Self = Self(1 << 8);
    /// Being removed.
    pub const DYING: Self = Self(1 << 9);
    /// Timeout is never refreshed.
    pub const FIXED_TIMEOUT: Self = Self(1 << 10);
    /// A template, not a flow.
    pub const TEMPLATE: Self = Self(1 << 11);
    /// Helper attached by a rule.
    pub const HELPER: Self = Self(1 << 13);
    /// In a software flow table: `[OFFLOAD]`.
    pub const OFFLOAD: Self = Self(1 << 14);
    /// In a hardware flow table: `[HW_OFFLOAD]`.
    pub const HW_OFFLOAD: Self = Self(1 << 15);

    /// No bits.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Status {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Status {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
