//! Which entries a helper reads: a selector and the helper's name, `tcp dport 21 ftp`.

use core::fmt;

use plimsoll_model::Helper;

use crate::selector::{Selector, SelectorError, fault, words};

/// Which entries a helper reads: a selector and the helper's name.
///
/// ```
/// let rule = plimsoll_replay::HelperRule::parse("tcp dport 21 ftp").expect("a rule");
/// assert_eq!(rule.helper, plimsoll_model::Helper::Ftp);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperRule {
    /// Which packets get their entry this helper.
    pub selector: Selector,
    /// The helper.
    pub helper: Helper,
}

impl HelperRule {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let last = words(text).last();
        let helper = last.and_then(|(at, name)| Some((at, Helper::named(name)?)));
        let Some((at, helper)) = helper else {
            let (at, word) = last.unwrap_or((1, ""));
            let names: alloc::vec::Vec<_> = Helper::ALL.iter().map(|h| h.name()).collect();
            let names = names.join(", ");
            return Err(fault!(
                at,
                "expected the name of a helper ({names}), saw {word:?}",
                "应为 helper 的名字（{names}），实为 {word:?}"
            ));
        };
        let selector = Selector::of_words(words(text).take(at - 1))?;
        Ok(Self { selector, helper })
    }
}

impl fmt::Display for HelperRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.selector, self.helper.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_rule_is_a_selector_and_the_name_of_a_helper() {
        let rule = HelperRule::parse("tcp dport 21,2121 ftp").unwrap();
        assert_eq!(rule.helper, Helper::Ftp);
        assert_eq!(rule.to_string(), "tcp dport 21,2121 ftp");
        let error = |text: &str| HelperRule::parse(text).unwrap_err().to_string();
        assert!(error("tcp dport 21").starts_with("word 3: expected the name of a helper (ftp"));
        assert!(error("ftp").starts_with("word 1: expected an expression"));
        assert!(error("").starts_with("word 1: expected the name"));
    }
}
