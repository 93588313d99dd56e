//! The JSON form, `plimsoll.boot/1`: a contract, described in docs/formats/boot-json.md.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::Said;
use plimsoll_diagnosis::boot::{After, Attempt, Boot, Fate, Outcome};
use serde::Serialize;

use super::{fate, stage};

/// The name of the schema in the `schema` field.
pub const SCHEMA: &str = "plimsoll.boot/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    kernel: &'a str,
    loader: &'static str,
    loader_because: &'a str,
    module: &'a str,
    steps: Vec<Step<'a>>,
    settings: Vec<Setting<'a>>,
    lints: Vec<Lint<'a>>,
    assumed: &'a [Said],
    unread: &'a [Said],
}

#[derive(Serialize)]
struct Step<'a> {
    stage: &'static str,
    by: &'a str,
    what: &'a str,
}

#[derive(Serialize)]
struct Setting<'a> {
    setting: &'static str,
    key: &'a str,
    now: Option<u64>,
    after: Value<'a>,
    because: &'a str,
    or: Option<Other<'a>>,
    lines: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Value<'a> {
    certainty: &'static str,
    value: Option<i64>,
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct Other<'a> {
    after: Value<'a>,
    because: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    line: Option<u32>,
    key: &'a str,
    value: &'a str,
    by: &'a str,
    stage: &'static str,
    fate: &'static str,
    taken: Option<i64>,
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct Lint<'a> {
    kind: &'static str,
    finding: &'static str,
    harmless: bool,
    file: Option<&'a str>,
    line: Option<u32>,
    key: Option<&'a str>,
    value: Option<&'a str>,
    what: &'a str,
    mend: &'a str,
}

/// The boot as JSON, indented. `asked`: the settings that were named, by bare name; empty for all.
pub fn boot_json(boot: &Boot, asked: &[&str]) -> String {
    let document = Document {
        schema: SCHEMA,
        kernel: &boot.kernel,
        loader: boot.loader.name(),
        loader_because: &boot.loader_because,
        module: &boot.module,
        steps: boot
            .steps
            .iter()
            .map(|s| Step { stage: stage(s.stage), by: &s.by, what: &s.what })
            .collect(),
        settings: boot
            .outcomes
            .iter()
            .filter(|o| asked.is_empty() || asked.contains(&o.setting.name))
            .map(setting)
            .collect(),
        lints: boot.lints.iter().map(lint).collect(),
        assumed: &boot.assumed,
        unread: &boot.unread,
    };
    serde_json::to_string_pretty(&document).map_or_else(|_| String::new(), crate::json::escaped)
}

fn setting(o: &Outcome) -> Setting<'_> {
    Setting {
        setting: o.setting.name,
        key: &o.key,
        now: o.now,
        after: value(&o.after),
        because: &o.because,
        or: o.or.as_ref().map(|(after, because)| Other { after: value(after), because }),
        lines: o.attempts.iter().map(line).collect(),
    }
}

fn value(after: &After) -> Value<'_> {
    let (certainty, value, why) = match after {
        After::Value(n) => ("exact", Some(*n), None),
        After::About(n) => ("about", Some(*n), None),
        After::Unknown(why) => ("unknown", None, Some(why.as_str())),
        After::Absent(why, n) => ("absent", *n, Some(why.as_str())),
    };
    Value { certainty, value, why }
}

fn line(attempt: &Attempt) -> Line<'_> {
    let a = &attempt.assignment;
    let (taken, detail) = match &attempt.fate {
        Fate::Wins(n) => (Some(*n), None),
        Fate::Overridden(n, by) => (Some(*n), Some(by.as_str())),
        Fate::Never(why) | Fate::Refused(why) | Fate::Replaced(why) | Fate::NotRead(why) => {
            (None, Some(why.as_str()))
        }
        Fate::Dead { instead } => (None, instead.as_deref()),
        Fate::Unknown { nearest } => (None, nearest.as_deref()),
        Fate::NotYet | Fate::ReadOnly | Fate::Unclear | Fate::Untold => (None, None),
    };
    Line {
        file: &a.file,
        line: (a.line > 0).then_some(a.line),
        key: &a.key,
        value: &a.value,
        by: &attempt.by,
        stage: stage(attempt.stage),
        fate: fate(&attempt.fate),
        taken,
        detail,
    }
}

fn lint(lint: &plimsoll_diagnosis::boot::Lint) -> Lint<'_> {
    Lint {
        kind: lint.kind.name(),
        finding: lint.kind.finding(),
        harmless: lint.harmless,
        file: lint.file.as_deref(),
        line: lint.line.filter(|line| *line > 0),
        key: lint.key.as_deref(),
        value: lint.value.as_deref(),
        what: &lint.what,
        mend: &lint.mend,
    }
}
