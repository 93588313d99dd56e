//! The kernel's generation, where no release was saved: by the kernels that are installed, then by the distribution.
//!
//! Told only where all that it may be go by the same names of settings and modules. Else it stays missing, and what
//! hangs on it is not judged.

use std::collections::BTreeSet;

use plimsoll_ct::{Era, KernelVersion, PROFILES, Profile};
use plimsoll_diagnosis::facts::{Fact, Reason, Source};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::os_release::{self, OsRelease};

use super::read::Saved;

/// Where installed kernels leave their releases in a name, and what stands before it.
const INSTALLED: &[(&str, &str)] = &[
    ("/lib/modules", ""),
    ("/usr/lib/modules", ""),
    ("/boot", "vmlinuz-"),
    ("/boot", "vmlinux-"),
    ("/boot", "config-"),
];

/// `ID` and `VERSION_ID` of os-release, and the kernel of the release. Left out are those with kernels of both kinds of
/// names (Ubuntu 16.04: 4.4 and 4.15; SLES 12: 3.12 to 4.12; Oracle Linux: the vendor's kernel and its own).
#[rustfmt::skip]
const SHIPPED: &[(&[&str], Releases)] = &[
    (&["rhel", "centos", "rocky", "almalinux", "scientific"], &[
        ("5", "2.6.18.el5"), ("6", "2.6.32.el6"), ("7", "3.10.0.el7"), ("8", "4.18.0.el8"), ("9", "5.14.0.el9"),
        ("10", "6.12.0.el10"),
    ]),
    (&["debian"], &[
        ("6", "2.6.32"), ("7", "3.2"), ("8", "3.16"), ("9", "4.9"), ("10", "4.19"), ("11", "5.10"), ("12", "6.1"),
        ("13", "6.12"),
    ]),
    (&["ubuntu"], &[
        ("14.04", "3.13"), ("18.04", "4.15"), ("20.04", "5.4"), ("22.04", "5.15"), ("24.04", "6.8"),
    ]),
    (&["sles", "opensuse-leap"], &[("15", "4.12")]),
    (&["amzn"], &[("2", "4.14"), ("2023", "6.1")]),
];

/// `VERSION_ID`, and the kernel.
type Releases = &'static [(&'static str, &'static str)];

/// How the first line of redhat-release begins, and the `ID` of its kind.
const NAMES: &[(&str, &str)] = &[
    ("Red Hat Enterprise Linux", "rhel"),
    ("CentOS", "centos"),
    ("Rocky Linux", "rocky"),
    ("AlmaLinux", "almalinux"),
    ("Scientific Linux", "scientific"),
];

/// Releases of the kernels that are installed, each once, and where the first was found.
pub(super) fn installed(saved: &Saved<'_>) -> (Vec<KernelVersion>, &'static str) {
    let mut place = "/lib/modules";
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (folder, start) in INSTALLED {
        for name in saved.names(folder, start) {
            let Some(version) = KernelVersion::parse(&name[start.len()..]) else { continue };
            if all.is_empty() {
                place = folder;
            }
            if seen.insert(version.release.clone()) {
                all.push(version);
            }
        }
    }
    (all, place)
}

/// The release that tells the generation.
pub(super) fn generation(saved: &Saved<'_>, kernel: &Fact<KernelVersion>) -> Fact<KernelVersion> {
    if kernel.value().is_some() {
        return kernel.clone();
    }
    let (installed, place) = installed(saved);
    if !installed.is_empty() {
        // The youngest is what boots unless somebody chose another.
        let youngest = installed.iter().max_by_key(|v| v.rank());
        let alike = |era: Era| installed.iter().all(|v| Profile::of(v).era == era);
        return match youngest.filter(|v| alike(Profile::of(v).era)) {
            Some(version) => Fact::known(version.clone(), Source::name(place)),
            None => untold(said!("{place} has kernels of several", "{place} 里有几代内核")),
        };
    }
    distribution(saved).unwrap_or_else(|| {
        untold(said!("neither kernel nor distribution tells", "内核和发行版都说明不了"))
    })
}

/// The youngest release whose settings go by such names.
pub(super) fn of_names(era: Era) -> Option<KernelVersion> {
    PROFILES.iter().rfind(|p| p.era == era).and_then(|p| KernelVersion::parse(p.name))
}

fn untold(why: Said) -> Fact<KernelVersion> {
    Fact::missing_needs(
        Reason::NotCollected,
        said!(
            "{why}: names that not all have are not judged",
            "{why:#}：不判断并非每一代都有的名字"
        ),
        Said::name("/proc/sys/kernel/osrelease"),
    )
}

fn distribution(saved: &Saved<'_>) -> Option<Fact<KernelVersion>> {
    let (id, version, path) = named(saved)?;
    let (_, releases) = SHIPPED.iter().find(|(ids, _)| ids.contains(&id.as_str()))?;
    let is = |of: &str| {
        version.strip_prefix(of).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let (_, kernel) = releases.iter().find(|(of, _)| is(of))?;
    Some(Fact::known(KernelVersion::parse(kernel)?, Source::name(path)))
}

/// `ID` and `VERSION_ID`, of os-release or of what was there before it.
fn named(saved: &Saved<'_>) -> Option<(String, String, &'static str)> {
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Ok(text) = saved.text(path) {
            let OsRelease { id, version_id, .. } = os_release::parse(&text);
            return Some((id?, version_id?, path));
        }
    }
    // Oracle Linux has Red Hat's words in redhat-release.
    if !saved.files.exists("/etc/oracle-release") {
        for path in ["/etc/redhat-release", "/etc/centos-release"] {
            let Some(line) = saved.text(path).ok().and_then(|t| os_release::first_line(&t)) else {
                continue;
            };
            let (_, id) = NAMES.iter().find(|(start, _)| line.starts_with(start))?;
            let (_, version) = line.split_once(" release ")?;
            return Some(((*id).to_owned(), version.to_owned(), path));
        }
    }
    let path = "/etc/debian_version";
    let version = os_release::first_line(&saved.text(path).ok()?)?;
    Some(("debian".to_owned(), version, path))
}
