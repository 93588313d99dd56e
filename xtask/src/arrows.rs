//! The arrows between the crates: who may know whom (docs/ARCHITECTURE.md).

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::run;

/// A room, whether it belongs to the functional core, and whom it may depend on.
struct Room {
    name: &'static str,
    core: bool,
    may_use: &'static [&'static str],
}

const ROOMS: &[Room] = &[
    Room { name: "plimsoll-ct", core: true, may_use: &[] },
    Room { name: "plimsoll-wire", core: true, may_use: &["plimsoll-ct"] },
    Room { name: "plimsoll-model", core: true, may_use: &["plimsoll-ct", "plimsoll-wire"] },
    Room {
        name: "plimsoll-replay",
        core: true,
        may_use: &["plimsoll-ct", "plimsoll-wire", "plimsoll-model"],
    },
    // A test instrument, not a room: it may look at all that it compares.
    Room {
        name: "plimsoll-fidelity",
        core: false,
        may_use: &["plimsoll-ct", "plimsoll-wire", "plimsoll-model", "plimsoll-lab"],
    },
    Room { name: "plimsoll-diagnosis", core: true, may_use: &["plimsoll-ct", "plimsoll-wire"] },
    Room {
        name: "plimsoll-report",
        core: true,
        may_use: &[
            "plimsoll-ct",
            "plimsoll-wire",
            "plimsoll-model",
            "plimsoll-replay",
            "plimsoll-diagnosis",
            "plimsoll-flows",
        ],
    },
    Room { name: "plimsoll-flows", core: true, may_use: &["plimsoll-ct", "plimsoll-wire"] },
    // Pure, but drawn by ratatui, which is not of the core's kind.
    Room {
        name: "plimsoll-top",
        core: false,
        may_use: &["plimsoll-ct", "plimsoll-diagnosis", "plimsoll-flows", "plimsoll-report"],
    },
    Room {
        name: "plimsoll-probe",
        core: false,
        may_use: &["plimsoll-ct", "plimsoll-wire", "plimsoll-diagnosis"],
    },
    Room {
        name: "plimsoll-apply",
        core: false,
        may_use: &["plimsoll-ct", "plimsoll-wire", "plimsoll-diagnosis"],
    },
    Room { name: "plimsoll-lab", core: false, may_use: &["plimsoll-ct", "plimsoll-wire"] },
    Room {
        name: "plimsoll",
        core: false,
        may_use: &[
            "plimsoll-ct",
            "plimsoll-wire",
            "plimsoll-diagnosis",
            "plimsoll-flows",
            "plimsoll-report",
            "plimsoll-top",
            "plimsoll-probe",
            "plimsoll-apply",
            "plimsoll-lab",
            "plimsoll-model",
            "plimsoll-replay",
        ],
    },
    Room { name: "xtask", core: false, may_use: &[] },
];

/// Modules of the core that may hold `unsafe`; their rooms deny it to all others.
const UNSAFE_MODULES: &[(&str, &str)] = &[("plimsoll-model", "table/machine.rs")];

/// Fails on a dependency that the picture does not have, on a room that it does not know, and on a core
/// room that is not `no_std`.
pub fn check() -> Result<(), String> {
    let metadata = run::output(env!("CARGO"), &["metadata", "--format-version", "1", "--no-deps"])
        .ok_or("cargo metadata failed")?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|e| e.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata: no packages")?;
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        match ROOMS.iter().find(|room| room.name == name) {
            None => wrong.push(format!("{name}: not in the picture")),
            Some(room) => wrong.extend(faults(room, package)),
        }
    }
    if wrong.is_empty() {
        eprintln!("xtask: arrows hold over {} crates", packages.len());
        Ok(())
    } else {
        Err(format!("arrows:\n  {}", wrong.join("\n  ")))
    }
}

fn faults(room: &Room, package: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let to = dependency["name"].as_str().unwrap_or_default();
        let ours = ROOMS.iter().any(|r| r.name == to);
        // A test may look at a room from outside; only what ships is held.
        let ships = dependency["kind"].as_str() != Some("dev");
        if ours && ships && !room.may_use.contains(&to) {
            wrong.push(format!("{} ▶ {to}: not in the picture", room.name));
        }
    }
    if room.core {
        let library = package["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|target| target["kind"][0] == "lib")
            .and_then(|target| target["src_path"].as_str());
        let source = library.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let exception = UNSAFE_MODULES.iter().find(|(room_of, _)| *room_of == room.name);
        let unsafe_code = match exception {
            None => "#![forbid(unsafe_code)]",
            Some(_) => "#![deny(unsafe_code)]",
        };
        if let (Some((_, allowed)), Some(library)) = (exception, library) {
            wrong.extend(allowances(room, library, allowed));
        }
        for attribute in ["#![no_std]", unsafe_code] {
            if !source.lines().any(|line| line == attribute) {
                wrong.push(format!("{}: a room of the core without {attribute}", room.name));
            }
        }
        if source.lines().any(|line| line == "extern crate std;") {
            wrong.push(format!("{}: a room of the core that names std", room.name));
        }
    }
    wrong
}

/// Files of a room, other than the one that may, that allow themselves `unsafe`.
fn allowances(room: &Room, library: &str, allowed: &str) -> Vec<String> {
    let Some(root) = Path::new(library).parent() else { return Vec::new() };
    let mut wrong = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            if text.contains("allow(unsafe_code)") && path != root.join(allowed) {
                wrong.push(format!("{}: {} allows itself unsafe", room.name, path.display()));
            }
        }
    }
    wrong
}
