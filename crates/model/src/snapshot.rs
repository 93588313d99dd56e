//! The table from outside: its entries, its occupancy, and beginning with a table that is there already.

use alloc::vec::Vec;

use plimsoll_ct::{
    Entry, L4, OFFLOADED, Protocol, Seconds, State, Status, TcpState, Time, Tuple, Zone,
};

use crate::classes::Classes;
use crate::dccp::Dccp;
use crate::entry::{Memory, Slot};
use crate::helper::Helper;
use crate::key::Key;
use crate::model::Model;
use crate::sctp::Sctp;
use crate::table::{EntryId, Extras, Whole};
use crate::tcp::Tcp;
use crate::ticks::Jiffies;

/// How full the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Occupancy {
    /// Entries that count against the limit, expired ones that wait for the collector among them.
    pub counted: u64,
    /// Entries that have not expired.
    pub live: u64,
    /// Of these: not assured.
    pub evictable: u64,
    /// Assured, but closing.
    pub closing: u64,
    /// The rest.
    pub protected: u64,
}

impl Classes {
    /// What are the live entries of a table that counts so many.
    pub(crate) const fn occupancy(self, counted: usize) -> Occupancy {
        let Self { evictable, closing, protected, .. } = self;
        Occupancy { counted: counted as u64, live: self.all(), evictable, closing, protected }
    }
}

impl Model {
    /// The live entries, as a dump would show them.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let now = self.now();
        self.table
            .iter()
            .filter(move |&id| !self.table.vitals(id).is_expired(now))
            .filter_map(move |id| self.entry(id))
    }

    /// The live entry that a packet of this tuple in this zone belongs to, in either direction. Unlike a packet it
    /// changes nothing.
    ///
    /// ```
    /// use plimsoll_ct::{Bytes, Profile, Time, Zone};
    /// use plimsoll_model::{Config, Model, Settings, Treatment};
    /// use plimsoll_wire::packet::LinkType;
    ///
    /// let profile = Profile::named("6.18").expect("a known profile");
    /// let config = Config::new(profile, Settings::of(profile, Bytes(8 << 30)));
    /// let mut model = Model::new(config.clone());
    /// let query = [
    ///     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IP
    ///     0x10, 0, 0, 53, 0, 8, 0, 0, // UDP
    /// ];
    /// let now = Time::from_secs(0);
    /// let step = model.frame(now, LinkType::RawIp, &query, &Treatment::default());
    /// let id = step.expect("a packet").entry;
    ///
    /// // What a dump shows is enough to begin another model with, or this one again.
    /// let dump = model.snapshot();
    /// assert_eq!(model.lookup(&dump[0].original, Zone::default()), id);
    /// assert_eq!(model.lookup(&dump[0].reply, Zone::default()), id);
    /// let mut other = Model::new(config);
    /// assert_eq!(other.restore(now, dump.clone()), 1);
    /// assert_eq!(other.snapshot()[0].original, dump[0].original);
    /// ```
    pub fn lookup(&self, tuple: &Tuple, zone: Zone) -> Option<EntryId> {
        let original = Key::from_tuple(tuple, zone.of_original());
        let reply = Key::from_tuple(tuple, zone.of_reply());
        self.table.owner(original, reply, self.now(), self.behaviour.zones_scatter)
    }

    /// Status and state of an entry, expired or not.
    pub fn condition(&self, id: EntryId) -> Option<(Status, State)> {
        self.table.condition(id)
    }

    /// One entry, expired or not.
    pub fn entry(&self, id: EntryId) -> Option<Entry> {
        self.table.whole(id).map(|whole| self.show(&whole))
    }

    pub(crate) fn show(&self, whole: &Whole) -> Entry {
        let Whole { id, slot, key, created, reply, helper, zone, .. } = whole;
        let now = self.now();
        let shown = |key: &Key| {
            let tuple = key.tuple(self.behaviour.dccp);
            let bare = tuple.protocol == Protocol::UdpLite && !self.behaviour.udp_lite;
            if bare { Tuple { l4: L4::None, ..tuple } } else { tuple }
        };
        let original = shown(key);
        let reply = reply.as_ref().map_or(original, shown);
        let hz = self.settings.hz;
        let left = slot.expires.left(now).max(0) as u32 / hz;
        let age = now.0.wrapping_sub(created.0) / hz;
        let accounting = self.accounting.get(id.index()).copied().flatten();
        Entry {
            expires: Some(Seconds(left.into())),
            zone: *zone,
            original_accounting: accounting.map(|a| a[0]),
            reply_accounting: accounting.map(|a| a[1]),
            age: Some(Seconds(age.into())),
            helper: helper.map(|helper| helper.name().into()),
            ..Entry::new(original, reply, slot.memory.state(), slot.status)
        }
    }

    /// A census of the table.
    pub fn occupancy(&self) -> Occupancy {
        let mut live = self.classes;
        self.table.expired(self.now(), |class| live.leave(class));
        live.occupancy(self.counted())
    }

    /// Puts the entries of a dump into the table, as they were at `at`. Returns how many went in: an entry that is there already stays, and
    /// one that could not be found beside it does not come, nor one of two families. The limit keeps nobody out.
    ///
    /// A dump does not show everything: the windows of TCP flows are unknown, so they are learnt from the
    /// next segments as after a reload of the firewall; so are SCTP's tags. What has less than a second left is shown as 0: it lives for
    /// a tick. What shows no time is in a flow table, where the kernel gives it a day. Of what expected an entry, of marks, labels and
    /// numbers, nothing is kept; a [clone](Clone) of a model keeps everything.
    ///
    /// ```
    /// use plimsoll_ct::{Bytes, Profile, Time};
    /// use plimsoll_model::{Config, Model, Settings};
    /// use plimsoll_wire::listing;
    ///
    /// // What /proc/net/nf_conntrack or `conntrack -L` showed of a live table.
    /// let dump = "\
    /// tcp 6 431999 ESTABLISHED src=10.1.0.1 dst=10.2.0.1 sport=50092 dport=21 src=10.2.0.1 dst=10.1.0.1 sport=21 dport=50092 [ASSURED] helper=ftp
    /// udp 17 9 src=10.1.0.1 dst=10.2.0.1 sport=4000 dport=53 [UNREPLIED] src=10.2.0.1 dst=10.1.0.1 sport=53 dport=4000";
    /// let entries = dump.lines().filter_map(|line| Some(listing::parse(line.as_bytes()).ok()?.entry));
    ///
    /// let profile = Profile::named("6.18").expect("a known profile");
    /// let mut model = Model::new(Config::new(profile, Settings::of(profile, Bytes(8 << 30))));
    /// assert_eq!(model.restore(Time::from_secs(0), entries), 2);
    /// // Ten seconds later the query has expired; the connection is there, read by its helper.
    /// model.advance(Time::from_secs(10));
    /// let left = model.snapshot();
    /// assert_eq!((left.len(), left[0].helper), (1, Some("ftp".into())));
    /// ```
    pub fn restore(&mut self, at: Time, entries: impl IntoIterator<Item = Entry>) -> usize {
        self.advance(at);
        let now = self.now();
        let mut restored = 0;
        for entry in entries {
            let families = [&entry.original, &entry.reply].map(|t| [t.source, t.destination]);
            if families.as_flattened().iter().any(|a| a.is_ipv4() != families[0][0].is_ipv4()) {
                continue;
            }
            let zone = entry.zone;
            let probe = self.table.probe(Key::from_tuple(&entry.original, zone.of_original()));
            let reply = Key::from_tuple(&entry.reply, zone.of_reply());
            let there = self.table.probe(reply);
            // Of zones of one direction the clash knows.
            let is_there = self.find_in(&probe, zone).is_some()
                || !zone.is_one_way() && self.find(&there).is_some();
            if is_there || self.clash(&reply, zone).is_some() {
                continue;
            }
            let left = entry.expires.unwrap_or(OFFLOADED).get();
            let left = self.settings.ticks(u32::try_from(left).unwrap_or(u32::MAX)).max(1);
            let age = entry.age.map_or(0, |age| u32::try_from(age.get()).unwrap_or(u32::MAX));
            let created = Jiffies(now.0.wrapping_sub(age.wrapping_mul(self.settings.hz)));
            let memory = match (entry.state, entry.original.protocol) {
                (State::Tcp(state), _) => Memory::Tcp(Tcp::resumed(state)),
                (State::Sctp(state), _) => Memory::Sctp(Sctp::resumed(state.number())),
                (State::Dccp(state), _) => Memory::Dccp(Dccp::resumed(state.number())),
                // In a flow table nobody looks at its state.
                (State::Stateless, Protocol::Tcp) => {
                    Memory::Tcp(Tcp::resumed(TcpState::Established))
                }
                (State::Stateless, Protocol::Udp) => Memory::Udp(now),
                (State::Stateless, Protocol::Gre) => Memory::Gre(self.settings.gre),
                (State::Stateless, _) => Memory::Nothing,
            };
            let slot =
                Slot { status: entry.status | Status::CONFIRMED, expires: now.plus(left), memory };
            self.outlives(left);
            self.classes.enter(slot.class());
            let helper = entry.helper.as_ref().and_then(|name| Helper::named(name.as_str()));
            let zone = Some(zone).filter(|zone| zone.is_one_way());
            let extras = Extras { reply: Some(reply), helper, zone, ..Extras::default() };
            let id = self.table.insert(&probe, &slot, created, extras);
            let moved = [entry.original_accounting, entry.reply_accounting];
            let counted = moved.iter().any(Option::is_some);
            self.usual.noted |= counted;
            self.begin_account(id, counted.then(|| moved.map(Option::unwrap_or_default)));
            restored += 1;
        }
        restored
    }

    /// All live entries, in the order of their original tuples: two equal tables give equal lists.
    pub fn snapshot(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.entries().collect();
        entries.sort_by_key(|e| (e.zone, e.original));
        entries
    }
}
