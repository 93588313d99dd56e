//! A grid comes to what each of its settings comes to alone, packet by packet.

use plimsoll_ct::{Bytes, CollectorKind, PROFILES, Time};
use plimsoll_model::{
    Arrival, Config, Grid, Model, Settings, Step, TimeoutPolicy, Treatment, Verdict,
};
use plimsoll_wire::packet::parse_ip;
use proptest::prelude::*;

const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;
const ACK: u8 = 16;

/// What happens next, in one of a few flows.
#[derive(Debug, Clone)]
enum Happens {
    /// A segment, with so many octets.
    Tcp {
        flow: u8,
        reply: bool,
        flags: u8,
        data: u8,
    },
    Udp {
        flow: u8,
        reply: bool,
    },
    Echo {
        flow: u8,
        reply: bool,
    },
    /// That a flow's packet did not arrive.
    Unreachable {
        flow: u8,
        reply: bool,
    },
    /// A datagram in two parts, or one of them.
    Part {
        flow: u8,
        last: bool,
    },
    /// Any octets behind an IP header.
    Any(u8, Vec<u8>),
}

fn happens() -> impl Strategy<Value = Happens> {
    let flags = prop_oneof![
        4 => Just(SYN), 4 => Just(SYN | ACK), 8 => Just(ACK), 2 => Just(FIN | ACK), 1 => Just(RST), 1 => Just(RST | ACK)
    ];
    let flow = 0u8..12;
    prop_oneof![
        20 => (flow.clone(), any::<bool>(), flags, prop_oneof![Just(0u8), Just(30)])
            .prop_map(|(flow, reply, flags, data)| Happens::Tcp { flow, reply, flags, data }),
        6 => (flow.clone(), any::<bool>()).prop_map(|(flow, reply)| Happens::Udp { flow, reply }),
        2 => (flow.clone(), any::<bool>()).prop_map(|(flow, reply)| Happens::Echo { flow, reply }),
        1 => (flow.clone(), any::<bool>())
            .prop_map(|(flow, reply)| Happens::Unreachable { flow, reply }),
        1 => (flow, any::<bool>()).prop_map(|(flow, last)| Happens::Part { flow, last }),
        2 => (prop_oneof![Just(132u8), Just(47), Just(136), Just(33), Just(1), 30u8..140],
              proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(p, b)| Happens::Any(p, b)),
    ]
}

fn ip(protocol: u8, flow: u8, reply: bool, fragment: [u8; 2], body: &[u8]) -> Vec<u8> {
    let length = ((20 + body.len()) as u16).to_be_bytes();
    let [client, server] = [[10, 0, 0, flow % 3], [10, 0, 1, 0]];
    let (from, to) = if reply { (server, client) } else { (client, server) };
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 1];
    packet.extend(fragment);
    packet.extend([64, protocol, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    packet.extend(body);
    packet
}

fn ports(flow: u8, reply: bool) -> [u8; 4] {
    if reply { [0, 80, 9, flow] } else { [9, flow, 0, 80] }
}

/// The bytes, the flows' sequence numbers being kept.
fn bytes(happens: &Happens, sent: &mut [[u32; 2]; 12]) -> Vec<u8> {
    match happens {
        Happens::Tcp { flow, reply, flags, data } => {
            let [own, other] = if *reply { [1, 0] } else { [0, 1] };
            let sides = &mut sent[usize::from(*flow)];
            let mut body = ports(*flow, *reply).to_vec();
            body.extend(sides[own].to_be_bytes());
            body.extend(sides[other].to_be_bytes());
            body.extend([0x50, *flags, 200, 0, 0, 0, 0, 0]);
            let data = if flags & (SYN | RST) == 0 { *data } else { 0 };
            body.extend(vec![0; data.into()]);
            sides[own] += u32::from(data) + u32::from(flags & (SYN | FIN) != 0);
            ip(6, *flow, *reply, [0, 0], &body)
        }
        Happens::Udp { flow, reply } => {
            let body = [&ports(*flow, *reply)[..], &[0, 8, 0, 0]].concat();
            ip(17, *flow, *reply, [0, 0], &body)
        }
        Happens::Echo { flow, reply } => {
            let body = [if *reply { 0 } else { 8 }, 0, 0, 0, 0, *flow, 0, 1];
            ip(1, *flow, *reply, [0, 0], &body)
        }
        Happens::Unreachable { flow, reply } => {
            let quoted = [&ports(*flow, *reply)[..], &[0, 8, 0, 0]].concat();
            let body = [&[3, 1, 0, 0, 0, 0, 0, 0], &ip(17, *flow, *reply, [0, 0], &quoted)[..]];
            ip(1, *flow, !*reply, [0, 0], &body.concat())
        }
        Happens::Part { flow, last: false } => {
            let body = [&ports(*flow, false)[..], &[0, 24, 0, 0], &[0; 8]].concat();
            ip(17, *flow, false, [0x20, 0], &body)
        }
        Happens::Part { flow, last: true } => ip(17, *flow, false, [0, 2], &[0; 8]),
        Happens::Any(protocol, body) => ip(*protocol, 0, false, [0, 0], body),
    }
}

/// Settings beside each other: limits, and timeouts by name.
type Seat = (u64, Vec<(&'static str, u64)>);

fn seat() -> impl Strategy<Value = Seat> {
    let timeout = prop_oneof![
        Just("nf_conntrack_tcp_timeout_syn_sent"),
        Just("nf_conntrack_tcp_timeout_established"),
        Just("nf_conntrack_tcp_timeout_max_retrans"),
        Just("nf_conntrack_tcp_timeout_unacknowledged"),
        Just("nf_conntrack_tcp_timeout_time_wait"),
        Just("nf_conntrack_tcp_timeout_close"),
        Just("nf_conntrack_udp_timeout"),
        Just("nf_conntrack_udp_timeout_stream"),
        Just("nf_conntrack_icmp_timeout"),
        Just("nf_conntrack_generic_timeout"),
        Just("nf_conntrack_sctp_timeout_closed"),
    ];
    let seconds = prop_oneof![Just(0u64), 1..10u64, Just(300), Just(432_000)];
    (
        prop_oneof![Just(0u64), 1..12u64, Just(1000)],
        proptest::collection::vec((timeout, seconds), 0..3),
    )
}

fn config(which: usize, buckets: u64, (max, timeouts): &Seat) -> Config {
    let with_collector: Vec<_> =
        PROFILES.iter().filter(|p| p.collector != CollectorKind::Timers).collect();
    let profile = with_collector[which % with_collector.len()];
    let mut settings = Settings::of(profile, Bytes(1 << 30));
    (settings.max, settings.buckets) = (*max, buckets);
    let mut policy = TimeoutPolicy::new(6);
    policy.set("established", 7).expect("a state of TCP's");
    settings.policies = vec![policy];
    for (name, seconds) in timeouts {
        settings.set(name, *seconds).expect("a known timeout");
    }
    Config::new(profile, settings)
}

fn without_entry(step: &Step) -> Step {
    Step { entry: None, ..*step }
}

/// Compares all that can be seen of a setting with the model of its own.
fn compare(grid: &Grid, setting: usize, model: &Model) {
    assert_eq!(
        grid.counted(setting),
        model.counted(),
        "{setting} of {} at {:?}",
        model.profile().name,
        model.time()
    );
    assert_eq!(grid.protected(setting), model.protected());
    assert_eq!(&grid.counters(setting), model.counters());
    assert_eq!(grid.occupancy(setting), model.occupancy());
}

fn run(configs: &[Config], script: &[(u32, u8, Happens)], at_once: usize) {
    let mut sent = [[1_000_000; 2]; 12];
    let all: Vec<_> = script.iter().map(|(_, _, happens)| bytes(happens, &mut sent)).collect();
    let mut now = 0;
    let mut arrivals = Vec::new();
    for ((pause, treated, _), bytes) in script.iter().zip(&all) {
        now += i64::from(*pause) * 1_000_000;
        let Ok(packet) = parse_ip(bytes) else { continue };
        let policy = (treated & 3 == 0).then_some(0);
        let untracked = *treated == 255;
        let fate = if *treated == 254 {
            plimsoll_model::Fate::Dropped
        } else {
            plimsoll_model::Fate::Accepted
        };
        let treatment = Treatment { policy, untracked, fate, ..Treatment::default() };
        arrivals.push(Arrival { at: Time(now), packet, treatment });
    }
    let mut grid = Grid::new(configs).expect("settings of one grid");
    let mut alone: Vec<Model> = configs.iter().cloned().map(Model::new).collect();
    for some in arrivals.chunks(at_once) {
        grid.batch(some, |grid, arrival, steps| {
            for (setting, model) in alone.iter_mut().enumerate() {
                let before = (model.counted(), model.protected());
                let step = model.packet(arrival.at, &arrival.packet, &arrival.treatment);
                assert_eq!(without_entry(&steps.of(setting)), without_entry(&step), "{setting}");
                assert_eq!(steps.of(setting).entry.is_some(), step.entry.is_some());
                compare(grid, setting, model);
                let after = (model.counted(), model.protected());
                let grew = after.0 > before.0 || after.1 > before.1 || step.evicted > 0;
                let is = |told: u8| told >> setting & 1 == 1;
                assert!(is(steps.changed()) || !grew, "nobody told of {step:?}");
                assert_eq!(is(steps.dropped()), step.verdict == Verdict::Drop);
            }
        });
    }
    for (setting, model) in alone.iter_mut().enumerate() {
        let mut part = grid.part(setting);
        assert_eq!(part.snapshot(), model.snapshot());
        assert_eq!(part.take_log(), model.take_log());
        // It goes on as a model of its own.
        now += 1_000_000_000;
        for arrival in arrivals.iter().rev() {
            now += 1_000_000;
            let step = part.packet(Time(now), &arrival.packet, &arrival.treatment);
            let other = model.packet(Time(now), &arrival.packet, &arrival.treatment);
            assert_eq!(without_entry(&step), without_entry(&other));
        }
        assert_eq!(part.snapshot(), model.snapshot());
    }
}

fn script() -> impl Strategy<Value = Vec<(u32, u8, Happens)>> {
    let pause = prop_oneof![12 => 0u32..50, 3 => 0u32..4000, 1 => 0u32..200_000];
    proptest::collection::vec((pause, any::<u8>(), happens()), 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn limits_and_timeouts_beside_each_other_come_to_what_each_comes_to_alone(
        which in 0..PROFILES.len(),
        buckets in prop_oneof![Just(2u64), Just(8), Just(64)],
        seats in proptest::collection::vec(seat(), 1..9),
        at_once in 1usize..70,
        script in script(),
    ) {
        let configs: Vec<Config> = seats.iter().map(|seat| config(which, buckets, seat)).collect();
        run(&configs, &script, at_once);
    }

    #[test]
    fn limits_alone_do_too(
        which in 0..PROFILES.len(),
        buckets in prop_oneof![Just(2u64), Just(8), Just(64)],
        limits in proptest::collection::vec(0u64..12, 1..9),
        at_once in 1usize..70,
        script in script(),
    ) {
        let configs: Vec<Config> =
            limits.iter().map(|max| config(which, buckets, &(*max, Vec::new()))).collect();
        run(&configs, &script, at_once);
    }
}

/// Segments of a flow, 10 ms apart.
fn segments(flow: u8, all: &[(bool, u8, u8)]) -> Vec<(u32, u8, Happens)> {
    let of = |&(reply, flags, data)| (10, 1, Happens::Tcp { flow, reply, flags, data });
    all.iter().map(of).collect()
}

const HANDSHAKE: [(bool, u8, u8); 3] = [(false, SYN, 0), (true, SYN | ACK, 0), (false, ACK, 0)];

#[test]
fn what_was_protected_when_early_drop_last_looked_and_expires_sooner_now_is_reaped_by_the_next_look()
 {
    let short =
        [("nf_conntrack_tcp_timeout_unacknowledged", 5), ("nf_conntrack_tcp_timeout_close", 2)];
    let seats = [
        // The same timeouts: one expiry for both.
        [(2, short.to_vec()), (3, short.to_vec())],
        [(2, short.to_vec()), (3, vec![("nf_conntrack_tcp_timeout_established", 600)])],
    ];
    // Eight chains, so that not every lookup reaps it; in two lines of the index, or one each if another setting lets that many in. What makes it expire sooner, and after how long: an octet that nobody acknowledged, an RST.
    for ((flags, data), pause) in [((ACK, 30), 5500), ((RST | ACK, 0), 2500)] {
        let mut script = [segments(0, &HANDSHAKE), segments(1, &HANDSHAKE)].concat();
        script.extend(segments(2, &[(false, SYN, 0)]));
        script.extend(segments(3, &[(false, SYN, 0)]));
        script.extend(segments(0, &[(false, flags, data)]));
        for flow in 4..8 {
            script.push((pause, 1, Happens::Tcp { flow, reply: false, flags: SYN, data: 0 }));
        }
        for (seats, third) in seats.iter().flat_map(|seats| [(seats, None), (seats, Some(200))]) {
            for which in 0..PROFILES.len() {
                let third = third.map(|max| (max, short.to_vec()));
                let all = seats.iter().chain(&third);
                let configs: Vec<Config> = all.map(|seat| config(which, 16, seat)).collect();
                run(&configs, &script, 1);
            }
        }
    }
}

/// Half a round of the clock behind it, a moment seems to be one to come.
#[test]
fn what_has_expired_is_met_as_such_after_half_of_the_clocks_round_too() {
    let seat = |seconds| (1000, vec![("nf_conntrack_udp_timeout", seconds)]);
    let mut configs = [1000, 999].map(|s| config(PROFILES.len() - 1, 2, &seat(s)));
    for config in &mut configs {
        // So that the clock goes round in seven weeks.
        config.settings.hz = 1000;
    }
    let udp = |pause, flow| (pause, 1, Happens::Udp { flow, reply: false });
    // Two entries of one chain, kept alive until the first moment that was known of it is so long ago; then one's time is up.
    let mut script = vec![udp(0, 0), udp(0, 1)];
    for _ in 0..4296 {
        script.extend([udp(500_000, 0), udp(0, 1)]);
    }
    script.extend([udp(500_000, 0), udp(505_000, 1)]);
    run(&configs, &script, 64);
}

/// Lines of the index hold more chains where few entries are meant to come, and a run ends where it has removed enough.
#[test]
fn a_pass_that_has_too_much_to_remove_pauses_in_a_grid_where_it_does_alone() {
    let profile = plimsoll_ct::Profile::named("6.18").expect("a profile");
    let config = |max, udp| {
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        (settings.hz, settings.buckets, settings.max) = (250, 16_384, max);
        settings.set("nf_conntrack_udp_timeout", udp).expect("a known timeout");
        Config::new(profile, settings)
    };
    let configs = [config(200_000, 1), config(1000, 2), config(400_000, 3)];
    let mut grid = Grid::new(&configs).expect("a grid");
    let mut models = configs.map(Model::new);
    let datagram = ip(17, 0, false, [0, 0], &[9, 0, 0, 80, 0, 8, 0, 0]);
    for n in 0..20_000_u16 {
        // Some hundreds within a second, then some seconds of silence, and what the collector left.
        let at = Time(i64::from(n) * 1_000_000 + i64::from(n / 700) * 9_000_000_000);
        let mut bytes = datagram.clone();
        bytes[20..22].copy_from_slice(&n.to_be_bytes());
        let packet = parse_ip(&bytes).expect("a datagram");
        let treatment = Treatment::default();
        grid.batch(&[Arrival { at, packet, treatment }], |_, _, _| {});
        for (seat, model) in models.iter_mut().enumerate() {
            model.packet(at, &packet, &treatment);
            assert_eq!(grid.counted(seat), model.counted(), "{n}, {seat}");
        }
    }
}

/// A segment of one of many flows.
fn segment(flow: u16, reply: bool, flags: u8, sent: &mut [u32; 2]) -> Vec<u8> {
    let (own, client) = (usize::from(reply), (flow + 1024).to_be_bytes());
    let (from, to) = if reply { ([0, 80], client) } else { (client, [0, 80]) };
    let mut body = [from, to].concat();
    body.extend(sent[own].to_be_bytes());
    body.extend(sent[1 - own].to_be_bytes());
    body.extend([0x50, flags, 200, 0, 0, 0, 0, 0]);
    sent[own] += u32::from(flags & (SYN | FIN) != 0);
    ip(6, 0, reply, [0, 0], &body)
}

/// Many more flows than most of the settings hold, in few chains and in many, each of which is one line of the index, or a part of one.
#[test]
fn full_tables_of_many_come_to_what_each_comes_to_alone() {
    const FLOWS: u16 = 700;
    let mut drawn = 1_u64;
    let mut draw = |bound: u64| {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x5851_f42d);
        (drawn >> 33) % bound
    };
    let profile = plimsoll_ct::Profile::named("6.18").expect("a profile");
    let (mut evicted, mut lost) = (0, 0);
    for buckets in [16, 50, 128, 302, 1000, 4096] {
        for short in [false, true] {
            let config = |(n, max): (usize, u64)| {
                let mut settings = Settings::of(profile, Bytes(1 << 30));
                (settings.buckets, settings.max) = (buckets, max);
                let seconds = if short && n % 2 == 1 { 3 } else { 30 };
                for name in ["nf_conntrack_tcp_timeout_established", "nf_conntrack_udp_timeout"] {
                    settings.set(name, seconds).expect("a known timeout");
                }
                Config::new(profile, settings)
            };
            let limits = [20, 60, 61, 100, 150, 200, 300, 650];
            let configs: Vec<Config> = limits.into_iter().enumerate().map(config).collect();
            let mut grid = Grid::new(&configs).expect("a grid");
            let mut models: Vec<Model> = configs.into_iter().map(Model::new).collect();
            let mut sent = vec![[1_000_000; 2]; FLOWS.into()];
            let (mut steps_of, mut now) = (vec![0_u8; FLOWS.into()], 0);
            let mut packets = Vec::new();
            for _ in 0..3000 {
                // Most flows go on; some do as they like.
                let flow = draw(u64::from(FLOWS)) as u16;
                let at = usize::from(flow);
                steps_of[at] = steps_of[at].saturating_add(1);
                let (reply, flags) = match (flow % 8, steps_of[at]) {
                    (0, _) => (draw(2) == 1, [SYN, ACK, RST, FIN | ACK][draw(4) as usize]),
                    (_, 1) => (false, SYN),
                    (_, 2) => (true, SYN | ACK),
                    (_, step) => (step % 3 == 0, ACK),
                };
                packets.push(if flow % 8 == 1 {
                    let ports = [(flow + 1024).to_be_bytes(), [0, 53]];
                    let (from, to) =
                        if reply { (ports[1], ports[0]) } else { (ports[0], ports[1]) };
                    ip(17, 0, reply, [0, 0], &[&from[..], &to[..], &[0, 8, 0, 0]].concat())
                } else {
                    segment(flow, reply, flags, &mut sent[at])
                });
            }
            let arrivals: Vec<Arrival<'_>> = packets
                .iter()
                .map(|packet| {
                    now += draw(8_000_000) as i64;
                    let packet = parse_ip(packet).expect("a packet");
                    Arrival { at: Time(now), packet, treatment: Treatment::default() }
                })
                .collect();
            let mut number = 0;
            for some in arrivals.chunks(64) {
                grid.batch(some, |grid, arrival, steps| {
                    number += 1;
                    for (setting, model) in models.iter_mut().enumerate() {
                        let step = model.packet(arrival.at, &arrival.packet, &arrival.treatment);
                        let own = without_entry(&steps.of(setting));
                        assert_eq!(own, without_entry(&step), "{buckets}, {setting}: {number}");
                        evicted += step.evicted;
                        lost += u32::from(step.verdict == Verdict::Drop);
                        if number % 100 == 0 {
                            compare(grid, setting, model);
                        }
                    }
                });
            }
            for (setting, model) in models.iter_mut().enumerate() {
                let mut part = grid.part(setting);
                assert_eq!(part.snapshot(), model.snapshot());
                assert_eq!(part.take_log(), model.take_log());
            }
        }
    }
    assert!(evicted > 10_000 && lost > 10_000, "{evicted}, {lost}");
}
