//! Namespaces that are gone, or shut, while something stands in them, and such as are given their number afterwards.

use std::os::unix::fs::MetadataExt;

use crate::host::Host;
use crate::support::{Netns, root, run, text, until};
use crate::sweep::guard_of;

const SETTINGS: &[&str] = &["fix", "timeout", "time_wait=30", "udp=12", "--yes", "--watch", "0"];
const HOUR: &[&str] = &["--confirm", "1h"];

#[test]
fn what_waits_in_a_namespace_that_is_gone_or_shut_keeps_nobody_from_something_else() {
    if !root() {
        return;
    }
    let host = Host::new("left").with_nft();
    let old = host.everything();
    let mut gone = Host::new("gone").with_nft();
    let state = std::mem::replace(&mut gone.state, host.state.clone());
    gone.ok(&[SETTINGS, HOUR].concat());
    let pid = guard_of(&host.state.join("1.journal"));
    run("kill", &["-9", &pid]);
    until("the guard's end", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    gone.state = state;
    // Nobody can find it any more, and no namespace of another test is given its number.
    let held = std::fs::File::open(format!("/run/netns/{}", gone.netns.0)).expect("it is there");
    drop(gone);
    // As root of a container, or of a host that is shut: whose processes' namespaces nobody sees.
    let shut = |arguments: &[&str]| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]);
        let plain = host.command(arguments);
        let out = command.arg(plain.get_program()).args(plain.get_args()).output();
        let out = out.expect("it starts");
        (text(&out.stdout), text(&out.stderr), out.status.success())
    };
    let (said, told, done) = shut(SETTINGS);
    assert!(done, "{said}{told}");
    for part in [
        "transaction 1 (set time_wait to 30 s",
        "and can't be taken back now: whether network namespace ",
        "is still there can't be seen: /proc/",
        "/ns/net: permission denied; `plimsoll undo 1 --leave-changed` leaves there",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let (said, told, done) = shut(&["undo"]);
    assert!(done && said.contains("Transaction 2 is taken back"), "{said}{told}");
    assert_eq!(host.everything(), old);
    let (said, told, done) = shut(&["undo"]);
    assert!(!done && told.contains("`plimsoll undo 1 --leave-changed`"), "{said}{told}");
    let (said, told, done) = shut(&["undo", "1", "--leave-changed"]);
    assert!(done && said.contains("Left as it is: "), "{said}{told}");
    assert!(host.list().contains("taken back in part"), "{}", host.list());
    let (_, told, done) = shut(SETTINGS);
    assert!(done && !told.contains("transaction 1"), "{told}");
    host.ok(&["undo"]);
    assert_eq!(host.everything(), old);
    drop(held);
}

/// The number that the kernel names it by.
fn number(netns: &Netns) -> u64 {
    std::fs::metadata(format!("/run/netns/{}", netns.0)).expect("it is there").ino()
}

#[test]
fn a_stranger_that_was_given_the_number_of_one_that_is_gone_keeps_its_settings() {
    if !root() {
        return;
    }
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("it reads");
    let mut numbers = kernel.split('.').map_while(|n| n.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(5), Some(14)) {
        eprintln!("skipped: cookies of namespaces came with Linux 5.14, and this is {kernel}");
        return;
    }
    let first = Host::new("first").with_nft();
    first.ok(SETTINGS);
    first.ok(&["fix", "timeout", "udp=15", "--yes", "--watch", "0"]);
    let (gone, state) = (number(&first.netns), first.state.with_extension("kept"));
    std::fs::rename(&first.state, &state).expect("it is kept");
    drop(first);
    // The kernel gives the lowest number that is free, once the old one has ended, and to other things as well: so none is kept
    // that has another.
    let mut stranger = None;
    until("a namespace of that number", || {
        let host = Host::new("next");
        stranger = (number(&host.netns) == gone).then_some(host);
        stranger.is_some()
    });
    let mut stranger = stranger.expect("it was found");
    stranger.state = state;
    let same = "net.netfilter.nf_conntrack_tcp_timeout_time_wait=30 net.netfilter.nf_conntrack_udp_timeout=15";
    for setting in same.split(' ') {
        stranger.netns.run("sysctl", &["-qw", setting]);
    }
    let old = stranger.everything();
    // Whoever looks from inside finds its own number there, everybody else a door to it.
    let listed = stranger.list();
    assert!(listed.contains("stands no more"), "{listed}");
    let said = stranger.ok(&["undo"]);
    assert!(said.contains("Transaction 2"), "{said}");
    assert_eq!(stranger.everything(), old, "{said}");
    let state = stranger.state.to_str().expect("a path of text");
    let out = crate::support::plimsoll(&["undo", "--state-dir", state]);
    let said = text(&out.stdout) + &text(&out.stderr);
    assert!(out.status.success() && said.contains("Transaction 1"), "{said}");
    assert_eq!(stranger.everything(), old, "{said}");
    // What is made there now is its own.
    stranger.ok(&["fix", "timeout", "udp=20", "--yes", "--watch", "0"]);
    assert_ne!(stranger.everything(), old);
    stranger.ok(&["undo"]);
    assert_eq!(stranger.everything(), old);
}
