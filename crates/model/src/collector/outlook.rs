//! Runs of the collector that would do nothing are stepped over.
//!
//! A capture may be silent for years, in which a collector comes millions of times. As long as no packet comes, nothing changes but
//! by its own hand: once it has walked all chains, it is known when the next entry expires, and what the runs before that come to.

use plimsoll_ct::CollectorKind;

use super::{Collector, SLICES};
use crate::model::Model;

/// What runs that follow each other without a packet in between have seen of the entries that stay.
#[derive(Debug)]
pub(super) struct Outlook {
    /// Chains that they walked, one behind the other,
    walked: usize,
    /// and the tick at which the first of the entries in these expires.
    soonest: u64,
}

impl Default for Outlook {
    fn default() -> Self {
        Self { walked: 0, soonest: u64::MAX }
    }
}

impl Outlook {
    /// At a tick so many chains were walked, and the least that was left to what stays there is so many ticks.
    pub(super) fn add(&mut self, chains: usize, tick: u64, left: i32) {
        self.walked += chains;
        self.soonest = self.soonest.min(tick.saturating_add_signed(left.into()));
    }

    /// Once so many chains were walked: the tick at which something expires. It begins anew then.
    fn take(&mut self, chains: usize) -> Option<u64> {
        let Self { soonest, .. } = *self;
        (self.walked >= chains).then(|| {
            *self = Self::default();
            soonest
        })
    }
}

impl Collector {
    /// The pause behind a run that had nothing to do and saw nothing that will have to go soon.
    pub(super) fn longest(&self, hz: u64) -> u64 {
        match self.kind {
            CollectorKind::Timers => u64::MAX,
            CollectorKind::Slices => (16 * hz / SLICES).max(1),
            CollectorKind::FullScan => 120 * hz,
            CollectorKind::Adaptive => 60 * hz - 1,
        }
    }

    /// Steps over the next run and those behind it up to a tick, each with the longest pause: how many.
    fn skip(&mut self, last: u64, hz: u64) -> u64 {
        let pause = self.longest(hz);
        // From the second time on the steps are as long as each other.
        let first = self.rings(self.next, pause);
        let step = self.rings(first, pause) - first;
        let more = last.checked_sub(first).map_or(0, |behind| behind / step + 1);
        self.next = first + more * step;
        more + 1
    }
}

impl Model {
    /// Over an empty table only the phase matters.
    pub(super) fn skip_idle(&mut self, ticks: u64) {
        self.collector.skip(ticks, self.settings.hz.into());
        (self.collector.place, self.collector.early_drop) = (0, false);
    }

    /// Steps over the next runs up to a tick that would do nothing, as far as that is known.
    pub(super) fn skip_quiet(&mut self, outlook: &mut Outlook, ticks: u64) {
        let chains = self.table.chains();
        let Some(soonest) = outlook.take(chains) else { return };
        let hz = u64::from(self.settings.hz);
        let Collector { kind, place, pause, early_drop, .. } = self.collector;
        let is_steady = match kind {
            CollectorKind::Slices => pause == self.collector.longest(hz),
            CollectorKind::Timers | CollectorKind::FullScan | CollectorKind::Adaptive => place == 0,
        };
        // Where all have a minute left, so has their average, and the pause is the longest.
        let left = if kind == CollectorKind::Adaptive { 60 * hz } else { 1 };
        let last = soonest.saturating_sub(left).min(ticks);
        if early_drop || !is_steady || last < self.collector.next {
            return;
        }
        let runs = self.collector.skip(last, hz);
        if kind == CollectorKind::Slices {
            let walked = u128::from(runs) * self.slice() as u128;
            // Behind the last chain it stands there until it runs again.
            let before = place.checked_sub(1).unwrap_or(chains - 1);
            self.collector.place = ((before as u128 + walked) % chains as u128) as usize + 1;
        }
    }

    /// Chains of a slice.
    pub(super) fn slice(&self) -> usize {
        self.table.chains().div_ceil(SLICES as usize)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use plimsoll_ct::{Bytes, PROFILES, Profile, Time};
    use plimsoll_wire::packet::parse_ip;

    use super::super::{RUN_REMOVALS, SLICE_REMOVALS};
    use super::*;
    use crate::ticks::Jiffies;
    use crate::{Arrival, Config, Grid, Settings, Treatment};

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

    /// A datagram, an echo or a segment of one of so many flows.
    fn packet(chance: &mut Chance, flows: u64) -> [u8; 40] {
        let [high, low] = (chance.below(flows) as u16).to_be_bytes();
        let reply = chance.below(3) == 0;
        let mut bytes = [0; 40];
        bytes[..10].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, chance.of(&[17, 6, 1])]);
        let ends = [[10, 0, 0, 1], [10, 0, 0, 2]];
        bytes[12..16].copy_from_slice(&ends[usize::from(reply)]);
        bytes[16..20].copy_from_slice(&ends[usize::from(!reply)]);
        bytes[20..24].copy_from_slice(&if reply { [0, 53, high, low] } else { [high, low, 0, 53] });
        bytes[25] = 20;
        let flags = if reply { &[0x12, 0x10, 0x14, 0x11][..] } else { &[2, 2, 0x10, 0x11] };
        bytes[32..35].copy_from_slice(&[0x50, chance.of(flags), 200]);
        if bytes[9] == 1 {
            bytes[20..28].copy_from_slice(&[if reply { 0 } else { 8 }, 0, 0, 0, high, low, 0, 1]);
        }
        bytes
    }

    fn config(profile: &'static Profile, hz: u32, chance: &mut Chance) -> Config {
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        (settings.hz, settings.max) = (hz, 200);
        for name in [
            "nf_conntrack_udp_timeout",
            "nf_conntrack_udp_timeout_stream",
            "nf_conntrack_icmp_timeout",
            "nf_conntrack_tcp_timeout_syn_sent",
            "nf_conntrack_tcp_timeout_established",
        ] {
            let seconds = chance.of(&[0, 1, 30, 61, 299, 700, 5000, 300_000, 2_000_000]);
            settings.set(name, seconds).expect("a known timeout");
        }
        Config { collector_phase: 77, ..Config::new(profile, settings) }
    }

    /// What the next run comes to that looks at every entry, chain after chain: the entries that it leaves, when the one behind it comes, and
    /// where that goes on.
    fn with_every_entry(model: &Model) -> Option<(usize, u64, usize)> {
        let Collector { kind, next, place: first, pause, early_drop, .. } = model.collector;
        if model.counted() == 0 || early_drop {
            return None;
        }
        let (now, hz) = (Jiffies(next as u32), model.settings.hz as i32);
        let chains = model.table.chains();
        let left = |chain| {
            let all = model.table.walk(chain);
            all.map(move |id| model.table.vitals(id).expires.left(now))
        };
        let rings = |pause: u64| model.collector.rings(next, pause);
        if kind == CollectorKind::Slices {
            let (mut seen, mut gone, mut walked, mut place) = (0, 0, 0, first);
            while walked < model.slice() && gone < SLICE_REMOVALS {
                place = if place >= chains { 0 } else { place };
                for left in left(place) {
                    (seen, gone) =
                        (seen + 1, gone + usize::from(left <= 0 && gone < SLICE_REMOVALS));
                }
                (place, walked) = (place + 1, walked + 1);
            }
            let longest = model.collector.longest(hz as u64);
            let is_busy = seen > 0 && gone * 100 / seen > 50;
            let pause = if is_busy { 1 } else { (pause + 1).min(longest) };
            return Some((model.counted() - gone, rings(pause), place));
        }
        let (mut average, mut weight, mut stay) = (60 * hz, 100, 0);
        for left in (0..chains).flat_map(left).filter(|left| *left > 0) {
            for _ in 0..2 {
                weight += 1;
                average += (left.clamp(hz, 300 * hz) - average) / weight;
            }
            stay += 1;
        }
        // One that has too much to remove goes on at the next tick.
        let most = RUN_REMOVALS / u64::from(model.settings.hz);
        let is_whole = first == 0 && (model.counted() - stay) as u64 <= most;
        let pause = match kind {
            CollectorKind::FullScan => 120 * hz,
            _ => (average.clamp(hz, 60 * hz) - 1).max(1),
        };
        is_whole.then(|| (stay, rings(pause as u64), 0))
    }

    /// Runs all that a collector would until then, each for itself.
    fn one_by_one(model: &mut Model, to: Time) {
        while model.collector.next <= model.ticks_at(to) {
            let next = model.time_of(model.collector.next).expect("a first packet");
            let wanted = with_every_entry(model);
            model.advance(next);
            let Collector { next, place, .. } = model.collector;
            let came = wanted.map(|_| (model.counted(), next, place));
            assert_eq!(came, wanted, "a run that does not look at all entries");
        }
        model.advance(to);
    }

    fn assert_same(at_once: &Model, by_and_by: &Model, when: &str) {
        assert_eq!(at_once.counted(), by_and_by.counted(), "{when}");
        assert_eq!(at_once.protected(), by_and_by.protected(), "{when}");
        assert_eq!(at_once.occupancy(), by_and_by.occupancy(), "{when}");
        assert_eq!(at_once.counters(), by_and_by.counters(), "{when}");
        assert_eq!(at_once.snapshot(), by_and_by.snapshot(), "{when}");
        let next = |Model { collector: c, .. }: &Model| (c.next, c.place, c.pause, c.early_drop);
        assert_eq!(next(at_once), next(by_and_by), "{when}");
    }

    /// Bursts of packets, some of which find a table full, with silences between them that are over before, when or long after
    /// something expires; of settings alone and in a grid.
    #[test]
    fn a_collector_that_steps_over_its_runs_comes_to_the_same_as_one_that_does_not() {
        let with_runs = PROFILES.iter().filter(|p| p.collector != CollectorKind::Timers);
        for (number, profile) in with_runs.enumerate() {
            let chance = &mut Chance(number as u64);
            let hz = [100, 250, 1000][number % 3];
            let mut configs: Vec<Config> = (0..3).map(|_| config(profile, hz, chance)).collect();
            let buckets = chance.of(&[2, 64, 1024]);
            configs.iter_mut().for_each(|config| config.settings.buckets = buckets);
            let mut models: Vec<(Model, Model)> = configs
                .iter()
                .map(|config| (Model::new(config.clone()), Model::new(config.clone())))
                .collect();
            let mut grid = Grid::new(&configs);
            // A slice every eighth of a second is many.
            let is_sliced = profile.collector == CollectorKind::Slices;
            let longest = if is_sliced { 3_000_000 } else { 300_000_000 };
            let mut now = 0;
            for burst in 0..8 {
                let silence = chance.of(&[7_000, 400_000, longest]);
                now += chance.below(silence) as i64;
                let (to, when) = (Time(now * 1_000_000), alloc::format!("{profile:?} {burst}"));
                for (seat, (at_once, by_and_by)) in models.iter_mut().enumerate() {
                    at_once.advance(to);
                    one_by_one(by_and_by, to);
                    assert_same(at_once, by_and_by, &when);
                    if let Some(grid) = &mut grid {
                        grid.advance(to);
                        assert_same(&grid.part(seat), by_and_by, &when);
                    }
                }
                let flows = chance.of(&[5, 40, 2000]);
                for _ in 0..chance.of(&[10, 300]) {
                    now += chance.below(40) as i64;
                    let (bytes, at) = (packet(chance, flows), Time(now * 1_000_000));
                    let packet = parse_ip(&bytes).expect("a packet");
                    let treatment = Treatment::default();
                    for (at_once, by_and_by) in &mut models {
                        at_once.packet(at, &packet, &treatment);
                        one_by_one(by_and_by, at);
                        by_and_by.packet(at, &packet, &treatment);
                    }
                    if let Some(grid) = &mut grid {
                        grid.batch(&[Arrival { at, packet, treatment }], |_, _, _| {});
                    }
                }
            }
        }
    }

    /// So many that the average of their lifetimes stands still before all are seen: from there on only what has expired is looked at.
    #[test]
    fn a_pass_over_many_entries_comes_to_what_one_comes_to_that_looks_at_each() {
        let profile = Profile::named("6.18").expect("a profile");
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        (settings.hz, settings.max, settings.buckets) = (100, 30_000, 16_384);
        for name in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
            settings.set(name, 50).expect("a known timeout");
        }
        let mut model =
            Model::new(Config { collector_phase: 77, ..Config::new(profile, settings) });
        let (chance, mut passes) = (&mut Chance(3), 0);
        // Most flows come again before they expire: no more go than a run may remove.
        for number in 0..400_000_i64 {
            let (mut bytes, at) = (packet(chance, 20_000), Time(number * 500_000));
            bytes[9] = 17;
            let is_due = model.collector.next <= model.ticks_at(at);
            if is_due && model.counted() > 15_000 && with_every_entry(&model).is_some() {
                passes += 1;
            }
            one_by_one(&mut model, at);
            model.packet(at, &parse_ip(&bytes).expect("a packet"), &Treatment::default());
        }
        assert!(passes > 1, "{passes} passes over {} entries", model.counted());
    }

    /// Of two moments that are further apart than the clock tells, nobody knows the earlier one.
    #[test]
    fn what_has_expired_goes_beside_entries_that_live_as_long_as_the_clock_tells_moments_apart() {
        for name in ["4.14", "5.14", "6.18"] {
            let profile = Profile::named(name).expect("a profile");
            let chance = &mut Chance(1);
            let mut own = config(profile, 250, chance);
            (own.settings.max, own.settings.buckets) = (2000, 64);
            for (key, seconds) in [
                ("nf_conntrack_udp_timeout", 1),
                ("nf_conntrack_icmp_timeout", u64::from(i32::MAX as u32 / 250)),
                ("nf_conntrack_tcp_timeout_syn_sent", 50),
            ] {
                own.settings.set(key, seconds).expect("a known timeout");
            }
            let (mut model, mut now) = (Model::new(own), 0);
            for _ in 0..2000 {
                now += chance.below(3000) as i64;
                let (bytes, at) = (packet(chance, 1000), Time(now * 1_000_000));
                one_by_one(&mut model, at);
                model.packet(at, &parse_ip(&bytes).expect("a packet"), &Treatment::default());
            }
            assert!(model.counted() > 100, "{name}: {}", model.counted());
        }
    }

    /// An idle table's passes are stepped over; one after the other they come at the same ticks.
    #[test]
    fn the_collector_of_an_idle_table_comes_as_if_it_had_gone_each_time() {
        for name in ["4.14", "5.14", "6.18"] {
            let profile = Profile::named(name).expect("a profile");
            for hz in [100, 250, 1000] {
                let mut settings = Settings::of(profile, Bytes(1 << 30));
                settings.hz = hz;
                let model =
                    Model::new(Config { collector_phase: 77, ..Config::new(profile, settings) });
                let (mut at_once, mut by_and_by) = (model.clone(), model);
                for second in 0..1000 {
                    by_and_by.advance(Time::from_secs(second));
                }
                at_once.advance(Time::from_secs(0));
                at_once.advance(Time::from_secs(999));
                assert_eq!(at_once.collector.next, by_and_by.collector.next, "{name}, {hz}");
                let ahead = at_once.collector.next as i64 - 999 * i64::from(hz);
                assert!((1..=124 * i64::from(hz)).contains(&ahead), "{name}, {hz}: {ahead}");
            }
        }
    }

    /// A packet that found no room lets the slices evict until the end of the table: where that is the end of the last slice, the next run
    /// is the first that knows it, and may not be stepped over.
    #[test]
    fn a_collector_that_evicts_does_not_step_over_the_run_that_ends_it() {
        let profile = Profile::named("4.14").expect("a profile");
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        (settings.hz, settings.max, settings.buckets) = (250, 200, 256);
        // One chain a slice.
        for name in ["nf_conntrack_udp_timeout", "nf_conntrack_tcp_timeout_established"] {
            settings.set(name, 100_000).expect("a known timeout");
        }
        let mut model =
            Model::new(Config { collector_phase: 77, ..Config::new(profile, settings) });
        let feed = |model: &mut Model, protocol, reply: bool, flags, port: u16| {
            let [high, low] = port.to_be_bytes();
            let mut bytes = [0; 40];
            bytes[..10].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol]);
            let ends = [[10, 0, 0, 1], [10, 0, 0, 2]];
            bytes[12..16].copy_from_slice(&ends[usize::from(reply)]);
            bytes[16..20].copy_from_slice(&ends[usize::from(!reply)]);
            let ports = if reply { [0, 53, high, low] } else { [high, low, 0, 53] };
            bytes[20..24].copy_from_slice(&ports);
            if protocol == 17 {
                bytes[25] = 20;
            } else {
                (bytes[27], bytes[31]) = (u8::from(flags == 0x10), u8::from(flags != 2));
                bytes[32..35].copy_from_slice(&[0x50, flags, 200]);
            }
            let packet = parse_ip(&bytes).expect("a packet");
            model.packet(Time(0), &packet, &Treatment::default());
        };
        for port in 1..=200 {
            for (reply, flags) in [(false, 2), (true, 0x12), (false, 0x10)] {
                feed(&mut model, 6, reply, flags, port);
            }
        }
        feed(&mut model, 17, false, 0, 1);
        assert!(model.collector.early_drop, "a table full of connections");
        let (mut at_once, mut by_and_by) = (model.clone(), model);
        let to = Time::from_secs(50_000);
        at_once.advance(to);
        one_by_one(&mut by_and_by, to);
        assert!(!by_and_by.collector.early_drop);
        assert_same(&at_once, &by_and_by, "behind a silence");
    }

    #[test]
    fn an_entry_that_expires_at_the_very_tick_of_a_run_goes_in_that_run() {
        const SECONDS: u64 = 3000;
        // Runs come so many ticks behind each other.
        for (name, steps) in [("4.14", 32), ("5.14", 30_208)] {
            let profile = Profile::named(name).expect("a profile");
            let mut settings = Settings::of(profile, Bytes(1 << 30));
            (settings.hz, settings.buckets) = (250, 2);
            settings.set("nf_conntrack_udp_timeout", SECONDS).expect("a known timeout");
            let collector_phase = (SECONDS * 250 % steps) as u32;
            let mut model =
                Model::new(Config { collector_phase, ..Config::new(profile, settings) });
            let mut bytes = packet(&mut Chance(4), 1);
            bytes[9] = 17;
            let datagram = parse_ip(&bytes).expect("a datagram");
            model.packet(Time(0), &datagram, &Treatment::default());
            let mut before = model.clone();
            before.advance(model.time_of(SECONDS * 250 - 1).expect("a first packet"));
            assert_eq!((before.counted(), before.collector.next), (1, SECONDS * 250), "{name}");
            model.advance(Time::from_secs(SECONDS as i64));
            assert_eq!(model.counted(), 0, "{name}");
        }
    }
}
