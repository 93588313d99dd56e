//! /proc/modules.

use alloc::string::String;
use alloc::vec::Vec;

/// One loaded module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Name with underscores.
    pub name: String,
    /// Memory in bytes.
    pub size: u64,
    /// References: `None` where the kernel prints `-` (can't be unloaded).
    pub references: Option<u64>,
    /// Modules that use it.
    pub used_by: Vec<String>,
}
