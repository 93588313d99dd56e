//! A host that is gone: facts from what was saved of it, a tree of files or a bundle.
//!
//! Two layouts, and any mixture: the host's own files (`/proc/…`, `/etc/…`, `/var/log/…`), and what
//! sosreport's commands printed (`/sos_commands/…`). A fact is looked for in the first, then in the second. What
//! is in neither was not collected, and that proves nothing: an absent listing is no empty table.
//! Rates are missing by nature. See docs/formats/bundle.md.

mod calls;
mod commands;
mod generation;
mod host;
mod namespaces;
mod read;
mod stack;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod time;

pub use tables::{SavedTable, open_listing, tables};

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use plimsoll_ct::{Entries, Probed, Time, TimeRange};
use plimsoll_diagnosis::facts::{Fact, Host, LogDigest, Origin, Reason, Snapshot};
use plimsoll_diagnosis::said;
use plimsoll_wire::log::Zone;

use crate::archive::{Archive, Bounds};
use crate::files::Files;
use crate::log;
pub(crate) use namespaces::inode;
use read::Saved;

/// Opens what was saved of a host: a directory is a tree, a file is a bundle.
pub fn open(path: &Path) -> io::Result<(Files, Origin)> {
    if std::fs::metadata(path)?.is_dir() {
        return Ok((Files::tree(path)?, Origin::Tree));
    }
    let archive = Archive::open(path, &Bounds::default())?;
    Ok((Files::Archive(archive), Origin::Bundle))
}

/// Reads a host from what was saved of it. What could not be found is missing in the snapshot, and says
/// where it was looked for.
pub fn snapshot(files: &Files, origin: Origin) -> Snapshot {
    let saved = Saved::new(files);
    let at = time::saved_at(&saved);
    let name = host::name(&saved);
    let uptime = time::uptime(&saved);
    let boot = time::boot(&saved, at, &uptime);
    let log = read_log(&saved, at, boot, name.value().map(String::as_str));
    let mut host = host::host(&saved, origin, name, uptime, log.value());
    let mut boot = calls::boot_files(&saved, &host);
    let directives = boot.directives();
    let mut namespaces = namespaces::all(&saved);
    for (index, namespace) in namespaces.iter_mut().enumerate() {
        if index > 0 && namespace.max.value().is_none() && !host.profile.global_count {
            // The limit is the host's, whichever namespace it is asked in.
            if let Some(max) = host.global_max.get() {
                let source = said!(
                    "the initial namespace: the limit is global",
                    "初始命名空间：上限是全局的"
                );
                namespace.max = Fact::known(Entries(max), source);
            }
        }
        namespace.tracking = calls::tracking(&host, &directives, namespace);
    }
    crate::config::add_of_rules(&mut boot.managers, &namespaces[0].rules, namespaces[0].inode);
    host::correct_profile(&saved, &mut host, &namespaces[0]);
    Snapshot {
        at,
        monotonic: None,
        host,
        namespaces_complete: namespaces::complete(&saved, namespaces.len()),
        whole: whole(files),
        namespaces,
        log,
        boot,
        cloud: stack::cloud(&saved),
    }
}

/// The host without its tables and its log, and the settings of its initial namespace.
pub(crate) fn host_alone(files: &Files, origin: Origin) -> (Host, BTreeMap<String, String>) {
    let saved = Saved::new(files);
    let name = host::name(&saved);
    let uptime = time::uptime(&saved);
    let mut host = host::host(&saved, origin, name, uptime, None);
    let settings = table::settings(&saved);
    let has = |start: &str| settings.keys().any(|key| key.starts_with(start));
    let probed = Probed {
        old_names: (!settings.is_empty()).then(|| has("ip_conntrack_")),
        new_names: (!settings.is_empty()).then(|| has("nf_conntrack_")),
        ..Probed::default()
    };
    host::correct(&mut host, &probed);
    (host, settings)
}

/// Whether a bundle was read to its end.
fn whole(files: &Files) -> Fact<()> {
    match files.broken_off() {
        None => Fact::known((), said!("the files that were saved", "保存下来的文件")),
        Some(why) => {
            Fact::missing_needs(Reason::Malformed, why, said!("the whole bundle", "完整的归档"))
        }
    }
}

/// The log, wherever the tree or the bundle keeps it.
fn read_log(
    saved: &Saved<'_>,
    at: Time,
    boot: Option<TimeRange>,
    host: Option<&str>,
) -> Fact<LogDigest> {
    let mut extra: Vec<String> = Vec::new();
    for path in
        ["/dmesg", "/dmesg.txt", "/sos_commands/kernel/dmesg", "/sos_commands/general/dmesg"]
    {
        if saved.files.exists(path) {
            extra.push(path.to_owned());
        }
    }
    for (directory, start) in
        [("/sos_commands/kernel", "dmesg_"), ("/sos_commands/logs", "journalctl_--no-pager")]
    {
        let names = saved.files.list(directory).unwrap_or_default();
        extra.extend(
            names
                .into_iter()
                .filter(|name| name.starts_with(start))
                .map(|name| format!("{directory}/{name}")),
        );
    }
    // Without the host's own rules of time, `date` and `date --utc` tell how far apart they were.
    let zone = match log::zone_of(saved.files) {
        Zone::Unknown => time::offset(saved),
        known => Some(known),
    };
    let limits = log::Limits { time: std::time::Duration::from_secs(10), ..log::Limits::default() };
    let ask = log::Ask { live: false, now: at, boot, host, zone, extra: &extra, limits };
    let mut digest = log::digest(saved.files, &ask);
    if let Fact::Known { value, .. } = &mut digest {
        for source in &mut value.sources {
            if source.cut.is_none() {
                source.cut = saved.files.cut(&source.name);
            }
        }
    }
    digest
}
