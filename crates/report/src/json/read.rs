//! The form into a diagnosis. Words become the static strings of the catalogue again.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, Counter, Entries, Nanos, Profile, Time, TimeRange};
use plimsoll_diagnosis as to;
use plimsoll_diagnosis::{Said, facts};

use super::shape as from;
use super::{NotACheck, SCHEMA};
use crate::civil::parse_rfc3339;

/// Verdicts in the order of their values.
pub(super) const VERDICTS: [(&str, to::Verdict); 4] = [
    ("ok", to::Verdict::Ok),
    ("warning", to::Verdict::Warning),
    ("critical", to::Verdict::Critical),
    ("unknown", to::Verdict::Unknown),
];

/// Severities in the order of their values.
pub(super) const SEVERITIES: [(&str, to::Severity); 3] = [
    ("info", to::Severity::Info),
    ("warning", to::Severity::Warning),
    ("critical", to::Severity::Critical),
];

const REMEDIES: [to::RemedyId; 9] = [
    to::RemedyId::Raise,
    to::RemedyId::Persist,
    to::RemedyId::Timeout,
    to::RemedyId::Bypass,
    to::RemedyId::Lifeline,
    to::RemedyId::Shed,
    to::RemedyId::Limit,
    to::RemedyId::Unload,
    to::RemedyId::NoneNeeded,
];

const REASONS: [facts::Reason; 9] = [
    facts::Reason::NotPermitted,
    facts::Reason::NotBuilt,
    facts::Reason::NotLoaded,
    facts::Reason::TooOld,
    facts::Reason::Malformed,
    facts::Reason::NotCollected,
    facts::Reason::NoTool,
    facts::Reason::NotAsked,
    facts::Reason::Failed,
];

/// Units of evidence. A unit that is not here is read as part of the value's words.
const UNITS: &[&str] = &[
    "",
    "entries",
    "entries/s",
    "entries/bucket",
    "packets",
    "packets/s",
    "lines",
    "messages",
    "messages/s",
    "B",
    "s",
    "%",
    "buckets",
    "namespaces",
    "sources",
    "pages",
    "sockets",
    "neighbours",
    "expectations",
    "rules",
    "times",
    "connections",
];

fn word<T: Copy>(field: &'static str, saw: &str, words: &[(&str, T)]) -> Result<T, NotACheck> {
    let found = words.iter().find(|(word, _)| *word == saw);
    found.map(|(_, value)| *value).ok_or_else(|| NotACheck::Word(field, saw.into()))
}

fn definition(field: &'static str, id: &str) -> Result<&'static to::Definition, NotACheck> {
    let found = to::CATALOGUE.iter().find(|d| d.id == id);
    found.ok_or_else(|| NotACheck::Word(field, id.into()))
}

pub(super) fn diagnosis(check: from::Check) -> Result<to::Diagnosis, NotACheck> {
    if check.schema != SCHEMA {
        return Err(NotACheck::Schema(check.schema));
    }
    let namespaces: Vec<_> =
        check.namespaces.into_iter().map(namespace).collect::<Result<_, _>>()?;
    Ok(to::Diagnosis {
        host: host(check.host)?,
        verdict: word("verdict", &check.verdict, &VERDICTS)?,
        headline: check.headline,
        drops: drops(&check.drops)?,
        findings: check
            .findings
            .into_iter()
            .map(|f| finding(f, namespaces.len()))
            .collect::<Result<_, _>>()?,
        namespaces,
        remedies: check.remedies.into_iter().map(remedy).collect::<Result<_, _>>()?,
        excluded: check
            .excluded
            .into_iter()
            .map(|e| {
                let id = definition("excluded.id", &e.id)?.id;
                Ok(to::Excluded { id, because: e.because })
            })
            .collect::<Result<_, NotACheck>>()?,
        missing: check
            .missing
            .into_iter()
            .map(|m| to::MissingFact { fact: m.fact, reason: m.reason, needs: m.needs })
            .collect(),
        notes: check.notes,
    })
}

fn time(field: &'static str, text: &str) -> Result<Time, NotACheck> {
    parse_rfc3339(text).ok_or_else(|| NotACheck::Word(field, text.into()))
}

/// A span from seconds, rounded to the nearest nanosecond; what is no span is none.
fn span(seconds: f64) -> Nanos {
    Nanos((seconds * 1e9 + 0.5) as u64)
}

fn range(
    field: &'static str,
    middle: Option<&str>,
    slack: Option<f64>,
) -> Result<Option<TimeRange>, NotACheck> {
    let Some(text) = middle else { return Ok(None) };
    Ok(Some(TimeRange::around(time(field, text)?, span(slack.unwrap_or(0.0)))))
}

fn host(host: from::Host) -> Result<to::HostSummary, NotACheck> {
    let profile = Profile::named(&host.profile)
        .ok_or_else(|| NotACheck::Word("host.profile", host.profile.clone()))?;
    Ok(to::HostSummary {
        name: host.name,
        kernel: host.kernel,
        profile: profile.name,
        origin: word(
            "host.source",
            &host.source,
            &[
                ("live", facts::Origin::Live),
                ("tree", facts::Origin::Tree),
                ("bundle", facts::Origin::Bundle),
            ],
        )?,
        at: time("host.time", &host.time)?,
        interval: host.interval_seconds.map(span),
        entry_bytes: Bytes(host.entry_bytes),
        buckets: host.buckets,
        memory_total: host.memory_bytes.map(Bytes),
    })
}

fn namespace(ns: from::Namespace) -> Result<to::NamespaceReport, NotACheck> {
    let totals = ns.totals.0.into_iter().map(|(name, value)| {
        let known = Counter::from_name(&name).map(|c| (c.name(), value));
        known.ok_or(NotACheck::Word("namespaces.totals", name))
    });
    Ok(to::NamespaceReport {
        name: ns.name,
        owners: ns.owners.into_iter().map(owner).collect(),
        inode: ns.inode,
        tracking: ns.tracking.map(|on| (on, ns.tracking_because.unwrap_or_default())),
        load: to::Load {
            count: ns.count.map(Entries),
            max: ns.max.map(Entries),
            evictable: ns.evictable.map(Entries),
            closing: ns.closing.map(Entries),
            protected: ns.protected.map(Entries),
            sampled: ns.sampled.map(Entries),
            complete: ns.complete,
        },
        rates: rates(ns.rates)?,
        totals: totals.collect::<Result<_, _>>()?,
        groups: to::Groups {
            states: groups(ns.groups.states),
            services: groups(ns.groups.services),
            sources: groups(ns.groups.sources),
            destinations: groups(ns.groups.destinations),
            idle: groups(ns.groups.idle),
        },
        full_in: ns.full_in_seconds,
    })
}

fn owner(owner: from::Owner) -> facts::Owner {
    match owner {
        from::Owner::Host => facts::Owner::Initial,
        from::Owner::Netns { name } => facts::Owner::Named(name),
        from::Owner::Container { runtime, id, name } => {
            facts::Owner::Container { runtime, id, name }
        }
        from::Owner::Unit { name } => facts::Owner::Unit(name),
        from::Owner::Process { pid, command } => facts::Owner::Process { pid, command },
    }
}

/// A rate that is null without a reason was no number.
fn rate(value: Option<f64>, gap: Option<from::Gap>) -> Result<to::Rate, NotACheck> {
    let Some(gap) = gap else { return Ok(Ok(value.unwrap_or(f64::NAN))) };
    let reason = REASONS
        .into_iter()
        .find(|r| *r.name() == *gap.reason)
        .ok_or(NotACheck::Word("namespaces.rates.missing.reason", gap.reason))?;
    Ok(Err(facts::Gap { reason, detail: gap.detail, needs: gap.needs }))
}

fn rates(rates: from::Rates) -> Result<to::Rates, NotACheck> {
    let gaps = rates.missing;
    Ok(to::Rates {
        new: rate(rates.new, gaps.new)?,
        new_source: rates.new_source,
        expired: rate(rates.expired, gaps.expired)?,
        drop: rate(rates.drop, gaps.drop)?,
        early_drop: rate(rates.early_drop, gaps.early_drop)?,
        insert_failed: rate(rates.insert_failed, gaps.insert_failed)?,
        invalid: rate(rates.invalid, gaps.invalid)?,
        growth: rate(rates.growth, gaps.growth)?,
    })
}

fn groups(groups: Vec<from::Group>) -> Vec<to::Group> {
    let number = |x: Option<f64>| x.unwrap_or(f64::NAN);
    groups
        .into_iter()
        .map(|g| to::Group {
            label: g.label,
            entries: g.entries,
            share: number(g.share),
            protected_share: number(g.protected_share),
            unreplied_share: number(g.unreplied_share),
        })
        .collect()
}

fn drops(drops: &from::Drops) -> Result<to::Drops, NotACheck> {
    Ok(to::Drops {
        now: drops.now,
        counted: drops.counted,
        first: range("drops.first", drops.first.as_deref(), drops.first_uncertainty_seconds)?,
        last: range("drops.last", drops.last.as_deref(), drops.last_uncertainty_seconds)?,
        log_lines: drops.log_lines,
        packets_at_least: drops.packets_at_least,
        suppressed: drops.suppressed_messages,
    })
}

fn finding(f: from::Finding, namespaces: usize) -> Result<to::Finding, NotACheck> {
    let definition = definition("findings.id", &f.id)?;
    if let Some(i) = f.namespace_index.filter(|&i| i >= namespaces) {
        return Err(NotACheck::Word("findings.namespace_index", format!("{i}")));
    }
    Ok(to::Finding {
        id: definition.id,
        name: definition.name,
        severity: word("findings.severity", &f.severity, &SEVERITIES)?,
        namespace: f.namespace_index,
        summary: f.summary,
        evidence: f.evidence.into_iter().map(evidence).collect::<Result<_, _>>()?,
    })
}

fn evidence(e: from::Evidence) -> Result<to::Evidence, NotACheck> {
    let unit = UNITS.iter().find(|u| **u == e.unit).copied();
    let value = match (e.value, e.uncertainty_seconds) {
        (Some(from::Value::Text(text)), Some(slack)) => {
            let middle = time("findings.evidence.value", &text)?;
            to::Value::Time(TimeRange::around(middle, span(slack)))
        }
        (Some(from::Value::Text(text)), None) => to::Value::Text(text),
        (Some(from::Value::Count(n)), _) => to::Value::Count(n),
        (Some(from::Value::Number(x)), _) => to::Value::Number(x),
        (None, _) => to::Value::Number(f64::NAN),
    };
    let (value, unit) = match unit {
        Some(unit) => (value, unit),
        None => (in_words(value, &e.unit), ""),
    };
    Ok(to::Evidence { what: e.what, value, unit, source: facts::Source::from(e.source) })
}

/// The value with a unit that this version does not know, as the screen says it.
fn in_words(value: to::Value, unit: &str) -> to::Value {
    let shown: String = match value {
        to::Value::Count(n) => crate::number::count(n),
        to::Value::Number(x) => crate::number::number(x),
        to::Value::Text(text) => text.as_str().into(),
        time @ to::Value::Time(_) => return time,
    };
    to::Value::Text(Said::name(format!("{shown} {unit}")))
}

fn remedy(r: from::Remedy) -> Result<to::Remedy, NotACheck> {
    let id = REMEDIES
        .into_iter()
        .find(|known| known.name() == r.id)
        .ok_or(NotACheck::Word("remedies.id", r.id))?;
    Ok(to::Remedy {
        id,
        title: r.title,
        findings: r
            .findings
            .iter()
            .map(|id| definition("remedies.for", id).map(|d| d.id))
            .collect::<Result<_, _>>()?,
        fix: r.fix,
        commands: r.commands,
        memory: r.memory_bytes.map(Bytes),
        risk: r.risk,
        effect: r.effect,
        refused: r.refused,
    })
}
