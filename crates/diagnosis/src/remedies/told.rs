//! A remedy that writes rules as `plimsoll fix` plans it, told in commands.

use alloc::vec::Vec;

use plimsoll_wire::filter::Program;

use super::{needs_tracking, plain};
use crate::Said;
use crate::case::{Case, Space};
use crate::commands::run_inside;
use crate::facts::{Fact, Source};
use crate::plan::{BypassRequest, Change, planned};
use crate::words;

/// What is told of a plan.
pub(super) struct Told {
    /// Commands and remarks.
    pub commands: Vec<Said>,
    /// Why it must not be done.
    pub refused: Vec<Said>,
    /// What may go wrong, a sentence each.
    pub risks: Vec<Said>,
    /// Whether the entries that are there are deleted; else they stay until their time is out.
    pub deletes: bool,
}

/// The plan for a namespace. Where its rules were not read, only the exemption is told, and what is missing.
pub(super) fn told(request: &BypassRequest, case: &Case<'_>, s: &Space<'_>) -> Told {
    let mut told =
        Told { commands: Vec::new(), refused: Vec::new(), risks: Vec::new(), deletes: false };
    let ways = &s.now.ways;
    let plan = match &ways.program {
        Fact::Known { .. } => planned(request, ways, case, s),
        Fact::Missing(gap) => {
            let mut ways = ways.clone();
            ways.program = Fact::known(Program::default(), Source::name(""));
            told.commands.push(said!(
                "# its rules were not read whole ({}): where one drops what has no state, let this port pass \
                 ahead of it in both directions", "# 没有读全它的规则（{:#}）：如果有规则丢弃没有状态的包，请在它之前放行这个端口，两个方向都要",
                gap.detail.map(words::clean)
            ));
            told.refused = needs_tracking(case, s);
            planned(request, &ways, case, s)
        }
    };
    told.refused.extend(plan.refused);
    told.risks = plan.risks;
    told.deletes = plan.changes.iter().any(|change| matches!(change, Change::Delete(_)));
    let of_fix = ["rules are gone", "tables of old iptables are new"];
    let known = plan.warnings.iter().filter(|w| !of_fix.iter().any(|head| w.starts_with(head)));
    told.commands.extend(known.map(|w| said!("# {w}", "# {w:#}")));
    told.commands.extend(plan.changes.iter().flat_map(plain::commands));
    told.commands = run_inside(s, told.commands);
    told
}

/// Sentences as one text.
pub(super) fn joined(first: Said, rest: &[Said]) -> Said {
    let mut text = first;
    for sentence in rest {
        text.push(&said!(" {sentence}", "{sentence:#}"));
    }
    text
}
