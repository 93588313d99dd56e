//! Module options, and modules loaded by name as the host boots.

use plimsoll_diagnosis::facts::{Fact, Reason};
use plimsoll_wire::modprobe::{self, ModuleDirective, is_conntrack};
use plimsoll_wire::modules_load::{self, ModuleToLoad};

use super::order::{Member, conf, merged};
use crate::files::Files;

const MODPROBE: &[&str] = &[
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];

const MODULES_LOAD: &[&str] = &[
    "/etc/modules-load.d",
    "/run/modules-load.d",
    "/usr/local/lib/modules-load.d",
    "/usr/lib/modules-load.d",
    "/lib/modules-load.d",
];

/// Scripts that load modules on RHEL 5 and 6.
const SCRIPTS: &str = "/etc/sysconfig/modules";

/// `options`, `install`, `blacklist` of conntrack modules, the kernel's command line first.
pub fn directives(files: &Files) -> Fact<Vec<ModuleDirective>> {
    let mut all = Vec::new();
    if let Ok(line) = files.text("/proc/cmdline") {
        all.extend(modprobe::read_command_line(&line));
    }
    // module-init-tools (RHEL 5) read every file of the folder, and one beside it.
    let old = files.text("/etc/modprobe.conf").ok();
    let wanted = |name: &str| conf(name) || (old.is_some() && !name.contains(".rpm"));
    let members = merged(files, MODPROBE, wanted);
    let found = read(files, &members, |path, text| all.extend(modprobe::read_conf(path, text)));
    if let Some(text) = &old {
        all.extend(modprobe::read_conf("/etc/modprobe.conf", text));
    }
    all.retain(|d| is_conntrack(&d.module));
    if found || old.is_some() || !all.is_empty() || files.exists(MODPROBE[0]) {
        Fact::known(all, "/etc/modprobe.d")
    } else {
        Fact::missing_needs(Reason::NotCollected, "no modprobe.d is there", "/etc/modprobe.d")
    }
}

/// Conntrack modules loaded by name.
pub fn to_load(files: &Files) -> Fact<Vec<ModuleToLoad>> {
    let mut all = Vec::new();
    let mut found = read(files, &merged(files, MODULES_LOAD, conf), |path, text| {
        all.extend(modules_load::read_list(path, text));
    });
    // systemd reads /etc/modules by a link in modules-load.d, sysvinit by itself.
    if let Ok(text) = files.text("/etc/modules") {
        found = true;
        let linked = all.iter().any(|m| files.text(&m.file).is_ok_and(|t| t == text));
        if !linked {
            all.extend(modules_load::read_list("/etc/modules", &text));
        }
    }
    let scripts = files.list(SCRIPTS).unwrap_or_default();
    let scripts = scripts.iter().filter(|name| name.ends_with(".modules"));
    let scripts = scripts.map(|name| format!("{SCRIPTS}/{name}"));
    for path in scripts.chain(["/etc/rc.modules".to_owned()]) {
        if let Ok(text) = files.text(&path) {
            found = true;
            all.extend(modules_load::read_script(&path, &text));
        }
    }
    all.retain(|m| is_conntrack(&m.module));
    if found || files.exists(MODULES_LOAD[0]) {
        Fact::known(all, "/etc/modules-load.d, /etc/modules")
    } else {
        let needs = "/etc/modules-load.d, /etc/modules";
        Fact::missing_needs(Reason::NotCollected, "no list of modules is there", needs)
    }
}

/// Reads each file that can be read; whether there was any.
fn read(files: &Files, members: &[Member], mut take: impl FnMut(&str, &str)) -> bool {
    let mut found = false;
    for member in members {
        if let Ok(text) = files.text(&member.path) {
            found = true;
            take(&member.path, &text);
        }
    }
    found
}
