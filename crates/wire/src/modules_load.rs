//! modules-load.d files, /etc/modules, /etc/rc.modules.

use alloc::string::String;

/// A module named for early loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleToLoad {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Module, dashes turned to underscores.
    pub module: String,
}
