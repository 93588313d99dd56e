//! Stop tracking altogether, by taking the modules out: the second cure of the classic article.
//!
//! Nobody's rule is edited. Where something needs the modules (a rule by state, NAT, a helper, a program that
//! manages rules, another module) the plan is refused, and says what. What is left is what nothing asks for any more:
//! the modules, and the line of RHEL's firewall that loads them again.
//!
//! Kernel: `nf_conntrack_cleanup_net_list()`: taking the core out deletes all entries and with them all settings.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Setting;
use plimsoll_wire::iptables_config;
use plimsoll_wire::modules::Module;
use plimsoll_wire::ruleset::{Backend, Rule, Ruleset, TableFamily};

use super::{
    Change, FileChange, FileState, Ground, LoadModule, ModulesChange, Plan, Target, Verify,
};
use crate::Said;
use crate::boot::{self, BootFacts};
use crate::case::{Case, Space};
use crate::facts::Reason;
use crate::remedies::{belongs, is_ours, managed, needs_tracking, removal_order};
use crate::rules::family_word;
use crate::{RemedyId, commands, words};

/// RHEL's own configuration of its firewall services.
pub const UNLOAD_FILES: &[&str] =
    &["/etc/sysconfig/iptables-config", "/etc/sysconfig/ip6tables-config"];

/// Rules that are named one by one.
const SHOWN: usize = 20;

/// The plan.
pub fn unload(ground: &Ground<'_>) -> Plan {
    let case = Case::new(None, ground.now);
    let mut plan = Plan::new(
        RemedyId::Unload,
        Said::of(
            "stop tracking: take conntrack out of the kernel",
            "停止跟踪：把 conntrack 从内核中卸载",
        ),
        Target::of(ground),
    );
    if !ground.namespace().is_some_and(crate::facts::Namespace::is_initial) {
        plan.refused.push(Said::of(
            "modules serve all network namespaces: run it in the host's own",
            "模块为所有网络命名空间服务：请在主机自己的命名空间里运行",
        ));
        return plan;
    }
    let core = commands::module(case.profile);
    if commands::is_module(&case) == Some(false) {
        plan.refused.push(said!(
            "{core} is built into this kernel: it can't be taken out. Without a rule that asks for it no packet \
             is tracked",
            "{core} 已编译进本内核：不能卸载。没有规则需要它时，什么包也不跟踪"
        ));
        return plan;
    }
    let Some(loaded) = ground.now.host.modules.value() else {
        plan.refused.push(Said::of("the loaded modules could not be read", "读不到已加载的模块"));
        return plan;
    };
    let order = removal_order(loaded);
    let edits = configurations(ground.files);
    if order.is_empty() {
        plan.effect = said!("{core} is not loaded.", "{core} 没有加载。");
        if edits.is_empty() {
            return plan;
        }
    }
    plan.refused = needed(&case, &mut plan.by_hand);
    plan.refused.extend(foreign(loaded, &order));
    plan.changes.extend(edits.into_iter().map(Change::File));
    let again = loaders(ground, &case, &plan);
    let parameters = |name: &str| match case.buckets() {
        Some(buckets) if name == core => alloc::vec![format!("hashsize={buckets}")],
        Some(_) | None => Vec::new(),
    };
    let unload: Vec<LoadModule> = order
        .iter()
        .map(|name| LoadModule { name: (*name).to_string(), parameters: parameters(name) })
        .collect();
    if !unload.is_empty() {
        plan.effect = said!(
            "No packet needs an entry any more: {} go, with the {} that are there.",
            "不再有包需要条目：卸载 {:#}，连同现有的 {:#}。",
            words::many(unload.len() as u64, "module", "modules", "个模块"),
            words::many(entries(&case), "entry", "entries", "个条目"),
        );
        let settings = settings(ground, &case);
        plan.changes.push(Change::Modules(ModulesChange { unload, load: Vec::new(), settings }));
        plan.verify.push(Verify::Gone { path: commands::list(case.profile).to_string() });
    }
    plan.risks = alloc::vec![
        Said::of(
            "A firewall without state accepts by port and TCP flags alone: look that answers still come in.",
            "没有状态的防火墙只凭端口和 TCP 标志放行：请确认应答仍能进来。",
        ),
        Said::of(
            "Any rule by state, any NAT table, `conntrack` and some container engines load the modules again.",
            "任何按状态匹配的规则、任何 NAT 表、`conntrack` 和某些容器引擎都会重新加载这些模块。",
        ),
    ];
    plan.warnings = again;
    plan
}

/// Entries over all namespaces.
fn entries(case: &Case<'_>) -> u64 {
    crate::groups::sum(case.spaces.iter().filter_map(|s| s.load.count).map(|c| c.0))
}

/// Who needs tracking, in any namespace: a sentence each. Rules are listed to be taken out by hand.
fn needed(case: &Case<'_>, by_hand: &mut Vec<Said>) -> Vec<Said> {
    let mut refused: Vec<Said> = Vec::new();
    for s in &case.spaces {
        for reason in needs_tracking(case, s).into_iter().chain(managed(case, s)) {
            if !refused.contains(&reason) {
                refused.push(reason);
            }
        }
        match &s.now.rules {
            crate::facts::Fact::Known { value: rules, .. } => {
                refused.extend(by_ours(s, rules));
                refused.extend(by_state(s, rules, by_hand));
            }
            crate::facts::Fact::Missing(gap) if gap.reason == Reason::NotPermitted => {
                refused.push(said!(
                    "the rules of {} could not be read: {}",
                    "读不到 {:#} 的规则：{:#}",
                    s.name,
                    gap.detail.map(words::clean)
                ));
            }
            crate::facts::Fact::Missing(_) => {}
        }
    }
    refused
}

/// Rules of earlier remedies.
fn by_ours(s: &Space<'_>, rules: &Ruleset) -> Option<Said> {
    let ours = rules.needing().filter(|rule| is_ours(rule)).count() as u64;
    (ours > 0).then(|| {
        said!(
            "{} of {} that earlier remedies put in: `plimsoll undo` takes that back",
            "{1:#} 有先前的补救加入的{0:#}：`plimsoll undo` 可以撤销",
            words::many(ours, "rule", "rules", "条规则"),
            s.name
        )
    })
}

/// Rules and chains of one namespace that keep the modules in.
fn by_state(s: &Space<'_>, rules: &Ruleset, by_hand: &mut Vec<Said>) -> Option<Said> {
    let needing: Vec<&Rule> = rules.needing().filter(|rule| !is_ours(rule)).collect();
    let (first, more) = needing.split_first()?;
    let inside = commands::inside(s).unwrap_or_default();
    for rule in needing.iter().take(SHOWN) {
        by_hand.push(Said::name(deletion(rule, &inside)));
    }
    if needing.len() > SHOWN {
        by_hand.push(said!("# and {} more", "# 还有 {} 条", needing.len() - SHOWN));
    }
    let others = match more.len() {
        0 => Said::default(),
        n => said!(" (and {n} more, listed below)", "（还有 {n} 条，列在下面）"),
    };
    Some(said!(
        "a rule of {} asks for tracking: {}{others}",
        "{:#} 的一条规则需要跟踪：{}{others:#}",
        s.name,
        words::clean(&rule_text(first))
    ))
}

fn rule_text(rule: &Rule) -> String {
    format!("{} {}", rule.table, rule.text)
}

/// How a person takes a rule out.
fn deletion(rule: &Rule, inside: &str) -> String {
    let text = words::clean(&rule.text);
    match (rule.backend, text.strip_prefix("-A ")) {
        (Backend::Legacy | Backend::IptablesNft, Some(rest)) => {
            let tool = if rule.family == TableFamily::Ip6 { "ip6tables" } else { "iptables" };
            format!("# {inside}{tool} -t {} -D {rest}", words::clean(&rule.table))
        }
        _ => {
            let family = family_word(rule.family);
            let (table, chain) = (words::clean(&rule.table), words::clean(&rule.chain));
            let place = match chain.is_empty() {
                true => format!("table {family} {table}"),
                false => format!("chain {family} {table} {chain}"),
            };
            format!("# {inside}nft -a list {place}: {text}")
        }
    }
}

/// Modules that are no part of connection tracking and use it, and modules that something else holds.
fn foreign(loaded: &[Module], order: &[&str]) -> Vec<Said> {
    let mut refused = Vec::new();
    for module in loaded.iter().filter(|m| order.contains(&m.name.as_str())) {
        let name = words::clean(&module.name);
        if !belongs(&module.name) {
            refused.push(said!(
                "module {name} uses conntrack and does more than that",
                "模块 {name} 用到 conntrack，还做别的事"
            ));
            continue;
        }
        let users = module.used_by.len() as u64;
        match module.references {
            None => refused.push(said!(
                "module {name} can't be taken out of this kernel",
                "模块 {name} 不能从本内核卸载"
            )),
            // Rules hold the modules of their words: in a namespace that was not seen, too.
            Some(n) if n > users => refused.push(said!(
                "module {name} is in use by {}: a rule, a table or a program, in some network namespace",
                "模块 {name} 正被{:#}使用：某个网络命名空间里的规则、表或程序",
                words::many(n - users, "user", "users", "处")
            )),
            Some(_) => {}
        }
    }
    refused
}

/// RHEL's configuration without the lines that load the modules.
fn configurations(files: &BTreeMap<String, Option<FileState>>) -> Vec<FileChange> {
    UNLOAD_FILES
        .iter()
        .filter_map(|path| {
            let before = files.get(*path)?.clone()?;
            let text = before.content.text();
            let edited = without_modules(&text)?;
            let after = Some(before.with(edited));
            Some(FileChange { path: (*path).to_string(), before: Some(before), after })
        })
        .collect()
}

/// The lists of modules lose those of conntrack; stopping the firewall unloads what it loaded. `None`: nothing to
/// change.
fn without_modules(text: &str) -> Option<String> {
    let config = iptables_config::read(text);
    let ours = config.modules.iter().any(|m| belongs(&m.replace('-', "_")));
    let kept: Vec<&str> = config
        .modules
        .iter()
        .map(String::as_str)
        .filter(|m| !belongs(&m.replace('-', "_")))
        .collect();
    let keeps = config.unload == Some(false);
    if !ours && !keeps {
        return None;
    }
    let mut lines: Vec<String> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let name = line.trim_start().split('=').next().unwrap_or_default().to_string();
        if ours && Some(number) == config.modules_line {
            lines.push(format!("{name}=\"{}\"", kept.join(" ")));
        } else if keeps && name.ends_with("TABLES_MODULES_UNLOAD") {
            lines.push(format!("{name}=\"yes\""));
        } else {
            lines.push(line.to_string());
        }
    }
    lines.push(String::new());
    Some(lines.join("\n"))
}

/// What would load the modules again, with the files as they will be.
fn loaders(ground: &Ground<'_>, case: &Case<'_>, plan: &Plan) -> Vec<Said> {
    if case.after.boot.tree.value().is_none() {
        return Vec::new();
    }
    let changes: Vec<boot::FileChange> = plan
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::File(f) => Some(boot::FileChange {
                path: f.path.clone(),
                text: f.after.as_ref().map(|s| s.content.text()),
            }),
            _ => None,
        })
        .collect();
    let found = boot::loaders(&BootFacts::of(ground.now), &changes, &belongs);
    if found.is_empty() {
        return alloc::vec![Said::of(
            "nothing among the files of the next boot loads it again",
            "下次启动的文件里没有什么会重新加载它",
        )];
    }
    found
        .into_iter()
        .map(|l| {
            said!(
                "the next boot loads {} again: {} ({})",
                "下次启动会重新加载 {}：{:#}（{:#}）",
                l.module,
                l.by,
                l.place.map(words::clean)
            )
        })
        .collect()
}

/// Settings that are written again when the modules come back: those that are there now.
fn settings(ground: &Ground<'_>, case: &Case<'_>) -> Vec<(String, String)> {
    let Some(host) = ground.namespace() else { return Vec::new() };
    host.settings
        .iter()
        .filter_map(|(name, value)| {
            let known = Setting::find(name)?;
            let writable = match known.access {
                plimsoll_ct::Access::Writable => true,
                plimsoll_ct::Access::ReadOnly => false,
                // The module's parameter brings the buckets.
                plimsoll_ct::Access::WritableSince4_9 => false,
            };
            let path = commands::path(case.profile, known.name);
            writable.then(|| (path, value.trim().to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_modules_loses_those_of_conntrack_and_keeps_the_others() {
        let text = "# comment\nIPTABLES_MODULES=\"ip_conntrack_netbios_ns ip_nat_ftp ipt_recent\"\nIPTABLES_MODULES_UNLOAD=\"no\"\nX=1\n";
        assert_eq!(
            without_modules(text).unwrap_or_default(),
            "# comment\nIPTABLES_MODULES=\"ipt_recent\"\nIPTABLES_MODULES_UNLOAD=\"yes\"\nX=1\n"
        );
        assert_eq!(
            without_modules("IPTABLES_MODULES=\"\"\nIPTABLES_MODULES_UNLOAD=\"yes\"\n"),
            None
        );
        assert_eq!(
            without_modules("IP6TABLES_MODULES=nf_conntrack_ftp\n").unwrap_or_default(),
            "IP6TABLES_MODULES=\"\"\n"
        );
    }

    #[test]
    fn a_module_that_others_hold_stays() {
        let module = |name: &str, references, used_by: &[&str]| Module {
            name: name.to_string(),
            size: 1,
            references,
            used_by: used_by.iter().map(|s| (*s).to_string()).collect(),
        };
        let loaded = alloc::vec![
            module("nf_conntrack", Some(2), &["openvswitch", "xt_conntrack"]),
            module("openvswitch", Some(0), &[]),
            module("xt_conntrack", Some(3), &[]),
        ];
        let order = removal_order(&loaded);
        let told = foreign(&loaded, &order);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("openvswitch uses conntrack"), "{told:?}");
        assert!(told[1].contains("xt_conntrack is in use by 3 users"), "{told:?}");
    }
}
