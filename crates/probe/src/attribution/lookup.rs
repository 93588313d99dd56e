//! From an entry to its owner.

use plimsoll_ct::{Entry, L4, Tuple};

use super::sockets::At;
use super::{Attribution, Owner};

/// Which end of the flow is the owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// It sent the first packet.
    Source,
    /// It was sent to.
    Destination,
}

/// What led to the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Through {
    /// A socket with both ends of the flow.
    Socket,
    /// A socket that takes what comes to the port.
    Port,
    /// The namespace that has the address: no process holds a socket of it.
    Namespace,
}

/// An owner that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<'a> {
    /// Whose it is.
    pub owner: &'a Owner,
    /// Which end is the owner's.
    pub end: End,
    /// How that is known.
    pub through: Through,
}

/// The ends of an entry: of the original tuple, and of the reply, which are what translation made of them.
struct Ends {
    protocol: u8,
    source: At,
    destination: At,
    /// Where answers come from: the destination after translation.
    answering: At,
    /// Where answers go to: the source after translation.
    answered: At,
}

impl Ends {
    fn of(entry: &Entry) -> Self {
        let port = |tuple: &Tuple| match tuple.l4 {
            L4::Ports { source, destination } => (source, destination),
            L4::Icmp { .. } | L4::Gre { .. } | L4::None => (0, 0),
        };
        let (original, reply) = (port(&entry.original), port(&entry.reply));
        Self {
            protocol: entry.original.protocol.number(),
            source: (entry.original.source, original.0),
            destination: (entry.original.destination, original.1),
            answering: (entry.reply.source, reply.0),
            answered: (entry.reply.destination, reply.1),
        }
    }
}

impl Attribution {
    /// Whose an entry is. `None`: neither a socket nor a namespace of this host leads to anybody.
    ///
    /// Sockets of the entry's own namespace come first, then the source's namespace, then the destination's.
    pub fn lookup(&self, entry: &Entry) -> Option<Match<'_>> {
        let here = *self.places.get(&entry.netns?)?;
        let ends = Ends::of(entry);
        let (owner, end, through) = self
            .local(here, &ends)
            .or_else(|| self.forwarded(here, &ends))
            .or_else(|| self.own_namespace(here, &ends))?;
        Some(Match { owner: self.owners.get(owner)?, end, through })
    }

    /// By a socket of this namespace.
    fn local(&self, place: u32, ends: &Ends) -> Option<(u32, End, Through)> {
        self.as_source(place, ends).or_else(|| self.as_destination(place, ends))
    }

    fn as_source(&self, place: u32, ends: &Ends) -> Option<(u32, End, Through)> {
        let Ends { protocol, source, destination, .. } = *ends;
        let exact = self.sockets.connected(place, protocol, source, destination);
        if let Some(owner) = exact {
            return Some((owner, End::Source, Through::Socket));
        }
        let own = source.1 != 0 && self.addresses.is_of(place, source.0);
        let owner = own.then(|| self.sockets.open(place, protocol, source)).flatten()?;
        Some((owner, End::Source, Through::Port))
    }

    fn as_destination(&self, place: u32, ends: &Ends) -> Option<(u32, End, Through)> {
        let Ends { protocol, source, answering, answered, .. } = *ends;
        let exact = [source, answered]
            .into_iter()
            .find_map(|remote| self.sockets.connected(place, protocol, answering, remote));
        if let Some(owner) = exact {
            return Some((owner, End::Destination, Through::Socket));
        }
        let own = answering.1 != 0 && self.addresses.is_of(place, answering.0);
        let owner = own.then(|| self.sockets.open(place, protocol, answering)).flatten()?;
        Some((owner, End::Destination, Through::Port))
    }

    /// By the namespace that has one of the addresses: its sockets, else whose it is.
    fn forwarded(&self, here: u32, ends: &Ends) -> Option<(u32, End, Through)> {
        let of = |place: u32, end| {
            let owner = *self.of_namespace.get(place as usize)?;
            Some((owner?, end, Through::Namespace))
        };
        if let Some(place) = self.addresses.elsewhere(here, ends.source.0)
            && let Some(found) = self.as_source(place, ends).or_else(|| of(place, End::Source))
        {
            return Some(found);
        }
        let place = self.addresses.elsewhere(here, ends.answering.0)?;
        self.as_destination(place, ends).or_else(|| of(place, End::Destination))
    }

    /// Of a namespace that is somebody's, everything is theirs. The host's own is nobody's.
    fn own_namespace(&self, here: u32, ends: &Ends) -> Option<(u32, End, Through)> {
        let owner = (*self.of_namespace.get(here as usize)?)?;
        let end = match self.addresses.is_of(here, ends.source.0) {
            true => End::Source,
            false if self.addresses.is_of(here, ends.answering.0) => End::Destination,
            false => return None,
        };
        Some((owner, end, Through::Namespace))
    }
}
