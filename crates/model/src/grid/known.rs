//! Packets of entries that are there, judged as a tracker does it that knows all.

use plimsoll_ct::{Counter, Status};
use plimsoll_wire::packet::Packet;

use super::{Grid, deleted};
use crate::entry::{Memory, Slot};
use crate::life::info;
use crate::step::{Step, Treatment, Verdict, What};
use crate::table::{Expiries, Found, Life, Probe, SEATS, Seats, Ticks, Version};
use crate::tcp::{Direction, EntryView};
use crate::trackers::{Judged, Judgement};

/// What a tracker makes of a packet under several settings.
struct Judgements {
    judged: Judged,
    slot: Slot,
    /// For how long it refreshes the entry under each.
    ticks: Ticks,
    /// When it expires under each, if that changes otherwise.
    expiries: Option<Expiries>,
}

impl Grid {
    /// A packet of an entry that stands in these settings. Those in which it begins a new one.
    #[inline(never)]
    pub(super) fn known(
        &mut self,
        probe: &Probe,
        version: &Version,
        packet: &Packet<'_>,
        treatment: &Treatment,
    ) -> Seats {
        let Version { ref found, seats, .. } = *version;
        let Found { id, direction, .. } = *found;
        if self.is_counted() {
            self.count(seats, Counter::Found);
        }
        let (before, now) = (self.table.slot(found), self.now());
        let Some(Judgements { judged, mut slot, ticks, expiries }) =
            self.judge(version, packet, treatment, &before)
        else {
            return Seats::NONE;
        };
        let mut step =
            Step { entry: Some(id), ..Step::new(info(before.status, direction), Verdict::Accept) };
        let life = match judged {
            Judged::Refresh(Judgement { assure, .. }) => {
                step.what = What::Refreshed;
                if assure {
                    slot.set(Status::ASSURED);
                }
                let fixed = before.status.contains(Status::FIXED_TIMEOUT);
                if fixed {
                    Life::AsBefore
                } else {
                    Life::Anew(self.table.lasts(ticks, slot.class()))
                }
            }
            Judged::Ignore => {
                step.what = What::Ignored;
                Life::AsBefore
            }
            Judged::Invalid { .. } => {
                let life = expiries.map_or(Life::AsBefore, Life::Until);
                self.table.put_shared(version, &slot);
                self.store(probe, version, (before.class(), slot.class()), &life, now);
                self.invalid(seats);
                return Seats::NONE;
            }
            Judged::Reopen | Judged::Delete => {
                self.table.remove_shared(version);
                self.numbers.gone(seats, before.class());
                if self.is_counted() {
                    deleted(&mut self.models, seats);
                }
                let reopened = judged == Judged::Reopen;
                self.steps.put(seats, Step { entry: None, what: What::Removed, reopened, ..step });
                return if reopened { seats } else { Seats::NONE };
            }
        };
        if direction == Direction::Reply {
            slot.set(Status::SEEN_REPLY);
        }
        self.table.put_shared(version, &slot);
        self.store(probe, version, (before.class(), slot.class()), &life, now);
        self.steps.put(seats, step);
        Seats::NONE
    }

    /// What the tracker of an entry that stands in these settings makes of a packet.
    #[inline(always)]
    fn judge(
        &self,
        version: &Version,
        packet: &Packet<'_>,
        treatment: &Treatment,
        before: &Slot,
    ) -> Option<Judgements> {
        let Found { id, direction, .. } = version.found;
        let prepared = self.prepared(packet, treatment);
        let policy = self.table.extras(id).and_then(|extras| extras.policy);
        let was = self.table.expiries(version);
        let (mut ticks, mut expiries) = ([0; SEATS], was);
        let mut first: Option<(Judged, Slot)> = None;
        for seat in self.all {
            let model = &self.models[seat];
            let mut own = *before;
            let timeouts = model.timeouts(policy);
            let judged = model.judge(timeouts, &mut own, direction, packet, &prepared, true);
            let (_, slot) = first.get_or_insert((judged, own));
            debug_assert_eq!(slot.memory, own.memory, "a setting's tracker went elsewhere");
            match (judged, &own.memory) {
                // One setting's tracker says all but how long it lasts.
                (Judged::Refresh(_), Memory::Tcp(tcp)) => {
                    let view = EntryView {
                        assured: before.status.contains(Status::ASSURED),
                        replied: before.status.contains(Status::SEEN_REPLY),
                    };
                    ticks = self.ticks(tcp, view, policy);
                    break;
                }
                (Judged::Refresh(judgement), _) => ticks[seat] = judgement.ticks,
                (Judged::Invalid { lower_to }, _) => {
                    expiries.0[seat] = model.lowered(was.0[seat], lower_to);
                }
                (Judged::Ignore | Judged::Reopen | Judged::Delete, _) => {}
            }
            if self.uniform {
                (ticks, expiries) = ([ticks[seat]; SEATS], Expiries([expiries.0[seat]; SEATS]));
                break;
            }
        }
        let (judged, slot) = first?;
        let expiries = Some(expiries).filter(|expiries| *expiries != was);
        Some(Judgements { judged, slot, ticks, expiries })
    }
}
