//! The changes of a plan that writes rules as commands for a shell, one a line, in an order in which each leaves a
//! working host behind.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::Protocol;

use crate::Said;
use crate::plan::{Change, DeleteEntries, IptablesChange, NftChange};

/// Addresses of this host whose entries are deleted one by one; with more it is told in words.
const ADDRESSES: usize = 8;

/// The commands of a change.
pub(super) fn commands(change: &Change) -> Vec<Said> {
    match change {
        Change::Nft(c) => nft(c),
        Change::Iptables(c) => iptables(c),
        Change::Delete(c) => entries(c),
        Change::Setting(_) | Change::File(_) | Change::Policy(_) | Change::Modules(_) => Vec::new(),
    }
}

/// Each command of the text by itself; a table is one.
fn nft(c: &NftChange) -> Vec<Said> {
    let mut commands = Vec::new();
    let (mut whole, mut depth) = (String::new(), 0_usize);
    for line in c.apply.lines().map(str::trim).filter(|l| !l.is_empty()) {
        if line == "}" {
            depth = depth.saturating_sub(1);
        }
        whole.push_str(line);
        if line.ends_with('{') {
            depth += 1;
            whole.push(' ');
        } else if depth > 0 {
            whole.push_str(if line.ends_with(';') { " " } else { "; " });
        }
        if depth == 0 {
            commands.push(Said::name(format!("nft {}", quoted(&whole))));
            whole.clear();
        }
    }
    commands
}

fn iptables(c: &IptablesChange) -> Vec<Said> {
    let tool = c.restore.trim_end_matches("-restore");
    let table = if c.table == "filter" { String::new() } else { format!(" -t {}", c.table) };
    let lines = c.apply.lines().filter(|l| !l.starts_with('*') && *l != "COMMIT");
    let command = |line: &str| -> Said {
        match line.strip_prefix(':') {
            Some(chain) => Said::name(format!(
                "{tool}{table} -N {}",
                quoted(chain.split(' ').next().unwrap_or_default())
            )),
            None => {
                let words: Vec<String> = words(line).iter().map(|w| quoted(w)).collect();
                Said::name(format!("{tool}{table} {}", words.join(" ")))
            }
        }
    };
    lines.map(command).collect()
}

/// Words of a line of iptables-restore, without its quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut inside = false;
    let mut all = line.chars();
    while let Some(c) = all.next() {
        match c {
            '"' => {
                inside = !inside;
                word.get_or_insert_default();
            }
            '\\' if inside => word.get_or_insert_default().extend(all.next()),
            ' ' if !inside => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn entries(c: &DeleteEntries) -> Vec<Said> {
    let (Some(protocol), Some(port)) = (c.filter.protocol, c.filter.port) else {
        return Vec::new();
    };
    let own = &c.filter.served_by;
    if own.len() > ADDRESSES {
        return alloc::vec![said!(
            "# then delete what entries there still are: {}",
            "# 然后删除剩下的条目：{:#}",
            c.filter.said()
        )];
    }
    let delete = |to: &IpAddr| {
        let family = if to.is_ipv4() { "" } else { " -f ipv6" };
        let from = match c.filter.source {
            Some((from, _)) if from.is_ipv4() != to.is_ipv4() => return None,
            Some((from, bits)) => format!(" -s {from}/{bits}"),
            None => String::new(),
        };
        let name = Protocol::from_number(protocol).name();
        Some(Said::name(format!(
            "conntrack -D{family} -p {name} --orig-port-dst {port} -d {to}{from}"
        )))
    };
    own.iter().filter_map(delete).collect()
}

/// Text as one word of a POSIX shell. What would break a line does not come here: it is no word of a rule.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@%+=,!".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_iptables_are_words_of_the_shell() {
        let line = r#"-I INPUT 3 -m string --string "$(reboot) \"it's\"" --algo bm -m comment --comment "a b" ! --syn"#;
        let words: Vec<String> = words(line).iter().map(|w| quoted(w)).collect();
        assert_eq!(
            words.join(" "),
            r#"-I INPUT 3 -m string --string '$(reboot) "it'\''s"' --algo bm -m comment --comment 'a b' ! --syn"#
        );
    }

    #[test]
    fn a_table_is_one_command_and_so_is_a_rule() {
        let change = NftChange {
            apply: "insert rule ip f i handle 5 tcp dport 443 accept\ntable inet t {\n    chain c {\n        type \
                    filter hook output priority -300; policy accept;\n        tcp sport 443 notrack\n    }\n}\n"
                .to_string(),
            tables: Vec::new(),
            rules: Vec::new(),
            placed: Vec::new(),
        };
        assert_eq!(
            commands(&Change::Nft(change)),
            [
                "nft 'insert rule ip f i handle 5 tcp dport 443 accept'",
                "nft 'table inet t { chain c { type filter hook output priority -300; policy accept; tcp sport 443 \
                 notrack; }; }'"
            ]
        );
    }
}
