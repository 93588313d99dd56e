//! What comes of a packet under each setting.

use crate::step::{Step, Verdict};
use crate::table::{SEATS, Seats, Ticks};

/// What came of one packet under each setting.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    /// Where nothing else is said.
    pub(super) common: Step,
    /// What is said of others, of each once.
    own: [(Seats, Step); SEATS],
    used: usize,
    /// Whether anything was said yet.
    begun: bool,
    dropped: Seats,
    changed: Seats,
    /// Those under which entries were evicted, how many, and none of others.
    evicting: Seats,
    evicted: Ticks,
}

impl Steps {
    pub(super) const fn new(common: Step) -> Self {
        let own = [(Seats::NONE, common); SEATS];
        let (dropped, changed, evicting) = (Seats::NONE, Seats::NONE, Seats::NONE);
        let evicted = [0; SEATS];
        Self { common, own, used: 0, begun: false, dropped, changed, evicting, evicted }
    }

    /// Under one of the settings. An entry that it names is one of the grid's.
    #[inline(always)]
    pub fn of(&self, setting: usize) -> Step {
        let own = self.own[..self.used].iter().find(|(seats, _)| seats.contains(setting));
        let Step { info, verdict, what, entry, reopened, .. } =
            *own.map_or(&self.common, |(_, step)| step);
        // Field by field, as it was written: a copy of all at once would wait for that.
        Step { info, verdict, what, entry, evicted: self.evicted[setting], reopened }
    }

    /// The settings under which the packet was dropped, the first one's bit being the lowest.
    pub const fn dropped(&self) -> u8 {
        self.dropped.0
    }

    /// Those under which there may be more entries now, or more that are protected, or where some were evicted.
    pub const fn changed(&self) -> u8 {
        self.changed.0
    }

    /// How many entries were evicted under each of the settings; none under those that there are not. `None`: none at all.
    #[inline(always)]
    pub fn evicted(&self) -> Option<&[u32; SEATS]> {
        (!self.evicting.is_empty()).then_some(&self.evicted)
    }

    /// Of another packet: of each setting something will be said.
    #[inline(always)]
    pub(super) const fn begin(&mut self) {
        (self.used, self.begun) = (0, false);
        (self.dropped, self.changed) = (Seats::NONE, Seats::NONE);
        if !self.evicting.is_empty() {
            (self.evicting, self.evicted) = (Seats::NONE, [0; SEATS]);
        }
    }

    /// Under some of the settings, whatever was said of them before.
    #[inline(always)]
    pub(super) fn put(&mut self, seats: Seats, step: Step) {
        if seats.is_empty() {
            return;
        }
        if self.begun {
            self.put_beside(seats, step);
        } else {
            (self.common, self.begun) = (step, true);
        }
        if step.verdict == Verdict::Drop {
            self.dropped = self.dropped.or(seats);
        }
        debug_assert_eq!(step.evicted, 0, "evicted entries are told of by themselves");
    }

    /// Under some of the settings so many entries were evicted, and none under others.
    #[inline(always)]
    pub(super) fn evict(&mut self, seats: Seats, entries: &Ticks) {
        (self.evicting, self.evicted) = (seats, *entries);
        self.note(seats);
    }

    #[inline(always)]
    fn put_beside(&mut self, seats: Seats, step: Step) {
        let mut free = self.used;
        for (n, (others, _)) in self.own[..self.used].iter_mut().enumerate() {
            *others = others.without(seats);
            if others.is_empty() {
                free = n;
            }
        }
        // Those that are left have a setting each at least.
        self.own[free] = (seats, step);
        self.used = self.used.max(free + 1);
    }

    pub(super) fn note(&mut self, seats: Seats) {
        self.changed = self.changed.or(seats);
    }
}
