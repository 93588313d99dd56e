//! The process killed at every step, with and without its guard: the host ends in the old or the new state.

use crate::host::Host;
use crate::support::{root, turn};
use crate::sweep::{MOST, guard_gone, swept, swept_in_the_window};

const SETTINGS: &[&str] = &["fix", "timeout", "time_wait=30", "udp=12", "--yes", "--watch", "0"];
const POLICY: &[&str] =
    &["fix", "timeout", "--port", "tcp/443", "established=600", "--yes", "--watch", "0"];
const BYPASS: &[&str] = &["fix", "bypass", "tcp/443", "--role", "server", "--yes", "--watch", "0"];
const LIMIT: &[&str] = &["fix", "limit", "tcp/443", "--per-source", "20", "--yes", "--watch", "0"];
const LIFELINE: &[&str] =
    &["fix", "lifeline", "--peer", "10.1.2.3", "--port", "443", "--yes", "--watch", "0"];

/// A remedy on a host: a test of that name.
macro_rules! sweeps {
    ($($name:ident: $remedy:expr, $host:expr;)*) => {$(
        #[test]
        fn $name() {
            if root() {
                swept(&$host, $remedy);
            }
        }
    )*};
}

sweeps! {
    timeouts_killed_at_any_step_are_the_old_or_the_new_ones:
        SETTINGS, Host::new("crash-set").with_nft();
    a_policy_killed_at_any_step_is_there_whole_or_not_at_all:
        POLICY, Host::new("crash-policy").with_nft();
    a_policy_by_xtables_killed_at_any_step_is_there_whole_or_not_at_all:
        POLICY, Host::new("crash-policy-xt").with_legacy();
    a_bypass_killed_at_any_step_is_there_whole_or_not_at_all:
        BYPASS, Host::new("crash-bypass").with_strict_nft();
    a_bypass_by_xtables_killed_at_any_step_is_there_whole_or_not_at_all:
        BYPASS, Host::new("crash-bypass-xt").with_strict_legacy();
    a_lifeline_killed_at_any_step_is_there_whole_or_not_at_all:
        LIFELINE, Host::new("crash-lifeline").with_strict_nft();
    a_lifeline_by_xtables_killed_at_any_step_is_there_whole_or_not_at_all:
        LIFELINE, Host::new("crash-lifeline-xt").with_strict_legacy();
    a_lifeline_by_iptables_on_nftables_killed_at_any_step_is_there_whole_or_not_at_all:
        LIFELINE, Host::new("crash-lifeline-ipt").with_strict_iptables();
    a_limit_for_each_source_killed_at_any_step_is_there_whole_or_not_at_all:
        LIMIT, Host::new("crash-limit").with_nft();
    a_limit_by_xtables_killed_at_any_step_is_there_whole_or_not_at_all:
        LIMIT, Host::new("crash-limit-xt").with_legacy();
}

#[test]
fn a_limit_raised_and_killed_at_any_step_is_the_old_or_the_new_one() {
    if !root() {
        return;
    }
    let turn = turn();
    let host = Host::changing_the_machine("crash-raise", &turn);
    let (max, buckets) = host.limit();
    // Both at once, and little more: the machine is others' too.
    let (max, buckets) = ((max + 4096).to_string(), (buckets + 512).to_string());
    swept(&host, &["fix", "raise", "--max", &max, "--buckets", &buckets, "--yes", "--watch", "0"]);
}

#[test]
fn a_call_killed_in_the_window_leaves_it_open_or_is_finished_by_the_guard() {
    if !root() {
        return;
    }
    swept_in_the_window(&Host::new("crash-window").with_strict_nft(), BYPASS);
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
    if !root() {
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
    for (step, killed) in (1..MOST).flat_map(|step| [(step, ":guard"), (step, "")]) {
        send("127.0.0.2", GOING);
        assert_eq!(entries(&host, "127.0.0.2"), GOING);
        let fault = format!("{step}{killed}");
        let out = host.command(&shed).env("PLIMSOLL_FAULT", &fault).output().expect("it starts");
        assert_eq!(entries(&host, "127.0.0.1"), STAYING, "{fault}: the others stay");
        if out.status.success() {
            assert_eq!(entries(&host, "127.0.0.2"), 0);
            assert!(step > 5, "the faults are reached: {step}");
            return;
        }
        // The guard, or else the next call, puts in order what was left.
        guard_gone(&host);
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
