//! Rules, by iptables-restore: all of one table's text or nothing.

use std::io;

use plimsoll_diagnosis::plan::{IptablesChange, Placed};
use plimsoll_wire::filter::{Backend, Chain, Program, TableFamily, read_save};

use super::{Seen, program};
use crate::journal::Memo;

/// Seconds to wait for the lock of xtables, which firewall services hold while they work.
const PATIENCE: &str = "5";
/// In a memo: the table was not there before.
const NO_TABLE: &str = "no table";

pub(super) fn look(c: &IptablesChange) -> io::Result<Seen> {
    let text = section(c)?.unwrap_or_default();
    let there = c.marks.iter().filter(|mark| text.contains(mark.as_str())).count();
    Ok(match there {
        0 => Seen::Before,
        n if n == c.marks.len() => Seen::After,
        n => Seen::Other(format!(
            "{n} of {} rules and chains of ours are in table {}",
            c.marks.len(),
            c.table
        )),
    })
}

/// `--test` checks the text and commits nothing, but it brings the table into being, so it is only asked
/// where the table is there.
pub(super) fn prepare(c: &IptablesChange) -> io::Result<()> {
    program::find(&c.restore)?;
    fits(c)?;
    if section(c)?.is_none() {
        return Ok(());
    }
    program::run(&c.restore, &["-n", "--test"], &c.apply).map(|_| ())
}

pub(super) fn before(c: &IptablesChange) -> io::Result<Memo> {
    Ok(if section(c)?.is_none() { vec![NO_TABLE.to_owned()] } else { Memo::new() })
}

pub(super) fn make(c: &IptablesChange) -> io::Result<()> {
    fits(c)?;
    restore(c, &c.apply)?;
    held(c, Placed::misplaced)
}

/// Whether the rules that the places of ours were chosen by are still there.
fn fits(c: &IptablesChange) -> io::Result<()> {
    held(c, Placed::changed)
}

fn held(
    c: &IptablesChange,
    wrong: impl Fn(&Placed, Option<&Chain>) -> Option<String>,
) -> io::Result<()> {
    if c.placed.is_empty() {
        return Ok(());
    }
    let mut now = Program::default();
    let text = section(c)?.unwrap_or_default();
    read_save(&text, Backend::Legacy, TableFamily::Ip, &mut now);
    let table = now.tables.first();
    let chain = |p: &Placed| table.and_then(|t| t.chains.get(t.chain(&p.chain)?));
    match c.placed.iter().find_map(|p| wrong(p, chain(p))) {
        Some(why) => Err(io::Error::other(why)),
        None => Ok(()),
    }
}

pub(super) fn take_back(c: &IptablesChange, before: &Memo) -> io::Result<()> {
    restore(c, &c.revert)?;
    if before.iter().any(|word| word == NO_TABLE) {
        drop_empty_table(c);
    }
    Ok(())
}

/// The table, if it came with the change and stays without it.
pub(super) fn stays(c: &IptablesChange, before: &Memo) -> io::Result<Option<String>> {
    let new = before.iter().any(|word| word == NO_TABLE);
    let there = new && section(c)?.is_some();
    Ok(there.then(|| format!("{} of {}", c.table, c.save)))
}

/// iptables on nf_tables makes a table with its first rule and leaves it behind with the last. One that
/// was not there before goes again, if nothing else is in it. The legacy tables can't be taken away.
fn drop_empty_table(c: &IptablesChange) {
    let of_nft =
        program::run(&c.restore, &["--version"], "").is_ok_and(|v| v.contains("nf_tables"));
    let family = if c.restore.starts_with("ip6") { "ip6" } else { "ip" };
    let listed = program::run("nft", &["list", "table", family, &c.table], "");
    if let (true, Ok(text)) = (of_nft, listed)
        && is_empty(&text)
    {
        // At worst an empty table stays.
        let _ = program::run("nft", &["delete", "table", family, &c.table], "");
    }
}

/// No line but the heads of chains.
fn is_empty(listing: &str) -> bool {
    listing.lines().map(str::trim).all(|line| {
        let head = line.starts_with("table ") || line.starts_with("chain ");
        line.is_empty() || line == "}" || head || line.ends_with("policy accept;")
    })
}

/// The text of the table, from `*table` to COMMIT. The whole is asked for: to name a table brings it into
/// being.
fn section(c: &IptablesChange) -> io::Result<Option<String>> {
    let text = program::run(&c.save, &[], "")?;
    let head = format!("*{}", c.table);
    let mut lines = text.lines().skip_while(|l| *l != head).peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    Ok(Some(lines.take_while(|l| *l != "COMMIT").collect::<Vec<_>>().join("\n")))
}

fn restore(c: &IptablesChange, text: &str) -> io::Result<()> {
    // Versions before 1.6.2 do not wait; those do not know the option either.
    match program::run(&c.restore, &["-n", "-w", PATIENCE], text) {
        Err(error) if error.to_string().contains("option") => {
            program::run(&c.restore, &["-n"], text).map(|_| ())
        }
        other => other.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_a_rule_or_a_policy_is_not_empty() {
        let head =
            "table ip raw {\n\tchain OUTPUT {\n\t\ttype filter hook output priority raw; policy ";
        assert!(is_empty(&format!("{head}accept;\n\t}}\n}}\n")));
        assert!(!is_empty(&format!("{head}drop;\n\t}}\n}}\n")));
        assert!(!is_empty(&format!("{head}accept;\n\t\ttcp dport 22 accept\n\t}}\n}}\n")));
    }
}
