//! Programs that manage rules or settings: by process, by enabled unit, by init script.

use plimsoll_diagnosis::boot::Ufw;
use plimsoll_diagnosis::facts::{Fact, Manager, ManagerKind, Reason};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::ruleset::Ruleset;

use crate::files::Files;

/// Most processes looked at.
const PROCESSES: usize = 100_000;

/// Outputs of `ps` that sos saves.
const PS: &[&str] = &[
    "/sos_commands/process/ps_auxwwwm",
    "/sos_commands/process/ps_auxwww",
    "/sos_commands/process/ps_auxww",
    "/ps",
];

/// Those that run or will run, each once: a process tells more than a unit.
pub fn managers(files: &Files, live: bool) -> Fact<Vec<Manager>> {
    let mut all = Vec::new();
    // What process 1 starts is in its namespace.
    let own = if live { namespace(files, "1") } else { None };
    let mut looked = false;
    if live {
        looked |= processes(files, &mut all);
    } else {
        looked |= listed(files, &mut all);
    }
    let mut started = Vec::new();
    looked |= units(files, &mut started);
    looked |= init_scripts(files, &mut started);
    if Ufw::read(|path| files.text(path).ok()).enabled {
        looked = true;
        add(
            &mut started,
            ManagerKind::Ufw,
            "ufw",
            said!("/etc/ufw/ufw.conf says ENABLED=yes", "/etc/ufw/ufw.conf 里写着 ENABLED=yes"),
        );
    }
    Manager::merge(&mut all, started.into_iter().map(|m| m.within(own)));
    if looked {
        Fact::known(
            all,
            if live {
                Said::name("/proc, /etc/systemd/system")
            } else {
                said!("ps, /etc/systemd/system", "ps、/etc/systemd/system")
            },
        )
    } else {
        let what = said!(
            "neither processes nor enabled units were saved",
            "既没有保存进程，也没有保存已启用的服务单元"
        );
        Fact::missing_needs(
            Reason::NotCollected,
            what,
            said!("ps, /etc/systemd/system", "ps、/etc/systemd/system"),
        )
    }
}

/// Adds those that the host's own rules, which are of this namespace, are named after. Rules of a container's namespace tell of
/// the container.
pub fn add_of_rules(
    managers: &mut Fact<Vec<Manager>>,
    rules: &Fact<Ruleset>,
    namespace: Option<u64>,
) {
    let Fact::Known { value: rules, source } = rules else { return };
    let found: Vec<Manager> =
        Manager::of_rules(rules).into_iter().map(|m| m.within(namespace)).collect();
    match managers {
        Fact::Known { value, .. } => Manager::merge(value, found),
        Fact::Missing(_) if !found.is_empty() => {
            *managers = Fact::Known { value: found, source: source.clone() };
        }
        Fact::Missing(_) => {}
    }
}

fn add(all: &mut Vec<Manager>, kind: ManagerKind, name: &str, because: Said) {
    Manager::merge(all, [Manager::new(kind, name, because)]);
}

/// The running processes.
fn processes(files: &Files, all: &mut Vec<Manager>) -> bool {
    let Ok(names) = files.list("/proc") else { return false };
    let pids = names.iter().filter(|n| n.bytes().all(|b| b.is_ascii_digit())).take(PROCESSES);
    for pid in pids {
        // Gone since the listing: nothing to tell.
        let Ok(name) = files.text(&format!("/proc/{pid}/comm")) else { continue };
        let mut name = name.trim();
        let interpreted;
        if name.starts_with("python") {
            interpreted = script(files, pid);
            name = &interpreted;
        }
        if let Some(kind) = ManagerKind::of_program(name) {
            let because = said!("process {name} ({pid})", "进程 {name}（{pid}）");
            let manager = Manager::new(kind, name, because).within(namespace(files, pid));
            Manager::merge(all, [manager]);
        }
    }
    true
}

/// Inode of the network namespace of a process.
fn namespace(files: &Files, pid: &str) -> Option<u64> {
    crate::dead::inode(&files.link(&format!("/proc/{pid}/ns/net")).ok()?)
}

/// The script that an interpreter runs: firewalld, tuned and fail2ban are Python programs.
fn script(files: &Files, pid: &str) -> String {
    let line = files.read(&format!("/proc/{pid}/cmdline"), 4096).unwrap_or_default();
    line.split(|b| *b == 0)
        .skip(1)
        .take(4)
        .filter_map(|word| std::str::from_utf8(word).ok())
        .find(|word| !word.starts_with('-'))
        .and_then(|path| path.rsplit('/').next())
        .unwrap_or("")
        .to_owned()
}

/// The processes of a saved `ps`.
fn listed(files: &Files, all: &mut Vec<Manager>) -> bool {
    let Some((path, text)) = PS.iter().find_map(|p| Some((*p, files.text(p).ok()?))) else {
        return false;
    };
    for line in text.lines() {
        let words = line.split_whitespace().skip(10).take(4);
        for word in words.filter(|w| !w.starts_with('-')) {
            let name = word.rsplit('/').next().unwrap_or(word);
            if let Some(kind) = ManagerKind::of_program(name) {
                add(
                    all,
                    kind,
                    name,
                    said!("process {name} ({})", "进程 {name}（{}）", path.trim_start_matches('/')),
                );
            }
        }
    }
    true
}

/// Units that are enabled: links in the `.wants` folders.
fn units(files: &Files, all: &mut Vec<Manager>) -> bool {
    const SYSTEM: &str = "/etc/systemd/system";
    let Ok(folders) = files.list(SYSTEM) else { return false };
    for folder in folders.iter().filter(|f| f.ends_with(".wants")) {
        for unit in files.list(&format!("{SYSTEM}/{folder}")).unwrap_or_default() {
            let Some(name) = unit.strip_suffix(".service") else { continue };
            // Debian's docker.service is `docker`, ufw's unit is enabled though ufw is not.
            if let Some(kind) = ManagerKind::of_program(name).filter(|k| *k != ManagerKind::Ufw) {
                add(all, kind, name, said!("unit {unit} is enabled", "服务单元 {unit} 已启用"));
            }
        }
    }
    true
}

/// chkconfig's links: `/etc/rc.d/rc3.d/S95docker`.
fn init_scripts(files: &Files, all: &mut Vec<Manager>) -> bool {
    let mut looked = false;
    for folder in ["/etc/rc.d/rc3.d", "/etc/rc.d/rc5.d", "/etc/rc2.d", "/etc/rc3.d", "/etc/rc5.d"] {
        let Ok(names) = files.list(folder) else { continue };
        looked = true;
        for link in names {
            let name =
                link.strip_prefix('S').map(|n| n.trim_start_matches(|c: char| c.is_ascii_digit()));
            if let Some(name) = name
                && let Some(kind) = ManagerKind::of_program(name)
                && kind != ManagerKind::Ufw
            {
                add(all, kind, name, Said::name(format!("{folder}/{link}")));
            }
        }
    }
    looked
}
