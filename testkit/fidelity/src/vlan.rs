//! Frames with tags (802.1Q, 802.1ad) at a router with VLANs, and VLANs upon VLANs: which of them reach its IP layer.
//!
//! Packets take all tags that lead there in turn, so that a flow's go through many VLANs. In front of each comes one, copied, whose tags
//! lead nowhere: the kernel passes it by, and the model is not told of it.

use std::io;

use plimsoll_wire::packet::parse_ip;

use crate::kernel::ip;
use crate::run::running;

/// A tag: its ethertype, and the VLAN's number with its priority in front.
pub type Tag = (u16, u16);

const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;
/// Priority 5, may be dropped.
const HURRIED: u16 = 0xb000;

/// The router's VLANs, each upon the one whose tags it has but for the last.
const VLANS: &[&[Tag]] = &[
    &[(Q, 100)],
    &[(Q, 100), (Q, 200)],
    &[(Q, 100), (Q, 200), (AD, 300)],
    &[(Q, 100), (Q, 200), (AD, 300), (Q, 400)],
    &[(Q, 100), (Q, 200), (AD, 300), (Q, 400), (Q, 500)],
    &[(Q, 100), (Q, 200), (AD, 300), (Q, 400), (Q, 500), (Q, 600)],
    &[(Q, 100), (Q, 200), (AD, 300), (Q, 400), (Q, 500), (Q, 600), (Q, 700)],
    &[(AD, 300)],
    &[(AD, 300), (Q, 100)],
    &[(Q, 4094)],
];

/// A tag of number 0 has a priority only: these lead to no VLAN, but to the interface itself.
const PRIORITY_ONLY: &[&[Tag]] =
    &[&[], &[(Q, 0)], &[(Q, HURRIED)], &[(AD, 0)], &[(Q, 0), (Q, 0)], &[(AD, 0), (Q, HURRIED)]];

/// Other tags than their own that lead to VLANs.
const AROUND: &[&[Tag]] = &[
    &[(Q, HURRIED | 100)],
    &[(Q, 0), (Q, 100)],
    &[(Q, 100), (Q, 0)],
    &[(AD, 300), (Q, 0), (Q, 100)],
    &[(Q, 100), (Q, 0), (AD, 0), (Q, 200)],
];

/// Tags that lead nowhere.
const NOWHERE: &[&[Tag]] = &[
    &[(Q, 101)],
    &[(AD, 100)],
    &[(Q, 300)],
    &[(Q, 4095)],
    &[(Q, 200), (Q, 100)],
    &[(Q, 100), (AD, 200)],
    &[(Q, 100), (Q, 201)],
    &[(Q, 100), (Q, 200), (Q, 300)],
    &[(Q, 0), (Q, 101)],
    &[(0x9100, 100)],
    &[(0x9100, 0)],
];

/// Tags in turn.
#[derive(Debug)]
pub struct Tags {
    leading: Vec<&'static [Tag]>,
    turn: usize,
    /// This kernel gathers the parts of an IPv6 datagram that come by one interface: seen on 5.10, and not on 6.1.
    gathers_apart: bool,
    /// Frames that were sent, by their tags' number.
    pub sent: [usize; 8],
    /// Frames that led nowhere.
    pub nowhere: usize,
}

impl Tags {
    /// Gives the router, in whose namespace the thread is, its VLANs. Where the kernel has none, as it says then, tags lead to the
    /// router that have a priority only.
    pub(crate) fn new() -> io::Result<(Self, Option<io::Error>)> {
        let mut refused = None;
        for (place, tags) in VLANS.iter().enumerate() {
            if let Err(error) = make(place, tags) {
                refused = Some(error);
                break;
            }
        }
        let all = [PRIORITY_ONLY, AROUND, VLANS];
        let all = if refused.is_some() { &all[..1] } else { &all };
        let gathers_apart = running()?.from < (6, 1);
        let leading = all.concat();
        Ok((Self { leading, turn: 0, gathers_apart, sent: [0; 8], nowhere: 0 }, refused))
    }

    /// From the first ones on.
    pub(crate) fn begin(&mut self) {
        self.turn = 0;
    }

    /// Tags that lead nowhere, and tags that lead to the router, for a packet.
    pub(crate) fn next(&mut self, packet: &[u8]) -> [&'static [Tag]; 2] {
        self.turn += 1;
        // What no link takes with its tags goes without.
        let fits = |tags: &&[Tag]| packet.len() + 4 * tags.len() <= usize::from(u16::MAX);
        let one = |of: &[&'static [Tag]]| Some(of[self.turn % of.len()]).filter(fits);
        let gathered = self.gathers_apart && is_part(packet);
        let leading = if gathered { PRIORITY_ONLY } else { &self.leading };
        let [nowhere, leading] = [NOWHERE, leading].map(one);
        self.nowhere += usize::from(nowhere.is_some());
        let leading = leading.unwrap_or_default();
        self.sent[leading.len()] += 1;
        [nowhere.unwrap_or_default(), leading]
    }
}

fn is_part(packet: &[u8]) -> bool {
    parse_ip(packet).is_ok_and(|packet| packet.source().is_ipv6() && packet.fragment.is_some())
}

/// Makes the VLAN of that place.
fn make(place: usize, tags: &[Tag]) -> io::Result<()> {
    let Some(((kind, id), below)) = tags.split_last() else { return Ok(()) };
    let below = VLANS.iter().position(|tags| *tags == below);
    let below = below.map_or("rc".into(), |place| format!("v{place}"));
    let kind = if *kind == Q { "802.1Q" } else { "802.1ad" };
    ip(&format!("link add link {below} name v{place} type vlan proto {kind} id {id}"))?;
    ip(&format!("link set v{place} up"))
}
