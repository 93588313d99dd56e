//! What a rule does, one statement after the other.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde_json::Value;

use super::condition::{holds_ct, unwrapped};
use super::left::{What, range};
use super::{Map, Place, text, words};
use crate::filter::{Action, Match, Need, Rule, Side, TableFamily, Target, Test, Written};
use crate::ruleset::needs;

/// Most elements of a map that are followed: each rule may name one.
const RESULTS: usize = 256;

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
                rule.sends = self.target(kind, inner).map(Box::new);
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

    /// `{"addr": "10.0.0.1", "port": 80}`, `{"addr": {"map": {"key": …, "data": …}}}` with addresses or `addr . port`
    fn target(&self, kind: &str, inner: &Value) -> Option<Target> {
        let mut target = match kind {
            "redirect" => Target { address: Written::Own, port: Written::Nothing },
            "dnat" => Target { address: Written::Nothing, port: Written::Nothing },
            _ => return None,
        };
        if let Some(address) = inner.get("addr") {
            let Some(all) = self.results(address) else { return Some(Target::UNKNOWN) };
            let part = |at: usize| all.iter().map(move |v| v.get("concat").and_then(|c| c.get(at)));
            if part(1).any(|port| port.is_some()) {
                target.address = Written::among(part(0).map(|v| address_of(v?)).collect());
                target.port = Written::among(part(1).map(|v| port_of(v?)).collect());
            } else {
                target.address = Written::among(all.iter().map(|v| address_of(v)).collect());
            }
        }
        if let Some(port) = inner.get("port") {
            let ports = self.results(port).and_then(|all| all.iter().map(|v| port_of(v)).collect());
            target.port = Written::among(ports);
        }
        Some(target)
    }

    /// What a value may be: itself, or what a map has. `None`: a map that is not known, or too long.
    fn results<'v>(&'v self, value: &'v Value) -> Option<Vec<&'v Value>> {
        let Some(map) = value.get("map") else { return Some(alloc::vec![value]) };
        let data = map.get("data")?;
        let elements = match data.as_str().and_then(|s| s.strip_prefix('@')) {
            Some(name) => {
                let name = (self.family, self.table.to_string(), name.to_string());
                self.reader.maps.get(&name)?.as_array()?
            }
            None => data.get("set")?.as_array()?,
        };
        if elements.len() > RESULTS {
            return None;
        }
        elements.iter().map(|pair| pair.as_array()?.get(1).map(unwrapped)).collect()
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

fn address_of(value: &Value) -> Option<(u128, u128)> {
    let first = value.pointer("/prefix/addr").or_else(|| value.pointer("/range/0"));
    let six = first.unwrap_or(value).as_str()?.contains(':');
    let family = if six { TableFamily::Ip6 } else { TableFamily::Ip };
    range(&What::Address(Side::Destination, family), value)
}

fn port_of(value: &Value) -> Option<(u128, u128)> {
    range(&What::Port(Side::Destination, None), value)
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
            "MASQUERADE" | "SNAT" | "DNAT" | "REDIRECT" | "NETMAP" => {
                rule.action = Action::Nat;
                rule.sends = Target::of(name).map(|_| Box::new(Target::UNKNOWN));
            }
            "REJECT" | "SYNPROXY" => rule.action = Action::Drop,
            _ => rule.matches.push(Match { test: Test::Unknown, words: None }),
        }
    }
}
