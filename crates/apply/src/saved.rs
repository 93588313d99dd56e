//! Rules of ours in the files that firewalls load theirs from: whoever saved while they stood has them there, and the next
//! reload or boot brings them back.

use std::fs;
use std::path::Path;

use plimsoll_diagnosis::boot::rule_files;
use plimsoll_diagnosis::plan::Change;
use plimsoll_diagnosis::{Said, said};

use crate::Transaction;

/// Where files have rules of a transaction: the file and its lines.
pub(crate) fn saved(transaction: &Transaction) -> Vec<Said> {
    let marks: Vec<String> = transaction.plan.changes.iter().flat_map(marks).collect();
    if marks.is_empty() {
        return Vec::new();
    }
    rule_files().filter_map(|path| found(&transaction.root, path, &marks)).collect()
}

/// Pieces of text that only lines of ours have, in the form that rules are saved in.
fn marks(change: &Change) -> Vec<String> {
    match change {
        Change::Iptables(c) => {
            // A chain of our own has a head, and rules of its own.
            let chains = c.marks.iter().filter_map(|mark| mark.strip_prefix(':'));
            let within = chains.map(|chain| format!("-A {chain}"));
            within.chain(c.marks.iter().cloned()).collect()
        }
        Change::Nft(c) => {
            let tables = c.tables.iter().map(|t| format!("table {} {} ", t.family, t.name));
            tables.chain(c.rules.iter().map(|r| format!("comment \"{}\"", r.comment))).collect()
        }
        Change::Setting(_)
        | Change::File(_)
        | Change::Policy(_)
        | Change::Modules(_)
        | Change::Delete(_) => Vec::new(),
    }
}

fn found(root: &Path, path: &str, marks: &[String]) -> Option<Said> {
    let text = fs::read(root.join(path.trim_start_matches('/'))).ok()?;
    let text = String::from_utf8_lossy(&text);
    let is_ours = |line: &str| marks.iter().any(|mark| line.contains(mark.as_str()));
    let ours = text.lines().enumerate().filter(|(_, line)| is_ours(line));
    let numbers: Vec<String> = ours.map(|(number, _)| (number + 1).to_string()).collect();
    match numbers.as_slice() {
        [] => None,
        [one] => Some(said!("{path} line {one}", "{path} 第 {one} 行")),
        _ => {
            let (lines, chinese) = (numbers.join(", "), numbers.join("、"));
            Some(Said::new(format!("{path} lines {lines}"), format!("{path} 第 {chinese} 行")))
        }
    }
}
