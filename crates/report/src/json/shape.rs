//! The fields of `plimsoll.check/1`, in the order in which they are written.
//!
//! Fields are only ever added within version 1; a reader ignores those that it does not know.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use plimsoll_diagnosis::Said;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) schema: String,
    pub(super) host: Host,
    pub(super) verdict: String,
    pub(super) headline: Said,
    pub(super) namespaces: Vec<Namespace>,
    pub(super) drops: Drops,
    pub(super) findings: Vec<Finding>,
    pub(super) remedies: Vec<Remedy>,
    pub(super) excluded: Vec<Excluded>,
    pub(super) missing: Vec<Missing>,
    pub(super) notes: Vec<Said>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Host {
    pub(super) name: Option<String>,
    pub(super) kernel: Option<String>,
    pub(super) profile: String,
    pub(super) source: String,
    pub(super) time: String,
    pub(super) interval_seconds: Option<f64>,
    pub(super) entry_bytes: u64,
    pub(super) buckets: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Namespace {
    pub(super) name: Said,
    pub(super) inode: Option<u64>,
    pub(super) owners: Vec<Owner>,
    pub(super) tracking: Option<bool>,
    pub(super) tracking_because: Option<Said>,
    pub(super) count: Option<u64>,
    pub(super) max: Option<u64>,
    pub(super) evictable: Option<u64>,
    pub(super) closing: Option<u64>,
    pub(super) protected: Option<u64>,
    pub(super) sampled: Option<u64>,
    pub(super) complete: bool,
    pub(super) full_in_seconds: Option<f64>,
    pub(super) rates: Rates,
    pub(super) totals: Totals,
    pub(super) groups: Groups,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Owner {
    Host,
    Netns { name: String },
    Container { runtime: String, id: String, name: Option<String> },
    Unit { name: String },
    Process { pid: u32, command: String },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Rates {
    pub(super) new: Option<f64>,
    pub(super) expired: Option<f64>,
    pub(super) drop: Option<f64>,
    pub(super) early_drop: Option<f64>,
    pub(super) insert_failed: Option<f64>,
    pub(super) invalid: Option<f64>,
    pub(super) growth: Option<f64>,
    pub(super) new_source: Said,
    pub(super) missing: Gaps,
}

/// Why a rate is null.
#[derive(Serialize, Deserialize, Default)]
pub(super) struct Gaps {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) new: Option<Gap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expired: Option<Gap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drop: Option<Gap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) early_drop: Option<Gap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) insert_failed: Option<Gap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invalid: Option<Gap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) growth: Option<Gap>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Gap {
    pub(super) reason: String,
    pub(super) detail: Said,
    pub(super) needs: Option<Said>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Groups {
    pub(super) states: Vec<Group>,
    pub(super) services: Vec<Group>,
    pub(super) sources: Vec<Group>,
    pub(super) destinations: Vec<Group>,
    pub(super) idle: Vec<Group>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) label: Said,
    pub(super) entries: u64,
    pub(super) share: Option<f64>,
    pub(super) protected_share: Option<f64>,
    pub(super) unreplied_share: Option<f64>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Drops {
    pub(super) now: Option<f64>,
    pub(super) counted: Option<u64>,
    pub(super) first: Option<String>,
    pub(super) first_uncertainty_seconds: Option<f64>,
    pub(super) last: Option<String>,
    pub(super) last_uncertainty_seconds: Option<f64>,
    pub(super) log_lines: Option<u64>,
    pub(super) packets_at_least: Option<u64>,
    pub(super) suppressed_messages: Option<u64>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Finding {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) title: String,
    pub(super) severity: String,
    /// Name of the namespace.
    pub(super) namespace: Option<Said>,
    /// Its place in `namespaces`.
    pub(super) namespace_index: Option<usize>,
    pub(super) summary: Said,
    pub(super) evidence: Vec<Evidence>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Evidence {
    pub(super) what: Said,
    pub(super) value: Option<Value>,
    pub(super) unit: String,
    pub(super) source: Said,
    /// Only where the value is a time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) uncertainty_seconds: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Value {
    Count(u64),
    Number(f64),
    Text(Said),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Remedy {
    pub(super) id: String,
    pub(super) title: Said,
    #[serde(rename = "for")]
    pub(super) findings: Vec<String>,
    #[serde(default)]
    pub(super) fix: Vec<Said>,
    pub(super) commands: Vec<Said>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) risk: Said,
    pub(super) effect: Said,
    pub(super) refused: Vec<Said>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Excluded {
    pub(super) id: String,
    pub(super) because: Said,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Missing {
    pub(super) fact: Said,
    pub(super) reason: Said,
    pub(super) needs: Option<Said>,
}

/// Counters since boot: an object whose order is that of the statistics.
pub(super) struct Totals(pub(super) Vec<(String, u64)>);

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Totals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Totals;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of counters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Totals, A::Error> {
                let mut totals = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    totals.push(entry);
                }
                Ok(Totals(totals))
            }
        }
        deserializer.deserialize_map(Read)
    }
}
