//! Rules of ours that no transaction has made which stands: they were saved while one stood, and loaded again. What is ours
//! is known by its name, and the commands that take it away leave everything else.

use std::collections::BTreeSet;

use plimsoll_diagnosis::plan::{Change, NftTable, OwnRule};

use super::program;

/// What a comment of ours begins with, and a chain, and a table.
const COMMENT: &str = "plimsoll: ";
const CHAIN: &str = "PLIMSOLL-";
const TABLE: &str = "plimsoll_";

/// Commands that take away what there is, in the namespace of the caller. `known`: changes of transactions that stand.
pub(super) fn strays(known: &[&Change]) -> Vec<String> {
    let mut commands = Vec::new();
    let mut told = BTreeSet::new();
    for name in ["iptables", "ip6tables"] {
        let back_ends = ["-legacy", "-nft"].map(|back_end| format!("{name}{back_end}"));
        let mut programs: Vec<&String> = back_ends.iter().collect();
        programs.retain(|program| program::find(&format!("{program}-save")).is_ok());
        let only = name.to_owned();
        if programs.is_empty() {
            programs.push(&only);
        }
        for program in programs {
            let Ok(text) = program::run(&format!("{program}-save"), &[], "") else { continue };
            let pieces = of_save(&text, known);
            let words: String = pieces.iter().map(|piece| format!(" -e '{piece}'")).collect();
            if !words.is_empty() {
                commands
                    .push(format!("{program}-save -c | grep -vF{words} | {program}-restore -c"));
            }
            told.extend(pieces);
        }
    }
    let listed = program::run("nft", &["-a", "list", "ruleset"], "").unwrap_or_default();
    commands.extend(of_nft(&listed, known, &told));
    commands
}

/// Pieces of text that lines of ours have and no others: comments in their quotes, and chains.
fn of_save(text: &str, known: &[&Change]) -> BTreeSet<String> {
    let is_known = |mark: &str| {
        known.iter().any(|c| matches!(c, Change::Iptables(c) if c.marks.iter().any(|m| m == mark)))
    };
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if let Some(chain) = line.strip_prefix(':').and_then(|head| head.split(' ').next())
            && chain.starts_with(CHAIN)
            && !is_known(&format!(":{chain} "))
        {
            found.insert(format!("{chain} "));
        }
        if let Some(comment) = comment_of(line)
            && !is_known(&format!("--comment \"{comment}\""))
        {
            found.insert(format!("\"{comment}\""));
        }
    }
    found
}

fn of_nft(text: &str, known: &[&Change], told: &BTreeSet<String>) -> Vec<String> {
    let made: Vec<_> =
        known.iter().filter_map(|c| if let Change::Nft(c) = c { Some(c) } else { None }).collect();
    let (mut tables, mut rules) = (Vec::new(), Vec::new());
    let mut at = NftTable { family: String::new(), name: String::new() };
    let mut chain = "";
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["table", family, name, "{", ..] => {
                at = NftTable { family: family.to_owned(), name: name.to_owned() };
                if name.starts_with(TABLE) && !made.iter().any(|c| c.tables.contains(&at)) {
                    tables.push(format!("nft delete table {family} {name}"));
                }
            }
            ["chain", name, "{", ..] => chain = name,
            _ => {
                let Some(comment) = comment_of(line).filter(|_| !at.name.starts_with(TABLE)) else {
                    continue;
                };
                let Some((_, handle)) = line.rsplit_once("# handle ") else { continue };
                let NftTable { family, name } = at.clone();
                let rule = OwnRule {
                    family,
                    table: name,
                    chain: chain.to_owned(),
                    comment: comment.to_owned(),
                };
                // What iptables listed is iptables' to take away.
                let listed = told.contains(&format!("\"{comment}\""));
                if !listed && !made.iter().any(|c| c.rules.contains(&rule)) {
                    let OwnRule { family, table, chain, comment: _ } = rule;
                    rules.push(format!("nft delete rule {family} {table} {chain} handle {handle}"));
                }
            }
        }
    }
    rules.extend(tables);
    rules
}

/// A comment of ours, as it stands in quotes. None of ours has a quote of the shell's, and one that has is none.
fn comment_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("comment \"")?;
    let comment = rest.split_once('"')?.0;
    (comment.starts_with(COMMENT) && !comment.contains('\'')).then_some(comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_and_known_to_no_transaction_is_taken_away_alone() {
        let text = ":INPUT DROP [0:0]\n:PLIMSOLL-BYPASS-TCP443 - [0:0]\n-A INPUT -m comment --comment \"plimsoll: tcp/443, \
                    in\" -j PLIMSOLL-BYPASS-TCP443\n-A INPUT -m comment --comment \"see plimsoll's page\" -j ACCEPT\n";
        let found: Vec<String> = of_save(text, &[]).into_iter().collect();
        assert_eq!(found, ["\"plimsoll: tcp/443, in\"", "PLIMSOLL-BYPASS-TCP443 "]);

        let text = "table inet site { # handle 7\n\tchain input { # handle 1\n\t\tct state untracked accept comment \
                    \"plimsoll: tcp/443\" # handle 9\n\t\ttcp dport 22 accept # handle 3\n\t}\n}\ntable inet \
                    plimsoll_bypass_tcp443 { # handle 8\n\tchain output { # handle 1\n\t\tnotrack comment \"plimsoll: \
                    tcp/443\" # handle 2\n\t}\n}\n";
        let both = [
            "nft delete rule inet site input handle 9",
            "nft delete table inet plimsoll_bypass_tcp443",
        ];
        assert_eq!(of_nft(text, &[], &BTreeSet::new()), both);
        let told = BTreeSet::from(["\"plimsoll: tcp/443\"".to_owned()]);
        assert_eq!(of_nft(text, &[], &told), both[1..]);
    }
}
