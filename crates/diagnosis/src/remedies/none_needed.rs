//! Nothing to do about conntrack: the trouble, if there is any, is elsewhere.

use alloc::vec::Vec;

use super::{Findings, Ranked};
use crate::Said;
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
        said!(
            "Nothing is tracked here, so no setting of conntrack changes anything.",
            "这里什么都没有跟踪，所以连接跟踪的任何设置都改变不了什么。"
        )
    } else {
        said!(
            "No setting of conntrack helps: the packets are lost elsewhere; each finding's page says how to \
         cure it.",
            "连接跟踪的任何设置都没有用：包丢在别处；每条诊断结论的页面写着怎样治。"
        )
    };
    let remedy = Remedy {
        id: RemedyId::NoneNeeded,
        title: said!("nothing to do about conntrack", "连接跟踪这边不用做什么"),
        findings: elsewhere,
        fix: Vec::new(),
        commands: Vec::new(),
        memory: None,
        risk: Said::default(),
        effect,
        refused: Vec::new(),
    };
    Some(Ranked { rank: 0, remedy })
}
