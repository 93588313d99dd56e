//! Which entries, and how many of each kind: the language of `plimsoll flows` and `plimsoll top`.
//!
//! Knows: a filter's words, what they mean for an entry, what is to be known to judge it; how entries are
//! added up by keys in bounded memory. Does not know: where entries come from, who owns them, how an answer
//! is shown.
//! A [`View`] enters (an entry and what is known around it), a [`Truth`] or a [`Groups`] leaves. What is not
//! known never counts as zero: a filter that would need it judges [`Truth::Unknown`], a grouping puts the entry
//! under "not known".
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod band;
mod complaint;
mod direction;
mod filter;
mod group;
mod known;
mod names;
mod nearest;
mod net;

mod span;
mod timeouts;
mod view;
mod words;

pub use band::Band;
pub use complaint::Complaint;
pub use direction::{Direction, Locals};
pub use filter::{
    Amount, Comparison, End, Expr, Filter, Flag, Glob, Mark, Named, Nat, Port, Side, SpanOf,
    Target, Test, Truth,
};
pub use group::{Cut, Group, Groups, Key, KeySpan, Keys, Limits, Order, Tally, Value};
pub use known::{Before, Known};
pub use names::Names;
pub use net::Net;
pub use span::Span;
pub use timeouts::Timeouts;
pub use view::{Lacks, Netns, Owner, Surroundings, Tells, View};
pub use words::Words;
