//! Adds entries up to a [`Census`], in bounded memory and a fraction of a microsecond each.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use plimsoll_ct::{
    Class, Entry, L4, Nanos, Seconds, State, TcpState, Tuple, idle_behind_flow_table,
};

use super::{
    AgeBand, Census, Churn, Heavy, Namespace, Prefix, Reader, Service, StateKey, Tally, Top,
};

/// Keys that one sketch has room for: seven eighths of 4,096, as the hash map fills its buckets. Six
/// sketches of at most 400 KiB each; with a million keys a total is too small by 600 at most.
const SLOTS: usize = 3_584;

/// The timeouts that tell how long an ESTABLISHED entry has been idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpTimeouts {
    /// `nf_conntrack_tcp_timeout_established`
    pub established: Seconds,
    /// The larger of `…_unacknowledged` and `…_max_retrans`: an ESTABLISHED entry with data in flight
    /// gets this, if it is smaller.
    pub in_flight: Seconds,
    /// Whether entries may come out of a flow table.
    pub offload: bool,
}

impl TcpTimeouts {
    /// What every kernel starts with: five days, and five minutes.
    pub const DEFAULT: Self =
        Self { established: Seconds(432_000), in_flight: Seconds(300), offload: false };

    /// The namespace's own, defaults where they are not known. `offload`: whether entries may come out of a flow table.
    pub fn of(namespace: &Namespace, offload: bool) -> Self {
        let default = Self::DEFAULT;
        let read = |name| namespace.setting(name).map(Seconds);
        let in_flight = read("nf_conntrack_tcp_timeout_unacknowledged")
            .max(read("nf_conntrack_tcp_timeout_max_retrans"));
        Self {
            established: read("nf_conntrack_tcp_timeout_established")
                .unwrap_or(default.established),
            in_flight: in_flight.unwrap_or(default.in_flight),
            offload,
        }
    }

    /// Time since the last packet that refreshed an ESTABLISHED entry, from the seconds it has left.
    ///
    /// Up to `in_flight` seconds left, the entry may have been refreshed just now with data in flight, or
    /// be at the end of a long idle time: the former is taken, so that nothing is called idle that may be
    /// busy. More seconds than the timeout in force means that it was lowered since: the kernel's default
    /// then is the best guess at the earlier one.
    pub fn idle(&self, expires: Seconds) -> Seconds {
        if expires <= self.in_flight && self.in_flight < self.established {
            return self.in_flight.saturating_sub(expires);
        }
        if self.offload
            && let Some(idle) = idle_behind_flow_table(self.established, expires)
        {
            return idle;
        }
        if expires > self.established {
            return Self::DEFAULT.established.saturating_sub(expires);
        }
        self.established.saturating_sub(expires)
    }
}

impl Default for TcpTimeouts {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl AgeBand {
    /// Every band, youngest first.
    pub const ALL: [Self; 5] = [Self::Minute, Self::TenMinutes, Self::Hour, Self::Day, Self::Older];

    /// The band of a span.
    pub const fn of(span: Seconds) -> Self {
        match span.get() {
            0..60 => Self::Minute,
            60..600 => Self::TenMinutes,
            600..3_600 => Self::Hour,
            3_600..86_400 => Self::Day,
            _ => Self::Older,
        }
    }
}

/// Adds entries up.
#[derive(Debug)]
pub struct CensusBuilder {
    reader: Reader,
    timeouts: TcpTimeouts,
    seen: u64,
    malformed: u64,
    total: Tally,
    states: HashMap<StateKey, Tally, FixedState>,
    services: Heavy<Service>,
    sources: Heavy<Key>,
    source_networks: Heavy<Key>,
    destinations: Heavy<Key>,
    destination_networks: Heavy<Key>,
    idle: [u64; AgeBand::ALL.len()],
    idle_services: Heavy<Service>,
    nat: u64,
}

impl CensusBuilder {
    /// An empty census. `seed` keys the hash tables: addresses are chosen by whoever sends packets, so let
    /// it be random.
    pub fn new(reader: Reader, timeouts: TcpTimeouts, seed: u64) -> Self {
        Self {
            reader,
            timeouts,
            seen: 0,
            malformed: 0,
            total: Tally::default(),
            states: HashMap::with_hasher(FixedState::with_seed(seed)),
            services: Heavy::new(SLOTS, seed),
            sources: Heavy::new(SLOTS, seed),
            source_networks: Heavy::new(SLOTS, seed),
            destinations: Heavy::new(SLOTS, seed),
            destination_networks: Heavy::new(SLOTS, seed),
            idle: [0; AgeBand::ALL.len()],
            idle_services: Heavy::new(SLOTS, seed),
            nat: 0,
        }
    }

    /// Counts one entry.
    pub fn add(&mut self, entry: &Entry) {
        let class = entry.class();
        let unreplied = !entry.is_replied();
        self.seen += 1;
        self.total.count(class, unreplied);
        let protocol = entry.original.protocol;
        let state = StateKey {
            protocol,
            state: entry.state,
            assured: entry.is_assured(),
            replied: !unreplied,
        };
        self.states.entry(state).or_default().count(class, unreplied);

        let port = entry.original.destination_port().unwrap_or(0);
        let service = Service { protocol, port };
        self.services.add(service, class, unreplied);
        let source = Key::of(entry.original.source);
        self.sources.add(source, class, unreplied);
        self.source_networks.add(source.network(), class, unreplied);
        let destination = Key::of(entry.original.destination);
        self.destinations.add(destination, class, unreplied);
        self.destination_networks.add(destination.network(), class, unreplied);

        if let (State::Tcp(TcpState::Established), Some(expires)) = (entry.state, entry.expires) {
            let band = AgeBand::of(self.timeouts.idle(expires));
            self.idle[band as usize] += 1;
            if matches!(band, AgeBand::Day | AgeBand::Older) {
                self.idle_services.add(service, class, unreplied);
            }
        }
        self.nat += u64::from(is_rewritten(&entry.original, &entry.reply));
    }

    /// Counts a line or message that could not be understood.
    pub const fn malformed(&mut self) {
        self.malformed += 1;
    }

    /// Entries counted so far.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Adds what another builder counted of another part of the table.
    pub fn merge(&mut self, other: Self) {
        self.seen += other.seen;
        self.malformed += other.malformed;
        self.total.merge(&other.total);
        for (key, tally) in other.states {
            self.states.entry(key).or_default().merge(&tally);
        }
        self.services.merge(other.services);
        self.sources.merge(other.sources);
        self.source_networks.merge(other.source_networks);
        self.destinations.merge(other.destinations);
        self.destination_networks.merge(other.destination_networks);
        for (mine, theirs) in self.idle.iter_mut().zip(other.idle) {
            *mine += theirs;
        }
        self.idle_services.merge(other.idle_services);
        self.nat += other.nat;
    }

    /// The census, with the heaviest `rows` keys of each grouping. `complete` when the reading reached the
    /// table's end.
    pub fn finish(
        self,
        complete: bool,
        kernel_time: Option<Nanos>,
        churn: Option<Churn>,
        rows: usize,
    ) -> Census {
        let mut states: Vec<_> = self.states.into_iter().collect();
        states.sort_unstable_by(|a, b| b.1.total().cmp(&a.1.total()).then_with(|| a.0.cmp(&b.0)));
        Census {
            reader: self.reader,
            seen: self.seen,
            complete,
            kernel_time,
            total: self.total,
            states,
            services: self.services.top(rows),
            sources: prefixes(self.sources.top(rows), 32, 128),
            source_networks: prefixes(self.source_networks.top(rows), 24, 64),
            destinations: prefixes(self.destinations.top(rows), 32, 128),
            destination_networks: prefixes(self.destination_networks.top(rows), 24, 64),
            established_idle: AgeBand::ALL.into_iter().zip(self.idle).collect(),
            idle_services: self.idle_services.top(rows),
            nat: self.nat,
            churn,
            malformed: self.malformed,
        }
    }
}

impl Tally {
    /// Counts one entry.
    pub const fn count(&mut self, class: Class, unreplied: bool) {
        match class {
            Class::Evictable => self.evictable += 1,
            Class::Closing => self.closing += 1,
            Class::Protected => self.protected += 1,
        }
        self.unreplied += unreplied as u64;
    }

    /// Adds another tally.
    pub const fn merge(&mut self, other: &Self) {
        self.evictable += other.evictable;
        self.closing += other.closing;
        self.protected += other.protected;
        self.unreplied += other.unreplied;
    }
}

/// Whether the reply tuple is not the original one turned round: the entry is NATed.
fn is_rewritten(original: &Tuple, reply: &Tuple) -> bool {
    if original.source != reply.destination || original.destination != reply.source {
        return true;
    }
    match (original.l4, reply.l4) {
        (L4::Ports { source, destination }, L4::Ports { source: s, destination: d })
        | (L4::Gre { source, destination }, L4::Gre { source: s, destination: d }) => {
            source != d || destination != s
        }
        (L4::Icmp { id, .. }, L4::Icmp { id: other, .. }) => id != other,
        _ => false,
    }
}

/// An address as a key: three words that hash quickly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    is_v6: bool,
    high: u64,
    low: u64,
}

impl Key {
    const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => Self { is_v6: false, high: 0, low: a.to_bits() as u64 },
            IpAddr::V6(a) => {
                let bits = a.to_bits();
                Self { is_v6: true, high: (bits >> 64) as u64, low: bits as u64 }
            }
        }
    }

    /// Its /24 or /64.
    const fn network(self) -> Self {
        if self.is_v6 { Self { low: 0, ..self } } else { Self { low: self.low & !0xff, ..self } }
    }

    const fn address(self) -> IpAddr {
        if self.is_v6 {
            IpAddr::V6(Ipv6Addr::from_bits((self.high as u128) << 64 | self.low as u128))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(self.low as u32))
        }
    }
}

fn prefixes(top: Top<Key>, v4: u8, v6: u8) -> Top<Prefix> {
    let named = |(key, tally): (Key, Tally)| {
        let length = if key.is_v6 { v6 } else { v4 };
        (Prefix { address: key.address(), length }, tally)
    };
    Top { rows: top.rows.into_iter().map(named).collect(), error: top.error }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use plimsoll_wire::listing;

    fn census(text: &str) -> Census {
        let mut builder = CensusBuilder::new(Reader::Listing, TcpTimeouts::DEFAULT, 1);
        for line in text.lines() {
            match listing::parse(line.trim().as_bytes()) {
                Ok(line) => builder.add(&line.entry),
                Err(_) => builder.malformed(),
            }
        }
        builder.finish(true, None, None, 10)
    }

    const MIXED: &str = "\
        tcp 6 431999 ESTABLISHED src=10.0.0.1 dst=10.1.0.1 sport=1 dport=443 src=10.1.0.1 dst=10.0.0.1 sport=443 dport=1 [ASSURED] use=1
        tcp 6 300000 ESTABLISHED src=10.0.0.1 dst=10.1.0.1 sport=2 dport=443 src=10.1.0.1 dst=10.0.0.1 sport=443 dport=2 [ASSURED] use=1
        tcp 6 100 ESTABLISHED src=10.0.0.2 dst=10.1.0.1 sport=3 dport=22 src=10.1.0.1 dst=10.0.0.2 sport=22 dport=3 [ASSURED] use=1
        tcp 6 100 TIME_WAIT src=10.0.1.2 dst=10.1.0.1 sport=4 dport=443 src=192.168.0.9 dst=10.0.1.2 sport=8443 dport=4 [ASSURED] use=1
        udp 17 20 src=10.0.0.1 dst=10.1.0.2 sport=5 dport=53 [UNREPLIED] src=10.1.0.2 dst=10.0.0.1 sport=53 dport=5 helper=x use=1
        icmpv6 58 20 src=fd00::1:1 dst=fd00:0:0:1::2 type=128 code=0 id=7 src=fd00:0:0:1::2 dst=fd00::1:1 type=129 code=0 id=7 use=1
        nonsense";

    #[test]
    fn every_grouping_adds_up_to_the_entries_seen() {
        let c = census(MIXED);
        assert_eq!((c.seen, c.malformed, c.complete), (6, 1, true));
        let total = Tally { evictable: 2, closing: 1, protected: 3, unreplied: 1 };
        assert_eq!(c.total, total);
        let sum = |tallies: &mut dyn Iterator<Item = Tally>| {
            let mut all = Tally::default();
            tallies.for_each(|t| all.merge(&t));
            all
        };
        assert_eq!(sum(&mut c.states.iter().map(|r| r.1)), total);
        assert_eq!(sum(&mut c.services.rows.iter().map(|r| r.1)), total);
        for top in [&c.sources, &c.source_networks, &c.destinations, &c.destination_networks] {
            assert_eq!((sum(&mut top.rows.iter().map(|r| r.1)), top.error), (total, 0));
        }
    }

    #[test]
    fn the_heaviest_source_service_and_networks_come_first() {
        let c = census(MIXED);
        let text = |p: Prefix| alloc::format!("{}/{}", p.address, p.length);
        assert_eq!(
            (text(c.sources.rows[0].0), c.sources.rows[0].1.total()),
            ("10.0.0.1/32".into(), 3)
        );
        let network = c.source_networks.rows[0];
        assert_eq!((text(network.0), network.1.total()), ("10.0.0.0/24".into(), 4));
        assert!(c.destination_networks.rows.iter().any(|r| text(r.0) == "fd00:0:0:1::/64"));
        assert_eq!(
            c.services.rows[0].0,
            Service { protocol: plimsoll_ct::Protocol::Tcp, port: 443 }
        );
        assert!(c.services.rows.iter().any(|r| r.0.port == 0), "ICMP has no port");
        assert_eq!(c.nat, 1);
    }

    #[test]
    fn established_entries_are_banded_by_idle_time_and_data_in_flight_is_not_idle() {
        let c = census(MIXED);
        let band = |b| c.established_idle.iter().find(|r| r.0 == b).unwrap().1;
        assert_eq!(band(AgeBand::Minute), 1);
        // 100 s left may be the five minutes of data in flight: 200 s idle, not five days.
        assert_eq!(band(AgeBand::TenMinutes), 1);
        assert_eq!(band(AgeBand::Older), 1);
        assert_eq!(c.idle_services.rows.len(), 1);
        assert_eq!(c.idle_services.rows[0].0.port, 443);
    }

    #[test]
    fn a_lowered_timeout_leaves_the_old_entries_their_idle_time() {
        let lowered = TcpTimeouts { established: Seconds(3600), ..TcpTimeouts::DEFAULT };
        assert_eq!(lowered.idle(Seconds(345_600)), Seconds(86_400));
        assert_eq!(lowered.idle(Seconds(3_000)), Seconds(600));
        assert_eq!(lowered.idle(Seconds(900_000)), Seconds(0));
        // So short that data in flight gets no timeout of its own.
        let short = TcpTimeouts { established: Seconds(200), ..TcpTimeouts::DEFAULT };
        assert_eq!(short.idle(Seconds(150)), Seconds(50));
    }

    #[test]
    fn two_parts_merged_are_the_whole() {
        let mut a = CensusBuilder::new(Reader::Listing, TcpTimeouts::DEFAULT, 1);
        let mut b = CensusBuilder::new(Reader::Listing, TcpTimeouts::DEFAULT, 2);
        for (n, line) in MIXED.lines().enumerate() {
            let part = if n % 2 == 0 { &mut a } else { &mut b };
            match listing::parse(line.trim().as_bytes()) {
                Ok(line) => part.add(&line.entry),
                Err(_) => part.malformed(),
            }
        }
        a.merge(b);
        assert_eq!(a.finish(true, None, None, 10), census(MIXED));
    }
}
