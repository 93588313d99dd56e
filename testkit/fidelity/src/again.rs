//! What both sides saw, once more and many packets at once: through a model, and through a grid in which the kernel's settings
//! stand beside seven others. What the kernel's settings come to there is compared with the kernel; each of the others with a model of its
//! own, packet by packet.

use std::fmt;

use plimsoll_ct::Time;
use plimsoll_model::{Arrival, Config, Grid, Model, SettingError, Step, Treatment};
use plimsoll_wire::packet::parse_ip;

use crate::kernel::{Classes, class};

/// A packet, when it came, and what the rules did to it.
type Packet = (Time, Vec<u8>, Treatment);

/// Packets in their order.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    packets: Vec<Packet>,
    /// What changed between them, and in front of which packet.
    changes: Vec<(usize, Change)>,
}

/// What changes while packets flow.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A setting, by its name.
    Setting(String, u64),
    /// Both policies go.
    Policies,
}

impl Change {
    /// A setting's name and value have to be ones that the model knows.
    pub(crate) fn of(&self, model: &mut Model) -> Result<(), SettingError> {
        match self {
            Self::Setting(name, value) => {
                let mut set = Ok(());
                model.change(|own| set = own.set(name, *value));
                set
            }
            Self::Policies => {
                (0..2).for_each(|place| model.remove_policy(place));
                Ok(())
            }
        }
    }
}

/// What the packets came to once more.
pub(crate) struct Again {
    /// What led them.
    pub(crate) led_by: &'static str,
    pub(crate) model: Model,
    pub(crate) classes: Classes,
}

/// What a setting of the grid comes to, and does not alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Apart {
    /// Limit and timeouts.
    setting: String,
    /// Packet, from 0.
    packet: usize,
    what: String,
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, packet, what } = self;
        write!(f, "in a grid and alone, {setting}, packet {packet}: {what}")
    }
}

/// Of the grid: so many that no chain is too long, and so few that many entries share one.
const BUCKETS: u64 = 4096;

/// A limit, and timeouts by name.
type Others = (Option<u64>, &'static [(&'static str, u64)]);

/// Beside the kernel's: limits alone.
const LIMITS: [Others; 7] = [
    (Some(1), &[]),
    (Some(2), &[]),
    (Some(7), &[]),
    (Some(33), &[]),
    (Some(100), &[]),
    (Some(250), &[]),
    (Some(600), &[]),
];

/// Timeouts, and limits.
const TIMEOUTS: [Others; 7] = [
    (None, &[("nf_conntrack_tcp_timeout_established", 0), ("nf_conntrack_udp_timeout", 0)]),
    (None, &[("nf_conntrack_tcp_timeout_syn_sent", 0), ("nf_conntrack_icmp_timeout", 0)]),
    (
        None,
        &[
            ("nf_conntrack_tcp_timeout_close", 1),
            ("nf_conntrack_tcp_timeout_unacknowledged", 0),
            ("nf_conntrack_sctp_timeout_cookie_wait", 0),
        ],
    ),
    (Some(40), &[("nf_conntrack_tcp_timeout_max_retrans", 0), ("nf_conntrack_generic_timeout", 0)]),
    (Some(90), &[("nf_conntrack_tcp_timeout_last_ack", 0)]),
    (Some(3), &[("nf_conntrack_udp_timeout_stream", 0)]),
    (Some(3), &[]),
];

impl Seen {
    /// A packet that both sides saw.
    pub(crate) fn note(&mut self, at: Time, packet: &[u8], treatment: &Treatment) {
        self.packets.push((at, packet.to_vec(), *treatment));
    }

    /// From here on a setting or the policies are others.
    pub(crate) fn change(&mut self, change: Change) {
        self.changes.push((self.packets.len(), change));
    }

    pub(crate) const fn len(&self) -> usize {
        self.packets.len()
    }

    /// Through a model that saw nothing yet; `loopback` does to it what the router sends to itself.
    pub(crate) fn in_batches(
        &self,
        mut model: Model,
        loopback: impl Fn(&mut Model, &Arrival<'_>),
    ) -> Result<Again, SettingError> {
        let mut classes = Classes::default();
        let mut from = 0;
        let changes = self.changes.iter().map(|(at, change)| (*at, Some(change)));
        for (to, change) in changes.chain([(self.packets.len(), None)]) {
            let arrivals = arrivals(&self.packets[from..to]);
            for some in arrivals.chunk_by(|a, b| !a.treatment.local && !b.treatment.local) {
                if let [arrival] = some
                    && arrival.treatment.local
                {
                    loopback(&mut model, arrival);
                    continue;
                }
                for some in some.chunks(self.at_once()) {
                    model.batch(some, |_, _, step| count(&mut classes, step));
                }
            }
            change.map_or(Ok(()), |change| change.of(&mut model))?;
            from = to;
        }
        Ok(Again { led_by: "in batches", model, classes })
    }

    /// Packets at once: other numbers with other flows.
    fn at_once(&self) -> usize {
        self.packets.len() % 67 + 1
    }

    /// Through a grid, if there is one for them: settings of a grid never change. `config` is the kernel's, `timeouts` says whether the
    /// timeouts in it are the kernel's own. And where a setting parts from itself alone.
    pub(crate) fn in_grid(
        &self,
        config: &Config,
        timeouts: bool,
    ) -> Option<(Again, Option<Apart>)> {
        let unfit = |treatment: &Treatment| {
            treatment.local
                || treatment.helper.is_some()
                || treatment.zone.is_one_way()
                // A policy has the timeouts of when it was made.
                || treatment.policy.is_some() && !timeouts
        };
        if !self.changes.is_empty() || self.packets.iter().any(|(_, _, treatment)| unfit(treatment))
        {
            return None;
        }
        let mut config = config.clone();
        config.settings.buckets = BUCKETS;
        let others = if self.packets.len().is_multiple_of(2) { &LIMITS } else { &TIMEOUTS };
        let own = self.packets.len() % (others.len() + 1);
        let mut configs: Vec<Config> =
            others.iter().map(|others| beside(&config, others)).collect::<Option<_>>()?;
        configs.insert(own, config);
        let mut grid = Grid::new(&configs)?;
        let mut alone: Vec<Model> = configs.into_iter().map(Model::new).collect();
        let (mut classes, mut apart, mut packet) = (Classes::default(), None, 0);
        for some in arrivals(&self.packets).chunks(self.at_once()) {
            grid.batch(some, |grid, arrival, steps| {
                count(&mut classes, &steps.of(own));
                for (setting, model) in alone.iter_mut().enumerate() {
                    let step = model.packet(arrival.at, &arrival.packet, &arrival.treatment);
                    let (shared, single) = (named(&steps.of(setting)), named(&step));
                    let counts = [
                        (grid.counted(setting), grid.protected(setting)),
                        (model.counted(), model.protected()),
                    ];
                    if shared != single || counts[0] != counts[1] {
                        let what = format!("{shared:?} {single:?} {counts:?}");
                        apart.get_or_insert_with(|| told(model, packet, what));
                    }
                }
                packet += 1;
            });
        }
        for (setting, model) in alone.iter().enumerate() {
            let part = grid.part(setting);
            if part.snapshot() != model.snapshot() || part.counters() != model.counters() {
                let what = format!("{:?} {:?}", part.counters(), model.counters());
                apart.get_or_insert_with(|| told(model, packet, what));
            }
        }
        Some((Again { led_by: "in a grid", model: grid.part(own), classes }, apart))
    }
}

fn arrivals(packets: &[Packet]) -> Vec<Arrival<'_>> {
    let parsed = packets.iter().filter_map(|(at, packet, treatment)| {
        let packet = parse_ip(packet).ok()?;
        Some(Arrival { at: *at, packet, treatment: *treatment })
    });
    parsed.collect()
}

fn count(classes: &mut Classes, step: &Step) {
    if let Some(class) = class(step) {
        classes[class] += 1;
    }
}

/// The numbers of entries aside.
fn named(step: &Step) -> (Step, bool) {
    (Step { entry: None, ..*step }, step.entry.is_some())
}

fn told(model: &Model, packet: usize, what: String) -> Apart {
    let settings = model.settings();
    let setting =
        format!("max {} {:?} udp {:?}", settings.max, settings.tcp_timeouts, settings.udp);
    Apart { setting, packet, what }
}

fn beside(config: &Config, (max, timeouts): &Others) -> Option<Config> {
    let mut config = config.clone();
    config.settings.max = max.unwrap_or(config.settings.max);
    for (name, seconds) in *timeouts {
        config.settings.set(name, *seconds).ok()?;
    }
    Some(config)
}
