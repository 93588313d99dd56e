//! `iptables-save`, and the files that `iptables-restore` reads: of both back ends, with counters or
//! without. `iptables -S` is understood as well.

use alloc::string::String;
use alloc::vec::Vec;

use super::words::{Word, words};
use super::{Backend, BaseChain, Rule, Ruleset, Seen, TableFamily, Verdict, builtin, needs, ports};

/// Reads a whole output or file into `rules`. `family` is what the reader asked for; a heading
/// that says otherwise (`ip6tables-save`) wins, and so it does for the back end.
pub fn read_save(text: &str, family: TableFamily, rules: &mut Ruleset) {
    let (mut family, mut backend) = (family, Backend::Legacy);
    let mut table = "filter";
    let mut seen = Seen::of(rules);
    for line in text.lines() {
        let line = line.trim();
        if let Some(heading) = line.strip_prefix('#') {
            if heading.contains("tables-save") || heading.contains("tables-nft-save") {
                let nft = heading.contains("nf_tables") || heading.contains("-nft-");
                backend = if nft { Backend::IptablesNft } else { Backend::Legacy };
                if heading.contains("ip6tables") {
                    family = TableFamily::Ip6;
                }
            }
        } else if let Some(name) = line.strip_prefix('*') {
            table = name.trim();
            rules.note_read(backend, family);
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut parts = chain.split_whitespace();
            if let (Some(name), Some(policy)) = (parts.next(), parts.next()) {
                let packets = parts.next().and_then(packets);
                chain_line(rules, (backend, family, table), name, policy, packets);
            }
        } else if let Some(policy) = line.strip_prefix("-P ") {
            if let Some((name, policy)) = policy.trim().split_once(' ') {
                chain_line(rules, (backend, family, table), name, policy.trim(), None);
            }
        } else if let Some(rule) = rule(line, (backend, family, table)) {
            rules.push(rule, &mut seen);
        }
    }
}

/// Who reads the table, its family and its name.
pub(super) type Place<'a> = (Backend, TableFamily, &'a str);

/// A built-in chain, as a listing and a save form head it.
pub(super) fn chain_line(
    rules: &mut Ruleset,
    (backend, family, table): Place<'_>,
    name: &str,
    policy: &str,
    packets: Option<u64>,
) {
    // A chain of the user's own has `-` for a policy.
    let (Some(hook), Some(policy)) = (builtin(name), Verdict::named(policy)) else { return };
    rules.push_chain(BaseChain {
        backend,
        family,
        table: table.into(),
        chain: name.into(),
        hook,
        priority: None,
        policy,
        packets,
    });
}

/// `[12:3456]`: packets and bytes.
fn packets(counters: &str) -> Option<u64> {
    counters.strip_prefix('[')?.split_once(':')?.0.parse().ok()
}

/// `[0:0] -A INPUT … -j ACCEPT`
fn rule(line: &str, (backend, family, table): Place<'_>) -> Option<Rule> {
    let (mut count, line) = match line.strip_prefix('[').and_then(|_| line.split_once(']')) {
        Some((counters, rest)) => (packets(counters), rest.trim_start()),
        None => (None, line),
    };
    let mut all = words(line);
    let command = all.next()?;
    if !["-A", "-I", "--append", "--insert"].iter().any(|c| command.is(c)) {
        return None;
    }
    let chain = all.next()?.text;
    let mut found = Found::default();
    let mut before = Word { text: "", quoted: true, depth: 0 };
    let mut negated = false;
    for word in all {
        if !before.quoted && !word.quoted && before.text == "-c" {
            count = count.or_else(|| word.text.parse().ok());
        }
        found.see(before, word, negated);
        negated = (before.is("!") && word.text.starts_with('-')) || (negated && word.is("!"));
        before = word;
    }
    found.see(before, Word { text: "", quoted: true, depth: 0 }, negated);
    Some(Rule {
        backend,
        family,
        table: table.into(),
        chain: chain.into(),
        hook: builtin(chain),
        text: String::from(line),
        needs: found.needs,
        verdict: found.verdict,
        packets: count,
        ports: found.ports,
    })
}

/// What the words of a rule add up to.
struct Found {
    needs: Vec<super::Need>,
    verdict: Verdict,
    ports: Vec<u16>,
    ct: bool,
}

impl Default for Found {
    fn default() -> Self {
        Self { needs: Vec::new(), verdict: Verdict::Other, ports: Vec::new(), ct: false }
    }
}

impl Found {
    /// Takes one word with the word after it. `negated`: a `!` stood before the word.
    fn see(&mut self, word: Word<'_>, next: Word<'_>, negated: bool) {
        if word.quoted {
            return;
        }
        match word.text {
            "-m" | "--match" => needs::add(&mut self.needs, needs::of_match(next.text)),
            "-j" | "--jump" | "-g" | "--goto" => {
                self.verdict = needs::verdict(next.text);
                self.ct = next.text == "CT";
                needs::add(&mut self.needs, needs::of_target(next.text));
            }
            "--notrack" if self.ct => self.verdict = Verdict::Untrack,
            // Before 1.4 and in hand-written files: `--dport ! 22`.
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" | "--ports"
                if !negated && !next.is("!") =>
            {
                ports::add_list(&mut self.ports, next.text);
            }
            option if self.ct && option.starts_with("--") => {
                needs::add(&mut self.needs, needs::of_ct_option(option));
            }
            _ => {}
        }
    }
}
