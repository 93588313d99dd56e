//! The table against one that is as simple as can be.
#![allow(clippy::unwrap_used)]

use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{L4, Protocol, Status, Tuple};
use proptest::prelude::*;

use super::*;
use crate::entry::Memory;
use crate::tcp::Tcp;

/// Entries in the order in which they came.
#[derive(Default)]
struct Simple {
    entries: Vec<(Tuple, u32)>,
}

impl Simple {
    /// Of an entry that has this tuple in either direction.
    fn find(&self, tuple: &Tuple) -> Option<usize> {
        let back = inverse(tuple);
        self.entries.iter().rposition(|(own, _)| own == tuple || Some(*own) == back)
    }
}

fn inverse(tuple: &Tuple) -> Option<Tuple> {
    Key::from_tuple(tuple, 0).inverse().map(|key| key.tuple(false))
}

#[derive(Debug, Clone)]
enum Act {
    /// A packet of this flow, whose entry then lasts so long.
    Packet(Tuple, u32),
    Remove(Tuple),
    /// The collector looks at a share of the chains: from, to, in 255ths.
    Sweep(u8, u8),
    Wait(u32),
}

fn tuple() -> impl Strategy<Value = Tuple> {
    let l4 = prop_oneof![
        4 => (0..3u16, 0..3u16).prop_map(|(source, destination)| (
            Protocol::Tcp, L4::Ports { source, destination })),
        2 => (0..3u16, 0..3u16).prop_map(|(source, destination)| (
            Protocol::Udp, L4::Ports { source, destination })),
        1 => (0..3u16).prop_map(|id| (Protocol::Icmp, L4::Icmp { kind: 8, code: 0, id })),
        1 => Just((Protocol::Other(89), L4::None)),
    ];
    (0..3u8, 0..3u8, any::<bool>(), l4).prop_map(|(from, to, v6, (protocol, l4))| {
        let address = |n: u8| {
            if v6 {
                IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(n)])
            } else {
                IpAddr::from([10, 0, 0, n])
            }
        };
        Tuple { source: address(from), destination: address(to), protocol, l4 }
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (tuple(), 1..40u32).prop_map(|(tuple, lasts)| Act::Packet(tuple, lasts)),
        2 => tuple().prop_map(Act::Remove),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Act::Sweep(from, to)),
        2 => (0..10u32).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_tuples_find_an_entry_and_the_count_is_the_sum_of_the_chains(
        buckets in prop_oneof![Just(2u64), Just(8), Just(64), Just(1000)],
        max in prop_oneof![Just(0u64), Just(1), Just(50), Just(5000)],
        acts in proptest::collection::vec(act(), 0..120),
    ) {
        let mut table = Table::new(buckets, max, 77);
        let mut simple = Simple::default();
        let mut now = 0;
        for act in acts {
            match act {
                Act::Packet(tuple, lasts) => {
                    let probe = table.probe(Key::from_tuple(&tuple, 0));
                    let expires = Jiffies(now + lasts);
                    let found = table.find(&probe, None, Jiffies(now), |_| {});
                    simple.entries.retain(|(own, expires)| {
                        // What has expired may stay, but is not found.
                        *expires > now || table.locate(own).is_some()
                    });
                    let expected = simple.find(&tuple).filter(|at| simple.entries[*at].1 > now);
                    prop_assert_eq!(found.is_some(), expected.is_some());
                    let memory = Memory::Nothing;
                    let slot = Slot { status: Status::CONFIRMED, expires, memory };
                    match (found, expected) {
                        (Some(found), Some(at)) => {
                            table.put(&found, &slot);
                            simple.entries[at].1 = expires.0;
                        }
                        _ => {
                            table.insert(&probe, &slot, Jiffies(now), Extras::default());
                            simple.entries.push((tuple, expires.0));
                        }
                    }
                }
                Act::Remove(tuple) => {
                    let id = table.locate(&tuple);
                    let at = simple.find(&tuple);
                    prop_assert_eq!(id.is_some(), at.is_some());
                    if let (Some(id), Some(at)) = (id, at) {
                        table.remove(id);
                        simple.entries.remove(at);
                    }
                }
                Act::Sweep(from, to) => {
                    let share = |n: u8| table.chains() * usize::from(n) / 255;
                    let chains = share(from.min(to))..share(from.max(to));
                    // Every entry is met once, whether it is looked at or not.
                    let due = [None, Some(0), Some(20)][usize::from(from % 3)];
                    let due = due.map(|ticks| Jiffies(now + ticks));
                    let there: usize = chains.clone().map(|chain| table.walk(chain).count()).sum();
                    let mut seen = 0;
                    table.sweep(chains.clone(), due, |met, _| match met {
                        Met::Entry(leaving) => {
                            seen += 1;
                            leaving.expires.left(Jiffies(now)) <= 0
                        }
                        Met::Others { number, .. } => {
                            seen += number;
                            false
                        }
                    });
                    prop_assert_eq!(seen, there);
                    let expired = |id: EntryId| table.vitals(id).is_expired(Jiffies(now));
                    prop_assert!(!chains.flat_map(|chain| table.walk(chain)).any(expired));
                    simple.entries.retain(|(own, _)| table.locate(own).is_some());
                }
                Act::Wait(ticks) => now += ticks,
            }
            // What is stepped over is known, whatever came between.
            let due = Jiffies(now + 10);
            let (behind, Held { number, soonest, .. }) = table.quiet(0..table.chains(), 16, due);
            let quiet: Vec<EntryId> = (0..behind).flat_map(|chain| table.walk(chain)).collect();
            prop_assert_eq!(number, quiet.len());
            for id in quiet {
                let left = table.vitals(id).expires.left(due);
                prop_assert!(left > 0 && soonest.is_some_and(|soonest| soonest.left(due) <= left));
            }
            prop_assert_eq!(table.len(), simple.entries.len());
            let chains: usize = (0..table.chains()).map(|chain| table.walk(chain).count()).sum();
            prop_assert_eq!(table.len(), chains);
            prop_assert_eq!(table.len(), table.iter().count());
            for (tuple, _) in &simple.entries {
                let forth = table.locate(tuple);
                prop_assert!(forth.is_some());
                if let Some(back) = inverse(tuple) {
                    prop_assert_eq!(table.locate(&back), forth);
                }
            }
        }
    }
}

impl Table {
    /// The entry that has this tuple, expired or not.
    fn locate(&self, tuple: &Tuple) -> Option<EntryId> {
        let probe = self.probe(Key::from_tuple(tuple, 0));
        let back = probe.key.packed().inverse();
        self.walk(self.chain(&probe)).find(|&id| self.answers_to(id, &probe, back).is_some())
    }
}

/// More than one piece of the slab of each kind.
#[test]
fn what_has_expired_is_seen_in_a_table_of_several_pieces() {
    const NUMBER: u32 = 140_000;
    let mut table = Table::new(65_536, u64::from(NUMBER) * 2, 7);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let memory = match protocol {
            Protocol::Tcp => Memory::Tcp(Tcp::resumed(plimsoll_ct::TcpState::Established)),
            _ => Memory::Udp(Jiffies(0)),
        };
        for n in 0..NUMBER {
            let l4 = L4::Ports { source: n as u16, destination: (n >> 16) as u16 };
            let (source, destination) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
            let probe =
                table.probe(Key::from_tuple(&Tuple { source, destination, protocol, l4 }, 0));
            let slot = Slot { status: Status::CONFIRMED, expires: Jiffies(n), memory };
            table.insert(&probe, &slot, Jiffies(0), Extras::default());
        }
    }
    let expired = |now| {
        let mut seen = [0; 3];
        table.expired(Jiffies(now), |class| seen[class as usize] += 1);
        seen
    };
    // None is assured; that of tick n expires then.
    for now in [0, 1, 65_536, 100_000, NUMBER] {
        assert_eq!(expired(now), [2 * (now + 1).min(NUMBER), 0, 0], "{now}");
    }
}

#[test]
fn few_entries_name_the_chains_that_hold_them() {
    let mut table = Table::new(32_768, 65_536, 7);
    assert_eq!(table.few_chains(), Some(Vec::new()));
    let l4 = |n| L4::Ports { source: n, destination: 80 };
    let (source, destination) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    for n in 0..64 {
        let protocol = if n % 2 == 0 { Protocol::Tcp } else { Protocol::Udp };
        let key = Key::from_tuple(&Tuple { source, destination, protocol, l4: l4(n) }, 0);
        let (probe, memory) = (table.probe(key), Memory::Udp(Jiffies(0)));
        let slot = Slot { status: Status::CONFIRMED, expires: Jiffies(9), memory };
        table.insert(&probe, &slot, Jiffies(0), Extras::default());
    }
    // Chain by chain, an entry that a sweep of one sees is in that one.
    let mut held = Vec::new();
    for chain in 0..table.chains() {
        table.sweep(chain..chain + 1, None, |_, _| {
            held.push(chain);
            false
        });
    }
    assert_eq!((held.len(), table.few_chains()), (64, Some(held)));
    let one = Tuple { source, destination, protocol: Protocol::Tcp, l4: l4(1000) };
    let probe = table.probe(Key::from_tuple(&one, 0));
    let slot = Slot { status: Status::CONFIRMED, expires: Jiffies(9), memory: Memory::Nothing };
    table.insert(&probe, &slot, Jiffies(0), Extras::default());
    assert_eq!(table.few_chains(), None, "now chains are as quick");
}
