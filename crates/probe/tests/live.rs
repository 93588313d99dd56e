//! The running host, read for real: in namespaces made for it, and without the rights that root has.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Debug;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use plimsoll_diagnosis::facts::{Fact, Namespace, Owner, Reader, Reason, Snapshot};
use plimsoll_probe::live::{NamespaceSelector, Observation, Options, observe};
use support::{Netns, has_bpf, root, run, unique};

impl Netns {
    fn sh(&self, line: &str) {
        self.run("bash", &["-c", line]);
    }

    fn only(&self) -> Options {
        quick(vec![NamespaceSelector::Name(self.name.clone())])
    }
}

/// A process that ends when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn quick(only: Vec<NamespaceSelector>) -> Options {
    Options { interval: Duration::from_millis(20), log: false, only, ..Options::default() }
}

fn find(snapshot: &Snapshot, inode: u64) -> &Namespace {
    let all = &snapshot.namespaces;
    all.iter().find(|n| n.inode == Some(inode)).unwrap_or_else(|| panic!("{inode} is not found"))
}

fn known<T: Debug>(fact: &Fact<T>) -> &T {
    fact.value().unwrap_or_else(|| panic!("{fact:?}"))
}

#[test]
fn a_named_namespace_is_found_by_name_and_inode_with_its_own_count() {
    if !root() {
        return;
    }
    let (busy, idle) = (Netns::new("busy"), Netns::new("idle"));
    busy.sh("nft 'add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c ct state new counter'");
    busy.sh(
        "for port in $(seq 4001 4100); do echo > /dev/udp/127.0.0.1/$port; done 2> /dev/null; true",
    );

    let Observation { before, after, unmatched, .. } = observe(&quick(Vec::new()));
    assert!(unmatched.is_empty());
    assert!(after.namespaces[0].is_initial() && after.namespaces[0].count.value().is_some());
    for snapshot in [&before, &after] {
        let namespace = find(snapshot, busy.inode);
        assert_eq!(namespace.owners.first(), Some(&Owner::Named(busy.name.clone())));
        assert_eq!(known(&namespace.count).0, 100);
        assert_eq!(known(&find(snapshot, idle.inode).count).0, 0);
    }
    let census = known(&find(&after, busy.inode).census);
    assert_eq!((census.seen, census.complete, census.total.evictable), (100, true, 100));
    let nothing = known(&find(&after, idle.inode).census);
    assert_eq!((nothing.seen, nothing.complete), (0, true));
    assert_eq!(find(&after, busy.inode).setting("nf_conntrack_udp_timeout"), Some(30));
    let limit = known(&find(&after, busy.inode).max).0;
    assert_eq!(Some(limit), after.host.global_max.get());
}

#[test]
fn settings_and_stack_counters_are_those_of_the_namespace() {
    if !root() {
        return;
    }
    let ours = Netns::new("settings");
    ours.sh("echo 77 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout");
    ours.sh("echo > /dev/udp/127.0.0.1/4001; true");
    // Of many namespaces the empty ones' settings are read only as long as the time for them lasts.
    let chosen = ["host", &ours.name].map(NamespaceSelector::parse);
    let observation = observe(&quick(chosen.into()));
    let namespace = find(&observation.after, ours.inode);
    assert_eq!(namespace.setting("nf_conntrack_udp_timeout"), Some(77));
    assert_eq!(known(&namespace.stack).counters.get("Udp.OutDatagrams"), Some(&1));
    assert_eq!(known(&namespace.stack).counters.get("Udp.NoPorts"), Some(&1));
    let initial = &observation.after.namespaces[0];
    assert_ne!(initial.setting("nf_conntrack_udp_timeout"), Some(77));
    assert!(!known(&initial.neighbours).is_empty());
    assert!(known(&namespace.neighbours).is_empty());
}

#[test]
fn the_two_readings_hold_the_same_namespaces_and_are_the_interval_apart() {
    if !root() {
        return;
    }
    let _ours = Netns::new("pair");
    let options = Options { interval: Duration::from_millis(150), ..quick(Vec::new()) };
    let Observation { before, after, .. } = observe(&options);
    let inodes = |s: &Snapshot| s.namespaces.iter().map(|n| n.inode).collect::<Vec<_>>();
    assert_eq!(inodes(&before), inodes(&after));
    let apart = after.monotonic.unwrap().0 - before.monotonic.unwrap().0;
    assert!(apart >= 150_000_000, "{apart} ns");
}

#[test]
fn reading_other_namespaces_moves_no_thread_of_the_caller() {
    if !root() {
        return;
    }
    let ours = Netns::new("thread");
    let own = fs::read_link("/proc/thread-self/ns/net").unwrap();
    let observation = observe(&ours.only());
    assert_eq!(observation.after.namespaces.len(), 1);
    assert_eq!(observation.after.namespaces[0].inode, Some(ours.inode));
    assert_eq!(fs::read_link("/proc/thread-self/ns/net").unwrap(), own);
    assert_eq!(fs::read_link("/proc/self/ns/net").unwrap(), own);
}

#[test]
fn a_namespace_of_a_process_is_named_by_that_process() {
    if !root() {
        return;
    }
    let child = Command::new("unshare").args(["-n", "sleep", "600"]).spawn().unwrap();
    let child = Running(child);
    let pid = child.0.id();
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    let link = format!("/proc/{pid}/ns/net");
    let comm = format!("/proc/{pid}/comm");
    while fs::read_link(&link).unwrap() == own || fs::read_to_string(&comm).unwrap() != "sleep\n" {
        std::thread::yield_now();
    }
    let after = observe(&quick(vec![NamespaceSelector::Pid(pid)])).after;
    let [namespace] = after.namespaces.as_slice() else { panic!("{}", after.namespaces.len()) };
    let process = Owner::Process { pid, command: "sleep".into() };
    assert!(namespace.owners.contains(&process), "{:?}", namespace.owners);
    assert_eq!(known(&namespace.count).0, 0);
}

#[test]
fn a_namespace_that_only_a_mount_keeps_is_found_at_its_path() {
    if !root() {
        return;
    }
    struct Mount(PathBuf);
    impl Drop for Mount {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(&self.0).status();
            let _ = fs::remove_file(&self.0);
        }
    }
    let file = std::env::temp_dir().join(format!("live-{} kept", std::process::id()));
    fs::write(&file, "").unwrap();
    let kept = Mount(file.clone());
    let path = file.to_str().unwrap();
    run("unshare", &["-n", "mount", "--bind", "/proc/self/ns/net", path]);
    let inode = fs::metadata(&kept.0).unwrap().ino();
    let after = observe(&quick(Vec::new())).after;
    let namespace = find(&after, inode);
    assert_eq!(namespace.owners, [Owner::Named(path.to_owned())]);
    assert_eq!(known(&namespace.count).0, 0);
}

#[test]
fn a_choice_that_nothing_answers_to_is_told() {
    let missing = NamespaceSelector::Name("live-there-is-no-such-namespace".into());
    let observation = observe(&quick(vec![missing.clone()]));
    assert_eq!(observation.unmatched, [missing]);
    assert!(observation.after.namespaces.is_empty());
}

/// Run directly, and by the next test with fewer rights: it must hold for anybody.
#[test]
fn whoever_reads_sees_the_own_namespace_and_the_reason_of_each_gap() {
    let after = observe(&quick(Vec::new())).after;
    // Without /proc/self the inode is unknown, and so it is in the answer.
    let own = fs::metadata("/proc/self/ns/net").ok().map(|file| file.ino());
    let mine = after.namespaces.iter().find(|n| n.inode == own);
    if let Some(mine) = mine {
        tell("count", &mine.count);
        tell("counters", &mine.counters);
        tell("stack", &mine.stack);
        tell("expectations", &mine.expectations);
    }
    tell("complete", &after.namespaces_complete);
    tell("slab", &after.host.slab);
    tell("max", &after.host.global_max);
    println!(
        "saw: own={} initial={}",
        mine.is_some(),
        after.namespaces.iter().any(Namespace::is_initial)
    );
    assert!(known(&after.host.kernel).major >= 2);
    for namespace in &after.namespaces {
        for gap in [namespace.count.gap(), namespace.counters.gap()].into_iter().flatten() {
            assert!(!gap.detail.is_empty());
            assert!(gap.reason != Reason::NotPermitted || gap.needs.is_some(), "{gap:?}");
        }
    }
}

fn tell<T>(name: &str, fact: &Fact<T>) {
    match fact {
        Fact::Known { source, .. } => println!("saw: {name} known by {source}"),
        Fact::Missing(gap) => println!("saw: {name} missing, {:?}: {}", gap.reason, gap.detail),
    }
}

/// Runs the test above under another command and returns what it printed.
fn rerun(wrapper: &[&str]) -> String {
    // The build directory may be closed to others. Copied by another process: a file that this one has open
    // for writing may be inherited by a child of another test, and then can't be run.
    let copy = std::env::temp_dir().join(unique("copy"));
    let this = std::env::current_exe().unwrap();
    run("install", &["-m", "755", this.to_str().unwrap(), copy.to_str().unwrap()]);
    let output = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(&copy)
        .args(["--exact", "whoever_reads_sees_the_own_namespace_and_the_reason_of_each_gap"])
        .arg("--nocapture")
        .stdin(Stdio::null())
        .current_dir("/")
        .output()
        .unwrap();
    let _ = fs::remove_file(&copy);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{wrapper:?}: {text}{errors}");
    text
}

#[test]
fn another_user_still_gets_what_the_kernel_shows_to_all() {
    if !root() {
        return;
    }
    let text = rerun(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    assert!(
        text.contains("saw: count known by /proc/sys/net/netfilter/nf_conntrack_count"),
        "{text}"
    );
    assert!(text.contains("saw: counters known"), "{text}");
    assert!(
        text.contains("saw: slab missing, NotPermitted: /proc/slabinfo: permission denied"),
        "{text}"
    );
    assert!(text.contains("own=true initial=true"), "{text}");
}

#[test]
fn a_namespace_that_may_not_be_entered_is_counted_from_outside() {
    if !root() {
        return;
    }
    let ours = Netns::new("outside");
    ours.sh("nft 'add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c ct state new counter'");
    ours.sh(
        "for port in $(seq 4001 4017); do echo > /dev/udp/127.0.0.1/$port; done 2> /dev/null; true",
    );
    let child =
        Command::new("ip").args(["netns", "exec", &ours.name, "sleep", "600"]).spawn().unwrap();
    let _child = Running(child);
    // Root of another user namespace has no right over it.
    let text = rerun(&["unshare", "-Urn"]);
    assert!(text.contains("saw: complete missing, NotPermitted"), "{text}");
    assert!(text.contains("own=true initial=true"), "{text}");
    assert!(
        text.contains("saw: count known by /proc/sys/net/netfilter/nf_conntrack_count"),
        "{text}"
    );
}

#[test]
fn masked_settings_leave_the_count_of_the_statistics() {
    if !root() {
        return;
    }
    let mask = "mount -t tmpfs mask /proc/sys/net/netfilter && exec \"$0\" \"$@\"";
    let text = rerun(&["unshare", "-m", "sh", "-c", mask]);
    assert!(
        text.contains("saw: count known by /proc/net/stat/nf_conntrack, column `entries`"),
        "{text}"
    );
    assert!(text.contains("saw: max known by /proc/sys/net/nf_conntrack_max"), "{text}");
}

#[test]
fn a_read_only_proc_a_hidden_one_and_a_foreign_one_are_read_without_a_panic() {
    if !root() {
        return;
    }
    let read_only =
        "mount --bind /proc /proc && mount -o remount,bind,ro /proc && exec \"$0\" \"$@\"";
    let text = rerun(&["unshare", "-m", "sh", "-c", read_only]);
    assert!(text.contains("saw: count known"), "{text}");

    let hidden = "mount -t proc -o hidepid=2 proc /proc && \
                  exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" \"$@\"";
    let text = rerun(&["unshare", "-m", "sh", "-c", hidden]);
    assert!(text.contains("saw: complete missing, NotPermitted"), "{text}");
    assert!(text.contains("saw: count known"), "{text}");

    let text = rerun(&["unshare", "-pf", "--mount-proc"]);
    assert!(text.contains("saw: complete missing, NotPermitted"), "{text}");

    // The host's /proc, read from another process namespace: the numbers there are not the reader's own.
    let text = rerun(&["unshare", "-pf"]);
    assert!(text.contains("own=true initial=true"), "{text}");

    // /proc of a process namespace that has ended: no process in it, no /proc/self, but the host's settings.
    let foreign = "unshare -pf mount -t proc proc /proc && exec \"$0\" \"$@\"";
    let text = rerun(&["unshare", "-m", "sh", "-c", foreign]);
    assert!(text.contains("saw: complete missing, Failed"), "{text}");
    assert!(text.contains("own=true initial=true"), "{text}");
    assert!(text.contains("saw: count known"), "{text}");
    assert!(text.contains("saw: stack missing"), "{text}");
}

/// One entry for each number: datagrams that a rule lets pass and nobody receives.
fn send_datagrams(socket: &UdpSocket, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let [_, high, low, _] = (number * 256 + 1).to_be_bytes();
        let to = (Ipv4Addr::new(127, high, low, 1), 9);
        // Refused: nobody is there.
        while socket.send_to(b"x", to).is_err() {}
    }
}

#[test]
fn tables_with_much_in_them_are_read_in_one_walk_and_what_came_meanwhile_is_counted() {
    const MANY: u32 = 21_000;
    if !root() || !has_bpf() {
        return;
    }
    let (full, small) = (Netns::new("full"), Netns::new("small"));
    for netns in [&full, &small] {
        netns.sh(
            "nft 'add table inet t; add chain inet t c { type filter hook output priority 0; }; \
             add rule inet t c ct state new counter; add chain inet t i { type filter hook input priority 0; }; \
             add rule inet t i meta l4proto udp drop'; sysctl -qw net.netfilter.nf_conntrack_udp_timeout=600",
        );
    }
    let sockets =
        [&full, &small].map(|netns| netns.enter(|| UdpSocket::bind("0.0.0.0:0").unwrap()));
    send_datagrams(&sockets[0], 0..MANY);
    send_datagrams(&sockets[1], 0..100);

    let both = [&full, &small].map(|netns| NamespaceSelector::Name(netns.name.clone()));
    // However busy the machine is, both readings come to their ends.
    let whole = Options { dump_budget: Duration::from_secs(60), ..quick(both.to_vec()) };
    let seen = observe(&whole);
    for (netns, entries) in [(&full, MANY.into()), (&small, 100)] {
        let census = known(&find(&seen.after, netns.inode).census);
        assert_eq!(census.reader, Reader::Bpf);
        assert_eq!((census.seen, census.total.total(), census.complete), (entries, entries, true));
        let churn = census.churn.unwrap();
        assert_eq!((churn.appeared, churn.vanished), (0, 0), "{churn:?}");
        assert!(churn.compared >= entries.min(5_000), "{churn:?}");
    }

    // New ones all the while, so some of them between the readings.
    let (over, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let next = MANY + sent.fetch_add(1, Ordering::Relaxed);
                send_datagrams(&sockets[0], next..next + 1);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let options = Options { interval: Duration::from_millis(300), ..whole };
        let seen = observe(&options);
        over.store(true, Ordering::Relaxed);
        seen
    });
    let churn = known(&find(&seen.after, full.inode).census).churn.unwrap();
    let sent = u64::from(sent.into_inner());
    assert!(churn.appeared > 0 && churn.appeared <= sent, "{churn:?} of {sent}");
    assert_eq!(churn.vanished, 0, "{churn:?}");
    let churn = known(&find(&seen.after, small.inode).census).churn.unwrap();
    assert_eq!((churn.compared, churn.appeared, churn.vanished), (100, 0, 0));
}
