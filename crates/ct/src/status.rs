//! The status bits of an entry (include/uapi/linux/netfilter/nf_conntrack_common.h).

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

/// Status bits of one entry. Unknown bits are kept. `{:?}` shows the kernel's names: `Status(SEEN_REPLY | ASSURED)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
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

/// The bits by their names.
const NAMES: [(Status, &str); 15] = [
    (Status::EXPECTED, "EXPECTED"),
    (Status::SEEN_REPLY, "SEEN_REPLY"),
    (Status::ASSURED, "ASSURED"),
    (Status::CONFIRMED, "CONFIRMED"),
    (Status::SRC_NAT, "SRC_NAT"),
    (Status::DST_NAT, "DST_NAT"),
    (Status::SEQ_ADJUST, "SEQ_ADJUST"),
    (Status::SRC_NAT_DONE, "SRC_NAT_DONE"),
    (Status::DST_NAT_DONE, "DST_NAT_DONE"),
    (Status::DYING, "DYING"),
    (Status::FIXED_TIMEOUT, "FIXED_TIMEOUT"),
    (Status::TEMPLATE, "TEMPLATE"),
    (Status::HELPER, "HELPER"),
    (Status::OFFLOAD, "OFFLOAD"),
    (Status::HW_OFFLOAD, "HW_OFFLOAD"),
];

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Status(")?;
        let mut left = self.0;
        for (bit, name) in NAMES.iter().filter(|(bit, _)| self.contains(*bit)) {
            left &= !bit.0;
            let more = if left == 0 { "" } else { " | " };
            write!(f, "{name}{more}")?;
        }
        match left {
            0 if self.0 != 0 => f.write_str(")"),
            unknown => write!(f, "{unknown:#x})"),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn bits_are_shown_by_their_names_and_unknown_ones_by_their_number() {
        let shown = |bits| format!("{:?}", Status(bits));
        assert_eq!(shown(0), "Status(0x0)");
        assert_eq!(shown(0b1110), "Status(SEEN_REPLY | ASSURED | CONFIRMED)");
        assert_eq!(shown(1 << 12 | 1 << 20 | 1), "Status(EXPECTED | 0x101000)");
        let names = NAMES.iter().fold(Status::empty(), |all, (bit, _)| all | *bit);
        assert_eq!(names.0, 0xefff, "each has one");
    }
}
