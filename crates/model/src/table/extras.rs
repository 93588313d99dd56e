//! What is known of an entry besides its tracker's memory.

use plimsoll_ct::{Class, State, Status, Zone};

use crate::helper::Helper;
use crate::key::Key;
use crate::ticks::Jiffies;

/// What few entries have.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extras {
    /// The tuple of the answers, where it is not the inverse of the other: a translation, or another zone.
    pub(crate) reply: Option<Key>,
    /// The timeout policy.
    pub(crate) policy: Option<u8>,
    /// Who reads along.
    pub(crate) helper: Option<Helper>,
    /// The entry that expected it.
    pub(crate) master: Option<Key>,
    /// A zone that is one direction's only.
    pub(crate) zone: Option<Zone>,
    /// There was a younger entry that claims some of its packets.
    pub(crate) outdone: bool,
}

impl Extras {
    pub(crate) const fn is_none(&self) -> bool {
        let Self { reply, policy, helper, master, zone, outdone } = self;
        reply.is_none()
            && policy.is_none()
            && helper.is_none()
            && master.is_none()
            && zone.is_none()
            && !*outdone
    }

    /// Whether a helper has to know of the entry's end.
    pub(crate) const fn concerns_helpers(&self) -> bool {
        self.helper.is_some() || self.master.is_some()
    }
}

/// What decides who goes first, without the rest of the entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vitals {
    pub(crate) expires: Jiffies,
    pub(crate) status: Status,
    pub(crate) state: State,
}

impl Vitals {
    pub(crate) const fn class(&self) -> Class {
        Class::of(self.status, self.state)
    }

    pub(crate) const fn is_expired(&self, now: Jiffies) -> bool {
        self.expires.left(now) <= 0
    }
}
