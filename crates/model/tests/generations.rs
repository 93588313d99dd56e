//! The same packets on several kernels: what `cargo xtask fidelity --guest` saw differ between them.
#![allow(clippy::unwrap_used)]

use plimsoll_ct::{Bytes, Counter, Entry, L4, Profile, SctpState, State, TcpState, Time};
use plimsoll_model::{Config, EventKind, Helper, Info, Model, Settings, Treatment};
use plimsoll_wire::packet::parse_ip;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

fn model(profile: &str) -> Model {
    model_with(profile, &[])
}

fn model_with(profile: &str, changes: &[(&str, u64)]) -> Model {
    let profile = Profile::named(profile).unwrap();
    let mut settings = Settings::of(profile, Bytes(8 << 30));
    for (name, value) in changes {
        settings.set(name, *value).unwrap();
    }
    Model::new(Config::new(profile, settings))
}

fn packet(reply: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, (20 + payload.len()) as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend(if reply { SERVER } else { CLIENT });
    packet.extend(if reply { CLIENT } else { SERVER });
    packet.extend(payload);
    packet
}

fn tcp(reply: bool, flags: u8, seq: u32, ack: u32, text: &str) -> Vec<u8> {
    let mut segment = if reply { vec![0, 21, 16, 0] } else { vec![16, 0, 0, 21] };
    segment.extend(seq.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(text.as_bytes());
    packet(reply, 6, &segment)
}

fn udp(reply: bool, protocol: u8, length: u8) -> Vec<u8> {
    let ports = if reply { [0, 53, 16, 0] } else { [16, 0, 0, 53] };
    packet(reply, protocol, &[&ports[..], &[0, length, 1, 1]].concat())
}

/// The information that each packet got, a millisecond after the other.
fn sent(model: &mut Model, packets: &[Vec<u8>]) -> Vec<Info> {
    let mut sent = Vec::new();
    for (at, packet) in (0..).zip(packets) {
        let packet = parse_ip(packet).unwrap();
        sent.push(model.packet(Time(at * 1_000_000), &packet, &Treatment::default()).info);
    }
    sent
}

fn only(model: &Model) -> Entry {
    let mut entries = model.entries();
    let entry = entries.next().expect("an entry");
    assert!(entries.next().is_none(), "one entry only");
    entry
}

fn state_and_seconds(model: &Model) -> (State, u64) {
    let entry = only(model);
    (entry.state, entry.expires.unwrap().get())
}

#[test]
fn udp_is_assured_after_two_seconds_only_on_5_10_as_later() {
    for (profile, assured) in [("5.4", true), ("5.10", false), ("6.1", false)] {
        let mut model = model(profile);
        sent(&mut model, &[udp(false, 17, 8), udp(true, 17, 8), udp(false, 17, 8)]);
        assert_eq!(only(&model).is_assured(), assured, "{profile}");
    }
}

/// Of a kernel that was never run: as its sources are described (2.4 to 2.6.30).
#[test]
fn an_echo_that_is_answered_as_often_as_asked_is_gone_on_2_6_18() {
    let echo = |reply: bool| {
        let kind = if reply { 0 } else { 8 };
        packet(reply, 1, &[kind, 0, 0, 0, 0, 7, 0, 1])
    };
    for (profile, ends) in [("2.6.18", true), ("2.6.32", false)] {
        let mut model = model(profile);
        // Two are under way at once. An answer that is not the last one leaves the time that the second question gave.
        let asked = [(0, false), (5, false), (9, true), (10, true), (11, true)];
        let steps = asked.map(|(second, reply)| {
            let (at, bytes) = (Time::from_secs(second), echo(reply));
            let step = model.packet(at, &parse_ip(&bytes).unwrap(), &Treatment::default());
            let left = model.entries().next().and_then(|entry| entry.expires);
            (step.info, left.map(|seconds| seconds.get()))
        });
        let first = [(Info::New, Some(30)), (Info::New, Some(30))];
        let answered = if ends {
            [
                (Info::EstablishedReply, Some(26)),
                (Info::EstablishedReply, None),
                (Info::Invalid, None),
            ]
        } else {
            [(Info::EstablishedReply, Some(30)); 3]
        };
        assert_eq!(steps, [&first[..], &answered[..]].concat()[..], "{profile}");
        assert_eq!(model.counted(), usize::from(!ends), "{profile}");
    }
}

#[test]
fn an_sctp_association_lives_210_seconds_on_5_10_as_later() {
    let chunk = |reply: bool, tag: u32, kind: u8| {
        let mut sctp = if reply { vec![0, 80, 16, 0] } else { vec![16, 0, 0, 80] };
        sctp.extend(tag.to_be_bytes());
        sctp.extend([0, 0, 0, 0, kind, 0, 0, 20, 0, 0, 0, 7]);
        sctp.extend([0; 12]);
        packet(reply, 132, &sctp)
    };
    let association =
        [chunk(false, 0, 1), chunk(true, 7, 2), chunk(false, 7, 10), chunk(true, 7, 11)];
    for (profile, seconds) in [("5.4", 432_000), ("5.10", 210), ("6.1", 210)] {
        let mut model = model(profile);
        sent(&mut model, &association);
        let established = State::Sctp(SctpState::Established);
        assert_eq!(state_and_seconds(&model), (established, seconds), "{profile}");
    }
}

#[test]
fn a_first_part_of_ipv6_without_all_headers_is_invalid_from_5_10_on() {
    let mut part = vec![0x60, 0, 0, 0, 0, 16, 44, 64];
    part.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    part.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    // TCP, offset 0, more follow; eight octets of a TCP header.
    part.extend([6, 0, 0, 1, 0, 0, 0, 9, 16, 0, 0, 80, 0, 0, 0, 0]);
    for (profile, invalid) in [("5.4", 0), ("5.10", 1), ("6.1", 1)] {
        let mut model = model(profile);
        sent(&mut model, &[part.clone()]);
        assert_eq!(model.counters().get(Counter::Invalid).unwrap_or(0), invalid, "{profile}");
    }
}

#[test]
fn an_ipv6_redirect_that_was_forwarded_is_an_error_from_5_10_on() {
    let mut redirect = vec![0x60, 0, 0, 0, 0, 8, 58, 64];
    redirect.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    redirect.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    redirect.extend([137, 0, 0, 0, 0, 7, 0, 0]);
    for (profile, counted) in [("5.4", [1, 0]), ("5.10", [0, 1]), ("6.1", [0, 1])] {
        let mut model = model_with(profile, &[("nf_conntrack_checksum", 0)]);
        sent(&mut model, &[redirect.clone()]);
        let seen = [Counter::Invalid, Counter::IcmpError]
            .map(|counter| model.counters().get(counter).unwrap_or(0));
        assert_eq!(seen, counted, "{profile}");
    }
}

#[test]
fn before_6_1_any_segment_of_the_answerer_begins_its_window_anew_while_the_handshake_lasts() {
    let far = [
        tcp(false, SYN, 0, 0, ""),
        tcp(true, SYN | ACK, 0, 1, ""),
        tcp(true, FIN | ACK, 1_000_000, 1, ""),
    ];
    for (profile, state, invalid) in [
        ("5.10", TcpState::FinWait, false),
        ("5.15", TcpState::FinWait, false),
        ("6.1", TcpState::SynRecv, true),
    ] {
        let mut model = model(profile);
        let infos = sent(&mut model, &far);
        assert_eq!(infos[2] == Info::Invalid, invalid, "{profile}");
        assert_eq!(only(&model).state, State::Tcp(state), "{profile}");
    }
}

/// The number is neither the one that the other side waits for nor below it.
#[test]
fn an_rst_that_ends_nothing_leaves_ten_seconds_or_those_of_unacknowledged_data() {
    let handshake = |last: Vec<u8>| {
        [tcp(false, SYN, 0, 0, ""), tcp(true, SYN | ACK, 0, 1, ""), tcp(false, ACK, 1, 1, ""), last]
    };
    let established = State::Tcp(TcpState::Established);
    for (profile, seconds) in [("6.1", 10), ("6.12", 300), ("6.18", 10), ("7.1", 300)] {
        let mut model = model(profile);
        sent(&mut model, &handshake(tcp(false, RST, 2, 0, "")));
        assert_eq!(state_and_seconds(&model), (established, seconds), "{profile}");
    }
    for profile in ["6.12", "7.1"] {
        // Also where nothing is unacknowledged; and the exact number ends the flow.
        let mut model = model_with(profile, &[("nf_conntrack_tcp_be_liberal", 1)]);
        sent(&mut model, &handshake(tcp(false, RST, 9_999_999, 0, "")));
        assert_eq!(state_and_seconds(&model), (established, 300), "{profile}");
        sent(&mut model, &[tcp(false, RST, 1, 0, "")]);
        assert_eq!(state_and_seconds(&model), (State::Tcp(TcpState::Close), 10), "{profile}");
    }
}

#[test]
fn an_rst_behind_unacknowledged_data_leaves_the_shorter_timeout_on_6_12_and_7_1() {
    let packets = [
        tcp(false, SYN, 0, 0, ""),
        tcp(true, SYN | ACK, 0, 1, ""),
        tcp(false, ACK, 1, 1, "data"),
        tcp(false, RST, 5, 0, ""),
    ];
    let changes =
        [("nf_conntrack_tcp_timeout_close", 100), ("nf_conntrack_tcp_timeout_unacknowledged", 70)];
    for (profile, seconds) in [("6.1", 100), ("6.12", 70), ("6.18", 100), ("7.1", 70)] {
        let mut model = model_with(profile, &changes);
        sent(&mut model, &packets);
        assert_eq!(state_and_seconds(&model), (State::Tcp(TcpState::Close), seconds), "{profile}");
    }
}

#[test]
fn an_rst_answers_a_syn_of_its_own_side_where_no_stable_series_forbids_it() {
    let crossed = [tcp(false, SYN, 0, 0, ""), tcp(true, SYN, 0, 0, ""), tcp(true, RST, 2, 0, "")];
    for (profile, state, seconds) in [
        ("5.4", TcpState::Close, 10),
        ("5.10", TcpState::SynSent2, 120),
        ("5.15", TcpState::Close, 10),
        ("6.1", TcpState::SynSent2, 120),
        ("6.12", TcpState::SynSent2, 120),
        ("6.18", TcpState::SynSent2, 120),
    ] {
        let mut model = model(profile);
        sent(&mut model, &crossed);
        assert_eq!(state_and_seconds(&model), (State::Tcp(state), seconds), "{profile}");
    }
}

/// Chunks SHUTDOWN ACK and HEARTBEAT, then an INIT ACK that nobody asked for.
#[test]
fn an_sctp_init_ack_that_nobody_asked_for_brings_no_tag_from_5_10_on() {
    let chunks = |kinds: &[u8]| {
        let mut sctp = vec![16, 0, 0, 80, 0, 0, 0, 9, 0, 0, 0, 0];
        for kind in kinds {
            sctp.extend([*kind, 0, 0, 20, 0, 0, 0, 7]);
            sctp.extend([0; 12]);
        }
        packet(false, 132, &sctp)
    };
    for (profile, invalid) in [("5.4", false), ("5.10", true), ("6.1", true)] {
        let mut model = model(profile);
        let infos = sent(&mut model, &[chunks(&[8, 4]), chunks(&[2])]);
        assert_eq!(infos[1] == Info::Invalid, invalid, "{profile}");
    }
}

/// `cargo xtask fidelity --guest 5.10 printed 2000 1`, and 6.1's.
#[test]
fn the_end_of_an_entry_is_told_without_its_state_up_to_5_10() {
    let packets = [tcp(false, SYN, 0, 0, ""), tcp(true, RST | ACK, 0, 1, "")];
    for (profile, told) in [("5.4", false), ("5.10", false), ("5.15", true), ("6.1", true)] {
        let mut model = model(profile);
        model.listen();
        sent(&mut model, &packets);
        let end = model.take_events().pop().unwrap();
        assert_eq!(end.kind, EventKind::Destroy, "{profile}");
        let tells = (end.entry.state != State::Stateless, end.entry.expires.is_some());
        assert_eq!(tells, (told, told), "{profile}");
    }
}

/// `cargo xtask fidelity --guest 5.10 rare 500 11`.
#[test]
fn an_rst_of_the_number_0_is_held_against_what_was_acknowledged_up_to_5_10() {
    let packets =
        [tcp(false, SYN, 0, 0, ""), tcp(true, SYN | ACK, 0, 1, ""), tcp(false, RST, 0, 0, "")];
    for (profile, invalid) in [("5.4", true), ("5.10", true), ("5.15", false), ("6.1", false)] {
        let infos = sent(&mut model(profile), &packets);
        assert_eq!(infos[2] == Info::Invalid, invalid, "{profile}");
    }
}

/// The same: of a flow that was met in the middle and is brought back in step by a SYN/ACK.
#[test]
fn a_side_stays_liberal_when_it_opens_anew_on_5_10_of_2026_and_6_1() {
    let packets = [
        tcp(false, ACK, 0, 0, ""),
        tcp(false, SYN, 0, 0, ""),
        tcp(true, SYN | ACK, 0, 1, ""),
        tcp(false, ACK, 1, 1, ""),
        tcp(true, ACK, 1, 2, ""),
    ];
    for (profile, invalid) in [("5.4", true), ("5.10", false), ("5.15", true), ("6.1", false)] {
        let infos = sent(&mut model(profile), &packets);
        assert_eq!(infos[4] == Info::Invalid, invalid, "{profile}");
    }
}

#[test]
fn an_ignored_syn_excuses_the_number_of_an_rst_from_5_15_on() {
    let packets = [
        tcp(false, SYN, 0, 0, ""),
        tcp(true, SYN | ACK, 0, 1, ""),
        tcp(false, ACK, 1, 1, ""),
        tcp(false, SYN, 1, 0, ""),
        tcp(false, RST, 2, 0, ""),
    ];
    for (profile, state) in
        [("5.10", TcpState::Established), ("5.15", TcpState::Close), ("6.1", TcpState::Close)]
    {
        let mut model = model(profile);
        sent(&mut model, &packets);
        assert_eq!(state_and_seconds(&model), (State::Tcp(state), 10), "{profile}");
    }
}

/// The RST that answers a challenge tells nothing of its side's window; before, it was a segment like others.
#[test]
fn an_rst_that_answers_a_challenge_is_not_learnt_from_on_6_1() {
    let packets = [
        tcp(false, SYN, 0, 0, ""),
        tcp(true, ACK, 7, 5000, ""),
        tcp(false, RST, 5000, 0, ""),
        tcp(true, ACK, 7, 5000, ""),
    ];
    for (profile, invalid) in [("5.10", false), ("6.1", true)] {
        let mut model = model(profile);
        let infos = sent(&mut model, &packets);
        assert_eq!(only(&model).state, State::Tcp(TcpState::Close), "{profile}");
        assert_eq!(infos[3] == Info::Invalid, invalid, "{profile}");
    }
}

#[test]
fn udp_lite_has_no_tracker_from_7_1_on() {
    for (profile, ports, seconds) in [("6.19", true, 30), ("7.1", false, 600)] {
        let mut model = model(profile);
        sent(&mut model, &[udp(false, 136, 8)]);
        let entry = only(&model);
        let l4 = if ports { L4::Ports { source: 4096, destination: 53 } } else { L4::None };
        assert_eq!((entry.original.l4, entry.expires.unwrap().get()), (l4, seconds), "{profile}");
    }
}

#[test]
fn a_data_port_beyond_sixteen_bits_is_expected_up_to_7_0() {
    for (profile, expected) in [("6.19", 1), ("7.1", 0)] {
        let mut model = model(profile);
        let control = [
            tcp(false, SYN, 100, 0, ""),
            tcp(true, SYN | ACK, 200, 101, ""),
            tcp(false, ACK, 101, 201, ""),
            tcp(true, ACK, 201, 101, "220 .\n"),
            tcp(false, ACK, 101, 207, "USER.\n"),
            tcp(false, ACK, 107, 207, "EPRT |1|10.0.0.1|66561|\r\n"),
        ];
        let by_ftp = Treatment { helper: Some(Helper::Ftp), ..Treatment::default() };
        for packet in &control {
            model.packet(Time(0), &parse_ip(packet).unwrap(), &by_ftp);
        }
        assert_eq!(model.expectations().count(), expected, "{profile}");
    }
}

/// A DCCP packet of a type, from port 4096 to 21, with long numbers.
fn dccp(kind: u8, length: u8) -> Vec<u8> {
    let mut header = vec![16, 0, 0, 21, length / 4, 0, 0, 0, kind << 1 | 1];
    header.resize(length.into(), 0);
    packet(false, 33, &header)
}

#[test]
fn each_kernel_words_in_its_own_way_what_it_does_not_like() {
    let settings = [("nf_conntrack_log_invalid", 255), ("nf_conntrack_checksum", 0)];
    let said = |profile: &str, packets: &[Vec<u8>]| -> Vec<String> {
        let mut model = model_with(profile, &settings);
        sent(&mut model, packets);
        model.take_log().into_iter().map(|line| line.text).collect()
    };
    let answered = [tcp(false, SYN, 99, 0, ""), tcp(true, SYN | ACK, 199, 100, "")];
    let open = [&answered[..], &[tcp(false, ACK, 100, 200, "")]].concat();
    let (newer, older) = (["6.1", "6.12", "6.18", "7.1"], ["5.10"]);
    let syn = [&open[..], &[tcp(true, SYN, 7, 0, ""), tcp(true, SYN | ACK, 7, 9, "")]].concat();
    let far = [&open[..], &[tcp(false, ACK, 100, 999, "")]].concat();
    for profile in newer {
        let invalid = "nf_ct_proto_6: packet (index 0) in dir 1 invalid, state ESTABLISHED ";
        let ignored = "nf_ct_proto_6: packet (index 1) in dir 1 ignored, state ESTABLISHED ";
        assert_eq!(said(profile, &syn), [invalid, ignored], "{profile}");
        let more = "nf_ct_proto_6: ACK is over upper bound 201 (ACKed data not seen yet) ";
        assert_eq!(said(profile, &far), [more], "{profile}");
    }
    for profile in older {
        let invalid = "nf_ct_proto_6: invalid state ";
        let ignored = "nf_ct_proto_6: invalid packet ignored in state ESTABLISHED  ";
        assert_eq!(said(profile, &syn), [invalid, ignored], "{profile}");
        let more = "nf_ct_proto_6: ACK is over the upper bound (ACKed data not seen yet) ";
        assert_eq!(said(profile, &far), [more], "{profile}");
    }
    // What opens nothing.
    let stray = [tcp(false, SYN | ACK, 1, 1, "")];
    for (profile, lines) in [("5.10", 0), ("6.1", 0), ("6.12", 1), ("6.18", 1), ("7.1", 1)] {
        assert_eq!(said(profile, &stray).len(), lines, "{profile}");
    }
    // Two closes out of their windows, from both sides.
    let closes = [tcp(false, FIN | ACK, 100, 999, ""), tcp(true, FIN | ACK, 200, 999, "")];
    let closed = [&open[..], &closes].concat();
    for profile in newer {
        let last = said(profile, &closed).pop().unwrap();
        let by = "packet (index 2, dir 1) response for index 2 lower timeout to 75000 ";
        let cause = if profile == "6.18" { by } else { "lowered timeout to UNACK " };
        assert_eq!(last, format!("nf_ct_proto_6: {cause}"), "{profile}");
    }
    // SCTP: a COOKIE ACK behind another chunk.
    let crowd =
        [packet(false, 132, &[16, 0, 0, 21, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 4, 11, 0, 0, 4])];
    let cause = "do_basic_checks failed. chunk num 1, type 11, len 1024 flag 0\\x0a ";
    assert_eq!(said("6.1", &crowd), [format!("nf_ct_proto_132: {cause}")]);
    assert!(said("5.10", &crowd).is_empty());
    // DCCP: nothing but a REQUEST opens; a short number; a coverage, a header and a type that are none; ignored.
    let mut covered = dccp(0, 20);
    covered[25] = 9;
    let mut brief = dccp(5, 24);
    brief[28] = 5 << 1;
    let packets = [
        dccp(0, 20),
        dccp(0, 20),
        dccp(3, 24),
        dccp(8, 24),
        dccp(12, 24),
        covered,
        brief,
        packet(false, 33, &[16, 0, 0, 21, 2, 0, 0, 0, 1, 0, 0, 0]),
    ];
    let causes = [
        "invalid state transition ",
        "invalid packet ",
        "nf_ct_dccp: reserved packet type  ",
        "nf_ct_dccp: bad checksum coverage  ",
        "nf_ct_dccp: type lacks 48bit sequence numbers ",
        "nf_ct_dccp: truncated/malformed packet  ",
    ];
    for profile in ["5.10", "6.1", "6.12"] {
        let lines = causes.map(|cause| format!("nf_ct_proto_33: {cause}"));
        assert_eq!(said(profile, &packets), lines, "{profile}");
    }
    assert_eq!(said("6.1", &packets[2..3]), ["nf_ct_proto_33: invalid state transition  "]);
    assert!(said("6.18", &packets).is_empty());
}
