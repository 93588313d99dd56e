//! Nothing to do about conntrack: the trouble, if there is any, is elsewhere.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{Findings, Ranked};
use crate::{Remedy, RemedyId, Severity};

/// Findings that are not about conntrack, or say that it is not at work.
const ELSEWHERE: &[&str] = &["CT031", "CT060", "CT061", "CT062", "CT063", "CT064"];

/// The remedy.
pub(super) fn remedy(findings: &Findings<'_>) -> Option<Ranked> {
    let about_us = findings
        .0
        .iter()
        .any(|d| d.finding.severity > Severity::Info && !ELSEWHERE.contains(&d.finding.id));
    let elsewhere: Vec<&'static str> = ELSEWHERE
        .iter()
        .copied()
        .filter(|id| findings.0.iter().any(|d| d.finding.id == *id))
        .collect();
    if about_us || elsewhere.is_empty() {
        return None;
    }
    let effect = if elsewhere == ["CT031"] {
        "Nothing is tracked here, so no setting of conntrack changes anything."
    } else {
        "No setting of conntrack helps: the packets are lost elsewhere; each finding's page says how to \
         cure it."
    };
    let remedy = Remedy {
        id: RemedyId::NoneNeeded,
        title: "nothing to do about conntrack".to_string(),
        findings: elsewhere,
        fix: Vec::new(),
        commands: Vec::new(),
        memory: None,
        risk: alloc::string::String::new(),
        effect: effect.to_string(),
        refused: Vec::new(),
    };
    Some(Ranked { rank: 0, remedy })
}
