#![allow(clippy::unwrap_used)]

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{Nanos, Time, TimeRange};

use super::*;

/// 2026-11-22 03:12:07 UTC.
const INCIDENT: i64 = 1_795_317_127;

/// Every known wording of a full table, by generation.
const TABLE_FULL: &[(&str, Scope)] = &[
    ("ip_conntrack: table full, dropping packet.", Scope::Unnamed),
    ("nf_conntrack: table full, dropping packet.", Scope::Unnamed),
    ("nf_conntrack: table full, dropping packet", Scope::Unnamed),
    ("nf_conntrack: nf_conntrack: table full, dropping packet", Scope::Unnamed),
    (
        "nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet",
        Scope::Namespace(4_026_532_246),
    ),
    (
        "nf_conntrack: table full in netns 4026532246, dropping packet",
        Scope::Namespace(4_026_532_246),
    ),
    ("ip_conntrack: VPS 101 table full, dropping packet.", Scope::Container(101)),
    ("nf_conntrack: VPS 101 table full, dropping packet.", Scope::Container(101)),
    ("CT 101: nf_conntrack: table full, dropping packet.", Scope::Container(101)),
];

const OTHERS: &[(&str, Message)] = &[
    ("nf_conntrack: expectation table full", Message::ExpectationFull),
    ("nf_conntrack: nf_conntrack: expectation table full", Message::ExpectationFull),
    ("Neighbour table overflow.", Message::NeighbourOverflow(NeighbourTable::Unnamed)),
    ("IPv4: Neighbour table overflow", Message::NeighbourOverflow(NeighbourTable::Arp)),
    ("IPv6: Neighbour table overflow", Message::NeighbourOverflow(NeighbourTable::Ndisc)),
    (
        "neighbour: arp_cache: neighbor table overflow!",
        Message::NeighbourOverflow(NeighbourTable::Arp),
    ),
    (
        "neighbour: ndisc_cache: neighbor table overflow!",
        Message::NeighbourOverflow(NeighbourTable::Ndisc),
    ),
    ("arp_cache: neighbor table overflow!", Message::NeighbourOverflow(NeighbourTable::Arp)),
    (
        "possible SYN flooding on port 80. Sending cookies.",
        Message::SynFlood { port: Some(80), cookies: Some(true) },
    ),
    (
        "possible SYN flooding on port 80. Dropping request.",
        Message::SynFlood { port: Some(80), cookies: Some(false) },
    ),
    (
        "TCPv6: Possible SYN flooding on port 8443.",
        Message::SynFlood { port: Some(8443), cookies: None },
    ),
    (
        "TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.  Check SNMP counters.",
        Message::SynFlood { port: Some(80), cookies: Some(true) },
    ),
    (
        "TCP: request_sock_TCP: Possible SYN flooding on port [::]:80. Sending cookies.",
        Message::SynFlood { port: Some(80), cookies: Some(true) },
    ),
    (
        "TCP: request_sock_subflow_v4: Possible SYN flooding on port 192.0.2.1:443. Dropping request.",
        Message::SynFlood { port: Some(443), cookies: Some(false) },
    ),
    (
        "TCP: out of memory -- consider tuning tcp_mem",
        Message::SocketMemory(SocketMemoryKind::Memory),
    ),
    ("Out of socket memory", Message::SocketMemory(SocketMemoryKind::Memory)),
    ("TCP: too many of orphaned sockets", Message::SocketMemory(SocketMemoryKind::Orphans)),
    ("TCP: too many orphaned sockets", Message::SocketMemory(SocketMemoryKind::Orphans)),
    (
        "swapper/0: page allocation failure: order:0, mode:0x480020(GFP_ATOMIC), nodemask=(null)",
        Message::PageAllocation,
    ),
    ("ksoftirqd/0: page allocation failure. order:0, mode:0x20", Message::PageAllocation),
    (
        " [<ffffffffa02b7d6d>] __nf_conntrack_alloc+0x5d/0x1d0 [nf_conntrack]",
        Message::ConntrackFrame,
    ),
    (" ? init_conntrack+0x54/0x4f0 [nf_conntrack]", Message::ConntrackFrame),
    (
        "  cache: nf_conntrack_ffffffff81ae2b00, object size: 304, buffer size: 320, order: 1",
        Message::ConntrackCache,
    ),
    (
        "ip_conntrack version 2.4 (8192 buckets, 65536 max) - 304 bytes per conntrack",
        Message::Loaded { buckets: 8192, max: 65536, entry_bytes: Some(304) },
    ),
    (
        "nf_conntrack version 0.5.0 (16384 buckets, 65536 max)",
        Message::Loaded { buckets: 16384, max: 65536, entry_bytes: None },
    ),
    ("printk: 3 messages suppressed.", Message::Suppressed { by: Limiter::Any, count: 3 }),
    ("__ratelimit: 83 callbacks suppressed", Message::Suppressed { by: Limiter::Any, count: 83 }),
    (
        "net_ratelimit: 209 callbacks suppressed",
        Message::Suppressed { by: Limiter::Networking, count: 209 },
    ),
    (
        "nvme_log_error: 7 callbacks suppressed",
        Message::Suppressed { by: Limiter::Other, count: 7 },
    ),
];

/// Text that resembles ours and is something else.
const STRANGERS: &[&str] = &[
    "",
    "table full",
    "nf_conntrack: ",
    "nf_conntrack: table fullness 3%",
    "nf_conntrack: nf_ct_ftp: dropping packet: partial match of 229",
    "nf_conntrack: table full IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2",
    "DROP nf_conntrack: table full, dropping packet",
    "audit: type=1123 msg='cmd=grep \"nf_conntrack: table full, dropping packet\"'",
    "EXT4-fs: inode table full, dropping",
    "printk: console messages suppressed.",
    "my daemon: 12 messages suppressed.",
    "Out of memory: Killed process 812 (nginx)",
    "Call Trace: not_nf_conntrack_alloc+0x1/0x2",
    "  cache: nf_conntrack_expect, object size: 240, buffer size: 240",
    "  cache: kmalloc-256, object size: 256",
    "nf_conntrack version",
    "nf_conntrack version 0.5.0 (many buckets, 65536 max)",
];

fn clock() -> Clock {
    Clock {
        now: Time::from_secs(INCIDENT + 3600),
        boot: Some(TimeRange::exact(Time::from_secs(INCIDENT - 1000))),
        zone: Zone::utc(),
    }
}

fn written(line: &str, form: Form) -> TimeRange {
    let line = Line::parse(line.as_bytes(), form).expect("is a line");
    clock().resolve(&line.stamp.expect("has a stamp")).expect("has a time")
}

#[test]
fn every_wording_of_a_full_table_is_recognised() {
    for (text, scope) in TABLE_FULL {
        assert_eq!(recognise(text.as_bytes()), Some(Message::TableFull(*scope)), "{text}");
    }
}

#[test]
fn every_other_wording_is_recognised_as_what_it_is() {
    for (text, message) in OTHERS {
        assert_eq!(recognise(text.as_bytes()), Some(*message), "{text}");
    }
}

#[test]
fn strangers_are_not_recognised() {
    for text in STRANGERS {
        assert_eq!(recognise(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn every_message_holds_a_needle_so_that_the_search_finds_it() {
    let texts =
        TABLE_FULL.iter().map(|(text, _)| *text).chain(OTHERS.iter().map(|(text, _)| *text));
    let keepers = [
        "Suppressed 12 messages from nginx.service",
        "Missed 35 kernel messages",
        "/dev/kmsg buffer overrun, some messages lost.",
        "imuxsock lost 12 messages from pid 3 due to rate-limiting",
        "imjournal: 12 messages lost due to rate-limiting",
        "last message repeated 12 times",
        "message repeated 12 times: [ nf_conntrack: table full, dropping packet]",
    ];
    for text in texts.chain(keepers) {
        assert!(NEEDLES.iter().any(|needle| text.contains(needle)), "{text}");
    }
}

/// The patterns of others, as their sources publish them in 2026. node-problem-detector's kernel
/// monitor has no rule for it at all; it looks at the count only.
#[test]
fn the_patterns_in_use_elsewhere_miss_wordings_that_we_know() {
    let theirs = [
        ("EKS node monitoring agent, ec2rescue", r"(ip|nf)_conntrack: table full, dropping packet"),
        ("hotsos", r"nf_conntrack: table full, dropping packet"),
        ("grep of the runbooks", r"table full, dropping packet"),
    ];
    for (who, pattern) in theirs {
        let pattern = regex::Regex::new(pattern).unwrap();
        let missed: Vec<&str> = TABLE_FULL
            .iter()
            .map(|(text, _)| *text)
            .filter(|text| !pattern.is_match(text))
            .filter(|text| matches!(recognise(text.as_bytes()), Some(Message::TableFull(_))))
            .collect();
        assert!(missed.iter().any(|text| text.contains("in netns")), "{who}: {missed:?}");
        // And they take a quotation for the kernel's word, where the tag tells us better.
        let quote = "Nov 22 03:12:07 web sshd[812]: nf_conntrack: table full, dropping packet";
        assert!(pattern.is_match(quote), "{who}");
        let line = Line::parse(quote.as_bytes(), Form::Syslog).unwrap();
        assert_eq!(line.speaker, Speaker::Program(Cow::Borrowed(b"sshd")));
    }
}

#[test]
fn the_kernel_is_heard_in_every_form_of_log_with_its_time() {
    let text = "nf_conntrack: nf_conntrack: table full, dropping packet";
    let second = |secs| TimeRange {
        earliest: Time::from_secs(secs - 1),
        latest: Time(Time::from_secs(secs).0 + 999_999_999),
    };
    let at = second(INCIDENT);
    for (head, form) in [
        ("Nov 22 03:12:07 web kernel: ", Form::Syslog),
        ("Nov 22 03:12:07 web kernel: [ 1000.123456] ", Form::Syslog),
        ("Nov 22 03:12:07 web kernel: [ 1000.123456][  T812] ", Form::Syslog),
        ("Nov 22 03:12:07 web kernel:", Form::Syslog),
        ("Nov 22 03:12:07 kernel: ", Form::Syslog),
        ("<4>Nov 22 03:12:07 web kernel: ", Form::Syslog),
        ("Nov 22 03:12:07 web kern.warn kernel: [ 1000.1] ", Form::Syslog),
        ("Sun Nov 22 03:12:07 2026 kern.warn kernel: [ 1000.123456] ", Form::Syslog),
        ("Nov 22 2026 03:12:07 web kernel: ", Form::Syslog),
        ("2026 Nov 22 03:12:07 web kernel: ", Form::Syslog),
        ("2026-11-22T04:12:07+01:00 web kernel: ", Form::Syslog),
        ("2026-11-22T03:12:07+0000 web kernel: ", Form::Syslog),
        ("2026-11-22T03:12:07Z web kernel: ", Form::Syslog),
        ("2026-11-22 03:12:07 web kernel: ", Form::Syslog),
        ("Sun 2026-11-22 03:12:07 UTC web kernel: ", Form::Syslog),
        ("<4>1 2026-11-22T03:12:07Z web kernel - - - ", Form::Syslog),
        ("<4>1 2026-11-22T03:12:07Z web kernel - - [a@1 b=\"x] y\"][c@1] ", Form::Syslog),
    ] {
        let line = format!("{head}{text}");
        let parsed = Line::parse(line.as_bytes(), form).expect(&line);
        assert_eq!(parsed.speaker, Speaker::Kernel, "{line}");
        assert_eq!(String::from_utf8_lossy(&parsed.text), text, "{line}");
        assert_eq!(written(&line, form), at, "{line}");
    }
    for (head, form) in [
        ("[ 1000.123456] ", Form::Dmesg),
        ("<4>[ 1000.123456] ", Form::Dmesg),
        ("kern  :warn  : [ 1000.123456] ", Form::Dmesg),
        ("[ 1000.123456][    C1] ", Form::Dmesg),
        ("[ 1000.123456] web kernel: ", Form::Syslog),
    ] {
        let line = format!("{head}{text}");
        let parsed = Line::parse(line.as_bytes(), form).expect(&line);
        assert_eq!(parsed.speaker, Speaker::Kernel, "{line}");
        assert_eq!(String::from_utf8_lossy(&parsed.text), text, "{line}");
        let drift = Nanos(1_000_123_456_000 / 20_000);
        let exact = Time::from_secs(INCIDENT).plus(Nanos(123_456_000));
        assert_eq!(written(&line, form), TimeRange::around(exact, drift), "{line}");
    }
}

#[test]
fn dmesg_without_stamps_is_the_kernel_without_a_time() {
    let line = Line::parse(b"nf_conntrack: table full, dropping packet.", Form::Dmesg).unwrap();
    assert_eq!((line.speaker, line.stamp), (Speaker::Kernel, None));
    let line = Line::parse(b"[  +0.000012] nf_conntrack: table full", Form::Dmesg).unwrap();
    assert_eq!((line.stamp, &line.text[..]), (None, &b"nf_conntrack: table full"[..]));
}

#[test]
fn dates_of_dmesg_are_local_and_uncertain_by_the_drift_since() {
    let line = "[Sun Nov 22 03:12:07 2026] nf_conntrack: table full";
    let at = written(line, Form::Dmesg);
    // 1000 s after boot the drift is at most 50 ms, and a second is lost to rounding.
    assert!(
        at.earliest >= Time::from_secs(INCIDENT - 2) && at.earliest < Time::from_secs(INCIDENT)
    );
    assert_eq!(at.latest.secs(), INCIDENT + 1);
}

#[test]
fn a_program_that_quotes_the_kernel_is_not_the_kernel() {
    for line in [
        "Nov 22 03:12:07 web sshd[9]: nf_conntrack: table full, dropping packet",
        "Nov 22 03:12:07 web nf_conntrack: table full, dropping packet",
        "Nov 22 03:12:07 web sudo: root : COMMAND=/bin/grep kernel: nf_conntrack: table full",
        "Nov 22 03:12:07 web app -> kernel: nf_conntrack: table full",
        "<12>Nov 22 03:12:07 web kernel: nf_conntrack: table full, dropping packet",
        "<13>1 2026-11-22T03:12:07Z web kernel - - - nf_conntrack: table full",
    ] {
        let parsed = Line::parse(line.as_bytes(), Form::Syslog).unwrap();
        assert!(matches!(parsed.speaker, Speaker::Program(_)), "{line}");
    }
    // A line without a stamp continues what some program said.
    assert_eq!(Line::parse(b"nf_conntrack: table full, dropping packet", Form::Syslog), None);
    assert_eq!(Line::parse(b"kernel: nf_conntrack: table full", Form::Syslog), None);
}

#[test]
fn what_a_program_writes_into_dev_kmsg_is_told_apart_by_its_facility() {
    let (sequence, line) =
        record(b"4,1234,1000123456,-;nf_conntrack: nf_conntrack: table full\n SUBSYSTEM=x\n")
            .unwrap();
    assert_eq!((sequence, &line.speaker), (1234, &Speaker::Kernel));
    assert_eq!(line.stamp, Some(Stamp::SinceBoot(Nanos(1_000_123_456_000))));
    assert_eq!(&line.text[..], b"nf_conntrack: nf_conntrack: table full");
    let (_, line) = record(b"12,1235,1000123456,-,caller=T1;nf_conntrack: table full\n").unwrap();
    assert_eq!(line.speaker, Speaker::Injected);
    let line = Line::parse(b"<12>[    1.0] nf_conntrack: table full", Form::Dmesg).unwrap();
    assert_eq!(line.speaker, Speaker::Injected);
    let line =
        Line::parse(b"user  :warn  : [    1.0] nf_conntrack: table full", Form::Dmesg).unwrap();
    assert_eq!(line.speaker, Speaker::Injected);
}

#[test]
fn entries_of_the_journal_tell_the_kernel_from_programs_by_transport_and_facility() {
    let entry = |fields: &str| {
        let line = format!(
            "{{{fields},\"__REALTIME_TIMESTAMP\":\"1795317127250000\",\"_HOSTNAME\":\"web\",\
             \"__MONOTONIC_TIMESTAMP\":\"1000500000\",\"_SOURCE_MONOTONIC_TIMESTAMP\":\"1000250000\"}}"
        );
        Line::parse(line.as_bytes(), Form::Json).expect("is an entry");
        json_line(line.as_bytes()).unwrap()
    };
    let line = entry(
        r#""_TRANSPORT":"kernel","SYSLOG_FACILITY":"0","SYSLOG_IDENTIFIER":"kernel","MESSAGE":"nf_conntrack: table full""#,
    );
    assert_eq!(line.speaker, Speaker::Kernel);
    let at = clock().resolve(&line.stamp.unwrap()).unwrap();
    // Read a quarter of a second after it was written; the kernel's clock may be 50 ms off by now.
    assert_eq!(at.latest, Time::from_secs(INCIDENT).plus(Nanos(50_012_000)));
    assert_eq!(at.earliest, Time::from_secs(INCIDENT - 1));
    let line = entry(
        r#""_TRANSPORT":"kernel","SYSLOG_FACILITY":"1","SYSLOG_IDENTIFIER":"nf_conntrack","MESSAGE":"table full""#,
    );
    assert_eq!(
        (line.speaker, &line.text[..]),
        (Speaker::Injected, &b"nf_conntrack: table full"[..])
    );
    let line = entry(r#""_TRANSPORT":"syslog","SYSLOG_IDENTIFIER":"kernel","MESSAGE":"x""#);
    assert_eq!(line.speaker, Speaker::Program(Cow::Borrowed(b"kernel")));
    // A message that is not UTF-8 is an array of bytes, one that was given twice an array of both.
    let line = entry(r#""_TRANSPORT":"kernel","SYSLOG_FACILITY":"0","MESSAGE":[110,102,27]"#);
    assert_eq!(&line.text[..], b"nf\x1b");
    let line = entry(r#""_TRANSPORT":"kernel","SYSLOG_FACILITY":"0","MESSAGE":["a","b"]"#);
    assert_eq!(&line.text[..], b"a");
}

#[test]
fn an_exported_entry_reads_as_its_json() {
    let mut entry =
        b"__REALTIME_TIMESTAMP=1795317127250000\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\n\
        _HOSTNAME=web\nMESSAGE\n"
            .to_vec();
    entry.extend(25u64.to_le_bytes());
    entry.extend(b"nf_conntrack: table\n\nfull");
    entry.extend(b"\nPRIORITY=4\n");
    let line = Line::parse(&entry, Form::Export).unwrap();
    assert_eq!((line.speaker, line.host.as_deref()), (Speaker::Kernel, Some(&b"web"[..])));
    assert_eq!(&line.text[..], b"nf_conntrack: table\n\nfull");
    let mut huge = b"MESSAGE\n".to_vec();
    huge.extend(u64::MAX.to_le_bytes());
    assert_eq!(export_entry(&huge), None);
}

#[test]
fn repeated_lines_say_how_often() {
    let line = "Nov 22 03:12:07 web kernel: message repeated 5 times: [ [ 1000.1] nf_conntrack: table full, dropping packet]";
    let line = Line::parse(line.as_bytes(), Form::Syslog).unwrap();
    assert_eq!(
        (line.times, &line.text[..]),
        (Times::More(5), &b"nf_conntrack: table full, dropping packet"[..])
    );
    let line =
        Line::parse(b"Nov 22 03:12:09 web last message repeated 7 times", Form::Syslog).unwrap();
    assert_eq!(line.times, Times::LastAgain(7));
}

#[test]
fn a_year_is_the_latest_that_does_not_lie_in_the_future() {
    let new_year = 1_798_761_600; // 2027-01-01 00:00:00 UTC
    let clock = |now| Clock { now: Time::from_secs(now), boot: None, zone: Zone::utc() };
    let at = |now, stamp: &str| {
        let line = format!("{stamp} web kernel: x");
        let line = Line::parse(line.as_bytes(), Form::Syslog).unwrap();
        clock(now).resolve(&line.stamp.unwrap()).map(|range| range.latest.secs())
    };
    assert_eq!(at(new_year + 60, "Dec 31 23:59:59"), Some(new_year - 1));
    assert_eq!(at(new_year + 60, "Jan  1 00:00:30"), Some(new_year + 30));
    // A minute ahead of the clock of the reader: last year's line.
    assert_eq!(at(new_year - 60, "Jan  1 00:00:30"), Some(new_year - 365 * 86_400 + 30));
    // The last 29th of February before 2027 was in 2024.
    assert_eq!(at(new_year, "Feb 29 12:00:00"), Some(1_709_208_000));
    assert_eq!(at(new_year, "Feb 31 12:00:00"), None);
}

#[test]
fn a_local_stamp_is_as_sure_as_the_zone() {
    let stamp = |text: &str| Line::parse(text.as_bytes(), Form::Syslog).unwrap().stamp.unwrap();
    let at = |zone, text: &str| {
        let clock = Clock { now: Time::from_secs(INCIDENT + 86_400), boot: None, zone };
        clock.resolve(&stamp(text)).unwrap()
    };
    let line = "Nov 22 03:12:07 web kernel: x";
    let unknown = at(Zone::Unknown, line);
    assert_eq!(unknown.earliest.secs(), INCIDENT - 14 * 3600 - 1);
    assert_eq!(unknown.latest.secs(), INCIDENT + 12 * 3600);
    assert_eq!(at(Zone::Fixed(3600), line).latest.secs(), INCIDENT - 3600);
    // Central European time: the hour from 2 to 3 comes twice on 25 October 2026.
    let rules = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let twice = at(Zone::Rules(rules.clone()), "Oct 25 02:30:00 web kernel: x");
    assert_eq!(twice.latest.secs() - twice.earliest.secs(), 3600 + 1);
    let summer = at(Zone::Rules(rules), "2026-07-01 12:00:00 web kernel: x");
    assert_eq!(summer.latest.secs(), 1_782_900_000);
    assert!(Zone::from_tzif(b"no such thing").is_none());
}

#[test]
fn absurd_dates_neither_panic_nor_wrap() {
    for stamp in [
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:60+23:59",
        "2026-13-41T25:61:61Z",
        "9999 Dec 31 23:59:59",
        "[18446744073.999999]",
        "[99999999999999999999.9]",
    ] {
        let line = format!("{stamp} web kernel: nf_conntrack: table full");
        for form in [Form::Syslog, Form::Dmesg] {
            let parsed = Line::parse(line.as_bytes(), form);
            if let Some(range) = parsed.and_then(|l| l.stamp).and_then(|s| clock().resolve(&s)) {
                assert!(range.earliest <= range.latest, "{line}");
            }
        }
    }
}

#[test]
fn keepers_tell_what_they_lost_and_whether_it_may_be_the_kernels() {
    let loss = |tag: &str, text: &str| recognise_loss(tag.as_bytes(), text.as_bytes());
    let of = |by, count, kernel| Some(Loss { by, count, kernel });
    assert_eq!(
        loss("systemd-journald", "Suppressed 1241 messages from nginx.service"),
        of(Keeper::Journald, Some(1241), false)
    );
    assert_eq!(
        loss("systemd-journald", "Missed 35 kernel messages"),
        of(Keeper::Journald, Some(35), true)
    );
    assert_eq!(
        loss("systemd-journald", "/dev/kmsg buffer overrun, some messages lost."),
        of(Keeper::Journald, None, true)
    );
    assert_eq!(
        loss("rsyslogd-2177", "imuxsock lost 112 messages from pid 812 due to rate-limiting"),
        of(Keeper::Rsyslog, Some(112), false)
    );
    assert_eq!(
        loss(
            "rsyslogd",
            "imjournal: 9 messages lost due to rate-limiting (20000 allowed within 600 seconds)"
        ),
        of(Keeper::Rsyslog, Some(9), true)
    );
    assert_eq!(loss("sshd", "Missed 35 kernel messages"), None);
}

#[test]
fn no_mutation_of_a_line_panics() {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let seeds = [
        "Nov 22 03:12:07 web kernel: [ 1000.123456][  T812] nf_conntrack: table full",
        "<4>1 2026-11-22T03:12:07Z web kernel - - [a@1 b=\"x] y\"][c@1] nf_conntrack: table full",
        "Sun 2026-11-22 03:12:07 UTC web kernel: message repeated 5 times: [ x]",
        "[Sun Nov 22 03:12:07 2026] TCP: request_sock_TCP: Possible SYN flooding on port [::]:80. S",
        "kern  :warn  : [ 1000.123456] nf_conntrack version 0.5.0 (16384 buckets, 65536 max) - 9 b",
        "4,1234,1000123456,-,caller=T1;nf_conntrack: nf_conntrack: table full in netns 4026532246",
        "{\"_TRANSPORT\":\"kernel\",\"MESSAGE\":[110,102],\"__REALTIME_TIMESTAMP\":\"1795317127250000\"}",
        "MESSAGE=x\n_TRANSPORT=kernel\n__REALTIME_TIMESTAMP=1795317127250000\nMESSAGE\n\u{5}\0\0\0\0\0\0\0abcde\n",
        "1763780000.123456 web kernel: CT: 101: ip_conntrack: VPS 7 table full",
    ];
    let clock = clock();
    for _ in 0..40_000 {
        let mut bytes = seeds[random(seeds.len())].as_bytes().to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.splice(at..at, *b"999999999999").for_each(drop),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        for form in [Form::Dmesg, Form::Syslog, Form::Json, Form::Export] {
            if let Some(line) = Line::parse(&bytes, form) {
                let _ = recognise(&line.text);
                let _ = recognise_loss(b"systemd-journald", &line.text);
                if let Some(range) = line.stamp.and_then(|stamp| clock.resolve(&stamp)) {
                    assert!(range.earliest <= range.latest);
                    let _ = (range.middle(), range.slack());
                }
            }
        }
        let _ = record(&bytes);
    }
}
