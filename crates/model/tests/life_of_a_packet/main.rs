//! The life of packets, told as stories. What they say was seen on Linux 6.18; `cargo xtask fidelity`
//! holds the model to a running kernel.
#![allow(clippy::unwrap_used)]

mod dccp;
mod dumps;
mod full;
mod icmp;
mod sctp;
mod told;
mod zones;

use std::net::Ipv4Addr;

use plimsoll_ct::{Bytes, Counter, Entry, Profile, State, Status, TcpState, Time};
use plimsoll_model::{
    Arrival, Config, EventKind, Fate, Grid, Info, Model, Settings, Step, TimeoutPolicy, Treatment,
    Verdict, What,
};
use plimsoll_wire::packet::{LinkType, parse_ip};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

fn ms(n: i64) -> Time {
    Time(n * 1_000_000)
}

fn secs(n: i64) -> Time {
    Time::from_secs(n)
}

fn packet(from: [u8; 4], to: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, (20 + payload.len()) as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend(from);
    packet.extend(to);
    packet.extend(payload);
    packet
}

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

fn udp(reply: bool, port: u16) -> Vec<u8> {
    let [a, b] = port.to_be_bytes();
    if reply {
        packet(SERVER, CLIENT, 17, &[0, 53, a, b, 0, 8, 0, 0])
    } else {
        packet(CLIENT, SERVER, 17, &[a, b, 0, 53, 0, 8, 0, 0])
    }
}

fn tcp(reply: bool, flags: u8, seq: u32, ack: u32) -> Vec<u8> {
    let mut header = if reply { vec![0, 80, 16, 0] } else { vec![16, 0, 0, 80] };
    header.extend(seq.to_be_bytes());
    header.extend(ack.to_be_bytes());
    header.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    if reply { packet(SERVER, CLIENT, 6, &header) } else { packet(CLIENT, SERVER, 6, &header) }
}

fn config(profile: &str, change: impl FnOnce(&mut Settings)) -> Config {
    let profile = Profile::named(profile).unwrap();
    let mut settings = Settings::of(profile, Bytes(8 << 30));
    change(&mut settings);
    Config::new(profile, settings)
}

struct Story(Model);

impl Story {
    fn on(profile: &str, change: impl FnOnce(&mut Settings)) -> Self {
        Self(Model::new(config(profile, change)))
    }

    fn modern() -> Self {
        Self::on("6.18", |_| {})
    }

    fn at(&mut self, time: Time, packet: &[u8]) -> Step {
        self.with(time, packet, Treatment::default())
    }

    fn with(&mut self, time: Time, packet: &[u8], treatment: Treatment) -> Step {
        self.0.packet(time, &parse_ip(packet).unwrap(), &treatment)
    }

    fn only(&self) -> Entry {
        let mut entries = self.0.entries();
        let entry = entries.next().expect("an entry");
        assert!(entries.next().is_none(), "one entry only");
        entry
    }

    fn only_of(&self, id: Option<plimsoll_model::EntryId>) -> Entry {
        id.and_then(|id| self.0.entry(id)).expect("an entry")
    }

    fn shows(&self, state: TcpState, seconds: u64, assured: bool) {
        let entry = self.only();
        let seen = (entry.state, entry.expires.map(|s| s.get()), entry.is_assured());
        assert_eq!(seen, (State::Tcp(state), Some(seconds), assured));
    }

    fn counter(&self, counter: Counter) -> u64 {
        self.0.counters().get(counter).unwrap_or(0)
    }
}

#[test]
fn a_handshake_makes_the_entry_assured() {
    let mut s = Story::modern();
    assert_eq!(s.at(ms(0), &tcp(false, SYN, 100, 0)).info, Info::New);
    s.shows(TcpState::SynSent, 120, false);
    assert_eq!(s.at(ms(1), &tcp(true, SYN | ACK, 500, 101)).info, Info::EstablishedReply);
    s.shows(TcpState::SynRecv, 60, false);
    assert_eq!(s.at(ms(2), &tcp(false, ACK, 101, 501)).info, Info::Established);
    s.shows(TcpState::Established, 432_000, true);
}

/// As a running 6.18 does: repetitions are counted in an octet.
#[test]
fn what_comes_again_for_the_256th_time_is_new_again() {
    let mut s = Story::modern();
    s.at(ms(0), &tcp(false, SYN, 100, 0));
    s.at(ms(0), &tcp(true, SYN | ACK, 500, 101));
    s.at(ms(0), &tcp(false, ACK, 101, 501));
    for (again, seconds) in [(2, 432_000), (253, 300), (1, 432_000), (2, 432_000), (1, 300)] {
        for _ in 0..again {
            s.at(ms(0), &tcp(false, ACK, 101, 501));
        }
        s.shows(TcpState::Established, seconds, true);
    }
}

#[test]
fn a_flow_that_ends_in_order_waits_two_minutes_and_may_be_opened_again() {
    let mut s = Story::modern();
    s.at(ms(0), &tcp(false, SYN, 100, 0));
    s.at(ms(1), &tcp(true, SYN | ACK, 500, 101));
    s.at(ms(2), &tcp(false, ACK, 101, 501));
    s.at(ms(3), &tcp(false, FIN | ACK, 101, 501));
    s.shows(TcpState::FinWait, 120, true);
    s.at(ms(4), &tcp(true, FIN | ACK, 501, 102));
    s.shows(TcpState::LastAck, 30, true);
    s.at(ms(5), &tcp(false, ACK, 102, 502));
    s.shows(TcpState::TimeWait, 120, true);
    let again = s.at(ms(6), &tcp(false, SYN, 9, 0));
    assert!(again.reopened && again.what == What::Inserted);
    s.shows(TcpState::SynSent, 120, false);
}

#[test]
fn a_refused_connection_leaves_nothing() {
    let mut s = Story::modern();
    s.at(ms(0), &tcp(false, SYN, 100, 0));
    assert_eq!(s.at(ms(1), &tcp(true, RST | ACK, 0, 101)).what, What::Removed);
    assert_eq!(s.0.entries().count(), 0);
}

#[test]
fn a_syn_ack_out_of_the_blue_is_invalid_and_makes_no_entry() {
    let mut s = Story::modern();
    assert_eq!(s.at(ms(0), &tcp(true, SYN | ACK, 1, 1)).info, Info::Invalid);
    assert_eq!((s.0.counted(), s.counter(Counter::Invalid)), (0, 1));
}

#[test]
fn a_packet_that_the_rules_drop_never_gets_into_the_table() {
    let mut s = Story::modern();
    let dropped = Treatment { fate: Fate::Dropped, ..Treatment::default() };
    assert_eq!(s.with(ms(0), &udp(false, 9), dropped).what, What::NotConfirmed);
    assert_eq!(s.0.counted(), 0);
}

#[test]
fn a_dns_lookup_stays_evictable_on_6_18_and_is_protected_on_3_10() {
    for (profile, assured, seconds) in [("6.18", false, 30), ("5.4", true, 30), ("3.10", true, 180)]
    {
        let mut s = Story::on(profile, |_| {});
        s.at(ms(0), &udp(false, 9));
        s.at(ms(1), &udp(true, 9));
        // 3.10 does not move an expiry by less than a second.
        s.at(ms(1500), &udp(false, 9));
        let entry = s.only();
        let seen = (entry.is_assured(), entry.expires.map(|e| e.get()));
        assert_eq!(seen, (assured, Some(seconds)), "{profile}");
    }
}

#[test]
fn udp_that_goes_on_after_two_seconds_is_a_stream() {
    let mut s = Story::modern();
    s.at(ms(0), &udp(false, 9));
    s.at(ms(1), &udp(true, 9));
    s.at(ms(2100), &udp(false, 9));
    let entry = s.only();
    assert_eq!((entry.is_assured(), entry.expires.map(|e| e.get())), (true, Some(120)));
}

/// Half a round of the clock behind it, the moment from which it is one seems to be one to come: 25 days, if a second has 1,000 ticks.
#[test]
fn udp_stays_a_stream_however_long_it_goes_on() {
    let day = |n: i64| secs(n * 86_400);
    for (name, stream) in [("6.18", 400_000), ("el8", 500_000)] {
        let change = |settings: &mut Settings| {
            settings.hz = 1000;
            settings.udp = [300_000, stream];
        };
        let packets = [udp(false, 9), udp(true, 9)];
        let packets = packets.each_ref().map(|packet| parse_ip(packet).unwrap());
        // Answered from the beginning, and after two months only; by each way that a datagram goes.
        for answered in [0, 60] {
            let arrival = |n: i64| {
                let packet = packets[usize::from(n >= answered && n % 2 == 1)];
                Arrival { at: day(n), packet, treatment: Treatment::default() }
            };
            let arrivals: Vec<_> = (0..80).map(arrival).collect();
            let (mut single, mut batched) = (Story::on(name, change), Story::on(name, change));
            let mut grid =
                Grid::new(&[config(name, change), config(name, change)]).expect("a grid");
            for Arrival { at, packet, treatment } in &arrivals {
                single.0.packet(*at, packet, treatment);
            }
            batched.0.batch(&arrivals, |_, _, _| {});
            grid.batch(&arrivals, |_, _, _| {});
            for model in [&single.0, &batched.0, &grid.part(1)] {
                let entry = Story(model.clone()).only();
                let is = (entry.is_assured(), entry.expires.map(|e| e.get()));
                assert_eq!(is, (true, Some(stream.into())), "{name}, answered on day {answered}");
            }
        }
    }
}

/// Whose timer has rung is told of as of then, though the next packet comes minutes later.
#[test]
fn timers_end_entries_each_at_its_time() {
    for name in ["2.6.18", "3.10"] {
        let mut s = Story::on(name, |settings| settings.hz = 250);
        s.0.listen();
        s.at(secs(0), &udp(false, 9));
        s.at(secs(0), &udp(false, 1));
        s.at(secs(1), &udp(false, 7));
        s.at(secs(2), &udp(true, 9));
        s.at(secs(3), &udp(false, 5));
        s.at(secs(900), &udp(false, 3));
        let ends: Vec<_> =
            s.0.take_events()
                .into_iter()
                .filter(|event| event.kind == EventKind::Destroy)
                .collect();
        let told: Vec<_> = ends
            .iter()
            .map(|end| (end.tick / 250, end.entry.original.source_port().unwrap()))
            .collect();
        assert_eq!(told, [(30, 1), (31, 7), (32, 9), (33, 5)], "{name}");
    }
}

#[test]
fn a_fragmented_datagram_makes_its_entry_with_the_last_fragment() {
    let mut s = Story::modern();
    let mut first = packet(CLIENT, SERVER, 17, &[0, 9, 0, 53, 0, 16, 0, 0]);
    first[6] = 0x20;
    let mut last = packet(CLIENT, SERVER, 17, &[0; 8]);
    last[7] = 1;
    assert_eq!(s.at(ms(0), &last).verdict, Verdict::Stolen);
    assert_eq!(s.0.counted(), 0);
    assert_eq!(s.at(ms(1), &first).what, What::Inserted);
}

/// Linux 6.18, `cargo xtask fidelity rehash 400 1795985579`: what ends with headers behind which nothing follows lacks none.
#[test]
fn a_first_fragment_that_says_that_nothing_follows_is_gathered() {
    let first = |routed: &[u8; 8]| {
        let mut packet = vec![0x60, 0, 0, 0, 0, 16, 44, 64];
        packet.extend([[0xfd; 16], [0xfe; 16]].concat());
        packet.extend([43, 0, 0, 1, 0, 0, 0, 1]);
        packet.extend(routed);
        packet
    };
    let mut s = Story::modern();
    assert_eq!(s.at(ms(0), &first(&[59, 0, 0, 0, 0, 0, 0, 0])).verdict, Verdict::Stolen);
    assert_eq!(s.at(ms(1), &first(&[17, 0, 0, 0, 0, 0, 0, 0])).info, Info::Invalid);
}

#[test]
fn settings_that_no_kernel_has_are_taken_for_the_nearest() {
    for (hz, taken) in [(0, 1), (u32::MAX, 10_000), (1000, 1000)] {
        let mut s = Story::on("6.18", |settings| settings.hz = hz);
        assert_eq!(s.0.settings().hz, taken);
        s.at(secs(0), &udp(false, 9));
        s.at(secs(1000), &udp(false, 10));
        assert_eq!((s.0.entries().count(), s.0.time()), (1, Some(secs(1000))), "{hz}");
    }
    let rated = |settings: &mut Settings| {
        (settings.message_cost, settings.message_burst) = (u32::MAX, u32::MAX);
        settings.max = 1;
    };
    let mut s = Story::on("2.6.18", rated);
    s.at(secs(0), &tcp(false, ACK, 1, 1));
    s.at(secs(1), &tcp(true, ACK, 1, 1));
    s.at(secs(2), &udp(false, 9));
    // What a model has of policies is what it was made with.
    let policy = TimeoutPolicy::new(17);
    s.0.change(|settings| settings.policies.push(policy));
    assert!(s.0.settings().policies.is_empty());
}

#[test]
fn the_clock_spans_all_times_there_are() {
    let mut s = Story::modern();
    s.0.advance(Time(i64::MIN));
    s.0.advance(Time(i64::MAX));
    let late = s.0.time().map(|time| i64::MAX - time.0);
    assert!(late.is_some_and(|late| (0..4_000_000).contains(&late)), "{late:?}");
}

#[test]
fn a_table_begun_with_a_dump_knows_its_flows_and_their_translation() {
    let mut before = Story::modern();
    before.at(ms(0), &udp(false, 9));
    let mut dump = before.0.snapshot();
    // As if the client had been masqueraded behind 192.0.2.1:7777.
    let masked = Ipv4Addr::new(192, 0, 2, 1);
    dump[0].reply.destination = masked.into();
    dump[0].reply.l4 = plimsoll_ct::L4::Ports { source: 53, destination: 7777 };
    dump[0].status |= Status::SRC_NAT;

    let mut after = Story::modern();
    assert_eq!(after.0.restore(ms(0), dump.clone()), 1);
    assert_eq!(after.0.restore(ms(0), dump), 0, "it is there already");
    let answer = packet(SERVER, masked.octets(), 17, &[0, 53, 0x1e, 0x61, 0, 8, 0, 0]);
    assert_eq!(after.at(ms(1), &answer).info, Info::EstablishedReply);
    assert_eq!(after.only().reply.destination, masked);
    assert_eq!(after.at(ms(2), &udp(true, 9)).info, Info::New, "not by that tuple");
}

#[test]
fn an_entry_is_accounted_as_long_as_it_lives_if_it_was_made_while_that_was_on() {
    let mut s = Story::on("6.18", |settings| settings.accounting = true);
    s.at(ms(0), &tcp(false, SYN, 0, 0));
    s.at(ms(1), &tcp(true, SYN | ACK, 0, 1));
    s.at(ms(2), &tcp(false, ACK, 1, 1));
    s.at(ms(3), &tcp(true, ACK, 1, 1));
    let packets = |s: &Story| s.only().reply_accounting.map(|a| a.packets);
    assert_eq!(packets(&s), Some(2));
    s.0.change(|settings| settings.accounting = false);
    s.at(ms(4), &tcp(true, ACK, 1, 1));
    assert_eq!(packets(&s), Some(3));
    // One that comes meanwhile is not, nor when it is on again.
    s.at(ms(5), &tcp(true, RST, 1, 1));
    s.at(ms(6), &udp(false, 9));
    s.0.change(|settings| settings.accounting = true);
    s.at(ms(7), &udp(false, 9));
    let shown: Vec<_> = s.0.entries().map(|e| e.original_accounting.map(|a| a.packets)).collect();
    assert!(shown.contains(&Some(2)) && shown.contains(&None), "{shown:?}");
}

#[test]
fn accounting_counts_what_refreshes() {
    let mut s = Story::on("6.18", |settings| settings.accounting = true);
    s.at(ms(0), &udp(false, 9));
    s.at(ms(1), &udp(true, 9));
    s.at(ms(2), &udp(true, 9));
    let entry = s.only();
    let bytes = |a: Option<plimsoll_ct::Accounting>| a.map(|a| (a.packets, a.bytes));
    assert_eq!(bytes(entry.original_accounting), Some((1, 28)));
    assert_eq!(bytes(entry.reply_accounting), Some((2, 56)));
}

#[test]
fn what_a_host_sends_to_itself_is_told_of_as_it_goes_and_as_it_comes() {
    let mut story = Story::on("6.18", |settings| settings.log_invalid = 255);
    // A datagram whose length is a lie.
    let frame = packet(CLIENT, CLIENT, 17, &[16, 0, 0, 53, 0, 99, 0, 0]);
    let treatment = Treatment::default();
    story.0.loopback(ms(0), &parse_ip(&frame).unwrap(), &treatment, &treatment);
    assert!(story.0.describe(LinkType::RawIp, &frame, "lo"));
    let lines: Vec<_> = story.0.take_log().into_iter().map(|line| line.text).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains(" packet IN= OUT=lo SRC=10.0.0.1 "), "{lines:?}");
    assert!(lines[1].contains(" packet IN=lo OUT= MAC= SRC=10.0.0.1 "), "{lines:?}");
}
