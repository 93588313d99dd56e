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
    /// What happens to every packet, if it is the same to all.
    pub(crate) fn same(&self) -> Option<Treatment> {
        let Self { every, untracked, policies, helpers, zones } = self;
        let same =
            untracked.is_empty() && policies.is_empty() && helpers.is_empty() && zones.is_empty();
        same.then_some(*every)
    }

    /// What happens to this one. A fragment is never exempted from tracking: the kernel puts datagrams
    /// together first, and what the ports of the whole are is not known yet.
    #[inline(never)]
    pub(crate) fn look(&self, packet: &Packet<'_>) -> Treatment {
        let untracked = !self.untracked.is_empty()
            && packet.fragment.is_none()
            && self.untracked.iter().any(|selector| selector.holds(packet));
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
    use super::*;

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
