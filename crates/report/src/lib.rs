//! A diagnosis as a terminal screen, JSON, a Nagios line or a node-problem-detector line; and the
//! pages of the findings.
//!
//! Knows: how things look. Width, colour, clock and language are arguments.
//! Does not know: what a finding means, where facts came from, where the output goes.
//! One value, many printers: a [`plimsoll_diagnosis::Diagnosis`] enters, a `String` leaves. The JSON
//! form holds all of it, so [`check_from_json`] gives the diagnosis back.
//! Invariant: no text of a host reaches a terminal with its control characters ([`clean`]).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[macro_use]
mod spoken;
mod boot;
mod civil;
mod clean;
mod explain;
pub mod flows;
mod json;
mod monitor;
pub mod number;
mod paint;
mod plan;
mod replay;
mod screen;
mod size;
mod style;
mod text;
mod wrap;

#[doc(hidden)]
pub use alloc::format;
pub use boot::{BOOT_SCHEMA, boot_json, boot_text, change_json, change_text};
pub use clean::clean;
pub use explain::{PAGES, PAGES_ZH, Page, explain};
pub use json::{NotACheck, SCHEMA, check_from_json, json, json_pretty};
pub use monitor::{Answer, exit_status, nagios, npd};
pub use paint::{Line, Paint};
pub use plan::{PLAN_SCHEMA, TRANSACTIONS_SCHEMA, Told, plan, plan_json, transactions_json};
pub use plimsoll_diagnosis::Language;
pub use replay::{
    REPLAY_SCHEMA, ReplayDetails, replay_caveats, replay_chart, replay_json, replay_log_cut,
    replay_svg, replay_text,
};
pub use size::{SIZE_SCHEMA, size_json, size_text};
pub use spoken::span;
pub use style::{Clock, Style};
pub use text::{load_line, load_parts, severity, text, with_unit};
pub use wrap::{width, wrap};
