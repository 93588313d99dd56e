//! Captured packets through the model.
//!
//! Knows: how a capture becomes packets, what several settings would have made of the same packets, and
//! what a capture cannot tell. Does not know: files, formats of output.
//! Records enter one by one, in the order of their times; [`Outcome`]s leave: [`Replay`] has an example.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod answer;
mod distinct;
mod doubts;
mod helper;
mod losses;
mod outcome;
mod peaks;
mod policy;
mod replay;
mod rules;
mod scale;
mod selector;
mod shared;
mod synthetic;
mod tally;
mod timeline;
mod zone;

pub use answer::{Answer, Change, Row};
pub use doubts::Doubts;
pub use helper::HelperRule;
pub use outcome::Outcome;
pub use policy::PolicyRule;
pub use replay::{Replay, Run, is_cut_within_headers};
pub use rules::Rules;
pub use scale::{Copies, MOST_COPIES};
pub use selector::{End, Selector, SelectorError};
pub use synthetic::{Lifetime, Synthetic, Workload};
pub use tally::Tally;
pub use timeline::{Sample, Timeline};
pub use zone::ZoneRule;
