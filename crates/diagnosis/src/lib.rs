//! Facts about a host's connection tracking, turned into findings and remedies.
//!
//! Knows: what counts mean, what causes what, what helps, and what helping costs.
//! Does not know: how facts were read, and how results are shown.
//! One gate: a [`facts::Snapshot`] of now, and if there is one an earlier one of the same host, enter
//! [`diagnose`]; a [`Diagnosis`] leaves. Same input, same output.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[macro_use]
mod said;
pub mod boot;
mod case;
mod catalogue;
mod commands;
mod diagnosis;
mod drops;
pub mod facts;
mod findings;
mod groups;
mod judge;
mod load;
mod malformed;
mod missing;
mod nameless;
mod order;
pub mod plan;
mod price;
mod rates;
mod remedies;
pub mod rules;
pub mod size;
mod system;
mod verdict;
mod words;

#[doc(hidden)]
pub use alloc::format;
pub use catalogue::{CATALOGUE, Definition};
pub use diagnosis::{
    Diagnosis, Drops, Evidence, Excluded, Finding, Group, Groups, HostSummary, Load, MissingFact,
    NamespaceReport, Rate, Rates, Remedy, RemedyId, Severity, Value, Verdict,
};
pub use judge::{asks_for_ways, diagnose};
pub use said::{Language, Said};
pub use system::system;
pub use words::{bytes, count, counted, shell_word, span};
