//! Whether the trees under fixtures still show what the kernels show: columns, keys, words of the log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::run;

use super::outcome::Outcome;

/// Differences between a guest and the tree of its line, and what was compared.
pub fn from_the_tree(line: &str, outcome: &Outcome) -> (Vec<String>, String) {
    let tree = run::root().join(format!("fixtures/trees/kernel-{line}"));
    if !tree.is_dir() {
        return (Vec::new(), format!("no tree of {line} to compare with"));
    }
    match compare(&tree, outcome) {
        Ok(differences) => (differences, "no drift from its tree".into()),
        Err(why) => (vec![why], String::new()),
    }
}

fn compare(tree: &Path, outcome: &Outcome) -> Result<Vec<String>, String> {
    let saved = |path: &str| {
        fs::read_to_string(tree.join(path))
            .map_err(|e| format!("{}: {e}", tree.join(path).display()))
    };
    let mut faults = Vec::new();
    let mut same = |what: &str, now: &BTreeSet<String>, then: &BTreeSet<String>| {
        let list = |set: &mut dyn Iterator<Item = &String>| {
            set.map(String::as_str).collect::<Vec<_>>().join(" | ")
        };
        if now != then {
            faults.push(format!(
                "drift: {what}: only in the guest [{}], only in the tree [{}]",
                list(&mut now.difference(then)),
                list(&mut then.difference(now)),
            ));
        }
    };
    let columns = |text: &str| -> BTreeSet<String> {
        // The order counts too.
        text.lines().take(1).map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let statistics = saved("proc/net/stat/nf_conntrack")?;
    same(
        "columns of the statistics",
        &columns(&outcome.text("tree/statistics")?),
        &columns(&statistics),
    );
    let keys = fs::read_dir(tree.join("proc/sys/net/netfilter"))
        .map_err(|e| format!("{}: {e}", tree.display()))?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with("nf_conntrack") || name.starts_with("nf_flowtable"))
        .collect();
    let now = outcome.text("tree/keys")?.lines().map(str::to_owned).collect();
    same("keys under net.netfilter", &now, &keys);
    let log = saved("var/log/dmesg")?;
    same("words of the full table", &words(&outcome.text("tree/log")?), &words(&log));
    Ok(faults)
}

/// The different wordings, without the stamp.
fn words(log: &str) -> BTreeSet<String> {
    log.lines()
        .filter(|line| line.contains("table full"))
        .filter_map(|line| Some(line.split_once("] ")?.1.trim().to_owned()))
        .collect()
}
