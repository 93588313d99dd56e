//! A sample of the harness as a test: generated flows through the running kernel and the model.

use plimsoll_fidelity::run::{Kin, Pair, kin};
use plimsoll_fidelity::scripts::script;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// What the test needs and has not, if anything.
fn lacks() -> Option<String> {
    // SAFETY: takes no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return Some("root, to make network namespaces".into());
    }
    if !std::path::Path::new("/proc/sys/net/netfilter/nf_conntrack_max").exists() {
        return Some("a kernel with conntrack".into());
    }
    match kin() {
        Kin::Same => None,
        Kin::Other(release) => {
            Some(format!("a kernel that a profile was compared with, not {release}"))
        }
    }
}

#[test]
fn three_hundred_generated_flows_end_in_the_same_table_and_counters() {
    if let Some(what) = lacks() {
        assert!(std::env::var_os("CI").is_none(), "CI must have {what}");
        eprintln!("skipped: needs {what}");
        return;
    }
    let mut pair = Pair::new(&[("nf_conntrack_checksum", 1)]).expect("namespaces");
    let mut runner = TestRunner::deterministic();
    let flows: Vec<_> = (0..300)
        .map(|n| script().new_tree(&mut runner).expect("a flow").current().packets(n))
        .collect();
    for step in 0..flows.iter().map(Vec::len).max().unwrap_or(0) {
        for packet in flows.iter().filter_map(|flow| flow.get(step)) {
            pair.feed(packet).expect("sends");
        }
    }
    let differences = pair.differences().expect("a dump");
    let shown: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
    assert!(pair.model.counted() > 100, "flows that leave entries");
}
