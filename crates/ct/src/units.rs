//! Numbers that carry their unit in their type.

use core::fmt;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The bare number, for arithmetic at an edge.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// Sum that stops at the largest value instead of wrapping.
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// Difference that stops at zero instead of wrapping.
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

unit!(
    /// Whole seconds: every timeout sysctl of conntrack counts in these.
    Seconds
);
unit!(
    /// A number of entries in a connection-tracking table.
    Entries
);
unit!(
    /// A number of hash buckets (list heads of 8 bytes on 64-bit kernels).
    Buckets
);
unit!(
    /// A number of bytes of memory.
    Bytes
);
