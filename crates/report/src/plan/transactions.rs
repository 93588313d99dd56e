//! The JSON form of the transactions, `plimsoll.transactions/1`: a contract, described in docs/formats/transactions-json.md.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::Time;
use serde_json::{Value, json};

use crate::civil::rfc3339;

/// The name of the schema in the `schema` field.
pub const TRANSACTIONS_SCHEMA: &str = "plimsoll.transactions/1";

/// What is told of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its number.
    pub id: u64,
    /// Name of the remedy.
    pub remedy: &'static str,
    /// What it was to do.
    pub title: String,
    /// Where it stands.
    pub phase: &'static str,
    /// When it began.
    pub began: Time,
    /// When it ended so.
    pub ended: Option<Time>,
    /// Seconds until it is taken back, where it waits to be confirmed.
    pub seconds_left: Option<u64>,
    /// Whether it was made since the last boot: what it wrote into the kernel is still there.
    pub of_this_boot: bool,
    /// Whether all of it can be taken back.
    pub reversible: bool,
    /// Why it was taken back.
    pub why: Option<String>,
    /// What was left as it is when it was taken back, a sentence each.
    pub left_alone: Vec<String>,
    /// What others have taken away of one that stands, a few words each.
    pub gone: Vec<String>,
    /// What others have changed of one that stands, a sentence each.
    pub changed: Vec<String>,
    /// What could not be looked at, a sentence each.
    pub unseen: Vec<String>,
    /// Files, and lines, in which rules of one that is taken back were saved.
    pub saved: Vec<String>,
}

/// All of them, indented for a person.
pub fn transactions_json(all: &[Told]) -> String {
    let one = |t: &Told| {
        json!({
            "id": t.id, "remedy": t.remedy, "title": t.title, "phase": t.phase,
            "began": rfc3339(t.began), "ended": t.ended.map(rfc3339),
            "seconds_left": t.seconds_left, "of_this_boot": t.of_this_boot, "reversible": t.reversible,
            "why": t.why, "left_alone": t.left_alone,
            "gone": t.gone, "changed": t.changed, "unseen": t.unseen, "saved": t.saved,
        })
    };
    let all: Vec<Value> = all.iter().map(one).collect();
    let document = json!({ "schema": TRANSACTIONS_SCHEMA, "transactions": all });
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    crate::json::escaped(text)
}
