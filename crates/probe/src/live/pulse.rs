//! The pulse: counts and counters of some namespaces, read again and again, at the cost of a few files for each.

use plimsoll_diagnosis::facts::{BootFiles, Fact, Gap, Host, Namespace, Reason, Snapshot};

use super::enter::{self, Visit};
use super::namespace::{self, Light};
use super::{Chosen, Found, NamespaceSelector, Stamp, choose, host};
use plimsoll_diagnosis::said;

/// Namespaces whose pulse is taken.
#[derive(Debug)]
pub struct Pulse {
    host: Host,
    chosen: Vec<Chosen>,
}

impl Pulse {
    /// Finds the namespaces (all, when `only` is empty), and the choices that none answers to. What comes later is not in it.
    pub fn of(only: &[NamespaceSelector]) -> (Self, Vec<NamespaceSelector>) {
        let (chosen, _, unmatched) = choose(only);
        (Self { host: host::read(), chosen }, unmatched)
    }

    /// Reads counts, counters and the limit. All other facts are missing: not asked for.
    pub fn take(&self) -> Snapshot {
        let doors: Vec<&Found> = self.chosen.iter().map(|chosen| &chosen.found).collect();
        let at = Stamp::now();
        let max = namespace::limit();
        let visits = enter::each(&doors, |here, place| Light::counted(here, doors[place]));
        let namespaces = self.chosen.iter().zip(visits).filter_map(|(chosen, visit)| {
            let owners = chosen.owners.clone();
            let read = match visit {
                Visit::Read(light) => light.namespace(chosen.found.inode, owners),
                Visit::Refused(gap) => namespace::unread(chosen.found.inode, owners, &gap),
                Visit::Gone => return None,
            };
            Some(Namespace { max: max.clone(), ..read })
        });
        let asked = |what: &str| Gap {
            reason: Reason::NotAsked,
            detail: said!("{what}: not asked for", "{what}：没有要求读"),
            needs: None,
        };
        Snapshot {
            at: at.wall,
            monotonic: Some(at.monotonic),
            host: self.host.clone(),
            namespaces: namespaces.collect(),
            namespaces_complete: Fact::Missing(asked("other namespaces")),
            whole: Fact::known((), said!("the running host", "正在运行的主机")),
            log: Fact::Missing(asked("log")),
            boot: BootFiles::missing(&asked("boot files")),
            cloud: Fact::Missing(asked("cloud")),
        }
    }
}
