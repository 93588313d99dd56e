//! The boot simulation over files from strangers: the bytes are cut into files by NUL, and put where files take part.
#![no_main]
use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use plimsoll_ct::{Bytes, KernelVersion, Profile};
use plimsoll_diagnosis::Said;
use plimsoll_diagnosis::boot::{BootFacts, Entry, Tree, boot};
use plimsoll_diagnosis::facts::{Fact, Reason, Source};

const PLACES: &[&str] = &[
    "/etc/sysctl.d/50-a.conf",
    "/etc/modprobe.d/a.conf",
    "/etc/modules-load.d/a.conf",
    "/proc/cmdline",
    "/etc/sysctl.conf",
    "/etc/nftables.conf",
    "/etc/udev/rules.d/a.rules",
    "/etc/rc.local",
    "/etc/tuned/active_profile",
    "/etc/tuned/a/tuned.conf",
    "/var/lib/kube-proxy/config.conf",
    "/var/lib/cloud/instance/user-data.txt",
    "/etc/ufw/ufw.conf",
    "/etc/sysconfig/iptables-config",
    "/usr/lib/sysctl.d/60-b.conf",
];

fuzz_target!(|data: &str| {
    let release = ["2.6.18-398.el5", "2.6.32-754.el6", "3.10.0-1160.el7", "5.10.0", "6.18.2"];
    let kernel = KernelVersion::parse(release[data.len() % release.len()]).expect("a release");
    let mut tree = Tree::default();
    for (place, text) in PLACES.iter().zip(data.split('\0')) {
        match text.strip_prefix("-> ") {
            Some(target) => tree.put(*place, Entry::Link(target.into())),
            None => tree.put_text(*place, text),
        }
    }
    tree.put_text("/etc/systemd/system/multi-user.target.wants/tuned.service", "");
    let known = |value| Fact::known(value, Source::name("fuzz"));
    let facts = BootFacts {
        profile: *Profile::of(&kernel),
        generation: Fact::known(kernel.clone(), Source::name("fuzz")),
        kernel: Fact::known(kernel, Source::name("fuzz")),
        memory: Fact::known(Bytes(data.len() as u64 * 1_000_003), Source::name("fuzz")),
        cpus: Fact::known(4, Source::name("fuzz")),
        modular: if data.len().is_multiple_of(3) {
            Fact::missing(Reason::NotCollected, Said::default())
        } else {
            known(data.len() % 3 == 1)
        },
        modules: Fact::known(Vec::new(), Source::name("fuzz")),
        hz: Fact::known(250, Source::name("fuzz")),
        settings: BTreeMap::new(),
        managers: Fact::known(Vec::new(), Source::name("fuzz")),
        tree,
    };
    let b = boot(&facts, &[]);
    assert!(!b.outcomes.is_empty());
    assert_eq!(b, boot(&facts, &[]), "the same files, the same boot");
});
