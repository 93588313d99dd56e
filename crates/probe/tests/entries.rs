//! The readers of the table against `conntrack -L`, in network namespaces of the test's own.
//!
//! Needs root, iproute2, nftables and conntrack; without root a test says so and passes nothing on.
#![allow(clippy::unwrap_used)]

mod mixed;
mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mixed::{KINDS, in_namespaces};
use plimsoll_ct::{Entry, Family, L4, Protocol, State, Status, Tuple};
use plimsoll_probe::entries::{
    self, Ask, Details, Entries, Filter, Reader, Scope, Share, Sink, Wants, Which,
};
use plimsoll_wire::listing;
use support::{Netns, has_bpf};

/// All rows of an asking, which must have been complete.
fn rows(ask: &Ask) -> (Vec<Entry>, entries::Outcome) {
    let mut rows = Vec::new();
    let outcome = entries::read(
        ask,
        &mut [|entry: &Entry| {
            rows.push(*entry);
            true
        }],
    )
    .unwrap();
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!(outcome.rows, rows.len() as u64);
    (rows, outcome)
}

/// What every reader tells of an entry, but for the seconds, as text.
fn key(entry: &Entry) -> String {
    let mark = entry.mark.unwrap_or(0);
    // Of a protocol without a tracker, conntrack(8) shows zeros for ports.
    let [original, reply] = [entry.original, entry.reply].map(|tuple| match tuple.l4 {
        L4::Ports { source: 0, destination: 0 } => Tuple { l4: L4::None, ..tuple },
        _ => tuple,
    });
    format!("{original:?} {reply:?} {} {mark} {:?} {}", entry.state, entry.zone, {
        let shown = Status::SEEN_REPLY.0 | Status::ASSURED.0;
        entry.status.0 & shown
    })
}

/// The same entries: each exactly once in both, and with as many seconds left, but for what passed meanwhile.
fn assert_same(ours: &[Entry], theirs: &[Entry]) {
    let by_key = |rows: &[Entry]| {
        let mut map: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for entry in rows {
            map.entry(key(entry)).or_default().push(entry.expires.map_or(0, |s| s.0));
        }
        map
    };
    let (ours, theirs) = (by_key(ours), by_key(theirs));
    let difference: Vec<_> = ours
        .iter()
        .filter(|(key, seconds)| theirs.get(*key).is_none_or(|t| t.len() != seconds.len()))
        .map(|(key, _)| format!("ours: {key}"))
        .chain(theirs.keys().filter(|k| !ours.contains_key(*k)).map(|k| format!("theirs: {k}")))
        .collect();
    assert!(difference.is_empty(), "{}", difference.join("\n"));
    for (key, seconds) in &ours {
        for (a, b) in seconds.iter().zip(&theirs[key]) {
            assert!(a.abs_diff(*b) <= 20, "{key}: {a} and {b} seconds left");
        }
    }
}

fn listed(text: &str) -> Vec<Entry> {
    text.lines().map(|line| listing::parse(line.as_bytes()).unwrap().entry).collect()
}

fn ask(which: Which, scope: Scope) -> Ask {
    Ask { which, scope, ..Ask::default() }
}

/// Ways that are there.
fn ways() -> Vec<Which> {
    let mut ways = vec![Which::Netlink, Which::Proc];
    if has_bpf() {
        ways.push(Which::Bpf);
    }
    ways
}

/// Keeps the rows of some namespaces.
struct Keep<'a>(&'a [Netns], Vec<Entry>);

impl Sink for Keep<'_> {
    fn take(&mut self, entry: &Entry) -> bool {
        if self.0.iter().any(|table| Some(table.inode) == entry.netns) {
            self.1.push(*entry);
        }
        true
    }
}

#[test]
fn the_census_shows_the_table_that_conntrack_lists_with_one_worker_and_with_two() {
    if !has_bpf() {
        return;
    }
    in_namespaces("census", 2, |tables| {
        for table in tables {
            table.enter(|| {
                let theirs = listed(&table.list(&["-o", "extended"]));
                let (ours, outcome) = rows(&ask(Which::Bpf, Scope::Here));
                assert_eq!((outcome.reader, outcome.malformed), (Reader::Bpf, 0));
                assert_same(&ours, &theirs);
                assert!(ours.iter().all(|r| r.netns == Some(table.inode)));
            });
        }
        let mut entries = Entries::default();
        for _ in 0..2 {
            let mut sinks = [Keep(tables, Vec::new()), Keep(tables, Vec::new())];
            let outcome = entries.read(&ask(Which::Bpf, Scope::All), &mut sinks).unwrap();
            assert!(outcome.is_complete(), "{outcome:?}");
            let all = [sinks[0].1.as_slice(), &sinks[1].1].concat();
            for table in tables {
                let here: Vec<Entry> =
                    all.iter().filter(|r| r.netns == Some(table.inode)).copied().collect();
                assert_same(&here, &listed(&table.list(&["-o", "extended"])));
            }
        }
    });
}

/// Keeps rows with what is told beside them.
#[derive(Default)]
struct Detailed(Vec<(Entry, Details)>);

impl Sink for Detailed {
    fn take(&mut self, _: &Entry) -> bool {
        panic!("without details");
    }
    fn take_detailed(&mut self, entry: &Entry, details: &Details) -> bool {
        self.0.push((*entry, details.clone()));
        true
    }
    fn wants_details(&self) -> bool {
        true
    }
}

/// Packets and bytes, creation, helper, labels, references, tags of SCTP, all bits of the status.
#[test]
fn all_that_lies_beside_an_entry_is_the_same_by_bpf_and_netlink() {
    if !has_bpf() {
        return;
    }
    in_namespaces("beside", 1, |tables| {
        tables[0].enter(|| {
            let wants = Wants { id: false, security: false, ..Wants::ALL };
            let read = |which| {
                let mut sink = Detailed::default();
                let asked = Ask { wants, ..ask(which, Scope::Here) };
                let outcome = entries::read(&asked, std::slice::from_mut(&mut sink)).unwrap();
                assert!(outcome.is_complete(), "{outcome:?}");
                let expected = |(entry, _): &(Entry, _)| entry.status.contains(Status::EXPECTED);
                assert!(sink.0.iter().any(expected), "no entry came as the helper foretold");
                let mut all: Vec<String> = Vec::new();
                for (entry, details) in &sink.0 {
                    let times = (details.started, details.stopped, entry.started);
                    let beside = (entry.helper, entry.labels, &details.labels, entry.references);
                    let counters = (entry.original_accounting, entry.reply_accounting);
                    all.push(format!(
                        "{} {:?} {times:?} {beside:?} {counters:?} {:?}",
                        key(entry),
                        entry.status,
                        details.sctp_tags
                    ));
                    assert!(entry.age.is_some_and(|age| age.0 < 600), "{entry:?}");
                }
                all.sort();
                all
            };
            let (ours, theirs) = (read(Which::Bpf), read(Which::Netlink));
            let lone = |a: &[String], b: &[String]| {
                a.iter().filter(|x| !b.contains(x)).cloned().collect::<Vec<_>>()
            };
            assert_eq!(lone(&ours, &theirs), lone(&theirs, &ours));
            assert_eq!(ours.len(), theirs.len());
            // Label 1 is the second bit.
            for there in
                ["ftp", "packets: 1,", "Some([Some(16777216), Some(33554432)])", "Some([2, 0, 0, 0"]
            {
                assert!(ours.iter().any(|line| line.contains(there)), "no entry has {there}");
            }
        });
    });
}

#[test]
fn an_offloaded_entry_is_the_same_whoever_reads_it() {
    mixed::in_a_router("offload", |[router, one, other]| {
        let rules = "table inet f {
            flowtable t { hook ingress priority 0; devices = { r1, r2 }; }
            chain c { type filter hook forward priority 0; ct state established flow add @t; }
        }";
        let made = router.enter(|| std::process::Command::new("nft").arg(rules).output().unwrap());
        if !made.status.success() {
            eprintln!("skipped: no flow tables here: {}", String::from_utf8_lossy(&made.stderr));
            return;
        }
        let listener = other.enter(|| TcpListener::bind(("10.2.0.2", 80)).unwrap());
        let mut open = one.enter(|| TcpStream::connect(("10.2.0.2", 80)).unwrap());
        let (mut accepted, _) = listener.accept().unwrap();
        let begin = Instant::now();
        router.enter(|| {
            loop {
                open.write_all(b"x").unwrap();
                accepted.read_exact(&mut [0]).unwrap();
                accepted.write_all(b"y").unwrap();
                open.read_exact(&mut [0]).unwrap();
                let (seen, _) = rows(&ask(Which::Netlink, Scope::Here));
                if seen.iter().any(|entry| entry.status.contains(Status::OFFLOAD)) {
                    break;
                }
                assert!(begin.elapsed() < Duration::from_secs(60), "{seen:?}");
            }
            let theirs = listed(&router.list(&["-o", "extended"]));
            assert!(
                theirs.iter().any(|entry| entry.status.contains(Status::OFFLOAD)),
                "{theirs:?}"
            );
            for which in ways() {
                let (ours, _) = rows(&ask(which, Scope::Here));
                assert_same(&ours, &theirs);
                let one = ours.iter().find(|entry| entry.original.destination_port() == Some(80));
                let one = one.unwrap();
                assert!(one.status.contains(Status::OFFLOAD), "{which:?} {one:?}");
                assert_eq!((one.state, one.expires), (State::Stateless, None), "{which:?}");
            }
        });
    });
}

#[test]
fn a_sample_of_the_table_is_a_part_with_its_share() {
    if !has_bpf() {
        return;
    }
    in_namespaces("sample", 1, |tables| {
        tables[0].enter(|| {
            let all = rows(&ask(Which::Bpf, Scope::Here)).0.len();
            let mut seen = 0;
            let asked = Ask { sample: Some(0.5), ..ask(Which::Bpf, Scope::Here) };
            let outcome = entries::read(
                &asked,
                &mut [|_: &Entry| {
                    seen += 1;
                    true
                }],
            )
            .unwrap();
            assert!(seen > 0 && seen < all, "{seen} of {all}");
            let Share::Part(Some(share)) = outcome.share else { panic!("{outcome:?}") };
            assert!((share - 0.5).abs() < 0.01, "{share}");
        });
    });
}

#[test]
fn what_only_netlink_tells_is_not_asked_of_the_census() {
    in_namespaces("wants", 1, |tables| {
        tables[0].enter(|| {
            let wants = Wants { id: true, ..Wants::default() };
            let (ours, outcome) = rows(&Ask { wants, ..ask(Which::Auto, Scope::Here) });
            assert_eq!(outcome.reader, Reader::Ctnetlink);
            let said = &outcome.passed_over;
            assert!(said.len() == 1 && said[0].1.detail.contains("ids"), "{said:?}");
            assert!(ours.iter().all(|entry| entry.id.is_some()));
            let insists = Ask { wants, ..ask(Which::Bpf, Scope::Here) };
            let refused = entries::read(&insists, &mut [|_: &Entry| true]).unwrap_err();
            assert!(refused.detail.contains("bpf: does not tell ids"), "{refused:?}");
        });
    });
}

#[test]
fn netlink_and_proc_show_the_table_that_conntrack_lists() {
    in_namespaces("equal", 1, |tables| {
        let table = &tables[0];
        table.enter(|| {
            let theirs = listed(&table.list(&["-o", "extended,id"]));
            assert!(theirs.len() >= KINDS, "{}", theirs.len());
            let (ours, outcome) =
                rows(&Ask { wants: Wants::ALL, ..ask(Which::Netlink, Scope::Here) });
            assert_eq!((outcome.reader, outcome.duplicates), (Reader::Ctnetlink, 0));
            assert_same(&ours, &theirs);
            let ids = |rows: &[Entry]| {
                let mut ids: Vec<_> = rows.iter().map(|r| r.id.unwrap()).collect();
                ids.sort_unstable();
                ids
            };
            assert_eq!(ids(&ours), ids(&theirs));
            let helped = |rows: &[Entry]| rows.iter().filter(|r| r.helper.is_some()).count();
            assert_eq!((helped(&ours), helped(&theirs)), (1, 1));
            assert!(ours.iter().any(|r| r.labels.is_some_and(|l| l[0] & 2 != 0)), "label 1");
            assert!(ours.iter().all(|r| r.netns == Some(table.inode)));
            assert_same(&rows(&ask(Which::Proc, Scope::Here)).0, &theirs);
        });
    });
}

#[test]
fn each_filter_gives_the_entries_that_match_whether_the_kernel_knows_it_or_not() {
    in_namespaces("filter", 1, |tables| {
        tables[0].enter(|| {
            let assured = Status::ASSURED;
            let filters = [
                Filter { family: Some(Family::V6), ..Filter::default() },
                Filter { protocol: Some(Protocol::Udp), ..Filter::default() },
                Filter { protocol: Some(Protocol::Icmp), ..Filter::default() },
                Filter { protocol: Some(Protocol::Other(50)), ..Filter::default() },
                Filter {
                    protocol: Some(Protocol::Tcp),
                    destination_port: Some(1003),
                    ..Filter::default()
                },
                Filter { destination_port: Some(1003), ..Filter::default() },
                Filter { mark: Some((1, 1)), ..Filter::default() },
                Filter { mark: Some((0, u32::MAX)), ..Filter::default() },
                Filter { status: Some((assured, assured)), ..Filter::default() },
                Filter { status: Some((Status::empty(), assured)), ..Filter::default() },
                Filter { zone: Some(7), ..Filter::default() },
                Filter { zone: Some(0), ..Filter::default() },
            ];
            for narrow in filters {
                // Anew for each: on a busy machine the seconds that are left run away.
                let all = rows(&ask(Which::Netlink, Scope::Here)).0;
                let expected: Vec<Entry> =
                    all.iter().filter(|entry| narrow.matches(entry)).copied().collect();
                for which in ways() {
                    let asked = Ask { narrow, ..ask(which, Scope::Here) };
                    let (found, outcome) = rows(&asked);
                    assert!(!found.is_empty() || narrow.protocol == Some(Protocol::Other(50)));
                    assert_same(&found, &expected);
                    // What the kernel left out was not read.
                    let by_kernel = which == Which::Netlink && narrow.destination_port.is_none();
                    assert!(!by_kernel || outcome.read == outcome.rows, "{narrow:?} {outcome:?}");
                }
            }
        });
    });
}

#[test]
fn all_chosen_namespaces_are_read_and_no_other() {
    in_namespaces("several", 3, |tables| {
        let inodes = [tables[0].inode, tables[2].inode, 1];
        for which in ways() {
            chosen(which, &inodes, tables);
            let all = rows_of_all(which, tables);
            assert_eq!(all, tables.iter().map(|t| t.list(&[]).lines().count()).sum::<usize>());
        }
    });
}

/// The first and third are chosen, and one that does not exist.
fn chosen(which: Which, inodes: &[u64], tables: &[Netns]) {
    let mut found = Vec::new();
    let outcome = entries::read(
        &ask(which, Scope::Some(inodes.to_vec())),
        &mut [|entry: &Entry| {
            found.push(*entry);
            true
        }],
    )
    .unwrap();
    // The census looks at the table, not for namespaces.
    assert_eq!(outcome.unread.len(), usize::from(which != Which::Bpf), "{which:?}");
    for (place, table) in tables.iter().enumerate() {
        let here: Vec<Entry> =
            found.iter().filter(|r| r.netns == Some(table.inode)).copied().collect();
        match place {
            1 => assert!(here.is_empty()),
            _ => assert_same(&here, &listed(&table.list(&["-o", "extended"]))),
        }
    }
}

/// Entries of the test's own namespaces in a reading of all.
fn rows_of_all(which: Which, tables: &[Netns]) -> usize {
    let mut count = 0;
    let own: Vec<u64> = tables.iter().map(|t| t.inode).collect();
    entries::read(
        &ask(which, Scope::All),
        &mut [|entry: &Entry| {
            count += usize::from(entry.netns.is_some_and(|inode| own.contains(&inode)));
            true
        }],
    )
    .unwrap();
    count
}

#[test]
fn a_sink_that_has_enough_ends_the_reading_as_a_part() {
    in_namespaces("enough", 1, |tables| {
        tables[0].enter(|| {
            for which in ways() {
                let mut left = 5;
                let outcome = entries::read(
                    &ask(which, Scope::Here),
                    &mut [|_: &Entry| {
                        left -= 1;
                        left > 0
                    }],
                )
                .unwrap();
                assert_eq!(outcome.rows, 5);
                assert!(matches!(outcome.share, Share::Part(Some(s)) if s > 0.0 && s < 1.0));
            }
        });
    });
}

/// When a datagram was sent, at the earliest and at the latest, and its number.
#[derive(Clone, Copy)]
struct Sent {
    number: u32,
    after: Instant,
    before: Instant,
}

/// Under churn a reading is no snapshot. What holds: an entry that lives all through it is shown, once; one that was
/// dead before or born behind it is not. So a count is off by what came and went meanwhile, at most.
#[test]
fn under_churn_what_lives_all_through_is_shown_once_and_what_is_dead_never() {
    const STABLE: u32 = 4_000;
    /// Of an entry, once [`LIFE`] is set; the kernel counts in ticks of at most 10 ms.
    const LIFE: Duration = Duration::from_secs(1);
    const TICK: Duration = Duration::from_millis(20);
    in_namespaces("churn", 1, |tables| {
        tables[0].enter(|| {
            let set = |seconds: &str| {
                let path = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout";
                std::fs::write(path, seconds).unwrap();
            };
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            // The rules of the namespace drop what goes to this port.
            let send = |number: u32| {
                let [_, a, b, c] = (number + 0x0001_0000).to_be_bytes();
                let _ = socket.send_to(b"x", (std::net::Ipv4Addr::new(127, a, b, c), 4009));
            };
            let number = |entry: &Entry| match entry.original.destination {
                std::net::IpAddr::V4(to) if entry.original.destination_port() == Some(4009) => {
                    let [_, a, b, c] = to.octets();
                    u32::from_be_bytes([0, a, b, c]).checked_sub(0x0001_0000)
                }
                _ => None,
            };
            set("3600");
            (0..STABLE).for_each(send);
            set("1");
            let (over, sent) = (AtomicBool::new(false), Mutex::new(Vec::new()));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for next in STABLE.. {
                        let after = Instant::now();
                        send(next);
                        let one = Sent { number: next, after, before: Instant::now() };
                        sent.lock().unwrap().push(one);
                        if over.load(Relaxed) {
                            return;
                        }
                        // Some ten thousand a second.
                        if next % 100 == 0 {
                            std::thread::sleep(Duration::from_millis(10));
                        }
                    }
                });
                let ways = ways().into_iter().filter(|way| *way != Which::Proc);
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    for which in ways.flat_map(|way| [way; 4]) {
                        while sent.lock().unwrap().len() < 1_000 {
                            std::thread::yield_now();
                        }
                        let begin = Instant::now();
                        let (rows, _) = rows(&ask(which, Scope::Here));
                        let end = Instant::now();
                        let mut shown: BTreeMap<u32, u32> = BTreeMap::new();
                        for number in rows.iter().filter_map(number) {
                            *shown.entry(number).or_default() += 1;
                        }
                        let twice: Vec<_> = shown.iter().filter(|(_, times)| **times > 1).collect();
                        assert!(twice.is_empty(), "{which:?} {twice:?}");
                        let all = sent.lock().unwrap().clone();
                        for one in &all {
                            let (from, until) = (one.after + LIFE - TICK, one.before + LIFE + TICK);
                            let is_shown = shown.remove(&one.number).is_some();
                            let lives = one.before <= begin && from >= end;
                            let may_live = one.after <= end && until >= begin;
                            assert!(is_shown || !lives, "{which:?}: {} is missing", one.number);
                            assert!(!is_shown || may_live, "{which:?}: {} is a ghost", one.number);
                        }
                        // The last may be sent and not yet written down.
                        let last = all.last().map_or(STABLE, |one| one.number);
                        shown.remove(&(last + 1));
                        assert_eq!(shown.len(), STABLE as usize, "{which:?}");
                    }
                }));
                over.store(true, Relaxed);
                result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            });
        });
    });
}
