//! The same packets under several settings, over one table.
//!
//! Up to eight settings that differ in limit and timeouts only. What a tracker makes of a packet hangs on neither, so
//! an entry that one packet made under several settings stands once, and a packet of it is judged once:
//! [`crate::table::Seats`] says in which settings it stands. Each setting has its own counters, log, collector, and
//! its own view of the table, through which its collector and its early drop meet what they would meet in a table of their own.
//! What comes of a packet is what comes of it in a [`Model`] alone, step by step.

mod fresh;
mod known;
mod lasting;
mod numbers;
mod packets;
mod room;
mod steps;
mod usual;

pub use steps::Steps;

use alloc::vec::Vec;

use plimsoll_ct::{CollectorKind, Counter, Counters, Profile, State, Status, Time};

use crate::batch::Arrival;
use crate::classes::Classes;
use crate::early_drop::buckets;
use crate::far::{FAR, is_far};
use crate::model::{Config, Model};
use crate::plain::Way;
use crate::settings::Settings;
use crate::snapshot::Occupancy;
use crate::step::{Info, Step, Treatment, Verdict};
use crate::table::{EntryId, SEATS, Seats, Spot, Table, Versioned};
use crate::ticks::Jiffies;
use lasting::Lasting;
use numbers::Numbers;
use room::Pending;

/// Packets between the one whose entries are asked for and the one that goes its way: half as many as a model's, since each takes
/// longer and needs more of what is near.
const AHEAD: usize = 4;
/// Those that have been asked for.
const ON_THE_WAY: usize = 2 * AHEAD;

/// The same packets under up to eight settings that differ in limit and timeouts only, over one table: faster than a
/// [`Model`] for each, and each counts, logs and evicts what it would in a model of its own.
///
/// Settings are spoken of by their place in the list that [`Grid::new`] was given; a place beyond its end panics.
///
/// ```
/// use plimsoll_model::ct::{Bytes, Counter, Profile, Time};
/// use plimsoll_model::wire::packet::parse_ip;
/// use plimsoll_model::{Arrival, Config, Grid, Settings, Treatment};
///
/// let profile = Profile::named("6.18").expect("a known profile");
/// let configs = [1, 65_536].map(|max| {
///     let settings = Settings { max, ..Settings::of(profile, Bytes(8 << 30)) };
///     Config::new(profile, settings)
/// });
/// let mut grid = Grid::new(&configs).expect("they differ in the limit only");
///
/// // Two DNS queries, from the ports 4096 and 4097.
/// let queries = [0, 1].map(|port| [
///     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
///     0x10, port, 0, 53, 0, 8, 0, 0, // UDP
/// ]);
/// let arrivals = queries.each_ref().map(|query| Arrival {
///     at: Time::from_secs(0),
///     packet: parse_ip(query).expect("a whole header"),
///     treatment: Treatment::default(),
/// });
/// let mut dropped = Vec::new();
/// grid.batch(&arrivals, |_, _, steps| dropped.push(steps.dropped()));
///
/// // One bit for each setting: the second query finds no room under the first.
/// assert_eq!(dropped, [0b00, 0b01]);
/// assert_eq!([grid.counted(0), grid.counted(1)], [1, 2]);
/// assert_eq!(grid.counters(0).get(Counter::Drop), Some(1));
/// ```
#[derive(Debug, Clone)]
pub struct Grid {
    table: Table,
    /// One for each setting, with a stand-in for its table.
    models: Vec<Model>,
    all: Seats,
    /// They have the same timeouts.
    uniform: bool,
    /// Timeouts of the short ways by number, and by setting.
    lasting: Lasting,
    steps: Steps,
    /// Neighbouring buckets that early drop looks at.
    buckets: usize,
    numbers: Numbers,
    pending: Pending,
    /// What the last packet's tuple led to.
    versioned: Versioned,
}

impl Grid {
    /// Settings of one grid at most.
    pub const MOST: usize = SEATS;

    /// Whether two configurations can stand in one grid: they differ in limit and timeouts only (not those of
    /// GRE and of fragments), their kernel has a collector, and there is neither accounting nor a helper, nobody complains in the log, and no
    /// timeout is nearly as long as the clock tells moments apart.
    pub fn joins(a: &Config, b: &Config) -> bool {
        let mut other = b.settings.clone();
        let Settings {
            max, tcp_timeouts, udp, udp_lite, icmp, icmpv6, generic, sctp, dccp, ..
        } = a.settings.clone();
        (other.max, other.tcp_timeouts, other.udp, other.udp_lite) =
            (max, tcp_timeouts, udp, udp_lite);
        (other.icmp, other.icmpv6, other.generic) = (icmp, icmpv6, generic);
        (other.sctp, other.dccp) = (sctp, dccp);
        core::ptr::eq(a.profile, b.profile)
            && [a, b].iter().all(|config| is_shared(config.profile, &config.settings))
            && a.settings == other
            && (a.hash_key, a.collector_phase, a.netns) == (b.hash_key, b.collector_phase, b.netns)
    }

    /// Empty tables of one to eight settings. `None`: there are more or fewer, or they do not
    /// [join](Self::joins).
    pub fn new(configs: &[Config]) -> Option<Self> {
        let first = configs.first()?;
        if configs.len() > SEATS || !configs.iter().all(|config| Self::joins(first, config)) {
            return None;
        }
        let highest = Settings::laid_out_for_all(configs.iter().map(|config| &config.settings));
        let same = |config: &Config| {
            Settings { max: 0, ..config.settings.clone() }
                == Settings { max: 0, ..first.settings.clone() }
        };
        let uniform = configs.iter().all(same);
        // Where timeouts differ, entries of one tuple stand beside each other.
        let meant = if uniform { highest } else { highest.saturating_mul(2) };
        let table = Table::new(first.settings.buckets, meant, first.hash_key);
        let model = |(seat, config)| Model::over(config, Table::stand_in(seat, 0));
        let models = configs.iter().cloned().enumerate().map(model).collect();
        Some(Self::over(table, models, uniform))
    }

    /// What a model has become, under limits of which none made a difference so far; they share its settings
    /// otherwise. It is empty afterwards. `None`: there are more than eight, or none; or nobody can share the model's
    /// settings, and nothing has changed.
    pub fn of_limits(model: &mut Model, limits: &[u64]) -> Option<Self> {
        let shares = is_shared(model.profile, &model.settings)
            && model
                .table
                .all_extras()
                .all(|(_, e)| e.reply.is_none() && e.helper.is_none() && e.zone.is_none())
            && model.events.is_none()
            && model.table.tells_bounds();
        if limits.len() > SEATS || limits.is_empty() || !shares {
            return None;
        }
        let count = model.counted();
        let table = core::mem::replace(&mut model.table, Table::stand_in(0, count));
        let seat = |(seat, &max): (usize, &u64)| {
            let mut model = model.clone();
            model.change(|settings| settings.max = max);
            model.table = Table::stand_in(seat, count);
            model
        };
        let models = limits.iter().enumerate().map(seat).collect();
        model.table = Table::new(2, 1, 0);
        model.classes = Classes::default();
        Some(Self::over(table, models, true))
    }

    fn over(mut table: Table, models: Vec<Model>, uniform: bool) -> Self {
        let all = Seats::first(models.len());
        let least = models.first().map_or(0, |model| model.usual.least);
        table.share(all, uniform, least);
        let steps = Steps::new(Step::new(Info::Untracked, Verdict::Accept));
        let buckets = models.first().and_then(|model| buckets(model.profile.early_drop));
        let (lasting, numbers) = (Lasting::of(&models, &mut table), Numbers::of(&models));
        let (buckets, pending) = (buckets.unwrap_or(0), Pending::default());
        let versioned = Versioned::new();
        Self { table, lasting, models, all, uniform, steps, buckets, numbers, pending, versioned }
    }

    /// The settings at a place.
    pub fn settings(&self, setting: usize) -> &Settings {
        self.models[setting].settings()
    }

    /// The generation of all.
    pub fn profile(&self) -> &'static Profile {
        self.models[0].profile()
    }

    /// What [`Model::counted`] says of one setting.
    pub fn counted(&self, setting: usize) -> usize {
        self.numbers.all(setting)
    }

    /// What [`Model::protected`] says of one setting.
    pub fn protected(&self, setting: usize) -> u64 {
        self.numbers.protected(setting)
    }

    /// What [`Grid::counted`] says of each setting; of those that there are not, 0.
    #[inline(always)]
    pub fn all_counted(&self) -> [u32; Self::MOST] {
        self.numbers.all_of_each()
    }

    /// What [`Grid::protected`] says of each setting; of those that there are not, 0.
    #[inline(always)]
    pub const fn all_protected(&self) -> [u32; Self::MOST] {
        self.numbers.protected_of_each()
    }

    /// One setting's counters by their kernel names, since the beginning.
    pub fn counters(&self, setting: usize) -> Counters {
        let mut counters = self.models[setting].counters;
        let Pending { unwritten, evicted, .. } = self.pending;
        let pending = [(Counter::Drop, unwritten), (Counter::EarlyDrop, evicted)];
        for (counter, numbers) in pending {
            if numbers[setting] > 0 {
                counters.add(counter, numbers[setting].into());
            }
        }
        counters
    }

    /// A census of each setting's entries, in the order of the settings: one walk over the table for all of them.
    pub fn occupancies(&self) -> Vec<Occupancy> {
        let live = self.numbers.without(&self.table.expired_shared(self.now()));
        let each = 0..self.models.len();
        each.map(|seat| live.classes(seat).occupancy(self.counted(seat))).collect()
    }

    /// What [`Grid::occupancies`] says of one setting.
    pub fn occupancy(&self, setting: usize) -> Occupancy {
        self.occupancies()[setting]
    }

    /// Status and state of an entry that a step of the last packet names.
    pub fn condition(&self, id: EntryId) -> Option<(Status, State)> {
        self.table.condition(id)
    }

    /// One setting's model, with a table of its own.
    pub fn part(&self, setting: usize) -> Model {
        let mut model = self.models[setting].clone();
        model.classes = self.numbers.classes(setting);
        model.note_pending(self.pending.unwritten[setting], self.pending.evicted[setting]);
        model.defragmenter = self.models[0].defragmenter.clone();
        let meant = model.settings.laid_out_for();
        model.table = self.table.part(setting, model.settings.buckets, meant);
        model
    }

    /// Lets time pass, as [`Model::advance`] does.
    #[inline]
    pub fn advance(&mut self, to: Time) {
        if self.models[0].ticks_by(to) {
            self.tick(to);
        }
    }

    #[inline(never)]
    fn tick(&mut self, to: Time) {
        let Pending { unwritten, evicted, .. } = core::mem::take(&mut self.pending);
        for seat in self.all {
            self.models[seat].note_pending(unwritten[seat], evicted[seat]);
        }
        let model = &self.models[0];
        if model.ticks_at(to) / FAR > model.ticks / FAR {
            self.table.renew(model.now());
        }
        for seat in self.all {
            let model = &mut self.models[seat];
            if model.collector.is_due(model.ticks_at(to)) {
                self.lend(seat, |model| model.tick(to));
            } else {
                model.tick(to);
            }
        }
    }

    fn now(&self) -> Jiffies {
        self.models[0].now()
    }

    /// Lends the table to one setting's model.
    fn lend<T>(&mut self, seat: usize, then: impl FnOnce(&mut Model) -> T) -> T {
        let model = &mut self.models[seat];
        model.classes = self.numbers.classes(seat);
        model.table.recount(self.numbers.all(seat));
        self.table.trade(&mut model.table);
        let done = then(model);
        debug_assert_eq!(model.classes.all(), model.table.len() as u64, "a class was not told");
        self.table.trade(&mut model.table);
        self.numbers.set(seat, model);
        done
    }

    /// Feeds packets, as [`Model::batch`] does.
    ///
    /// # Panics
    ///
    /// In a debug build, where a packet's treatment names a helper, or a zone of one direction: a grid knows neither, and would treat it
    /// as one without a helper in a zone of both.
    pub fn batch<'a>(
        &mut self,
        arrivals: &[Arrival<'a>],
        mut each: impl FnMut(&Self, &Arrival<'a>, &Steps),
    ) {
        let mut spots = [Spot::without(Way::Nowhere); ON_THE_WAY];
        for seen in 0..arrivals.len() + ON_THE_WAY {
            let place = seen % ON_THE_WAY;
            // The one that leaves makes room for the one that comes.
            if let Some(arrival) = seen.checked_sub(ON_THE_WAY).map(|going| &arrivals[going]) {
                self.advance(arrival.at);
                self.settle(&arrival.packet, &spots[place], &arrival.treatment);
                each(self, arrival, &self.steps);
            }
            if let Some(arrival) = arrivals.get(seen) {
                let Treatment { helper, zone, .. } = arrival.treatment;
                debug_assert!(helper.is_none() && !zone.is_one_way(), "no grid knows that");
                self.approach(arrival, &mut spots[place]);
            }
            let reached = seen.wrapping_sub(AHEAD);
            if reached < arrivals.len() {
                self.reach(&spots[reached % ON_THE_WAY]);
            }
        }
    }

    /// Asks for the line of the index that a packet needs; where it is looked up.
    #[inline(always)]
    fn approach(&self, arrival: &Arrival<'_>, spot: &mut Spot) {
        match arrival.packet.fragment {
            None => self.models[0].see_in(&self.table, &arrival.packet, &arrival.treatment, spot),
            Some(_) => *spot = Spot::without(Way::Fragment),
        }
        self.table.approach_all(spot);
    }

    /// Asks for the entries that a packet needs, its line being there.
    #[inline(always)]
    fn reach(&self, spot: &Spot) {
        self.table.reach_shared(spot, self.full(), self.buckets);
    }
}

/// Whether a grid knows all that a generation does under such settings, limits and timeouts aside.
fn is_shared(profile: &Profile, settings: &Settings) -> bool {
    profile.collector != CollectorKind::Timers
        && buckets(profile.early_drop).is_some()
        && !(settings.accounting || settings.helpers || settings.log_invalid != 0)
        && !is_far(settings.ticks(settings.longest()))
}

/// An entry is gone from some settings, which is counted.
#[inline(never)]
fn deleted(models: &mut [Model], seats: Seats) {
    for seat in seats {
        models[seat].counters.add(Counter::Delete, 1);
    }
}
