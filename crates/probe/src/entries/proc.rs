//! /proc/net/nf_conntrack as a stream of entries, where nothing else is to be had.

use plimsoll_diagnosis::facts::Gap;

use super::scope::{Part, Take};
use super::{Ask, Sink};
use crate::table::{self, Budget};

pub(super) fn entries<S: Sink>(
    _: &Ask,
    budget: Budget,
    take: &mut Take<'_, S>,
) -> Result<Part, Gap> {
    let outcome = table::proc_entries(budget, &mut |entry| match entry {
        Ok(entry) => take.entry(*entry),
        Err(malformed) => {
            take.malformed(malformed);
            true
        }
    })?;
    let kernel = outcome.kernel_time.map(|time| std::time::Duration::from_nanos(time.0));
    Ok(Part { complete: outcome.complete, kernel })
}
