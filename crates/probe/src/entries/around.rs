//! What is to be known around the entries of a namespace to judge them: names, timeouts, addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use plimsoll_diagnosis::facts::Owner;

use super::Scope;
use crate::live::{self, Visit};

/// A namespace, and what judging its entries takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// Inode; `None` when the right to read it is missing.
    pub inode: Option<u64>,
    /// What it is called, the most telling first.
    pub owners: Vec<Owner>,
    /// Its conntrack settings by bare name; empty when it could not be entered.
    pub settings: BTreeMap<String, String>,
    /// The addresses of its interfaces; `None` when it could not be entered.
    pub addresses: Option<Vec<IpAddr>>,
    /// Whether entries may come out of a flow table.
    pub offload: bool,
}

/// Looks around in the chosen namespaces.
pub fn around(scope: &Scope) -> Vec<Around> {
    let own = std::fs::metadata("/proc/thread-self/ns/net")
        .ok()
        .map(|file| std::os::unix::fs::MetadataExt::ino(&file));
    let (mut chosen, _) = live::chosen(&[]);
    chosen.retain(|(found, _)| match scope {
        Scope::Here => found.inode.is_some() && found.inode == own,
        Scope::All => true,
        Scope::Some(inodes) => found.inode.is_some_and(|inode| inodes.contains(&inode)),
    });
    let doors: Vec<_> = chosen.iter().map(|(found, _)| found).collect();
    let visits = live::each(&doors, |here, _| {
        here.outside.is_none().then(|| (live::settings_here(), addresses()))
    });
    let visits: Vec<_> = visits.into_iter().collect();
    let offload = live::offload();
    chosen
        .into_iter()
        .zip(visits)
        .map(|((found, owners), visit)| {
            let (settings, addresses) = match visit {
                Visit::Read(Some((settings, addresses))) => (settings, addresses),
                Visit::Read(None) | Visit::Refused(_) | Visit::Gone => (BTreeMap::new(), None),
            };
            Around { inode: found.inode, owners, settings, addresses, offload }
        })
        .collect()
}

/// Addresses of the interfaces of the calling thread's namespace.
fn addresses() -> Option<Vec<IpAddr>> {
    let interfaces = nix::ifaddrs::getifaddrs().ok()?;
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    };
    Some(interfaces.filter_map(address).collect())
}
