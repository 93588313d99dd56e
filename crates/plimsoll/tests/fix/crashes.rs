//! The process killed at every step, with and without its guard: the host ends in the old or the new state.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use crate::host::{Host, text};
use crate::support::{root, turn};

/// More steps than any remedy has; the loop ends where a run comes through.
const MOST: u32 = 200;
const KILLED: i32 = 9;

/// Kills `fix` at each of its steps. `guarded`: the guard lives, and nobody calls; else the next call must
/// do it.
pub fn killed_everywhere(host: &Host, remedy: &[&str], guarded: bool) {
    let old = host.everything();
    let mut new = None;
    for step in 1..MOST {
        let fault = if guarded { step.to_string() } else { format!("{step}:guard") };
        let out = host.command(remedy).env("PLIMSOLL_FAULT", &fault).output().expect("it starts");
        let died = out.status.signal() == Some(KILLED) || out.status.code() == Some(128 + KILLED);
        if !died {
            assert!(out.status.success(), "{remedy:?} {fault}: {}", text(&out.stderr));
            assert_ne!(host.everything(), old, "{remedy:?} changes something");
            host.ok(&["undo"]);
            assert_eq!(host.everything(), old, "{remedy:?}: undo brings all back");
            assert!(step > 8, "the faults are reached: {step}");
            return;
        }
        if guarded {
            // Killed before the guard was posted, it has changed nothing.
            wait_for(|| host.everything() == old || host.list().trim_end().ends_with("stands"));
        } else {
            // Nothing to confirm, so it fails; on the way it puts in order what was left.
            host.run(&["confirm"]);
        }
        let now = host.everything();
        if now != old {
            let new = new.get_or_insert_with(|| now.clone());
            assert_eq!(now, *new, "{remedy:?} {fault}: neither the old state nor the new");
            assert!(
                host.list().lines().last().is_some_and(|l| l.ends_with("stands")),
                "{}",
                host.list()
            );
            host.ok(&["undo"]);
            assert_eq!(host.everything(), old, "{remedy:?} {fault}: undo");
        } else {
            let list = host.list();
            let last = list.lines().last().unwrap_or_default();
            assert!(
                !last.ends_with("stands") && !last.contains("interrupted)  "),
                "{fault}: {list}"
            );
        }
    }
    panic!("{remedy:?}: more than {MOST} steps");
}

/// Kills `undo` at each of its steps: the next call finishes it.
fn undo_killed_everywhere(host: &Host, remedy: &[&str]) {
    let old = host.everything();
    for step in 1..MOST {
        host.ok(remedy);
        let new = host.everything();
        let out = host.command(&["undo"]).env("PLIMSOLL_FAULT", step.to_string()).output();
        let out = out.expect("it starts");
        if out.status.success() {
            assert_eq!(host.everything(), old);
            assert!(step > 5, "the faults are reached: {step}");
            return;
        }
        host.run(&["confirm"]);
        let now = host.everything();
        if now == new {
            // Killed before it had written that it begins.
            host.ok(&["undo"]);
        }
        assert_eq!(host.everything(), old, "{remedy:?}, undo killed at {step}");
    }
    panic!("{remedy:?}: more than {MOST} steps");
}

pub fn wait_for(done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited for too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const SETTINGS: &[&str] = &["fix", "timeout", "time_wait=30", "udp=12", "--yes", "--watch", "0"];
const POLICY: &[&str] =
    &["fix", "timeout", "--port", "tcp/443", "established=600", "--yes", "--watch", "0"];

const BYPASS: &[&str] = &["fix", "bypass", "tcp/443", "--role", "server", "--yes", "--watch", "0"];

#[test]
fn a_bypass_killed_at_any_step_is_there_whole_or_not_at_all() {
    if !root("a_bypass_killed_at_any_step_is_there_whole_or_not_at_all") {
        return;
    }
    let host = Host::new("crash-bypass").with_strict_nft();
    killed_everywhere(&host, BYPASS, false);
    killed_everywhere(&host, BYPASS, true);
    undo_killed_everywhere(&host, BYPASS);
}

#[test]
fn a_bypass_by_xtables_killed_at_any_step_is_there_whole_or_not_at_all() {
    if !root("a_bypass_by_xtables_killed_at_any_step_is_there_whole_or_not_at_all") {
        return;
    }
    let host = Host::new("crash-bypass-xt").with_strict_legacy();
    killed_everywhere(&host, BYPASS, false);
    undo_killed_everywhere(&host, BYPASS);
}

#[test]
fn timeouts_killed_at_any_step_are_the_old_or_the_new_ones() {
    if !root("timeouts_killed_at_any_step_are_the_old_or_the_new_ones") {
        return;
    }
    let host = Host::new("crash-set").with_nft();
    killed_everywhere(&host, SETTINGS, false);
    killed_everywhere(&host, SETTINGS, true);
    undo_killed_everywhere(&host, SETTINGS);
}

#[test]
fn a_policy_of_nftables_killed_at_any_step_is_there_whole_or_not_at_all() {
    if !root("a_policy_of_nftables_killed_at_any_step_is_there_whole_or_not_at_all") {
        return;
    }
    let host = Host::new("crash-nft").with_nft();
    killed_everywhere(&host, POLICY, false);
    killed_everywhere(&host, POLICY, true);
    undo_killed_everywhere(&host, POLICY);
}

#[test]
fn a_policy_of_xtables_killed_at_any_step_is_there_whole_or_not_at_all() {
    if !root("a_policy_of_xtables_killed_at_any_step_is_there_whole_or_not_at_all") {
        return;
    }
    let host = Host::new("crash-xt").with_legacy();
    killed_everywhere(&host, POLICY, false);
    killed_everywhere(&host, POLICY, true);
    undo_killed_everywhere(&host, POLICY);
}

#[test]
fn a_limit_raised_and_killed_at_any_step_is_the_old_or_the_new_one() {
    if !root("a_limit_raised_and_killed_at_any_step_is_the_old_or_the_new_one") {
        return;
    }
    let _turn = turn();
    let host = Host::of_the_machine("crash-raise");
    let (max, buckets) = host.limit();
    // Both at once, and little more: the machine is others' too.
    let (max, buckets) = ((max + 4096).to_string(), (buckets + 512).to_string());
    let raise = ["fix", "raise", "--max", &max, "--buckets", &buckets, "--yes", "--watch", "0"];
    killed_everywhere(&host, &raise, false);
    killed_everywhere(&host, &raise, true);
    undo_killed_everywhere(&host, &raise);
}

const LIMIT: &[&str] = &["fix", "limit", "tcp/443", "--per-source", "20", "--yes", "--watch", "0"];
const LIFELINE: &[&str] =
    &["fix", "lifeline", "--peer", "10.1.2.3", "--port", "443", "--yes", "--watch", "0"];

#[test]
fn a_limit_for_each_source_killed_at_any_step_is_there_whole_or_not_at_all() {
    if !root("a_limit_for_each_source_killed_at_any_step_is_there_whole_or_not_at_all") {
        return;
    }
    let host = Host::new("crash-limit").with_nft();
    killed_everywhere(&host, LIMIT, false);
    killed_everywhere(&host, LIMIT, true);
    undo_killed_everywhere(&host, LIMIT);
}

#[test]
fn a_limit_by_xtables_killed_at_any_step_is_there_whole_or_not_at_all() {
    if !root("a_limit_by_xtables_killed_at_any_step_is_there_whole_or_not_at_all") {
        return;
    }
    let host = Host::new("crash-limit-xt").with_legacy();
    killed_everywhere(&host, LIMIT, false);
}

#[test]
fn a_lifeline_killed_at_any_step_is_there_whole_or_not_at_all() {
    if !root("a_lifeline_killed_at_any_step_is_there_whole_or_not_at_all") {
        return;
    }
    let host = Host::new("crash-lifeline").with_strict_nft();
    killed_everywhere(&host, LIFELINE, false);
    killed_everywhere(&host, LIFELINE, true);
}

/// Entries of one source.
fn entries(host: &Host, source: &str) -> usize {
    let listed = host.netns.run("conntrack", &["-L", "-p", "udp", "-s", source]);
    listed.lines().filter(|l| l.contains("src=")).count()
}

/// What was deleted can't come back; killed at any step it is never more than what was shown, and the next one does
/// the rest.
#[test]
fn shedding_killed_at_any_step_deletes_nothing_but_what_it_showed() {
    if !root("shedding_killed_at_any_step_deletes_nothing_but_what_it_showed") {
        return;
    }
    const GOING: usize = 300;
    const STAYING: usize = 40;
    let host = Host::new("crash-shed").with_nft();
    host.netns.run("sysctl", &["-qw", "net.netfilter.nf_conntrack_udp_timeout=600"]);
    let send = |source: &str, count: usize| {
        let script = format!(
            "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('{source}',4000))\n\
             for p in range(20000,20000+{count}):\n  s.sendto(b'x',('127.0.0.9',p))\n"
        );
        host.netns.run("python3", &["-c", &script]);
    };
    send("127.0.0.1", STAYING);
    let shed = ["fix", "shed", "--source", "127.0.0.2", "--yes", "--watch", "0"];
    for step in 1..MOST {
        send("127.0.0.2", GOING);
        assert_eq!(entries(&host, "127.0.0.2"), GOING);
        let fault = format!("{step}:guard");
        let out = host.command(&shed).env("PLIMSOLL_FAULT", &fault).output().expect("it starts");
        assert_eq!(entries(&host, "127.0.0.1"), STAYING, "{fault}: the others stay");
        if out.status.success() {
            assert_eq!(entries(&host, "127.0.0.2"), 0);
            assert!(step > 5, "the faults are reached: {step}");
            return;
        }
        // The next call puts in order what was left, and says where it stands.
        host.run(&["confirm"]);
        let list = host.list();
        assert!(!list.contains("interrupted)  "), "{fault}: {list}");
        if entries(&host, "127.0.0.2") > 0 {
            host.ok(&shed);
        }
        assert_eq!(entries(&host, "127.0.0.2"), 0, "{fault}");
    }
    panic!("shed: more than {MOST} steps");
}
