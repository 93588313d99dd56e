//! Packet-filter rules: of the calling thread's network namespace, or of what was saved of a dead host.
//!
//! Looking at rules is where a careless reader causes the disease: `iptables -L` makes the table it asks for,
//! with its hooks, and up to 4.9 listing `nat` starts tracking; `nft list` loads nf_tables. So a tool is
//! run only when what it lists is there already ([`Reader`]). Invariant: the modules, the tables of
//! both back ends and the state of tracking are the same before and after (tests/rules.rs proves it).

mod live;
mod program;
mod run;
mod saved;
mod tracking;

pub use live::Reader;
pub(crate) use saved::{NFT_SCRIPTS, script};
pub use saved::{of_files, program_of_files};
pub use tracking::{Signs, tracking};
