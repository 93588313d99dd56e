//! Chains that take no rule of ours: one that only its process changes, and one that a program writes anew by itself.

use alloc::vec::Vec;

use plimsoll_wire::filter::{Backend, Program, Table};

use super::super::Plan;
use crate::rules::{Accept, family_word};
use crate::words;

/// Chains, by how their names begin, and tables of nft, that their program keeps as it wants them, all by itself: felix each
/// three minutes at the latest, kube-proxy whenever a service changes, cilium-agent whenever it starts. A rule of ours in there would be
/// gone, and with it what lets the untracked port pass.
const KEEPERS: &[(&str, &str)] = &[
    ("cali-", "Calico"),
    ("KUBE-", "kube-proxy"),
    ("CILIUM_", "Cilium"),
    ("OLD_CILIUM_", "Cilium"),
];
const KEEPERS_OF_TABLES: &[(&str, &str)] = &[("calico", "Calico"), ("kube-proxy", "kube-proxy")];

/// Leaves out what would have to stand there and is not needed for the traffic itself.
pub(super) fn without_errors(accepts: &mut Vec<Accept>, program: &Program, plan: &mut Plan) {
    accepts.retain(|accept| {
        let foreign = keeper(accept).is_some() || owned(program).any(|table| is_in(accept, table));
        if !accept.for_errors || !foreign {
            return true;
        }
        let note = said!(
            "ICMP errors about it, which path MTU discovery needs, may be dropped, and no rule of ours can stand there: {}",
            "关于它的 ICMP 错误（路径 MTU 发现需要这些）可能被丢弃，而那里放不了我们的规则：{}",
            accept.stands_for
        );
        if !plan.warnings.contains(&note) {
            plan.warnings.push(note);
        }
        false
    });
}

/// Tables that only the process which made them can change.
fn owned(program: &Program) -> impl Iterator<Item = &Table> {
    program.tables.iter().filter(|table| table.owned)
}

fn is_in(accept: &Accept, table: &Table) -> bool {
    (accept.backend, accept.family, &accept.table) == (table.backend, table.family, &table.name)
}

/// Refuses what would have to stand there.
pub(in crate::plan) fn refused(accepts: &[Accept], program: &Program, plan: &mut Plan) {
    for table in owned(program) {
        let Some(accept) = accepts.iter().find(|accept| is_in(accept, table)) else { continue };
        plan.refused.push(said!(
            "it needs a rule of ours in table {} {}, which only the process that made it can change (`flags owner`; \
             firewalld: NftablesTableOwner=no in /etc/firewalld/firewalld.conf and a reload of it allow it): {}",
            "需要在表 {} {} 里加一条我们的规则，而这个表只有创建它的进程能改（`flags owner`；firewalld：在 \
             /etc/firewalld/firewalld.conf 里设 NftablesTableOwner=no 并重载它，就可以改）：{}",
            family_word(table.family),
            words::clean(&table.name),
            accept.stands_for
        ));
    }
    for accept in accepts {
        let Some(keeper) = keeper(accept) else { continue };
        let why = said!(
            "it needs a rule of ours in chain {}, which {keeper} writes anew by itself, without ours; the port, still \
             untracked, would then be dropped: {}",
            "需要在链 {} 里加一条我们的规则，而 {keeper} 会自己重写这条链，我们的就没有了；那时仍未跟踪的端口会被丢弃：{}",
            words::clean(&accept.chain),
            accept.stands_for
        );
        if !plan.refused.contains(&why) {
            plan.refused.push(why);
        }
    }
}

/// Who keeps the chain that a rule of ours would go to.
fn keeper(accept: &Accept) -> Option<&'static str> {
    let by_chain = KEEPERS.iter().find(|(start, _)| accept.chain.starts_with(start));
    let nft = accept.backend == Backend::Nft;
    let by_table = KEEPERS_OF_TABLES.iter().find(|(name, _)| nft && accept.table == *name);
    by_chain.or(by_table).map(|(_, keeper)| *keeper)
}
