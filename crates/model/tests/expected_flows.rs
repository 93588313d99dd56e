//! Helpers and what they expect, told as stories. What they say was seen on Linux 6.18; `cargo xtask fidelity` sends
//! generated sessions through both.
#![allow(clippy::unwrap_used)]

use plimsoll_ct::{Bytes, Counter, L4, Profile, Status, Time};
use plimsoll_model::{Config, Fate, Helper, Info, Model, Settings, Step, Treatment, Verdict};
use plimsoll_wire::packet::parse_ip;

const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

struct Story {
    model: Model,
    helper: Option<Helper>,
}

/// Sender is the server, both ports, flags.
type Segment<'a> = (bool, (u16, u16), u8, u32, u32, &'a str);

impl Story {
    fn on(profile: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let profile = Profile::named(profile).unwrap();
        let mut settings = Settings::of(profile, Bytes(8 << 30));
        change(&mut settings);
        Self { model: Model::new(Config::new(profile, settings)), helper: None }
    }

    fn send(
        &mut self,
        seconds: i64,
        (reply, (from, to), flags, seq, ack, text): Segment<'_>,
    ) -> Step {
        let mut tcp = Vec::new();
        tcp.extend(from.to_be_bytes());
        tcp.extend(to.to_be_bytes());
        tcp.extend(seq.to_be_bytes());
        tcp.extend(ack.to_be_bytes());
        tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        // A character is an octet.
        tcp.extend(text.chars().map(|c| c as u8));
        let [long, octets] = (20 + tcp.len() as u16).to_be_bytes();
        let mut packet = vec![0x45, 0, long, octets, 0, 0, 0, 0, 64, 6, 0, 0];
        let (source, destination) = if reply { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
        packet.extend(source);
        packet.extend(destination);
        packet.extend(tcp);
        let treatment = Treatment { helper: self.helper, ..Treatment::default() };
        self.model.packet(Time::from_secs(seconds), &parse_ip(&packet).unwrap(), &treatment)
    }

    /// A packet of a PPTP call, by the call id of who gets it.
    fn gre(&mut self, reply: bool, call: u8) -> Step {
        self.gre_later(2, (reply, call), Fate::Accepted)
    }

    fn gre_later(&mut self, seconds: i64, (reply, call): (bool, u8), fate: Fate) -> Step {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 47, 0, 0];
        let (source, destination) = if reply { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
        packet.extend(source);
        packet.extend(destination);
        packet.extend([0x20, 1, 0x88, 0x0b, 0, 0, 0, call]);
        let packet = parse_ip(&packet).unwrap();
        let treatment = Treatment { fate, ..Treatment::default() };
        self.model.packet(Time::from_secs(seconds), &packet, &treatment)
    }

    /// A control connection that has been greeted: the client's next number is 107, the server's 207.
    fn greeted(&mut self) {
        self.send(0, (false, (4000, 21), SYN, 100, 0, ""));
        self.send(0, (true, (21, 4000), SYN | ACK, 200, 101, ""));
        self.send(0, (false, (4000, 21), ACK, 101, 201, ""));
        self.send(0, (true, (21, 4000), ACK, 201, 101, "220 .\n"));
        self.send(0, (false, (4000, 21), ACK, 101, 207, "USER.\n"));
    }

    fn counters(&self) -> [u64; 3] {
        [Counter::ExpectCreate, Counter::ExpectNew, Counter::ExpectDelete]
            .map(|counter| self.model.counters().get(counter).unwrap_or(0))
    }
}

fn read_by_a_helper() -> Story {
    let mut s = Story::on("6.18", |_| {});
    s.helper = Some(Helper::Ftp);
    s.greeted();
    s.helper = None;
    s
}

#[test]
fn a_data_connection_that_was_agreed_upon_is_related_and_has_a_master() {
    let mut s = read_by_a_helper();
    let said = s.send(1, (false, (4000, 21), ACK, 107, 207, "PORT 10,0,0,1,4,1\r\n"));
    assert_eq!(said.verdict, Verdict::Accept);
    let (expected, left) = s.model.expectations().next().unwrap();
    assert_eq!(expected.tuple().l4, L4::Ports { source: 0, destination: 1025 });
    assert_eq!(left, 300);
    let opened = s.send(2, (true, (20, 1025), SYN, 1, 0, ""));
    assert_eq!(opened.info, Info::Related);
    assert_eq!(s.model.expectations().count(), 0);
    assert_eq!(s.counters(), [1, 1, 1]);
    let (id, master) = s.model.masters().next().unwrap();
    assert_eq!(Some(id), opened.entry);
    assert_eq!(master.destination_port(), Some(21));
    assert!(s.model.entry(id).unwrap().status.contains(Status::EXPECTED));
    // It is RELATED until it is answered.
    assert_eq!(s.send(2, (true, (20, 1025), SYN, 1, 0, "")).info, Info::Related);
    assert_eq!(s.send(2, (false, (1025, 20), SYN | ACK, 9, 2, "")).info, Info::EstablishedReply);
    // Another one is nobody's.
    assert_eq!(s.send(3, (true, (20, 1026), SYN, 1, 0, "")).info, Info::New);
}

#[test]
fn an_expectation_ends_with_its_time_with_its_master_or_by_another_one() {
    let port = "PORT 10,0,0,1,4,1\r\n";
    let mut s = read_by_a_helper();
    s.send(1, (false, (4000, 21), ACK, 107, 207, port));
    s.send(2, (false, (4000, 21), ACK, 126, 207, "PORT 10,0,0,1,4,2\r\n"));
    s.send(2, (true, (21, 4000), ACK, 207, 145, ""));
    let ports: Vec<_> = s.model.expectations().map(|(e, _)| e.destination_port).collect();
    assert_eq!((ports, s.counters()), (vec![1026], [2, 0, 1]));
    // A wait of 300 s ends with a step of the kernel's timers of 4,096 ticks; one of them was at the first second.
    s.model.advance(Time::from_secs(310));
    let left = s.model.expectations().map(|(_, left)| left).next();
    assert_eq!((left, s.counters()), (Some(-8), [2, 0, 1]));
    s.model.advance(Time(1_000_000_000 + 19 * 4096 * 4_000_000));
    assert_eq!((s.model.expectations().count(), s.counters()), (0, [2, 0, 2]));

    let mut s = read_by_a_helper();
    s.send(1, (false, (4000, 21), ACK, 107, 207, port));
    s.send(1, (true, (21, 4000), RST | ACK, 207, 126, ""));
    assert_eq!(s.model.expectations().count(), 1);
    // The entry has expired, but is not collected: what it expects may still come, until it is.
    s.model.advance(Time::from_secs(200));
    assert_eq!((s.model.counted(), s.model.expectations().count()), (0, 0));
    assert_eq!(s.counters(), [1, 0, 1]);
}

#[test]
fn half_a_command_is_dropped_and_one_that_begins_no_line_is_not_read() {
    let mut s = read_by_a_helper();
    let half = s.send(1, (false, (4000, 21), ACK, 107, 207, "PORT 10,0,0"));
    assert_eq!(half.verdict, Verdict::Drop);
    let later = s.send(1, (false, (4000, 21), ACK, 110, 207, "PORT 10,0,0,1,4,1\r\n"));
    assert_eq!((later.verdict, s.model.expectations().count()), (Verdict::Accept, 0));
}

#[test]
fn no_more_is_expected_than_the_limit_and_what_would_be_is_dropped() {
    let mut s = Story::on("6.18", |settings| settings.expect_max = 0);
    s.helper = Some(Helper::Ftp);
    s.greeted();
    let said = s.send(1, (false, (4000, 21), ACK, 107, 207, "PORT 10,0,0,1,4,1\r\n"));
    assert_eq!(said.verdict, Verdict::Drop);
    assert_eq!(s.model.take_log()[0].text, "nf_conntrack: nf_conntrack: expectation table full");
}

#[test]
fn old_kernels_find_the_helper_by_the_port() {
    for (profile, reads) in [("3.10", true), ("4.9", false), ("6.18", false)] {
        let mut s = Story::on(profile, |_| {});
        s.greeted();
        let helper = s.model.entries().next().unwrap().helper;
        assert_eq!(helper, reads.then(|| "ftp".into()), "{profile}");
    }
}

/// A PPTP control message: type, two call ids, result.
fn message(kind: u8, calls: [u8; 2], result: u8) -> String {
    const LENGTHS: [usize; 14] = [0, 144, 144, 4, 4, 4, 8, 156, 20, 208, 12, 16, 4, 136];
    let length = LENGTHS[usize::from(kind)];
    let mut text = vec![0, (12 + length) as u8, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, kind, 0, 0];
    let [a, b] = calls;
    let mut body = vec![0, a, 0, b, result];
    if kind == 2 {
        body[2] = result;
    }
    body.resize(length, 0);
    text.extend(body);
    text.into_iter().map(char::from).collect()
}

/// A call is agreed upon: the client's id is 7, the server's 9. With the numbers that come next.
fn called() -> (Story, [u32; 2]) {
    called_on("6.18")
}

/// A control connection on which nothing was said, with the numbers that come next.
fn connected(profile: &str) -> (Story, [u32; 2]) {
    let mut s = Story::on(profile, |_| {});
    s.helper = Some(Helper::Pptp);
    s.send(0, (false, (4000, 1723), SYN, 100, 0, ""));
    s.send(0, (true, (1723, 4000), SYN | ACK, 200, 101, ""));
    s.send(0, (false, (4000, 1723), ACK, 101, 201, ""));
    (s, [101, 201])
}

/// One side says something: type, two call ids, result.
fn say(s: &mut Story, next: &mut [u32; 2], (reply, kind, calls, result): (bool, u8, [u8; 2], u8)) {
    let (own, other) = if reply { (1, 0) } else { (0, 1) };
    let ports = if reply { (1723, 4000) } else { (4000, 1723) };
    let text = message(kind, calls, result);
    s.send(1, (reply, ports, ACK, next[own], next[other], &text));
    next[own] += text.chars().count() as u32;
}

fn called_on(profile: &str) -> (Story, [u32; 2]) {
    let (mut s, mut next) = connected(profile);
    for (reply, kind, calls) in
        [(false, 1, [0, 0]), (true, 2, [0, 0]), (false, 7, [7, 0]), (true, 8, [9, 7])]
    {
        say(&mut s, &mut next, (reply, kind, calls, 1));
    }
    assert_eq!((s.model.expectations().count(), s.counters()), (2, [2, 0, 0]));
    (s, next)
}

#[test]
fn a_call_of_pptp_is_one_entry_in_both_directions_until_it_is_hung_up() {
    let (mut s, next) = called();
    // The client names the server's call, the server the client's.
    let there = s.gre(false, 9);
    assert_eq!((there.info, s.model.expectations().count()), (Info::Related, 0));
    let back = s.gre(true, 7);
    assert_eq!((back.info, back.entry), (Info::EstablishedReply, there.entry));
    let entry = s.model.entry(there.entry.unwrap()).unwrap();
    assert_eq!(entry.original.l4, L4::Gre { source: 7, destination: 9 });
    assert_eq!(s.counters(), [2, 1, 2]);
    s.send(2, (true, (1723, 4000), ACK, next[1], next[0], &message(13, [9, 0], 1)));
    assert!(s.model.entries().all(|entry| entry.original.destination_port() == Some(1723)));
    assert_eq!(s.gre(true, 7).info, Info::New);
}

/// Debian's 6.12.117 and 7.3.4: what a helper gives up is in the way, uncounted, until somebody comes by.
#[test]
fn what_a_helper_gives_up_is_counted_late_by_some_kernels() {
    for (profile, lingers) in [("6.1", 0), ("6.12", 1), ("6.18", 0), ("7.1", 1)] {
        // The other direction goes with the one that was met.
        let (mut s, _) = called_on(profile);
        s.gre(false, 9);
        let left = s.model.expectations().count();
        assert_eq!((left, s.counters()), (0, [2, 1, 2 - lingers]), "{profile}");

        // A call that is hung up before it began: its packets come late, and expected they are no more.
        let (mut s, next) = called_on(profile);
        s.send(2, (true, (1723, 4000), ACK, next[1], next[0], &message(13, [9, 0], 1)));
        let left = s.model.expectations().count();
        assert_eq!((left, s.counters()), (0, [2, 0, 2 - 2 * lingers]), "{profile}");
        for (reply, call, deleted) in [(false, 9, 2 - lingers), (true, 7, 2)] {
            assert_eq!(s.gre(reply, call).info, Info::New, "{profile}");
            assert_eq!(s.counters(), [2, 0, deleted], "{profile}");
        }

        // The next call needs their room.
        let (mut s, next) = called_on(profile);
        s.send(2, (true, (1723, 4000), ACK, next[1], next[0], &message(13, [9, 0], 1)));
        let after = next[1] + message(13, [9, 0], 1).chars().count() as u32;
        let ask = message(7, [3, 0], 1);
        s.send(2, (false, (4000, 1723), ACK, next[0], after, &ask));
        let asked = next[0] + ask.chars().count() as u32;
        s.send(2, (true, (1723, 4000), ACK, after, asked, &message(8, [4, 3], 1)));
        assert_eq!((s.model.expectations().count(), s.counters()), (2, [4, 0, 2]), "{profile}");
    }
}

/// Linux 6.18, `cargo xtask fidelity scripts 4000 77`: the keys of a call go with the entry that was expected, even
/// with one that a rule dropped before it came into the table.
#[test]
fn the_keys_of_a_call_go_with_its_entry() {
    let unknown = L4::Gre { source: 0, destination: 9 };
    let source = |s: &Story, step: Step| s.model.entry(step.entry.unwrap()).unwrap().original.l4;

    let (mut s, _) = called();
    assert_eq!(s.gre_later(2, (true, 7), Fate::Dropped).entry, None);
    let there = s.gre(false, 9);
    assert_eq!((there.info, source(&s, there)), (Info::New, unknown));

    // Unreplied, an entry of GRE lives for 30 s; the control connection lives on. Who finds it expired knew the keys.
    let (mut s, _) = called();
    let there = s.gre(false, 9);
    assert_eq!(source(&s, there), L4::Gre { source: 7, destination: 9 });
    let late = s.gre_later(33, (false, 9), Fate::Accepted);
    assert_eq!((late.info, source(&s, late)), (Info::New, L4::Gre { source: 7, destination: 9 }));
    let later = s.gre_later(34, (false, 9), Fate::Accepted);
    assert_eq!((later.info, source(&s, later)), (Info::New, unknown));
}

/// Linux 6.18, `cargo xtask fidelity scripts 20000 401`: who refuses a call that is under way does not rename it.
#[test]
fn a_refusal_that_names_another_call_leaves_the_one_that_is_known() {
    let (mut s, [to_server, to_client]) = called();
    let refusal = message(8, [10, 7], 2);
    s.send(2, (true, (1723, 4000), ACK, to_client, to_server, &refusal));
    let there = s.gre(false, 9).entry.unwrap();
    let after = to_client + refusal.chars().count() as u32;
    s.send(2, (true, (1723, 4000), ACK, after, to_server, &message(13, [7, 9], 1)));
    assert!(s.model.entry(there).is_none());
}

/// Linux 6.18, `cargo xtask fidelity scripts 4000 801`: who refuses the session that he has agreed to agrees to no call.
#[test]
fn a_session_that_is_refused_later_has_no_calls() {
    let (mut s, [to_server, to_client]) = called();
    let refusal = message(2, [0, 0], 2);
    s.send(2, (true, (1723, 4000), ACK, to_client, to_server, &refusal));
    let after = to_client + refusal.chars().count() as u32;
    s.send(2, (true, (1723, 4000), ACK, after, to_server, &message(8, [9, 7], 1)));
    assert_eq!(s.counters(), [2, 0, 0]);
}

/// Linux 6.18, `cargo xtask fidelity rehash 400 1795985572`: who refuses a call from the server can't take it any more. With the id that the
/// server gave it and none of the client the call ends, and takes an entry of these with it, which it never expected.
#[test]
fn a_call_from_the_server_that_was_refused_is_not_taken_later() {
    let (mut s, mut next) = connected("6.18");
    for (reply, kind, calls, result) in
        [(false, 1, [0, 0], 1), (true, 2, [0, 0], 1), (true, 9, [9, 7], 1), (false, 10, [7, 9], 0)]
    {
        say(&mut s, &mut next, (reply, kind, calls, result));
    }
    let unnamed = s.gre(false, 9).entry.unwrap();
    say(&mut s, &mut next, (false, 10, [7, 9], 1));
    assert!(s.model.entry(unnamed).is_some());
    say(&mut s, &mut next, (true, 13, [7, 9], 1));
    assert!(s.model.entry(unnamed).is_none());
    assert_eq!(s.counters(), [0, 0, 0]);
}

/// As a running 6.18 does: version 1 of GRE that carries no PPP has no tuple, and meets nothing.
#[test]
fn what_is_no_ppp_meets_no_call_of_the_ids_0() {
    let (mut s, mut next) = connected("6.18");
    for (reply, kind) in [(false, 1), (true, 2), (false, 7), (true, 8)] {
        say(&mut s, &mut next, (reply, kind, [0, 0], 1));
    }
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 47, 0, 0];
    packet.extend([CLIENT, SERVER].concat());
    packet.extend([0x20, 1, 8, 0, 0, 0, 0, 0]);
    let packet = parse_ip(&packet).unwrap();
    let step = s.model.packet(Time::from_secs(2), &packet, &Treatment::default());
    assert_eq!((step.info, s.counters()), (Info::Invalid, [2, 0, 0]));
    assert_eq!((s.gre(false, 0).info, s.counters()), (Info::Related, [2, 1, 2]));
}

/// Linux 6.18, `cargo xtask fidelity scripts 20000 303`: a control connection that spoke of no call takes the GRE entry
/// of the call ids 0 with it, which it never expected.
#[test]
fn a_control_connection_without_a_call_ends_that_of_the_ids_0() {
    let mut s = Story::on("6.18", |_| {});
    s.helper = Some(Helper::Pptp);
    let other = s.gre(false, 9).entry.unwrap();
    let unnamed = s.gre(false, 0).entry.unwrap();
    s.send(3, (false, (4000, 1723), ACK, 1, 1, ""));
    assert!(s.model.entry(unnamed).is_some());
    s.send(4, (false, (4000, 1723), RST, 1, 0, ""));
    assert!(s.model.entry(unnamed).is_none());
    assert!(s.model.entry(other).is_some());
}
