//! Whose an entry is: the process, unit, container or pod at one of its ends, as far as they are on this machine.
//!
//! Two things lead from an entry to its owner. A *socket* of the namespace that the entry is in, or of another one that
//! has the address: its file is open in a process, and the process's control group names unit, container and pod. Or, where no
//! process holds a socket (forwarded to a virtual machine, closed already), the *namespace* that has the
//! address: by interfaces and addresses of each namespace, and where several have the same address by the one at the
//! other end of a pair of interfaces. What neither leads to is not attributed; nothing is guessed.
//!
//! Taken once for the whole host, within a budget of time; then a look-up costs a fraction of a microsecond. Nothing is
//! asked of any engine or API server: names come from the node's own files.

mod addresses;
mod lookup;
mod owner;
mod processes;
mod sockets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use plimsoll_diagnosis::facts::{Gap, Reason};
use plimsoll_diagnosis::{Said, said};

use crate::live::{self, Found, Names, Visit};
use addresses::Addresses;
pub use lookup::{End, Match, Through};
use owner::Owners;
pub use owner::{Container, Owner, Process};
use sockets::Sockets;

/// Interfaces and addresses of the calling thread's namespace.
pub(crate) fn links_here() -> (Vec<plimsoll_wire::rtnetlink::Link>, Vec<IpAddr>) {
    addresses::here()
}

/// Sockets of the calling thread's namespace, with the number of their protocol.
pub(crate) fn sockets_here() -> Vec<(u8, plimsoll_wire::sock_diag::Socket)> {
    sockets::here(sockets::Ways::here())
}

/// Shows each socket that a process holds, until `take` has enough. Whether the time was over before.
pub(crate) fn each_process_socket(
    take: &mut dyn FnMut(u32, u64) -> bool,
    is_over: &dyn Fn() -> bool,
) -> bool {
    processes::sockets(take, is_over)
}

/// Everything that leads from entries to owners.
#[derive(Debug, Default)]
pub struct Attribution {
    /// Namespace by inode: its place in the other lists.
    places: BTreeMap<u64, u32>,
    sockets: Sockets,
    addresses: Addresses,
    owners: Owners,
    /// Owner of each namespace as a whole; none of the initial one.
    of_namespace: Vec<Option<u32>>,
    gaps: Vec<Gap>,
    took: Duration,
}

/// Threads that look into namespaces, at most.
const THREADS: usize = 4;

/// What was read of one namespace.
#[derive(Debug, Default)]
struct Inside {
    sockets: Vec<(u8, plimsoll_wire::sock_diag::Socket)>,
    links: Vec<plimsoll_wire::rtnetlink::Link>,
    addresses: Vec<IpAddr>,
}

impl Attribution {
    /// Looks at the whole host, at most for so long; what was not looked at stays unattributed, and
    /// [`Attribution::gaps`] says so.
    pub fn of_host(budget: Duration) -> Self {
        Self::below(budget, PathBuf::new())
    }

    /// The same with the node's files (not /proc) below another root.
    pub fn below(budget: Duration, root: PathBuf) -> Self {
        let start = Instant::now();
        let is_over = || start.elapsed() >= budget;
        let mut this = Self::default();
        let found = live::found();
        for (place, inode) in found.iter().enumerate().filter_map(|(n, f)| Some((n, f.inode?))) {
            this.places.insert(inode, place as u32);
        }
        this.look_inside(&found, &is_over);
        this.tell_twins_apart(&found, &is_over);
        this.addresses.settle();
        let late = this.sockets.find_processes(&mut this.owners, &is_over);
        let mut names = Names::below(root);
        this.name_namespaces(&found, &mut names);
        this.owners.name_processes(&mut names);
        if late {
            this.late(&Said::of("processes", "进程"));
        }
        this.took = start.elapsed();
        this
    }

    /// What could not be looked at, and why.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// How long the look took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Sockets that were found.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    fn look_inside(&mut self, found: &[Found], is_over: &(dyn Fn() -> bool + Sync)) {
        let doors: Vec<&Found> = found.iter().collect();
        let ways = sockets::Ways::here();
        let look = |doors: &[&Found]| {
            live::each(doors, |here, _| {
                if let Some(gap) = &here.outside {
                    return Err(gap.clone());
                }
                if is_over() {
                    return Ok(None);
                }
                let (links, addresses) = addresses::here();
                Ok(Some(Inside { sockets: sockets::here(ways), links, addresses }))
            })
        };
        // A dump of one namespace's connections walks past everybody's: with many namespaces, that is what takes the time.
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        let visits: Vec<_> = std::thread::scope(|scope| {
            let parts = doors.chunks(doors.len().div_ceil(threads).max(1));
            let start = |work| std::thread::Builder::new().spawn_scoped(scope, work);
            let threads: Vec<_> = parts.map(|part| (part, start(move || look(part)))).collect();
            let join = |(part, thread): (&[&Found], io::Result<ScopedJoinHandle<'_, Vec<_>>>)| {
                // Where no thread can be started any more, one after the other.
                let visits = thread.map_or_else(|_| Ok(look(part)), |thread| thread.join());
                visits.unwrap_or_else(|_| part.iter().map(|_| Visit::Gone).collect())
            };
            threads.into_iter().flat_map(join).collect()
        });
        let mut late = false;
        for (place, visit) in visits.into_iter().enumerate() {
            match visit {
                Visit::Read(Ok(Some(inside))) => {
                    let place = place as u32;
                    self.addresses.add(place, inside.links, inside.addresses);
                    self.sockets.add(place, inside.sockets);
                }
                Visit::Read(Ok(None)) => late = true,
                Visit::Read(Err(gap)) | Visit::Refused(gap) => self.gaps.push(gap),
                Visit::Gone => {}
            }
        }
        if late {
            self.late(&Said::of("network namespaces", "网络命名空间"));
        }
    }

    /// Asks each namespace with an interface whose other end may be in several what it calls those.
    fn tell_twins_apart(&mut self, found: &[Found], is_over: &(dyn Fn() -> bool + Sync)) {
        let doubtful = self.addresses.doubtful();
        let doors: Vec<&Found> =
            doubtful.iter().filter_map(|(place, _)| found.get(*place as usize)).collect();
        let mut late = false;
        let visits = live::each(&doors, |here, index| {
            let mut numbers = Vec::new();
            for other in doubtful[index].1.iter().filter(|_| here.outside.is_none()) {
                if is_over() {
                    late = true;
                    break;
                }
                let number = found.get(*other as usize).and_then(addresses::number_of);
                numbers.extend(number.map(|number| (number, *other)));
            }
            numbers
        });
        for (visit, (place, _)) in visits.into_iter().zip(&doubtful) {
            let Visit::Read(numbers) = visit else { continue };
            for (number, other) in numbers {
                self.addresses.learn(*place, number, other);
            }
        }
        if late {
            self.late(&Said::of("pairs of interfaces", "成对的接口"));
        }
    }

    fn name_namespaces(&mut self, found: &[Found], names: &mut Names) {
        self.of_namespace = found
            .iter()
            .map(|found| match found.initial {
                true => None,
                false => self.owners.of_namespace(found, names),
            })
            .collect();
    }

    fn late(&mut self, what: &Said) {
        let detail = said!(
            "attribution: the time was over before all {what} were looked at",
            "归属：时间到了，还没看完所有{what:#}"
        );
        self.gaps.push(Gap { reason: Reason::NotAsked, detail, needs: None });
    }
}
