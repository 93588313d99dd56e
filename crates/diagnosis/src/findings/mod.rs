//! The findings: what is wrong, each with its proof. One family a file.
//!
//! A finding that fires on a healthy host is a defect of this crate: every threshold is a named
//! constant with its reason, and what was not measured never fires.

mod alike;
mod boot;
mod chains;
mod crowd;
mod expectations;
mod forecast;
mod idle;
mod insertion;
mod limit;
mod listen;
#[cfg(test)]
mod pages;
mod past;
mod stale;
mod state;
mod tracking;

use alloc::vec::Vec;

use plimsoll_ct::TimeRange;

use crate::case::Case;
use crate::facts::{Fact, SeenIn, Source};
use crate::words;
use crate::{Definition, Evidence, Excluded, Finding, Said, Severity, Value};

pub(crate) use boot::lost_settings;
pub(crate) use crowd::{ONE_WAY, flood_of, is_half_open};
pub(crate) use forecast::forecast;
pub(crate) use idle::{FLOOR, established_timeout, pile};
pub(crate) use stale::stale_assignments;
pub(crate) use state::evicts;

/// A finding on its way into the result.
pub(crate) struct Draft {
    /// The finding.
    pub(crate) finding: Finding,
    /// How much of the trouble it explains, 0 to 1: orders causes of the same severity.
    pub(crate) weight: f64,
    /// Words that stand for it in the headline: "97 % ESTABLISHED entries idle for over an hour".
    pub(crate) clause: Option<Said>,
}

impl Draft {
    /// A finding by its id, with the severity that it has here.
    pub(crate) fn new(
        id: &'static str,
        severity: Severity,
        namespace: Option<usize>,
        summary: impl Into<Said>,
    ) -> Self {
        let name = Definition::find(id).map_or("", |d| d.name);
        let finding = Finding {
            id,
            name,
            severity,
            namespace,
            summary: summary.into(),
            evidence: Vec::new(),
        };
        Self { finding, weight: 0.0, clause: None }
    }

    /// How much it explains.
    pub(crate) fn explains(mut self, share: f64) -> Self {
        self.weight = share.clamp(0.0, 1.0);
        self
    }

    /// Its words in the headline.
    pub(crate) fn clause(mut self, words: impl Into<Said>) -> Self {
        self.clause = Some(words.into());
        self
    }

    /// Adds evidence.
    pub(crate) fn with(
        mut self,
        what: impl Into<Said>,
        value: Value,
        unit: &'static str,
        source: impl Into<Source>,
    ) -> Self {
        let what = what.into();
        self.finding.evidence.push(Evidence { what, value, unit, source: source.into() });
        self
    }

    /// Adds a number as evidence.
    pub(crate) fn count(
        self,
        what: impl Into<Said>,
        value: u64,
        unit: &'static str,
        source: impl Into<Source>,
    ) -> Self {
        self.with(what, Value::Count(value), unit, source)
    }

    /// Adds a ratio or rate as evidence.
    pub(crate) fn number(
        self,
        what: impl Into<Said>,
        value: f64,
        unit: &'static str,
        source: impl Into<Source>,
    ) -> Self {
        self.with(what, Value::Number(value), unit, source)
    }

    /// Adds a point in time as evidence, if it is known.
    pub(crate) fn time(self, what: Said, time: Option<TimeRange>, source: &Source) -> Self {
        match time {
            Some(time) => self.with(what, Value::Time(time), "", source.clone()),
            None => self,
        }
    }

    /// Adds what lines of the log prove: their number, the first and the last, and one of them.
    pub(crate) fn log(self, case: &Case<'_>, lines: &SeenIn) -> Self {
        let source = source_of(&case.after.log);
        let mut draft =
            self.count(said!("log lines", "日志行数"), lines.lines, "lines", source.clone());
        draft = draft.time(said!("first line", "第一行"), lines.first, &source);
        if lines.since != lines.first {
            draft = draft.time(
                said!("first line of the latest run", "最近一阵的第一行"),
                lines.since,
                &source,
            );
        }
        draft = draft.time(said!("last line", "最后一行"), lines.last, &source);
        let example = Value::Text(Said::name(words::clean(&lines.example)));
        draft.with(said!("example", "例如"), example, "", source)
    }
}

/// When the last line was written, as the tail of a sentence.
pub(crate) fn last_line(case: &Case<'_>, lines: &SeenIn) -> Said {
    let ago = case.since_last(lines.last);
    ago.map_or_else(Said::default, |ago| {
        said!(", the last {} ago", "，最后一行在 {:#}之前", words::span(ago))
    })
}

/// Where a fact came from; what stands in a table without a source is ours.
pub(crate) fn source_of<T>(fact: &Fact<T>) -> Source {
    fact.source().cloned().unwrap_or(Source(Said::of("derived", "推算")))
}

/// Where the statistics of conntrack came from.
pub(crate) fn source_text<T>(fact: &Fact<T>, otherwise: &'static str) -> Source {
    fact.source().cloned().unwrap_or_else(|| Source::name(otherwise))
}

/// All findings, in no particular order, and what was looked for and ruled out.
pub(crate) fn find(case: &Case<'_>) -> (Vec<Draft>, Vec<Excluded>) {
    let mut found = Vec::new();
    let mut excluded = Vec::new();
    state::find(case, &mut found);
    crowd::find(case, &mut found);
    idle::find(case, &mut found);
    chains::find(case, &mut found);
    tracking::find(case, &mut found);
    boot::find(case, &mut found);
    stale::find(case, &mut found);
    expectations::find(case, &mut found);
    insertion::find(case, &mut found);
    limit::find(case, &mut found);
    listen::find(case, &mut found, &mut excluded);
    alike::find(case, &mut found, &mut excluded);
    (found, excluded)
}
