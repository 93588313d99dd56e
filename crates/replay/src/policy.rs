//! Which entries get a timeout policy, and what is in it: a selector and seconds by state, in the words of nft.
//!
//! `tcp dport 443 established=600 close_wait=10`, `udp port 53 unreplied=5 replied=10`. The protocol must be
//! named, since each has states of its own.

use alloc::vec::Vec;
use core::fmt;

use plimsoll_model::TimeoutPolicy;

use crate::selector::{Selector, SelectorError, fault, words};

/// Which entries get a timeout policy, and what is in it: a selector that names the protocol, and seconds by state, in the
/// words of nft. The policy itself belongs into [`Settings::policies`](plimsoll_model::Settings::policies), at the rule's place
/// in [`Rules::policies`](crate::Rules::policies).
///
/// ```
/// use plimsoll_replay::PolicyRule;
///
/// PolicyRule::parse("tcp dport 443 established=600 close_wait=10").expect("states of TCP's");
/// let error = PolicyRule::parse("udp port 53 established=5").unwrap_err();
/// assert!(error.to_string().contains("unreplied"), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRule {
    /// Which packets get their entry this policy.
    pub selector: Selector,
    /// The timeouts.
    pub policy: TimeoutPolicy,
}

impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.selector, self.policy)
    }
}

impl PolicyRule {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let is_timeout = |word: &(usize, &str)| word.1.contains('=');
        let selector = Selector::of_words(words(text).filter(|word| !is_timeout(word)))?;
        let after = words(text).count() + 1;
        let protocol = selector.protocol().ok_or_else(|| {
            fault!(
                after,
                "expected a protocol too, as in 'tcp dport 443 established=600'",
                "还缺少协议，如 'tcp dport 443 established=600'"
            )
        })?;
        let mut policy = TimeoutPolicy::new(protocol);
        let timeouts: Vec<_> = words(text).filter(is_timeout).collect();
        if timeouts.is_empty() {
            return Err(fault!(
                after,
                "expected a state and its seconds, as in 'established=600'",
                "应为状态及其秒数，如 'established=600'"
            ));
        }
        for (at, word) in timeouts {
            let (state, seconds) = word.split_once('=').unwrap_or((word, ""));
            let seconds = seconds.parse().map_err(|_| {
                fault!(at, "expected seconds, saw {seconds:?}", "应为秒数，实为 {seconds:?}")
            })?;
            policy.set(state, seconds).map_err(|error| fault!(at, "{error}", "{error:#}"))?;
        }
        Ok(Self { selector, policy })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_policy_is_a_selector_and_seconds_by_state_in_any_order() {
        let rule = PolicyRule::parse("tcp dport 443 established=600 close_wait=10").unwrap();
        assert_eq!(rule.selector, Selector::parse("tcp dport 443").unwrap());
        let mut policy = TimeoutPolicy::new(6);
        policy.set("established", 600).unwrap();
        policy.set("close_wait", 10).unwrap();
        assert_eq!(rule.policy, policy);
        let other = PolicyRule::parse("established=600 tcp close_wait=10 dport 443").unwrap();
        assert_eq!(other, rule);
        assert_eq!(rule.to_string(), "tcp dport 443 established=600 close_wait=10");
    }

    #[test]
    fn an_error_names_the_word_and_what_was_expected() {
        let error = |text: &str| PolicyRule::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("dport 443 established=600"),
            "word 4: expected a protocol too, as in 'tcp dport 443 established=600'"
        );
        assert_eq!(
            error("tcp dport 443"),
            "word 4: expected a state and its seconds, as in 'established=600'"
        );
        assert_eq!(error("tcp established=1h dport 5"), "word 2: expected seconds, saw \"1h\"");
        assert_eq!(
            error("udp dport 53 established=600"),
            "word 4: udp has no timeout \"established\", only unreplied, replied"
        );
        assert!(error("tcp dport established=5").starts_with("word 3: expected a port after"));
    }
}
