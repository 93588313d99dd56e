//! ufw: whether it is on, and the file that it applies.
//!
//! Source: /lib/ufw/ufw-init-functions of ufw 0.36.2. A shell reads both files in; ufw_start() asks for `yes` or `YES`, and applies
//! what IPT_SYSCTL names, if it does.

use alloc::string::{String, ToString};

use plimsoll_wire::shell_assignments;

/// Where ENABLED stands; what stands in the other file holds where it is said in both.
const CONF: &str = "/etc/ufw/ufw.conf";
const DEFAULTS: &str = "/etc/default/ufw";
/// What IPT_SYSCTL is in the package.
const USUAL: &str = "/etc/ufw/sysctl.conf";

/// What its files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ufw {
    /// Whether it is on.
    pub enabled: bool,
    /// The file of settings that it applies as it starts.
    pub sysctl: Option<String>,
}

impl Ufw {
    /// Where it is said whether it is on.
    pub const CONF: &str = CONF;

    /// Reads its files through `text`.
    pub fn read(text: impl Fn(&str) -> Option<String>) -> Self {
        let files = [text(CONF), text(DEFAULTS)];
        let last = |name: &str| {
            files.iter().flatten().find_map(|text| shell_assignments::last(text, name))
        };
        // Where the defaults are not at hand they are taken to be the package's.
        let sysctl = last("IPT_SYSCTL").unwrap_or(USUAL);
        Self {
            enabled: matches!(last("ENABLED"), Some("yes" | "YES")),
            sysctl: Some(sysctl).filter(|path| path.starts_with('/')).map(ToString::to_string),
        }
    }
}
