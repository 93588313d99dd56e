//! Redirects of IPv6 as a router on the link sends them, and as none does.

use std::net::{IpAddr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::errors::{Change, change};
use super::{flows, streams};
use crate::forge;
use crate::scripts::{Flow, Hosts, Step, Way, message};

/// A redirect.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// It goes to the server.
    pub to_server: bool,
    /// From an address of its link (the highest 16 bits), or from the other host.
    pub from: Option<u16>,
    /// Code.
    pub code: u8,
    /// Hop limit.
    pub hops: u8,
    /// What stands behind the two addresses.
    pub options: Vec<Part>,
    /// It ends after so many octets behind them.
    pub cut: Option<u8>,
}

/// An option of it.
#[derive(Debug, Clone)]
pub enum Part {
    /// The packet of this place from the last, with changes; another length than its own, in units of eight octets.
    Quoted(u8, Vec<Change>, Option<u8>),
    /// Of this type, so many units long as it says, with so many octets.
    Other(u8, u8, u8),
}

impl Part {
    fn append(&self, sent: &[Vec<u8>], hosts: Hosts, options: &mut Vec<u8>) {
        match self {
            Self::Quoted(about, changes, units) => {
                let place = sent.len().checked_sub(1 + usize::from(*about));
                let mut inner = place.and_then(|p| sent.get(p)).cloned().unwrap_or_default();
                changes.iter().for_each(|change| change.apply(&mut inner, hosts));
                inner.resize(inner.len().next_multiple_of(8), 0);
                options.extend([4, units.unwrap_or((1 + inner.len() / 8) as u8), 0, 0, 0, 0, 0, 0]);
                options.extend(inner);
            }
            Self::Other(kind, units, octets) => {
                let end = options.len() + usize::from(*octets);
                options.extend([*kind, *units]);
                options.resize(end.max(options.len()), 7);
            }
        }
    }
}

impl Redirect {
    pub(in crate::scripts) fn packet(&self, sent: &[Vec<u8>], hosts: Hosts) -> Option<Vec<u8>> {
        let (other, to) = hosts.ends(!self.to_server);
        // An address that no other flow has: the kernel keeps incomplete datagrams.
        let IpAddr::V6(client) = hosts.client else { return None };
        let [.., own, flow] = client.segments();
        let from =
            self.from.map_or(other, |high| Ipv6Addr::new(high, 0, 0, 0, 0, 5, own, flow).into());
        let next: IpAddr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9).into();
        let mut body = Vec::new();
        for address in [next, other] {
            if let IpAddr::V6(v6) = address {
                body.extend(v6.octets());
            }
        }
        let mut options = Vec::new();
        self.options.iter().for_each(|part| part.append(sent, hosts, &mut options));
        options.truncate(self.cut.map_or(options.len(), usize::from));
        body.extend(options);
        // In place of an identifier and a number: reserved.
        let mut packet = forge::icmp(from, to, 137, self.code, 0, &body);
        packet[7] = self.hops;
        Some(packet)
    }
}

fn redirect() -> impl Strategy<Value = Step> {
    let from = prop_oneof![
        6 => Just(Some(0xfe80u16)),
        1 => Just(Some(0xfebf)),
        1 => Just(Some(0xfec0)),
        1 => Just(Some(0x2001)),
        1 => Just(None),
    ];
    let hops = prop_oneof![6 => Just(255u8), 1 => Just(64), 1 => Just(254)];
    let units = prop_oneof![4 => Just(None), 1 => (0u8..8).prop_map(Some)];
    let quoted = (0u8..3, vec(change(), 0..2), units)
        .prop_map(|(about, changes, units)| Part::Quoted(about, changes, units));
    let kind = prop_oneof![3 => Just(2u8), 1 => Just(4), 1 => 0u8..40];
    let part = prop_oneof![
        4 => quoted,
        1 => (kind, 0u8..4, prop_oneof![Just(8u8), 0u8..24])
            .prop_map(|(kind, units, octets)| Part::Other(kind, units, octets)),
    ];
    let code = prop_oneof![8 => Just(0u8), 1 => any::<u8>()];
    let cut = prop_oneof![5 => Just(None), 1 => (0u8..80).prop_map(Some)];
    (any::<bool>(), from, code, hops, vec(part, 0..3), cut).prop_map(
        |(to_server, from, code, hops, options, cut)| {
            Step::Redirect(Redirect { to_server, from, code, hops, options, cut })
        },
    )
}

pub(super) fn conversations() -> BoxedStrategy<Flow> {
    let messages = vec(message::message().prop_map(Step::Message), 1..5);
    let spoken = prop_oneof![3 => messages.boxed(), 1 => streams::connection().boxed()];
    let steps =
        (spoken, vec((any::<u8>(), redirect()), 1..8)).prop_map(|(mut steps, redirects)| {
            for (place, redirect) in redirects {
                let at = 1 + usize::from(place) % steps.len().max(1);
                steps.insert(at.min(steps.len()), redirect);
            }
            steps
        });
    flows(steps).prop_map(|flow| Flow { way: Way::V6, ..flow }).boxed()
}
