//! The same packets through one or several models.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{Counters, Entry, Profile, State, TcpState, Time};
use plimsoll_model::{Arrival, Config, Model, Occupancy, Settings, What};
use plimsoll_wire::capture::Record;
use plimsoll_wire::packet::{LinkType, NoPacket, Packet, network_layer, parse_ip};

use crate::doubts::Doubts;
use crate::outcome::Outcome;
use crate::rules::Rules;
use crate::shared::{self, Notes, Part, Shared, Went};
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

    /// A census of its table.
    pub fn occupancy(&self) -> Occupancy {
        self.part.occupancy()
    }

    /// Its live entries, in the order of their original tuples.
    pub fn snapshot(&self) -> Vec<Entry> {
        self.part.snapshot()
    }
}

/// See the crate.
#[derive(Debug, Clone)]
pub struct Replay {
    labels: Vec<String>,
    tables: Vec<Shared>,
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
const AT_ONCE: usize = 128;

/// An Ethernet frame holds no longer IP packet.
const ETHERNET: u32 = 1500;

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
    pub fn feed<'a>(&mut self, records: &[Record<'a>]) {
        let mut some = Vec::with_capacity(AT_ONCE.min(records.len()));
        let same = self.rules.same();
        self.tally.frames += records.len() as u64;
        for record in records {
            let at = match record.time {
                Some(time) if time >= self.latest => time,
                Some(_) | None => self.odd_time(record),
            };
            self.latest = at;
            if at >= self.due {
                self.pass(&mut some);
                self.sample_until(at);
            }
            match read(record) {
                Ok(packet) => {
                    self.note(&packet);
                    let treatment = same.unwrap_or_else(|| self.rules.look(&packet));
                    some.push(Arrival { at, packet, treatment });
                    if some.len() == AT_ONCE {
                        self.pass(&mut some);
                    }
                }
                Err(why) => self.tally.refused(why),
            }
        }
        self.pass(&mut some);
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
                last
            }
            Some(time) => time,
        };
        self.first.get_or_insert(at);
        at
    }

    #[inline(always)]
    fn note(&mut self, packet: &Packet<'_>) {
        self.tally.merged += u64::from(packet.protocol == 6 && packet.length > ETHERNET);
        self.tally.sliced += u64::from(packet.payload.len() < packet.payload_length as usize);
    }

    /// Leads packets through all models.
    fn pass(&mut self, arrivals: &mut Vec<Arrival<'_>>) {
        let (tally, doubts) = (&mut self.tally, &mut self.doubts);
        tally.packets += arrivals.len() as u64;
        let before = self.tables.len();
        // What the copies that leave a table have seen before.
        let mut starts: Vec<usize> = Vec::new();
        let mut at = 0;
        while at < self.tables.len() {
            let mut seen = at.checked_sub(before).map_or(0, |new| starts[new]);
            loop {
                let table = &mut self.tables[at];
                let (more, copies) = table.pass(&arrivals[seen..], 0, |arrival, went| {
                    // Once the model has lost a packet, its own table is the cause of what does not fit.
                    if !went.lost {
                        doubts.look(arrival.at, &arrival.packet, &went);
                        if went.step.what == What::Inserted {
                            tally.picked_up += u64::from(is_picked_up(&arrival.packet, &went));
                        }
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
        arrivals.clear();
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
        while clock.next <= now {
            for table in &mut self.tables {
                table.advance(clock.next);
                table.sample(clock.next);
            }
            clock.step();
        }
        self.due = clock.next;
    }

    /// Takes a last sample at the moment of the last packet.
    pub fn finish(&mut self) {
        let Some((_, now)) = self.span().filter(|_| self.sampling) else { return };
        for table in &mut self.tables {
            table.sample(now);
        }
    }

    /// Lets time pass in all runs, to a moment that no packet marks: the collectors run when they are due.
    pub fn advance(&mut self, to: Time) {
        self.sample_until(to);
        for table in &mut self.tables {
            table.advance(to);
        }
    }

    /// What was read so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
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

/// Whether a packet that made an entry did so in the middle of a TCP flow.
fn is_picked_up(packet: &Packet<'_>, went: &Went<'_>) -> bool {
    const SYN: u8 = 2;
    if packet.protocol != 6 {
        return false;
    }
    let opens = packet.payload.get(13).is_some_and(|flags| flags & SYN != 0);
    let entry = if opens { None } else { went.entry() };
    entry.is_some_and(|(_, state)| state == State::Tcp(TcpState::Established))
}

/// The packet in a frame.
#[inline(always)]
fn read<'a>(record: &Record<'a>) -> Result<Packet<'a>, NoPacket> {
    let link = LinkType::from_number(record.link).ok_or(NoPacket::UnknownLink)?;
    parse_ip(network_layer(link, record.bytes)?)
}
