//! The files in which a host names services, protocols and labels.

use plimsoll_wire::names::{self, Label, NamedProtocol, Service};

use crate::files::Files;

/// What the files say; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameFiles {
    /// /etc/services
    pub services: Vec<Service>,
    /// /etc/protocols
    pub protocols: Vec<NamedProtocol>,
    /// /etc/xtables/connlabel.conf
    pub labels: Vec<Label>,
}

/// Reads them. A system without an /etc/services keeps it under /usr/etc or /usr/lib.
pub fn name_files(files: &Files) -> NameFiles {
    let text =
        |paths: &[&str]| paths.iter().find_map(|path| files.text(path).ok()).unwrap_or_default();
    NameFiles {
        services: names::services(&text(&[
            "/etc/services",
            "/usr/etc/services",
            "/usr/lib/services",
        ])),
        protocols: names::protocols(&text(&[
            "/etc/protocols",
            "/usr/etc/protocols",
            "/usr/lib/protocols",
        ])),
        labels: names::labels(&text(&["/etc/xtables/connlabel.conf"])),
    }
}
