//! Whose entries are, as the filter and the groups see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_ct::Entry;
use plimsoll_diagnosis::{Said, said};
use plimsoll_flows::Owner;
use plimsoll_probe::attribution::{self, Attribution};

/// Time that looking at the whole host may take.
const BUDGET: Duration = Duration::from_millis(300);

/// A look at the whole host, and the owners it led to.
pub struct Owners {
    host: Arc<Attribution>,
    at: Instant,
    /// One for each of the host's owners, by its place in memory, which it keeps as long as the look does.
    seen: BTreeMap<usize, [Owner; 1]>,
}

impl Owners {
    /// Looks.
    pub fn look() -> Self {
        Self {
            host: Arc::new(Attribution::of_host(BUDGET)),
            at: Instant::now(),
            seen: BTreeMap::new(),
        }
    }

    /// The same look, for another thread.
    pub fn share(&self) -> Self {
        Self { host: Arc::clone(&self.host), at: self.at, seen: BTreeMap::new() }
    }

    /// Looks again when the last look is old: sockets come and go.
    pub fn refresh(&mut self, age: Duration) {
        if self.at.elapsed() >= age {
            *self = Self::look();
        }
    }

    /// Whose an entry is; empty: nobody was found.
    pub fn of(&mut self, entry: &Entry) -> &[Owner] {
        match self.host.lookup(entry) {
            None => &[],
            Some(found) => self
                .seen
                .entry(std::ptr::from_ref(found.owner).addr())
                .or_insert_with(|| [owner(found.owner)]),
        }
    }

    /// What could not be looked at.
    pub fn remarks(&self) -> Vec<Said> {
        let gaps = self.host.gaps();
        let mut remarks: Vec<Said> = gaps.iter().take(2).map(|gap| gap.detail.clone()).collect();
        if gaps.len() > 2 {
            let more = gaps.len() - 2;
            remarks.push(said!(
                "{more} more gaps in whose entries are",
                "还有 {more} 处看不到条目归谁"
            ));
        }
        remarks
    }
}

fn owner(found: &attribution::Owner) -> Owner {
    let text = |name: &Arc<str>| Box::from(&**name);
    Owner {
        pid: found.process.as_ref().map(|process| process.pid),
        // It may have ended before its name was asked for.
        process: found
            .process
            .as_ref()
            .filter(|process| !process.command.is_empty())
            .map(|process| text(&process.command)),
        unit: found.unit.as_ref().map(text),
        container: found
            .container
            .as_ref()
            .map(|container| text(container.name.as_ref().unwrap_or(&container.id))),
        container_id: found.container.as_ref().map(|container| text(&container.id)),
        pod: found.pod.as_ref().map(text),
    }
}
