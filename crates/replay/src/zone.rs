//! Which packets are put into which zone: a selector, if it is not about all of them, and the zone in the words of
//! `conntrack`: `7`, `saddr 10.0.0.0/8 orig=7`, `tcp dport 443 reply=7`.

use core::fmt;

use plimsoll_ct::{Zone, ZoneDirection};
use plimsoll_wire::packet::Packet;

use crate::selector::{Selector, SelectorError, fault, words};

/// Which packets are put into which zone: a selector, if it is not about all of them, and the zone in the words of `conntrack`.
///
/// ```
/// use plimsoll_replay::ZoneRule;
///
/// for text in ["7", "saddr 10.0.0.0/8 orig=7", "tcp dport 443 reply=7"] {
///     assert_eq!(ZoneRule::parse(text).expect("a rule").to_string(), text);
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneRule {
    /// Which packets; all of them where it has no terms.
    pub selector: Selector,
    /// Their zone.
    pub zone: Zone,
}

impl ZoneRule {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let (at, word) = words(text).last().unwrap_or((1, ""));
        let zone = zone(word).ok_or_else(|| {
            fault!(
                at,
                "expected a zone like 7, orig=7 or reply=7 (0 to 65535), saw {word:?}",
                "应为区域，如 7、orig=7 或 reply=7（0 到 65535），实为 {word:?}"
            )
        })?;
        let selector = match at {
            1 => Selector::default(),
            _ => Selector::of_words(words(text).take(at - 1))?,
        };
        Ok(Self { selector, zone })
    }

    pub(crate) fn holds(&self, packet: &Packet<'_>) -> bool {
        self.selector.holds(packet)
    }
}

fn zone(word: &str) -> Option<Zone> {
    let (direction, id) = match word.split_once('=') {
        None => (ZoneDirection::Both, word),
        Some(("orig", id)) => (ZoneDirection::Original, id),
        Some(("reply", id)) => (ZoneDirection::Reply, id),
        Some(_) => return None,
    };
    Some(Zone { id: id.parse().ok()?, direction })
}

impl fmt::Display for ZoneRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.selector != Selector::default() {
            write!(f, "{} ", self.selector)?;
        }
        let direction = match self.zone.direction {
            ZoneDirection::Both => "",
            ZoneDirection::Original => "orig=",
            ZoneDirection::Reply => "reply=",
        };
        write!(f, "{direction}{}", self.zone.id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_rule_is_a_zone_with_or_without_a_selector() {
        for text in ["7", "orig=7", "ip saddr 10.0.0.0/8 reply=65535", "tcp dport 443 0"] {
            assert_eq!(ZoneRule::parse(text).unwrap().to_string(), text);
        }
        let rule = ZoneRule::parse("udp orig=9").unwrap();
        assert_eq!(rule.zone, Zone { id: 9, direction: ZoneDirection::Original });
        assert_eq!(rule.selector, Selector::parse("udp").unwrap());
    }

    #[test]
    fn an_error_names_the_word_and_what_was_expected() {
        let error = |text: &str| ZoneRule::parse(text).unwrap_err().to_string();
        let zone = "expected a zone like 7, orig=7 or reply=7 (0 to 65535)";
        assert_eq!(error(""), format!("word 1: {zone}, saw \"\""));
        assert_eq!(error("65536"), format!("word 1: {zone}, saw \"65536\""));
        assert_eq!(error("udp both=7"), format!("word 2: {zone}, saw \"both=7\""));
        assert!(error("upd 7").starts_with("word 1: expected a protocol"));
    }
}
