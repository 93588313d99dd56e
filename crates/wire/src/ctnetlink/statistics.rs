//! Answers to GET_STATS_CPU and GET_STATS.

use plimsoll_ct::{Counter, Counters, Entries};

use super::GENERIC;
use super::decode::{be16, be32};
use crate::netlink::Attributes;
use crate::{Expected, Malformed, Place};

/// One CPU's statistics: its number and its counters. The counters of expectations are not in it.
pub fn cpu_counters(payload: &[u8]) -> Result<(u16, Counters), Malformed> {
    let (generic, attributes) = payload
        .split_at_checked(GENERIC)
        .ok_or_else(|| Malformed::new("nfgenmsg", Expected::NFGENMSG, payload))?;
    let cpu = be16(&generic[2..], "nfgenmsg, res_id")?;
    let mut counters = Counters::new();
    for attribute in Attributes::new(attributes) {
        let attribute = attribute?;
        let counter = match attribute.kind {
            1 => Counter::Searched,
            2 => Counter::Found,
            3 => Counter::New,
            4 => Counter::Invalid,
            5 => Counter::Ignore,
            6 => Counter::Delete,
            7 => Counter::DeleteList,
            8 => Counter::Insert,
            9 => Counter::InsertFailed,
            10 => Counter::Drop,
            11 => Counter::EarlyDrop,
            12 => Counter::IcmpError,
            13 => Counter::SearchRestart,
            14 => Counter::ClashResolved,
            15 => Counter::ChainTooLong,
            _ => continue,
        };
        counters.set(counter, be32(attribute.value, counter.name())?.into());
    }
    Ok((cpu, counters))
}

/// The table's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Entries of this namespace.
    pub entries: Entries,
    /// The limit (4.18 and later).
    pub max: Option<Entries>,
}

/// The answer to GET_STATS.
pub fn totals(payload: &[u8]) -> Result<Totals, Malformed> {
    let attributes = payload
        .get(GENERIC..)
        .ok_or_else(|| Malformed::new("nfgenmsg", Expected::NFGENMSG, payload))?;
    let mut entries = None;
    let mut max = None;
    for attribute in Attributes::new(attributes) {
        let attribute = attribute?;
        match attribute.kind {
            1 => entries = Some(Entries(be32(attribute.value, "CTA_STATS_GLOBAL_ENTRIES")?.into())),
            2 => max = Some(Entries(be32(attribute.value, "CTA_STATS_GLOBAL_MAX_ENTRIES")?.into())),
            _ => {}
        }
    }
    let entries = entries.ok_or_else(|| {
        Malformed::new(
            Place::Words(&["ctnetlink message", "ctnetlink 消息"]),
            Expected::Name("CTA_STATS_GLOBAL_ENTRIES"),
            b"",
        )
    })?;
    Ok(Totals { entries, max })
}
