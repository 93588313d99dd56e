//! The gate: facts in, diagnosis out.

use alloc::vec::Vec;

use plimsoll_ct::Profile;

use crate::case::{Case, Space};
use crate::facts::{Snapshot, Tracking};
use crate::findings;
use crate::words;
use crate::{Diagnosis, HostSummary, NamespaceReport, missing, order, remedies, verdict};

/// Judges a reading of a host, with an earlier one of the same host for rates if there is one.
///
/// Deterministic: the same snapshots give the same diagnosis, in the same order. An earlier reading of
/// another boot, or one that is not earlier, is left aside.
pub fn diagnose(before: Option<&Snapshot>, after: &Snapshot) -> Diagnosis {
    let case = Case::new(before, after);
    let (mut found, excluded) = findings::find(&case);
    order::sort(&mut found);
    let verdict = verdict::verdict(&case, &found);
    let headline = verdict::headline(&case, &found, verdict);
    let remedies = remedies::remedies(&case, &found);
    let notes = verdict::notes(&case);
    let missing = missing::missing(&case);
    let namespaces = case.spaces.iter().map(|s| report(&case, s)).collect();
    Diagnosis {
        host: host(&case),
        verdict,
        headline,
        namespaces,
        drops: case.drops,
        findings: found.into_iter().map(|d| d.finding).collect(),
        remedies,
        excluded,
        missing,
        notes,
    }
}

/// Namespaces, by index in `after`, for which a remedy is planned on the rules in full: their [`crate::facts::Ways`] are
/// worth reading before [`diagnose`] is asked.
pub fn asks_for_ways(before: Option<&Snapshot>, after: &Snapshot) -> Vec<usize> {
    let case = Case::new(before, after);
    let (mut found, _) = findings::find(&case);
    order::sort(&mut found);
    let places = remedies::asks_for_ways(&case, &found);
    let spaces = places.iter().filter_map(|place| case.spaces.get(*place));
    let of = |s: &Space<'_>| after.namespaces.iter().position(|n| core::ptr::eq(n, s.now));
    spaces.filter_map(of).collect()
}

/// What is said of the host.
fn host(case: &Case<'_>) -> HostSummary {
    let host = &case.after.host;
    let profile: &Profile = case.profile;
    HostSummary {
        name: host.name.value().map(|n| words::clean(n)),
        kernel: host.kernel.value().map(|k| words::clean(&k.release)),
        profile: profile.name,
        origin: host.origin,
        at: case.after.at,
        interval: case.interval,
        entry_bytes: case.price.entry,
        buckets: host.buckets.get(),
        memory_total: host.memory_total.get(),
    }
}

/// What is said of a namespace.
fn report(case: &Case<'_>, s: &Space<'_>) -> NamespaceReport {
    let tracking = s.now.tracking.value().map(|t| match t {
        Tracking::On { because } => (true, because.map(words::clean)),
        Tracking::Off { because } => (false, because.map(words::clean)),
    });
    let totals: Vec<(&'static str, u64)> = s
        .totals
        .iter()
        .flat_map(|t| t.iter().map(|(counter, value)| (counter.name(), value)).collect::<Vec<_>>())
        .collect();
    NamespaceReport {
        name: s.name.clone(),
        owners: s.now.owners.clone(),
        inode: s.now.inode,
        tracking,
        load: s.load,
        rates: s.rates.clone(),
        totals,
        groups: s.groups.clone(),
        full_in: findings::forecast(case, s).map(|f| f.seconds),
    }
}
