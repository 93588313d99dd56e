//! The table of a real kernel, in a network namespace of the test's own.
//!
//! Needs root, iproute2, nftables and conntrack; without them a test says so and passes nothing on.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::time::Duration;

use plimsoll_ct::{Class, Counter, Protocol, State, TcpState};
use plimsoll_diagnosis::facts::{Census, Fact, Reader, Source, TcpTimeouts};
use plimsoll_probe::table::{Budget, CensusOptions, census, census_of_listing, sample, statistics};
use support::{Netns, root, run};

/// Runs `body` in a thread with a namespace of its own that tracks.
fn in_namespace(body: impl FnOnce() + Send) {
    if !root() {
        return;
    }
    let netns = Netns::new("table");
    netns.run(
        "nft",
        &["add table inet t; add chain inet t o { type filter hook output priority 0; }; \
                        add rule inet t o ct state new accept"],
    );
    netns.enter(body);
}

fn options() -> CensusOptions {
    CensusOptions {
        // A busy machine must not cut it short.
        budget: Budget { kernel: Duration::from_secs(60), wall: Duration::from_secs(60) },
        previous: None,
        timeouts: TcpTimeouts::DEFAULT,
        seed: 99,
        rows: 10,
        first: Reader::Ctnetlink,
    }
}

fn known(fact: Fact<Census>) -> Census {
    match fact {
        Fact::Known { value, .. } => value,
        Fact::Missing(gap) => panic!("{gap:?}"),
    }
}

/// One unanswered UDP entry for each port.
fn fill(ports: std::ops::Range<u16>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for port in ports {
        // A refusal by ICMP of an earlier datagram shows here; the entry is made all the same.
        for _ in 0..3 {
            if socket.send_to(b"x", (Ipv4Addr::new(127, 0, 0, 2), port)).is_ok() {
                break;
            }
        }
    }
}

#[test]
fn a_census_of_a_namespace_counts_what_was_put_there() {
    in_namespace(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let _open: Vec<_> =
            (0..7).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()).collect();
        fill(10_000..10_100);
        let c = known(census(options()));
        assert_eq!((c.reader, c.seen, c.complete, c.malformed), (Reader::Ctnetlink, 107, true, 0));
        assert_eq!((c.total.protected, c.total.evictable, c.total.unreplied), (7, 100, 100));
        let tcp = c.states.iter().find(|r| r.0.protocol == Protocol::Tcp).unwrap();
        assert_eq!(tcp.0.state, State::Tcp(TcpState::Established));
        assert_eq!(Class::Protected.name(), "protected");
        assert_eq!((c.services.rows[0].0.port, c.services.rows[0].1.total()), (port, 7));
        assert_eq!(c.destinations.rows[0].0.address, Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(c.established_idle[0].1, 7);
        assert!(c.kernel_time.is_some());
    });
}

#[test]
fn the_dump_and_the_saved_listings_of_one_table_give_one_census() {
    in_namespace(|| {
        run("sysctl", &["-qw", "net.netfilter.nf_conntrack_acct=1"]);
        fill(20_000..20_050);
        let live = known(census(options()));
        for (program, arguments) in [
            ("cat", &["/proc/thread-self/net/nf_conntrack"][..]),
            ("conntrack", &["-L"]),
            ("conntrack", &["-L", "-o", "extended,id"]),
            ("conntrack", &["-L", "-o", "xml"]),
            ("conntrack", &["-L", "-o", "save"]),
        ] {
            let text = run(program, arguments);
            let mut saved = known(census_of_listing(
                text.as_bytes(),
                Source::name("a listing"),
                TcpTimeouts::DEFAULT,
                3,
                10,
            ));
            assert_eq!(saved.reader, Reader::Listing);
            (saved.reader, saved.kernel_time) = (live.reader, live.kernel_time);
            assert_eq!(saved, live, "{program} {arguments:?}");
        }
    });
}

#[test]
fn the_dump_and_the_proc_file_of_one_table_give_one_census() {
    in_namespace(|| {
        fill(20_000..20_300);
        let dump = known(census(options()));
        let mut proc = known(census(CensusOptions { first: Reader::Proc, ..options() }));
        assert_eq!((proc.reader, proc.seen, proc.complete), (Reader::Proc, 300, true));
        (proc.reader, proc.kernel_time) = (dump.reader, dump.kernel_time);
        assert_eq!(proc, dump);
    });
}

#[test]
fn two_readings_tell_how_many_entries_came_and_went_and_go_the_same_way() {
    for first in [Reader::Ctnetlink, Reader::Proc] {
        in_namespace(move || {
            fill(30_000..30_500);
            let before = sample(first, Budget::default(), 4).unwrap();
            assert!(before.is_complete());
            fill(31_000..31_120);
            run("conntrack", &["-D", "-p", "udp", "--orig-port-dst", "30007"]);
            let c = known(census(CensusOptions { previous: Some(before), ..options() }));
            assert_eq!(c.reader, first);
            let churn = c.churn.unwrap();
            assert_eq!((churn.compared, churn.appeared, churn.vanished), (619, 120, 1));
            assert!(churn.interval.0 > 0);
        });
    }
}

#[test]
fn the_rate_of_a_large_table_is_told_from_its_beginning() {
    in_namespace(|| {
        run("nft", &["add chain inet t i { type filter hook input priority 0; policy drop; }"]);
        let spread = |hosts: std::ops::Range<u8>| {
            for host in hosts {
                let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 1, host), 0)).unwrap();
                for port in 1..=400 {
                    socket.send_to(b"x", (Ipv4Addr::new(127, 0, 0, 2), port)).unwrap();
                }
            }
        };
        spread(0..100);
        let first = sample(Reader::Ctnetlink, Budget::default(), 4).unwrap();
        assert!(!first.is_complete());
        spread(100..120);
        let c = known(census(CensusOptions { previous: Some(first), ..options() }));
        let churn = c.churn.unwrap();
        assert_eq!((c.seen, churn.vanished), (48_000, 0));
        // Of 8,000 new ones about half stand in the part that both readings cover.
        let new = churn.appeared as f64 / churn.compared as f64 * c.seen as f64;
        assert!((7_200.0..8_800.0).contains(&new), "{new}: {churn:?}");
    });
}

#[test]
fn a_user_without_rights_reads_the_table_of_a_namespace_of_his_own() {
    const CHILD: &str = "PLIMSOLL_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        println!("{:?}", census(options()).value().map(|c| (c.seen, c.complete)));
        return;
    }
    in_namespace(|| {
        let output = Command::new("unshare")
            .args(["-Urn", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "a_user_without_rights_reads_the_table_of_a_namespace_of_his_own"])
            .arg("--nocapture")
            .env(CHILD, "1")
            .uid(65_534)
            .gid(65_534)
            .output()
            .unwrap();
        if String::from_utf8_lossy(&output.stderr).contains("unshare failed") {
            eprintln!("skipped: this kernel gives no user namespaces to users");
            return;
        }
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("Some((0, true))"), "{output:?}");
    });
}

#[test]
fn a_spent_budget_ends_the_dump_and_says_so() {
    in_namespace(|| {
        fill(1_000..6_000);
        let budget = Budget { kernel: Duration::ZERO, wall: Duration::from_secs(9) };
        let c = known(census(CensusOptions { budget, ..options() }));
        assert!(!c.complete);
        assert!(c.seen > 0 && c.seen < 5_000, "{}", c.seen);
    });
}

#[test]
fn the_statistics_are_those_of_the_threads_own_namespace() {
    in_namespace(|| {
        run("nft", &["add rule inet t o udp dport 7 ct state invalid accept"]);
        run(
            "conntrack",
            &[
                "-I", "-p", "udp", "-s", "10.0.0.1", "-d", "10.0.0.2", "--sport", "1", "--dport",
                "2", "-t", "30",
            ],
        );
        let counters = statistics();
        assert_eq!(counters.source().unwrap().0, "/proc/net/stat/nf_conntrack");
        // The one insert that conntrack(8) made; the host's own namespace has others.
        assert_eq!(counters.value().unwrap().sum().get(Counter::Insert), Some(1));
    });
}

#[test]
fn without_the_right_the_gap_names_it() {
    const CHILD: &str = "PLIMSOLL_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        println!(
            "{:?} {:?}",
            census(options()).gap(),
            sample(Reader::Ctnetlink, Budget::default(), 1).is_none()
        );
        println!("{:?}", statistics().value().is_some());
        return;
    }
    in_namespace(|| {
        let output: Output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "without_the_right_the_gap_names_it", "--nocapture"])
            .env(CHILD, "1")
            .uid(65_534)
            .gid(65_534)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("NotPermitted"), "{output:?}");
        assert!(said.contains("CAP_NET_ADMIN") || said.contains("needs: Some(\"root\")"), "{said}");
        assert!(said.contains("/proc/net/nf_conntrack: Permission denied"), "{said}");
        assert!(said.contains(") true\ntrue"), "statistics need no right: {said}");
    });
}
