//! The moments of this session, in bounded memory.

use std::collections::VecDeque;
use std::sync::Arc;

use plimsoll_diagnosis::Said;

use crate::Moment;

/// Moments kept at most: an hour, one a second.
const MOMENTS: usize = 3_600;
/// Groups kept at most, over all readings; older ones are forgotten, and their moments keep the load.
const GROUPS: usize = 40_000;

/// Moments, numbered from the beginning of the session.
#[derive(Debug, Default)]
pub struct History {
    moments: VecDeque<Moment>,
    /// The number of the first that is kept.
    first: u64,
    /// Up to this number the groups are forgotten.
    bare: u64,
    groups: usize,
}

impl History {
    /// Adds the latest.
    pub fn push(&mut self, moment: Moment) {
        if self.is_new_reading(&moment) {
            self.groups += moment.table.as_ref().map_or(0, |table| table.groups.len());
        }
        self.moments.push_back(moment);
        while self.groups > GROUPS && self.bare < self.end().saturating_sub(1) {
            self.forget_groups(self.bare);
        }
        if self.moments.len() > MOMENTS {
            if self.bare <= self.first {
                self.forget_groups(self.first);
            }
            self.moments.pop_front();
            self.first += 1;
        }
    }

    /// A reading is shared by the moments until the next.
    fn is_new_reading(&self, moment: &Moment) -> bool {
        match (self.moments.back().map(|last| &last.table), &moment.table) {
            (Some(Ok(last)), Ok(new)) => !Arc::ptr_eq(last, new),
            (_, Ok(_)) => true,
            (_, Err(_)) => false,
        }
    }

    fn forget_groups(&mut self, number: u64) {
        self.bare = self.bare.max(number + 1);
        let next = self.get(number + 1).and_then(|moment| moment.table.as_ref().ok()).cloned();
        let index = (number - self.first) as usize;
        let Some(moment) = self.moments.get_mut(index) else { return };
        let forgotten = Err(Arc::new(Said::of(
            "the groups of this moment are forgotten: too long ago",
            "这一刻的分组已经忘掉了：太久以前",
        )));
        if let Ok(table) = std::mem::replace(&mut moment.table, forgotten)
            && !next.is_some_and(|next| Arc::ptr_eq(&next, &table))
        {
            self.groups -= table.groups.len();
        }
    }

    /// A moment by its number.
    pub fn get(&self, number: u64) -> Option<&Moment> {
        self.moments.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// The latest.
    pub fn last(&self) -> Option<&Moment> {
        self.moments.back()
    }

    /// The number of the first that is kept.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next one will have.
    pub fn end(&self) -> u64 {
        self.first + self.moments.len() as u64
    }

    /// The last so many before and including a number, oldest first.
    pub fn until(&self, number: u64, most: usize) -> impl Iterator<Item = &Moment> {
        let end = (number + 1).min(self.end());
        let start = end.saturating_sub(most as u64).max(self.first);
        (start..end).filter_map(|number| self.get(number))
    }
}
