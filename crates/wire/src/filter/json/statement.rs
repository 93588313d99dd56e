//! What a rule does, one statement after the other.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;

use serde_json::Value;

use super::condition::{holds_ct, unwrapped};
use super::{Map, Place, text, words};
use crate::filter::{Action, Match, Need, Rule, Test};
use crate::ruleset::needs;

impl Place<'_, '_> {
    pub(super) fn statement(&self, rule: &mut Rule, kind: &str, inner: &Value) {
        let mut test = |test| rule.matches.push(Match { test, words: None });
        match kind {
            "match" => {
                rule.matches.push(Match { test: self.condition(inner), words: words::exact(inner) })
            }
            "limit" | "quota" => test(Test::Rate),
            "accept" | "drop" | "reject" | "return" | "jump" | "goto" | "queue" => {
                rule.action = action(kind, inner);
            }
            "masquerade" | "snat" | "dnat" | "redirect" => {
                rule.action = Action::Nat;
                needs::add(&mut rule.needs, Some(Need::Nat));
            }
            "notrack" => rule.untracks = true,
            "synproxy" => {
                rule.action = Action::Drop;
                needs::add(&mut rule.needs, Some(Need::SynProxy));
            }
            "vmap" => rule.action = self.map(inner),
            "ct count" => {
                test(Test::Tracked(Need::Count));
                needs::add(&mut rule.needs, Some(Need::Count));
            }
            "flow" => needs::add(&mut rule.needs, Some(Need::Offload)),
            "mangle" => {
                if let Some(key) = inner.get("key").and_then(|k| k.get("meta")) {
                    let plain = inner.get("value").and_then(Value::as_u64);
                    let words = plain.filter(|_| text(key, "key") == "mark");
                    rule.marks =
                        Some(words.map_or_else(String::new, |n| format!("meta mark set {n}")));
                }
                if let Some(ct) = inner.get("key").and_then(|k| k.get("ct")) {
                    needs::add(&mut rule.needs, Some(needs::of_nft_key(text(ct, "key"))));
                }
                // The packet takes the entry's mark.
                if holds_ct(inner.get("value")) {
                    needs::add(&mut rule.needs, Some(Need::Mark));
                }
            }
            "set" => {
                let counts = inner.get("stmt").and_then(Value::as_array);
                let counts =
                    counts.is_some_and(|all| all.iter().any(|s| s.get("ct count").is_some()));
                if counts {
                    test(Test::Tracked(Need::Count));
                    needs::add(&mut rule.needs, Some(Need::Count));
                }
                // A limit for each element, or no room for another one: the rule ends.
                test(Test::Rate);
            }
            "xt" => foreign(rule, inner),
            "counter" | "log" | "comment" | "last" | "nftrace" => {}
            kind => match kind.strip_prefix("ct ") {
                Some(key) => needs::add(&mut rule.needs, Some(needs::of_nft_key(key))),
                None => {
                    if !matches!(kind, "continue" | "dup" | "fwd" | "tproxy" | "secmark") {
                        test(Test::Unknown);
                    }
                }
            },
        }
    }

    /// `{"key": …, "data": "@name" | {"set": [[key, verdict], …]}}`
    fn map(&self, inner: &Value) -> Action {
        let unknown = || [(Test::Unknown, Action::Drop), (Test::Unknown, Action::Accept)];
        let (Some(key), Some(data)) = (inner.get("key"), inner.get("data")) else {
            return Action::Map(Arc::new(unknown()));
        };
        let Some(name) = data.as_str().and_then(|s| s.strip_prefix('@')) else {
            return Action::Map(match data.get("set").and_then(Value::as_array) {
                Some(elements) => self.elements(key, elements),
                None => Arc::new(unknown()),
            });
        };
        let name = (self.family, self.table.to_string(), name.to_string());
        let place = (name, key.to_string());
        if let Some(map) = self.reader.mapped.borrow().get(&place) {
            return Action::Map(map.clone());
        }
        let elements = self.reader.maps.get(&place.0).and_then(|all| all.as_array());
        let map =
            elements.map_or_else(|| Arc::new(unknown()) as Map, |all| self.elements(key, all));
        self.reader.mapped.borrow_mut().insert(place, map.clone());
        Action::Map(map)
    }

    fn elements(&self, key: &Value, elements: &[Value]) -> Map {
        let pair = |element: &Value| {
            let [from, to] = element.as_array()?.as_slice() else { return None };
            let (kind, inner) = to.as_object()?.iter().next()?;
            Some((self.is(key, unwrapped(from)), action(kind, inner)))
        };
        elements.iter().filter_map(pair).collect()
    }
}

fn action(kind: &str, inner: &Value) -> Action {
    match kind {
        "accept" => Action::Accept,
        "drop" | "reject" => Action::Drop,
        "return" => Action::Return,
        "jump" => Action::Jump(text(inner, "target").to_string()),
        "goto" => Action::Goto(text(inner, "target").to_string()),
        "queue" => Action::Queue,
        _ => Action::Next,
    }
}

/// A match or target of x_tables, of which nft tells the name alone.
fn foreign(rule: &mut Rule, inner: &Value) {
    let name = text(inner, "name");
    if text(inner, "type") == "match" {
        let test = needs::of_match(name).map_or(Test::Unknown, Test::Tracked);
        rule.matches.push(Match { test, words: None });
    } else {
        needs::add(&mut rule.needs, needs::of_target(name));
        match name {
            "MASQUERADE" | "SNAT" | "DNAT" | "REDIRECT" | "NETMAP" => rule.action = Action::Nat,
            "REJECT" | "SYNPROXY" => rule.action = Action::Drop,
            _ => rule.matches.push(Match { test: Test::Unknown, words: None }),
        }
    }
}
