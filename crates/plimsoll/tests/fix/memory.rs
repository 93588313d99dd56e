//! `raise` where memory is tight. A container sees such a /proc/meminfo as lxcfs lays over its own; so it is done here, in
//! a mount namespace.

use std::process::{Command, Stdio};

use plimsoll_ct::Entries;
use plimsoll_lab::{Kind, Pace, Sources, stage};

use crate::host::Host;
use crate::support::{BINARY, root, text, turn};

/// KiB that are available: little beside what the limits below may take.
const TIGHT: u64 = 5 << 20;

/// Runs it where so much memory is available; its status, and all that it said, as words with single blanks.
fn seen(host: &Host, available_kib: u64, arguments: &[&str]) -> (bool, String) {
    let meminfo = host.state.with_extension("meminfo");
    let told = format!(
        "MemTotal: {} kB\nMemFree: {available_kib} kB\nMemAvailable: {available_kib} kB\n",
        1_u64 << 36
    );
    std::fs::write(&meminfo, told).expect("it is written");
    let out = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount --bind \"$0\" /proc/meminfo && exec \"$@\""])
        .arg(&meminfo)
        .arg(BINARY)
        .args(arguments)
        .args(["--watch", "0", "--state-dir", host.state.to_str().expect("a path of text")])
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let _ = std::fs::remove_file(meminfo);
    let said = text(&out.stdout) + &text(&out.stderr);
    (out.status.success(), said.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn a_limit_goes_up_in_steps_where_memory_is_tight_and_no_further_than_drops_ask_for() {
    if !root() {
        return;
    }
    let turn = turn();
    let host = Host::changing_the_machine("memory", &turn);
    let (max, buckets) = host.limit();
    let (far, same) = ((max * 64).to_string(), buckets.to_string());
    let raise = ["fix", "raise", "--max", &far, "--buckets", &same];

    let (shown, said) = seen(&host, TIGHT, &[&raise[..], &["--dry-run"]].concat());
    assert!(shown && said.contains("memory is tight (5.0 GiB of 64.0 TiB available)"), "{said}");
    let first = format!("sysctl -w net.netfilter.nf_conntrack_max={} # now {max}", max * 2);
    let second = format!("={} # now {}", max * 4, max * 2);
    assert!(said.contains(&first) && said.contains(&second), "{said}");
    assert!(said.contains("# only while packets are still dropped, with"), "{said}");
    assert_eq!(host.limit(), (max, buckets), "shown only");

    // Nothing is dropped in the machine's own namespace: the first step is enough.
    let (done, said) = seen(&host, TIGHT, &[&raise[..], &["--yes"]].concat());
    assert!(done, "{said}");
    let left = said.matches("nf_conntrack_max was left: no packet is dropped any more").count();
    assert_eq!(left, 1, "the steps behind it are not tried: {said}");
    assert_eq!(host.limit(), (max * 2, buckets));
    host.ok(&["undo"]);
    assert_eq!(host.limit(), (max, buckets));

    let (done, said) = seen(&host, 1024, &[&raise[..], &["--yes"]].concat());
    assert!(!done && said.contains("memory: the next step would take"), "{said}");
    assert_eq!(host.limit(), (max, buckets));
}

/// The limit is the whole machine's: drops in any namespace ask for the next step.
#[test]
fn the_next_step_is_taken_while_another_namespace_drops() {
    if !root() {
        return;
    }
    let turn = turn();
    const FULL: u64 = 1000;
    let stage = stage::assured_full(Some(Entries(FULL))).expect("the stage is set");
    // More in a second than the first step makes room for.
    let _flood = stage
        .lab()
        .flood(Kind::Udp, Sources::Unanswered, Pace::steady(20_000))
        .expect("the flood begins");
    let host = Host::changing_the_machine("memory-elsewhere", &turn);
    let (max, buckets) = host.limit();
    assert_eq!(max, FULL);
    let (far, same) = ((16 << 20).to_string(), buckets.to_string());
    let (done, said) =
        seen(&host, TIGHT, &["fix", "raise", "--max", &far, "--buckets", &same, "--yes"]);
    assert!(done, "{said}");
    let reached = host.limit().0;
    assert!(reached > 2 * FULL && reached < 16 << 20, "{reached}: {said}");
    assert!(said.contains("was left: no packet is dropped any more"), "{said}");
    let said = host.fails(&["undo"]);
    assert!(said.contains("1,000 would drop packets: only with --allow-lower"), "{said}");
    host.ok(&["undo", "--allow-lower"]);
    assert_eq!(host.limit(), (FULL, buckets));
}
