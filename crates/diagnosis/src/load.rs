//! The load line of one namespace, and the names of namespaces.

use alloc::format;

use plimsoll_ct::{Entries, Profile};

use crate::Load;
use crate::Said;
use crate::facts::{Census, Host, Namespace, Owner};
use crate::words;

/// The load line. A split that was read from a part of the table is scaled up to the count; one that
/// was read to the end is given as it was read, since the count may hold expired entries as well.
pub(crate) fn load(host: &Host, namespace: &Namespace) -> Load {
    // The limit is one value for the whole host on every kernel so far, so the host's stands for a
    // namespace whose own reading failed.
    let max = namespace.max.get().or_else(|| host.global_max.get().map(Entries));
    let mut load = Load { count: namespace.count.get(), max, ..Load::default() };
    let Some(census) = namespace.census.value() else {
        return load;
    };
    load.sampled = Some(Entries(census.seen));
    load.complete = census.complete;
    let Some(scale) = Scale::of(census, load.count) else {
        return load;
    };
    load.evictable = Some(Entries(scale.up(census.total.evictable)));
    load.closing = Some(Entries(scale.up(census.total.closing)));
    load.protected = Some(Entries(scale.up(census.total.protected)));
    load
}

/// How a number of entries read stands for a number of entries in the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    seen: u64,
    whole: u64,
}

impl Scale {
    /// `None` when a part of the table was read and it is not known of how many.
    pub(crate) fn of(census: &Census, count: Option<Entries>) -> Option<Self> {
        if census.complete {
            return Some(Self { seen: 1, whole: 1 });
        }
        let whole = count?.0;
        if census.seen == 0 {
            return (whole == 0).then_some(Self { seen: 1, whole: 1 });
        }
        Some(Self { seen: census.seen, whole: whole.max(census.seen) })
    }

    /// Entries in the table for so many entries read.
    pub(crate) fn up(self, entries: u64) -> u64 {
        let product = u128::from(entries) * u128::from(self.whole);
        let seen = u128::from(self.seen);
        u64::try_from((product + seen / 2) / seen).unwrap_or(u64::MAX)
    }
}

/// Entries that a full table cannot get rid of: before 4.12 the closing ones are among them.
pub(crate) fn unmovable(profile: &Profile, load: &Load) -> Option<u64> {
    let protected = load.protected?.0;
    if profile.collector_evicts {
        return Some(protected);
    }
    Some(protected.saturating_add(load.closing?.0))
}

/// What a namespace is called.
pub(crate) fn name(namespace: &Namespace) -> Said {
    match namespace.owners.first() {
        Some(owner) => owner_name(owner),
        None => match namespace.inode {
            Some(inode) => Said::name(format!("netns {inode}")),
            None => said!("a namespace without a name", "没有名字的命名空间"),
        },
    }
}

/// What an owner is called.
fn owner_name(owner: &Owner) -> Said {
    match owner {
        Owner::Initial => said!("host", "主机"),
        Owner::Named(name) => Said::name(format!("ip netns {}", words::clean(name))),
        Owner::Container { runtime, id, name } => {
            let id = words::clean(id);
            let is_hash = id.len() > 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
            let short = if is_hash { format!("{}…", &id[..12]) } else { id };
            let runtime = words::clean(runtime);
            match name {
                Some(name) => Said::name(format!("{runtime} {short} ({})", words::clean(name))),
                None => Said::name(format!("{runtime} {short}")),
            }
        }
        Owner::Unit(unit) => said!("unit {}", "服务单元 {}", words::clean(unit)),
        Owner::Process { pid, command } => {
            Said::name(format!("pid {pid} ({})", words::clean(command)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_scaled_to_the_count_without_overflow() {
        let scale = Scale { seen: 1000, whole: 1_000_000 };
        assert_eq!(scale.up(970), 970_000);
        assert_eq!(Scale { seen: 1, whole: u64::MAX }.up(u64::MAX), u64::MAX);
    }

    #[test]
    fn containers_are_shown_by_runtime_short_id_and_name() {
        let owner = Owner::Container {
            runtime: "docker".into(),
            id: "3f2a9bc1d2e4f6a8b0c2d4e6f8a0b2c4d6e8f0a2b4c6d8e0f2a4b6c8d0e2f4a6".into(),
            name: Some("nginx".into()),
        };
        assert_eq!(owner_name(&owner), "docker 3f2a9bc1d2e4… (nginx)");
    }
}
