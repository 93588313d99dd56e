//! The JSON form, `plimsoll.size/1`: a contract, described in docs/formats/size-json.md.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_diagnosis::size::Sizing;
use serde_json::{Value, json};

/// The name of the schema in the `schema` field.
pub const SIZE_SCHEMA: &str = "plimsoll.size/1";

/// All of it, indented for a person.
pub fn size_json(s: &Sizing) -> String {
    let (demand, machine) = (&s.demand, &s.machine);
    let classes: Vec<Value> = demand
        .classes
        .iter()
        .map(|c| {
            json!({
                "class": c.name, "rate": c.rate, "stays_seconds": c.stays, "entries": c.entries,
                "how": c.how.to_string(),
            })
        })
        .collect();
    let others: Vec<Value> = s
        .others
        .iter()
        .map(|o| {
            json!({
                "name": o.rule.name(), "rule": o.rule.words(), "max": o.max, "buckets": o.buckets,
                "why": o.rule.why(),
            })
        })
        .collect();
    let bound = machine.profile.chain_limit;
    let value = json!({
        "schema": SIZE_SCHEMA,
        "max": s.max,
        "buckets": s.buckets,
        "enough_now": s.enough(),
        "capped_by_memory": s.capped,
        "demand": {
            "from": demand.from.to_string(),
            "classes": classes,
            "mean": demand.mean,
            "peak": demand.peak.entries(demand.mean),
            "peak_because": demand.peak.because(),
            "margin_percent": s.margin,
            "wanted": s.wanted,
            "remarks": demand.remarks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "machine": {
            "kernel": machine.kernel,
            "profile": machine.profile.name,
            "memory_bytes": machine.memory.map(|m| m.0),
            "cpus": machine.cpus,
            "max_now": machine.max_now,
            "buckets_now": machine.buckets_now,
            "kernel_default": s.default,
        },
        "memory": {
            "entry_bytes": machine.entry().0,
            "object_bytes": machine.object.0,
            "object_source": machine.object_source,
            "bucket_bytes": machine.bucket().0,
            "namespaces": machine.namespaces(),
            "worst_bytes": s.worst.0,
            "peak_bytes": s.usual.0,
        },
        "chains": {
            "average": s.chain.0,
            "longest": s.chain.1,
            "refused_from": bound.map(|b| b.least),
            "refused_to": bound.map(|b| b.most),
        },
        "others": others,
    });
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    crate::json::escaped(text.to_string())
}
