//! What comes of a packet under each setting.

use crate::step::{Step, Verdict};
use crate::table::{SEATS, Seats};

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
    evicted: Seats,
}

impl Steps {
    pub(super) const fn new(common: Step) -> Self {
        let own = [(Seats::NONE, common); SEATS];
        let (dropped, changed, evicted) = (Seats::NONE, Seats::NONE, Seats::NONE);
        Self { common, own, used: 0, begun: false, dropped, changed, evicted }
    }

    /// Under one of the settings. An entry that it names is one of the grid's.
    pub fn of(&self, setting: usize) -> &Step {
        let own = self.own[..self.used].iter().find(|(seats, _)| seats.contains(setting));
        own.map_or(&self.common, |(_, step)| step)
    }

    /// The settings under which the packet was dropped, the first one's bit being the lowest.
    pub const fn dropped(&self) -> u8 {
        self.dropped.0
    }

    /// Those under which there may be more entries now, or more that are protected, or where some were evicted.
    pub const fn changed(&self) -> u8 {
        self.changed.0
    }

    /// Those under which some were evicted.
    pub const fn evicted(&self) -> u8 {
        self.evicted.0
    }

    /// Of another packet: of each setting something will be said.
    #[inline(always)]
    pub(super) const fn begin(&mut self) {
        (self.used, self.begun) = (0, false);
        (self.dropped, self.changed, self.evicted) = (Seats::NONE, Seats::NONE, Seats::NONE);
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
        if step.evicted > 0 {
            self.note(seats);
            self.evicted = self.evicted.or(seats);
        }
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
