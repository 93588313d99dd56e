//! Which way an entry goes, as seen from the namespace that tracks it.

use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::Entry;

/// Which way the first packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From elsewhere to this namespace.
    In,
    /// From this namespace to elsewhere.
    Out,
    /// Through it: neither end is here.
    Forward,
    /// Both ends are here.
    Local,
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::In, Self::Out, Self::Forward, Self::Local];

    /// The word of the filter and of output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Forward => "forward",
            Self::Local => "local",
        }
    }

    /// By the addresses of the namespace. The ends are where packets really go: the source of the first packet,
    /// and the source of the answers, which is the destination behind DNAT.
    pub fn of(entry: &Entry, locals: &Locals) -> Self {
        let from = locals.contains(entry.original.source);
        let real = entry.reply.source;
        let to = locals.contains(real) || (!from && is_for_many(real));
        match (from, to) {
            (true, true) => Self::Local,
            (true, false) => Self::Out,
            (false, true) => Self::In,
            (false, false) => Self::Forward,
        }
    }
}

/// Multicast and broadcast are for whoever hears them.
fn is_for_many(address: IpAddr) -> bool {
    address.is_multicast() || matches!(address, IpAddr::V4(a) if a.is_broadcast())
}

/// The addresses of a namespace's own interfaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locals(Vec<IpAddr>);

impl Locals {
    /// From all addresses of all interfaces.
    pub fn new(mut addresses: Vec<IpAddr>) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        Self(addresses)
    }

    /// Whether an address is one of the namespace's own.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.0.binary_search(&address).is_ok()
    }
}
