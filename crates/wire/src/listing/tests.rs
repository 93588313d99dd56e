#![allow(clippy::unwrap_used)]
//! Text of real kernels: fixtures/ctnetlink/RECIPE.md and fixtures/listings/RECIPE.md.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{
    Entry, L4, Protocol, SctpState, Seconds, State, Status, TcpState, ZoneDirection,
};

use super::*;
use crate::ctnetlink::tests::flows;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../fixtures/", $name))
    };
}

fn read(line: &str) -> Line<'_> {
    parse(line.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{line}"))
}

fn written(line: &Line<'_>, dialect: Dialect) -> String {
    let mut out = String::new();
    write(&mut out, line, dialect).unwrap();
    out
}

#[test]
fn what_each_kernel_wrote_is_read_and_written_again_byte_for_byte() {
    let all = [
        (fixture!("listings/2.6.32.69/nf_conntrack"), Dialect::Proc),
        (fixture!("listings/2.6.32.69/ip_conntrack"), Dialect::OldProc),
        (fixture!("listings/3.10.105/nf_conntrack"), Dialect::Proc),
        (fixture!("listings/3.10.105/ip_conntrack"), Dialect::OldProc),
        (fixture!("listings/4.9.229/nf_conntrack"), Dialect::Proc),
        (fixture!("listings/5.10.0-46/nf_conntrack"), Dialect::Proc),
        (fixture!("listings/6.1.0-56/nf_conntrack"), Dialect::Proc),
        (fixture!("listings/6.12.117/nf_conntrack"), Dialect::Proc),
        (fixture!("listings/6.16.3/nf_conntrack"), Dialect::Proc),
        (fixture!("listings/6.18.15/nf_conntrack"), Dialect::Proc),
        (fixture!("listings/7.3.4/nf_conntrack"), Dialect::Proc),
        (fixture!("ctnetlink/dump-defaults.proc"), Dialect::Proc),
        (fixture!("ctnetlink/dump-accounting.proc"), Dialect::Proc),
        (fixture!("ctnetlink/dump-defaults.tool"), Dialect::Tool),
        (fixture!("ctnetlink/dump-accounting.tool"), Dialect::ToolExtended),
        (fixture!("ctnetlink/dump-accounting.ktimestamp"), Dialect::ToolExtended),
        (fixture!("listings/6.1.0-56/conntrack-L"), Dialect::ToolExtended),
    ];
    for (text, dialect) in all {
        assert!(text.lines().count() >= 17);
        for line in text.lines().filter(|l| !l.starts_with("conntrack v")) {
            assert_eq!(written(&read(line), dialect), line);
        }
    }
}

#[test]
fn the_line_of_a_2_4_kernel_has_use_before_mark() {
    let text = "tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=4000 dport=22 \
                src=10.0.0.2 dst=10.0.0.1 sport=22 dport=4000 [ASSURED] use=1 mark=0";
    let line = read(text);
    assert_eq!(line.entry.references, Some(1));
    assert_eq!(written(&line, Dialect::Proc24), text);
}

/// The two views of one table, by original tuple; the seconds run between the readings.
fn dump(hex: &str) -> Vec<Entry> {
    flows(hex).into_iter().map(|flow| flow.entry).collect()
}

/// Drops what one of two views cannot tell.
fn common(mut entry: Entry) -> Entry {
    let told = Status::SEEN_REPLY | Status::ASSURED | Status::OFFLOAD | Status::HW_OFFLOAD;
    entry.status.0 &= told.0;
    entry.expires = entry.expires.map(|s| Seconds(s.get() / 10));
    (entry.id, entry.references, entry.age, entry.helper) = (None, None, None, None);
    (entry.started, entry.labels) = (None, None);
    entry
}

#[test]
fn the_dump_the_proc_file_and_the_tool_tell_of_the_same_entries() {
    let accounting = dump(fixture!("ctnetlink/dump-accounting.hex"));
    let defaults = dump(fixture!("ctnetlink/dump-defaults.hex"));
    let views = [
        (&accounting, fixture!("ctnetlink/dump-accounting.proc")),
        (&accounting, fixture!("ctnetlink/dump-accounting.tool")),
        (&accounting, fixture!("ctnetlink/dump-accounting.ktimestamp")),
        (&defaults, fixture!("ctnetlink/dump-defaults.proc")),
        (&defaults, fixture!("ctnetlink/dump-defaults.tool")),
    ];
    for (entries, text) in views {
        assert_eq!(entries.len(), 17);
        assert_eq!(text.lines().count(), 17);
        for line in text.lines() {
            let told = common(read(line).entry);
            let found = entries.iter().find(|e| e.original == told.original && e.zone == told.zone);
            assert_eq!(common(*found.expect("the same tuple")), told);
        }
    }
}

#[test]
fn the_tools_own_id_is_told_apart_from_an_icmp_querys() {
    let entries = dump(fixture!("ctnetlink/dump-accounting.hex"));
    for line in fixture!("ctnetlink/dump-accounting.tool").lines() {
        let told = read(line).entry;
        let found = entries.iter().find(|e| e.id == told.id).expect("the same id");
        assert_eq!(found.original, told.original);
        assert_eq!(found.helper, told.helper);
    }
}

#[test]
fn xml_tells_the_same_but_for_icmp() {
    let entries = dump(fixture!("ctnetlink/dump-accounting.hex"));
    let mut seen = 0;
    for line in fixture!("ctnetlink/dump-accounting.xml").lines().filter(|l| l.starts_with("<flow"))
    {
        assert_eq!(xml::flow_end(line.as_bytes()), Some(line.len()));
        let told = xml::parse(line.as_bytes()).unwrap();
        let mut found = *entries.iter().find(|e| e.id == told.id).unwrap();
        for tuple in [&mut found.original, &mut found.reply] {
            if matches!(tuple.protocol, Protocol::Icmp | Protocol::Icmpv6) {
                tuple.l4 = L4::None;
            }
        }
        assert_eq!(common(told), common(found));
        seen += 1;
    }
    assert_eq!(seen, 17);
}

/// As conntrack(8) 1.4.7 prints an entry of DCCP on 6.18; the kernel's own file shows nothing there.
#[test]
fn a_protocol_that_has_lost_its_tracker_has_ports_of_zero_in_the_tools_forms() {
    let proc = "ipv4     2 unknown  33 599 src=10.0.0.1 dst=10.0.0.2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 \
                mark=0 zone=0 use=2";
    let line = read(proc);
    assert_eq!(line.entry.original.l4, L4::None);
    let text = written(&line, Dialect::ToolExtended);
    assert!(text.contains("dst=10.0.0.2 sport=0 dport=0 [UNREPLIED] "), "{text}");
    assert_eq!(written(&line, Dialect::Proc), proc);
}

#[test]
fn a_closed_sctp_association_is_closed_though_the_xml_calls_it_syn_sent() {
    let line = fixture!("ctnetlink/dump-accounting.xml")
        .lines()
        .find(|l| l.contains("protonum=\"132\""))
        .unwrap();
    assert!(line.contains("<state>SYN_SENT</state>"));
    let entry = xml::parse(line.as_bytes()).unwrap();
    assert_eq!(entry.state, State::Sctp(SctpState::Closed));
}

#[test]
fn the_save_form_tells_the_same_but_for_counters_marks_and_helpers() {
    let entries = dump(fixture!("ctnetlink/dump-accounting.hex"));
    let mut seen = 0;
    for line in fixture!("ctnetlink/dump-accounting.save").lines() {
        let told = common(save::parse(line.as_bytes()).unwrap());
        let found = entries.iter().find(|e| e.original == told.original).expect("the same tuple");
        let mut found = common(*found);
        (found.original_accounting, found.reply_accounting, found.mark) = (None, None, None);
        assert_eq!(told, found, "{line}");
        seen += 1;
    }
    assert_eq!(seen, 17);
}

#[test]
fn an_offloaded_entry_has_no_seconds_and_hides_that_it_is_assured() {
    let tcp = read(
        "ipv4     2 tcp      6 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 \
         dst=10.0.0.1 sport=2 dport=1 [HW_OFFLOAD] mark=0 zone=0 use=3 ",
    );
    assert_eq!((tcp.entry.expires, tcp.entry.state), (None, State::Tcp(TcpState::Established)));
    assert!(tcp.entry.status.contains(Status::HW_OFFLOAD | Status::ASSURED));
    let udp = read(
        "ipv4     2 udp      17 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 \
         dst=10.0.0.1 sport=2 dport=1 [OFFLOAD] mark=0 zone=0 use=3",
    );
    assert!(!udp.entry.is_assured());
}

#[test]
fn unknown_keys_and_any_order_behind_the_reply_tuple_are_accepted() {
    let line = read(
        "udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [UNREPLIED] src=10.0.0.2 \
         dst=10.0.0.1 sport=2 dport=1 use=2 delta-time=7 secctx=system_u:object_r:x_t:s0 \
         novel=yes zone-reply=5 [NOVEL] secmark=9 mark=1  ",
    );
    let e = &line.entry;
    assert_eq!((e.references, e.age, e.mark), (Some(2), Some(Seconds(7)), Some(1)));
    assert_eq!((e.zone.id, e.zone.direction), (5, ZoneDirection::Reply));
    assert_eq!((line.security, line.secmark), (Some("system_u:object_r:x_t:s0"), Some(9)));
    assert!(!e.is_replied());
}

#[test]
fn gre_keys_are_hexadecimal_and_its_timeouts_end_in_a_comma() {
    let line =
        fixture!("ctnetlink/dump-defaults.proc").lines().find(|l| l.contains("gre")).unwrap();
    assert_eq!(read(line).gre, Some((Seconds(30), Seconds(180))));
    let keyed = read(
        "gre      47 29 src=10.0.0.1 dst=10.0.0.2 srckey=0x1a dstkey=0xffff src=10.0.0.2 \
         dst=10.0.0.1 srckey=0xffff dstkey=0x1a",
    );
    assert_eq!(keyed.entry.original.l4, L4::Gre { source: 0x1a, destination: 0xffff });
}

#[test]
fn what_is_no_entry_says_what_was_expected() {
    for text in [
        "",
        "   ",
        "conntrack v1.4.7 (conntrack-tools): 17 flow entries have been shown.",
        "tcp",
        "tcp 6",
        "tcp 6 10 ESTABLISHED src=10.0.0.1",
        "tcp 6 10 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2",
        "tcp 6 10 ESTABLISHED src=10.0.0.1 dst=::1 sport=1 dport=2 src=::1 dst=10.0.0.1",
        "tcp 6 10 X src=10.0.0.1 dst=10.0.0.2 sport=99999 dport=2 src=10.0.0.2 dst=10.0.0.1",
        "ipv6 10 tcp 6 10 X src=10.0.0.1 dst=10.0.0.2 src=10.0.0.2 dst=10.0.0.1",
        "tcp 6 10 X src=1.1.1.1 dst=1.1.1.2 src=1.1.1.2 dst=1.1.1.1 src=1.1.1.3 dst=1.1.1.3",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
    let error = parse(b"tcp 6 10 X src=zz dst=10.0.0.2").unwrap_err();
    assert_eq!(alloc::format!("{error}"), "src=: expected an address, saw \"zz\"");
}

#[test]
fn a_line_cut_or_bent_anywhere_never_panics() {
    for text in [
        fixture!("ctnetlink/dump-accounting.ktimestamp"),
        fixture!("ctnetlink/dump-accounting.xml"),
    ] {
        for line in text.lines() {
            for cut in 0..line.len() {
                let _ = parse(&line.as_bytes()[..cut]);
                let _ = xml::parse(&line.as_bytes()[cut..]);
                let mut bent = line.as_bytes().to_vec();
                for byte in [b' ', b'=', b'<', b'>', 0, 0xff] {
                    bent[cut] = byte;
                    let _ = parse(&bent);
                    let _ = xml::parse(&bent);
                    let _ = save::parse(&bent);
                }
            }
        }
    }
}

#[test]
fn an_entry_of_a_dump_is_written_as_the_tool_writes_it() {
    let entries = dump(fixture!("ctnetlink/dump-defaults.hex"));
    let lines: Vec<&str> = fixture!("ctnetlink/dump-defaults.tool").lines().collect();
    for (entry, line) in entries.into_iter().zip(lines) {
        let mut entry = entry;
        // The seconds ran on between the two readings, and ids were not asked of the tool.
        entry.expires = read(line).entry.expires;
        entry.id = None;
        assert_eq!(written(&entry.into(), Dialect::Tool), line);
    }
}

#[test]
fn addresses_are_written_as_inet_ntop_writes_them() {
    let line = |destination: &str| {
        let text = alloc::format!(
            "udp      17 29 src=fd00::1:0:0:5 dst={destination} sport=1 dport=2 src={destination} \
             dst=fd00::1:0:0:5 sport=2 dport=1"
        );
        assert_eq!(written(&read(&text), Dialect::Tool), text);
    };
    // Seen from conntrack 1.4.7 with glibc.
    for destination in ["::0.9.0.8", "::ffff:1.2.3.4", "::1", "::", "fd00::", "1:0:0:2::"] {
        line(destination);
    }
}

#[test]
fn a_dump_is_written_as_the_tool_saves_it_and_as_xml() {
    let text = flows(fixture!("ctnetlink/dump-accounting.hex"));
    let saved: Vec<&str> = fixture!("ctnetlink/dump-accounting.save").lines().collect();
    let marked =
        fixture!("ctnetlink/dump-accounting.xml").lines().filter(|l| l.starts_with("<flow"));
    let marked: Vec<&str> = marked.collect();
    assert_eq!((text.len(), saved.len(), marked.len()), (17, 17, 17));
    for ((mut flow, save), xml) in text.into_iter().zip(saved).zip(marked) {
        // The seconds ran on between the readings.
        flow.entry.expires = save::parse(save.as_bytes()).unwrap().expires;
        let mut out = Vec::new();
        save::append(&mut out, &flow.entry, flow.details.sctp_tags);
        assert_eq!(String::from_utf8(out).unwrap(), save);
        let then = xml::parse(xml.as_bytes()).unwrap();
        (flow.entry.expires, flow.entry.age) = (then.expires, then.age);
        let mut out = Vec::new();
        let extra = xml::Extra { times: (flow.details.started, None), ..xml::Extra::default() };
        xml::append(&mut out, &flow.entry, &extra);
        assert_eq!(String::from_utf8(out).unwrap(), xml);
    }
}

#[test]
fn an_entry_of_two_families_is_none_in_any_form() {
    let xml = fixture!("ctnetlink/dump-accounting.xml");
    let flow = xml.lines().find(|line| line.contains(">127.0.0.1<")).unwrap();
    let (original, reply) = flow.split_at(flow.find("\"reply\"").unwrap());
    let bent = alloc::format!("{original}{}", reply.replace("127.0.0.1", "::1"));
    assert!(xml::parse(bent.as_bytes()).is_err());
    let saved = "-A -t 9 -u UNSET -s 127.0.0.1 -d 127.0.0.1 -r ::1 -q ::1 -p 89";
    assert!(save::parse(saved.as_bytes()).is_err());
}
