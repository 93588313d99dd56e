//! From a group back to a filter: the one that lets exactly its entries through.

use alloc::boxed::Box;
use alloc::vec::Vec;

use plimsoll_ct::{Protocol, Seconds, State};

use super::groups::Group;
use super::key::{Key, Keys, Span};
use super::value::Value;
use crate::{
    Band, Comparison, End, Expr, Filter, Glob, Mark, Named, Net, Port, Side, SpanOf, Test,
};

impl Group {
    /// The filter that lets exactly the entries of this group through, which was counted by `keys`. `None`: the language
    /// has no words for one of its values (what is not known, mostly).
    pub fn filter(&self, keys: &Keys) -> Option<Filter> {
        let mut all = Filter::default();
        let named =
            self.values.iter().any(|v| matches!(v, Value::Protocol(_) | Value::Service(..)));
        for (key, value) in keys.list().iter().zip(&self.values) {
            // Named, it is one without states.
            if named && *value == Value::State(State::Stateless) {
                continue;
            }
            for expr in of(*key, value)? {
                all = all.and(expr);
            }
        }
        Some(all)
    }
}

/// What together says that a key has a value.
fn of(key: Key, value: &Value) -> Option<Vec<Expr>> {
    let one = |test: Test| Some(Vec::from([Expr::Test(test)]));
    match value {
        Value::Missing => missing(key),
        Value::Nothing => nothing(key),
        Value::Others => None,
        Value::Protocol(protocol) => one(Test::Protocol(*protocol)),
        Value::Family(family) => one(Test::Family(*family)),
        Value::State(state) => of_state(*state),
        Value::Class(class) => one(Test::Class(*class)),
        Value::Service(protocol, place) => of_service(*protocol, *place),
        Value::Port(port) => match key {
            Key::SourcePort => one(ports(End::Source, *port, *port)),
            _ => one(ports(End::Destination, *port, *port)),
        },
        Value::Net(net) => {
            let (side, end) = match key {
                Key::Destination(_) => (Side::Original, End::Destination),
                Key::ReplySource(_) => (Side::Reply, End::Source),
                Key::ReplyDestination(_) => (Side::Reply, End::Destination),
                _ => (Side::Original, End::Source),
            };
            one(Test::Address { side, end, nets: Vec::<Net>::from([*net]) })
        }
        Value::Direction(direction) => one(Test::Direction(Vec::from([*direction]))),
        Value::Text(name) => {
            let name = name.strip_prefix("net:[").and_then(|n| n.strip_suffix(']')).unwrap_or(name);
            one(named(named_by(key)?, name))
        }
        Value::Zone(zone) => one(Test::Zone(Vec::from([*zone]))),
        Value::Mark(value) => one(Test::Mark(Vec::from([Mark { value: *value, mask: None }]))),
        Value::Band(band) => Some(of_band(key, *band)),
    }
}

fn ports(end: End, first: u16, last: u16) -> Test {
    Test::Port { side: Side::Original, end, ports: Vec::from([Port::Range(first, last)]) }
}

fn named(of: Named, pattern: &str) -> Test {
    Test::Named { of, globs: Vec::from([Glob::new(pattern)]) }
}

fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

const fn named_by(key: Key) -> Option<Named> {
    match key {
        Key::Netns => Some(Named::Netns),
        Key::Process => Some(Named::Process),
        Key::Unit => Some(Named::Unit),
        Key::Container => Some(Named::Container),
        Key::Pod => Some(Named::Pod),
        Key::Helper => Some(Named::Helper),
        _ => None,
    }
}

/// Every way in which an owner can be named.
const OWNERS: [Named; 4] = [Named::Process, Named::Unit, Named::Container, Named::Pod];

/// Nobody was found: no name of any kind.
fn missing(key: Key) -> Option<Vec<Expr>> {
    let of = named_by(key)?;
    OWNERS.contains(&of).then(|| OWNERS.iter().map(|of| not(Expr::Test(named(*of, "*")))).collect())
}

/// It is known that there is none.
fn nothing(key: Key) -> Option<Vec<Expr>> {
    match key {
        Key::SourcePort => Some(Vec::from([not(Expr::Test(ports(End::Source, 0, u16::MAX)))])),
        Key::DestinationPort => {
            Some(Vec::from([not(Expr::Test(ports(End::Destination, 0, u16::MAX)))]))
        }
        Key::Helper => Some(Vec::from([not(Expr::Test(named(Named::Helper, "*")))])),
        _ => {
            let of = named_by(key).filter(|of| OWNERS.contains(of))?;
            let others = OWNERS.iter().filter(|other| **other != of);
            let others = others.map(|other| Expr::Test(named(*other, "*")));
            Some(Vec::from([not(Expr::Test(named(of, "*"))), Expr::Or(others.collect())]))
        }
    }
}

fn of_state(state: State) -> Option<Vec<Expr>> {
    let protocol = |protocol| Expr::Test(Test::Protocol(protocol));
    let (of, name) = match state {
        State::Stateless => {
            let others = [Protocol::Tcp, Protocol::Sctp, Protocol::Dccp];
            let others = others.into_iter().map(protocol).collect();
            return Some(Vec::from([not(Expr::Or(others))]));
        }
        State::Tcp(state) => (Protocol::Tcp, state.name()?),
        State::Sctp(state) => (Protocol::Sctp, state.name()?),
        State::Dccp(state) => (Protocol::Dccp, state.name()?),
    };
    Some(Vec::from([protocol(of), Expr::Test(Test::State(Vec::from([name])))]))
}

/// A protocol without ports has one service only.
fn of_service(protocol: Protocol, place: u16) -> Option<Vec<Expr>> {
    let mut tests = Vec::from([Expr::Test(Test::Protocol(protocol))]);
    match protocol {
        Protocol::Icmp | Protocol::Icmpv6 => {
            tests.push(Expr::Test(Test::IcmpType(Vec::from([u8::try_from(place).ok()?]))));
        }
        Protocol::Gre | Protocol::Other(_) if place == 0 => {}
        _ => tests.push(Expr::Test(ports(End::Destination, place, place))),
    }
    Some(tests)
}

/// From its beginning to that of the next.
fn of_band(key: Key, band: Band) -> Vec<Expr> {
    let of = match key {
        Key::Band(Span::Age) => SpanOf::Age,
        Key::Band(Span::Expires) => SpanOf::Expires,
        _ => SpanOf::Idle,
    };
    let test = |comparison, with| Expr::Test(Test::Span { of, comparison, with });
    let (from, to) = band.bounds();
    let from = (from > Seconds(0)).then(|| test(Comparison::AtLeast, from));
    from.into_iter().chain(to.map(|to| test(Comparison::Less, to))).collect()
}
