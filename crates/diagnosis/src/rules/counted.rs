//! Rules that count what comes to them, and to which more would come without tracking.
//!
//! Where `ct state established accept` stands ahead of a rate limit, only the first packet of a connection comes to the limit.
//! Untracked, each one would, and a limit of ten connections a minute be one of ten packets. A rule of ours ahead of it
//! would take the limit away, so there is none to put in.

use plimsoll_wire::filter::{Rule, Table, Test};

use super::Judgement;
use super::stand_in::place;
use super::traffic::{Kind, Leg, Pair};
use super::walk::{self, Ground, Inserted};

/// Adds to `found` what counts packets of a base chain's traffic that do not come to it today, with what was put in.
pub(super) fn find(
    (table, chain): (&Table, usize),
    pairs: &[Pair<'_>],
    leg: &Leg,
    inserted: &Inserted,
    found: &mut Judgement,
) {
    let fate = |packet| walk::fate(Ground { table, inserted }, chain, packet);
    for pair in pairs {
        let Some(later) = &pair.later else { continue };
        let (today, then) = (fate(later), fate(&pair.untracked));
        let Some(at) = then.counted.difference(&today.counted).next().filter(|_| today.accepted)
        else {
            continue;
        };
        let rule = place(table, *at);
        let (list, why) = match leg.kind {
            Kind::Question | Kind::Answer => (
                &mut found.blocked,
                said!(
                    "a rule counts what comes to it, today a connection's first packet, then every one: {rule}",
                    "有规则统计到达它的包，今天只是连接的第一个包，到时是每一个包：{rule}"
                ),
            ),
            // What it does not let through costs path MTU discovery, no connection by itself.
            Kind::TooBig => (
                &mut found.notes,
                said!(
                    "ICMP errors about it, which path MTU discovery needs, come to a rule that counts: {rule}",
                    "关于它的 ICMP 错误（路径 MTU 发现需要这些）会到达一条计数的规则：{rule}"
                ),
            ),
        };
        if !list.contains(&why) {
            list.push(why);
        }
    }
}

/// Whether what a rule does hangs on other packets too.
pub(super) fn counts(rule: &Rule) -> bool {
    fn hangs(test: &Test) -> bool {
        match test {
            Test::Rate => true,
            Test::Not(inner) => hangs(inner),
            Test::All(parts) | Test::Any(parts) => parts.iter().any(hangs),
            Test::Always
            | Test::Family(_)
            | Test::Protocol(_)
            | Test::Port(..)
            | Test::Address(..)
            | Test::Local(_)
            | Test::Interface(..)
            | Test::State(_)
            | Test::Flags { .. }
            | Test::Icmp(..)
            | Test::Tracked(_)
            | Test::Unknown => false,
        }
    }
    rule.matches.iter().any(|m| hangs(&m.test))
}
