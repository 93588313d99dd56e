#![allow(clippy::unwrap_used)]

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Entry, L4};
use plimsoll_wire::listing;
use proptest::prelude::*;

use super::*;
use crate::{Filter, Locals, Names, Netns, Owner, Surroundings, Tells, Timeouts, Truth, View};

fn entry(source: [u8; 4], dport: u16) -> Entry {
    let parsed = listing::parse(
        b"tcp 6 431000 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=4 dport=443 packets=5 bytes=500 \
          src=10.0.0.2 dst=10.0.0.1 sport=443 dport=4 packets=4 bytes=400 [ASSURED] mark=0 use=1",
    )
    .unwrap();
    let mut entry = parsed.entry;
    entry.original.source = source.into();
    entry.original.l4 = L4::Ports { source: 4, destination: dport };
    entry
}

/// An entry of every kind that groupings tell apart.
fn all_kinds() -> Vec<Entry> {
    let lines = [
        "tcp 6 431000 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=4 dport=443 packets=5 bytes=500 src=10.0.0.2 \
         dst=10.0.0.1 sport=443 dport=4 packets=4 bytes=400 [ASSURED] mark=7 delta-time=7200 use=1",
        "tcp 6 50 SYN_SENT src=10.0.0.1 dst=10.0.1.2 sport=5 dport=80 [UNREPLIED] src=10.0.1.2 dst=10.0.0.1 sport=80 \
         dport=5 mark=0 zone=3 delta-time=30 use=1",
        "tcp 6 50 TIME_WAIT src=10.0.0.1 dst=10.0.1.2 sport=5 dport=443 src=192.168.0.2 dst=10.0.0.9 sport=8443 \
         dport=61000 [ASSURED] mark=0 delta-time=86400 use=1",
        "udp 17 20 src=fd00::1 dst=fd00::53 sport=5 dport=53 src=fd00::53 dst=fd00::1 sport=53 dport=5 mark=0 \
         helper=tftp use=1",
        "udp 17 20 src=10.0.0.1 dst=10.0.0.2 sport=443 dport=443 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=443 \
         dport=443 mark=0 delta-time=599 use=1",
        "icmp 1 20 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=1 src=10.0.0.2 dst=10.0.0.1 type=0 code=0 id=1 mark=0 use=1",
        "icmp 1 20 src=10.0.0.1 dst=10.0.0.2 type=13 code=0 id=1 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 type=14 code=0 \
         id=1 mark=0 use=1",
        "gre 47 20 src=10.0.0.1 dst=10.0.0.2 srckey=0x0 dstkey=0x1 src=10.0.0.2 dst=10.0.0.1 srckey=0x1 dstkey=0x0 \
         mark=0 use=1",
        "unknown 89 500 src=10.0.0.1 dst=10.0.0.2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 mark=0 use=1",
        "sctp 132 100 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=5 dport=443 src=10.0.0.2 dst=10.0.0.1 sport=443 \
         dport=5 [ASSURED] mark=0 use=1",
    ];
    lines.iter().map(|line| listing::parse(line.as_bytes()).unwrap().entry).collect()
}

fn surroundings() -> Surroundings {
    Surroundings {
        netns: Some(Netns { inode: Some(4_026_532_000), names: Vec::from(["web".into()]) }),
        timeouts: Timeouts::new([
            ("nf_conntrack_tcp_timeout_established", 432_000),
            ("nf_conntrack_udp_timeout", 30),
        ]),
        locals: Some(Locals::new(Vec::from(["10.0.0.2".parse().unwrap()]))),
        tells: Tells { helper: true, labels: true, status: true },
    }
}

/// Nobody, a process of a unit, one of a pod, a unit without a process.
fn owners() -> [Vec<Owner>; 4] {
    let name = |name: &str| Some(Box::from(name));
    [
        Vec::new(),
        Vec::from([Owner {
            process: name("nginx"),
            unit: name("nginx.service"),
            ..Owner::default()
        }]),
        Vec::from([Owner {
            process: name("coredns"),
            container: name("coredns"),
            pod: name("kube-system/coredns-7f9-x"),
            ..Owner::default()
        }]),
        Vec::from([Owner { unit: name("wireguard.service"), ..Owner::default() }]),
    ]
}

fn grouped(keys: &str, entries: &[Entry], bytes: usize) -> Groups {
    let around = Surroundings::default();
    let mut groups = Groups::new(Keys::parse(keys).unwrap(), Limits { bytes }, 1);
    for entry in entries {
        groups.add(&View::new(entry, &around));
    }
    groups
}

#[test]
fn groups_come_with_the_heaviest_first_and_equal_ones_in_order() {
    let entries = [entry([10, 0, 0, 9], 80), entry([10, 0, 1, 1], 443), entry([10, 0, 0, 1], 443)];
    let groups = grouped("src/24,dport", &entries, 1 << 20);
    let rows: Vec<Group> = groups.rows(Order::Entries, None).collect();
    let shown = |group: &Group| alloc::format!("{:?} {}", group.values, group.tally.entries);
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.tally.entries == 1), "{rows:?}");
    assert!(shown(&rows[0]).contains("Port(80)"), "{}", shown(&rows[0]));
    let groups = grouped("dport", &entries, 1 << 20);
    let first = groups.rows(Order::Bytes, Some(1)).next().unwrap();
    assert_eq!(first.values, [Value::Port(443)]);
    assert_eq!((first.tally.entries, first.tally.packets, first.tally.bytes), (2, 18, 1_800));
    assert_eq!((first.tally.protected, first.tally.unreplied, first.error), (2, 0, 0));
    assert_eq!(groups.total().entries, 3);
}

#[test]
fn what_is_not_known_has_a_group_of_its_own() {
    let entry = entry([10, 0, 0, 9], 80);
    for keys in ["netns", "process", "age", "idle", "direction", "helper"] {
        let groups = grouped(keys, core::slice::from_ref(&entry), 1 << 20);
        let row = groups.rows(Order::Entries, None).next().unwrap();
        assert_eq!(row.values, [Value::Missing], "{keys}");
    }
}

#[test]
fn keys_are_read_and_printed_alike_and_errors_point_at_them() {
    for text in ["state,dport", "src/24,dst/16:48,age", "proto,netns,process,unit,container,pod"] {
        assert_eq!(Keys::parse(text).unwrap().to_string(), text);
    }
    for (text, column, part) in [
        ("state,dprot", 7, "did you mean \"dport\"?"),
        ("state, src/33", 8, "expected a prefix"),
        ("state/24", 1, "only an address"),
        ("state,state", 7, "named before"),
        ("", 1, "expected one of"),
        ("é,x", 1, "expected one of"),
    ] {
        let error = Keys::parse(text).unwrap_err();
        assert_eq!(error.column(), column, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

proptest! {
    /// The promise of the sketch: for every key, what is said is at most the truth, and by no more than the error
    /// too small; what is not said at all had no more than the error.
    #[test]
    fn a_sketch_is_never_further_off_than_it_says(
        keys in proptest::collection::vec(0_u16..200, 1..2_000),
        room in 1_usize..60,
    ) {
        let entries: Vec<Entry> = keys.iter().map(|key| entry([10, 0, 0, 1], *key)).collect();
        let mut truth: BTreeMap<u16, u64> = BTreeMap::new();
        for key in &keys {
            *truth.entry(*key).or_default() += 1;
        }
        let groups = grouped("dport", &entries, room * 60);
        let mut rest = truth.clone();
        for row in groups.rows(Order::Entries, None) {
            let Value::Port(port) = row.values[0] else { panic!("{row:?}") };
            let true_entries = rest.remove(&port).unwrap();
            prop_assert!(row.tally.entries <= true_entries);
            prop_assert!(row.tally.entries + row.error >= true_entries);
            prop_assert!(row.error <= groups.error());
        }
        for (_, lost) in rest {
            prop_assert!(lost <= groups.error());
        }
        if truth.len() <= groups.len() && groups.error() == 0 {
            let sum: u64 = groups.rows(Order::Entries, None).map(|r| r.tally.entries).sum();
            prop_assert_eq!(sum, keys.len() as u64);
        }
        prop_assert!(groups.error() <= (keys.len() / groups.len().max(1)) as u64);
    }

    /// Counted in two parts it is the same promise, and the same counts where there was room for all.
    #[test]
    fn parts_counted_apart_add_up(
        keys in proptest::collection::vec(0_u16..100, 1..800),
        cut in 0_usize..800,
        room in 1_usize..150,
    ) {
        let entries: Vec<Entry> = keys.iter().map(|key| entry([10, 0, 0, 1], *key)).collect();
        let (first, second) = entries.split_at(cut.min(entries.len()));
        let mut together = grouped("dport,helper", first, room * 70);
        together.merge(&grouped("dport,helper", second, room * 70));
        prop_assert_eq!(together.total().entries, keys.len() as u64);
        let mut truth: BTreeMap<u16, u64> = BTreeMap::new();
        for key in &keys {
            *truth.entry(*key).or_default() += 1;
        }
        for row in together.rows(Order::Entries, None) {
            let Value::Port(port) = row.values[0] else { panic!("{row:?}") };
            let true_entries = truth.remove(&port).unwrap();
            prop_assert!(row.tally.entries <= true_entries);
            prop_assert!(row.tally.entries + row.error >= true_entries, "{row:?} {true_entries}");
        }
        for (_, lost) in truth {
            prop_assert!(lost <= together.error());
        }
    }

    /// The filter of a group lets through what was counted in it, and nothing else; read back, too.
    #[test]
    fn the_filter_of_a_group_is_the_group(
        picked in proptest::collection::vec(any::<usize>(), 1..40),
        keys in proptest::sample::subsequence(Keys::words().collect::<Vec<_>>(), 1..5),
    ) {
        let kinds = all_kinds();
        let entries: Vec<&Entry> = picked.iter().map(|n| &kinds[n % kinds.len()]).collect();
        let around = surroundings();
        let owners = owners();
        let views: Vec<View> = entries
            .iter()
            .enumerate()
            .map(|(n, entry)| View {
                owners: Some(&owners[n % owners.len()]),
                ..View::new(entry, &around)
            })
            .collect();
        let keys = Keys::parse(&keys.join(",")).unwrap();
        let mut groups = Groups::new(keys.clone(), Limits { bytes: 1 << 20 }, 1);
        views.iter().for_each(|view| groups.add(view));
        for group in groups.rows(Order::Entries, None) {
            let Some(filter) = group.filter(&keys) else {
                // Only for what is not known.
                prop_assert!(group.values.contains(&Value::Missing), "{group:?}");
                continue;
            };
            let through = |filter: &Filter| {
                views.iter().filter(|view| filter.judge(view) == Truth::Yes).count() as u64
            };
            prop_assert_eq!(through(&filter), group.tally.entries, "{} for {:?}", filter, group);
            let again = Filter::parse(&filter.to_string(), &Names::default()).unwrap();
            prop_assert_eq!(through(&again), group.tally.entries, "{}", again);
        }
    }

    #[test]
    fn no_list_of_keys_panics(text in "\\PC{0,40}") {
        let _: Result<Keys, String> = Keys::parse(&text).map_err(|e| e.to_string());
    }
}
