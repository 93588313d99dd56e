//! What the boot simulation starts from, read by itself: the files, the kernel, the settings now. Needs no root.

use std::collections::BTreeMap;

use plimsoll_ct::KernelVersion;
use plimsoll_diagnosis::boot::BootFacts;
use plimsoll_diagnosis::facts::{BootFiles, Host, Origin};

use crate::files::Files;
use crate::{config, dead, live};

/// Of the running host. The settings are those of the calling thread's namespace, and are left out where that is not the
/// initial one: a container's are not what boots.
pub fn live() -> BootFacts {
    let host = live::host_alone();
    let boot = boot_files(&Files::live(), &host, true);
    let settings =
        if live::in_initial_namespace() { live::settings_here() } else { BTreeMap::new() };
    BootFacts::of_host(&host, &boot, settings)
}

/// Ticks in a second of a kernel of the running host, by its configuration.
pub fn ticks(kernel: Option<&KernelVersion>) -> Option<u32> {
    config::hz(&Files::live(), kernel).get()
}

/// Of a host that was saved.
pub fn saved(files: &Files, origin: Origin) -> BootFacts {
    let (host, settings) = dead::host_alone(files, origin);
    let mut boot = boot_files(files, &host, false);
    config::add_of_rules(&mut boot.managers, &crate::rules::of_files(files, None), None);
    BootFacts::of_host(&host, &boot, settings)
}

fn boot_files(files: &Files, host: &Host, live: bool) -> BootFiles {
    let kernel: Option<&KernelVersion> = host.kernel.value();
    config::boot_files(files, kernel, live)
}
