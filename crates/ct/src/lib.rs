//! The vocabulary of connection tracking.
//!
//! Knows: what the kernel calls things (tuple, zone, entry, state, status, counter, setting) and how
//! kernel generations differ in what a reader of the table meets.
//! Does not know: where values come from, what they mean for a host, how they are shown.
//! Data enters as constructor arguments and leaves as plain values; nothing here reads or writes.
//!
//! ```
//! use plimsoll_ct::{Bytes, Class, KernelVersion, Profile, Setting, State, Status, TcpState};
//!
//! // Buckets and limit that a kernel gives itself on a host with 8 GiB of memory.
//! let kernel = KernelVersion::parse("5.4.0-150-generic").expect("a release");
//! assert_eq!(Profile::of(&kernel).defaults(Bytes(8 << 30)), (65_536, 262_144));
//!
//! // A setting is found by any name that any generation gave it.
//! let setting = Setting::find("net.ipv4.netfilter.ip_conntrack_max").expect("a known one");
//! assert_eq!(setting.name, "nf_conntrack_max");
//!
//! // What a full table may do with an entry.
//! let established = State::Tcp(TcpState::Established);
//! assert_eq!(Class::of(Status::SEEN_REPLY, established), Class::Evictable);
//! assert_eq!(Class::of(Status::SEEN_REPLY | Status::ASSURED, established), Class::Protected);
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod class;
mod counter;
mod entry;
mod helper_name;
mod kernel;
mod probed;
mod profile;
mod protocol;
mod setting;
mod state;
mod status;
mod time;
mod timeout;
mod tuple;
mod units;

pub use class::Class;
pub use counter::{Counter, Counters, CpuCounters, grown};
pub use entry::{Accounting, Entry};
pub use helper_name::HelperName;
pub use kernel::{KernelVersion, Vendor};
pub use probed::Probed;
pub use profile::{
    ChainLimit, CollectorKind, CounterSource, EarlyDrop, Era, LogWording, PROFILES, Profile,
};
pub use protocol::Protocol;
pub use setting::{Access, SETTINGS, Scope, Setting, Unit};
pub use state::{DccpState, SctpState, State, TcpState};
pub use status::Status;
pub use time::{Nanos, Time, TimeRange};
pub use timeout::{OFFLOADED, idle_behind_flow_table, timeout_name};
pub use tuple::{Family, L4, Tuple, Zone, ZoneDirection};
pub use units::{Buckets, Bytes, Entries, Seconds};
