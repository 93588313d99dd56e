//! The only reader of a system: a live host, a tree of files, or a bundle.
//!
//! Knows: where a host keeps the facts, how to read them without disturbing it, what right is missing
//! when it can't. Does not know: how to change anything, what a fact means, how it is shown.
//! A path or nothing enters, a [`plimsoll_diagnosis::facts::Snapshot`] leaves; what could not be read
//! leaves as a `Missing` fact, never as an error of the whole.

pub mod archive;
pub mod attribution;
pub mod boot;
pub mod config;
pub mod dead;
mod doors;
mod ends;
pub mod entries;
pub mod events;
pub mod files;
pub mod gzip;
mod keepalives;
pub mod live;
pub mod log;
pub mod names;
pub mod rules;
mod seed;
pub mod table;
pub mod watch;
pub mod zstd;

pub use ends::ways;
pub use keepalives::keepalives;
pub use live::said_of;
pub use seed::seed;
