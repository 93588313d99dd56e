//! One rule of nft's text.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::words::{Word, words};
use super::super::{Backend, Rule, TableFamily, Verdict, needs, ports};

/// A named set or map of the table at hand, as far as ports go.
#[derive(Debug, Clone, Default)]
pub struct NamedSet {
    /// Name.
    pub name: String,
    /// Its elements begin with a port.
    pub of_ports: bool,
    /// Its elements count connections (`ct count` for each element): that alone starts tracking.
    pub counts: bool,
    /// Ports.
    pub ports: Vec<u16>,
}

/// Reads a rule; table, chain and hook are left for the caller. Nothing is tracked in the families `arp`,
/// `bridge` and `netdev`, so nothing there needs it.
pub fn read(text: &str, family: TableFamily, sets: &BTreeMap<String, NamedSet>) -> Rule {
    let mut rule = Rule {
        backend: Backend::Nft,
        family,
        table: String::new(),
        chain: String::new(),
        hook: None,
        text: without_counts(text),
        needs: Vec::new(),
        verdict: Verdict::Other,
        packets: None,
        ports: Vec::new(),
    };
    let all: Vec<Word<'_>> = words(text).collect();
    let mut i = 0;
    while i < all.len() {
        i += step(&mut rule, &all[i..], sets).max(1);
    }
    if family == TableFamily::Other {
        rule.needs.clear();
    }
    rule
}

/// The rule as it stands in a file: `counter`, not `counter packets 12 bytes 3456`. What is counted would make another
/// rule of it at each reading.
fn without_counts(text: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("counter packets ") {
        let (before, from) = rest.split_at(at + "counter".len());
        kept.push_str(before);
        let mut words = from.splitn(6, ' ');
        // " packets 12 bytes 3456 accept": an empty word, then two names with their numbers.
        let is_number = |w: Option<&str>| w.is_some_and(|w| w.bytes().all(|b| b.is_ascii_digit()));
        let counts = words.next() == Some("")
            && words.next() == Some("packets")
            && is_number(words.next())
            && words.next() == Some("bytes")
            && is_number(words.next());
        match (counts, words.next()) {
            (true, Some(after)) => {
                kept.push(' ');
                rest = after;
            }
            (true, None) => rest = "",
            (false, _) => rest = from,
        }
    }
    kept.push_str(rest);
    kept
}

/// Takes what begins at the first word; returns how many words it was.
fn step(rule: &mut Rule, all: &[Word<'_>], sets: &BTreeMap<String, NamedSet>) -> usize {
    let Some(first) = all.first().filter(|w| !w.quoted) else { return 1 };
    let text = |n: usize| all.get(n).map_or("", |w| if w.quoted { "" } else { w.text });
    match first.text {
        // The word after these is a name of somebody's choosing.
        "jump" | "goto" | "comment" | "prefix" | "iifname" | "oifname" => {
            if first.depth == 0 && matches!(first.text, "jump" | "goto") {
                rule.verdict = Verdict::Other;
            }
            2
        }
        "ct" => ct(rule, all),
        "xt" if matches!(text(1), "match" | "target") => {
            foreign(rule, text(1), all.get(2).map_or("", |w| w.text))
        }
        word if word.starts_with("xt_") => {
            let name = &word[3..];
            let kind =
                if name.bytes().any(|b| b.is_ascii_uppercase()) { "target" } else { "match" };
            foreign(rule, kind, name);
            1
        }
        "counter" if text(1) == "packets" => {
            rule.packets = text(2).parse().ok();
            3
        }
        "tcp" | "udp" | "th" | "sctp" | "dccp" | "udplite" if text(1) == "dport" => {
            2 + dport(&mut rule.ports, &all[2..], sets)
        }
        "flow" if !matches!(text(1), "add" | "offload") => 1,
        word => {
            if first.depth == 0 {
                needs::add(&mut rule.needs, needs::of_nft_statement(word));
                if let Some(verdict) = Verdict::named(word) {
                    rule.verdict = verdict;
                }
            }
            1
        }
    }
}

/// `ct state new`, `ct original saddr …`, `ct mark set …`, `ct count over 20`
fn ct(rule: &mut Rule, all: &[Word<'_>]) -> usize {
    let direction = usize::from(all.get(1).is_some_and(|w| w.is("original") || w.is("reply")));
    let Some(key) = all.get(1 + direction).filter(|w| !w.quoted) else { return 1 };
    needs::add(&mut rule.needs, Some(needs::of_nft_key(key.text)));
    let operand = 2 + direction;
    if key.text != "status" {
        return operand;
    }
    // `ct status dnat` names a bit; it rewrites nothing.
    let mut length = operand;
    let mut wanted = true;
    while let Some(word) = all.get(length) {
        let operator = matches!(word.text, "==" | "!=" | "&" | "|" | "and" | "or" | "!");
        if operator || word.text == "{" {
            wanted = true;
        } else if wanted || word.depth > 0 || word.text == "}" {
            wanted = word.depth > 0;
        } else {
            break;
        }
        length += 1;
    }
    length
}

/// A match or target of x_tables that nft could not translate.
fn foreign(rule: &mut Rule, kind: &str, name: &str) -> usize {
    if kind == "match" {
        needs::add(&mut rule.needs, needs::of_match(name));
        return 3;
    }
    needs::add(&mut rule.needs, needs::of_target(name));
    rule.verdict = needs::verdict(name);
    // nft translates `CT --notrack` and `NOTRACK`; `CT` with another option it can't.
    if name == "CT" {
        needs::add(&mut rule.needs, Some(super::super::Need::Policy));
    }
    3
}

/// What follows `tcp dport`: a port, a group, a named set, a verdict map.
fn dport(found: &mut Vec<u16>, all: &[Word<'_>], sets: &BTreeMap<String, NamedSet>) -> usize {
    let mut i = 0;
    while all.get(i).is_some_and(|w| w.is("==") || w.is("vmap") || w.is("map")) {
        i += 1;
    }
    let Some(word) = all.get(i).filter(|w| !w.quoted) else { return i };
    if word.is("!=") {
        return i + 2;
    }
    if let Some(name) = word.text.strip_prefix('@') {
        if let Some(set) = sets.get(name) {
            set.ports.iter().for_each(|port| ports::add_one(found, *port));
        }
        return i + 1;
    }
    if !word.is("{") {
        ports::add(found, word.text);
        return i + 1;
    }
    let depth = word.depth;
    // In a map the port stands before the colon: `22 : accept`.
    let mut key = true;
    i += 1;
    while let Some(word) = all.get(i).filter(|w| w.depth >= depth) {
        if word.text == ":" {
            key = false;
        } else {
            if key && !word.quoted {
                ports::add_list(found, word.text);
            }
            key = true;
        }
        i += 1;
    }
    i
}
