//! What the remedies are planned on: the facts that each needs, read now.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use plimsoll_diagnosis::boot::BootFacts;
use plimsoll_diagnosis::facts::Namespace;
use plimsoll_diagnosis::plan::{self, Ground, Plan, RaiseRequest, TimeoutRequest, Verify};
use plimsoll_diagnosis::{Said, said};
use plimsoll_probe as probe;
use plimsoll_probe::live::{self, NamespaceSelector, Observation};

use super::arguments::{How, Persist, Raise, Timeout, Unload};
use crate::fix::tell::Voice;

/// The namespace that was meant ended while it was read.
pub const GONE: Said = Said::of("the namespace is gone", "命名空间已经不在了");

/// `raise`: without sizes the whole diagnosis is needed, with them only the limit, memory and namespaces.
pub fn raise(arguments: &Raise) -> Result<Plan, Said> {
    let given = arguments.max.is_some() || arguments.buckets.is_some();
    let options = if given { quick() } else { live::Options::default() };
    let observation = live::observe(&options);
    let request = RaiseRequest {
        max: arguments.max,
        buckets: arguments.buckets,
        allow_lower: arguments.allow_lower,
    };
    let target = host_or_target(&observation, &arguments.how)?;
    let files = BTreeMap::new();
    Ok(plan::raise(
        request,
        &Ground {
            before: Some(&observation.before),
            now: &observation.after,
            target,
            files: &files,
        },
    ))
}

/// `timeout`: with a port, what the rules are written in decides how it is done.
pub fn timeout(arguments: &Timeout) -> Result<Plan, Said> {
    let options = live::Options { rules: arguments.port.is_some(), ..with_rules(&arguments.how) };
    let observation = live::observe(&options);
    let target = target(&observation, &arguments.how)?;
    let namespace = observation.after.namespaces.get(target).and_then(|n| n.inode);
    let keepalives = plimsoll_probe::keepalives(namespace, arguments.port.map(|(_, port)| port));
    let request = TimeoutRequest {
        service: arguments.port,
        values: arguments.values.clone(),
        allow_short: arguments.allow_short,
        hz: probe::boot::ticks(observation.after.host.kernel.value()),
    };
    let files = BTreeMap::new();
    let ground = Ground { before: None, now: &observation.after, target, files: &files };
    Ok(plan::timeout(&request, &keepalives, &ground))
}

/// `persist`: what boots, and the files that take part.
pub fn persist(arguments: &Persist, root: &Path) -> Result<Plan, Said> {
    let facts = boot_facts(arguments)?;
    let files = plimsoll_apply::standing(root, plan::PERSIST_FILES);
    Ok(plan::persist(&arguments.keys, &facts, &files))
}

/// `unload`: rules of every namespace, modules, and what would load them again.
pub fn unload(arguments: &Unload, root: &Path) -> Result<Plan, Said> {
    let observation = live::observe(&live::Options { rules: true, ..quick() });
    let target = host_or_target(&observation, &arguments.how)?;
    let files = plimsoll_apply::standing(root, plan::UNLOAD_FILES);
    Ok(plan::unload(&Ground { before: None, now: &observation.after, target, files: &files }))
}

/// The files are written: what will a boot make of them now?
pub fn prove(plan: &Plan, arguments: &Persist, voice: Voice) {
    let Ok(facts) = boot_facts(arguments) else { return };
    let promised = plan.verify.iter().filter_map(|v| match v {
        Verify::AfterBoot { setting, value } => Some((setting.as_str(), *value)),
        Verify::DropsEnd | Verify::NoNewEntries { .. } | Verify::Gone { .. } => None,
    });
    let (kept, broken): (Vec<_>, Vec<_>) =
        promised.partition(|(setting, value)| plan::proved(&facts, setting, *value));
    for (setting, value) in broken {
        voice.say(&said!(
            "NOT PROVED: the files as read anew do not give {setting} = {value}.",
            "没有证实：重新读取的文件给不出 {setting} = {value}。"
        ));
    }
    if let [first, ..] = kept.as_slice() {
        let names = match kept.len() {
            1 => said!("{} = {}", "{} = {}", first.0, first.1),
            n => said!("all {n} values", "全部 {n} 个值"),
        };
        voice.say(&said!(
            "Proved by the boot simulation: read anew, the files give {names}.",
            "启动模拟已证实：重新读取的文件给出 {names:#}。"
        ));
    }
}

fn boot_facts(arguments: &Persist) -> Result<BootFacts, Said> {
    let Some(root) = &arguments.root else { return Ok(probe::boot::live()) };
    let (files, origin) = probe::dead::open(root).map_err(|e| {
        let why = probe::said_of(&e);
        said!("{}: {why}", "{}：{why:#}", root.display())
    })?;
    Ok(probe::boot::saved(&files, origin))
}

/// A reading without rates, tables and log.
pub fn quick() -> live::Options {
    live::Options {
        interval: Duration::ZERO,
        census: false,
        rules: false,
        log: false,
        ..live::Options::default()
    }
}

/// The same of the one namespace that is meant, with its rules: those of others take their time, and tell nothing. Its
/// settings are read in any case; those of many empty tables have a bound.
pub fn with_rules(how: &How) -> live::Options {
    let only = vec![NamespaceSelector::parse(how.netns.as_deref().unwrap_or("own"))];
    live::Options { rules: true, only, ..quick() }
}

/// Index of the namespace that is meant.
pub fn target(observation: &Observation, how: &How) -> Result<usize, Said> {
    let namespaces = &observation.after.namespaces;
    let wanted = how.netns.as_deref().unwrap_or("own");
    let own = || std::fs::metadata("/proc/self/ns/net").ok().map(|m| m.ino());
    let found = match NamespaceSelector::parse(wanted) {
        NamespaceSelector::Own => {
            let own = own();
            namespaces.iter().position(|n| n.inode == own && own.is_some())
        }
        NamespaceSelector::Host => namespaces.iter().position(|n| n.is_initial()),
        NamespaceSelector::Inode(inode) => namespaces.iter().position(|n| n.inode == Some(inode)),
        selector => {
            let chosen = live::observe(&live::Options { only: vec![selector], ..quick() });
            let inode = chosen.after.namespaces.first().and_then(|n| n.inode);
            namespaces.iter().position(|n| n.inode == inode && inode.is_some())
        }
    };
    found.ok_or_else(|| {
        said!("no network namespace answers to {wanted:?}", "没有这样的网络命名空间：{wanted:?}")
    })
}

/// The same of what concerns the whole host: its own namespace, if none was named and it can be seen. One without a number,
/// where /proc tells none, can only be the reader's.
fn host_or_target(observation: &Observation, how: &How) -> Result<usize, Said> {
    let of = |is: fn(&Namespace) -> bool| observation.after.namespaces.iter().position(is);
    let host = || of(Namespace::is_initial).or_else(|| of(|n| n.inode.is_none()));
    match how.netns.is_none().then(host).flatten() {
        Some(host) => Ok(host),
        None => target(observation, how),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        how: How,
    }

    #[test]
    fn where_the_hosts_own_namespace_is_not_seen_a_plan_speaks_of_the_readers_and_of_no_other() {
        let how = Words::parse_from(["fix"]).how;
        let own = vec![NamespaceSelector::Own];
        let mut observation = live::observe(&live::Options { only: own, ..quick() });
        let namespaces = &mut observation.after.namespaces;
        namespaces[0].owners.clear();
        let mut other = namespaces[0].clone();
        other.inode = Some(1);
        namespaces.insert(0, other);
        assert_eq!(host_or_target(&observation, &how), Ok(1));
        observation.after.namespaces.truncate(1);
        assert!(host_or_target(&observation, &how).is_err());
    }
}
