//! Stop tracking altogether: the second cure of the classic article.
//!
//! Since 4.10 it is enough that no rule asks for tracking; before, the modules must go, leaf first.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_wire::modules::Module;
use plimsoll_wire::ruleset::{Backend, Need, Rule, TableFamily};

use super::{Findings, Ranked, is_ours, needs_tracking};
use crate::Said;
use crate::case::{Case, Space};
use crate::commands;
use crate::facts::ManagerKind;
use crate::rules::family_word;
use crate::{Remedy, RemedyId, words};

/// What it answers.
const ANSWERS: &[&str] = &["CT030", "CT001", "CT002", "CT003", "CT004"];
/// Rules that are named; of more only the number is told.
const SHOWN: usize = 20;

/// The remedy.
pub(super) fn remedy(case: &Case<'_>, findings: &Findings<'_>) -> Option<Ranked> {
    // Needless tracking may go even where it does no harm yet.
    let needless = findings.0.iter().find(|d| d.finding.id == "CT030");
    let mut answers = findings.among(ANSWERS);
    if needless.is_some() && !answers.contains(&"CT030") {
        answers.insert(0, "CT030");
    }
    let index = needless.and_then(|d| d.finding.namespace);
    let s = match index {
        Some(i) => case.spaces.get(i)?,
        None => findings.space(case, ANSWERS)?,
    };
    if answers.is_empty() {
        return None;
    }
    let rules = s.now.rules.value()?;
    let mut refused = needs_tracking(case, s);
    refused.extend(managed(case, s));
    if let Some(rule) = rules
        .needing()
        .find(|r| r.needs.contains(&Need::Helper) || r.needs.contains(&Need::SynProxy))
    {
        refused.push(said!(
            "a rule needs a helper or a proxy: {}",
            "有规则需要 helper 或代理：{}",
            words::clean(&rule.text)
        ));
    }
    let by_module = !case.profile.hooks_on_demand;
    if by_module && commands::is_module(case) == Some(false) {
        refused.push(said!(
            "{} is built into this kernel",
            "{} 编译进了本内核",
            commands::module(case.profile)
        ));
    }
    let asked = rules.needing().next().is_some();
    let mut commands = keep_rules(s);
    commands.extend(rules_to_change(s));
    if by_module {
        commands.extend(modules(case));
    }
    commands.push(proof(case));
    let effect = if by_module {
        said!(
            "No packet needs an entry any more. When it has worked, the list of entries is gone from /proc.",
            "不再有包需要条目。成功之后，/proc 里就没有条目列表了。"
        )
    } else {
        said!(
            "No packet needs an entry any more. The entries that are there age out; when it has worked, the \
         count falls to 0.",
            "不再有包需要条目。现有的条目会自行过期；成功之后，计数降到 0。"
        )
    };
    let remedy = Remedy {
        id: RemedyId::Unload,
        title: said!("stop tracking", "停止跟踪"),
        findings: answers,
        // Nobody's rule is taken out by us.
        fix: if by_module && refused.is_empty() && !asked {
            alloc::vec![Said::name("plimsoll fix unload")]
        } else {
            Vec::new()
        },
        commands: commands::run_inside(s, commands),
        memory: None,
        risk: if asked {
            said!(
                "A firewall without state accepts by port alone: answers must be accepted by source port \
                   or by TCP flags, which lets more in. Try it with a way to undo it at hand.",
                "无状态的防火墙只凭端口放行：应答要靠源端口或 TCP 标志放行，放进来的就更多。试的时候要备好撤销的办法。"
            )
        } else {
            said!(
                "None while no rule asks for tracking: one by state, or with NAT, that comes later starts it again.",
                "只要没有规则需要跟踪就没有风险：以后加入的按状态匹配或带 NAT 的规则会让它重新开始。"
            )
        },
        effect,
        refused,
    };
    let rank = match needless.map(|d| d.finding.severity) {
        Some(crate::Severity::Warning | crate::Severity::Critical) => 0,
        Some(crate::Severity::Info) => 10,
        None => 90,
    };
    Some(Ranked { rank, remedy })
}

/// Programs that write rules by state of their own accord, in their own namespace and no other.
pub(crate) fn managed(case: &Case<'_>, s: &Space<'_>) -> Vec<Said> {
    let managers = case.after.boot.managers.value().into_iter().flatten();
    managers
        .filter(|manager| manager.is_of(s.now))
        .filter_map(|manager| {
            let name = match manager.kind {
                ManagerKind::Firewalld => {
                    said!("firewalld writes rules by state", "firewalld 写的规则按状态匹配")
                }
                ManagerKind::Ufw => said!("ufw writes rules by state", "ufw 写的规则按状态匹配"),
                ManagerKind::Shorewall => {
                    said!("Shorewall writes rules by state", "Shorewall 写的规则按状态匹配")
                }
                ManagerKind::Fail2ban => {
                    said!("fail2ban may write rules by state", "fail2ban 写的规则可能按状态匹配")
                }
                ManagerKind::Docker
                | ManagerKind::OtherContainers
                | ManagerKind::Kubernetes
                | ManagerKind::Libvirt
                | ManagerKind::Tuned => return None,
            };
            Some(said!("{name} ({})", "{name:#}（{:#}）", manager.because.map(words::clean)))
        })
        .collect()
}

/// Keeps the rules, so that the old state can be had back.
fn keep_rules(s: &Space<'_>) -> Vec<Said> {
    let Some(rules) = s.now.rules.value() else { return Vec::new() };
    let of_nft = |r: &Rule| r.backend == Backend::Nft;
    let of_v6 = |r: &Rule| r.family == TableFamily::Ip6;
    let mut commands = Vec::new();
    if rules.rules.iter().any(of_nft) {
        commands.push(Said::name("nft list ruleset > /root/rules-before.nft"));
    }
    if rules.rules.iter().any(|r| !of_nft(r) && !of_v6(r)) {
        commands.push(Said::name("iptables-save > /root/rules-before.iptables"));
    }
    if rules.rules.iter().any(|r| !of_nft(r) && of_v6(r)) {
        commands.push(Said::name("ip6tables-save > /root/rules-before.ip6tables"));
    }
    commands
}

/// The rules that ask for tracking, as remarks: what takes their place is for a person to decide.
fn rules_to_change(s: &Space<'_>) -> Vec<Said> {
    let Some(rules) = s.now.rules.value() else { return Vec::new() };
    let (ours, theirs): (Vec<&Rule>, Vec<&Rule>) = rules.needing().partition(|rule| is_ours(rule));
    let many = |rules: &[&Rule]| words::many(rules.len() as u64, "rule", "rules", "条规则");
    let mut remarks = Vec::new();
    if !ours.is_empty() {
        remarks.push(said!(
            "# take back what earlier remedies put in ({}): `plimsoll undo`",
            "# 撤销先前的补救加入的（{:#}）：`plimsoll undo`",
            many(&ours)
        ));
    }
    if !theirs.is_empty() {
        remarks.push(said!(
            "# replace by rules without state ({}):",
            "# 换成无状态的规则（{:#}）：",
            many(&theirs)
        ));
    }
    for rule in theirs.iter().take(SHOWN) {
        remarks.push(Said::name(format!("#   {}", words::clean(&placed(rule, s)))));
    }
    if theirs.len() > SHOWN {
        remarks.push(said!("#   and {} more", "#   另有 {} 条", theirs.len() - SHOWN));
    }
    remarks
}

/// A rule with its place, as its tool shows it: one of iptables in the words of iptables-save where those were read, else
/// in nft's, under nft's name.
fn placed(rule: &Rule, s: &Space<'_>) -> String {
    let Rule { backend, family, table, chain, text, .. } = rule;
    let tool = if *family == TableFamily::Ip6 { "ip6tables" } else { "iptables" };
    let saved = if text.starts_with("-A ") { Some(text.as_str()) } else { saved(rule, s) };
    match (backend, saved) {
        (Backend::Legacy | Backend::IptablesNft, Some(text)) => format!("{tool} {table}: {text}"),
        // A row of a listing.
        (Backend::Legacy, None) => format!("{tool} {table} {chain}: {text}"),
        (Backend::IptablesNft, None) | (Backend::Nft, _) => {
            let place = [family_word(*family), table, chain].join(" ");
            format!("nft {}: {text}", place.trim_end())
        }
    }
}

/// A rule in the words of iptables-save, from the rules in full: the one at the same place of a chain that has as many.
fn saved<'a>(rule: &Rule, s: &'a Space<'_>) -> Option<&'a str> {
    let same = |r: &&Rule| {
        (r.backend, r.family, &r.table, &r.chain)
            == (rule.backend, rule.family, &rule.table, &rule.chain)
    };
    let here: Vec<&Rule> = s.now.rules.value()?.rules.iter().filter(same).collect();
    let at = here.iter().position(|r| core::ptr::eq(*r, rule))?;
    let program = s.now.ways.program.value()?;
    let table = program
        .tables
        .iter()
        .find(|t| (t.backend, t.family, &t.name) == (rule.backend, rule.family, &rule.table))?;
    let all = &table.chains.get(table.chain(&rule.chain)?)?.rules;
    let text = all.get(at).filter(|_| all.len() == here.len())?.text.as_str();
    text.starts_with("-A ").then_some(text)
}

/// The modules to remove, leaf first, and how to keep them from coming back with the firewall.
fn modules(case: &Case<'_>) -> Vec<Said> {
    let mut commands = Vec::new();
    if let Some(config) = case.after.boot.iptables_config.value()
        && config.modules_line.is_some()
        && config.modules.iter().any(|m| m.contains("conntrack") || m.contains("nat"))
    {
        commands
            .push(Said::name("sed -i 's/^IPTABLES_MODULES=/#&/' /etc/sysconfig/iptables-config"));
    }
    let Some(loaded) = case.after.host.modules.value() else {
        commands.push(said!(
            "# the loaded modules could not be read: lsmod | grep conntrack",
            "# 读不到已加载的模块：lsmod | grep conntrack"
        ));
        return commands;
    };
    let names: Vec<String> =
        removal_order(loaded).iter().filter_map(|name| words::shell_word(name)).collect();
    if !names.is_empty() {
        commands.push(Said::name(format!("modprobe -r {}", names.join(" "))));
    }
    commands
}

/// Whether a module is connection tracking and nothing else: the core, protocols, helpers, NAT, and the words of rules
/// that ask for them, in any generation.
pub(crate) fn belongs(module: &str) -> bool {
    const STEMS: &[&str] = &[
        "nf_conntrack",
        "ip_conntrack",
        "ip6_conntrack",
        "nf_nat",
        "ip_nat",
        "iptable_nat",
        "ip6table_nat",
        "nf_defrag",
        "nf_flow_table",
        "nft_flow_offload",
        "nf_conncount",
        "nf_synproxy",
        "nf_xnatlog",
        "nft_ct",
        "nft_chain_nat",
        "nft_nat",
        "nft_masq",
        "nft_redir",
        "nft_connlimit",
        "nft_synproxy",
        "xt_conn",
        "xt_state",
        "xt_helper",
        "xt_CT",
        "xt_NOTRACK",
        "xt_CONN",
        "xt_MASQUERADE",
        "xt_nat",
        "xt_NETMAP",
        "xt_REDIRECT",
        "xt_SYNPROXY",
        "xt_connlimit",
        "ipt_MASQUERADE",
        "ipt_NETMAP",
        "ipt_REDIRECT",
        "ipt_SAME",
        "ipt_SYNPROXY",
        "ipt_CLUSTERIP",
        "ipt_state",
        "ipt_conn",
        "ipt_helper",
        "ip6t_MASQUERADE",
        "ip6t_NPT",
        "ip6t_SYNPROXY",
        "nfnetlink_ct",
        "masquerade",
    ];
    STEMS.iter().any(|stem| module.starts_with(stem))
}

/// What hangs on conntrack, each after all that use it, then conntrack, then the defragmentation that
/// only it used.
pub(crate) fn removal_order(loaded: &[Module]) -> Vec<&str> {
    const ROOTS: &[&str] = &["nf_conntrack", "ip_conntrack"];
    const BELOW: &[&str] = &["nf_defrag_ipv4", "nf_defrag_ipv6"];
    let find = |name: &str| loaded.iter().find(|m| m.name == name);
    let mut going: Vec<&str> =
        ROOTS.iter().filter_map(|root| find(root)).map(|m| m.name.as_str()).collect();
    if going.is_empty() {
        return going;
    }
    // Everything that uses what goes must go before it.
    let mut next = 0;
    while let Some(name) = going.get(next).copied() {
        for user in find(name).into_iter().flat_map(|m| &m.used_by) {
            if let Some(module) = find(user)
                && !going.contains(&module.name.as_str())
            {
                going.push(&module.name);
            }
        }
        next += 1;
    }
    for below in BELOW {
        if let Some(module) = find(below)
            && !going.contains(&module.name.as_str())
            && module.used_by.iter().all(|user| going.contains(&user.as_str()))
        {
            going.push(&module.name);
        }
    }
    let mut order: Vec<&str> = Vec::with_capacity(going.len());
    while order.len() < going.len() {
        let ready = going.iter().copied().find(|name| {
            !order.contains(name)
                && find(name).is_none_or(|m| {
                    m.used_by.iter().all(|u| order.contains(&u.as_str()) || find(u).is_none())
                })
        });
        match ready {
            Some(name) => order.push(name),
            // Users that use each other cannot be; a forged list may say so.
            None => break,
        }
    }
    order
}

/// How to see that it has worked.
fn proof(case: &Case<'_>) -> Said {
    if case.profile.hooks_on_demand {
        let key = commands::key(case.profile, "nf_conntrack_count");
        said!(
            "sysctl {key}  # falls to 0 within the longest timeout",
            "sysctl {key}  # 在最长的超时之内降到 0"
        )
    } else {
        said!(
            "ls {}  # must say: No such file or directory",
            "ls {}  # 应当显示：No such file or directory",
            commands::list(case.profile)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn module(name: &str, used_by: &[&str]) -> Module {
        let used_by = used_by.iter().map(|s| (*s).to_string()).collect();
        Module { name: name.to_string(), size: 1, references: Some(0), used_by }
    }

    #[test]
    fn modules_of_centos_6_go_leaf_first_and_defrag_last() {
        let loaded = vec![
            module("nf_defrag_ipv4", &["nf_conntrack_ipv4"]),
            module("nf_conntrack", &["iptable_nat", "nf_nat", "xt_state", "nf_conntrack_ipv4"]),
            module("nf_conntrack_ipv4", &["iptable_nat", "nf_nat"]),
            module("nf_nat", &["ipt_MASQUERADE", "iptable_nat"]),
            module("iptable_nat", &[]),
            module("ipt_MASQUERADE", &[]),
            module("xt_state", &[]),
            module("ext4", &[]),
        ];
        let order = removal_order(&loaded);
        let at = |name: &str| order.iter().position(|m| *m == name).expect("is removed");
        assert!(at("iptable_nat") < at("nf_nat"));
        assert!(at("nf_nat") < at("nf_conntrack_ipv4"));
        assert!(at("nf_conntrack_ipv4") < at("nf_conntrack"));
        assert!(at("nf_conntrack_ipv4") < at("nf_defrag_ipv4"));
        assert!(!order.contains(&"ext4"));
        assert_eq!(order.len(), 7);
    }

    #[test]
    fn a_forged_circle_of_modules_ends() {
        let loaded = vec![module("nf_conntrack", &["a"]), module("a", &["nf_conntrack"])];
        assert!(removal_order(&loaded).is_empty());
    }
}
