//! The kernel's clock and TCP's sequence space: both wrap, and compare as the kernel compares them.

/// A point in the kernel's 32-bit tick counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Jiffies(pub u32);

impl Jiffies {
    /// Later by `ticks`.
    pub const fn plus(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }

    /// The earlier of two.
    pub const fn earlier(self, other: Self) -> Self {
        if other.left(self) < 0 { other } else { self }
    }

    /// Ticks until `self`, seen from `now`; negative when it is past.
    pub const fn left(self, now: Self) -> i32 {
        self.0.wrapping_sub(now.0) as i32
    }
}

/// A TCP sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sequence(pub u32);

impl Sequence {
    /// Further by `octets`.
    pub const fn plus(self, octets: u32) -> Self {
        Self(self.0.wrapping_add(octets))
    }

    /// Back by `octets`.
    pub const fn minus(self, octets: u32) -> Self {
        Self(self.0.wrapping_sub(octets))
    }

    /// Octets from `earlier` to `self`, modulo 2^32.
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether `self` comes before `other`, modulo 2^32.
    pub const fn before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// Whether `self` comes after `other`, modulo 2^32.
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// The later of two.
    pub const fn max(self, other: Self) -> Self {
        if other.after(self) { other } else { self }
    }
}
