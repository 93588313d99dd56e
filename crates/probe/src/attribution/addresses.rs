//! Which namespace has which address, and which are joined by a pair of interfaces.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use plimsoll_wire::rtnetlink::{self, Link};

use crate::live::Found;
use crate::table::{Dump, Part, Step};

#[derive(Debug, Default)]
pub(super) struct Addresses {
    places: BTreeMap<IpAddr, Vec<u32>>,
    /// Numbers of an interface and of its other end in another namespace, and the namespaces with such a one.
    pairs: BTreeMap<(u32, u32), Vec<u32>>,
    links: BTreeMap<u32, Vec<(u32, u32, i32)>>,
    /// Number of another namespace in a namespace, to which one it is: where the interfaces' numbers do not tell.
    numbers: BTreeMap<(u32, i32), u32>,
    /// Of each namespace with such an interface, one of those that interfaces join it to, the same for all of them.
    islands: BTreeMap<u32, u32>,
}

/// The initial namespace, which is found first.
const INITIAL: u32 = 0;

impl Addresses {
    pub fn add(&mut self, place: u32, links: Vec<Link>, addresses: Vec<IpAddr>) {
        for address in addresses.into_iter().filter(|address| !is_everywhere(address)) {
            let places = self.places.entry(address).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        }
        for link in links {
            let (Some(other), Some(number)) = (link.other, link.elsewhere) else { continue };
            self.pairs.entry((link.index, other)).or_default().push(place);
            self.links.entry(place).or_default().push((link.index, other, number));
        }
    }

    /// Whether the namespace itself has the address.
    pub fn is_of(&self, place: u32, address: IpAddr) -> bool {
        is_everywhere(&address)
            || self.places.get(&address).is_some_and(|places| places.contains(&place))
    }

    /// The other namespace that has the address, if only one can be meant. One that no interfaces join to this, over
    /// whichever others, is never meant: it has an address that somebody outside has as well.
    pub fn elsewhere(&self, place: u32, address: IpAddr) -> Option<u32> {
        if is_everywhere(&address) {
            return None;
        }
        let joined = |other: &u32| *other != place && self.island(*other) == self.island(place);
        let others = self.places.get(&address)?.iter().copied().filter(joined);
        let others: Vec<u32> = others.collect();
        if let [only] = others[..] {
            return Some(only);
        }
        let near = self.neighbours(place);
        let mut near = others.into_iter().filter(|other| near.contains(other));
        near.next().filter(|_| near.next().is_none())
    }

    fn island(&self, place: u32) -> u32 {
        self.islands.get(&place).copied().unwrap_or(place)
    }

    /// Notes which namespaces interfaces join, once all is known of them.
    pub fn settle(&mut self) {
        let mut islands: BTreeMap<u32, u32> = BTreeMap::new();
        for place in self.links.keys().copied() {
            for near in self.neighbours(place) {
                let of = |place| islands.get(&place).copied().unwrap_or(place);
                let (one, other) = (of(place), of(near));
                islands.entry(place).or_insert(one);
                islands.entry(near).or_insert(other);
                if one != other {
                    islands.values_mut().filter(|island| **island == other).for_each(|i| *i = one);
                }
            }
        }
        self.islands = islands;
    }

    /// Namespaces at the other end of a pair of interfaces, or where the one below an interface is.
    fn neighbours(&self, place: u32) -> BTreeSet<u32> {
        let links = self.links.get(&place).into_iter().flatten();
        links.flat_map(|link| self.ends(place, *link)).collect()
    }

    /// Where the other end of an interface may be: in namespaces that have one with its number, unless it is known which.
    fn ends(&self, place: u32, (index, other, number): (u32, u32, i32)) -> Vec<u32> {
        match self.numbers.get(&(place, number)) {
            Some(known) => vec![*known],
            None => {
                let ends = self.pairs.get(&(other, index)).into_iter().flatten();
                ends.copied().filter(|end| *end != place).collect()
            }
        }
    }

    /// Namespaces with an interface whose other end may be in several, and those: each network that is laid out like
    /// its neighbour gives its interfaces the same numbers. What has no other end (macvlan) lies over an interface of the
    /// initial namespace, most likely.
    pub fn doubtful(&self) -> Vec<(u32, Vec<u32>)> {
        let mut doubtful: Vec<_> = self
            .links
            .iter()
            .map(|(place, links)| {
                let ends = links.iter().map(|link| self.ends(*place, *link));
                let several = ends
                    .filter(|ends| ends.len() != 1)
                    .flat_map(|ends| if ends.is_empty() { vec![INITIAL] } else { ends })
                    .filter(|end| end != place);
                (*place, several.collect::<BTreeSet<u32>>().into_iter().collect::<Vec<_>>())
            })
            .filter(|(_, ends)| !ends.is_empty())
            .collect();
        doubtful.sort_unstable();
        doubtful
    }

    /// What another namespace is called in one.
    pub fn learn(&mut self, place: u32, number: i32, other: u32) {
        self.numbers.insert((place, number), other);
    }
}

/// Loopback and link-local addresses mean another place in each namespace.
fn is_everywhere(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

/// Interfaces and addresses of the calling thread's namespace.
pub(super) fn here() -> (Vec<Link>, Vec<IpAddr>) {
    let (mut links, mut addresses) = (Vec::new(), Vec::new());
    dump(&rtnetlink::links(), &mut |payload| links.extend(rtnetlink::link(payload).ok()));
    dump(&rtnetlink::addresses(), &mut |payload| {
        addresses.extend(rtnetlink::address(payload).ok().flatten());
    });
    (links, addresses)
}

/// The number of another namespace in the calling thread's.
pub(super) fn number_of(other: &Found) -> Option<i32> {
    let door = other.doors().find_map(|door| {
        let file = File::open(door).ok()?;
        (Some(file.metadata().ok()?.ino()) == other.inode).then_some(file)
    })?;
    let mut number = None;
    let request = rtnetlink::number_of(door.as_raw_fd());
    let mut answer = Dump::start(Part::Route, &request).ok()?;
    let _ = answer.next(&mut |payload| {
        number = rtnetlink::number(payload).ok().flatten();
        false
    });
    number
}

fn dump(request: &[u8], take: &mut dyn FnMut(&[u8])) {
    let Ok(mut dump) = Dump::start(Part::Route, request) else { return };
    let mut each = |payload: &[u8]| {
        take(payload);
        true
    };
    while let Ok(Step::More | Step::Overrun) = dump.next(&mut each) {}
}
