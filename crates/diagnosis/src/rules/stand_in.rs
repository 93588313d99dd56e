//! One rule of ours: the conditions of the rule that lets the tracked packet pass, asked again of the untracked one,
//! in the language of its table; and why that can't be written.

use alloc::format;
use alloc::string::{String, ToString};

use plimsoll_wire::filter::{Action, Backend, Rule, Table, TableFamily, Test};

use super::named;
use super::packet::Holds;
use super::traffic::{Kind, Leg, Pair, Traffic};
use super::walk::{At, Split};
use crate::Said;

/// A rule to be put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// Who evaluates it.
    pub backend: Backend,
    /// Family of the table.
    pub family: TableFamily,
    /// Table.
    pub table: String,
    /// Chain.
    pub chain: String,
    /// It goes ahead of this rule, counted from 0.
    pub before: usize,
    /// nft's handle of that rule.
    pub handle: Option<u64>,
    /// Conditions, in the language of the table.
    pub conditions: String,
    /// `accept`, `jump x`; `ACCEPT`, `x`.
    pub action: String,
    /// The comment it is found by; no other rule of the chain has it.
    pub comment: String,
    /// The rule that it stands in for.
    pub stands_for: String,
    /// It lets in whatever comes from the service's port to one of these: nothing else tells what is an answer.
    pub heard_at: Option<(u16, u16)>,
    /// It lets in ICMP errors about the traffic, which path MTU discovery needs, and nothing of the traffic itself.
    pub for_errors: bool,
}

impl Accept {
    /// The rule without its place: `tcp dport 443 ct state untracked accept comment "…"`, `-p tcp … -j ACCEPT`.
    pub fn rule(&self) -> String {
        match self.backend {
            Backend::Nft => {
                format!("{} {} comment \"{}\"", self.conditions, self.action, self.comment)
            }
            Backend::Legacy | Backend::IptablesNft => format!(
                "{} -m comment --comment \"{}\" {}",
                self.conditions, self.comment, self.action
            ),
        }
    }
}

/// Stands in for the rule where two packets part.
pub(super) fn stand_in(
    (table, leg, traffic): (&Table, &Leg, &Traffic),
    split: &Split,
    action: &Action,
    pair: &Pair<'_>,
) -> Result<Accept, Said> {
    let at = split.at;
    let (Some(chain), true) = (table.chains.get(at.chain), is_plain(&table.name)) else {
        return Err(said!(
            "the name of its table can't be written: {}",
            "它所在表的名字写不出来：{}",
            place(table, at)
        ));
    };
    let Some(rule) = chain.rules.get(at.rule).filter(|_| is_plain(&chain.name)) else {
        return Err(said!(
            "the name of its chain can't be written: {}",
            "它所在链的名字写不出来：{}",
            place(table, at)
        ));
    };
    if split.by_map != Holds::Yes {
        return Err(said!(
            "a map decides, and which way is not known: {}",
            "由一个 map 决定，走哪边不清楚：{}",
            place(table, at)
        ));
    }
    let conditions = conditions(traffic, leg, table, rule, pair)
        .map_err(|why| said!("{why}: {}", "{why:#}：{}", place(table, at)))?;
    let action = written(action, rule, table.backend == Backend::Nft)
        .map_err(|why| said!("{why}: {}", "{why:#}：{}", place(table, at)))?;
    Ok(Accept {
        backend: table.backend,
        family: table.family,
        table: table.name.clone(),
        chain: chain.name.clone(),
        before: at.rule,
        handle: rule.handle,
        conditions,
        action,
        comment: format!("plimsoll: {}", traffic.name()),
        stands_for: place(table, at),
        heard_at: traffic.heard_at(leg),
        for_errors: leg.kind == Kind::TooBig,
    })
}

/// Those of the rule's conditions that are not the port's own anyway, behind the port's. `Err`: one can't be asked again.
fn conditions(
    traffic: &Traffic,
    leg: &Leg,
    table: &Table,
    rule: &Rule,
    pair: &Pair<'_>,
) -> Result<String, Said> {
    let nft = table.backend == Backend::Nft;
    let old =
        rule.matches.iter().any(|m| m.words.as_ref().is_some_and(|w| w.starts_with("-m state ")));
    let six = pair.tracked.family == TableFamily::Ip6;
    let mut conditions = traffic.words(leg, nft, six, old);
    for m in &rule.matches {
        match (pair.tracked.holds(&m.test), &m.test, &m.words) {
            (Holds::Yes, ..) => {}
            (_, Test::Rate, _) => {
                return Err(said!(
                    "a rule limits how fast new connections come, and without tracking none is new",
                    "有规则限制新连接的速率，而不跟踪就没有新连接"
                ));
            }
            (_, _, Some(words)) if !words.contains(char::is_control) => {
                conditions.push(' ');
                conditions.push_str(words);
            }
            (_, _, Some(_) | None) => {
                return Err(said!(
                    "what a rule asks before it lets it pass can't be asked again",
                    "规则放行之前所问的条件，没法再问一次"
                ));
            }
        }
    }
    Ok(conditions)
}

/// What the rule of ours does, in the words of the tool. `Err`: it can't be written.
fn written(action: &Action, rule: &Rule, nft: bool) -> Result<String, Said> {
    Ok(match (action, nft) {
        (Action::Accept, true) => "accept".to_string(),
        (Action::Accept, false) => "-j ACCEPT".to_string(),
        (Action::Drop, true) => "drop".to_string(),
        (Action::Drop, false) => "-j DROP".to_string(),
        (Action::Return, true) => "return".to_string(),
        (Action::Return, false) => "-j RETURN".to_string(),
        (Action::Jump(name) | Action::Goto(name), _) if !is_plain(name) => {
            return Err(said!("the name of a chain can't be written", "有一条链的名字写不出来"));
        }
        (Action::Jump(name), true) => format!("jump {name}"),
        (Action::Jump(name), false) => format!("-j {name}"),
        (Action::Goto(name), true) => format!("goto {name}"),
        (Action::Goto(name), false) => format!("-g {name}"),
        (Action::Next, _) => match &rule.marks {
            Some(words) if !words.is_empty() => words.clone(),
            Some(_) | None => {
                return Err(said!(
                    "what a rule writes on its packets can't be written again",
                    "规则写在包上的内容，没法再写一次"
                ));
            }
        },
        (Action::Queue | Action::Nat | Action::Map(_), _) => {
            return Err(said!(
                "a rule hands its new connections to a program",
                "有规则把新连接交给一个程序"
            ));
        }
    })
}

/// What stands at a place, in words.
pub(super) fn place(table: &Table, at: At) -> String {
    let Some(chain) = table.chains.get(at.chain) else { return String::new() };
    match chain.rules.get(at.rule) {
        Some(rule) => named(table, &chain.name, &rule.text),
        None => named(table, &chain.name, "policy drop"),
    }
}

/// A name that needs no quotes in either language.
pub(super) fn is_plain(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b':');
    !name.is_empty() && name.bytes().all(word) && !name.starts_with('-')
}
