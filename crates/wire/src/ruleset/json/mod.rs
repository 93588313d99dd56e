//! `nft -j list ruleset`.
//!
//! Each object of the list is decoded by itself and dropped, so that memory does not grow with the
//! ruleset. Objects and expressions that are unknown are passed over; a `ct` inside them is found all
//! the same.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::nft::{NamedSet, family_named, mark_iptables};
use super::{
    Backend, BaseChain, CHAINS, Hook, Need, Rule, Ruleset, Seen, TableFamily, Verdict, needs, ports,
};
use crate::{Malformed, nft_objects};

pub(crate) mod show;

/// Deepest expression that is looked into.
const DEPTH: u32 = 32;

/// Reads a whole output into `rules`. What came before a malformed place is kept.
pub fn read_json(json: &[u8], rules: &mut Ruleset) -> Result<(), Malformed> {
    let (first_chain, first_rule) = (rules.chains.len(), rules.rules.len());
    let seen = Seen::of(rules);
    let mut reader = Reader { rules, seen, hooks: BTreeMap::new(), sets: BTreeMap::new() };
    let result = nft_objects::each(json, &mut |kind, body| reader.take(kind, &body));
    mark_iptables(rules, first_chain, first_rule);
    result?;
    for family in [TableFamily::Ip, TableFamily::Ip6, TableFamily::Inet] {
        rules.note_read(Backend::Nft, family);
    }
    Ok(())
}

/// Family, table, and the name of a chain or set in it.
type Name = (TableFamily, String, String);

struct Reader<'a> {
    rules: &'a mut Ruleset,
    seen: Seen,
    hooks: BTreeMap<Name, Hook>,
    sets: BTreeMap<Name, NamedSet>,
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or("")
}

impl Reader<'_> {
    fn take(&mut self, kind: &str, body: &Value) {
        let family = family_named(text(body, "family"));
        match kind {
            "chain" => self.chain(body, family),
            "rule" => self.rule(body, family),
            "set" | "map" => self.set(kind, body, family),
            "ct helper" | "ct timeout" | "ct expectation" | "synproxy" => {
                let need = match kind.strip_prefix("ct ") {
                    Some(key) => needs::of_nft_key(key),
                    None => Need::SynProxy,
                };
                self.by_itself(body, family, alloc::format!("{kind} {}", text(body, "name")), need);
            }
            _ => {}
        }
    }

    fn chain(&mut self, body: &Value, family: TableFamily) {
        let hook = text(body, "hook");
        if hook.is_empty() {
            return;
        }
        let hook = Hook::named(hook).unwrap_or(Hook::Other);
        let (table, chain) = (String::from(text(body, "table")), String::from(text(body, "name")));
        if self.hooks.len() < CHAINS {
            self.hooks.insert((family, table.clone(), chain.clone()), hook);
        }
        self.rules.push_chain(BaseChain {
            backend: Backend::Nft,
            family,
            table,
            chain,
            hook,
            priority: body.get("prio").and_then(Value::as_i64).and_then(|p| i32::try_from(p).ok()),
            policy: Verdict::named(text(body, "policy")).unwrap_or(Verdict::Accept),
            packets: None,
        });
    }

    fn set(&mut self, kind: &str, body: &Value, family: TableFamily) {
        let name = text(body, "name");
        let mut set = NamedSet { name: name.into(), ..NamedSet::default() };
        set.of_ports = text(body, "type") == "inet_service";
        if set.of_ports {
            for element in body.get("elem").and_then(Value::as_array).into_iter().flatten() {
                // In a map an element is a pair of key and value.
                let pair = element.as_array().and_then(|pair| pair.first());
                port(&mut set.ports, if kind == "map" { pair.unwrap_or(element) } else { element });
            }
        }
        let counts = body.get("stmt").is_some_and(|s| {
            let mut found = Vec::new();
            needs_of(s, &mut found, 0);
            found.contains(&Need::Count)
        });
        if counts {
            self.by_itself(body, family, alloc::format!("set {name}: ct count"), Need::Count);
        }
        if set.of_ports && self.sets.len() < CHAINS {
            self.sets.insert((family, text(body, "table").into(), name.into()), set);
        }
    }

    /// Something that needs tracking without being in a chain.
    fn by_itself(&mut self, body: &Value, family: TableFamily, line: String, need: Need) {
        if family == TableFamily::Other {
            return;
        }
        let rule = Rule { text: line, needs: alloc::vec![need], ..empty(body, family) };
        self.rules.push(rule, &mut self.seen);
    }

    fn rule(&mut self, body: &Value, family: TableFamily) {
        let mut rule = empty(body, family);
        rule.chain = text(body, "chain").into();
        let place = (family, rule.table.clone(), rule.chain.clone());
        rule.hook = self.hooks.get(&place).copied();
        let expressions = body.get("expr").and_then(Value::as_array);
        for expression in expressions.into_iter().flatten() {
            for (kind, inner) in expression.as_object().into_iter().flatten() {
                self.expression(&mut rule, kind, inner);
            }
            if family != TableFamily::Other {
                needs_of(expression, &mut rule.needs, 0);
            }
        }
        rule.text = show::rule(body);
        self.rules.push(rule, &mut self.seen);
    }

    fn expression(&self, rule: &mut Rule, kind: &str, inner: &Value) {
        match kind {
            "counter" => rule.packets = inner.get("packets").and_then(Value::as_u64),
            "match" if text(inner, "op") != "!=" => {
                self.ports(rule, inner.get("left"), inner.get("right"));
            }
            "vmap" => self.ports(rule, inner.get("key"), inner.get("data")),
            "xt" if text(inner, "type") == "target" => {
                rule.verdict = needs::verdict(text(inner, "name"));
            }
            kind => {
                if let Some(verdict) = Verdict::named(kind) {
                    rule.verdict = verdict;
                }
            }
        }
    }

    fn ports(&self, rule: &mut Rule, left: Option<&Value>, right: Option<&Value>) {
        let field = left.and_then(|l| l.get("payload")).map_or("", |p| text(p, "field"));
        let Some(right) = right.filter(|_| field == "dport") else { return };
        if let Some(name) = right.as_str().and_then(|s| s.strip_prefix('@')) {
            let set = self.sets.get(&(rule.family, rule.table.clone(), name.into()));
            for port in set.into_iter().flat_map(|set| &set.ports) {
                ports::add_one(&mut rule.ports, *port);
            }
        } else if let Some(elements) = right.get("set").and_then(Value::as_array) {
            for element in elements {
                let key = element.as_array().and_then(|pair| pair.first()).unwrap_or(element);
                port(&mut rule.ports, key);
            }
        } else {
            port(&mut rule.ports, right);
        }
    }
}

fn empty(body: &Value, family: TableFamily) -> Rule {
    Rule {
        backend: Backend::Nft,
        family,
        table: text(body, "table").into(),
        chain: String::new(),
        hook: None,
        text: String::new(),
        needs: Vec::new(),
        verdict: Verdict::Other,
        packets: None,
        ports: Vec::new(),
    }
}

/// `22`, `{"range": [8000, 8003]}`, `{"elem": {"val": 22, "counter": …}}`
fn port(found: &mut Vec<u16>, value: &Value) {
    let number = |v: &Value| v.as_u64().and_then(|n| u16::try_from(n).ok());
    if let Some(one) = number(value) {
        ports::add_one(found, one);
    } else if let Some([first, last]) =
        value.get("range").and_then(Value::as_array).map(Vec::as_slice)
        && let (Some(first), Some(last)) = (number(first), number(last))
    {
        ports::add(found, &alloc::format!("{first}-{last}"));
    } else if let Some(inner) = value.get("elem").and_then(|e| e.get("val"))
        && inner.get("elem").is_none()
    {
        port(found, inner);
    }
}

/// What an expression needs, wherever inside it a `ct` stands.
fn needs_of(value: &Value, found: &mut Vec<Need>, depth: u32) {
    if depth > DEPTH {
        return;
    }
    match value {
        Value::Array(all) => all.iter().for_each(|v| needs_of(v, found, depth + 1)),
        Value::Object(all) => {
            for (kind, inner) in all {
                match kind.as_str() {
                    "ct" => needs::add(found, Some(needs::of_nft_key(text(inner, "key")))),
                    "xt" => needs::add(found, foreign(inner)),
                    kind => {
                        let key = kind.strip_prefix("ct ").map(needs::of_nft_key);
                        // Verdict maps hold `{"jump": {"target": "dnat"}}`: names are values, never keys.
                        needs::add(found, key.or_else(|| statement(kind, all)));
                    }
                }
                needs_of(inner, found, depth + 1);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A statement is alone in its object; a property of the same name is not.
fn statement(kind: &str, object: &Map<String, Value>) -> Option<Need> {
    needs::of_nft_statement(kind).filter(|_| object.len() == 1)
}

/// A match or target of x_tables, of which nft tells the name alone. `CT` may be `--notrack` or ask for
/// tracking: its arguments are not told.
fn foreign(inner: &Value) -> Option<Need> {
    let name = text(inner, "name");
    if text(inner, "type") == "match" { needs::of_match(name) } else { needs::of_target(name) }
}
