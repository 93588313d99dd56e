//! Keep a way in when the table is full: SSH without an entry.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_wire::ruleset::Need;

use super::ours::fix;
use super::untrack::{Role, untrack};
use super::{Findings, Ranked};
use crate::case::Case;
use crate::{Remedy, RemedyId, words};

/// What it answers.
const ANSWERS: &[&str] = &["CT001", "CT004", "CT005"];
/// The port that administrators come in by.
const SSH: u16 = 22;

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    let answers: Vec<&'static str> = findings
        .among(ANSWERS)
        .into_iter()
        .filter(|id| {
            let namespace = findings.get(id).and_then(|d| d.finding.namespace);
            namespace.is_none() || namespace == case.initial().map(|(i, _)| i)
        })
        .collect();
    if answers.is_empty() {
        return None;
    }
    let (_, s) = case.initial()?;
    let mut refused: Vec<String> = Vec::new();
    if let Some(rules) = s.now.rules.value()
        && let Some(rule) =
            rules.needing().find(|r| r.needs.contains(&Need::Nat) && r.ports.contains(&SSH))
    {
        refused.push(format!("port {SSH} is rewritten by a rule: {}", words::clean(&rule.text)));
    }
    let mut commands = untrack(case, s, "tcp", SSH, Role::Server);
    commands.push(
        "# better: add the administrators' addresses to each of these rules (ip saddr …, -s …)"
            .to_string(),
    );
    let remedy = Remedy {
        id: RemedyId::Lifeline,
        title: "keep SSH working while the table is full".to_string(),
        findings: answers,
        fix: fix("lifeline --confirm 60s", s).into_iter().collect(),
        commands,
        memory: None,
        risk: "SSH is accepted from everywhere as long as no addresses are named, and its brute-force \
               limits by state no longer see it."
            .to_string(),
        effect: "A new SSH connection needs no entry, so it gets in when nothing else does.".to_string(),
        refused,
    };
    Some(Ranked { rank: 50, remedy })
}
