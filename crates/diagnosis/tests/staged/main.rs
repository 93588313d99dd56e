//! Staged hosts, each with the verdict that a senior engineer would give: exactly these findings, and
//! these commands.
#![allow(clippy::unwrap_used)]

mod alike;
mod boot;
mod build;
mod causes;
mod limits;
mod properties;
mod refusals;
mod remedies;
mod size;
mod spoken;
mod state;
mod written;
