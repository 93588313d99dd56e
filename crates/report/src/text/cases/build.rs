//! Parts of the hosts.

use alloc::vec;
use alloc::vec::Vec;

use plimsoll_ct::{Bytes, Entries, Nanos};
use plimsoll_diagnosis::facts::{Gap, Origin, Owner, Reason, Source};
use plimsoll_diagnosis::{
    Definition, Evidence, Excluded, Finding, Group, Groups, HostSummary, Load, NamespaceReport,
    Rates, Said, Severity, Value,
};

use super::NOW;

pub(super) const fn secs(n: u64) -> Nanos {
    Nanos(n * 1_000_000_000)
}

pub(super) fn host(name: &str, kernel: &str, profile: &'static str) -> HostSummary {
    HostSummary {
        name: Some(name.into()),
        kernel: Some(kernel.into()),
        profile,
        origin: Origin::Live,
        at: NOW,
        interval: Some(secs(1)),
        entry_bytes: Bytes(256),
        buckets: Some(262_144),
        memory_total: Some(Bytes(24 << 30)),
    }
}

pub(super) fn load(max: u64, protected: u64, closing: u64, evictable: u64) -> Load {
    let count = protected + closing + evictable;
    Load {
        count: Some(Entries(count)),
        max: Some(Entries(max)),
        evictable: Some(Entries(evictable)),
        closing: Some(Entries(closing)),
        protected: Some(Entries(protected)),
        sampled: Some(Entries(count)),
        complete: true,
    }
}

pub(super) fn rates(new: f64, expired: f64, drop: f64, early_drop: f64) -> Rates {
    Rates {
        new: Ok(new),
        new_source: Said::name("two readings of the table, 1.0 s apart"),
        expired: Ok(expired),
        drop: Ok(drop),
        early_drop: Ok(early_drop),
        insert_failed: Ok(0.0),
        invalid: Ok(2.0),
        growth: Ok(new - expired),
    }
}

pub(super) fn no_rates(reason: Reason, detail: &str) -> Rates {
    let gap = || Err(Gap { reason, detail: Said::name(detail), needs: None });
    Rates {
        new: gap(),
        new_source: Said::default(),
        expired: gap(),
        drop: gap(),
        early_drop: gap(),
        insert_failed: gap(),
        invalid: gap(),
        growth: gap(),
    }
}

pub(super) fn group(
    label: &str,
    entries: u64,
    share: f64,
    protected: f64,
    unreplied: f64,
) -> Group {
    Group {
        label: Said::name(label),
        entries,
        share,
        protected_share: protected,
        unreplied_share: unreplied,
    }
}

pub(super) fn namespace(name: &str, owner: Owner, load: Load, rates: Rates) -> NamespaceReport {
    NamespaceReport {
        name: Said::name(name),
        owners: vec![owner],
        inode: Some(4_026_531_840),
        tracking: Some((true, Said::name("rule inet filter input: ct state"))),
        load,
        rates,
        totals: vec![("found", 12), ("invalid", 35), ("drop", 0), ("early_drop", 0)],
        groups: Groups::default(),
        full_in: None,
    }
}

pub(super) fn finding(
    id: &str,
    severity: Severity,
    namespace: Option<usize>,
    summary: &str,
) -> Finding {
    let definition = Definition::find(id).expect("an id of the catalogue");
    Finding {
        id: definition.id,
        name: definition.name,
        severity,
        namespace,
        summary: Said::name(summary),
        evidence: Vec::new(),
    }
}

impl FindingExt for Finding {}
pub(super) trait FindingExt: Sized + Into<Finding> {
    fn by(self, what: &str, value: Value, unit: &'static str, source: &'static str) -> Finding {
        let mut finding = self.into();
        finding.evidence.push(Evidence {
            what: Said::name(what),
            value,
            unit,
            source: Source::name(source),
        });
        finding
    }
}

pub(super) fn excluded(id: &str, because: &str) -> Excluded {
    Excluded { id: Definition::find(id).expect("known").id, because: Said::name(because) }
}

pub(super) fn lines(text: &str) -> Vec<Said> {
    text.lines().map(Said::name).collect()
}

pub(super) fn ruled_out() -> Vec<Excluded> {
    vec![
        excluded("CT060", "TcpExt.ListenOverflows 0, TcpExt.ListenDrops 0"),
        excluded("CT061", "arp_cache table_fulls 0; 14 of 1,024 entries"),
        excluded("CT062", "TCP holds 312 of 573,471 pages"),
        excluded("CT063", "no interface has a conntrack_allowance_exceeded statistic"),
    ]
}
