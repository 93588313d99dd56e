//! Kernels to 4.8 have a timer for each entry, and no collector: what has expired is gone.
//!
//! Nobody sees whether that is at its very tick or a tenth of a second later, but for the count.

use alloc::vec::Vec;

use super::BLOCK;
use crate::model::Model;
use crate::table::Met;

impl Model {
    /// Takes out what has expired, if it is a tenth of a second since that was done.
    pub(super) fn expire_all(&mut self) {
        if self.ticks < self.collector.next {
            return;
        }
        let (now, chains) = (self.now(), self.table.chains());
        let due = self.table.tells_bounds().then_some(now);
        // An entry that is made meanwhile lives a second at least.
        let (mut pause, mut ended, mut place) = (self.settings.hz / 10, Vec::new(), 0);
        while place < chains {
            let known = due.map(|due| self.table.quiet(place..chains, BLOCK, due));
            let (behind, held) = known.map_or((place, None), |(behind, h)| (behind, h.soonest));
            let end = if behind < chains { self.table.whole_lines(behind, BLOCK) } else { chains };
            let swept = self.sweep_into(
                behind..end,
                due,
                &mut ended,
                |met, _| matches!(met, Met::Entry(leaving) if leaving.expires.left(now) <= 0),
            );
            for soonest in held.into_iter().chain(swept) {
                pause = pause.min(soonest.left(now).unsigned_abs());
            }
            place = end;
        }
        self.collector.next = self.ticks.saturating_add(pause.max(1).into());
        // They rang one after the other, however late somebody looks.
        ended.sort_by_key(|whole| whole.slot.expires.left(now));
        ended.iter().for_each(|whole| self.ended(whole));
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_ct::{Bytes, CollectorKind, PROFILES, Time};
    use plimsoll_wire::packet::parse_ip;

    use super::*;
    use crate::{Config, Settings, Treatment};

    #[test]
    fn what_has_expired_stands_for_a_tenth_of_a_second_at_most() {
        let with_timers = PROFILES.iter().filter(|p| p.collector == CollectorKind::Timers);
        for profile in with_timers {
            let mut settings = Settings::of(profile, Bytes(1 << 30));
            (settings.hz, settings.max, settings.buckets) = (1000, 4000, 2048);
            for (name, seconds) in
                [("udp_timeout", 1), ("icmp_timeout", 5), ("generic_timeout", 90)]
            {
                let name = alloc::format!("nf_conntrack_{name}");
                settings.set(&name, seconds).expect("a known timeout");
            }
            let mut model = Model::new(Config::new(profile, settings));
            let (mut drawn, mut now, mut met) = (1_u64, 0, 0);
            let mut below = |end: u64| {
                drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x5851_f42d);
                (drawn >> 33) % end
            };
            for n in 0..3000 {
                // As dense as a millisecond, or as far apart as seconds.
                let apart = [2, 90, 3000][n / 20 % 3];
                now += below(apart) as i64;
                let mut bytes = [0; 28];
                bytes[..4].copy_from_slice(&[0x45, 0, 0, 28]);
                (bytes[8], bytes[9]) = (64, [17, 1, 50][below(3) as usize]);
                (bytes[17], bytes[19]) = (below(20) as u8, 2);
                (bytes[20], bytes[25]) = (8, 8);
                let packet = parse_ip(&bytes).expect("a packet");
                model.packet(Time(now * 1_000_000), &packet, &Treatment::default());
                let past = |id| -model.table.vitals(id).expires.left(model.now());
                let longest = model.table.iter().map(past).max().expect("the packet's own");
                assert!(longest < 100, "{}, {now}: {longest}", profile.name);
                met += model.counted();
            }
            assert!(met > 20_000, "{}: {met}", profile.name);
        }
    }
}
