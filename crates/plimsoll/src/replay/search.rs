//! From captures to an answer: the host as it is set, the grid, and no limit, in one pass; where the host loses entries, what
//! would have sufficed, in further passes over what can be read again.

use std::ops::ControlFlow;

use plimsoll_ct::Profile;
use plimsoll_diagnosis::{Said, said};
use plimsoll_model::{Config, Grid, Occupancy, Settings};
use plimsoll_replay::{Answer, Change, Replay, Row, Run, Tally};
use plimsoll_report::ReplayDetails;

use super::arguments::Arguments;
use super::captures::Faults;
use super::settings::{self, Candidate};
use super::source::Source;
use super::{Failure, REPLAYING, complain, details, rules};
use crate::terminal;

/// More entries than any table holds; on all kernels a limit that is never met.
const NO_LIMIT: u64 = i32::MAX as u64;

/// Passes over the captures for the smallest limit at most.
const CLIMBS: usize = 4;

/// Passes over the captures for enough buckets at most: each has twice as many or more.
const DOUBLINGS: usize = 4;

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
    let language = super::language(arguments);
    let mut grid = settings::grid(&host, &arguments.what_if).map_err(Failure::Usage)?;
    for candidate in &grid {
        settings::no_limit(profile, &candidate.settings).map_err(Failure::Usage)?;
    }
    if let Some(again) = settings::once(&mut grid) {
        terminal::tell(language, &again);
    }
    let source = Source::of(arguments).map_err(Failure::Usage)?;
    let search = Search { arguments, profile, host: &host, source: &source };
    let base = Candidate { label: "as set".into(), changes: Vec::new(), settings: host.clone() };
    let unlimited = search.limit(NO_LIMIT, "no limit");
    let mut candidates = vec![base];
    candidates.extend(grid);
    // What comes through a pipe comes once. Else no limit comes along where it costs next to nothing: until the host's is met.
    let (asked, once) = (candidates.len(), !source.again());
    let joins = asked < Grid::MOST && search.joins(&candidates[0], &unlimited);
    let along = !arguments.no_search && (once || joins);
    if along {
        candidates.push(unlimited.clone());
    }
    let (mut replay, faults) = search.pass(&REPLAYING, &candidates)?;
    complain(arguments, &faults, replay.tally())?;
    let settings = if joins { asked } else { candidates.len() };
    if let Some(note) = unshared(settings, replay.tables()) {
        terminal::tell(language, &note);
    }
    let mut rows = search.rows(&candidates, &replay);
    let without = if along { rows.pop() } else { None };
    let mut rows = rows.into_iter();
    let Some(as_set) = rows.next() else {
        return Err(Failure::Failed(Said::of("nothing was replayed", "什么也没有回放")));
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
        broken: faults.broken.iter().map(|why| why.spoken(language).to_owned()).collect(),
        one_way: rules(arguments).one_way(),
        policies: arguments.timeout_policy.iter().map(ToString::to_string).collect(),
        as_set,
        asked,
        unlimited: None,
        more_buckets: None,
        shorter: Vec::new(),
        enough: None,
    };
    drop(replay);
    if answer.as_set.is_clean() || arguments.no_search {
        return Ok((answer, details));
    }
    let mut shorter = Vec::new();
    if arguments.what_if.is_empty() && answer.as_set.outcome.lost > 0 {
        shorter = search.shorter(&answer);
    }
    if along {
        answer.unlimited = without;
    } else {
        let candidates = [vec![unlimited], core::mem::take(&mut shorter)].concat();
        let (replay, _) = search.pass(&Said::of("without a limit", "不设上限"), &candidates)?;
        let mut rows = search.rows(&candidates, &replay);
        answer.unlimited = Some(rows.remove(0));
        answer.helped_by(rows);
    }
    if !once {
        search.more_buckets(&mut answer)?;
        search.enough(&mut answer, shorter)?;
    }
    Ok((answer, details))
}

/// What to say where settings could not share a table.
fn unshared(settings: usize, tables: usize) -> Option<Said> {
    (tables > settings.div_ceil(Grid::MOST)).then(|| {
        said!(
            "{settings} settings took {tables} tables, and the time and memory of as many: settings share one where they \
             differ in limits and timeouts alone (not those of GRE and of fragments), from Linux 4.9 on, without \
             accounting, helpers and nf_conntrack_log_invalid",
            "{settings} 种设置用了 {tables} 张表，时间和内存也是那么多份：只有上限和超时（GRE 和分片的除外）不同，\
             Linux 4.9 及以后，不计流量，没有 helper 和 nf_conntrack_log_invalid，才能共用一张表"
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
    fn config(&self, candidate: &Candidate) -> Config {
        settings::config(self.arguments, self.profile, &candidate.settings)
    }

    /// Whether two can share a table.
    fn joins(&self, one: &Candidate, other: &Candidate) -> bool {
        Grid::joins(&self.config(one), &self.config(other))
    }

    fn pass(&self, doing: &Said, candidates: &[Candidate]) -> Result<(Replay, Faults), Failure> {
        self.pass_until(doing, candidates, |_| false)
    }

    /// A pass that may end before the captures do.
    fn pass_until(
        &self,
        doing: &Said,
        candidates: &[Candidate],
        enough: impl Fn(&Replay) -> bool,
    ) -> Result<(Replay, Faults), Failure> {
        let configs = candidates.iter().map(|c| (c.label.clone(), self.config(c)));
        let mut replay = Replay::new(configs, rules(self.arguments));
        let Arguments { json, sampled, ref plot, .. } = *self.arguments;
        if json || sampled || plot.is_some() {
            replay.sample();
        }
        let mut first = None;
        let faults = self.source.pass(doing, |records| {
            first = first.or_else(|| records.iter().find_map(|record| record.time));
            replay.feed(records);
            if enough(&replay) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
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
        let row = |((candidate, run), last): ((&Candidate, Run<'_>), Occupancy)| {
            Row::of(&run, last, candidate.changes.iter().map(change).collect())
        };
        candidates.iter().zip(replay.runs()).zip(replay.occupancies()).map(row).collect()
    }

    fn limit(&self, max: u64, label: &str) -> Candidate {
        let settings = Settings { max, ..self.host.clone() };
        Candidate { label: label.into(), changes: vec![("nf_conntrack_max", max)], settings }
    }

    /// Where chains lose packets without a limit, the same with so many buckets that they lose none: else it is not known how many
    /// entries there would be.
    fn more_buckets(&self, answer: &mut Answer) -> Result<(), Failure> {
        for _ in 0..DOUBLINGS {
            let Some(row) = answer.more_buckets.as_ref().or(answer.unlimited.as_ref()) else {
                break;
            };
            if row.outcome.lost_to_chains() == 0 {
                break;
            }
            let buckets = (row.outcome.buckets * 2).max(row.outcome.peak).next_multiple_of(512);
            let unlimited = self.limit(NO_LIMIT, "no limit");
            let Ok(candidate) = unlimited.with("nf_conntrack_buckets", buckets) else { break };
            let doing = Said::of("with more buckets", "增加桶数");
            let candidates = [candidate];
            let (replay, _) = self.pass(&doing, &candidates)?;
            answer.more_buckets = self.rows(&candidates, &replay).pop();
        }
        Ok(())
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

    /// The smallest limit that loses no packet, above the one that does; and which of the shorter timeouts lose less. Whom early drop
    /// meets is chance, so a hundredth is near enough: round limits are tried, the same ones whatever is set. What only time
    /// removes has to fit, so they begin above that.
    fn enough(&self, answer: &mut Answer, shorter: Vec<Candidate>) -> Result<(), Failure> {
        let doing = Said::of("looking for what helps", "正在找管用的办法");
        if !shorter.is_empty() {
            let (replay, _) = self.pass(&doing, &shorter)?;
            answer.helped_by(self.rows(&shorter, &replay));
        }
        if answer.as_set.outcome.lost == 0 || self.unbearable(answer) {
            return Ok(());
        }
        let loses = answer.as_set.outcome.max;
        let protected = answer.unlimited.as_ref().map_or(0, |row| row.outcome.peak_protected);
        let (mut low, mut high) = (protected.max(2) - 1, answer.needed());
        let grain = grain(high);
        for _ in 0..CLIMBS {
            let limits = rungs((low, high), grain, Grid::MOST);
            if limits.is_empty() {
                break;
            }
            let candidates: Vec<_> =
                limits.iter().map(|max| self.limit(*max, &format!("max={max}"))).collect();
            let (replay, _) = self.pass_until(&doing, &candidates, Replay::all_lose)?;
            let rows = self.rows(&candidates, &replay);
            // The lowest above which none loses anything.
            let losing = |row: &Row| row.outcome.lost > 0 || row.outcome.max <= loses;
            let at = rows.iter().rposition(losing);
            low = at.map_or(low, |at| rows[at].outcome.max);
            if let Some(row) = rows.into_iter().nth(at.map_or(0, |at| at + 1)) {
                high = row.outcome.max;
                answer.enough = Some(row);
            }
        }
        Ok(())
    }

    /// Packets are lost without a limit too: no limit suffices.
    fn unbearable(&self, answer: &Answer) -> bool {
        answer.unlimited.as_ref().is_none_or(|row| row.outcome.lost > 0)
    }
}

/// A hundredth, or what is round below it: 1, 2 or 5 and zeros.
fn grain(needed: u64) -> u64 {
    let hundredth = (needed / 100).max(1);
    let ten = 10_u64.pow(hundredth.ilog10());
    ten * [5, 2, 1].into_iter().find(|n| n * ten <= hundredth).unwrap_or(1)
}

/// So many limits at most to try, from the lowest up, between two: multiples of `grain`, until there is none between these.
fn rungs((low, high): (u64, u64), grain: u64, number: usize) -> Vec<u64> {
    // In grains; both ends are left out.
    let (low, high) = (low / grain, high.div_ceil(grain));
    let step = (high.saturating_sub(low) as f64 / (number + 1) as f64).max(1.0);
    let all = (1..=number).map(|n| low + (n as f64 * step) as u64);
    all.filter(|max| *max < high).map(|max| max * grain).collect()
}

#[cfg(test)]
mod tests {
    use super::{grain, rungs};

    #[test]
    fn limits_to_try_are_spread_between_two_and_round() {
        assert_eq!(rungs((500, 1000), 10, 4), [600, 700, 800, 900]);
        assert_eq!(rungs((499, 1852), 10, 4), [760, 1030, 1310, 1580]);
        assert_eq!(rungs((1, 4), 1, 8), [2, 3]);
        // Nothing round between them.
        assert!(rungs((990, 1000), 10, 4).is_empty() && rungs((993, 999), 10, 8).is_empty());
        assert!(rungs((4, 4), 1, 8).is_empty() && rungs((9, 4), 1, 8).is_empty());
        assert_eq!([0, 99, 250, 1_999, 222_300].map(grain), [1, 1, 2, 10, 2_000]);
    }
}
