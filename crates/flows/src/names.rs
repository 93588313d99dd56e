//! Names that a host gives to numbers: services, protocols, labels.

use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use plimsoll_ct::Protocol;
use plimsoll_wire::names::{Label, NamedProtocol, Service};

/// What /etc/services, /etc/protocols and connlabel.conf of a host say. Empty: numbers only.
#[derive(Debug, Clone)]
pub struct Names {
    services: Vec<Service>,
    by_port: HashMap<(u8, u16), usize, FixedState>,
    protocols: Vec<NamedProtocol>,
    labels: Vec<Label>,
}

impl Default for Names {
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new(), Vec::new())
    }
}

impl Names {
    /// From what was read of the three files.
    pub fn new(services: Vec<Service>, protocols: Vec<NamedProtocol>, labels: Vec<Label>) -> Self {
        let mut by_port = HashMap::with_hasher(FixedState::with_seed(0));
        for (index, service) in services.iter().enumerate() {
            // The first line of the file wins, as with getservbyport(3).
            by_port.entry((service.protocol.number(), service.port)).or_insert(index);
        }
        Self { services, by_port, protocols, labels }
    }

    /// What a port of a protocol is called.
    pub fn service(&self, protocol: Protocol, port: u16) -> Option<&str> {
        let index = self.by_port.get(&(protocol.number(), port))?;
        self.services.get(*index).map(|service| &*service.name)
    }

    /// The places of a service; none when no one is called so.
    pub fn places(&self, name: &str) -> Vec<(Protocol, u16)> {
        let mut places: Vec<(Protocol, u16)> = self
            .services
            .iter()
            .filter(|s| *s.name == *name || s.aliases.iter().any(|alias| **alias == *name))
            .map(|service| (service.protocol, service.port))
            .collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// A protocol by its name.
    pub fn protocol(&self, name: &str) -> Option<Protocol> {
        let called = |p: &&NamedProtocol| {
            p.name.eq_ignore_ascii_case(name)
                || p.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
        };
        self.protocols.iter().find(called).map(|p| Protocol::from_number(p.number))
    }

    /// A protocol's name where conntrack has none for it.
    pub fn protocol_name(&self, protocol: Protocol) -> Option<&str> {
        self.protocols.iter().find(|p| p.number == protocol.number()).map(|p| &*p.name)
    }

    /// The bit of a label.
    pub fn label(&self, name: &str) -> Option<u16> {
        self.labels.iter().find(|label| *label.name == *name).map(|label| label.bit)
    }

    /// The label of a bit.
    pub fn label_name(&self, bit: u16) -> Option<&str> {
        self.labels.iter().find(|label| label.bit == bit).map(|label| &*label.name)
    }

    pub(crate) fn service_names(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|service| &*service.name)
    }

    pub(crate) fn label_names(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|label| &*label.name)
    }

    pub(crate) fn protocol_names(&self) -> impl Iterator<Item = &str> {
        self.protocols.iter().map(|protocol| &*protocol.name)
    }
}
