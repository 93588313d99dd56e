//! The laboratory: throw-away network namespaces in which a real table overflows and is cured.
//!
//! Knows: how to make two joined namespaces, how to fill the table of one of them with real traffic, how
//! to cure it there, and how to leave no trace, whatever ends the program.
//! Does not know: what a full table means and how it is shown; it looks at the table only to steer.
//! Everything it writes lies in namespaces it made, with one exception that must be asked for by name:
//! [`HostLimit`], since `nf_conntrack_max` is one value for all namespaces of a machine.
//!
//! Every way out (return, panic, signal, `kill -9`) ends in the same place: a small process beside us
//! that undoes what was done as soon as we are gone (the module `guard`).
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod address;
mod attempt;
mod command;
mod error;
mod fill;
mod firewall;
mod flood;
mod guard;
mod insert;
mod lab;
mod limit;
mod memory;
mod namespace;
mod nat;
mod neighbours;
mod packet;
mod reading;
pub mod stage;
mod sweep;
mod udp;
mod visitors;

pub use address::{APPLICATION, CLIENT, SERVICE_PORT, Sources, WEB};
pub use attempt::Attempt;
pub use command::Step;
pub use error::{Harm, LabError};
pub use fill::{Closing, Filled};
pub use firewall::Firewall;
pub use flood::{Flood, Kind, Pace};
pub use guard::install_signal_cleanup;
pub use lab::{Lab, Options};
pub use limit::{HostLimit, Repair};
pub use memory::{Memory, memory_needed};
pub use namespace::Namespace;
pub use reading::Reading;
pub use sweep::sweep;
pub use visitors::{Visitors, Visits};
