//! Adding entries up by keys, in bounded memory.

mod filter;
mod groups;
mod key;
mod parse;
mod slots;
#[cfg(test)]
mod tests;
mod value;

pub use groups::{Group, Groups, Limits, Order};
pub use key::{Cut, Key, Keys, Span as KeySpan};
pub use slots::Tally;
pub use value::Value;
