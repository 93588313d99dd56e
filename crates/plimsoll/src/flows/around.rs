//! From what the reader found around entries to what judging them takes.

use std::collections::BTreeMap;

use plimsoll_diagnosis::facts::Owner;
use plimsoll_flows::{Locals, Netns, Surroundings, Tells, Timeouts};
use plimsoll_probe::dead::SavedTable;
use plimsoll_probe::entries::Around;

/// Of a namespace of the running host.
pub fn live(around: Around) -> Surroundings {
    Surroundings {
        netns: Some(netns(around.inode, &around.owners)),
        timeouts: timeouts(&around.settings).with_offload(around.offload),
        locals: around.addresses.map(Locals::new),
        tells: Tells::default(),
    }
}

/// Of a table that was saved with its host.
pub fn saved(table: &SavedTable) -> Surroundings {
    Surroundings {
        netns: Some(netns(table.inode, &table.owners)),
        timeouts: timeouts(&table.settings).with_offload(table.offload),
        locals: None,
        tells: Tells::default(),
    }
}

fn timeouts(settings: &BTreeMap<String, String>) -> Timeouts {
    let number =
        |(name, value): (&'_ String, &String)| Some((name.clone(), value.trim().parse().ok()?));
    let numbers: Vec<(String, u64)> = settings.iter().filter_map(number).collect();
    Timeouts::new(numbers.iter().map(|(name, value)| (name.as_str(), *value)))
}

fn netns(inode: Option<u64>, owners: &[Owner]) -> Netns {
    let mut names: Vec<Box<str>> = Vec::new();
    for owner in owners {
        match owner {
            Owner::Initial => names.push("host".into()),
            Owner::Named(name) | Owner::Unit(name) => names.push(name.as_str().into()),
            Owner::Container { id, name, .. } => {
                names.extend(name.as_deref().map(Into::into));
                names.push(id.as_str().into());
            }
            Owner::Process { command, .. } => names.push(command.as_str().into()),
        }
    }
    names.dedup();
    Netns { inode, names }
}
