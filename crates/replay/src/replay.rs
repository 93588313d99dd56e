//! The same packets through one or several models.

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_ct::{State, TcpState, Time};
use plimsoll_model::{Config, Model, Verdict, What};
use plimsoll_wire::capture::Record;
use plimsoll_wire::packet::{LinkType, NoPacket, Packet, network_layer, parse_ip};

use crate::doubts::Doubts;
use crate::outcome::{Outcome, Peaks};
use crate::rules::Rules;
use crate::tally::Tally;
use crate::timeline::{Clock, Timeline};

/// One way of setting things.
#[derive(Debug, Clone)]
pub struct Run {
    /// What is different about it, in words.
    pub label: String,
    /// Model.
    pub model: Model,
    pub(crate) peaks: Peaks,
    pub(crate) timeline: Timeline,
}

impl Run {
    /// How full its table was when, if it was sampled.
    pub const fn timeline(&self) -> &Timeline {
        &self.timeline
    }
}

/// See the crate.
#[derive(Debug, Clone)]
pub struct Replay {
    runs: Vec<Run>,
    rules: Rules,
    tally: Tally,
    doubts: Doubts,
    /// Whether occupancy is sampled, and the clock once there is a first time.
    sampling: bool,
    clock: Option<Clock>,
    first: Option<Time>,
    now: Option<Time>,
}

/// An Ethernet frame holds no longer IP packet.
const ETHERNET: u32 = 1500;

impl Replay {
    /// One model for each configuration, all fed alike; `rules` is what the ruleset does to packets.
    pub fn new(
        configs: impl IntoIterator<Item = (String, Config)>,
        rules: impl Into<Rules>,
    ) -> Self {
        let run = |(label, config)| Run {
            label,
            model: Model::new(config),
            peaks: Peaks::default(),
            timeline: Timeline::default(),
        };
        let runs = configs.into_iter().map(run).collect();
        Self {
            runs,
            rules: rules.into(),
            tally: Tally::default(),
            doubts: Doubts::default(),
            sampling: false,
            clock: None,
            first: None,
            now: None,
        }
    }

    /// Feeds one captured frame.
    pub fn feed(&mut self, record: &Record<'_>) {
        self.tally.frames += 1;
        let now = self.time(record);
        self.sample_until(now);
        match read(record) {
            Ok(packet) => self.packet(now, &packet),
            Err(why) => self.tally.refused(why),
        }
    }

    fn time(&mut self, record: &Record<'_>) -> Time {
        let last = self.now.unwrap_or(Time(0));
        let now = match record.time {
            None => {
                self.tally.untimed += 1;
                last
            }
            Some(time) if self.now.is_some() && time < last => {
                self.tally.backwards += 1;
                last
            }
            Some(time) => time,
        };
        self.first.get_or_insert(now);
        self.now = Some(now);
        now
    }

    fn packet(&mut self, now: Time, packet: &Packet<'_>) {
        self.tally.packets += 1;
        self.tally.merged += u64::from(packet.protocol == 6 && packet.length > ETHERNET);
        self.tally.sliced += u64::from(packet.payload.len() < packet.payload_length as usize);
        let treatment = self.rules.treat(packet);
        for (i, run) in self.runs.iter_mut().enumerate() {
            let step = run.model.packet(now, packet, &treatment);
            // Once the model has lost a packet, its own table is the cause of what does not fit.
            if i == 0 && run.peaks.lost == 0 {
                self.doubts.look(now, packet, &step, &run.model);
            }
            if i == 0 && run.peaks.lost == 0 && packet.protocol == 6 && step.what == What::Inserted
            {
                let entry = step.entry.and_then(|id| run.model.entry(id));
                let state = entry.map(|e| e.state);
                self.tally.picked_up += u64::from(state == Some(State::Tcp(TcpState::Established)));
            }
            run.peaks.counted = run.peaks.counted.max(run.model.counted() as u64);
            run.peaks.protected = run.peaks.protected.max(run.model.protected());
            run.peaks.evicted += u64::from(step.evicted);
            if step.verdict == Verdict::Drop {
                run.peaks.lose(now, packet);
            }
        }
    }

    /// Samples the occupancy of every run from now on: [`Run::timeline`]. Each sample looks at all entries.
    pub fn sample(&mut self) {
        self.sampling = true;
    }

    fn sample_until(&mut self, now: Time) {
        if !self.sampling {
            return;
        }
        let clock = self.clock.get_or_insert(Clock::new(now));
        if now < clock.next {
            return;
        }
        clock.make_room(now, self.runs.iter_mut().map(|run| &mut run.timeline));
        while clock.next <= now {
            for run in &mut self.runs {
                run.model.advance(clock.next);
                let (lost, evicted) = (run.peaks.lost, run.peaks.evicted);
                run.timeline.add(clock.next, run.model.occupancy(), lost, evicted);
            }
            clock.step();
        }
    }

    /// Takes a last sample at the moment of the last packet.
    pub fn finish(&mut self) {
        let Some(now) = self.now.filter(|_| self.sampling) else { return };
        for run in &mut self.runs {
            let (lost, evicted) = (run.peaks.lost, run.peaks.evicted);
            run.timeline.add(now, run.model.occupancy(), lost, evicted);
        }
    }

    /// Lets time pass in all runs, to a moment that no packet marks: the collectors run when they are due.
    pub fn advance(&mut self, to: Time) {
        self.sample_until(to);
        for run in &mut self.runs {
            run.model.advance(to);
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

    /// The runs as they stand.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The runs, to listen to their models.
    pub fn runs_mut(&mut self) -> &mut [Run] {
        &mut self.runs
    }

    /// First and last time.
    pub fn span(&self) -> Option<(Time, Time)> {
        Some((self.first?, self.now?))
    }

    /// What came of it, one for each configuration, in their order.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.runs.iter().map(Outcome::of).collect()
    }
}

/// The packet in a frame.
fn read<'a>(record: &Record<'a>) -> Result<Packet<'a>, NoPacket> {
    let link = LinkType::from_number(record.link).ok_or(NoPacket::UnknownLink)?;
    parse_ip(network_layer(link, record.bytes)?)
}
