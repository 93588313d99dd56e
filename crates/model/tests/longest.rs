//! Entries that live as long as the clock tells moments apart, beside others that have expired.

use plimsoll_ct::{Bytes, PROFILES, Profile, Time};
use plimsoll_model::{Arrival, Config, Grid, Model, Settings, Treatment};
use plimsoll_wire::packet::parse_ip;

/// Numbers that nobody foretells, the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x5851_f42d);
        (self.0 >> 33) % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

fn ip(protocol: u8, reply: bool, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 20 + body.len() as u8, 0, 0, 0, 0, 64, protocol, 0, 0];
    let ends = [[10, 0, 0, 1], [10, 0, 0, 2]];
    bytes.extend(ends[usize::from(reply)].iter().chain(&ends[usize::from(!reply)]).chain(body));
    bytes
}

/// A datagram, an echo, a segment, or an error about a datagram, of one of so many flows.
fn packet(chance: &mut Chance, flows: u64) -> Vec<u8> {
    let [high, low] = (chance.below(flows) as u16).to_be_bytes();
    let reply = chance.below(3) == 0;
    let ports = if reply { [0, 53, high, low] } else { [high, low, 0, 53] };
    let datagram = ip(17, reply, &[&ports[..], &[0, 8, 0, 0]].concat());
    match chance.below(8) {
        0..3 => datagram,
        3 => ip(1, !reply, &[&[3, 1, 0, 0, 0, 0, 0, 0], &datagram[..]].concat()),
        4 => ip(1, reply, &[if reply { 0 } else { 8 }, 0, 0, 0, high, low, 0, 1]),
        _ => {
            let flags =
                chance.of(if reply { &[0x12, 0x10, 0x14, 0x11][..] } else { &[2, 2, 0x10] });
            let rest = [0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 200, 0, 0, 0, 0, 0];
            ip(6, reply, &[&ports[..], &rest].concat())
        }
    }
}

/// Beside timeouts of seconds two as long as may be, or half of it: which of the two makes no difference before either is over.
#[test]
fn what_has_expired_is_met_beside_entries_that_live_as_long_as_there_are_moments() {
    for (number, profile) in PROFILES.iter().enumerate() {
        for hz in [250, 1000] {
            let chance = &mut Chance(number as u64 * 2 + u64::from(hz));
            let most = u64::from(i32::MAX as u32 / hz);
            let short = chance.of(&[3, 17, 120]);
            let config = |long: u64, max: u64| {
                let mut settings = Settings::of(profile, Bytes(1 << 30));
                (settings.hz, settings.max, settings.buckets) = (hz, max, 64);
                for (name, seconds) in [
                    ("nf_conntrack_udp_timeout", 1),
                    ("nf_conntrack_udp_timeout_stream", long),
                    ("nf_conntrack_icmp_timeout", long),
                    ("nf_conntrack_tcp_timeout_syn_sent", short),
                    ("nf_conntrack_tcp_timeout_established", long - 1),
                ] {
                    settings.set(name, seconds).expect("a known timeout");
                }
                Config { collector_phase: 77, ..Config::new(profile, settings) }
            };
            let max = chance.of(&[50, 2000]);
            let mut half = Model::new(config(most / 2, max));
            let mut longest = Model::new(config(most, max));
            let mut batched = longest.clone();
            assert!(!Grid::joins(&config(most, max), &config(most / 2, max)));
            assert!(Grid::of_limits(&mut longest.clone(), &[max, max + 1]).is_none());
            let mut now = 0;
            let packets: Vec<(Time, Vec<u8>)> = (0..800)
                .map(|_| {
                    now += chance.below(3000) as i64;
                    (Time(now * 1_000_000), packet(chance, 200))
                })
                .collect();
            for some in packets.chunks(40) {
                let treatment = Treatment::default();
                let arrivals: Vec<Arrival<'_>> = some
                    .iter()
                    .map(|(at, bytes)| {
                        let packet = parse_ip(bytes).expect("a packet");
                        Arrival { at: *at, packet, treatment }
                    })
                    .collect();
                let mut steps = Vec::new();
                batched.batch(&arrivals, |_, _, step| steps.push(*step));
                for (Arrival { at, packet, treatment }, batched) in arrivals.iter().zip(steps) {
                    let step = longest.packet(*at, packet, treatment);
                    assert_eq!(step, half.packet(*at, packet, treatment), "{}", profile.name);
                    assert_eq!(step, batched, "{}", profile.name);
                    assert_eq!(longest.counted(), half.counted(), "{}", profile.name);
                    assert_eq!(longest.occupancy(), half.occupancy(), "{}", profile.name);
                }
                assert_eq!(longest.counters(), half.counters(), "{}", profile.name);
                assert_eq!(longest.snapshot(), batched.snapshot(), "{}", profile.name);
            }
        }
    }
}

/// An error's lookup goes through the table of one setting, as that one's own would be.
#[test]
fn a_grid_meets_what_has_expired_however_long_ago_its_line_was_begun() {
    let profile = Profile::named("6.18").expect("a profile");
    let config = |max| {
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        // All entries in one chain; the clock comes round to its half in 2,147,484 s.
        (settings.hz, settings.max, settings.buckets) = (1000, max, 2);
        settings.set("nf_conntrack_udp_timeout", 100_000).expect("a known timeout");
        settings.set("nf_conntrack_icmp_timeout", 2_000_000).expect("a known timeout");
        Config::new(profile, settings)
    };
    let configs = [config(100), config(200)];
    let mut grid = Grid::new(&configs).expect("a grid");
    let mut models = configs.map(Model::new);
    let mut feed = |milliseconds: i64, bytes: &[u8]| {
        let (at, treatment) = (Time(milliseconds * 1_000_000), Treatment::default());
        let packet = parse_ip(bytes).expect("a packet");
        grid.batch(&[Arrival { at, packet, treatment }], |_, _, _| {});
        for (seat, model) in models.iter_mut().enumerate() {
            model.packet(at, &packet, &treatment);
            assert_eq!(grid.counted(seat), model.counted(), "{milliseconds}");
        }
    };
    for seconds in [0, 1_000_000, 2_000_000] {
        feed(seconds * 1000, &ip(1, false, &[8, 0, 0, 0, 0, seconds as u8 | 1, 0, 1]));
    }
    let datagram = |port| ip(17, false, &[1, port, 0, 53, 0, 8, 0, 0]);
    for n in 0..50 {
        feed(2_100_000_000 + n * 5000, &datagram(n as u8));
    }
    for n in 0..50 {
        let at = 2_200_000_000 + n * 5000 + 3000;
        feed(at, &ip(1, true, &[&[3, 1, 0, 0, 0, 0, 0, 0], &datagram(200)[..]].concat()));
    }
}
