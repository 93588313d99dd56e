//! The next boot as a screen and as JSON (schema `plimsoll.boot/1`, docs/formats/boot-json.md).

mod json;
#[cfg(test)]
mod tests;
mod text;
mod watch;

pub use json::{SCHEMA as BOOT_SCHEMA, boot_json};
pub use text::boot_text;
pub use watch::{change_json, change_text};

use plimsoll_diagnosis::boot::{Fate, Stage};

/// The word for a moment of the boot.
const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Kernel => "kernel",
        Stage::Initramfs => "initramfs",
        Stage::Modules => "modules",
        Stage::Sysctl => "sysctl",
        Stage::Firewall => "firewall",
        Stage::Network => "network",
        Stage::Tuned => "tuned",
        Stage::RcLocal => "rc.local",
        Stage::Containers => "containers",
        Stage::KubeProxy => "kube-proxy",
    }
}

/// The word for what becomes of a line.
const fn fate(fate: &Fate) -> &'static str {
    match fate {
        Fate::Wins(_) => "wins",
        Fate::Overridden(..) => "overridden",
        Fate::NotYet => "no-key-yet",
        Fate::Never(_) => "module-never-loaded",
        Fate::Refused(_) => "refused",
        Fate::ReadOnly => "read-only",
        Fate::Dead { .. } => "dead-generation",
        Fate::Untold => "kernel-unknown",
        Fate::Unknown { .. } => "unknown-key",
        Fate::Replaced(_) => "replaced",
        Fate::NotRead(_) => "not-read",
        Fate::Unclear => "variable",
    }
}
