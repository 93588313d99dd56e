//! `nf_conntrack` in user space: packets in, entries, counters and log lines out.
//!
//! Knows: what the kernel does with each packet, generation by generation. Does not know: where packets
//! come from, wall clocks, files. Time, settings, profile and hash key are arguments; the same input gives
//! the same output in the same order.
//!
//! What it speaks of is in [`ct`] (entries, states, counters, profiles), what it reads and prints in [`wire`] (packets, captures,
//! listings, ctnetlink): a program that tracks connections needs this crate alone. `examples/tracker.rs` is one.
//!
//! ```
//! use plimsoll_model::ct::{Bytes, Profile, Time};
//! use plimsoll_model::wire::packet::parse_ip;
//! use plimsoll_model::{Config, Info, Model, Settings, Treatment};
//!
//! let profile = Profile::named("6.18").expect("a known profile");
//! let mut settings = Settings::of(profile, Bytes(8 << 30));
//! settings.set("net.netfilter.nf_conntrack_udp_timeout", 10).expect("a known setting");
//! let mut model = Model::new(Config::new(profile, settings));
//!
//! // A DNS query: 10.0.0.1:4096 to 10.0.0.2:53, nothing in it.
//! let query = [
//!     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
//!     0x10, 0, 0, 53, 0, 8, 0, 0, // UDP
//! ];
//! let packet = parse_ip(&query).expect("a whole header");
//! let step = model.packet(Time::from_secs(0), &packet, &Treatment::default());
//! assert_eq!(step.info, Info::New);
//! assert_eq!(model.entries().next().and_then(|e| e.expires.map(|s| s.get())), Some(10));
//! ```
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod batch;
mod behaviour;
mod classes;
mod collector;
mod complaints;
mod dccp;
mod defrag;
mod early_drop;
mod entry;
mod error;
mod events;
mod far;
mod grid;
mod helper;
mod key;
mod life;
mod log;
mod loopback;
mod model;
mod plain;
mod policy;
mod reassembled;
mod sctp;
mod segments;
mod settings;
mod snapshot;
mod step;
mod table;
mod tcp;
mod ticks;
mod trackers;
mod wording;

pub use plimsoll_ct as ct;
pub use plimsoll_wire as wire;

pub use batch::Arrival;
pub use behaviour::{BEHAVIOURS, Behaviour, SctpRule, UdpRule, profile_named};
pub use classes::Most;
pub use events::{Event, EventKind};
pub use grid::{Grid, Steps};
pub use helper::{Expectation, Helper};
pub use log::LogLine;
pub use model::{Config, Model};
pub use policy::{PolicyError, TimeoutPolicy};
pub use settings::{SettingError, Settings};
pub use snapshot::Occupancy;
pub use step::{Fate, Info, Step, Treatment, Verdict, What};
pub use table::EntryId;
pub use tcp::{
    Behaviour as TcpBehaviour, Direction, EntryView, Flags, Generation, Outcome, Segment, Sequence,
    Side, Tcp, TcpSettings, Timeouts as TcpTimeouts,
};
pub use ticks::Jiffies;
pub use wording::Wording;
