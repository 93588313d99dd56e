//! The same packets under several settings, over one table.
//!
//! Up to eight settings that differ in limit and timeouts only. What a tracker makes of a packet hangs on neither, so
//! an entry that one packet made under several settings stands once, and a packet of it is judged once:
//! [`crate::table::Seats`] says in which settings it stands. Each setting has its own counters, log, collector, and
//! its own view of the table, through which its collector and its early drop meet what they would meet in a table of their own.
//! What comes of a packet is what comes of it in a [`Model`] alone, step by step.

mod lasting;
mod numbers;
mod room;
mod steps;

pub use steps::Steps;

use alloc::vec::Vec;

use plimsoll_ct::{Class, CollectorKind, Counter, CounterSource, Counters, Profile, Status, Time};
use plimsoll_wire::packet::{Acknowledgement, Packet, behind_extensions, parse_acknowledgement};

use crate::batch::{AT_ONCE, Arrival};
use crate::classes::Classes;
use crate::defrag::Gathered;
use crate::early_drop::buckets;
use crate::entry::{Memory, Slot};
use crate::error::Icmp;
use crate::key::Key;
use crate::life::info;
use crate::model::{Config, Model, Prepared, alone, refreshed};
use crate::plain::{Way, plain_datagram, udp_length_fits};
use crate::settings::Settings;
use crate::snapshot::{Census, Occupancy};
use crate::step::{Fate, Info, Step, Treatment, Verdict, What};
use crate::table::{EntryId, Expiries, Extras, Found, Glance, Probe, SEATS, Seats, Spot, Table};
use crate::tcp::{Direction, EntryView, Tcp};
use crate::ticks::Jiffies;
use crate::trackers::{Judged, Judgement};
use lasting::Lasting;
use numbers::Numbers;
use room::Unwritten;

/// See the module.
#[derive(Debug, Clone)]
pub struct Grid {
    table: Table,
    /// One for each setting, with a stand-in for its table.
    models: Vec<Model>,
    all: Seats,
    /// Timeouts of the short ways by number, and by setting.
    lasting: Lasting,
    steps: Steps,
    /// Neighbouring buckets that early drop looks at.
    buckets: usize,
    numbers: Numbers,
    unwritten: Unwritten,
}

impl Grid {
    /// Settings of one grid at most.
    pub const MOST: usize = SEATS;

    /// Whether two configurations can stand in one grid: they differ in limit and timeouts only (not those of
    /// GRE and of fragments), their kernel has a collector, and there is neither accounting nor a helper, and nobody complains in the log.
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
            && is_shared(a.profile, &a.settings)
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
        let highest = configs.iter().map(|config| config.settings.max).max()?;
        let same = |config: &Config| {
            Settings { max: 0, ..config.settings.clone() }
                == Settings { max: 0, ..first.settings.clone() }
        };
        let uniform = configs.iter().all(same);
        // Where timeouts differ, entries of one tuple stand beside each other.
        let meant = if uniform { highest } else { highest.saturating_mul(2) };
        let table = Table::new(first.settings.buckets, meant, first.hash_key);
        let mut models: Vec<Model> = configs.iter().cloned().map(Model::new).collect();
        for (seat, model) in models.iter_mut().enumerate() {
            model.table = Table::stand_in(seat, 0);
        }
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
            && model.events.is_none();
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
        table.share(all, uniform);
        let steps = Steps::new(Step::new(Info::Untracked, Verdict::Accept));
        let buckets = models.first().and_then(|model| buckets(model.profile.early_drop));
        let (lasting, numbers) = (Lasting::of(&models), Numbers::of(&models));
        let (buckets, unwritten) = (buckets.unwrap_or(0), Unwritten::default());
        Self { table, lasting, models, all, steps, buckets, numbers, unwritten }
    }

    /// One setting.
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

    /// One setting's counters by their kernel names, since the beginning.
    pub fn counters(&self, setting: usize) -> Counters {
        let mut counters = self.models[setting].counters;
        let unwritten = self.unwritten.packets[setting];
        if unwritten > 0 {
            counters.add(Counter::Drop, unwritten.into());
        }
        counters
    }

    /// A census of one setting's entries.
    pub fn occupancy(&self, setting: usize) -> Occupancy {
        let model = &self.models[setting];
        let mut census = Census::default();
        self.table.census_of(setting, |v| census.add(v.expires, v.class(), model.now()));
        census.occupancy(self.counted(setting))
    }

    /// Status and state of an entry that a step of the last packet names.
    pub fn entry(&self, id: EntryId) -> Option<(Status, plimsoll_ct::State)> {
        self.table.whole(id).map(|whole| (whole.slot.status, whole.slot.memory.state()))
    }

    /// One setting's model, with a table of its own.
    pub fn part(&self, setting: usize) -> Model {
        let mut model = self.models[setting].clone();
        model.classes = self.numbers.classes(setting);
        model.note_unwritten(self.unwritten.packets[setting]);
        model.defragmenter = self.models[0].defragmenter.clone();
        model.table = self.table.part(setting, model.settings.buckets, model.settings.max);
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
        let Unwritten { seats, packets } = core::mem::take(&mut self.unwritten);
        for seat in seats {
            self.models[seat].note_unwritten(packets[seat]);
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

    /// The same to look at it only.
    #[inline(always)]
    fn show<T>(&mut self, seat: usize, then: impl FnOnce(&Model) -> T) -> T {
        let model = &mut self.models[seat];
        self.table.trade(&mut model.table);
        let seen = then(model);
        self.table.trade(&mut model.table);
        seen
    }

    /// Feeds packets, as [`Model::batch`] does. No packet's treatment names a helper, or a zone of one direction.
    pub fn batch<'a>(
        &mut self,
        arrivals: &[Arrival<'a>],
        mut each: impl FnMut(&Self, &Arrival<'a>, &Steps),
    ) {
        for some in arrivals.chunks(AT_ONCE) {
            let mut spots = [Spot::without(Way::Nowhere); AT_ONCE];
            let spots = &mut spots[..some.len()];
            let full = self.full();
            self.show(0, |model| model.look_ahead(some, spots));
            let now = self.now();
            for spot in &*spots {
                self.table.reach_beside(spot, now);
            }
            if !full.is_empty() {
                self.table.reach_room(spots, full);
            }
            for (arrival, spot) in some.iter().zip(&*spots) {
                self.advance(arrival.at);
                self.settle(&arrival.packet, spot, &arrival.treatment);
                each(self, arrival, &self.steps);
            }
        }
    }

    #[inline(always)]
    fn settle(&mut self, packet: &Packet<'_>, spot: &Spot, treatment: &Treatment) {
        let short = match spot.way {
            Way::Tcp | Way::WideTcp => self.plain_tcp(packet, spot),
            Way::Udp => self.plain_udp(packet, spot),
            Way::Long | Way::Nowhere => None,
            Way::Fragment => return self.fragment(packet, treatment),
        };
        let rest = match short {
            Some((seats, step)) => {
                self.steps.all(step);
                self.all.without(seats)
            }
            None => {
                self.steps.all(Step::new(Info::Untracked, Verdict::Accept));
                self.all
            }
        };
        let rest = match spot.way {
            Way::Tcp | Way::Udp => self.lose_at_a_glance(spot, rest),
            Way::WideTcp | Way::Long | Way::Nowhere | Way::Fragment => rest,
        };
        if !rest.is_empty() {
            self.any(packet, spot, treatment, rest);
        }
    }

    fn fragment(&mut self, packet: &Packet<'_>, treatment: &Treatment) {
        let datagram;
        let (whole, treatment) = match self.models[0].gather(packet, treatment) {
            Gathered::Whole(whole) => {
                datagram = whole;
                (behind_extensions(&datagram.packet(packet)), &datagram.treatment)
            }
            Gathered::Alone => (alone(packet), treatment),
            Gathered::Kept => {
                self.steps.all(Step::new(Info::Untracked, Verdict::Stolen));
                return;
            }
        };
        let mut spot = Spot::without(Way::Nowhere);
        self.show(0, |model| model.see(&whole, treatment, &mut spot));
        self.settle(&whole, &spot, treatment);
    }

    /// The settings in which a plain TCP segment's entry is, if it takes the short way.
    #[inline(never)]
    fn plain_tcp(&mut self, packet: &Packet<'_>, spot: &Spot) -> Option<(Seats, Step)> {
        let segment = parse_acknowledgement(packet.payload, packet.payload_length)?;
        let now = self.now();
        if self.table.is_uniform()
            && spot.way == Way::Tcp
            && let usual = &self.models[0].usual
            && let Some(direction) = self.table.acknowledge(spot, &segment, usual, now)
        {
            let (id, info) = (spot.likely(), Info::established(direction));
            let seats = self.table.seats(id);
            return Some((seats, self.went(id, seats, info)));
        }
        let found = match spot.way {
            Way::Tcp => self.table.own(spot, now)?,
            _ => match self.table.glance(&spot.probe(Key::wide_of(packet)), now) {
                Glance::Found(found) => found,
                Glance::Absent | Glance::Unclear => return None,
            },
        };
        let seats = self.table.seats(found.id);
        Some((seats, self.acknowledge(&found, &segment, seats, now)?))
    }

    /// The short way of a TCP segment that only acknowledges to an entry, in settings in which it is the packet's own. `None`: it
    /// is not that simple, and nothing has changed.
    #[inline(always)]
    fn acknowledge(
        &mut self,
        found: &Found,
        segment: &Acknowledgement,
        seats: Seats,
        now: Jiffies,
    ) -> Option<Step> {
        if self.table.is_uniform() {
            let usual = &self.models[0].usual;
            if !self.table.acknowledged(found, segment, usual, now) {
                return None;
            }
        } else {
            let number = self.table.acknowledge_shared(found, segment, &self.lasting.numbered)?;
            let ticks = self.lasting.established[number as usize & 7];
            self.extend(found, seats, &ticks, now);
        }
        Some(self.went(found.id, seats, found.info()))
    }

    /// The same of a UDP datagram over IPv4.
    #[inline(never)]
    fn plain_udp(&mut self, packet: &Packet<'_>, spot: &Spot) -> Option<(Seats, Step)> {
        if !udp_length_fits(packet)? {
            return None;
        }
        let now = self.now();
        let found = self.table.own(spot, now)?;
        let seats = self.table.seats(found.id);
        Some((seats, self.refresh_udp(&found, seats, now)?))
    }

    /// The short way of a UDP datagram over IPv4 to an entry without extras, in settings in which it is the packet's own. `None`: it
    /// is not that simple, and nothing has changed.
    #[inline(always)]
    fn refresh_udp(&mut self, found: &Found, seats: Seats, now: Jiffies) -> Option<Step> {
        let (status, stream) = self.table.udp(found)?;
        let lasting = stream.left(now) < 0;
        let (lasts, info) = plain_datagram(self.models[0].behaviour.udp, found, status, lasting)?;
        let ticks = self.lasting.udp[usize::from(lasts)];
        self.extend(found, seats, &ticks, now);
        Some(self.went(found.id, seats, info))
    }

    /// Refreshes an entry in settings in which it stands.
    #[inline(always)]
    fn extend(&mut self, found: &Found, seats: Seats, ticks: &[u32; SEATS], now: Jiffies) {
        let expiries = self.table.expiries(found.id);
        let later = expiries.with(&self.refreshed(&expiries, ticks, now), seats);
        self.table.expire(found, self.table.seats(found.id), &later);
    }

    /// What a refresh makes of expiries.
    #[inline(always)]
    fn refreshed(&self, expiries: &Expiries, ticks: &[u32; SEATS], now: Jiffies) -> Expiries {
        let least = self.models[0].usual.least;
        let mut later = *expiries;
        for (expires, ticks) in later.0.iter_mut().zip(ticks) {
            *expires = refreshed(*expires, now, *ticks, least);
        }
        later
    }

    #[inline(always)]
    fn went(&mut self, id: EntryId, seats: Seats, info: Info) -> Step {
        if self.models[0].usual.counted {
            self.count(seats, Counter::Found);
        }
        let step = Step::new(info, Verdict::Accept);
        Step { entry: Some(id), what: What::Refreshed, ..step }
    }

    fn count(&mut self, seats: Seats, counter: Counter) {
        for seat in seats {
            self.models[seat].counters.add(counter, 1);
        }
    }

    fn is_counted(&self) -> bool {
        self.models[0].profile.creation == CounterSource::Counted
    }

    fn invalid(&mut self, seats: Seats) {
        self.count(seats, Counter::Invalid);
        self.steps.put(seats, Step::new(Info::Invalid, Verdict::Accept));
    }

    /// The way of any whole packet, under some of the settings.
    #[inline(never)]
    fn any(&mut self, packet: &Packet<'_>, spot: &Spot, treatment: &Treatment, seats: Seats) {
        if treatment.untracked {
            if self.is_counted() {
                self.count(seats, Counter::Ignore);
            }
            return self.steps.put(seats, Step::new(Info::Untracked, Verdict::Accept));
        }
        let Some(prepared) = self.models[0].prepare(packet, treatment) else {
            return self.invalid(seats);
        };
        if self.models[0].icmp(packet, &prepared) != Icmp::Tracked {
            for seat in seats {
                let zone = treatment.zone;
                let step = self.lend(seat, |model| model.icmp_error(packet, &prepared, zone));
                step.into_iter().for_each(|step| self.steps.put(Seats::one(seat), step));
            }
            return;
        }
        if spot.way == Way::Nowhere {
            return self.invalid(seats);
        }
        let probe = &spot.probe(Key::wide_of(packet));
        let (now, counted) = (self.now(), self.is_counted());
        let (models, numbers) = (&mut self.models, &mut self.numbers);
        let versioned = self.table.find_shared(probe, now, seats, |seats, vitals| {
            numbers.gone(seats, vitals.class());
            if counted {
                deleted(models, seats);
            }
        });
        let mut reopened = Seats::NONE;
        let segment = match spot.way {
            Way::Tcp | Way::WideTcp => parse_acknowledgement(packet.payload, packet.payload_length),
            Way::Udp | Way::Long | Way::Nowhere | Way::Fragment => None,
        };
        let udp_fits = spot.way == Way::Udp && udp_length_fits(packet) == Some(true);
        for &(ref found, seats) in versioned.found() {
            let short = segment.and_then(|segment| self.acknowledge(found, &segment, seats, now));
            let short = match spot.way {
                Way::Udp if udp_fits && self.table.extras(found.id).is_none() => {
                    self.refresh_udp(found, seats, now)
                }
                _ => short,
            };
            if let Some(step) = short {
                self.steps.put(seats, step);
                continue;
            }
            if counted {
                self.count(seats, Counter::Found);
            }
            reopened = reopened.or(self.known((probe, found), seats, packet, &prepared));
        }
        let fresh = versioned.without.or(reopened);
        if !fresh.is_empty() {
            self.fresh(probe, packet, &prepared, treatment, (fresh, reopened));
        }
    }

    /// A packet of an entry that stands in these settings. Those in which it begins a new one.
    fn known(
        &mut self,
        (probe, found): (&Probe, &Found),
        seats: Seats,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
    ) -> Seats {
        let Found { id, direction, .. } = *found;
        let before = self.table.slot(found);
        let policy = self.table.extras(id).and_then(|extras| extras.policy);
        let now = self.now();
        let mut expiries = self.table.expiries(id);
        let view = EntryView {
            assured: before.status.contains(Status::ASSURED),
            replied: before.status.contains(Status::SEEN_REPLY),
        };
        let mut slot = before;
        let mut judged = None;
        for seat in seats {
            let model = &self.models[seat];
            let timeouts = model.timeouts(policy);
            let expires = expiries.0[seat];
            let mut own = Slot { expires, ..before };
            let one = model.judge(timeouts, &mut own, direction, packet, prepared, true);
            // One setting's tracker says all but how long it lasts.
            if let (Judged::Refresh(_), Memory::Tcp(tcp)) = (one, &own.memory) {
                if !before.status.contains(Status::FIXED_TIMEOUT) {
                    let ticks = self.lasts(tcp, view, policy, seats);
                    expiries = expiries.with(&self.refreshed(&expiries, &ticks, now), seats);
                }
                (judged, slot) = (Some(one), own);
                break;
            }
            match one {
                Judged::Refresh(Judgement { ticks, .. }) => model.refresh(&mut own, ticks),
                Judged::Invalid { lower_to } => own.expires = model.lowered(own.expires, lower_to),
                Judged::Ignore | Judged::Reopen | Judged::Delete => {}
            }
            expiries.0[seat] = own.expires;
            if judged.is_none() {
                (judged, slot) = (Some(one), own);
            }
            debug_assert_eq!(slot.memory, own.memory, "a setting's tracker went elsewhere");
            if self.table.is_uniform() {
                expiries = Expiries([own.expires; SEATS]);
                break;
            }
        }
        let mut step =
            Step { entry: Some(id), ..Step::new(info(before.status, direction), Verdict::Accept) };
        match judged {
            None => return Seats::NONE,
            Some(Judged::Refresh(Judgement { assure, .. })) => {
                step.what = What::Refreshed;
                if assure {
                    slot.set(Status::ASSURED);
                }
            }
            Some(Judged::Ignore) => step.what = What::Ignored,
            Some(Judged::Invalid { .. }) => {
                self.store((probe, found), &before, &slot, (seats, &expiries));
                self.invalid(seats);
                return Seats::NONE;
            }
            Some(end @ (Judged::Reopen | Judged::Delete)) => {
                let counted = self.is_counted();
                self.table.remove_shared(id);
                let (step, reopened) =
                    (Step { entry: None, what: What::Removed, ..step }, end == Judged::Reopen);
                self.numbers.gone(seats, before.class());
                if counted {
                    deleted(&mut self.models, seats);
                }
                self.steps.put(seats, Step { reopened, ..step });
                return if reopened { seats } else { Seats::NONE };
            }
        }
        if direction == Direction::Reply {
            slot.set(Status::SEEN_REPLY);
        }
        self.store((probe, found), &before, &slot, (seats, &expiries));
        self.steps.put(seats, step);
        Seats::NONE
    }

    /// How long a TCP entry lasts whose tracker has let it live on, under some of the settings.
    #[inline(always)]
    fn lasts(&self, tcp: &Tcp, view: EntryView, policy: Option<u8>, seats: Seats) -> [u32; SEATS] {
        let settings = &self.models[0].settings.tcp;
        let plain = if policy.is_none() { self.lasting.of_tcp(tcp, view, settings) } else { None };
        plain.unwrap_or_else(|| {
            let mut ticks = [0; SEATS];
            for seat in seats {
                let model = &self.models[seat];
                let timeouts = &model.timeouts(policy).tcp_timeouts;
                ticks[seat] = model.settings.ticks(tcp.lasts(view, settings, timeouts));
            }
            ticks
        })
    }

    fn store(
        &mut self,
        (probe, found): (&Probe, &Found),
        before: &Slot,
        slot: &Slot,
        (seats, expiries): (Seats, &Expiries),
    ) {
        let (was, is) = (before.class(), slot.class());
        if was != is {
            self.numbers.change(seats, was, is);
            self.steps.note(seats);
        }
        let was = self.table.expiries(found.id);
        self.table.put(found, slot);
        self.table.expire(found, seats, expiries);
        let sooner = expiries.before(&was, seats);
        if !sooner.is_empty() {
            self.table.unsettle(probe, sooner);
        }
    }

    /// A packet that has no entry in these settings.
    fn fresh(
        &mut self,
        probe: &Probe,
        packet: &Packet<'_>,
        prepared: &Prepared<'_>,
        treatment: &Treatment,
        (seats, reopened): (Seats, Seats),
    ) {
        if !probe.has_inverse() {
            return self.invalid(seats);
        }
        let (ready, served, evicted) = self.make_room(probe, seats);
        self.steps.put(seats.without(ready).without(reopened), FULL);
        self.steps.put(seats.without(ready).and(reopened), Step { reopened: true, ..FULL });
        let Some(first) = { ready }.next() else { return };
        let policy = self.models[first].policy(packet, treatment);
        let (now, view) = (self.now(), EntryView { assured: false, replied: false });
        let made = self.models[first].open(Status::CONFIRMED, policy, packet, prepared);
        let ticks = match (&made, policy) {
            (Some(Slot { memory: Memory::Tcp(tcp), .. }), None) => {
                Some(self.lasts(tcp, view, None, ready))
            }
            (Some(_), None) if packet.protocol == UDP => Some(self.lasting.udp[0]),
            (Some(_) | None, _) => None,
        };
        let expiries = match (ticks, &made) {
            (Some(ticks), _) => Expiries(ticks.map(|ticks| now.plus(ticks))),
            (None, Some(made)) if self.table.is_uniform() => Expiries([made.expires; SEATS]),
            (None, Some(_)) => {
                let mut expiries = Expiries([now; SEATS]);
                for seat in ready {
                    let own = self.models[seat].open(Status::CONFIRMED, policy, packet, prepared);
                    expiries.0[seat] = own.map_or(now, |own| own.expires);
                }
                expiries
            }
            (None, None) => Expiries([now; SEATS]),
        };
        let mut step = Step::new(Info::New, Verdict::Accept);
        let mut put_in = Seats::NONE;
        let mut too_long = Seats::NONE;
        let mut id = None;
        match made {
            None => {
                self.count(ready, Counter::Invalid);
                step.info = Info::Invalid;
            }
            Some(slot) => {
                if self.is_counted() {
                    self.count(ready, Counter::New);
                }
                if treatment.fate == Fate::Dropped {
                    step.what = What::NotConfirmed;
                } else {
                    too_long = self.where_too_long(probe, ready);
                    put_in = ready.without(too_long);
                    self.count(too_long, Counter::ChainTooLong);
                    self.count(too_long, Counter::InsertFailed);
                }
                if !put_in.is_empty() {
                    self.enter(put_in, slot.class());
                    let extras = Extras { policy, ..Extras::default() };
                    let now = self.now();
                    id = Some(self.table.insert_shared(
                        probe,
                        &slot,
                        now,
                        extras,
                        (put_in, &expiries),
                    ));
                }
            }
        }
        let long = Step { what: What::ChainTooLong, verdict: Verdict::Drop, ..step };
        let there = Step { what: What::Inserted, entry: id, ..step };
        let told = [(too_long, long), (put_in, there), (ready.without(too_long.or(put_in)), step)];
        for (seats, step) in told {
            let mut others = seats;
            for seat in seats.and(served.or(reopened)) {
                let (reopened, evicted) = (reopened.contains(seat), evicted[seat]);
                self.steps.put(Seats::one(seat), Step { reopened, evicted, ..step });
                others = others.without(Seats::one(seat));
            }
            self.steps.put(others, step);
        }
        self.steps.note(put_in);
    }

    /// An entry of a class comes in some settings.
    fn enter(&mut self, seats: Seats, class: Class) {
        if self.is_counted() {
            self.count(seats, Counter::Insert);
        }
        self.numbers.came(seats, class);
    }
}

/// Whether a grid knows all that a generation does under such settings, limits and timeouts aside.
fn is_shared(profile: &Profile, settings: &Settings) -> bool {
    profile.collector != CollectorKind::Timers
        && buckets(profile.early_drop).is_some()
        && !(settings.accounting || settings.helpers || settings.log_invalid != 0)
}

const UDP: u8 = 17;

/// Of a packet that finds no room.
const FULL: Step = Step { what: What::TableFull, ..Step::new(Info::Invalid, Verdict::Drop) };

/// An entry is gone from some settings, which is counted.
#[inline(never)]
fn deleted(models: &mut [Model], seats: Seats) {
    for seat in seats {
        models[seat].counters.add(Counter::Delete, 1);
    }
}
