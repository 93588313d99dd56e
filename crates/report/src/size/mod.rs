//! A size with the arithmetic that led to it: as a screen and as JSON.

mod chinese;
mod json;
mod text;

pub use json::{SIZE_SCHEMA, size_json};
pub use text::size_text;
