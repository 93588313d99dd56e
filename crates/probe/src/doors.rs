//! The TCP ports that SSH is set up for: in sshd's own files, and in the units by which systemd listens in its place.

use std::collections::BTreeMap;

use plimsoll_wire::{socket_unit, sshd_config};

use crate::files::Files;

/// The units that listen for it, by distribution.
const UNITS: &[&str] = &["ssh.socket", "sshd.socket"];
/// Where units stand, systemd.unit(5): of two of one name the first counts.
const FOLDERS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Ports of the units that listen for SSH. `enabled`: of those only that a boot starts.
pub(crate) fn of_units(files: &Files, enabled: bool) -> Vec<u16> {
    let started = |unit: &&&str| !enabled || is_enabled(files, unit);
    let units = UNITS.iter().filter(started).filter_map(|unit| text(files, unit));
    units.flat_map(|text| socket_unit::ports(&text)).collect()
}

/// Ports of sshd's configuration, with the files of its folder, which come first. Empty where there is none.
pub(crate) fn of_server(files: &Files) -> Vec<u16> {
    const FOLDER: &str = "/etc/ssh/sshd_config.d";
    let mut names = files.list(FOLDER).unwrap_or_default();
    names.retain(|name| name.ends_with(".conf"));
    names.sort_unstable();
    let paths = names.iter().map(|name| format!("{FOLDER}/{name}"));
    let paths = paths.chain(["/etc/ssh/sshd_config".to_owned()]);
    let texts: Vec<String> = paths.filter_map(|path| files.text(&path).ok()).collect();
    if texts.is_empty() { Vec::new() } else { sshd_config::ports(&texts.join("\n")) }
}

/// Those of a saved host: where a unit listens, sshd takes what it is given.
pub(crate) fn saved(files: &Files) -> Vec<u16> {
    let units = of_units(files, true);
    if units.is_empty() { of_server(files) } else { units }
}

fn is_enabled(files: &Files, unit: &str) -> bool {
    FOLDERS.iter().any(|folder| {
        let wanted = files.list(&format!("{folder}/sockets.target.wants"));
        wanted.is_ok_and(|names| names.iter().any(|name| name == unit))
    })
}

/// A unit with its drop-ins. `None`: there is none, or it is masked.
fn text(files: &Files, unit: &str) -> Option<String> {
    let own = FOLDERS.iter().map(|folder| format!("{folder}/{unit}"));
    let mut own = own.filter(|path| files.link(path).is_ok() || files.exists(path));
    let mut whole = unmasked(files, &own.next()?)?;
    let mut more = BTreeMap::new();
    for folder in FOLDERS {
        let folder = format!("{folder}/{unit}.d");
        for name in files.list(&folder).unwrap_or_default() {
            if name.ends_with(".conf") {
                let path = format!("{folder}/{name}");
                more.entry(name).or_insert(path);
            }
        }
    }
    for text in more.values().filter_map(|path| unmasked(files, path)) {
        whole.push('\n');
        whole.push_str(&text);
    }
    Some(whole)
}

fn unmasked(files: &Files, path: &str) -> Option<String> {
    if files.link(path).is_ok_and(|end| end == "/dev/null") {
        return None;
    }
    files.text(path).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    /// A tree of these files; a text that begins with `->` is a link.
    fn tree(name: &str, files: &[(&str, &str)]) -> (PathBuf, Files) {
        let root =
            std::env::temp_dir().join(format!("plimsoll-doors-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("->") {
                Some(end) => symlink(end, &path).unwrap(),
                None => std::fs::write(&path, text).unwrap(),
            }
        }
        let files = Files::tree(&root).unwrap();
        (root, files)
    }

    const UNIT: (&str, &str) = ("usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\n");
    const WANTED: (&str, &str) = (
        "etc/systemd/system/sockets.target.wants/ssh.socket",
        "->/usr/lib/systemd/system/ssh.socket",
    );
    const CONFIG: (&str, &str) = ("etc/ssh/sshd_config", "Port 2200\n");

    fn found(name: &str, files: &[(&str, &str)]) -> Vec<u16> {
        let (root, files) = tree(name, files);
        let found = saved(&files);
        std::fs::remove_dir_all(root).unwrap();
        found
    }

    #[test]
    fn a_unit_that_is_enabled_listens_in_place_of_the_server() {
        assert_eq!(found("off", &[UNIT, CONFIG]), [2200]);
        assert_eq!(found("on", &[UNIT, WANTED, CONFIG]), [22]);
        assert_eq!(found("none", &[]), [0_u16; 0]);
        let more = ("etc/ssh/sshd_config.d/10-port.conf", "Port 2201\n");
        assert_eq!(found("folder", &[CONFIG, more]), [2201, 2200]);
    }

    #[test]
    fn drop_ins_are_merged_by_name_and_a_mask_hides_what_is_below_it() {
        let ours = (
            "etc/systemd/system/ssh.socket.d/port.conf",
            "[Socket]\nListenStream=\nListenStream=2222\n",
        );
        let theirs =
            ("usr/lib/systemd/system/ssh.socket.d/port.conf", "[Socket]\nListenStream=1\n");
        let made = (
            "run/systemd/generator/ssh.socket.d/addresses.conf",
            "[Socket]\nListenStream=[::]:23\n",
        );
        assert_eq!(found("dropin", &[UNIT, WANTED, ours, theirs]), [2222]);
        assert_eq!(found("made", &[UNIT, WANTED, made]), [22, 23]);
        let masked = ("etc/systemd/system/ssh.socket.d/addresses.conf", "->/dev/null");
        assert_eq!(found("dropin-mask", &[UNIT, WANTED, made, masked]), [22]);
        let mask = ("etc/systemd/system/ssh.socket", "->/dev/null");
        assert_eq!(found("mask", &[UNIT, WANTED, mask, CONFIG]), [2200]);
    }
}
