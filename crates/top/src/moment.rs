//! What is known of one moment.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_ct::{Entries, Time};
use plimsoll_diagnosis::{Load, Rate, Rates, Said};
use plimsoll_flows::{Filter, Group, Keys, Lacks, Order, Tally};

/// Whose entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of every namespace.
    All,
    /// Those of some, by inode, and what they are called.
    Some(Vec<u64>, Said),
}

/// What is asked of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whose entries.
    pub scope: Scope,
    /// Which.
    pub filter: Filter,
    /// By what they are added up.
    pub keys: Keys,
    /// Which groups come first.
    pub order: Order,
}

/// One moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When.
    pub at: Time,
    /// The namespaces, as far as they are shown: the fullest first.
    pub spaces: Vec<Space>,
    /// How many there are.
    pub namespaces: usize,
    /// Entries of all of them.
    pub entries: u64,
    /// The last reading of the table's entries, or why there is none.
    pub table: Result<Arc<Table>, Arc<Said>>,
}

/// The load of one namespace.
#[derive(Debug, Clone)]
pub struct Space {
    /// What it is called.
    pub name: Said,
    /// Inode.
    pub inode: Option<u64>,
    /// The load line.
    pub load: Load,
    /// Change of the count, per second.
    pub growth: Rate,
    /// Packets dropped, per second.
    pub drop: Rate,
    /// Entries evicted in the packet path, per second.
    pub early_drop: Rate,
    /// Packets lost at insertion, per second.
    pub insert_failed: Rate,
    /// Packets that could not be tracked, per second.
    pub invalid: Rate,
    /// At this growth the limit comes in so many seconds.
    pub full_in: Option<f64>,
}

impl Space {
    /// From what the diagnosis says, with the parts of the last reading.
    pub fn new(
        name: &Said,
        inode: Option<u64>,
        load: Load,
        rates: &Rates,
        full_in: Option<f64>,
        split: Option<&Split>,
    ) -> Self {
        Self {
            name: name.clone(),
            inode,
            load: split.map_or(load, |split| split.carried(load)),
            growth: rates.growth.clone(),
            drop: rates.drop.clone(),
            early_drop: rates.early_drop.clone(),
            insert_failed: rates.insert_failed.clone(),
            invalid: rates.invalid.clone(),
            full_in,
        }
    }
}

/// The parts of one namespace's table, as they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// The count when they were read.
    pub count: u64,
    /// What was read.
    pub tally: Tally,
    /// Whether that was all.
    pub complete: bool,
}

impl Split {
    /// The load of a later moment: the count is that moment's, its parts are in the proportion in which they were read.
    fn carried(&self, load: Load) -> Load {
        let Some(count) = load.count else { return load };
        // Of a whole reading what is counted but not listed keeps its place; a part stands for all.
        let then =
            if self.complete { self.count.max(self.tally.entries) } else { self.tally.entries };
        let up = |part: u64| {
            let product = u128::from(part) * u128::from(count.get());
            let then = u128::from(then.max(1));
            Some(Entries(u64::try_from((product + then / 2) / then).unwrap_or(u64::MAX)))
        };
        Load {
            evictable: up(self.tally.evictable),
            closing: up(self.tally.closing),
            protected: up(self.tally.protected),
            sampled: Some(Entries(self.tally.entries)),
            complete: self.complete,
            ..load
        }
    }
}

/// One reading of the table's entries, added up.
#[derive(Debug, Clone)]
pub struct Table {
    /// When.
    pub at: Time,
    /// What was asked.
    pub question: Question,
    /// The heaviest groups.
    pub groups: Vec<Group>,
    /// How many groups there are.
    pub all_groups: usize,
    /// How many entries a group may have beyond what is said; 0: none.
    pub error: u64,
    /// All entries that the filter lets through.
    pub total: Tally,
    /// Entries read.
    pub seen: u64,
    /// Those that could not be judged.
    pub unknown: u64,
    /// For want of what.
    pub lacks: Lacks,
    /// The share of the table that was read, when it was not all.
    pub share: Option<f64>,
    /// Which way it was read.
    pub reader: &'static str,
    /// Why not a faster way, what could not be read.
    pub remarks: Vec<Said>,
    /// Whether entries of the namespace carry counters, which not every reader tells.
    pub accounting: bool,
    /// How long it is from one reading to the next.
    pub every: Duration,
}

impl Table {
    /// A number of entries read, as a number of entries of the table.
    pub fn up(&self, entries: u64) -> u64 {
        match self.share {
            Some(share) if share > 0.0 => (entries as f64 / share + 0.5) as u64,
            Some(_) | None => entries,
        }
    }
}

/// A namespace to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it is called.
    pub name: Said,
    /// Inode.
    pub inode: u64,
    /// Entries, where they are known.
    pub entries: Option<u64>,
}
