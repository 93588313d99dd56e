//! What a key is on this kernel: alive, only to be read, of another generation, or nothing at all.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::KernelVersion;
use plimsoll_ct::{Access, Era, PROFILES, Profile, SETTINGS, Setting, Vendor};
use plimsoll_wire::tuned::HASHSIZE;

use super::kube_proxy::{DEFAULTS, FLAGS};
use crate::Said;
use crate::commands;

/// Fewest settings that were read for the absence of one to mean that the kernel lacks it.
const WELL_READ: usize = 10;
/// Longest key that is compared with others.
const LONGEST: usize = 100;

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It sets this.
    Live(&'static Setting),
    /// It shows this, and can't be written.
    ReadOnly(&'static Setting),
    /// Another generation's name; what it would set there, where this kernel has the like.
    Dead(&'static Setting),
    /// A name that some generations have and others not, where nothing tells which this is; what it sets where it is.
    Untold(&'static Setting),
    /// No kernel has it.
    Unknown,
}

/// The kernel as keys depend on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) profile: &'a Profile,
    /// Whether anything tells the generation; otherwise the profile is only assumed.
    pub(super) told: bool,
    pub(super) version: Option<&'a KernelVersion>,
    /// Settings of the running kernel, by bare name; few or none when the module is not loaded.
    pub(super) running: &'a BTreeMap<String, String>,
}

impl Keys<'_> {
    /// What a key is. `None`: it is none of conntrack's.
    pub(super) fn meaning(&self, key: &str) -> Option<Meaning> {
        if key == HASHSIZE {
            return Setting::find("nf_conntrack_buckets").map(Meaning::Live);
        }
        let (folder, bare) = key.rsplit_once('.').unwrap_or(("", key));
        if !concerns(folder, bare) {
            return None;
        }
        let well_read = self.running.len() >= WELL_READ;
        let Some(setting) = Setting::find(bare) else {
            // A patched kernel has keys that are in no table.
            return (!(well_read && self.running.contains_key(bare))).then_some(Meaning::Unknown);
        };
        let old = setting.old_name == Some(bare);
        let at_root = bare.ends_with("conntrack_max");
        let placed = match folder {
            "net.netfilter" => !old,
            "net" => !old && at_root,
            "net.ipv4.netfilter" => old,
            "net.ipv4" => old && at_root,
            _ => false,
        };
        if !placed {
            return Some(Meaning::Unknown);
        }
        let named = match self.profile.era {
            Era::IpConntrack => old,
            Era::Both => true,
            Era::NfConntrack => !old,
        };
        let there = if well_read {
            // Old and new names are listed in different folders; the new ones are those that were read.
            self.running.contains_key(bare) || old || self.in_table(setting)
        } else {
            self.in_table(setting)
        };
        if !named || !there {
            let meaning = if self.told { Meaning::Dead } else { Meaning::Untold };
            return Some(meaning(setting));
        }
        Some(match setting.access {
            Access::ReadOnly => Meaning::ReadOnly(setting),
            Access::WritableSince4_9 if !self.profile.buckets_writable => {
                Meaning::ReadOnly(setting)
            }
            Access::Writable | Access::WritableSince4_9 => Meaning::Live(setting),
        })
    }

    /// Whether the table of settings has it for this release. Vendors carry keys over, so only upstream's
    /// releases are held to it.
    fn in_table(&self, setting: &Setting) -> bool {
        let Some(version) = self.version else { return true };
        let rank = version.rank();
        let gone = setting.until.is_some_and(|until| until < rank);
        let unborn = setting.since > rank
            && !(setting.old_name.is_some() && self.profile.era == Era::IpConntrack);
        match version.vendor {
            Vendor::Upstream => !gone && !unborn,
            Vendor::Enterprise(_) => true,
        }
    }

    /// Whether this kernel has a setting under some name.
    pub(super) fn has(&self, setting: &'static Setting) -> bool {
        matches!(self.meaning(&self.name(setting)), Some(Meaning::Live(_) | Meaning::ReadOnly(_)))
    }

    /// The dotted name of a setting on this kernel.
    pub(super) fn name(&self, setting: &Setting) -> String {
        commands::key(self.profile, setting.name)
    }

    /// The name that is meant by a wrong one, which is near the setting's old or its new one: this kernel's, or of the same
    /// generation where nothing tells which this is.
    fn name_like(&self, setting: &Setting, old: bool) -> String {
        if old && !self.told {
            return commands::key(&PROFILES[0], setting.name);
        }
        self.name(setting)
    }

    /// The key that was meant by one that no kernel has, if one is near.
    pub(super) fn nearest(&self, key: &str) -> Option<String> {
        let bare = key.rsplit('.').next().unwrap_or(key).trim().trim_matches(['"', '\'']);
        if bare.len() > LONGEST {
            return None;
        }
        let live =
            |setting: &&'static Setting| self.has(setting) && setting.access != Access::ReadOnly;
        if let Some(setting) = Setting::find(bare).filter(live) {
            return Some(self.name_like(setting, setting.old_name == Some(bare)));
        }
        let far = (bare.len() / 4).max(2);
        SETTINGS
            .iter()
            .filter(live)
            .flat_map(|setting| [Some(setting.name), setting.old_name].map(|name| (setting, name)))
            .filter_map(|(setting, name)| Some((distance(bare, name?), setting, name?)))
            .filter(|(distance, ..)| *distance <= far)
            .min_by_key(|(distance, ..)| *distance)
            .map(|(_, setting, name)| self.name_like(setting, setting.old_name == Some(name)))
    }
}

/// Whether a key is meant for conntrack, misspelt as it may be.
fn concerns(folder: &str, bare: &str) -> bool {
    let tracks = |name: &str| name.contains("conntrack") || name.contains("contrack");
    // Keys of others that live beside ours.
    let others = ["nf_log", "nf_hooks", "nf_flowtable", "log", "arp", "nf_tables"];
    tracks(bare)
        || (matches!(folder, "net.netfilter" | "net.ipv4.netfilter")
            && !others.iter().any(|other| bare.starts_with(other)))
}

/// Whether a key or a pattern may be meant for conntrack.
pub(super) fn may_concern(key: &str) -> bool {
    let (folder, bare) = key.rsplit_once('.').unwrap_or(("", key));
    concerns(folder, bare)
}

/// Edits that turn one word into the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// `FILE line N`, fit for a terminal.
pub(crate) fn place(file: &str, line: u32) -> Said {
    let file = crate::words::clean(file);
    if file == DEFAULTS {
        Said::of(DEFAULTS, "kube-proxy 的默认值")
    } else if file == FLAGS {
        Said::of(FLAGS, "kube-proxy 的启动参数")
    } else if line == 0 {
        Said::name(file)
    } else {
        said!("{file} line {line}", "{file} 第 {line} 行")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(release: &str, key: &str) -> Option<Meaning> {
        let version = KernelVersion::parse(release).expect("a release");
        let running = BTreeMap::new();
        let keys = Keys {
            profile: Profile::of(&version),
            told: true,
            version: Some(&version),
            running: &running,
        };
        keys.meaning(key)
    }

    fn nearest(key: &str) -> Option<String> {
        let version = KernelVersion::parse("6.12.1").expect("a release");
        let running = BTreeMap::new();
        Keys {
            profile: Profile::of(&version),
            told: true,
            version: Some(&version),
            running: &running,
        }
        .nearest(key)
    }

    #[test]
    fn each_generation_has_its_names() {
        let live = |release: &str, key: &str| matches!(on(release, key), Some(Meaning::Live(_)));
        let dead = |release: &str, key: &str| matches!(on(release, key), Some(Meaning::Dead(_)));
        let old = "net.ipv4.netfilter.ip_conntrack_tcp_timeout_established";
        let new = "net.netfilter.nf_conntrack_tcp_timeout_established";
        assert!(live("2.6.18-398.el5", old) && dead("2.6.18-398.el5", new));
        assert!(live("3.10.0-1160.el7", old) && live("3.10.0-1160.el7", new));
        assert!(dead("6.12.1", old) && live("6.12.1", new));
        assert!(
            live("6.12.1", "net.nf_conntrack_max") && dead("6.12.1", "net.ipv4.ip_conntrack_max")
        );
        assert!(dead("6.18.1", "net.netfilter.nf_conntrack_dccp_loose"));
        assert!(dead("5.10.0", "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst"));
        let buckets = "net.netfilter.nf_conntrack_buckets";
        assert!(live("6.12.1", buckets));
        assert!(matches!(on("3.10.0-1160.el7", buckets), Some(Meaning::ReadOnly(_))));
        assert!(matches!(
            on("6.12.1", "net.netfilter.nf_conntrack_count"),
            Some(Meaning::ReadOnly(_))
        ));
    }

    #[test]
    fn a_wrong_word_or_folder_is_unknown_and_the_nearest_is_told() {
        for (key, meant) in [
            ("net.netfilter.nf_contrack_max", "net.netfilter.nf_conntrack_max"),
            ("net.netfilter.nf_conntrack_maximum", "net.netfilter.nf_conntrack_max"),
            ("net.ipv4.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_max"),
            ("net.ipv4.nf_conntrack_max", "net.netfilter.nf_conntrack_max"),
            ("net.netfilter. nf_conntrack_udp_timeout", "net.netfilter.nf_conntrack_udp_timeout"),
            (
                "net.netfilter.nf_conntrack_tcp_timeout_establish",
                "net.netfilter.nf_conntrack_tcp_timeout_established",
            ),
        ] {
            assert_eq!(on("6.12.1", key), Some(Meaning::Unknown), "{key}");
            assert_eq!(nearest(key).as_deref(), Some(meant));
        }
        assert_eq!(nearest("net.netfilter.nf_conntrack_zzzzzzzzzzzzzz"), None);
        assert_eq!(on("6.12.1", "net.netfilter.nf_log.2"), None);
        assert_eq!(on("6.12.1", "net.ipv4.ip_forward"), None);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(
            (distance("", "abc"), distance("abc", "abc"), distance("kitten", "sitting")),
            (3, 0, 3)
        );
    }
}
