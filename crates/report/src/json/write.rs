//! A diagnosis into the form.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::{Entries, TimeRange};
use plimsoll_diagnosis as from;
use plimsoll_diagnosis::{Said, facts};

use super::SCHEMA;
use super::shape as to;
use crate::civil::rfc3339;

pub(super) fn check(d: &from::Diagnosis) -> to::Check {
    to::Check {
        schema: SCHEMA.into(),
        host: host(&d.host),
        verdict: super::read::VERDICTS[d.verdict as usize].0.into(),
        headline: d.headline.clone(),
        namespaces: d.namespaces.iter().map(namespace).collect(),
        drops: drops(&d.drops),
        findings: d.findings.iter().map(|f| finding(f, &d.namespaces)).collect(),
        remedies: d.remedies.iter().map(remedy).collect(),
        excluded: d
            .excluded
            .iter()
            .map(|e| to::Excluded { id: e.id.into(), because: e.because.clone() })
            .collect(),
        missing: d
            .missing
            .iter()
            .map(|m| to::Missing {
                fact: m.fact.clone(),
                reason: m.reason.clone(),
                needs: m.needs.clone(),
            })
            .collect(),
        notes: d.notes.clone(),
    }
}

fn host(h: &from::HostSummary) -> to::Host {
    to::Host {
        name: h.name.clone(),
        kernel: h.kernel.clone(),
        profile: h.profile.into(),
        source: match h.origin {
            facts::Origin::Live => "live",
            facts::Origin::Tree => "tree",
            facts::Origin::Bundle => "bundle",
        }
        .into(),
        time: rfc3339(h.at),
        interval_seconds: h.interval.map(|i| i.as_secs_f64()),
        entry_bytes: h.entry_bytes.get(),
        buckets: h.buckets,
        memory_bytes: h.memory_total.map(|m| m.get()),
    }
}

/// What is no number is null: JSON has no other word for it.
fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}

fn namespace(ns: &from::NamespaceReport) -> to::Namespace {
    let number = |n: Option<Entries>| n.map(Entries::get);
    to::Namespace {
        name: ns.name.clone(),
        inode: ns.inode,
        owners: ns.owners.iter().map(owner).collect(),
        tracking: ns.tracking.as_ref().map(|t| t.0),
        tracking_because: ns.tracking.as_ref().map(|t| t.1.clone()),
        count: number(ns.load.count),
        max: number(ns.load.max),
        evictable: number(ns.load.evictable),
        closing: number(ns.load.closing),
        protected: number(ns.load.protected),
        sampled: number(ns.load.sampled),
        complete: ns.load.complete,
        full_in_seconds: ns.full_in.and_then(finite),
        rates: rates(&ns.rates),
        totals: to::Totals(ns.totals.iter().map(|(name, n)| (name.to_string(), *n)).collect()),
        groups: to::Groups {
            states: groups(&ns.groups.states),
            services: groups(&ns.groups.services),
            sources: groups(&ns.groups.sources),
            destinations: groups(&ns.groups.destinations),
            idle: groups(&ns.groups.idle),
        },
    }
}

fn owner(owner: &facts::Owner) -> to::Owner {
    match owner {
        facts::Owner::Initial => to::Owner::Host,
        facts::Owner::Named(name) => to::Owner::Netns { name: name.clone() },
        facts::Owner::Container { runtime, id, name } => {
            to::Owner::Container { runtime: runtime.clone(), id: id.clone(), name: name.clone() }
        }
        facts::Owner::Unit(name) => to::Owner::Unit { name: name.clone() },
        facts::Owner::Process { pid, command } => {
            to::Owner::Process { pid: *pid, command: command.clone() }
        }
    }
}

fn rates(rates: &from::Rates) -> to::Rates {
    let value = |rate: &from::Rate| rate.as_ref().ok().copied().and_then(finite);
    let gap = |rate: &from::Rate| {
        rate.as_ref().err().map(|gap| to::Gap {
            reason: gap.reason.name().to_string(),
            detail: gap.detail.clone(),
            needs: gap.needs.clone(),
        })
    };
    to::Rates {
        new: value(&rates.new),
        expired: value(&rates.expired),
        drop: value(&rates.drop),
        early_drop: value(&rates.early_drop),
        insert_failed: value(&rates.insert_failed),
        invalid: value(&rates.invalid),
        growth: value(&rates.growth),
        new_source: rates.new_source.clone(),
        missing: to::Gaps {
            new: gap(&rates.new),
            expired: gap(&rates.expired),
            drop: gap(&rates.drop),
            early_drop: gap(&rates.early_drop),
            insert_failed: gap(&rates.insert_failed),
            invalid: gap(&rates.invalid),
            growth: gap(&rates.growth),
        },
    }
}

fn groups(groups: &[from::Group]) -> Vec<to::Group> {
    groups
        .iter()
        .map(|g| to::Group {
            label: g.label.clone(),
            entries: g.entries,
            share: finite(g.share),
            protected_share: finite(g.protected_share),
            unreplied_share: finite(g.unreplied_share),
        })
        .collect()
}

fn drops(drops: &from::Drops) -> to::Drops {
    let time = |range: Option<TimeRange>| range.map(|r| rfc3339(r.middle()));
    let slack = |range: Option<TimeRange>| range.map(|r| r.slack().as_secs_f64());
    to::Drops {
        now: drops.now.and_then(finite),
        counted: drops.counted,
        first: time(drops.first),
        first_uncertainty_seconds: slack(drops.first),
        last: time(drops.last),
        last_uncertainty_seconds: slack(drops.last),
        log_lines: drops.log_lines,
        packets_at_least: drops.packets_at_least,
        suppressed_messages: drops.suppressed,
    }
}

fn finding(f: &from::Finding, namespaces: &[from::NamespaceReport]) -> to::Finding {
    to::Finding {
        id: f.id.into(),
        name: f.name.into(),
        title: from::Definition::find(f.id).map_or("", |d| d.title).into(),
        severity: super::read::SEVERITIES[f.severity as usize].0.into(),
        namespace: f.namespace.and_then(|i| namespaces.get(i)).map(|ns| ns.name.clone()),
        namespace_index: f.namespace,
        summary: f.summary.clone(),
        evidence: f.evidence.iter().map(evidence).collect(),
    }
}

fn evidence(e: &from::Evidence) -> to::Evidence {
    let mut uncertainty = None;
    let value = match &e.value {
        from::Value::Count(n) => Some(to::Value::Count(*n)),
        from::Value::Number(x) => finite(*x).map(to::Value::Number),
        from::Value::Text(text) => Some(to::Value::Text(text.clone())),
        from::Value::Time(range) => {
            uncertainty = Some(range.slack().as_secs_f64());
            Some(to::Value::Text(Said::name(rfc3339(range.middle()))))
        }
    };
    to::Evidence {
        what: e.what.clone(),
        value,
        unit: e.unit.into(),
        source: e.source.0.clone(),
        uncertainty_seconds: uncertainty,
    }
}

fn remedy(r: &from::Remedy) -> to::Remedy {
    to::Remedy {
        id: r.id.name().into(),
        title: r.title.clone(),
        findings: r.findings.iter().map(|&id| String::from(id)).collect(),
        fix: r.fix.clone(),
        commands: r.commands.clone(),
        memory_bytes: r.memory.map(|m| m.get()),
        risk: r.risk.clone(),
        effect: r.effect.clone(),
        refused: r.refused.clone(),
    }
}
