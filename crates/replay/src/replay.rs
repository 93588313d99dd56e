//! The same packets through one or several models.

#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{Counters, Entry, Profile, State, TcpState, Time};
use plimsoll_model::{Arrival, Config, Model, Occupancy, Settings, Treatment, What};
use plimsoll_wire::capture::Record;
use plimsoll_wire::packet::{LinkType, NoPacket, Packet, network_layer, parse_ip, plain_packet};

use crate::doubts::{Doubts, TCP};
use crate::outcome::Outcome;
use crate::rules::Rules;
use crate::shared::{self, Attends, Notes, Part, Shared, Went};
use crate::tally::Tally;
use crate::timeline::{Clock, Timeline};

/// One way of setting things, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// What is different about it, in words.
    pub label: &'a str,
    /// Its limit: 0 may mean none.
    pub max: u64,
    part: Part<'a>,
    pub(crate) notes: &'a Notes,
    pub(crate) seat: usize,
    /// How full its table was when, if it was sampled.
    pub timeline: &'a Timeline,
}

impl Run<'_> {
    /// The generation.
    pub fn profile(&self) -> &'static Profile {
        self.part.profile()
    }

    /// Its settings; [`Run::max`] says its limit.
    pub fn settings(&self) -> &Settings {
        self.part.settings()
    }

    /// Its counters by their kernel names.
    pub fn counters(&self) -> Counters {
        self.part.counters()
    }

    /// Its live entries, in the order of their original tuples.
    pub fn snapshot(&self) -> Vec<Entry> {
        self.part.snapshot()
    }
}

/// Captured frames through the model, under one or several settings: [`Replay::feed`], then [`Replay::finish`], then
/// [`Replay::outcomes`] or [`Replay::runs`]. Settings that differ in limit and timeouts only share one table
/// ([`plimsoll_model::Grid`]); what comes of each is the same.
///
/// ```
/// use plimsoll_model::ct::{Bytes, Profile, Time};
/// use plimsoll_model::wire::capture::Record;
/// use plimsoll_model::{Config, Settings};
/// use plimsoll_replay::{Replay, Rules};
///
/// let profile = Profile::named("6.18").expect("a known profile");
/// let mut replay = Replay::new(
///     [1, 65_536].map(|max| {
///         let settings = Settings { max, ..Settings::of(profile, Bytes(8 << 30)) };
///         (format!("max={max}"), Config::new(profile, settings))
///     }),
///     Rules::default(),
/// );
///
/// // Two DNS queries, from the ports 4096 and 4097; wire::capture::Records reads them out of a capture's bytes.
/// for port in [0, 1] {
///     let query = [
///         0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
///         0x10, port, 0, 53, 0, 8, 0, 0, // UDP
///     ];
///     let record = Record {
///         time: Some(Time::from_secs(0)),
///         link: 101, // LINKTYPE_RAW: IP without a frame around it
///         length: 28,
///         bytes: &query,
///     };
///     replay.feed(&[record]);
/// }
/// replay.finish(None);
/// let lost: Vec<_> = replay.outcomes().iter().map(|o| (o.label.clone(), o.lost)).collect();
/// assert_eq!(lost, [("max=1".into(), 1), ("max=65536".into(), 0)]);
/// ```
#[derive(Debug, Clone)]
pub struct Replay {
    labels: Vec<String>,
    tables: Vec<Shared>,
    /// Whether a model has lines of the log about single packets,
    complaining: bool,
    /// and by which interface they say that these came in.
    interface: String,
    rules: Rules,
    tally: Tally,
    doubts: Doubts,
    /// Whether occupancy is sampled, and the clock once there is a first time.
    sampling: bool,
    clock: Option<Clock>,
    /// When the next sample is due: never, if there is none.
    due: Time,
    first: Option<Time>,
    /// Of the last record; before the first one later than any, since that is none to compare with.
    latest: Time,
}

/// Packets that go through the models together.
const AT_ONCE: usize = 256;

/// A longer silence is told of, in nanoseconds.
const A_DAY: u64 = 86_400_000_000_000;

impl Replay {
    /// A model for each configuration, all fed alike; `rules` is what the ruleset does to packets.
    pub fn new(
        configs: impl IntoIterator<Item = (String, Config)>,
        rules: impl Into<Rules>,
    ) -> Self {
        let (labels, configs): (Vec<_>, Vec<_>) = configs.into_iter().unzip();
        let rules: Rules = rules.into();
        Self {
            labels,
            complaining: configs.iter().any(|config| config.settings.log_invalid != 0),
            interface: String::new(),
            tables: shared::tables(configs, rules.are_special()),
            rules,
            tally: Tally::default(),
            doubts: Doubts::default(),
            sampling: false,
            clock: None,
            due: Time(i64::MAX),
            first: None,
            latest: Time(i64::MAX),
        }
    }

    /// Feeds captured frames in the order of their times, any number of them. How many come at once changes
    /// nothing but the speed.
    pub fn feed(&mut self, records: &[Record<'_>]) {
        if !self.complaining {
            return self.feed_all(records);
        }
        for record in records {
            self.feed_all(core::slice::from_ref(record));
            let Some(link) = LinkType::from_number(record.link) else { continue };
            let mut told = false;
            for model in self.tables.iter_mut().filter_map(Shared::model_mut) {
                told |= model.describe(link, record.bytes, &self.interface);
            }
            let cut = told && read(record).is_ok_and(|packet| packet.is_cut());
            self.tally.log_cut += u64::from(cut);
        }
    }

    /// Names the interface by which packets came in: lines of the log about single packets (`nf_conntrack_log_invalid`) have
    /// it, and a capture does not tell.
    pub fn name_interface(&mut self, name: &str) {
        self.interface = name.into();
    }

    fn feed_all(&mut self, records: &[Record<'_>]) {
        let began = self.latest;
        self.tally.frames += records.len() as u64;
        let mut places = Vec::with_capacity(records.len().min(AT_ONCE));
        let mut rest = records;
        while !rest.is_empty() {
            let before = places.len();
            let last = write_down(rest, &mut places, &self.rules.every, self.latest, self.due);
            self.latest = last;
            rest = &rest[places.len() - before..];
            if places.len() == AT_ONCE {
                self.pass(&mut places);
                places.clear();
            } else if let Some((record, others)) = rest.split_first() {
                rest = others;
                let at = match record.time {
                    Some(time) if time >= self.latest => time,
                    Some(_) | None => self.odd_time(record),
                };
                self.latest = at;
                if at >= self.due {
                    self.pass(&mut places);
                    places.clear();
                    self.sample_until(at);
                }
                let treatment = self.rules.every;
                match read(record) {
                    Ok(packet) => places.push(Arrival { at, packet, treatment }),
                    Err(why) => self.tally.refused(why, record.link),
                }
            }
        }
        self.pass(&mut places);
        let began = if began.0 == i64::MAX { self.first.unwrap_or(began) } else { began };
        if self.latest.0.abs_diff(began.0) > A_DAY {
            self.look_for_silence(records, began);
        }
    }

    /// Among records the last of which came more than a day behind the one before them.
    #[inline(never)]
    fn look_for_silence(&mut self, records: &[Record<'_>], began: Time) {
        let before = self.tally.frames - records.len() as u64;
        let mut last = began;
        for (record, frame) in records.iter().zip(before + 1..) {
            let Some(at) = record.time.filter(|&at| at > last) else { continue };
            let gap = at.0.abs_diff(last.0);
            if gap > A_DAY.max(self.tally.gap) {
                (self.tally.gap, self.tally.gap_before) = (gap, frame);
            }
            last = at;
        }
    }

    /// Of the first record, and of one without a time or with an earlier one.
    #[inline(never)]
    fn odd_time(&mut self, record: &Record<'_>) -> Time {
        let last = if self.first.is_some() { self.latest } else { Time(0) };
        let at = match record.time {
            None => {
                self.tally.untimed += 1;
                last
            }
            Some(time) if self.first.is_some() && time < last => {
                self.tally.backwards += 1;
                let by = last.0.abs_diff(time.0);
                self.tally.backwards_by = self.tally.backwards_by.max(by);
                last
            }
            Some(time) => time,
        };
        self.first.get_or_insert(at);
        at
    }

    /// Leads packets through all models.
    fn pass(&mut self, arrivals: &mut Vec<Arrival<'_>>) {
        let (tally, doubts) = (&mut self.tally, &mut self.doubts);
        tally.sift(arrivals);
        if !self.rules.are_none() {
            for arrival in &mut *arrivals {
                arrival.treatment = self.rules.look(&arrival.packet);
            }
        }
        let before = self.tables.len();
        // What the copies that leave a table have seen before.
        let mut starts: Vec<usize> = Vec::new();
        let mut at = 0;
        while at < self.tables.len() {
            let mut seen = at.checked_sub(before).map_or(0, |new| starts[new]);
            loop {
                let table = &mut self.tables[at];
                let attends = if doubts.are_open() { Attends::All } else { Attends::Insertions };
                let rest = &arrivals[seen..];
                let (more, copies) = table.pass(rest, 0, attends, |arrival, went| {
                    // Once the model has lost a packet, its own table is the cause of what does not fit.
                    doubts.look(arrival.at, &arrival.packet, &went);
                    if went.step().what == What::Inserted {
                        tally.picked_up += u64::from(is_picked_up(&arrival.packet, &went));
                    }
                });
                seen += more;
                if copies.is_empty() {
                    break;
                }
                starts.extend(copies.iter().map(|_| seen));
                self.tables.extend(copies);
            }
            at += 1;
        }
    }

    /// Samples the occupancy of every run from now on: [`Run::timeline`]. Each sample looks at all entries.
    pub fn sample(&mut self) {
        self.sampling = true;
        self.due = self.clock.map_or(Time(i64::MIN), |clock| clock.next);
    }

    fn sample_until(&mut self, now: Time) {
        if !self.sampling {
            return;
        }
        let clock = self.clock.get_or_insert(Clock::new(now));
        if now < clock.next {
            return;
        }
        clock.make_room(now, self.tables.iter_mut().flat_map(Shared::timelines));
        // Behind the last moment that there is, there is no next one.
        while clock.next <= now && clock.next.0 < i64::MAX {
            for table in &mut self.tables {
                table.advance(clock.next);
                table.sample(clock.next);
            }
            clock.step();
        }
        self.due = clock.next;
    }

    /// Lets time pass in all runs up to the last frame, IP or not, or to a later moment: the collectors run when they are
    /// due. A last sample is taken there.
    pub fn finish(&mut self, to: Option<Time>) {
        let Some((_, last)) = self.span() else { return };
        let now = to.map_or(last, |to| to.max(last));
        self.sample_until(now);
        for table in &mut self.tables {
            table.advance(now);
            if self.sampling {
                table.sample(now);
            }
        }
    }

    /// What was read so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether each of the configurations has lost a packet.
    pub fn all_lose(&self) -> bool {
        self.tables.iter().all(Shared::all_lose)
    }

    /// What the capture may show otherwise than it was.
    pub const fn doubts(&self) -> &Doubts {
        &self.doubts
    }

    /// The runs as they stand, one for each configuration, in their order.
    pub fn runs(&self) -> Vec<Run<'_>> {
        let run = |number: usize| {
            let (max, part, notes, seat) =
                self.tables.iter().find_map(|table| table.run(number))?;
            let timeline = notes.timelines.get(seat)?;
            Some(Run { label: &self.labels[number], max, part, notes, seat, timeline })
        };
        (0..self.labels.len()).filter_map(run).collect()
    }

    /// How full the table of each run is: one census for all of those that share one.
    pub fn occupancies(&self) -> Vec<Occupancy> {
        let each: Vec<Vec<Occupancy>> = self.tables.iter().map(Shared::occupancies).collect();
        let of = |number: usize| {
            let mut tables = self.tables.iter().zip(&each);
            tables.find_map(|(table, all)| all.get(table.run(number)?.3).copied())
        };
        (0..self.labels.len()).filter_map(of).collect()
    }

    /// The model of the first configuration, to listen to it. Its table is its own from then on, unless it is the
    /// same as that of others.
    pub fn first_mut(&mut self) -> Option<&mut Model> {
        let place = self.tables.iter().position(|table| table.is_of(0))?;
        match self.tables[place].leave(0) {
            Some(own) => {
                self.tables.push(own);
                self.tables.last_mut()?.model_mut()
            }
            None => self.tables[place].model_mut(),
        }
    }

    /// Tables that the settings stand in: one for eight, where they can share it.
    pub const fn tables(&self) -> usize {
        self.tables.len()
    }

    /// First and last time.
    pub fn span(&self) -> Option<(Time, Time)> {
        Some((self.first?, self.latest))
    }

    /// What came of it, one for each configuration, in their order.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.runs().iter().map(Outcome::of).collect()
    }
}

/// Writes down what `records` begin with, as far as it is plain packets, no more than [`AT_ONCE`] are there, none is earlier than the
/// one before, the first of which came at `last`, and none so late that something is due. When the last one came.
#[inline(never)]
fn write_down<'a>(
    records: &[Record<'a>],
    places: &mut Vec<Arrival<'a>>,
    every: &Treatment,
    mut last: Time,
    due: Time,
) -> Time {
    for record in records.iter().take(AT_ONCE - places.len()) {
        let Some(at) = record.time.filter(|&at| at >= last && at < due) else { break };
        let Some(packet) = plain_packet(record.link, record.bytes) else { break };
        places.push(Arrival { at, packet, treatment: *every });
        last = at;
    }
    last
}

/// Whether a packet that made an entry did so in the middle of a TCP flow.
fn is_picked_up(packet: &Packet<'_>, went: &Went<'_>) -> bool {
    const SYN: u8 = 2;
    if packet.protocol != TCP {
        return false;
    }
    let opens = packet.payload.get(13).is_some_and(|flags| flags & SYN != 0);
    let entry = if opens { None } else { went.condition() };
    entry.is_some_and(|(_, state)| state == State::Tcp(TcpState::Established))
}

/// Whether a frame was cut within the headers of a packet that conntrack would see, so that it is left out.
pub fn is_cut_within_headers(record: &Record<'_>) -> bool {
    match read(record) {
        Ok(packet) => packet.lacks_header(),
        Err(why) => why == NoPacket::Truncated,
    }
}

/// The packet in a frame.
#[inline(never)]
fn read<'a>(record: &Record<'a>) -> Result<Packet<'a>, NoPacket> {
    let link = LinkType::from_number(record.link).ok_or(NoPacket::UnknownLink)?;
    parse_ip(network_layer(link, record.bytes)?)
}
