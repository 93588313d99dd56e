//! `nft -j list ruleset`.
//!
//! Of tables that iptables-nft made the JSON has only the names of the foreign parts; `iptables-nft-save` says them
//! in full, and takes their place ([`Program::take_iptables`]).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;

use serde_json::Value;

use super::numbers::{self, Numbers};
use super::{
    Action, Backend, Base, Match, Need, Program, Rule, Side, States, TableFamily, Test, cut, flag,
    icmp, protocol,
};
use crate::ruleset::json::show;
use crate::ruleset::{Hook, needs};
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
fn family(word: &str) -> Option<TableFamily> {
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
                let dormant = body.get("flags").is_some_and(|f| {
                    f == "dormant"
                        || f.as_array().is_some_and(|all| all.iter().any(|w| w == "dormant"))
                });
                self.program.tables[at].dormant = dormant;
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

impl Place<'_, '_> {
    fn statement(&self, rule: &mut Rule, kind: &str, inner: &Value) {
        let mut test = |test| rule.matches.push(Match { test, words: None });
        match kind {
            "match" => {
                rule.matches.push(Match { test: self.condition(inner), words: exact(inner) })
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

    fn condition(&self, inner: &Value) -> Test {
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

    fn is(&self, left: &Value, right: &Value) -> Test {
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

/// The left side of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Protocol,
    /// The header that names the next one: of IPv4 or IPv6 only.
    ProtocolOf(TableFamily),
    Family,
    EtherType,
    /// With the protocol that the port is of; `None`: any (`th dport`).
    Port(Side, Option<u128>),
    Address(Side, TableFamily),
    Iif,
    Oif,
    State,
    Status,
    TcpFlags,
    IcmpType(bool),
    IcmpCode(bool),
    Local(Side),
}

impl What {
    fn of(left: &Value) -> Option<Self> {
        if let Some(key) = left.get("meta").map(|m| text(m, "key")) {
            return Some(match key {
                "l4proto" => Self::Protocol,
                "nfproto" => Self::Family,
                "protocol" => Self::EtherType,
                "iif" | "iifname" => Self::Iif,
                "oif" | "oifname" => Self::Oif,
                _ => return None,
            });
        }
        if let Some(ct) = left.get("ct") {
            return match text(ct, "key") {
                "state" => Some(Self::State),
                "status" => Some(Self::Status),
                _ => None,
            };
        }
        if let Some(fib) = left.get("fib") {
            let flags = fib.get("flags").and_then(Value::as_array)?;
            return match (text(fib, "result"), flags.first().and_then(Value::as_str)?) {
                ("type", "daddr") => Some(Self::Local(Side::Destination)),
                ("type", "saddr") => Some(Self::Local(Side::Source)),
                _ => None,
            };
        }
        use TableFamily::{Ip, Ip6};
        let (header, name) = field(left);
        let transport = match header {
            "th" => Some(None),
            "tcp" | "udp" | "sctp" | "dccp" | "udplite" => Some(protocol(header)),
            _ => None,
        };
        Some(match (header, name) {
            ("tcp", "flags") => Self::TcpFlags,
            (_, "sport") => Self::Port(Side::Source, transport?),
            (_, "dport") => Self::Port(Side::Destination, transport?),
            ("ip", "saddr") => Self::Address(Side::Source, Ip),
            ("ip", "daddr") => Self::Address(Side::Destination, Ip),
            ("ip6", "saddr") => Self::Address(Side::Source, Ip6),
            ("ip6", "daddr") => Self::Address(Side::Destination, Ip6),
            ("ip", "protocol") => Self::ProtocolOf(Ip),
            ("ip6", "nexthdr") => Self::ProtocolOf(Ip6),
            ("icmp", "type") => Self::IcmpType(false),
            ("icmp", "code") => Self::IcmpCode(false),
            ("icmpv6", "type") => Self::IcmpType(true),
            ("icmpv6", "code") => Self::IcmpCode(true),
            _ => return None,
        })
    }

    fn test(self, numbers: Arc<Numbers>) -> Test {
        let all = |first, second| Test::All([first, second].into());
        let protocol = |n| Test::Protocol(Arc::new(Numbers::one(n)));
        let every = || Arc::new(Numbers::new(alloc::vec![(0, 255)]));
        match self {
            Self::Protocol => Test::Protocol(numbers),
            Self::ProtocolOf(family) => all(Test::Family(family), Test::Protocol(numbers)),
            Self::Family | Self::EtherType => match (numbers.has(4), numbers.has(6)) {
                (true, true) => Test::Always,
                (true, false) => Test::Family(TableFamily::Ip),
                (false, true) => Test::Family(TableFamily::Ip6),
                (false, false) => Test::Not(Arc::new(Test::Always)),
            },
            Self::Port(side, None) => Test::Port(side, numbers),
            Self::Port(side, Some(of)) => all(protocol(of), Test::Port(side, numbers)),
            Self::Address(side, family) => all(Test::Family(family), Test::Address(side, numbers)),
            Self::IcmpType(six) => {
                all(protocol(if six { 58 } else { 1 }), Test::Icmp(numbers, None))
            }
            Self::IcmpCode(six) => {
                all(protocol(if six { 58 } else { 1 }), Test::Icmp(every(), Some(numbers)))
            }
            Self::Iif
            | Self::Oif
            | Self::State
            | Self::Status
            | Self::TcpFlags
            | Self::Local(_) => Test::Unknown,
        }
    }
}

/// Protocol and field of a payload.
fn field(left: &Value) -> (&str, &str) {
    left.get("payload").map_or(("", ""), |p| (text(p, "protocol"), text(p, "field")))
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
fn holds_ct(value: Option<&Value>) -> bool {
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
fn unwrapped(value: &Value) -> &Value {
    value.get("elem").and_then(|e| e.get("val")).unwrap_or(value)
}

/// The range of one value.
fn range(what: &What, value: &Value) -> Option<(u128, u128)> {
    if let Some([first, last]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return Some((number(what, first)?.0, number(what, last)?.1));
    }
    if let Some(prefix) = value.get("prefix") {
        let bits = u32::try_from(prefix.get("len")?.as_u64()?).ok()?;
        let width = match what {
            What::Address(_, TableFamily::Ip6) => 128,
            _ => 32,
        };
        let ip = number(what, prefix.get("addr")?)?.0;
        return (bits <= width).then(|| numbers::span(ip, bits, width));
    }
    number(what, value)
}

fn number(what: &What, value: &Value) -> Option<(u128, u128)> {
    let one = |n| Some((n, n));
    match (what, value) {
        (_, Value::Number(n)) => one(u128::from(n.as_u64()?)),
        (What::Protocol | What::ProtocolOf(_), Value::String(word)) => one(protocol(word)?),
        (What::Family, Value::String(word)) => match word.as_str() {
            "ipv4" => one(4),
            "ipv6" => one(6),
            _ => None,
        },
        (What::EtherType, Value::String(word)) => match word.as_str() {
            "ip" => one(4),
            "ip6" => one(6),
            _ => None,
        },
        (What::Port(..), Value::String(word)) => numbers::ports(word),
        (What::Address(..), Value::String(word)) => numbers::prefix(word),
        (What::IcmpType(six), Value::String(word)) => one(icmp(word, *six)?.0),
        (What::IcmpCode(false), Value::String(word)) => match word.as_str() {
            "net-unreachable" => one(0),
            "host-unreachable" => one(1),
            "prot-unreachable" => one(2),
            "port-unreachable" => one(3),
            "frag-needed" => one(4),
            _ => None,
        },
        _ => None,
    }
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

/// A condition in nft's language, if this one says it exactly: another rule shall ask the same.
fn exact(inner: &Value) -> Option<String> {
    let left = inner.get("left")?;
    let op = match text(inner, "op") {
        "==" | "in" => "",
        op @ ("!=" | "<" | ">" | "<=" | ">=") => op,
        _ => return None,
    };
    let (name, quoted) = if let Some(key) = left.get("meta").map(|m| text(m, "key")) {
        match key {
            "iif" | "oif" | "iifname" | "oifname" => (key.to_string(), true),
            "l4proto" | "nfproto" | "mark" | "skuid" | "skgid" | "pkttype" => {
                (format!("meta {key}"), false)
            }
            _ => return None,
        }
    } else {
        match field(left) {
            ("", _) => return None,
            (_, "flags") => return None,
            (header, name) => (format!("{header} {name}"), false),
        }
    };
    let value = value(inner.get("right")?, quoted)?;
    Some(if op.is_empty() { format!("{name} {value}") } else { format!("{name} {op} {value}") })
}

fn value(right: &Value, quoted: bool) -> Option<String> {
    // What would end a word, or begin another, is not repeated.
    let plain = |word: &str| {
        word.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_' | b'@' | b'*')
        })
    };
    if let Some(all) = right.get("set").and_then(Value::as_array) {
        if all.len() > 64 {
            return None;
        }
        let all: Option<Vec<String>> = all.iter().map(|v| value_of_set(v, quoted)).collect();
        return Some(format!("{{ {} }}", all?.join(", ")));
    }
    match right {
        Value::String(word) if !plain(word) => None,
        Value::String(word) if quoted => Some(format!("\"{word}\"")),
        Value::String(word) => Some(word.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Object(_) => value_of_set(right, quoted),
        _ => None,
    }
}

fn value_of_set(value_: &Value, quoted: bool) -> Option<String> {
    let scalar = |v: &Value| if v.is_object() { None } else { value(v, quoted) };
    if let Some([first, last]) = value_.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return Some(format!("{}-{}", scalar(first)?, scalar(last)?));
    }
    if let Some(prefix) = value_.get("prefix") {
        return Some(format!("{}/{}", scalar(prefix.get("addr")?)?, prefix.get("len")?.as_u64()?));
    }
    scalar(value_)
}
