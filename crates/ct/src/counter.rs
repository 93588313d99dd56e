//! The per-CPU statistics of conntrack, by name.
//!
//! Kernel: `ct_cpu_seq_show()` (nf_conntrack_standalone.c) and `ctnetlink_ct_stat_cpu_dump()`
//! (nf_conntrack_netlink.c). Columns changed meaning over the years, so a value is only ever found by
//! its name, and a name that a kernel does not print is absent, not zero.

use alloc::vec::Vec;
use core::fmt;

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident = $name:literal $(| $alias:literal)*;)*) => {
        /// One statistic of conntrack. All are per CPU, 32 bits wide, and wrap.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Counter {
            $($(#[$doc])* $variant,)*
        }

        impl Counter {
            /// Every counter, in the order of the proc file.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in /proc/net/stat/nf_conntrack.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// From any name it goes by: the proc header's, or that of `conntrack -S`.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name $(| $alias)* => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

counters! {
    /// Hash entries examined (to 4.8; always 0 from 4.9 to 5.14; gone since).
    Searched = "searched";
    /// Clashes at confirm that were resolved (5.15 and later; column 2 there).
    ClashResolved = "clashres" | "clash_resolve";
    /// To 4.8 lookups that hit; since then NAT found a tuple in use.
    Found = "found";
    /// Entries created (to 4.8; always 0 since).
    New = "new";
    /// Packets that could not be tracked.
    Invalid = "invalid";
    /// Packets already tracked or untracked (0 since 5.15).
    Ignore = "ignore";
    /// Entries removed (to 4.8; 0 since).
    Delete = "delete";
    /// Entries removed from the dying list (to 4.8).
    DeleteList = "delete_list";
    /// Packets dropped since a chain was too long (5.15 and later; column 8 there).
    ChainTooLong = "chainlength" | "chaintoolong" | "chain_toolong";
    /// To 4.8 entries inserted; since then inserts made through ctnetlink only.
    Insert = "insert";
    /// Packets lost since their entry could not be inserted.
    InsertFailed = "insert_failed";
    /// Packets dropped: table full, clash, allocation failure, NAT exhaustion.
    Drop = "drop";
    /// Entries evicted to make room: victims, not packets.
    EarlyDrop = "early_drop";
    /// ICMP packets that match no entry.
    IcmpError = "icmp_error" | "error";
    /// Expectations that were met.
    ExpectNew = "expect_new";
    /// Expectations added.
    ExpectCreate = "expect_create";
    /// Expectations removed.
    ExpectDelete = "expect_delete";
    /// Lookups restarted by a resize of the hash table.
    SearchRestart = "search_restart";
}

/// A value for each counter that the kernel printed. `{:?}` shows those by their names: `{drop: 3, early_drop: 1}`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    values: [Option<u64>; Counter::ALL.len()],
}

impl Counters {
    /// No counter known.
    pub const fn new() -> Self {
        Self { values: [None; Counter::ALL.len()] }
    }

    /// The value, if this kernel has the counter.
    pub const fn get(&self, counter: Counter) -> Option<u64> {
        self.values[counter as usize]
    }

    /// Sets a value.
    pub const fn set(&mut self, counter: Counter, value: u64) {
        self.values[counter as usize] = Some(value);
    }

    /// Adds to a value; an absent one becomes known.
    pub const fn add(&mut self, counter: Counter, value: u64) {
        let old = match self.values[counter as usize] {
            Some(v) => v,
            None => 0,
        };
        self.values[counter as usize] = Some(old.saturating_add(value));
    }

    /// The known ones, in the order of the proc file.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().filter_map(|&c| self.get(c).map(|v| (c, v)))
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (counter, value) in self.iter() {
            map.entry(&format_args!("{}", counter.name()), &value);
        }
        map.finish()
    }
}

/// Growth of one CPU's 32-bit counter between two readings, across at most one wrap.
///
/// Not to be used on sums over CPUs: each CPU wraps by itself.
pub const fn grown(before: u32, after: u32) -> u64 {
    after.wrapping_sub(before) as u64
}

/// One reading of the statistics: a row per possible CPU. Raw values are 32 bits wide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuCounters {
    /// Rows in the order printed.
    pub rows: Vec<Counters>,
}

impl CpuCounters {
    /// Sum over the CPUs since boot (or since each CPU's last wrap).
    pub fn sum(&self) -> Counters {
        let mut sum = Counters::new();
        for row in &self.rows {
            for (counter, value) in row.iter() {
                sum.add(counter, value);
            }
        }
        sum
    }

    /// Growth since an earlier reading of the same host, CPU by CPU, each across at most one wrap.
    /// `None` when the number of CPUs changed: then nothing can be said.
    pub fn since(&self, before: &Self) -> Option<Counters> {
        if self.rows.len() != before.rows.len() {
            return None;
        }
        let mut growth = Counters::new();
        for (now, then) in self.rows.iter().zip(&before.rows) {
            for (counter, value) in now.iter() {
                let old = then.get(counter)?;
                growth.add(counter, grown(old as u32, value as u32));
            }
        }
        Some(growth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec};

    fn row(drop: u32) -> Counters {
        let mut c = Counters::new();
        c.set(Counter::Drop, u64::from(drop));
        c
    }

    #[test]
    fn a_counter_that_wrapped_on_one_cpu_grows_by_the_difference() {
        let before = CpuCounters { rows: vec![row(u32::MAX - 1), row(5)] };
        let after = CpuCounters { rows: vec![row(3), row(6)] };
        let growth = after.since(&before).expect("same CPUs");
        assert_eq!(growth.get(Counter::Drop), Some(6));
        assert_eq!(growth.get(Counter::EarlyDrop), None);
    }

    #[test]
    fn counters_are_shown_by_the_names_of_those_that_are_known() {
        let mut some = row(3);
        some.set(Counter::EarlyDrop, 0);
        assert_eq!(format!("{some:?}"), "{drop: 3, early_drop: 0}");
        assert_eq!(format!("{:?}", Counters::new()), "{}");
    }

    #[test]
    fn another_number_of_cpus_gives_no_growth() {
        let before = CpuCounters { rows: vec![row(1)] };
        let after = CpuCounters { rows: vec![row(1), row(1)] };
        assert_eq!(after.since(&before), None);
    }
}
