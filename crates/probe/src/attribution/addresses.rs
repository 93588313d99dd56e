//! Which namespace has which address, and which are joined by a pair of interfaces.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use plimsoll_wire::rtnetlink::{self, Link};

use crate::table::{Dump, Part, Step};

#[derive(Debug, Default)]
pub(super) struct Addresses {
    places: HashMap<IpAddr, Vec<u32>>,
    /// Numbers of an interface and of its other end in another namespace, and the namespaces with such a one.
    pairs: HashMap<(u32, u32), Vec<u32>>,
    links: HashMap<u32, Vec<(u32, u32)>>,
}

impl Addresses {
    pub fn add(&mut self, place: u32, links: Vec<Link>, addresses: Vec<IpAddr>) {
        for address in addresses.into_iter().filter(|address| !is_everywhere(address)) {
            let places = self.places.entry(address).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        }
        for link in links.into_iter().filter(|link| link.elsewhere) {
            let Some(other) = link.other else { continue };
            self.pairs.entry((link.index, other)).or_default().push(place);
            self.links.entry(place).or_default().push((link.index, other));
        }
    }

    /// Whether the namespace itself has the address.
    pub fn is_of(&self, place: u32, address: IpAddr) -> bool {
        is_everywhere(&address)
            || self.places.get(&address).is_some_and(|places| places.contains(&place))
    }

    /// The other namespace that has the address, if only one can be meant.
    pub fn elsewhere(&self, place: u32, address: IpAddr) -> Option<u32> {
        if is_everywhere(&address) {
            return None;
        }
        let others: Vec<u32> =
            self.places.get(&address)?.iter().copied().filter(|other| *other != place).collect();
        if let [only] = others[..] {
            return Some(only);
        }
        let near = self.neighbours(place);
        let mut near = others.into_iter().filter(|other| near.contains(other));
        near.next().filter(|_| near.next().is_none())
    }

    /// Namespaces at the other end of a pair of interfaces.
    fn neighbours(&self, place: u32) -> HashSet<u32> {
        let links = self.links.get(&place).into_iter().flatten();
        let ends = links.filter_map(|(index, other)| self.pairs.get(&(*other, *index)));
        ends.flatten().copied().filter(|other| *other != place).collect()
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

fn dump(request: &[u8], take: &mut dyn FnMut(&[u8])) {
    let Ok(mut dump) = Dump::start(Part::Route, request) else { return };
    let mut each = |payload: &[u8]| {
        take(payload);
        true
    };
    while let Ok(Step::More | Step::Overrun) = dump.next(&mut each) {}
}
