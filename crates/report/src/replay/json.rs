//! The JSON form, `plimsoll.replay/1`: a contract, described in docs/formats/replay-json.md.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Time;
use plimsoll_model::Occupancy;
use plimsoll_replay::{Answer, Row};
use serde_json::{Map, Value, json};

use super::caveats::caveats;
use super::sizing;
use crate::Language;
use crate::civil::rfc3339;

/// The name of the schema in the `schema` field.
pub const REPLAY_SCHEMA: &str = "plimsoll.replay/1";

/// What stands beside the numbers: lines as other programs print them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayDetails {
    /// The table at the end, in the form of /proc/net/nf_conntrack.
    pub entries: Vec<String>,
    /// Lines that the kernel would have logged, each with its time.
    pub log: Vec<(Time, String)>,
}

/// All of it, indented for a person.
pub fn replay_json(a: &Answer, details: &ReplayDetails) -> String {
    let runs: Vec<Value> = [("as_set", core::slice::from_ref(&a.as_set)), ("asked", &a.asked)]
        .into_iter()
        .chain([("enough", a.enough.as_slice()), ("shorter", &a.shorter)])
        .chain([("unlimited", a.unlimited.as_slice()), ("unlimited", a.more_buckets.as_slice())])
        .flat_map(|(role, rows)| rows.iter().map(move |row| run(role, row)))
        .collect();
    let size = sizing(a);
    let (tally, doubts) = (&a.tally, &a.doubts);
    let log: Vec<Value> = details
        .log
        .iter()
        .map(|(at, text)| json!({ "time": rfc3339(*at), "text": text }))
        .collect();
    let value = json!({
        "schema": REPLAY_SCHEMA,
        "profile": a.profile.name,
        "synthetic": a.synthetic,
        "scale": a.scale,
        "speed": a.speed,
        "timeout_policies": a.policies,
        "first": a.span.map(|s| rfc3339(s.0)),
        "last": a.span.map(|s| rfc3339(s.1)),
        "frames": tally.frames,
        "packets": tally.packets,
        "skipped": {
            "not_ip": tally.not_ip, "unknown_link": tally.unknown_link,
            "truncated": tally.truncated, "malformed": tally.malformed,
        },
        "doubts": {
            "untimed": tally.untimed, "backwards": tally.backwards, "backwards_by_seconds": tally.backwards_by as f64 / 1e9,
            "gap_seconds": tally.gap as f64 / 1e9, "gap_before_frame": tally.gap_before, "merged": tally.merged,
            "sliced": tally.sliced, "options_cut": tally.options_cut, "log_cut": tally.log_cut,
            "picked_up": tally.picked_up,
            "looked_at": doubts.looked_at, "tcp": doubts.tcp, "one_sided": doubts.one_sided, "udp_entries": doubts.udp_entries, "udp_answers": doubts.udp_answers,
            "twice": doubts.twice, "lost_by_capture": a.lost_by_capture,
        },
        "broken": a.broken,
        "caveats": caveats(a, Language::English),
        "needed": if a.needed_is_known() {
            Value::from(a.needed())
        } else {
            Value::Null
        },
        "size": {
            "max": size.max, "buckets": size.buckets, "memory_bytes": size.worst.get(),
        },
        "runs": runs,
        "entries": details.entries,
        "log": log,
    });
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

fn occupancy(o: &Occupancy) -> Value {
    json!({
        "counted": o.counted, "live": o.live, "evictable": o.evictable,
        "closing": o.closing, "protected": o.protected,
    })
}

fn run(role: &str, row: &Row) -> Value {
    let o = &row.outcome;
    let counters: Map<String, Value> =
        o.counters.iter().map(|(c, v)| (c.name().to_string(), v.into())).collect();
    let changes: Map<String, Value> =
        row.changes.iter().map(|c| (c.name.to_string(), c.to.into())).collect();
    let timeline: Vec<Value> = row
        .timeline
        .samples()
        .iter()
        .map(|sample| {
            let mut value = occupancy(&sample.occupancy);
            if let Some(all) = value.as_object_mut() {
                all.insert("time".to_string(), rfc3339(sample.time).into());
                all.insert("most".to_string(), sample.most.into());
                all.insert("lost".to_string(), sample.lost.into());
                all.insert("evicted".to_string(), sample.evicted.into());
            }
            value
        })
        .collect();
    json!({
        "role": role,
        "setting": o.label,
        "changes": changes,
        "max": o.max,
        "buckets": o.buckets,
        "memory_bytes": o.memory.get(),
        "peak_entries": o.peak,
        "peak_protected": o.peak_protected,
        "packets_lost": o.lost,
        "connections_lost": o.flows_lost,
        "entries_evicted": o.evicted,
        "first_drop": o.first_drop.map(rfc3339),
        "last_drop": o.last_drop.map(rfc3339),
        "counters": counters,
        "final": occupancy(&row.last),
        "timeline": timeline,
    })
}
