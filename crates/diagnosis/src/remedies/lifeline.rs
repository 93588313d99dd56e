//! Keep a way in when the table is full: SSH without an entry.

use alloc::vec::Vec;

use plimsoll_ct::Protocol;

use super::ours::fix;
use super::told::{joined, told};
use super::{Findings, Ranked};
use crate::case::{Case, Space};
use crate::plan::{BypassRequest, lifeline_request};
use crate::rules::Role;
use crate::{Remedy, RemedyId};

/// What it answers.
const ANSWERS: &[&str] = &["CT001", "CT004", "CT005"];
/// The port that administrators come in by, where no server of theirs was seen.
const SSH: u16 = 22;

/// The findings it answers: those of the host's own namespace.
fn answers(case: &Case<'_>, findings: &Findings<'_>) -> Vec<&'static str> {
    let answers = findings.among(ANSWERS).into_iter().filter(|id| {
        let namespace = findings.get(id).and_then(|d| d.finding.namespace);
        namespace.is_none() || namespace == case.initial().map(|(i, _)| i)
    });
    answers.collect()
}

/// The namespace that it is for.
pub(super) fn place<'a, 'c>(case: &'a Case<'c>, findings: &Findings<'_>) -> Option<&'a Space<'c>> {
    if answers(case, findings).is_empty() {
        return None;
    }
    case.initial().map(|(_, s)| s)
}

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    let s = place(case, findings)?;
    let request = lifeline_request(Vec::new(), Vec::new(), false, &s.now.ways);
    let for_one = request.is_ok();
    let request = request.unwrap_or_else(|_| {
        let doors = &s.now.ways.doors;
        let ports = if doors.is_empty() { alloc::vec![SSH] } else { doors.clone() };
        BypassRequest {
            services: ports.into_iter().map(|port| (Protocol::Tcp, port)).collect(),
            roles: alloc::vec![Role::Server],
            peers: Vec::new(),
            unsure: false,
        }
    });
    let told = told(&request, case, s);
    let mut commands = told.commands;
    if !for_one {
        commands.push(
            said!("# better: name those who will come, with plimsoll fix lifeline --peer ADDRESS; or add their addresses to \
             each of these rules (ip saddr …, -s …)", "# 更好：用 plimsoll fix lifeline --peer ADDRESS 写明谁会来；或者在每条规则里加上他们的地址（ip saddr …、-s …）"),
        );
    }
    let remedy = Remedy {
        id: RemedyId::Lifeline,
        title: said!("keep SSH working while the table is full", "表满时仍让 SSH 进得来"),
        findings: answers(case, findings),
        fix: fix("lifeline --confirm 60s", s).into_iter().collect(),
        commands,
        memory: None,
        risk: joined(
            said!(
                "SSH's brute-force limits by state no longer see these connections.",
                "SSH 按状态防暴力破解的限制看不到这些连接。"
            ),
            &told.risks,
        ),
        effect: said!(
            "A new SSH connection needs no entry, so it gets in when nothing else does.",
            "新的 SSH 连接不需要条目，所以别的都进不来时它也进得来。"
        ),
        refused: told.refused,
    };
    Some(Ranked { rank: 50, remedy })
}
