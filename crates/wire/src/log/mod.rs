//! The kernel's log: which lines speak of a full table, and when they were written.
//!
//! Knows: every wording of every kernel generation (docs/formats/kernel-log.md lists them), the
//! notices of everyone who may swallow lines, and the forms in which a log is kept: records of
//! /dev/kmsg, what dmesg prints, syslog files, the journal.
//! Does not know: where the bytes come from, and what a line means for a host.
//!
//! A line goes through three steps: [`Line`] finds out who speaks and when ([`Stamp`]), [`recognise`]
//! what is said, [`Clock`] what the stamp means in wall-clock time. Only what the kernel itself says
//! counts: a program that quotes the kernel's words is another [`Speaker`].

mod bytes;
mod clock;
mod journal;
mod keeper;
mod kmsg;
mod line;
mod message;
mod stamp;

pub use clock::{Clock, Zone};
pub use journal::{export_entry, json_line};
pub use keeper::{Keeper, Loss, recognise_loss};
pub use kmsg::record;
pub use line::{Form, Line, Speaker, Times};
pub use message::{Limiter, Message, NEEDLES, NeighbourTable, Scope, SocketMemoryKind, recognise};
pub use stamp::{Civil, Stamp};

#[cfg(test)]
mod tests;
