//! The machine and its kernel.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, KernelVersion, Profile, Seconds};
use plimsoll_wire::modules::Module;

use super::Fact;

/// What kind of thing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The running host.
    Live,
    /// A directory tree saved of a host.
    Tree,
    /// A bundle (sosreport).
    Bundle,
}

/// Memory that the kernel takes for one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabSize {
    /// Slab object of an entry, in bytes.
    pub object: Bytes,
    /// Objects in a slab, and pages of a slab: what it costs with packing counted.
    pub per_slab: u32,
    /// Pages of a slab.
    pub pages: u32,
    /// Objects in use now, over all namespaces.
    pub in_use: Option<u64>,
}

/// The machine and its kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Host name.
    pub name: Fact<String>,
    /// What was read.
    pub origin: Origin,
    /// Kernel release.
    pub kernel: Fact<KernelVersion>,
    /// The release that the generation was told by: the kernel's own, or one that stands for what the host was seen
    /// to be. Missing: nothing tells, and the youngest generation is only assumed.
    pub generation: Fact<KernelVersion>,
    /// The generation's profile (follows from that release, corrected by what was probed).
    pub profile: Profile,
    /// Distribution: `ID` and `VERSION_ID` of os-release, or the first line of redhat-release.
    pub distribution: Fact<String>,
    /// Time since boot.
    pub uptime: Fact<Seconds>,
    /// `MemTotal`.
    pub memory_total: Fact<Bytes>,
    /// `MemAvailable` (or free + cached on kernels that lack it).
    pub memory_available: Fact<Bytes>,
    /// Online CPUs.
    pub cpus: Fact<u32>,
    /// Whether this kernel can load modules at all; if not, conntrack is built in or absent.
    pub modular: Fact<bool>,
    /// Loaded modules.
    pub modules: Fact<Vec<Module>>,
    /// Memory of an entry.
    pub slab: Fact<SlabSize>,
    /// `net.netfilter.nf_conntrack_max` as the initial namespace reads it: the global limit.
    pub global_max: Fact<u64>,
    /// Buckets of the (global, or each namespace's) hash table.
    pub buckets: Fact<u64>,
    /// Effective user id of the reader was 0 (live only).
    pub privileged: bool,
}
