//! The only writer of a system: plans carried out as transactions that can be taken back.
//!
//! Knows: how to write each kind of change, how to see whether it stands, how to take it back, and how to
//! come out in the old or the new state whatever kills the process.
//! Does not know: why a change is made, how facts were read, how anything is shown.
//! A [`Plan`] enters [`apply`]; what was done goes to a journal first, is done, and is read back.
//!
//! One transaction at a time: a lock. Each step is written to the journal (and to the disk) before it is
//! taken. A guard, a process of its own session, takes everything back if we die half-way, and when a
//! confirmation does not come. If the guard dies as well, the next call of [`recover`] does its work.
//!
//! [`Plan`]: plimsoll_diagnosis::plan::Plan
#![forbid(unsafe_code)]

mod act;
mod clock;
mod cookie;
mod error;
mod fault;
mod files;
mod guard;
mod history;
mod journal;
mod overfull;
mod place;
mod reason;
mod recover;
mod saved;
mod sight;
mod state;
mod transaction;
mod undo;
mod watch;

pub use error::ApplyError;
pub use fault::Fault;
pub use files::standing;
pub use guard::{GuardProgram, stand_guard};
pub use history::{Phase, Transaction, history, read_journal, unreadable};
pub use recover::{Recovered, recover};
pub use sight::{Sight, sights};
pub use transaction::{Applied, Event, Options, apply};
pub use undo::{Leftover, Undone, confirm, undo};
pub use watch::{Flow, stays_away, watch, watch_all};
