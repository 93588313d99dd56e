//! From captures to an answer: the host as it is set and the grid in one pass; where that loses entries, what
//! would have sufficed, in further passes over what can be read again.

use plimsoll_ct::Profile;
use plimsoll_model::{Grid, Settings};
use plimsoll_replay::{Answer, Change, Replay, Row, Run, Tally};
use plimsoll_report::ReplayDetails;

use super::arguments::Arguments;
use super::captures::Faults;
use super::settings::{self, Candidate};
use super::source::Source;
use super::{Failure, complain, details, rules};

/// More entries than any table holds; on all kernels a limit that is never met.
const NO_LIMIT: u64 = i32::MAX as u64;

/// Limits that are tried in one pass.
const RUNGS: u64 = 7;

/// Passes over the captures for the smallest limit.
const CLIMBS: usize = 4;

/// Timeouts that are worth shortening, and to what: each is tried alone.
const SHORTER: &[(&str, &[u64])] = &[
    ("nf_conntrack_tcp_timeout_established", &[86_400, 7200, 600]),
    ("nf_conntrack_tcp_timeout_time_wait", &[60, 15]),
    ("nf_conntrack_udp_timeout_stream", &[60]),
    ("nf_conntrack_udp_timeout", &[10]),
];

/// Reads the captures and finds out. What is wrong with them is told on standard error.
pub fn answer_for(arguments: &Arguments) -> Result<(Answer, ReplayDetails), Failure> {
    answer(arguments, complain)
}

/// The same of captures that were read before: what is wrong with them was told then.
pub fn answer_again(arguments: &Arguments) -> Result<Answer, Failure> {
    answer(arguments, |_, _, _| Ok(())).map(|(answer, _)| answer)
}

fn answer(
    arguments: &Arguments,
    complain: impl Fn(&Arguments, &Faults, &Tally) -> Result<(), Failure>,
) -> Result<(Answer, ReplayDetails), Failure> {
    let (profile, host) = settings::host(arguments).map_err(Failure::Usage)?;
    let grid = settings::grid(&host, &arguments.what_if, super::language(arguments))
        .map_err(Failure::Usage)?;
    let source = Source::of(arguments).map_err(Failure::Usage)?;
    let search = Search { arguments, profile, host: &host, source: &source };
    let base = Candidate { label: "as set".into(), changes: Vec::new(), settings: host.clone() };
    let unlimited = search.limit(NO_LIMIT, "no limit");
    let mut candidates = vec![base];
    candidates.extend(grid);
    // What comes through a pipe comes once.
    let once = !arguments.no_search && !source.again();
    if once {
        candidates.push(unlimited.clone());
    }
    let (mut replay, faults) = search.pass("replaying", &candidates)?;
    complain(arguments, &faults, replay.tally())?;
    if let Some(note) = unshared(candidates.len(), replay.tables()) {
        say!("{note}");
    }
    let mut rows = search.rows(&candidates, &replay);
    let mut without = if once { rows.pop() } else { None };
    let mut rows = rows.into_iter();
    let Some(as_set) = rows.next() else {
        return Err(Failure::Failed("nothing was replayed".into()));
    };
    let asked: Vec<Row> = rows.collect();
    let details = details(arguments, &mut replay);
    let mut answer = Answer {
        profile,
        synthetic: arguments.synthetic.is_some(),
        scale: arguments.scale,
        speed: arguments.speed,
        span: replay.span(),
        tally: Tally {
            // Of made-up packets nobody took a part off.
            sliced: if arguments.synthetic.is_some() { 0 } else { replay.tally().sliced },
            ..*replay.tally()
        },
        doubts: *replay.doubts(),
        lost_by_capture: faults.lost,
        broken: faults.broken,
        one_way: rules(arguments).one_way(),
        policies: arguments.timeout_policy.iter().map(ToString::to_string).collect(),
        as_set,
        asked,
        unlimited: None,
        shorter: Vec::new(),
        enough: None,
    };
    drop(replay);
    if answer.as_set.is_clean() || arguments.no_search {
        return Ok((answer, details));
    }
    if once {
        answer.unlimited = without.take();
        return Ok((answer, details));
    }
    let mut candidates = vec![unlimited];
    if arguments.what_if.is_empty() && answer.as_set.outcome.lost > 0 {
        candidates.extend(search.shorter(&answer));
    }
    let (replay, _) = search.pass("without a limit", &candidates)?;
    let mut rows = search.rows(&candidates, &replay).into_iter();
    drop(replay);
    answer.unlimited = rows.next();
    answer.shorter = rows.filter(|row| row.outcome.lost < answer.as_set.outcome.lost).collect();
    answer.enough = search.enough(&answer)?;
    Ok((answer, details))
}

/// What to say where settings could not share a table.
fn unshared(settings: usize, tables: usize) -> Option<String> {
    (tables > settings.div_ceil(Grid::MOST)).then(|| {
        format!(
            "{settings} settings took {tables} tables, and the time and memory of as many: settings share one where they \
             differ in limits and timeouts alone (not those of GRE and of fragments), from Linux 4.9 on, without \
             accounting, helpers and nf_conntrack_log_invalid"
        )
    })
}

struct Search<'a> {
    arguments: &'a Arguments,
    profile: &'static Profile,
    host: &'a Settings,
    source: &'a Source<'a>,
}

impl Search<'_> {
    fn pass(&self, doing: &str, candidates: &[Candidate]) -> Result<(Replay, Faults), Failure> {
        let configs = candidates.iter().map(|c| {
            (c.label.clone(), settings::config(self.arguments, self.profile, &c.settings))
        });
        let mut replay = Replay::new(configs, rules(self.arguments));
        let Arguments { json, sampled, ref plot, .. } = *self.arguments;
        if json || sampled || plot.is_some() {
            replay.sample();
        }
        let mut first = None;
        let faults = self.source.pass(doing, |records| {
            first = first.or_else(|| records.iter().find_map(|record| record.time));
            replay.feed(records);
        });
        replay.finish(self.arguments.at.zip(first).map(|(moment, first)| moment.time(first)));
        Ok((replay, faults.map_err(Failure::Failed)?))
    }

    fn rows(&self, candidates: &[Candidate], replay: &Replay) -> Vec<Row> {
        let change = |(name, to): &(&'static str, u64)| Change {
            name,
            from: self.host.get(name).unwrap_or(*to),
            to: *to,
        };
        let row = |(candidate, run): (&Candidate, Run<'_>)| {
            Row::of(&run, candidate.changes.iter().map(change).collect())
        };
        candidates.iter().zip(replay.runs()).map(row).collect()
    }

    fn limit(&self, max: u64, label: &str) -> Candidate {
        let settings = Settings { max, ..self.host.clone() };
        Candidate { label: label.into(), changes: vec![("nf_conntrack_max", max)], settings }
    }

    /// Timeouts that could have helped: shorter than they are, and than the capture is long.
    fn shorter(&self, answer: &Answer) -> Vec<Candidate> {
        let seconds = answer.span.map_or(0, |(first, last)| (last.0 - first.0) / 1_000_000_000);
        let base =
            Candidate { label: String::new(), changes: Vec::new(), settings: self.host.clone() };
        let mut all = Vec::new();
        for (key, values) in SHORTER {
            let now = self.host.get(key).unwrap_or(0);
            let fitting = values
                .iter()
                .filter(|v| **v < now && i64::try_from(**v).is_ok_and(|v| v < seconds));
            all.extend(fitting.filter_map(|value| base.with(key, *value).ok()));
        }
        all
    }

    /// The smallest limit that loses no packet, between the one that does and the one that is never met.
    /// Whom early drop meets is chance, so a hundredth is near enough.
    fn enough(&self, answer: &Answer) -> Result<Option<Row>, Failure> {
        let mut low = answer.as_set.outcome.max;
        let mut high = answer.needed();
        let mut found = None;
        if answer.as_set.outcome.lost == 0 || self.unbearable(answer) {
            return Ok(None);
        }
        for _ in 0..CLIMBS {
            if high.saturating_sub(low) <= (high / 100).max(1) {
                break;
            }
            let step = ((high - low) as f64 / (RUNGS + 1) as f64).max(1.0);
            let limits = (1..=RUNGS).map(|n| low + (n as f64 * step) as u64).filter(|m| *m < high);
            let label = |max: u64| format!("max={max}");
            let candidates: Vec<_> = limits.map(|max| self.limit(max, &label(max))).collect();
            let (replay, _) = self.pass("looking for the limit", &candidates)?;
            let rows = self.rows(&candidates, &replay);
            // The lowest above which none loses anything.
            let losing = rows.iter().rposition(|row| row.outcome.lost > 0);
            let first = losing.map_or(0, |at| at + 1);
            low = losing.map_or(low, |at| rows[at].outcome.max);
            if let Some(row) = rows.into_iter().nth(first) {
                high = row.outcome.max;
                found = Some(row);
            }
        }
        Ok(found)
    }

    /// Packets are lost without a limit too: no limit suffices.
    fn unbearable(&self, answer: &Answer) -> bool {
        answer.unlimited.as_ref().is_none_or(|row| row.outcome.lost > 0)
    }
}
