//! Tables that several settings share.
//!
//! Settings that differ in their limit alone make the same of all packets until a packet comes when the table
//! holds as many entries as the lowest of the limits. Until then they are one model; from there on, as settings
//! that differ in timeouts from the start, they are a grid, where it can hold them. Where it can't, those with a higher
//! limit leave with a copy.

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;

use plimsoll_ct::{Counters, Entry, Profile, State, Status, Time};
use plimsoll_model::{
    Arrival, Config, EntryId, Grid, Model, Most, Occupancy, Settings, Step, Steps, Verdict, What,
};

use crate::distinct::flow;
use crate::losses::Losses;
use crate::peaks::Peaks;
use crate::timeline::Timeline;

/// A table, and what was noted of it.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    table: Table,
    notes: Notes,
    /// Who shares it: from the lowest limit, which is a single model's, to the highest; in a grid in its order.
    sharers: Vec<Sharer>,
    /// Rules do to packets what no grid knows.
    special: bool,
}

#[derive(Debug, Clone)]
enum Table {
    /// All sharers have come to the same so far.
    Together(Box<Model>),
    /// Each is a setting of the grid.
    Apart(Box<Grid>),
}

/// What was noted on the way: of all settings together, or of each of the grid's.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    pub(crate) peaks: Peaks,
    pub(crate) timelines: Vec<Timeline>,
    pub(crate) losses: Losses,
}

impl Notes {
    fn of(settings: usize) -> Self {
        Self {
            peaks: Peaks::default(),
            timelines: alloc::vec![Timeline::default(); settings],
            losses: Losses::default(),
        }
    }

    /// What was noted of all is what was of each of so many.
    fn spread(&self, settings: usize) -> Self {
        Self {
            peaks: self.peaks.of(0),
            timelines: alloc::vec![self.timelines[0].clone(); settings],
            losses: self.losses.spread(settings),
        }
    }

    fn one(&self, seat: usize) -> Self {
        Self {
            peaks: self.peaks.of(seat),
            timelines: Vec::from([self.timelines[seat].clone()]),
            losses: self.losses.one(seat),
        }
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
struct Sharer {
    /// Its number.
    run: usize,
    /// Its number in the grid.
    seat: usize,
    /// As it is set: 0 may mean none.
    max: u64,
    /// Entries at which it may matter.
    limit: u64,
}

/// One setting's table.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    Whole(&'a Model),
    Seat(&'a Grid, usize),
}

impl<'a> Part<'a> {
    pub(crate) fn settings(&self) -> &'a Settings {
        match self {
            Self::Whole(model) => model.settings(),
            Self::Seat(grid, seat) => grid.settings(*seat),
        }
    }

    pub(crate) fn profile(&self) -> &'static Profile {
        match self {
            Self::Whole(model) => model.profile(),
            Self::Seat(grid, _) => grid.profile(),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        match self {
            Self::Whole(model) => *model.counters(),
            Self::Seat(grid, seat) => grid.counters(*seat),
        }
    }

    pub(crate) fn snapshot(&self) -> Vec<Entry> {
        match self {
            Self::Whole(model) => model.snapshot(),
            Self::Seat(grid, seat) => grid.part(*seat).snapshot(),
        }
    }
}

/// Which steps somebody wants to learn of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attends {
    /// Every one.
    All,
    /// Those that made an entry.
    Insertions,
}

/// A packet under one setting, which has lost none so far.
#[derive(Clone, Copy)]
pub(crate) enum Went<'a> {
    Alone(&'a Model, &'a Step),
    Among(&'a Grid, &'a Steps, usize),
}

impl Went<'_> {
    #[inline(always)]
    pub(crate) fn step(&self) -> Step {
        match self {
            Self::Alone(_, step) => **step,
            Self::Among(_, steps, seat) => steps.of(*seat),
        }
    }

    /// Status and state of the entry that the step names.
    pub(crate) fn condition(&self) -> Option<(Status, State)> {
        let id: EntryId = self.step().entry?;
        match self {
            Self::Alone(model, _) => model.condition(id),
            Self::Among(grid, _, _) => grid.condition(id),
        }
    }
}

/// The tables of so many settings, by the number of each; `special`: rules do what no grid knows.
pub(crate) fn tables(configs: impl IntoIterator<Item = Config>, special: bool) -> Vec<Shared> {
    let mut families: Vec<Vec<(usize, Config)>> = Vec::new();
    for (run, config) in configs.into_iter().enumerate() {
        let joins = |other: &Config| {
            differ_in_limit_alone(other, &config) || !special && Grid::joins(other, &config)
        };
        match families.iter_mut().find(|family| family.first().is_some_and(|(_, c)| joins(c))) {
            Some(family) => family.push((run, config)),
            None => families.push(Vec::from([(run, config)])),
        }
    }
    families.iter().flat_map(|family| Shared::of(family, special)).collect()
}

fn differ_in_limit_alone(a: &Config, b: &Config) -> bool {
    let mut settings = b.settings.clone();
    settings.max = a.settings.max;
    core::ptr::eq(a.profile, b.profile)
        && a.settings == settings
        && (a.hash_key, a.collector_phase, a.netns) == (b.hash_key, b.collector_phase, b.netns)
}

impl Shared {
    /// The tables of settings that can share one.
    fn of(family: &[(usize, Config)], special: bool) -> Vec<Self> {
        let Some((_, first)) = family.first() else { return Vec::new() };
        if family.iter().all(|(_, config)| differ_in_limit_alone(first, config)) {
            return Vec::from([Self::together(family, first.clone(), special)]);
        }
        family.chunks(Grid::MOST).filter_map(Self::apart).collect()
    }

    fn together(family: &[(usize, Config)], mut config: Config, special: bool) -> Self {
        let sharer = |(run, config): &(usize, Config)| Sharer::of(*run, 0, config);
        let mut sharers: Vec<Sharer> = family.iter().map(sharer).collect();
        sharers.sort_by_key(|sharer| sharer.limit);
        // Laid out for the highest, since it is that one's in the end.
        let all = family.iter().map(|(_, config)| &config.settings);
        config.settings.max = Settings::laid_out_for_all(all);
        let mut model = Model::new(config);
        set_limit(&mut model, &sharers);
        Self { table: Table::Together(Box::new(model)), notes: Notes::of(1), sharers, special }
    }

    fn apart(some: &[(usize, Config)]) -> Option<Self> {
        let configs: Vec<Config> = some.iter().map(|(_, config)| config.clone()).collect();
        let sharer =
            |(seat, (run, config)): (usize, &(usize, Config))| Sharer::of(*run, seat, config);
        let sharers = some.iter().enumerate().map(sharer).collect();
        let table = Table::Apart(Box::new(Grid::new(&configs)?));
        Some(Self { table, notes: Notes::of(some.len()), sharers, special: false })
    }

    /// Whether a setting has its entries here.
    pub(crate) fn is_of(&self, run: usize) -> bool {
        self.sharers.iter().any(|sharer| sharer.run == run)
    }

    /// A setting's limit and table, what was noted, and of which number; if its entries are here.
    pub(crate) fn run(&self, run: usize) -> Option<(u64, Part<'_>, &Notes, usize)> {
        let Sharer { max, seat, .. } = *self.sharers.iter().find(|sharer| sharer.run == run)?;
        Some(match &self.table {
            Table::Together(model) => (max, Part::Whole(model), &self.notes, 0),
            Table::Apart(grid) => (max, Part::Seat(grid, seat), &self.notes, seat),
        })
    }

    /// Whether every setting that is here has lost a packet.
    pub(crate) fn all_lose(&self) -> bool {
        let seat = |sharer: &Sharer| match self.table {
            Table::Together(_) => 0,
            Table::Apart(_) => sharer.seat,
        };
        self.sharers.iter().all(|sharer| self.notes.losses.any(seat(sharer)))
    }

    /// The model, if it is one.
    pub(crate) fn model_mut(&mut self) -> Option<&mut Model> {
        match &mut self.table {
            Table::Together(model) => Some(model),
            Table::Apart(_) => None,
        }
    }

    /// Takes a setting out of the grid, if it is in one, with a model of its own.
    pub(crate) fn leave(&mut self, run: usize) -> Option<Self> {
        let Table::Apart(grid) = &self.table else { return None };
        let place = self.sharers.iter().position(|sharer| sharer.run == run)?;
        let sharer = self.sharers.remove(place);
        let table = Table::Together(Box::new(grid.part(sharer.seat)));
        let notes = self.notes.one(sharer.seat);
        Some(Self { table, notes, sharers: Vec::from([sharer]), special: self.special })
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, to: Time) {
        match &mut self.table {
            Table::Together(model) => model.advance(to),
            Table::Apart(grid) => grid.advance(to),
        }
    }

    /// How full the table is for each of the grid's settings, or for all together.
    pub(crate) fn occupancies(&self) -> Vec<Occupancy> {
        match &self.table {
            Table::Together(model) => Vec::from([model.occupancy()]),
            Table::Apart(grid) => grid.occupancies(),
        }
    }

    /// Takes a sample of each setting.
    pub(crate) fn sample(&mut self, now: Time) {
        if let Table::Together(model) = &mut self.table {
            // From here on the most is that behind the sample.
            model.take_most();
        }
        let occupancies = self.occupancies();
        let Notes { peaks, timelines, losses } = &mut self.notes;
        let noted = timelines.iter_mut().zip(occupancies);
        for (seat, (timeline, occupancy)) in noted.enumerate() {
            let lost = losses.packets(seat).number;
            let most = peaks.take(seat, occupancy.counted);
            timeline.add(now, occupancy, most, lost, peaks.evicted(seat));
        }
    }

    pub(crate) fn timelines(&mut self) -> impl Iterator<Item = &mut Timeline> {
        self.notes.timelines.iter_mut()
    }

    /// Leads packets through the table: all, or so many until others leave it with the copies. `each` learns what
    /// each that it attends to was to the setting `of`, if that has its entries here, until it loses a packet.
    pub(crate) fn pass<'a>(
        &mut self,
        arrivals: &[Arrival<'a>],
        of: usize,
        attends: Attends,
        mut each: impl FnMut(&Arrival<'a>, Went<'_>),
    ) -> (usize, Vec<Self>) {
        let all = attends == Attends::All;
        let mut seen = 0;
        while seen < arrivals.len() {
            // Another one once they part.
            let seat =
                self.sharers.iter().find(|sharer| sharer.run == of).map(|sharer| sharer.seat);
            match &mut self.table {
                Table::Apart(grid) => {
                    let Notes { peaks, losses, .. } = &mut self.notes;
                    grid.batch(&arrivals[seen..], |grid, arrival, steps| {
                        // A packet that makes an entry changes something.
                        if let Some(seat) = seat
                            && !losses.any(seat)
                            && (all
                                || steps.changed() >> seat & 1 != 0
                                    && steps.of(seat).what == What::Inserted)
                        {
                            each(arrival, Went::Among(grid, steps, seat));
                        }
                        if steps.changed() != 0 {
                            peaks.note(grid.all_counted(), grid.all_protected());
                        }
                        if let Some(entries) = steps.evicted() {
                            peaks.evict(entries);
                        }
                        if steps.dropped() != 0 {
                            losses.note(steps.dropped(), arrival.at, flow(&arrival.packet));
                        }
                    });
                    return (arrivals.len(), Vec::new());
                }
                Table::Together(model) => {
                    let rest = arrivals.len() - seen;
                    let parting =
                        parting(&self.sharers).map(|limit| (limit, model.counted() as u64));
                    let at_once = match parting {
                        Some((limit, counted)) if counted >= limit => {
                            let copies = self.part(limit);
                            if !copies.is_empty() {
                                return (seen, copies);
                            }
                            continue;
                        }
                        // Near the limit each may be the one.
                        Some((limit, counted)) if counted + rest as u64 > limit => 1,
                        Some(_) | None => rest,
                    };
                    let Notes { peaks, losses, .. } = &mut self.notes;
                    let all = all && seat.is_some();
                    model.batch(&arrivals[seen..seen + at_once], |model, arrival, step| {
                        // Most are of no interest but to those who attend to all.
                        let usual = step.what == What::Refreshed && step.verdict == Verdict::Accept;
                        if all || !usual {
                            let told = all || seat.is_some() && step.what == What::Inserted;
                            tell(model, arrival, step, losses, told.then_some(&mut each));
                            peaks.evict_one(0, step.evicted);
                        }
                    });
                    let Most { counted, protected } = model.take_most();
                    peaks.note_one(0, counted, protected);
                    seen += at_once;
                }
            }
        }
        (seen, Vec::new())
    }

    /// The limits begin to matter: from here on it is a grid, or those with a higher limit are in copies.
    fn part(&mut self, limit: u64) -> Vec<Self> {
        let Table::Together(model) = &mut self.table else { return Vec::new() };
        let mut grids = Vec::new();
        let number = self.sharers.len().div_ceil(Grid::MOST);
        let seatable = if self.special { &[] } else { &self.sharers[..] };
        for (n, some) in seatable.chunks(Grid::MOST).enumerate() {
            let limits: Vec<u64> = some.iter().map(|sharer| sharer.max).collect();
            // The last one takes the table, the others copies.
            let grid = if n + 1 < number {
                Grid::of_limits(&mut model.as_ref().clone(), &limits)
            } else {
                Grid::of_limits(model, &limits)
            };
            let Some(grid) = grid else { break };
            let seated = |(seat, sharer): (usize, &Sharer)| Sharer { seat, ..*sharer };
            let sharers = some.iter().enumerate().map(seated).collect();
            let notes = self.notes.spread(some.len());
            let table = Table::Apart(Box::new(grid));
            grids.push(Self { table, notes, sharers, special: false });
        }
        if let Some(own) = grids.pop() {
            *self = own;
            return grids;
        }
        let higher = self.sharers.partition_point(|sharer| sharer.limit <= limit);
        let mut copy = Self {
            table: self.table.clone(),
            notes: self.notes.clone(),
            sharers: self.sharers.split_off(higher),
            special: self.special,
        };
        if let Table::Together(model) = &mut copy.table {
            set_limit(model, &copy.sharers);
        }
        Vec::from([copy])
    }
}

/// Notes a step of a model that is not one of the usual ones, and tells who wants to know.
#[inline(never)]
fn tell<'a>(
    model: &Model,
    arrival: &Arrival<'a>,
    step: &Step,
    losses: &mut Losses,
    each: Option<&mut impl FnMut(&Arrival<'a>, Went<'_>)>,
) {
    if let Some(each) = each
        && !losses.any(0)
    {
        each(arrival, Went::Alone(model, step));
    }
    if step.verdict == Verdict::Drop {
        losses.note(1, arrival.at, flow(&arrival.packet));
    }
}

impl Sharer {
    fn of(run: usize, seat: usize, config: &Config) -> Self {
        let max = config.settings.max;
        let unlimited = max == 0 && config.profile.zero_is_unlimited;
        Self { run, seat, max, limit: if unlimited { u64::MAX } else { max } }
    }
}

fn set_limit(model: &mut Model, sharers: &[Sharer]) {
    if let Some(&Sharer { max, .. }) = sharers.first() {
        model.change(|settings| settings.max = max);
    }
}

/// The entries at which the lowest limit parts with the others, if there are any.
fn parting(sharers: &[Sharer]) -> Option<u64> {
    let (lowest, highest) = (sharers.first()?.limit, sharers.last()?.limit);
    (lowest < highest).then_some(lowest)
}
