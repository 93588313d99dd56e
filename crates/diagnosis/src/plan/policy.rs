//! A timeout policy for one service: an object of nftables, or a named policy and a rule of xtables.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Protocol;
use plimsoll_wire::ruleset::{Backend, TableFamily};

use super::{Change, IptablesChange, NftChange, NftTable, Plan, PolicyChange};
use crate::Said;
use crate::case::{Case, Space};
use crate::remedies::speaks_nft;
use crate::words;

/// First release with policies for one port (nfnetlink_cttimeout).
const POLICIES_SINCE: (u16, u16) = (3, 4);
/// First release whose legacy tables are driven by programs with `legacy` in their names.
const LEGACY_NAMES_SINCE: (u16, u16) = (4, 19);
/// The states that nft(8) and nfct(8) both know, and the settings that they stand in for.
const STATES: &[(Protocol, &[(&str, &str)])] = &[
    (
        Protocol::Tcp,
        &[
            ("syn_sent", "nf_conntrack_tcp_timeout_syn_sent"),
            ("syn_recv", "nf_conntrack_tcp_timeout_syn_recv"),
            ("established", "nf_conntrack_tcp_timeout_established"),
            ("fin_wait", "nf_conntrack_tcp_timeout_fin_wait"),
            ("close_wait", "nf_conntrack_tcp_timeout_close_wait"),
            ("last_ack", "nf_conntrack_tcp_timeout_last_ack"),
            ("time_wait", "nf_conntrack_tcp_timeout_time_wait"),
            ("close", "nf_conntrack_tcp_timeout_close"),
        ],
    ),
    (
        Protocol::Udp,
        &[
            ("unreplied", "nf_conntrack_udp_timeout"),
            ("replied", "nf_conntrack_udp_timeout_stream"),
        ],
    ),
];

/// The setting that a state of a policy stands in for.
pub(super) fn setting_of(protocol: Protocol, state: &str) -> Option<&'static str> {
    let (_, states) = STATES.iter().find(|(p, _)| *p == protocol)?;
    states.iter().find(|(name, _)| *name == state).map(|(_, setting)| *setting)
}

/// Adds the changes to a plan, or why there are none.
pub(super) fn changes(
    protocol: Protocol,
    port: u16,
    values: &[(String, u64)],
    case: &Case<'_>,
    space: &Space<'_>,
    plan: &mut Plan,
) {
    let Some((_, states)) = STATES.iter().find(|(p, _)| *p == protocol) else {
        plan.refused.push(said!(
            "policies are made for tcp and udp here, not for {}",
            "这里的策略只用于 tcp 和 udp，不用于 {}",
            protocol.name()
        ));
        return;
    };
    for (state, _) in values {
        if setting_of(protocol, state).is_none() {
            let names: Vec<&str> = states.iter().map(|(name, _)| *name).collect();
            plan.refused.push(said!(
                "{} has no state {:?}: {}",
                "{} 没有状态 {:?}：{}",
                protocol.name(),
                words::clean(state),
                names.join(", ")
            ));
        }
    }
    if case.after.host.kernel.value().is_some_and(|k| k.rank() < POLICIES_SINCE) {
        plan.refused.push(Said::of(
            "this kernel has no timeouts for one port, only for all (3.4 and later)",
            "本内核不能只给一个端口设超时，只能给全部设（3.4 起才有）",
        ));
    }
    if !plan.refused.is_empty() {
        return;
    }
    plan.effect = said!(
        "New connections to port {port} take the policy with their first packet. Those in the table keep \
         theirs: `plimsoll fix shed` is what frees room at once.",
        "通往端口 {port} 的新连接在第一个包时采用这个策略。表里已有的保持原样：要马上腾出地方，用 `plimsoll fix shed`。"
    );
    if speaks_nft(case, space) {
        plan.changes.push(nft(protocol, port, values));
    } else {
        xtables(protocol, port, values, case, space, plan);
    }
}

/// What sets it: the table is our own, one for each service.
fn nft(protocol: Protocol, port: u16, values: &[(String, u64)]) -> Change {
    let proto = protocol.name();
    let name = format!("plimsoll_timeout_{proto}{port}");
    let policy: Vec<String> = values.iter().map(|(s, n)| format!("{s} : {n}")).collect();
    let policy = policy.join(", ");
    let mut text = format!("table inet {name} {{\n");
    for (object, l3) in [("v4", "ip"), ("v6", "ip6")] {
        text.push_str(&format!(
            "    ct timeout {object} {{\n        protocol {proto}\n        l3proto {l3}\n        policy = {{ {policy} }}\n    }}\n"
        ));
    }
    for hook in ["prerouting", "output"] {
        text.push_str(&format!(
            "    chain {hook} {{\n        type filter hook {hook} priority -150; policy accept;\n"
        ));
        for (object, l3) in [("v4", "ipv4"), ("v6", "ipv6")] {
            text.push_str(&format!(
                "        meta nfproto {l3} {proto} dport {port} ct timeout set \"{object}\" comment \"plimsoll: \
                 timeout of {proto}/{port}\"\n"
            ));
        }
        text.push_str("    }\n");
    }
    text.push_str("}\n");
    Change::Nft(NftChange {
        apply: text,
        tables: alloc::vec![NftTable { family: "inet".to_string(), name }],
        rules: Vec::new(),
        placed: Vec::new(),
    })
}

/// xtables takes a rule with a policy back only by its place in the chain, so it stands in a chain of our
/// own, and what is put into PREROUTING and OUTPUT is a jump.
fn xtables(
    protocol: Protocol,
    port: u16,
    values: &[(String, u64)],
    case: &Case<'_>,
    space: &Space<'_>,
    plan: &mut Plan,
) {
    let young = case.after.host.kernel.value().is_some_and(|k| k.rank() >= LEGACY_NAMES_SINCE);
    let rules = space.now.rules.value();
    let of =
        |family: TableFamily| rules.is_some_and(|r| r.rules.iter().any(|r| r.family == family));
    let legacy =
        young && rules.is_some_and(|r| r.rules.iter().any(|r| r.backend == Backend::Legacy));
    let middle = if legacy { "-legacy" } else { "" };
    let families: &[(&str, &str, bool)] = if of(TableFamily::Ip6) {
        &[("iptables", "inet", false), ("ip6tables", "inet6", true)]
    } else {
        plan.warnings.push(Said::of(
            "there are no rules for IPv6 here, so the policy is for IPv4 only",
            "这里没有 IPv6 的规则，所以策略只用于 IPv4",
        ));
        &[("iptables", "inet", false)]
    };
    for (program, l3, six) in families {
        let proto = protocol.name();
        let name = name(protocol, port, *six);
        let chain = format!("PLIMSOLL-{}{port}", proto.to_ascii_uppercase());
        let comment = format!("plimsoll: timeout of {proto}/{port}");
        plan.changes.push(Change::Policy(PolicyChange {
            name: name.clone(),
            family: (*l3).to_string(),
            protocol: proto.to_string(),
            timeouts: values.to_vec(),
        }));
        let jump = |hook: &str| {
            format!(
                "{hook} -p {proto} --dport {port} -m comment --comment \"{comment}\" -j {chain}\n"
            )
        };
        let apply = format!(
            "*raw\n:{chain} - [0:0]\n-A {chain} -p {proto} -j CT --timeout {name}\n-A {}-A {}COMMIT\n",
            jump("PREROUTING"),
            jump("OUTPUT")
        );
        let revert = format!(
            "*raw\n-D {}-D {}-F {chain}\n-X {chain}\nCOMMIT\n",
            jump("PREROUTING"),
            jump("OUTPUT")
        );
        plan.changes.push(Change::Iptables(IptablesChange {
            restore: format!("{program}{middle}-restore"),
            save: format!("{program}{middle}-save"),
            table: "raw".to_string(),
            apply,
            revert,
            marks: alloc::vec![format!("--comment \"{comment}\""), format!(":{chain} ")],
            placed: Vec::new(),
        }));
    }
}

/// The name of a policy: four characters, of which three tell port, protocol and family.
///
/// Kernel: since 4.11 `xt_CT` gives back four characters of a policy's name (`usersize` of its revisions 1 and 2). Whoever
/// changes the table next hands the kernel what it gave, and with a longer name is refused for want of that policy.
fn name(protocol: Protocol, port: u16, six: bool) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let number = u32::from(port) << 2 | u32::from(protocol == Protocol::Udp) << 1 | u32::from(six);
    let digits = [12, 6, 0].map(|shift| char::from(DIGITS[(number >> shift & 63) as usize]));
    core::iter::once('p').chain(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_policy_has_a_name_of_its_own_that_the_kernel_gives_back_whole() {
        let mut names = BTreeSet::new();
        for port in 1..=u16::MAX {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                names.extend([false, true].map(|six| name(protocol, port, six)));
            }
        }
        assert_eq!(names.len(), 4 * 65_535);
        assert!(names.iter().all(|name| name.len() == 4));
    }

    #[test]
    fn every_state_stands_for_a_setting() {
        for (_, states) in STATES {
            for (_, setting) in *states {
                assert!(plimsoll_ct::Setting::find(setting).is_some(), "{setting}");
            }
        }
        assert_eq!(setting_of(Protocol::Tcp, "replied"), None);
    }
}
