//! `nft -j list ruleset`.
//!
//! Of tables that iptables-nft made the JSON has only the names of the foreign parts; `iptables-nft-save` says them
//! in full, and takes their place ([`Program::take_iptables`]).

mod condition;
mod left;
mod statement;
mod words;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use serde_json::Value;

use super::{Action, Backend, Base, Program, Rule, TableFamily, Test, cut};
use crate::ruleset::Hook;
use crate::ruleset::json::show;
use crate::{Malformed, nft_objects};

/// Reads a whole output into `program`. What came before a malformed place is kept.
pub fn read_json(json: &[u8], program: &mut Program) -> Result<(), Malformed> {
    let mut reader = Reader {
        program,
        sets: BTreeMap::new(),
        maps: BTreeMap::new(),
        read: RefCell::default(),
        mapped: RefCell::default(),
        last: None,
    };
    nft_objects::each(json, &mut |kind, body| reader.take(kind, body))
}

/// Family, table, and the name of a set or map.
type Name = (TableFamily, String, String);

/// A verdict map.
type Map = Arc<[(Test, Action)]>;

struct Reader<'a> {
    program: &'a mut Program,
    /// Elements of sets, as they stand.
    sets: BTreeMap<Name, Arc<Value>>,
    maps: BTreeMap<Name, Arc<Value>>,
    /// What named sets mean at the right of a condition: many rules may ask the same large set.
    read: RefCell<BTreeMap<(Name, String), Test>>,
    /// The same of maps.
    mapped: RefCell<BTreeMap<(Name, String), Map>>,
    /// Rules of a chain follow each other.
    last: Option<(TableFamily, String, usize)>,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The families whose packets are tracked.
pub(super) fn family(word: &str) -> Option<TableFamily> {
    match word {
        "ip" => Some(TableFamily::Ip),
        "ip6" => Some(TableFamily::Ip6),
        "inet" => Some(TableFamily::Inet),
        _ => None,
    }
}

impl Reader<'_> {
    fn take(&mut self, kind: &str, mut body: Value) {
        let Some(family) = family(text(&body, "family")) else { return };
        let table = if kind == "table" { text(&body, "name") } else { text(&body, "table") };
        let table = table.to_string();
        match kind {
            "table" => {
                let at = self.program.make_table(Backend::Nft, family, &table);
                let flags: Vec<&str> = match body.get("flags") {
                    Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
                    Some(Value::String(one)) => vec![one],
                    Some(_) | None => Vec::new(),
                };
                let known = |flag: &&str| matches!(*flag, "dormant" | "owner" | "persist");
                self.program.flags_untold |= !flags.iter().all(known);
                let table = &mut self.program.tables[at];
                table.dormant = flags.contains(&"dormant");
                table.owned = flags.contains(&"owner");
            }
            "chain" => {
                let at = self.program.make_table(Backend::Nft, family, &table);
                let table = &mut self.program.tables[at];
                let place = table.make_chain(text(&body, "name"));
                table.chains[place].base = base(&body);
            }
            "set" | "map" => {
                let elements = body.get_mut("elem").map_or(Value::Array(Vec::new()), Value::take);
                let key = (family, table, text(&body, "name").to_string());
                let all = if kind == "set" { &mut self.sets } else { &mut self.maps };
                all.insert(key, Arc::new(elements));
            }
            "rule" => self.rule(&body, family, &table),
            _ => {}
        }
    }

    fn rule(&mut self, body: &Value, family: TableFamily, table: &str) {
        let at = match &self.last {
            Some((f, name, at)) if *f == family && name == table => *at,
            _ => {
                let at = self.program.make_table(Backend::Nft, family, table);
                self.last = Some((family, table.to_string(), at));
                at
            }
        };
        let mut rule = Rule {
            text: cut(show::rule(body)),
            matches: Vec::new(),
            action: Action::Next,
            needs: Vec::new(),
            sends: None,
            untracks: false,
            marks: None,
            comment: text(body, "comment").to_string(),
            handle: body.get("handle").and_then(Value::as_u64),
        };
        let place = Place { reader: self, family, table };
        let expressions = body.get("expr").and_then(Value::as_array);
        for (kind, inner) in
            expressions.into_iter().flatten().filter_map(Value::as_object).flatten()
        {
            place.statement(&mut rule, kind, inner);
        }
        let table = &mut self.program.tables[at];
        let chain = table.make_chain(text(body, "chain"));
        table.chains[chain].rules.push(rule);
    }
}

fn base(body: &Value) -> Option<Base> {
    let hook = Hook::named(text(body, "hook"))?;
    let priority = body.get("prio").and_then(Value::as_i64).and_then(|p| i32::try_from(p).ok());
    Some(Base {
        hook,
        priority: priority.unwrap_or(0),
        nat: text(body, "type") == "nat",
        drops: text(body, "policy") == "drop",
    })
}

/// What a rule's names refer to.
struct Place<'a, 'b> {
    reader: &'a Reader<'b>,
    family: TableFamily,
    table: &'a str,
}
