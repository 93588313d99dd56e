//! `nft list ruleset`, with `-a` or without, and the scripts that `nft -f` reads.
//!
//! The text says more than nft's JSON where rules were made by iptables-nft: nft translates them
//! (`tcp dport { 80, 443 } ct state new`, `notrack`), the JSON has only `{"xt": {"name": "multiport"}}`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::words::words;
use super::{
    Backend, BaseChain, CHAINS, Hook, Rule, Ruleset, Seen, TableFamily, Verdict, needs, ports,
};

mod rule;
mod script;
pub(super) use rule::NamedSet;
pub use script::{Script, read_script};

/// Most bytes kept of one statement; what stands outside braces is kept a little longer.
const STATEMENT: usize = 64 << 10;

/// Most blocks inside each other that are followed.
const DEPTH: usize = 8;

/// Reads a whole output or script into `rules`.
pub fn read_nft(text: &str, rules: &mut Ruleset) {
    let (first_chain, first_rule) = (rules.chains.len(), rules.rules.len());
    let seen = Seen::of(rules);
    let mut reader = Reader { rules, seen, blocks: Vec::new(), sets: BTreeMap::new() };
    split(text, &mut reader);
    for family in [TableFamily::Ip, TableFamily::Ip6, TableFamily::Inet] {
        rules.note_read(Backend::Nft, family);
    }
    mark_iptables(rules, first_chain, first_rule);
}

/// Cuts a text into statements and blocks. A brace opens a block after a block's heading
/// (`chain input {`) and a group elsewhere (`tcp dport { 22, 80 }`).
fn split(text: &str, reader: &mut Reader<'_>) {
    let (mut statement, mut group, mut quoted) = (String::new(), 0_u32, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let here = rest;
        rest = &rest[c.len_utf8()..];
        if quoted && c != '\n' {
            quoted = c != '"';
            push(&mut statement, c, group);
            continue;
        }
        quoted = c == '"';
        // A table stands at the start of a line and nothing else that begins so does: whatever was left
        // open before it is given up.
        if c == '\n' && rest.starts_with("table ") {
            reader.statement(&core::mem::take(&mut statement));
            reader.blocks.clear();
            group = 0;
            continue;
        }
        match c {
            // nft without x_tables' libraries shows a foreign match as `# xt_NAME` in the middle of a rule.
            '#' if !here.starts_with("# xt_") => {
                rest = rest.find('\n').map_or("", |end| &rest[end..]);
            }
            '\\' if rest.starts_with('\n') => rest = &rest[1..],
            '{' if group == 0 && reader.opens(&statement) => {
                reader.open(&core::mem::take(&mut statement));
            }
            '{' => {
                group += 1;
                push(&mut statement, c, 0);
            }
            '}' if group > 0 => {
                group -= 1;
                push(&mut statement, c, 0);
            }
            '}' => {
                reader.statement(&core::mem::take(&mut statement));
                reader.close();
            }
            '\n' | ';' if group == 0 => reader.statement(&core::mem::take(&mut statement)),
            c if c.is_whitespace() => {
                if !statement.is_empty() && !statement.ends_with(' ') {
                    push(&mut statement, ' ', group);
                }
            }
            c => push(&mut statement, c, group),
        }
    }
    reader.statement(&statement);
}

fn push(statement: &mut String, c: char, group: u32) {
    let limit = if group > 0 { STATEMENT } else { STATEMENT + (4 << 10) };
    if statement.len() < limit {
        statement.push(c);
    }
}

/// A block that the reader is in.
enum Block {
    Table {
        family: TableFamily,
        name: String,
    },
    Chain {
        name: String,
        hook: Option<Hook>,
    },
    /// `ct helper`, `ct timeout`, `ct expectation`, `synproxy`: each asks for tracking by being there.
    Object {
        text: String,
    },
    Set(NamedSet),
    /// Flow tables, counters, quotas, and whatever else.
    Other,
}

struct Reader<'a> {
    rules: &'a mut Ruleset,
    seen: Seen,
    blocks: Vec<Block>,
    sets: BTreeMap<String, NamedSet>,
}

impl Reader<'_> {
    fn table(&self) -> (TableFamily, &str) {
        match self.blocks.first() {
            Some(Block::Table { family, name }) => (*family, name),
            _ => (TableFamily::Other, ""),
        }
    }

    /// Whether a `{` after this heading opens a block.
    fn opens(&self, heading: &str) -> bool {
        let first = heading.split(' ').next().unwrap_or("");
        match self.blocks.last() {
            None => {
                let second = heading.split(' ').nth(1).unwrap_or("");
                first == "table"
                    || matches!(first, "add" | "create") && !matches!(second, "rule" | "element")
            }
            // Inside a table everything named has a block; `elements = {` stands inside a set.
            Some(Block::Table { .. }) => true,
            Some(_) => false,
        }
    }

    fn open(&mut self, heading: &str) {
        if self.blocks.len() >= DEPTH {
            return;
        }
        let heading = heading.trim();
        let all: Vec<&str> = heading.split_whitespace().take(8).collect();
        let block = match (self.blocks.is_empty(), all.as_slice()) {
            (true, ["table", about @ ..] | ["add" | "create", "table", about @ ..]) => {
                let (family, name) = match about {
                    [family, name, ..] => (family_named(family), *name),
                    // Scripts may leave the family out: it is ip.
                    [name] => (TableFamily::Ip, *name),
                    [] => (TableFamily::Other, ""),
                };
                Block::Table { family, name: name.into() }
            }
            (false, ["chain", name, ..]) => Block::Chain { name: (*name).into(), hook: None },
            (false, ["set" | "map" | "meter", name, ..]) => {
                Block::Set(NamedSet { name: (*name).into(), ..NamedSet::default() })
            }
            (false, ["ct" | "synproxy", ..]) => Block::Object { text: heading.into() },
            _ => Block::Other,
        };
        self.blocks.push(block);
    }

    fn close(&mut self) {
        match self.blocks.pop() {
            Some(Block::Object { mut text }) => {
                let first = text.split(' ').take(2).collect::<Vec<_>>();
                let need = match first.as_slice() {
                    ["ct", key] => needs::of_nft_key(key),
                    _ => super::Need::SynProxy,
                };
                text.push_str(" }");
                self.by_itself(text, need);
            }
            Some(Block::Set(set)) => {
                if set.counts {
                    let text = alloc::format!("set {}: ct count", set.name);
                    self.by_itself(text, super::Need::Count);
                }
                if set.of_ports && self.sets.len() < CHAINS {
                    self.sets.insert(set.name.clone(), set);
                }
            }
            Some(Block::Table { .. }) => self.sets.clear(),
            Some(Block::Chain { .. } | Block::Other) | None => {}
        }
    }

    /// Something that needs tracking without being in a chain.
    fn by_itself(&mut self, text: String, need: super::Need) {
        let (family, table) = self.table();
        if family == TableFamily::Other {
            return;
        }
        let rule = Rule {
            backend: Backend::Nft,
            family,
            table: table.into(),
            chain: String::new(),
            hook: None,
            text,
            needs: alloc::vec![need],
            verdict: Verdict::Other,
            packets: None,
            ports: Vec::new(),
        };
        self.rules.push(rule, &mut self.seen);
    }

    fn statement(&mut self, statement: &str) {
        let statement = statement.trim();
        if statement.is_empty() {
            return;
        }
        let (family, table) = self.table();
        let table = String::from(table);
        match self.blocks.last_mut() {
            None => self.command(statement),
            Some(Block::Chain { name, hook }) => {
                if let Some(base) = base_chain(statement, family, &table, name) {
                    *hook = Some(base.hook);
                    self.rules.push_chain(base);
                } else if let Some(policy) = statement.strip_prefix("policy ") {
                    if let (Some(chain), Some(policy)) =
                        (self.rules.chains.last_mut(), Verdict::named(policy.trim()))
                        && chain.chain == *name
                    {
                        chain.policy = policy;
                    }
                } else if !statement.starts_with("flags ") && !statement.starts_with("comment ") {
                    let mut rule = rule::read(statement, family, &self.sets);
                    rule.table = table;
                    rule.chain.clone_from(name);
                    rule.hook = *hook;
                    self.rules.push(rule, &mut self.seen);
                }
            }
            Some(Block::Object { text }) => {
                text.push_str(if text.contains('{') { "; " } else { " { " });
                text.push_str(statement);
            }
            Some(Block::Set(set)) => set.take(statement),
            Some(Block::Table { .. } | Block::Other) => {}
        }
    }

    /// `add rule inet filter input tcp dport 22 accept`, as scripts have it outside of blocks.
    fn command(&mut self, statement: &str) {
        let mut rest = statement;
        let mut next = || {
            let (word, after) = rest.split_once(' ')?;
            rest = after.trim_start();
            Some(word)
        };
        if !matches!(next(), Some("add" | "insert")) || next() != Some("rule") {
            return;
        }
        let Some(first) = next() else { return };
        let named = family_named(first);
        let known = named != TableFamily::Other || matches!(first, "arp" | "bridge" | "netdev");
        let (family, table) =
            if known { (named, next().unwrap_or("")) } else { (TableFamily::Ip, first) };
        let chain = next().unwrap_or("");
        let mut rule = rule::read(rest, family, &self.sets);
        rule.table = table.into();
        rule.chain = chain.into();
        self.rules.push(rule, &mut self.seen);
    }
}

/// `type filter hook input priority filter + 10`
fn base_chain(statement: &str, family: TableFamily, table: &str, chain: &str) -> Option<BaseChain> {
    if !statement.starts_with("type ") {
        return None;
    }
    let mut all = words(statement);
    let hook = all.by_ref().find(|w| w.is("hook")).and_then(|_| all.next())?.text;
    let priority = all.find(|w| w.is("priority")).map(|_| all);
    Some(BaseChain {
        backend: Backend::Nft,
        family,
        table: table.into(),
        chain: chain.into(),
        hook: Hook::named(hook).unwrap_or(Hook::Other),
        priority: priority.and_then(|mut words| {
            let base = words.next()?.text;
            let named = priority_named(base).filter(|_| family != TableFamily::Other);
            let base = named.or_else(|| base.parse().ok())?;
            match (words.next().map(|w| w.text), words.next().map(|w| w.text.parse::<i32>())) {
                (Some("+"), Some(Ok(more))) => base.checked_add(more),
                (Some("-"), Some(Ok(less))) => base.checked_sub(less),
                _ => Some(base),
            }
        }),
        policy: Verdict::Accept,
        packets: None,
    })
}

/// Priorities that nft prints as names, for the families that are tracked; bridges have others.
fn priority_named(name: &str) -> Option<i32> {
    Some(match name {
        "raw" => -300,
        "mangle" => -150,
        "dstnat" => -100,
        "filter" => 0,
        "security" => 50,
        "srcnat" => 100,
        _ => return None,
    })
}

/// Family by nft's word.
pub(super) fn family_named(word: &str) -> TableFamily {
    match word {
        "ip" => TableFamily::Ip,
        "ip6" => TableFamily::Ip6,
        "inet" => TableFamily::Inet,
        _ => TableFamily::Other,
    }
}

/// Tables that iptables-nft made: its names, and a chain in capitals. A person editing these rules uses
/// iptables, so they are told apart.
pub(super) fn mark_iptables(rules: &mut Ruleset, first_chain: usize, first_rule: usize) {
    const TABLES: &[&str] = &["filter", "nat", "mangle", "raw", "security"];
    let chains = rules.chains.get(first_chain..).unwrap_or(&[]);
    let mut theirs: Vec<(TableFamily, String)> = Vec::new();
    for chain in chains {
        let tracked = matches!(chain.family, TableFamily::Ip | TableFamily::Ip6);
        let key = (chain.family, chain.table.clone());
        if tracked
            && TABLES.contains(&chain.table.as_str())
            && super::builtin(&chain.chain).is_some()
            && !theirs.contains(&key)
        {
            theirs.push(key);
        }
    }
    let is_theirs = |family: TableFamily, table: &str| {
        theirs.iter().any(|(f, t)| *f == family && t.as_str() == table)
    };
    for chain in rules.chains.iter_mut().skip(first_chain) {
        if is_theirs(chain.family, &chain.table) {
            chain.backend = Backend::IptablesNft;
        }
    }
    for rule in rules.rules.iter_mut().skip(first_rule) {
        if is_theirs(rule.family, &rule.table) {
            rule.backend = Backend::IptablesNft;
        }
    }
}

impl NamedSet {
    /// Takes a statement of the set's block.
    fn take(&mut self, statement: &str) {
        if let Some(kind) = statement.strip_prefix("typeof ") {
            self.of_ports = kind.split(" :").next().is_some_and(|k| k.trim_end().ends_with("port"));
        } else if let Some(kind) = statement.strip_prefix("type ") {
            self.of_ports = kind.split([' ', ':']).next() == Some("inet_service");
        } else if statement.starts_with("ct count") {
            self.counts = true;
        } else if let Some(elements) = statement.strip_prefix("elements =")
            && self.of_ports
        {
            // Each element begins with its port; what follows it is a counter, a comment, a verdict.
            for element in elements.trim_matches([' ', '{', '}']).split(',') {
                ports::add(&mut self.ports, element.split_whitespace().next().unwrap_or(""));
            }
        }
    }
}
