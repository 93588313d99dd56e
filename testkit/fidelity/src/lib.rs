//! The kernel as the model's oracle.
//!
//! The same frames go through a router namespace of the running kernel and through the model, with the same
//! settings and the times at which they were really sent; then both tables are compared, entry by entry,
//! and both sets of counters. Needs root, `ip` and `nft`.

pub mod again;
pub mod captures;
pub mod compare;
pub mod complaints;
pub mod edges;
pub mod expected;
pub mod filling;
pub mod forge;
pub mod frames;
pub mod full;
pub mod generated;
pub mod jiffies;
pub mod kernel;
pub mod occupancy;
pub mod printed;
pub mod recording;
pub mod run;
pub mod scripts;
pub mod segments;
pub mod servers;
pub mod settings;
pub mod trace;
pub mod vlan;
pub mod zones;
