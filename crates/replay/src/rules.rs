//! What the ruleset does to packets before conntrack: zone, NOTRACK, timeout policies, helpers.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_model::Treatment;
use plimsoll_wire::packet::Packet;

use crate::helper::HelperRule;
use crate::policy::PolicyRule;
use crate::selector::Selector;
use crate::zone::ZoneRule;

/// Rules in front of conntrack (the `raw` table).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// What happens to every packet.
    pub every: Treatment,
    /// Zones: the first rule that is about a packet counts.
    pub zones: Vec<ZoneRule>,
    /// Packets that are not tracked.
    pub untracked: Vec<Selector>,
    /// Timeouts of the entries that packets make: the first rule that is about a packet counts. Their places are
    /// those in [`Settings::policies`](plimsoll_model::Settings::policies).
    pub policies: Vec<PolicyRule>,
    /// Helpers of the entries that packets make: the first rule that is about a packet counts.
    pub helpers: Vec<HelperRule>,
}

impl From<Treatment> for Rules {
    fn from(every: Treatment) -> Self {
        Self { every, ..Self::default() }
    }
}

impl Rules {
    /// Whether the same happens to every packet.
    pub(crate) fn are_none(&self) -> bool {
        let Self { every: _, untracked, policies, helpers, zones } = self;
        untracked.is_empty() && policies.is_empty() && helpers.is_empty() && zones.is_empty()
    }

    /// What happens to this one. Of a datagram in fragments that counts which happens to the first part: it has the ports.
    #[inline(never)]
    pub(crate) fn look(&self, packet: &Packet<'_>) -> Treatment {
        let untracked = self.untracked.iter().any(|selector| selector.holds(packet));
        let mut treatment =
            Treatment { untracked: untracked || self.every.untracked, ..self.every };
        if let Some(rule) = self.zones.iter().find(|rule| rule.holds(packet)) {
            treatment.zone = rule.zone;
        }
        if !self.policies.is_empty() {
            let place = self.policies.iter().position(|rule| rule.selector.holds(packet));
            treatment.policy = place.and_then(|place| u8::try_from(place).ok());
        }
        if !self.helpers.is_empty() {
            let rule = self.helpers.iter().find(|rule| rule.selector.holds(packet));
            treatment.helper = rule.map(|rule| rule.helper);
        }
        treatment
    }

    /// Whether no grid knows what they do to packets.
    pub(crate) fn are_special(&self) -> bool {
        self.every.helper.is_some()
            || self.every.zone.is_one_way()
            || !self.helpers.is_empty()
            || self.zones.iter().any(|rule| rule.zone.is_one_way())
    }

    /// The NOTRACK rules whose other direction stays tracked, each with the rule that is missing. The
    /// kernel's are like this too: answers that nobody exempts find no entry; those of TCP are taken for
    /// flows in the middle (`tcp_loose`), others open entries of their own, back to front.
    pub fn one_way(&self) -> Vec<(String, String)> {
        let mirrored = |s: &&Selector| !self.untracked.contains(&s.mirrored());
        let missing = self.untracked.iter().filter(mirrored);
        missing.map(|s| (s.to_string(), s.mirrored().to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_ct::{Bytes, Profile, Time};
    use plimsoll_model::{Config, Settings};
    use plimsoll_wire::capture::Record;

    use super::*;
    use crate::Replay;

    /// An IPv4 packet with eight octets of a UDP datagram, which takes 16.
    fn part(offset: u8, more: bool, octets: [u8; 8]) -> Vec<u8> {
        let flags = if more { 0x20 } else { 0 };
        let header = [0x45, 0, 0, 28, 0, 7, flags, offset, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        [&header[..], &octets].concat()
    }

    #[test]
    fn a_datagram_in_fragments_is_treated_as_its_first_part_whatever_comes_last() {
        let first = part(0, true, [0x10, 0, 0, 53, 0, 16, 0, 0]);
        let last = part(1, false, [0; 8]);
        let parts = [[&first, &last], [&last, &first]];
        let profile = Profile::named("6.18").unwrap();
        let policies = Vec::from([PolicyRule::parse("udp dport 53 unreplied=200").unwrap()]);
        let zones = Vec::from([ZoneRule::parse("udp dport 53 7").unwrap()]);
        let untracked = Vec::from([Selector::parse("udp dport 53").unwrap()]);
        for parts in parts {
            let left = |rules: &Rules| {
                let mut settings = Settings::of(profile, Bytes(1 << 30));
                settings.policies.extend(rules.policies.iter().map(|rule| rule.policy.clone()));
                let config = Config::new(profile, settings);
                let mut replay = Replay::new([(String::new(), config)], rules.clone());
                let record = |bytes| Record { time: Some(Time(0)), link: 101, bytes, length: 28 };
                replay.feed(&parts.map(|bytes: &Vec<u8>| record(bytes)));
                let entries = replay.runs()[0].snapshot();
                entries.iter().map(|e| (e.zone.id, e.expires.unwrap().get())).collect::<Vec<_>>()
            };
            assert_eq!(left(&Rules::default()), [(0, 30)]);
            assert_eq!(left(&Rules { policies: policies.clone(), ..Rules::default() }), [(0, 200)]);
            assert_eq!(left(&Rules { zones: zones.clone(), ..Rules::default() }), [(7, 30)]);
            assert_eq!(left(&Rules { untracked: untracked.clone(), ..Rules::default() }), []);
        }
    }

    #[test]
    fn a_rule_for_one_direction_is_named_with_the_one_that_is_missing() {
        let rules = |texts: &[&str]| Rules {
            untracked: texts.iter().map(|t| Selector::parse(t).unwrap()).collect(),
            ..Rules::default()
        };
        let missing = rules(&["tcp dport 443"]).one_way();
        assert_eq!(missing, [("tcp dport 443".to_string(), "tcp sport 443".to_string())]);
        assert!(rules(&["tcp dport 443", "tcp sport 443"]).one_way().is_empty());
        assert!(rules(&["tcp port 443"]).one_way().is_empty());
    }
}
