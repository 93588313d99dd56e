#![allow(clippy::unwrap_used)]

use alloc::format;
use alloc::vec;

use plimsoll_ct::Nanos;
use plimsoll_wire::log::{Form, Zone};

use super::*;

/// 2026-11-22 03:12:07 UTC.
const INCIDENT: i64 = 1_795_317_127;
const BOOT: i64 = INCIDENT - 100_000;

fn builder(zone: Zone) -> LogDigestBuilder {
    let clock = Clock {
        now: Time::from_secs(INCIDENT + 86_400),
        boot: Some(TimeRange::around(Time::from_secs(BOOT), Nanos(50_000_000))),
        zone,
    };
    LogDigestBuilder::new(clock, Some("web.example.net"))
}

fn say(builder: &mut LogDigestBuilder, form: Form, lines: &[&str]) {
    for line in lines {
        let line = Line::parse(line.as_bytes(), form).unwrap();
        builder.line(&line, true);
    }
}

/// Ten lines in a burst, `at` seconds after the incident, as dmesg and as a syslog file show them.
fn burst(at: i64, dmesg: &mut LogDigestBuilder, form: Form) {
    for i in 0..10 {
        let line = match form {
            Form::Dmesg => {
                format!(
                    "[{}.{i}00000] nf_conntrack: table full, dropping packet",
                    INCIDENT - BOOT + at
                )
            }
            _ => format!(
                "Nov 22 03:{:02}:{:02} web kernel: nf_conntrack: table full, dropping packet",
                12 + (7 + at) / 60,
                (7 + at) % 60
            ),
        };
        say(dmesg, form, &[&line]);
    }
}

/// Inode, whether before this boot, and lines.
fn rows(seen: &Seen) -> Vec<(Option<u64>, bool, u64)> {
    seen.namespaces.iter().map(|n| (n.inode, n.earlier_boot, n.lines)).collect()
}

#[test]
fn lines_before_this_boot_are_told_apart_in_whichever_logs_they_stand() {
    let line =
        |at: &str| format!("{at} web kernel: nf_conntrack: table full in netns 7, dropping packet");
    let now = format!(
        "[{}.000000] nf_conntrack: table full in netns 7, dropping packet",
        INCIDENT - BOOT
    );
    let mut b = builder(Zone::utc());
    b.begin("/dev/kmsg");
    say(&mut b, Form::Dmesg, &[&now]);
    for series in ["messages", "journal"] {
        b.begin(series);
        // The boot was on the 20th at 23:25.
        for at in ["Nov 20 23:20:00", "Nov 20 23:21:00", "Nov 22 03:12:07"] {
            say(&mut b, Form::Syslog, &[&line(at)]);
        }
    }
    let seen = b.finish().table_full.unwrap();
    assert_eq!(seen.lines, 3);
    assert_eq!(rows(&seen), vec![(Some(7), true, 2), (Some(7), false, 1)]);
    let [old, new] = seen.namespaces.as_slice() else { panic!("{seen:#?}") };
    assert!(old.last.unwrap().latest.secs() < BOOT && new.first.unwrap().earliest.secs() > BOOT);
    assert_eq!((old.first, new.last), (seen.first, seen.last));
}

#[test]
fn the_latest_run_of_lines_is_told_with_its_beginning() {
    let mut b = builder(Zone::utc());
    b.begin("messages");
    for at in [0, 60, 120, 1_000, 1_200, 1_490] {
        burst(at, &mut b, Form::Syslog);
    }
    let seen = b.finish().table_full.unwrap();
    let [all] = seen.namespaces.as_slice() else { panic!("{seen:#?}") };
    assert_eq!(all.first, seen.first);
    let since = all.since.unwrap().earliest.secs() - INCIDENT;
    assert!((980..=1_000).contains(&since), "{since}");
}

#[test]
fn one_run_of_lines_begins_with_its_first() {
    let mut b = builder(Zone::utc());
    b.begin("messages");
    burst(0, &mut b, Form::Syslog);
    burst(240, &mut b, Form::Syslog);
    let seen = b.finish().table_full.unwrap();
    assert_eq!(seen.namespaces[0].since, seen.first);
}

#[test]
fn a_line_found_in_three_logs_counts_once() {
    let mut b = builder(Zone::utc());
    for (series, form) in
        [("/dev/kmsg", Form::Dmesg), ("messages", Form::Syslog), ("kern.log", Form::Syslog)]
    {
        b.begin(series);
        for at in [0, 30, 60, 600] {
            burst(at, &mut b, form);
        }
    }
    let seen = b.finish().table_full.unwrap();
    assert_eq!((seen.lines, seen.packets_at_least), (40, 40));
    assert_eq!(rows(&seen), vec![(None, false, 40)]);
    // After a day the kernel's clock may be five seconds off: the stamp in whole seconds is surer.
    let first = seen.first.unwrap();
    assert_eq!(first.earliest.secs(), INCIDENT - 1);
    assert!(first.slack() <= Nanos(1_100_000_000), "{first:?}");
}

#[test]
fn rotated_files_of_one_log_add_up() {
    let mut b = builder(Zone::utc());
    for _file in 0..2 {
        b.begin("messages");
        burst(0, &mut b, Form::Syslog);
    }
    assert_eq!(b.finish().table_full.unwrap().lines, 20);
}

#[test]
fn logs_that_hold_different_days_add_up() {
    let mut b = builder(Zone::utc());
    b.begin("messages");
    burst(0, &mut b, Form::Syslog);
    b.begin("journal");
    burst(1200, &mut b, Form::Syslog);
    assert_eq!(b.finish().table_full.unwrap().lines, 20);
}

#[test]
fn an_unknown_zone_never_makes_the_count_too_large() {
    let mut b = builder(Zone::Unknown);
    b.begin("/dev/kmsg");
    burst(0, &mut b, Form::Dmesg);
    b.begin("messages");
    burst(0, &mut b, Form::Syslog);
    let seen = b.finish().table_full.unwrap();
    assert_eq!(seen.lines, 10);
    // And the surer clock tells when.
    assert!(seen.first.unwrap().slack() <= Nanos(6_000_000_000));
}

#[test]
fn dmesg_without_stamps_counts_beside_a_log_with_stamps_only_once() {
    let mut b = builder(Zone::utc());
    b.begin("dmesg");
    say(&mut b, Form::Dmesg, &["nf_conntrack: table full, dropping packet."; 7]);
    b.begin("messages");
    burst(0, &mut b, Form::Syslog);
    let seen = b.finish().table_full.unwrap();
    assert_eq!(seen.lines, 10);
    assert_eq!(seen.first.unwrap().latest.secs(), INCIDENT);
}

#[test]
fn namespaces_are_counted_apart() {
    let mut b = builder(Zone::utc());
    for series in ["/dev/kmsg", "dmesg"] {
        b.begin(series);
        let inner = "[100000.1] nf_conntrack: nf_conntrack: table full in netns 4026532246, dropping packet";
        let outer = "[100000.2] nf_conntrack: nf_conntrack: table full, dropping packet";
        say(&mut b, Form::Dmesg, &[inner, inner, outer]);
    }
    let seen = b.finish().table_full.unwrap();
    assert_eq!(rows(&seen), vec![(Some(4_026_532_246), false, 2), (None, false, 1)]);
    let [inner, outer] = seen.namespaces.as_slice() else { panic!("{seen:#?}") };
    assert!(inner.last.unwrap().earliest < outer.first.unwrap().earliest, "{seen:#?}");
    assert!(inner.example.contains("4026532246") && !outer.example.contains("4026532246"));
    assert_eq!(seen.lines, 3);
}

#[test]
fn a_repetition_proves_as_many_packets_but_is_one_line() {
    let full = "Nov 22 03:12:07 web kernel: ip_conntrack: table full, dropping packet.";
    let mut b = builder(Zone::utc());
    b.begin("messages");
    let again = "Nov 22 03:12:38 web last message repeated 9 times";
    say(&mut b, Form::Syslog, &[full, again, again]);
    // Of something else, though ours is not far.
    say(&mut b, Form::Syslog, &["Nov 22 03:13:00 web sshd[1]: x", again]);
    let seen = b.finish().table_full.unwrap();
    assert_eq!((seen.lines, seen.packets_at_least), (3, 19));
    // The last repetition came after the first line and before the notice.
    let last = seen.last.unwrap();
    assert_eq!((last.earliest.secs(), last.latest.secs()), (INCIDENT - 1, INCIDENT + 31));

    let mut b = builder(Zone::utc());
    b.begin("messages");
    b.line(&Line::parse(full.as_bytes(), Form::Syslog).unwrap(), true);
    // A line that is not ours stands between: what repeated is that.
    b.line(&Line::parse(again.as_bytes(), Form::Syslog).unwrap(), false);
    assert_eq!(b.finish().table_full.unwrap().packets_at_least, 1);

    let mut b = builder(Zone::utc());
    b.begin("messages");
    b.with_gaps();
    say(&mut b, Form::Syslog, &[full, again]);
    assert_eq!(b.finish().table_full.unwrap().packets_at_least, 1);

    let mut b = builder(Zone::utc());
    b.begin("syslog");
    let quoted = "Nov 22 03:12:07 web kernel: message repeated 5 times: [ nf_conntrack: table full, dropping packet]";
    say(&mut b, Form::Syslog, &[quoted]);
    let seen = b.finish().table_full.unwrap();
    assert_eq!((seen.lines, seen.packets_at_least), (1, 5));
}

#[test]
fn a_repetition_across_slots_never_makes_the_count_too_large() {
    // The journal holds twenty lines over a minute, syslog the first and "repeated 19 times".
    let mut b = builder(Zone::utc());
    b.begin("journal");
    for at in 0..20 {
        let line = format!(
            "Nov 22 03:12:{:02} web kernel: nf_conntrack: table full, dropping packet",
            7 + 2 * at
        );
        say(&mut b, Form::Syslog, &[&line]);
    }
    b.begin("messages");
    say(
        &mut b,
        Form::Syslog,
        &[
            "Nov 22 03:12:07 web kernel: nf_conntrack: table full, dropping packet",
            "Nov 22 03:12:46 web last message repeated 19 times",
        ],
    );
    let seen = b.finish().table_full.unwrap();
    assert_eq!((seen.lines, seen.packets_at_least), (20, 20));
}

#[test]
fn suppressed_messages_are_no_packets() {
    let mut b = builder(Zone::utc());
    b.begin("dmesg");
    say(
        &mut b,
        Form::Dmesg,
        &[
            "[100000.1] nf_conntrack: table full, dropping packet",
            "[100005.1] net_ratelimit: 209 callbacks suppressed",
            "[100006.1] nvme_log_error: 5 callbacks suppressed",
        ],
    );
    let digest = b.finish();
    assert_eq!((digest.suppressed, digest.suppression_lines), (209, 1));
    assert_eq!(digest.table_full.unwrap().packets_at_least, 1);
}

#[test]
fn injected_lines_are_told_and_not_counted() {
    let mut b = builder(Zone::utc());
    b.begin("dmesg");
    say(&mut b, Form::Dmesg, &["<12>[100000.1] nf_conntrack: table full, dropping packet"]);
    let digest = b.finish();
    assert_eq!((digest.table_full, digest.injected), (None, 1));
}

#[test]
fn lines_of_other_hosts_are_told_and_not_counted() {
    let mut b = builder(Zone::utc());
    b.begin("messages");
    say(
        &mut b,
        Form::Syslog,
        &[
            "Nov 22 03:12:07 db-3 kernel: nf_conntrack: table full, dropping packet",
            "Nov 22 03:12:07 db-3.example.net kernel: nf_conntrack: table full, dropping packet",
            "Nov 22 03:12:07 WEB kernel: nf_conntrack: table full, dropping packet",
            "Nov 22 03:12:07 localhost kernel: nf_conntrack: table full, dropping packet",
        ],
    );
    let digest = b.finish();
    assert_eq!(digest.other_hosts, vec![("db-3".into(), 2)]);
    assert_eq!(digest.table_full.unwrap().lines, 2);
}

#[test]
fn a_page_allocation_failure_counts_only_where_the_trace_leads_to_conntrack() {
    let failure = "[100000.1] swapper/0: page allocation failure: order:0, mode:0x480020";
    let mut b = builder(Zone::utc());
    b.begin("dmesg");
    say(&mut b, Form::Dmesg, &[failure, "[100000.2]  __alloc_skb+0x1/0x2", failure]);
    say(
        &mut b,
        Form::Dmesg,
        &[
            "[100000.3]  __nf_conntrack_alloc+0x5d/0x1d0 [nf_conntrack]",
            "[100000.3]  ? init_conntrack+0x54/0x4f0 [nf_conntrack]",
            "[100000.3]   cache: nf_conntrack, object size: 256, buffer size: 256",
        ],
    );
    let seen = b.finish().page_allocation.unwrap();
    assert_eq!(seen.lines, 1);
}

#[test]
fn what_the_keepers_lost_of_the_kernel_is_told() {
    let mut b = builder(Zone::utc());
    b.begin("messages");
    say(
        &mut b,
        Form::Syslog,
        &[
            "Nov 22 03:12:07 web systemd-journald[300]: Missed 35 kernel messages",
            "Nov 22 03:12:08 web systemd-journald[300]: Suppressed 12 messages from nginx.service",
        ],
    );
    b.overwritten(7);
    assert_eq!(b.finish().lost, 42);
}

#[test]
fn an_example_is_fit_for_a_terminal() {
    let mut b = builder(Zone::utc());
    b.begin("dmesg");
    let mut line = b"[1.1] nf_conntrack: table full, \x1b[31m\xff\x07".to_vec();
    line.extend([b'x'; 4000]);
    b.line(&Line::parse(&line, Form::Dmesg).unwrap(), true);
    let example = b.finish().table_full.unwrap().example;
    assert!(example.starts_with("nf_conntrack: table full, \u{fffd}[31m"));
    assert!(example.len() < 400 && !example.chars().any(char::is_control));
}

#[test]
fn stamps_of_an_earlier_boot_have_no_date() {
    let mut b = builder(Zone::utc());
    b.begin("/var/log/dmesg");
    b.of_an_earlier_boot();
    say(&mut b, Form::Dmesg, &["[5.1] nf_conntrack: table full, dropping packet"]);
    let seen = b.finish().table_full.unwrap();
    assert_eq!((seen.first, seen.lines), (None, 1));
}

#[test]
fn years_of_lines_and_thousands_of_namespaces_stay_within_bounds() {
    let mut b = builder(Zone::utc());
    b.begin("messages");
    for i in 0..50_000i64 {
        let line = Line {
            stamp: Some(Stamp::Known(TimeRange::exact(Time::from_secs(i * 40_000)))),
            host: None,
            speaker: Speaker::Kernel,
            text: format!("nf_conntrack: table full in netns {i}, dropping packet")
                .into_bytes()
                .into(),
            times: Times::Once,
        };
        b.line(&line, true);
    }
    let seen = b.finish().table_full.unwrap();
    assert_eq!(seen.lines, 50_000);
    assert_eq!(seen.namespaces.len(), 256);
    let unnamed = seen.namespaces.iter().filter(|n| n.inode.is_none()).count();
    assert_eq!(unnamed, 0, "nobody's lines become the initial namespace's");
}
