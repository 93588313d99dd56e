//! What other readers of the probe make of saved files.

use plimsoll_diagnosis::facts::{BootFiles, Fact, Host, Namespace, Reason, Tracking};
use plimsoll_wire::ruleset::Ruleset;

use super::read::Saved;

fn later<T>() -> Fact<T> {
    Fact::missing(Reason::NotAsked, "not read")
}

pub(super) fn boot_files(_saved: &Saved<'_>) -> BootFiles {
    BootFiles {
        sysctl: later(),
        modprobe: later(),
        modules_load: later(),
        iptables_config: later(),
        managers: later(),
    }
}

pub(super) fn rules(_saved: &Saved<'_>, _namespace: Option<&str>) -> Fact<Ruleset> {
    later()
}

pub(super) fn tracking(_host: &Host, _boot: &BootFiles, _namespace: &Namespace) -> Fact<Tracking> {
    later()
}
