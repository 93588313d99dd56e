//! Every diagnosis that is staged here speaks Chinese as well: what is prose has Chinese in it, and of English only what
//! is a name.

use std::collections::BTreeSet;

use plimsoll_diagnosis::{Diagnosis, Language, Said, Value};

/// Words of Latin letters that stand in Chinese sentences: programs, the kernel's names, what is typed, units.
const NAMES: &str = "\
    helper plimsoll netns keepalive fix firewalld ufw Shorewall shorewall sysctl synproxy limit drop saddr peer \
    lifeline found clashres \
    conntrack iptables net lsns inode hashsize tcp udp Docker Kubernetes docker policy max filter dport state nft nat tstamp \
    options delete table acct yes raw notrack ctnetlink accept ping pid root tuned libvirt cpu client forward role port \
    server bypass timeout shed raise persist unload input output new established related invalid counter";

/// What the staged facts say of themselves, in English alone, and the names of staged things.
const STAGED: &[&str] = &[
    "rule -m state in INPUT",
    "process dockerd",
    "chain KUBE-SERVICES",
    "firewalld.service is enabled",
    "nf_conntrack_ipv4 is loaded",
    "nf_conntrack is not loaded",
    "permission denied",
    "staged",
    "broken",
    "$(reboot)",
    "reboot",
    "ip netns red",
    "ip netns web",
    "nginx",
    "journal",
];

/// As `plimsoll_diagnosis::diagnose`, and what it says is there in Chinese.
pub fn diagnose(
    before: Option<&plimsoll_diagnosis::facts::Snapshot>,
    after: &plimsoll_diagnosis::facts::Snapshot,
) -> Diagnosis {
    let diagnosis = plimsoll_diagnosis::diagnose(before, after);
    speaks(&diagnosis);
    diagnosis
}

/// Panics where something is not said in Chinese.
fn speaks(d: &Diagnosis) {
    let mut all: Vec<&Said> = vec![&d.headline];
    all.extend(&d.notes);
    for finding in &d.findings {
        all.push(&finding.summary);
        for evidence in &finding.evidence {
            all.push(&evidence.what);
        }
    }
    for remedy in &d.remedies {
        all.extend([&remedy.title, &remedy.risk, &remedy.effect]);
        all.extend(&remedy.refused);
        let remarks = remedy.fix.iter().chain(&remedy.commands);
        all.extend(remarks.filter(|line| line.starts_with("# ")));
    }
    all.extend(d.excluded.iter().map(|excluded| &excluded.because));
    for missing in &d.missing {
        all.extend([&missing.fact, &missing.reason]);
    }
    for namespace in &d.namespaces {
        all.push(&namespace.rates.new_source);
        all.extend(namespace.tracking.iter().map(|(_, because)| because));
        all.extend(namespace.groups.idle.iter().map(|group| &group.label));
    }
    for said in all {
        let wrong = wrong(said);
        assert!(wrong.is_none(), "{wrong:?}: {said}\n{said:#}");
    }
    // Values and sources may be foreign; where they are ours they are said in both.
    for evidence in d.findings.iter().flat_map(|f| &f.evidence) {
        let value = match &evidence.value {
            Value::Text(text) => Some(text),
            Value::Count(_) | Value::Number(_) | Value::Time(_) => None,
        };
        for said in value.into_iter().chain([&evidence.source.0]) {
            if said.spoken(Language::Chinese) != said.as_str() {
                let wrong = wrong(said);
                assert!(wrong.is_none(), "{wrong:?}: {said}\n{said:#}");
            }
        }
    }
}

/// What of a sentence is not Chinese that should be.
fn wrong(said: &Said) -> Option<String> {
    let mut chinese = said.spoken(Language::Chinese).to_owned();
    for fact in STAGED {
        chinese = chinese.replace(fact, "");
    }
    let words = words(&chinese);
    // Where there are no words for a way into a namespace, commands stand behind remark signs.
    let typed = chinese.starts_with("# ") && chinese == said.as_str();
    let has_chinese = chinese.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    if !has_chinese && !words.is_empty() && !typed {
        return Some("no Chinese".into());
    }
    let names: BTreeSet<&str> = NAMES.split_whitespace().collect();
    words.into_iter().find(|word| !typed && !names.contains(word.as_str()))
}

/// English words of a text: letters alone, small but for the first, not part of a path, a key or a quoted command.
fn words(text: &str) -> Vec<String> {
    // What stands in backquotes is typed.
    let outside: String = text.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let inside = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%'\"*<>{}\\".contains(c);
    outside
        .split(|c: char| !inside(c))
        .map(|word| word.trim_matches([':', '.', '-']))
        .filter(|word| word.len() > 2 && word.chars().all(|c| c.is_ascii_alphabetic()))
        .filter(|word| word.chars().skip(1).all(|c| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}
