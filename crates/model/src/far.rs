//! The clock of 32 bits comes round: of two moments that are half of its round apart, nobody can tell the earlier one.
//!
//! Entries live for less than that. But an entry that has expired stands until the collector comes, and beside it may come one that
//! lives for nearly as long: then what the index knows of when entries expire is not used any more, and each is looked at.

use crate::model::Model;

/// Ticks, of which the clock counts four times as many before it begins anew.
pub(crate) const FAR: u64 = 1 << 30;

/// Whether an entry that lives for so many ticks and one that has expired may be further apart than the clock tells.
pub(crate) const fn is_far(ticks: u32) -> bool {
    /// For longer no entry that has expired stands.
    const STANDS: u32 = 1 << 18;
    ticks >= i32::MAX as u32 - STANDS
}

impl Model {
    /// Entries may live for so many ticks.
    pub(crate) fn outlives(&mut self, ticks: u32) {
        if is_far(ticks) {
            self.table.forget_bounds();
        }
        self.usual.long |= !self.table.tells_bounds();
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use plimsoll_ct::{Bytes, PROFILES, Profile, Time};
    use plimsoll_wire::packet::parse_ip;

    use super::*;
    use crate::{Config, Settings, Treatment, What};

    /// Over several rounds of the clock, by lines of which the slices of 4.9 to 4.14 never see a whole one.
    #[test]
    fn who_looks_at_what_may_have_expired_meets_what_one_meets_who_looks_at_all() {
        for (number, profile) in PROFILES.iter().enumerate() {
            let mut settings = Settings::of(profile, Bytes(1 << 30));
            (settings.hz, settings.max, settings.buckets) = (1000, 100, 1000);
            for (name, days) in [("icmp_timeout", 10), ("udp_timeout_stream", 24)] {
                let name = alloc::format!("nf_conntrack_{name}");
                settings.set(&name, days * 86_400).expect("a known timeout");
            }
            let mut model = Model::new(Config::new(profile, settings));
            let mut looks_at_all = model.clone();
            looks_at_all.outlives(i32::MAX as u32);
            let mut drawn = number as u64;
            let mut below = |end: u64| {
                drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x5851_f42d);
                (drawn >> 33) % end
            };
            let (mut now, mut met) = (0, 0);
            for _ in 0..800 {
                // Bursts, and hours between them.
                let longest = if below(4) == 0 { 80_000_000 } else { 40_000 };
                now += below(longest) as i64;
                let (flow, reply) = (below(60) as u8, below(3) == 0);
                let mut bytes = [0; 40];
                bytes[..4].copy_from_slice(&[0x45, 0, 0, 40]);
                (bytes[8], bytes[9]) = (64, [17, 6, 1][below(3) as usize]);
                (bytes[15], bytes[19]) = if reply { (2, 1) } else { (1, 2) };
                let ports = if reply { [0, 53, 7, flow] } else { [7, flow, 0, 53] };
                bytes[20..24].copy_from_slice(&ports);
                bytes[25] = 20;
                let flags = [[2, 0x10, 0x10, 0x11], [0x12, 0x10, 0x10, 4]];
                let flags = flags[usize::from(reply)][below(4) as usize];
                bytes[32..35].copy_from_slice(&[0x50, flags, 200]);
                if bytes[9] == 1 {
                    let kind = if reply { 0 } else { 8 };
                    bytes[20..28].copy_from_slice(&[kind, 0, 0, 0, 7, flow, 0, 1]);
                }
                let (at, packet) = (Time(now * 1_000_000), parse_ip(&bytes).expect("a packet"));
                let steps: Vec<_> = [&mut model, &mut looks_at_all]
                    .into_iter()
                    .map(|model| model.packet(at, &packet, &Treatment::default()))
                    .collect();
                assert_eq!(steps[0], steps[1], "{}, {now}", profile.name);
                let seen =
                    [&model, &looks_at_all].map(|model| (model.counted(), model.occupancy()));
                assert_eq!(seen[0], seen[1], "{}, {now}", profile.name);
                met += seen[0].0;
            }
            assert_eq!(model.counters(), looks_at_all.counters(), "{}", profile.name);
            assert!(
                model.ticks > 3 << 31 && met > 8_000,
                "{}: {}, {met}",
                profile.name,
                model.ticks
            );
        }
    }

    /// All chains are in one line, of which a slice of 4.14's collector is a part.
    #[test]
    fn what_expires_is_gone_where_something_expired_half_a_round_of_the_clock_ago() {
        const DAY: i64 = 86_400;
        let profile = Profile::named("4.14").expect("a profile");
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        (settings.hz, settings.max, settings.buckets) = (1000, 2, 512);
        settings.set("nf_conntrack_icmp_timeout", 10 * DAY as u64).expect("a known timeout");
        let mut model = Model::new(Config::new(profile, settings));
        let mut ask = |at: Time, id: u8| {
            let mut bytes = [0; 28];
            bytes[..10].copy_from_slice(&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1]);
            (bytes[20], bytes[25]) = (8, id);
            let packet = parse_ip(&bytes).expect("an echo");
            model.packet(at, &packet, &Treatment::default()).what
        };
        for (day, id) in
            [(0, 1), (1, 2), (8, 1), (9, 2), (16, 1), (17, 2), (23, 1), (24, 2), (26, 1)]
        {
            let wanted = if day < 2 { What::Inserted } else { What::Refreshed };
            assert_eq!(ask(Time::from_secs(day * DAY), id), wanted, "day {day}");
        }
        assert_eq!(ask(Time(34 * DAY * 1_000_000_000 + 1_000_000), 2), What::Inserted);
    }
}
