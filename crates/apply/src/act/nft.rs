//! Rules, by nft's own transaction: all of a text or nothing.

use std::io;

use plimsoll_diagnosis::Said;
use plimsoll_diagnosis::plan::{NftChange, NftTable, OwnRule, Placed};
use plimsoll_wire::filter::{Chain, Program, read_json};

use super::{Seen, listed, program};
use crate::journal::Memo;
use crate::reason;

pub(super) fn look(c: &NftChange, memo: Option<&Memo>) -> io::Result<Seen> {
    let names = program::run("nft", &["list", "tables"], "")?;
    let mut gone = Vec::new();
    for (index, table) in c.tables.iter().enumerate() {
        let NftTable { family, name } = table;
        if !has(&names, table) {
            gone.push(table.said());
        } else if let Some(text) = memo.and_then(|m| m.get(index))
            && list(table)? != *text
        {
            let table = format!("{family} {name}");
            return Ok(Seen::Other(reason::TABLE.of(&[&table])));
        }
    }
    for rule in &c.rules {
        match handles(&names, rule)?.len() {
            0 => gone.push(rule.said()),
            1 => {}
            _ => {
                let comment = format!("{:?}", rule.comment);
                return Ok(Seen::Other(reason::COMMENT.of(&[&comment])));
            }
        }
    }
    Ok(match gone.len() {
        0 => Seen::After,
        n if n == c.tables.len() + c.rules.len() => Seen::Before,
        _ => Seen::Part(listed(&gone)),
    })
}

/// The kernel checks the text as it would apply it.
pub(super) fn prepare(c: &NftChange) -> io::Result<()> {
    held(c, Placed::changed)?;
    program::run("nft", &["-c", "-f", "-"], &c.apply).map(|_| ())
}

pub(super) fn make(c: &NftChange) -> io::Result<Memo> {
    held(c, Placed::changed)?;
    program::run("nft", &["-f", "-"], &c.apply)?;
    held(c, Placed::misplaced)?;
    c.tables.iter().map(list).collect()
}

pub(super) fn take_back(c: &NftChange) -> io::Result<()> {
    let names = program::run("nft", &["list", "tables"], "")?;
    let mut text = String::new();
    for table in c.tables.iter().filter(|table| has(&names, table)) {
        text.push_str(&format!("delete table {} {}\n", table.family, table.name));
    }
    for rule in &c.rules {
        for handle in handles(&names, rule)? {
            let OwnRule { family, table, chain, comment: _ } = rule;
            text.push_str(&format!("delete rule {family} {table} {chain} handle {handle}\n"));
        }
    }
    program::run("nft", &["-f", "-"], &text).map(|_| ())
}

/// Whether the chains that ours are put into are as they were, or have ours where they should be.
fn held(c: &NftChange, wrong: impl Fn(&Placed, Option<&Chain>) -> Option<Said>) -> io::Result<()> {
    for placed in &c.placed {
        let Placed { family, table, chain, .. } = placed;
        let json = program::run("nft", &["-j", "-a", "list", "chain", family, table, chain], "")?;
        let mut now = Program::default();
        read_json(json.as_bytes(), &mut now).map_err(|e| io::Error::other(Said::from(e)))?;
        let table = now.tables.first();
        let chain = table.and_then(|t| t.chains.get(t.chain(chain)?));
        if let Some(why) = wrong(placed, chain) {
            return Err(io::Error::other(why));
        }
    }
    Ok(())
}

fn has(names: &str, table: &NftTable) -> bool {
    let line = format!("table {} {}", table.family, table.name);
    names.lines().any(|l| l.trim() == line)
}

/// A table as text, without what traffic changes in it.
fn list(table: &NftTable) -> io::Result<String> {
    program::run("nft", &["-s", "-t", "list", "table", &table.family, &table.name], "")
}

fn handles(names: &str, rule: &OwnRule) -> io::Result<Vec<u64>> {
    let OwnRule { family, table, chain, comment } = rule;
    if !has(names, &NftTable { family: family.clone(), name: table.clone() }) {
        return Ok(Vec::new());
    }
    let text = program::run("nft", &["-a", "list", "table", family, table], "")?;
    Ok(handles_in(&text, chain, comment))
}

/// Handles of the rules of a chain that carry a comment, from `nft -a list table`.
fn handles_in(text: &str, chain: &str, comment: &str) -> Vec<u64> {
    let mark = format!("comment \"{comment}\"");
    let head = format!("chain {chain} {{");
    let inside = text.lines().skip_while(|l| !l.trim().starts_with(&head)).skip(1);
    let rules = inside.take_while(|l| l.trim() != "}" && !l.trim().starts_with("} #"));
    let ours = rules.filter(|l| l.contains(&mark));
    ours.filter_map(|l| l.rsplit_once("# handle ")?.1.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_ours_is_found_by_its_comment_in_its_own_chain() {
        let text = "table inet filter { # handle 7\n\tchain input { # handle 1\n\t\ttype filter hook input \
                    priority filter; policy drop;\n\t\tct state untracked accept comment \"plimsoll: 443\" # handle \
                    9\n\t\ttcp dport 22 accept # handle 3\n\t}\n\n\tchain output { # handle 2\n\t\taccept comment \
                    \"plimsoll: 443\" # handle 11\n\t}\n}\n";
        assert_eq!(handles_in(text, "input", "plimsoll: 443"), [9]);
        assert_eq!(handles_in(text, "output", "plimsoll: 443"), [11]);
        assert!(handles_in(text, "output", "plimsoll: 44").is_empty());
        assert!(handles_in(text, "forward", "plimsoll: 443").is_empty());
    }
}
