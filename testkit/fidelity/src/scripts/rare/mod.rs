//! Flows that [`super::flow`] hardly ever makes: each generator for itself, by name.

mod control;
mod errors;
mod extensions;
mod headers;
mod lite;
mod multihomed;
mod network;
mod parts;
mod redirects;
mod streams;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Flow, Step, Way, oddity};

pub use control::Piece;
pub use errors::Quote;
pub(super) use extensions::between;
pub use headers::{Header, Icmp};
pub use lite::Lite;
pub use multihomed::Chunks;
pub use parts::Part;
pub use redirects::Redirect;
pub use streams::Octets;

/// A generator: its name, and what it makes of a seed.
pub type Generator = (&'static str, fn() -> BoxedStrategy<Flow>);

/// All of them.
pub const RARE: &[Generator] = &[
    // Connections as stacks have them, over a network that loses, repeats and delays.
    ("streams", || flows(streams::connection())),
    // The same, with numbers out of place and other segments between.
    ("intruders", || flows(streams::disturbed())),
    // FTP's lines in pieces, several at once, again and out of order.
    ("ftp", || flows(control::ftp())),
    // PPTP's messages in any order, and GRE with all that its header may hold.
    ("pptp", || flows(control::pptp())),
    // SCTP from several addresses, restarted, with tags of earlier lives.
    ("sctp", || flows(multihomed::association())),
    // ICMP errors about fragments, about errors, about what is not whole, or translated.
    ("errors", || flows(errors::conversation())),
    // Redirects of IPv6, from the own link and from elsewhere.
    ("redirects", || redirects::conversations()),
    // ICMP and ICMPv6 of every type and code, protocols of every number.
    ("messages", || flows(headers::messages())),
    // Headers of IP with options, with bits that are seldom set, with octets behind the packet.
    ("headers", || headers::flows()),
    // Routing headers with segments left, fragment headers in any place, and other extensions of IPv6.
    ("extensions", || extensions::flows()),
    // Parts of datagrams in any order, of any length, again and beyond any end.
    ("parts", || flows(parts::parts())),
    // UDP-Lite whose checksum covers any part of it.
    ("coverage", || flows(lite::datagrams())),
    // GRE with keys, in versions that nobody speaks of, without a control connection.
    ("tunnels", || flows(lite::tunnels())),
];

fn flows(steps: impl Strategy<Value = Vec<Step>> + 'static) -> BoxedStrategy<Flow> {
    let way = prop_oneof![5 => Just(Way::V4), 3 => Just(Way::V6)];
    let odd = prop_oneof![4 => Just(vec![]), 1 => vec(oddity::oddity(), 1..3)];
    // Numbers that wrap around soon are as likely as others.
    let initial = prop_oneof![1 => any::<u32>(), 1 => Just(u32::MAX - 2000), 1 => Just(0)];
    let policy = prop_oneof![6 => Just(None), 1 => Just(Some(0u8))];
    (way, [initial.clone(), initial], policy, steps, odd)
        .prop_map(|(way, initial, policy, steps, odd)| Flow {
            way,
            zones: Default::default(),
            policy,
            initial,
            steps,
            odd,
        })
        .boxed()
}
