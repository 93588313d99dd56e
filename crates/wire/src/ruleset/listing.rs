//! The listing `iptables -nvL`, with `-x` or without: sos saves this form, not `iptables-save`.

use alloc::string::String;
use alloc::vec::Vec;

use super::save::chain_line;
use super::words::words;
use super::{Backend, Rule, Ruleset, Seen, TableFamily, Verdict, builtin, needs, ports};

/// Words that the matches of x_tables show in a row, and the match that they mean.
const SHOWN: &[(&str, &str)] = &[
    ("state", "state"),
    ("ctstate", "conntrack"),
    ("ctstatus", "conntrack"),
    ("ctproto", "conntrack"),
    ("ctorigsrc", "conntrack"),
    ("ctorigdst", "conntrack"),
    ("ctreplsrc", "conntrack"),
    ("ctrepldst", "conntrack"),
    ("ctexpire", "conntrack"),
    ("ctdir", "conntrack"),
    ("connmark", "connmark"),
    ("connbytes", "connbytes"),
    ("connlabel", "connlabel"),
    ("#conn", "connlimit"),
    ("cluster", "cluster"),
];

/// Reads a whole listing of one table into `rules`. A listing does not name its table, family or back end:
/// the reader knows them from the command.
pub fn read_listing(
    text: &str,
    backend: Backend,
    family: TableFamily,
    table: &str,
    rules: &mut Ruleset,
) {
    let mut chain = "";
    let mut seen = Seen::of(rules);
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("Chain ") {
            rules.note_read(backend, family);
            let Some((name, about)) = heading.split_once(" (") else { continue };
            chain = name;
            let mut about = about.trim_end_matches(')').split_whitespace();
            let policy = about.next().filter(|w| *w == "policy").and_then(|_| about.next());
            if let Some(policy) = policy {
                let packets = about.next().and_then(number);
                chain_line(rules, (backend, family, table), name, policy, packets);
            }
        } else if let Some(rule) = row(line, chain, backend, family, table) {
            rules.push(rule, &mut seen);
        }
    }
}

/// `      12     3456 ACCEPT     6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:22`
fn row(
    line: &str,
    chain: &str,
    backend: Backend,
    family: TableFamily,
    table: &str,
) -> Option<Rule> {
    let (packets, rest) = leading_number(line)?;
    let (_, rest) = leading_number(rest)?;
    // One blank parts the byte count from the target's column; a rule without a target has blanks there.
    let rest = rest.strip_prefix(' ')?;
    let target = if rest.starts_with(' ') { "" } else { rest.split(' ').next().unwrap_or("") };
    let text = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rule = Rule {
        backend,
        family,
        table: table.into(),
        chain: chain.into(),
        hook: builtin(chain),
        text: String::new(),
        needs: Vec::new(),
        verdict: needs::verdict(target),
        packets: Some(packets),
        ports: Vec::new(),
    };
    needs::add(&mut rule.needs, needs::of_target(target));
    let mut before = ["", ""];
    for word in outside_comments(&text).flat_map(words).skip(usize::from(!target.is_empty())) {
        if !word.quoted {
            see(&mut rule, target, before, word.text);
        }
        before = [before[1], word.text];
    }
    rule.text = text;
    Some(rule)
}

/// The parts of a row that do not stand between `/*` and `*/`.
fn outside_comments(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, comment) = rest.split_once("/*").unwrap_or((rest, ""));
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
        Some(part)
    })
}

/// Takes one word with the two before it.
fn see(rule: &mut Rule, target: &str, before: [&str; 2], word: &str) {
    if let Some((_, name)) = SHOWN.iter().find(|(shown, _)| *shown == word.trim_start_matches('!'))
    {
        needs::add(&mut rule.needs, needs::of_match(name));
    }
    match word {
        "match" if before[1] == "helper" => {
            needs::add(&mut rule.needs, needs::of_match("helper"));
        }
        "notrack" | "NOTRACK" if target == "CT" => rule.verdict = Verdict::Untrack,
        option if target == "CT" => needs::add(&mut rule.needs, needs::of_ct_option(option)),
        _ => {}
    }
    let list = word
        .strip_prefix("dpt:")
        .or_else(|| word.strip_prefix("dpts:"))
        .or_else(|| matches!(before, ["multiport", "dports" | "ports"]).then_some(word));
    if let Some(list) = list {
        ports::add_list(&mut rule.ports, list);
    }
}

/// A count at the start of a line, blanks before it allowed, and what follows it.
fn leading_number(line: &str) -> Option<(u64, &str)> {
    let line = line.trim_start_matches(' ');
    let end = line.find(' ')?;
    Some((number(&line[..end])?, &line[end..]))
}

/// `1234`, or without `-x` `12K`, `12M`, `12G` (thousands).
fn number(word: &str) -> Option<u64> {
    let (digits, unit) = match word.as_bytes().last()? {
        b'K' => (&word[..word.len() - 1], 1000),
        b'M' => (&word[..word.len() - 1], 1_000_000),
        b'G' => (&word[..word.len() - 1], 1_000_000_000),
        b'T' => (&word[..word.len() - 1], 1_000_000_000_000),
        _ => (word, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}
