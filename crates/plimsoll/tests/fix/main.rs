//! `plimsoll fix` on the running kernel, in namespaces of its own: what it does, how it ends when it is
//! killed at any step, and what stops it.

#[path = "../support/mod.rs"]
mod support;

mod crashes;
mod files;
mod flags;
mod forwarded;
mod host;
mod hostile;
mod managers;
mod memory;
mod middle;
mod namespaces;
mod needs;
mod plans;
mod remedies;
mod roles;
mod shed;
mod ssh;
mod sweep;
mod untracked;
