//! What a rule asks of a packet.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde_json::Value;

use super::left::{What, field, range};
use super::{Place, text};
use crate::filter::numbers::Numbers;
use crate::filter::{Need, Side, States, Test, flag};
use crate::ruleset::needs;

impl Place<'_, '_> {
    pub(super) fn condition(&self, inner: &Value) -> Test {
        let (Some(left), Some(right)) = (inner.get("left"), inner.get("right")) else {
            return Test::Unknown;
        };
        match text(inner, "op") {
            "==" => self.equals(left, right),
            "in" => self.shares(left, right),
            // Without an entry `ct status` has no value: neither equal nor unequal.
            "!=" if What::of(left) == Some(What::Status) => Test::Tracked(Need::State),
            "!=" => negated(self.equals(left, right)),
            "!" => negated(self.shares(left, right)),
            op @ ("<" | ">" | "<=" | ">=") => self.compared(left, op, right),
            _ => Test::Unknown,
        }
    }

    /// `==`, also with a set, a range, a prefix at the right.
    fn equals(&self, left: &Value, right: &Value) -> Test {
        let right = unwrapped(right);
        let Some(name) = right.as_str().and_then(|s| s.strip_prefix('@')) else {
            return self.is(left, right);
        };
        let key = ((self.family, self.table.to_string(), name.to_string()), left.to_string());
        if let Some(test) = self.reader.read.borrow().get(&key) {
            return test.clone();
        }
        let test = self.is(left, right);
        self.reader.read.borrow_mut().insert(key, test.clone());
        test
    }

    pub(super) fn is(&self, left: &Value, right: &Value) -> Test {
        if let Some(parts) = left.get("concat").and_then(Value::as_array) {
            return self.concatenated(parts, right);
        }
        if let Some([what, mask]) = left.get("&").and_then(Value::as_array).map(Vec::as_slice) {
            let of_flags = field(what) == ("tcp", "flags");
            return match (of_flags, flags(mask), flags(right)) {
                (true, Some(mask), Some(set)) => Test::Flags { mask, set },
                _ => Test::Unknown,
            };
        }
        let Some(what) = What::of(left) else { return tracked(left) };
        match what {
            What::State | What::Status => match self.values(right) {
                // Of a list without braces all bits must be there; a packet has one.
                Some(all) if right.is_array() && all.len() > 1 => Test::Not(Arc::new(Test::Always)),
                Some(all) => states(&what, &all),
                None => Test::Unknown,
            },
            What::TcpFlags => match flags(right) {
                Some(set) => Test::Flags { mask: 0xff, set },
                None => Test::Unknown,
            },
            What::Oif | What::Iif => match self.values(right) {
                Some(all) => {
                    let side = if what == What::Iif { Side::Source } else { Side::Destination };
                    let names: Option<Vec<String>> =
                        all.iter().map(|v| v.as_str().map(ToString::to_string)).collect();
                    names.map_or(Test::Unknown, |names| Test::Interface(side, names.into()))
                }
                None => Test::Unknown,
            },
            What::Local(side) => match right.as_str() {
                Some("local") => Test::Local(side),
                Some("broadcast" | "multicast" | "anycast") => Test::Not(Arc::new(Test::Always)),
                _ => Test::Unknown,
            },
            what => {
                let Some(all) = self.values(right) else { return Test::Unknown };
                let ranges: Option<Vec<_>> = all.iter().map(|v| range(&what, v)).collect();
                ranges.map_or(Test::Unknown, |r| what.test(Arc::new(Numbers::new(r))))
            }
        }
    }

    /// `in`: one of the bits.
    fn shares(&self, left: &Value, right: &Value) -> Test {
        match What::of(left) {
            Some(what @ (What::State | What::Status)) => {
                let all = match right {
                    Value::Array(all) => all.iter().collect(),
                    one => alloc::vec![one],
                };
                states(&what, &all)
            }
            Some(What::TcpFlags) => match flags(right) {
                Some(mask) => negated(Test::Flags { mask, set: 0 }),
                None => Test::Unknown,
            },
            Some(_) => self.equals(left, right),
            None => tracked(left),
        }
    }

    fn compared(&self, left: &Value, op: &str, right: &Value) -> Test {
        let (Some(what), Some(number)) = (What::of(left), right.as_u64().map(u128::from)) else {
            return tracked(left);
        };
        if !matches!(what, What::Port(..)) {
            return Test::Unknown;
        }
        let top = u128::from(u16::MAX);
        let range = match op {
            "<" if number == 0 => return Test::Not(Arc::new(Test::Always)),
            "<" => (0, number - 1),
            ">" => (number + 1, top),
            "<=" => (0, number),
            _ => (number, top),
        };
        what.test(Arc::new(Numbers::new(alloc::vec![range])))
    }

    /// Each element has a part for each part of the key.
    fn concatenated(&self, parts: &[Value], right: &Value) -> Test {
        let Some(all) = self.values(right) else { return Test::Unknown };
        let one = |element: &&Value| {
            let Some(values) = element.get("concat").and_then(Value::as_array) else {
                return Test::Unknown;
            };
            // A concatenation holds no other, and no set: a hostile one would not end.
            let flat = |v: &Value| {
                let set = v.as_str().is_some_and(|s| s.starts_with('@'));
                !set && v.get("concat").is_none() && v.get("set").is_none()
            };
            if values.len() != parts.len() || !parts.iter().chain(values).all(flat) {
                return Test::Unknown;
            }
            Test::All(parts.iter().zip(values).map(|(p, v)| self.is(p, unwrapped(v))).collect())
        };
        Test::Any(all.iter().map(one).collect())
    }

    /// Values of a right side. `None`: a set that is not known, or one that packets fill.
    fn values<'v>(&'v self, right: &'v Value) -> Option<Vec<&'v Value>> {
        if let Some(name) = right.as_str().and_then(|s| s.strip_prefix('@')) {
            let key = (self.family, self.table.to_string(), name.to_string());
            return self
                .reader
                .sets
                .get(&key)?
                .as_array()
                .map(|all| all.iter().map(unwrapped).collect());
        }
        if let Some(all) = right.get("set").and_then(Value::as_array).or_else(|| right.as_array()) {
            return Some(all.iter().map(unwrapped).collect());
        }
        Some(alloc::vec![right])
    }
}

/// A `ct` of which only tracked packets have a value.
fn tracked(left: &Value) -> Test {
    match left.get("ct") {
        Some(ct) => Test::Tracked(needs::of_nft_key(text(ct, "key"))),
        None if holds_ct(Some(left)) => Test::Tracked(Need::Mark),
        None => Test::Unknown,
    }
}

/// Whether a `ct` stands in an expression, not too deep.
pub(super) fn holds_ct(value: Option<&Value>) -> bool {
    fn look(value: &Value, depth: u32) -> bool {
        match value {
            Value::Object(all) if depth > 0 => {
                all.iter().any(|(key, inner)| key == "ct" || look(inner, depth - 1))
            }
            Value::Array(all) if depth > 0 => all.iter().any(|v| look(v, depth - 1)),
            _ => false,
        }
    }
    value.is_some_and(|value| look(value, 8))
}

fn states(what: &What, all: &[&Value]) -> Test {
    let mut found = States(0);
    for word in all {
        match (what, word.as_str().and_then(States::named)) {
            (What::Status, Some(bit)) if bit.meets(States::SNAT.or(States::DNAT)) => {
                found = found.or(bit);
            }
            (What::State, Some(bit)) => found = found.or(bit),
            _ => return Test::Tracked(Need::State),
        }
    }
    Test::State(found)
}

/// `"syn"`, `["fin", "syn"]`, `{"|": [...]}`
fn flags(value: &Value) -> Option<u8> {
    match value {
        Value::String(word) => flag(word),
        Value::Number(n) => n.as_u64().and_then(|n| u8::try_from(n).ok()),
        Value::Array(all) => all.iter().try_fold(0, |set, v| Some(set | flag(v.as_str()?)?)),
        Value::Object(all) => match all.get("|").and_then(Value::as_array)?.as_slice() {
            parts if parts.len() <= 8 => parts.iter().try_fold(0, |set, v| {
                Some(set | if v.is_object() { return None } else { flags(v)? })
            }),
            _ => None,
        },
        Value::Null | Value::Bool(_) => None,
    }
}

/// An element without its counter, timeout and comment.
pub(super) fn unwrapped(value: &Value) -> &Value {
    value.get("elem").and_then(|e| e.get("val")).unwrap_or(value)
}

fn negated(test: Test) -> Test {
    match test {
        Test::Unknown => Test::Unknown,
        // No packet of another family or protocol has the field: nft's dependency holds for `!=` as well.
        Test::All(parts) if matches!(&*parts, [Test::Family(_) | Test::Protocol(_), _]) => {
            let [first, second] = &*parts else { return Test::Unknown };
            Test::All([first.clone(), negated(second.clone())].into())
        }
        test => Test::Not(Arc::new(test)),
    }
}
