//! The JSON form, `plimsoll.plan/1`: a contract, described in docs/formats/plan-json.md. The plan's own fields are those
//! that the journal keeps.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::plan::Plan;
use serde::Serialize;

use super::commands;
use crate::Language;

/// The name of the schema in the `schema` field.
pub const PLAN_SCHEMA: &str = "plimsoll.plan/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    plan: &'a Plan,
    reversible: bool,
    /// For each change the commands that a person would type; none for a file.
    commands: Vec<Vec<String>>,
}

/// All of it, indented for a person.
pub fn plan_json(plan: &Plan) -> String {
    let document = Document {
        schema: PLAN_SCHEMA,
        plan,
        reversible: plan.reversible(),
        commands: plan.changes.iter().map(|c| commands::of(plan, c, Language::English)).collect(),
    };
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    crate::json::escaped(text)
}
