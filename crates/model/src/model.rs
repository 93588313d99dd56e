//! The life of a packet.
//!
//! Kernel: `nf_conntrack_in()`, `resolve_normal_ct()`, `init_conntrack()`, `__nf_conntrack_confirm()`,
//! net/netfilter/nf_conntrack_core.c, v6.18. Not modelled: races between CPUs, a slab that is exhausted.

use alloc::vec::Vec;

use plimsoll_ct::{Accounting, Counter, CounterSource, Counters, Profile, Time};
use plimsoll_wire::packet::{
    LinkType, Manner, NoPacket, Packet, Transport, append_logged, behind_extensions, network_layer,
    parse_ip, parse_transport,
};

use crate::behaviour::Behaviour;
use crate::classes::{Classes, Most};
use crate::collector::Collector;
use crate::defrag::{Defragmenter, Gathered, Limits, lacks_headers};
use crate::events::Events;
use crate::helper::Helpers;
use crate::key::{Key, PPP, Packed};
use crate::log::{Log, LogLine};
use crate::plain::{Usual, Way};
use crate::policy::Timeouts;
use crate::reassembled;
use crate::settings::Settings;
use crate::step::{Fate, Info, Step, Treatment, Verdict, What};
use crate::table::{EntryId, Spot, Table};
use crate::ticks::Jiffies;
use crate::wording::Wording;

/// What a model is made from.
#[derive(Debug, Clone)]
pub struct Config {
    /// Generation.
    pub profile: &'static Profile,
    /// Settings.
    pub settings: Settings,
    /// Key of the hash: which entries share a bucket, hence whom early drop meets. Any value is as good
    /// as any other; the kernel draws one at boot.
    pub hash_key: u64,
    /// Ticks from the first packet to the collector's first run.
    pub collector_phase: u32,
    /// Inode of the namespace, for the log line of 6.18; `None`: the initial one.
    pub netns: Option<u64>,
}

impl Config {
    /// With hash key 0, the collector running one second after the first packet, in the initial namespace.
    pub const fn new(profile: &'static Profile, settings: Settings) -> Self {
        let collector_phase = settings.hz;
        Self { profile, settings, hash_key: 0, collector_phase, netns: None }
    }
}

/// One namespace's table and all that belongs to it.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) profile: &'static Profile,
    pub(crate) behaviour: &'static Behaviour,
    pub(crate) settings: Settings,
    /// Timeout policies; `None`: removed.
    pub(crate) policies: Vec<Option<Timeouts>>,
    pub(crate) helpers: Helpers,
    pub(crate) table: Table,
    pub(crate) counters: Counters,
    pub(crate) collector: Collector,
    pub(crate) log: Log,
    /// `None`: nobody listens.
    pub(crate) events: Option<Events>,
    /// Entries by class, expired ones too.
    pub(crate) classes: Classes,
    /// By the numbers of entries: of those that came while it was on.
    pub(crate) accounting: Vec<Option<[Accounting; 2]>>,
    /// Made of profile and settings.
    pub(crate) usual: Usual,
    /// Scatters the bound on chains.
    pub(crate) chance: u64,
    pub(crate) defragmenter: Defragmenter,
    origin: Option<Time>,
    /// Before it nothing changes by time alone.
    next_tick: Time,
    /// Ticks since the origin.
    pub(crate) ticks: u64,
}

impl Model {
    /// An empty table.
    pub fn new(config: Config) -> Self {
        let Config { ref settings, hash_key, .. } = config;
        let table = Table::new(settings.buckets, settings.laid_out_for(), hash_key);
        Self::over(config, table)
    }

    /// Over a table that is empty.
    pub(crate) fn over(config: Config, table: Table) -> Self {
        let Config { profile, mut settings, hash_key, collector_phase, netns } = config;
        settings.hz = settings.hz.clamp(1, 10_000);
        let behaviour = Behaviour::of(profile);
        let mut model = Self {
            profile,
            behaviour,
            usual: Usual::of(profile, &settings, least(behaviour, &settings)),
            table,
            counters: Counters::new(),
            collector: Collector::new(profile.collector, settings.hz, collector_phase),
            log: Log::new(profile.log, netns),
            events: None,
            classes: Classes::default(),
            accounting: Vec::new(),
            chance: hash_key ^ 0x5851_f42d_4c95_7f2d,
            defragmenter: Defragmenter::default(),
            origin: None,
            helpers: Helpers::default(),
            policies: settings.policies.iter().map(|p| Some(p.resolve(&settings))).collect(),
            next_tick: Time(i64::MIN),
            ticks: 0,
            settings,
        };
        model.tell_lifetimes();
        model
    }

    /// Collector and table learn how long entries may live.
    fn tell_lifetimes(&mut self) {
        let policies = self.policies.iter().flatten().map(|policy| policy.settings.longest());
        let longest = policies.fold(self.settings.longest(), u32::max);
        self.outlives(self.settings.ticks(longest));
    }

    /// The generation.
    pub const fn profile(&self) -> &'static Profile {
        self.profile
    }

    /// The settings in force.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes settings while packets flow. The bucket number and the ticks stay what they were: a resize is not modelled.
    /// Timeout policies stay those that there were, and what they were made of.
    pub fn change(&mut self, change: impl FnOnce(&mut Settings)) {
        let Settings { buckets, hz, .. } = self.settings;
        let policies = self.settings.policies.clone();
        change(&mut self.settings);
        (self.settings.buckets, self.settings.hz) = (buckets, hz);
        self.settings.policies = policies;
        if self.settings.log_invalid == 0 {
            // The short ways tell the log of no packet.
            self.log.next_packet();
        }
        self.usual = Usual::of(self.profile, &self.settings, least(self.behaviour, &self.settings));
        // Entries that were accounted once go on to be, and who listens goes on.
        self.usual.noted |= !self.accounting.is_empty();
        self.usual.long |= self.events.is_some();
        self.tell_lifetimes();
    }

    /// Removes a timeout policy, by its place in [`Settings::policies`]: its entries live by the namespace's timeouts from their next packet on,
    /// and none is given it any more.
    pub fn remove_policy(&mut self, place: u8) {
        if let Some(policy) = self.policies.get_mut(usize::from(place)) {
            *policy = None;
        }
    }

    /// The counters by their kernel names, since the beginning. One that nothing was counted in is not there.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes the log lines that were written since the last call.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        self.log.take()
    }

    /// Writes behind the lines that are [about the last packet](LogLine::about_packet) what it is, as this kernel's log shows
    /// it: a frame that came in, or left, by an interface of this name. A datagram that came in parts is shown whole, if each of its
    /// parts was described. Whether there were such lines: those about packets before it stay as they are, so each packet is described
    /// before the next one comes, and of a [batch](Model::batch) the last one only.
    pub fn describe(&mut self, link: LinkType, frame: &[u8], interface: &str) -> bool {
        let Ok(packet) = network_layer(link, frame).and_then(parse_ip) else { return false };
        if self.settings.log_invalid == 0 {
            return false;
        }
        let first = packet.fragment.filter(|part| part.offset == 0).map(|_| {
            let own = if packet.is_v6() { FRAGMENT_HEADER } else { 0 };
            let headers = packet.length.saturating_sub(packet.payload_length + own);
            reassembled::head(link, frame, headers as usize)
        });
        if !self.log.awaits_packet() {
            if let Some(head) = first {
                self.defragmenter.remember(&packet, head);
            }
            return false;
        }
        let whole = self.log.take_datagram().map(|datagram| {
            let (protocol, payload) = datagram.payload();
            let head = first.as_deref().unwrap_or(&datagram.head);
            reassembled::frame(link, head, protocol, payload, datagram.congested)
        });
        let frame = whole.as_deref().unwrap_or(frame);
        let Wording { path, accurate_ecn, .. } = self.behaviour.wording;
        self.log.describe(|text, outgoing| {
            let manner = Manner { interface: path.then_some(interface), outgoing, accurate_ecn };
            append_logged(text, link, frame, &manner);
        });
        true
    }

    /// Entries that count against the limit now, expired ones not yet collected among them.
    pub const fn counted(&self) -> usize {
        self.table.len()
    }

    /// Entries that nothing but their own timeout removes, expired ones not yet collected among them.
    pub const fn protected(&self) -> u64 {
        self.classes.protected
    }

    /// The most that [`Model::counted`] and [`Model::protected`] would have said behind a packet since the last call, or since the
    /// beginning.
    pub const fn take_most(&mut self) -> Most {
        self.classes.take_most()
    }

    /// The time of the model's clock: that of the last packet, to a tick of [`Settings::hz`].
    pub fn time(&self) -> Option<Time> {
        self.time_of(self.ticks)
    }

    /// The time that a tick since the first packet stands for.
    pub fn time_of(&self, tick: u64) -> Option<Time> {
        let span = i128::from(tick) * 1_000_000_000 / i128::from(self.settings.hz);
        let time = i128::from(self.origin?.0) + span;
        Some(Time(i64::try_from(time).unwrap_or(i64::MAX)))
    }

    pub(crate) const fn now(&self) -> Jiffies {
        Jiffies(self.ticks as u32)
    }

    /// Lets time pass: the collector runs when it is due. A time before the last one is that one.
    #[inline]
    pub fn advance(&mut self, to: Time) {
        if to.0 >= self.next_tick.0 {
            self.tick(to);
        }
    }

    pub(crate) fn tick(&mut self, to: Time) {
        let origin = *self.origin.get_or_insert(to);
        let hz = i128::from(self.settings.hz);
        let ticks = self.ticks_at(to);
        // The first nanosecond of the next tick; before it there is nothing to do.
        let next = ((i128::from(ticks) + 1) * 1_000_000_000 + hz - 1) / hz + i128::from(origin.0);
        self.next_tick = Time(i64::try_from(next).unwrap_or(i64::MAX));
        self.collect_until(ticks);
        self.ticks = ticks;
        self.give_up(ticks);
    }

    /// Ticks since the first packet.
    pub(crate) fn ticks_at(&self, to: Time) -> u64 {
        let span = i128::from(to.0) - i128::from(self.origin.unwrap_or(to).0);
        let ticks = span.max(0) * i128::from(self.settings.hz) / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(u64::MAX >> 1).max(self.ticks)
    }

    /// Whether anything changes by time alone before or at a moment.
    #[inline(always)]
    pub(crate) const fn ticks_by(&self, to: Time) -> bool {
        to.0 >= self.next_tick.0
    }

    /// Feeds the bytes of one captured frame.
    pub fn frame(
        &mut self,
        at: Time,
        link: LinkType,
        frame: &[u8],
        treatment: &Treatment,
    ) -> Result<Step, NoPacket> {
        let packet = parse_ip(network_layer(link, frame)?)?;
        Ok(self.packet(at, &packet, treatment))
    }

    /// Feeds one packet.
    pub fn packet(&mut self, at: Time, packet: &Packet<'_>, treatment: &Treatment) -> Step {
        self.advance(at);
        match packet.fragment {
            None => self.whole(packet, treatment),
            Some(_) => self.fragment(packet, treatment),
        }
    }

    /// Feeds one packet to rules that ask for its class, as `ct state` does: `rules` is asked once of every packet that conntrack lets go
    /// on, with its class and its entry, if it has one in the table already, and decides in place of [`Treatment::fate`]. It is
    /// not asked of what conntrack drops before, or keeps: a fragment that waits for the others.
    ///
    /// ```
    /// use plimsoll_model::ct::{Bytes, Profile, Time};
    /// use plimsoll_model::wire::packet::parse_ip;
    /// use plimsoll_model::{Config, Fate, Info, Model, Settings, Treatment, What};
    ///
    /// let profile = Profile::named("6.18").expect("a known profile");
    /// let mut model = Model::new(Config::new(profile, Settings::of(profile, Bytes(8 << 30))));
    /// // Two hosts send each other datagrams; only 10.0.0.1 may begin.
    /// let datagram = |from, to| [
    ///     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to, // IP
    ///     0x10, 0, 0x10, 0, 0, 8, 0, 0, // UDP
    /// ];
    /// let mut send = |from, to| {
    ///     let datagram = datagram(from, to);
    ///     let packet = parse_ip(&datagram).expect("a whole header");
    ///     model.filter(Time::from_secs(0), &packet, &Treatment::default(), |info, _| match info {
    ///         Info::New if from != 1 => Fate::Dropped,
    ///         _ => Fate::Accepted,
    ///     })
    /// };
    /// assert_eq!(send(2, 1).what, What::NotConfirmed);
    /// assert_eq!(send(1, 2).what, What::Inserted);
    /// assert_eq!(send(2, 1).info, Info::EstablishedReply);
    /// ```
    pub fn filter(
        &mut self,
        at: Time,
        packet: &Packet<'_>,
        treatment: &Treatment,
        mut rules: impl FnMut(Info, Option<EntryId>) -> Fate,
    ) -> Step {
        self.advance(at);
        self.gathered(packet, treatment, |model, whole, treatment| {
            let mut spot = Spot::without(Way::Nowhere);
            model.see(whole, treatment, &mut spot);
            let mut asked = false;
            let step = model.ruled(whole, &spot, treatment, |info, entry| {
                asked = true;
                rules(info, entry)
            });
            if !asked && step.verdict == Verdict::Accept {
                rules(step.info, step.entry);
            }
            step
        })
    }

    /// Feeds a part of a datagram.
    pub(crate) fn fragment(&mut self, packet: &Packet<'_>, treatment: &Treatment) -> Step {
        self.gathered(packet, treatment, Self::whole)
    }

    /// Does `then` to the datagram that this packet is or completes, treated as its first part.
    pub(crate) fn gathered(
        &mut self,
        packet: &Packet<'_>,
        treatment: &Treatment,
        then: impl FnOnce(&mut Self, &Packet<'_>, &Treatment) -> Step,
    ) -> Step {
        if packet.fragment.is_none() {
            return then(self, packet, treatment);
        }
        self.log.next_packet();
        match self.gather(packet, treatment) {
            Gathered::Whole(datagram) => {
                let whole = behind_extensions(&datagram.packet(packet));
                let step = then(self, &whole, &datagram.treatment);
                self.log.is_about(datagram);
                step
            }
            Gathered::Alone => then(self, &alone(packet), treatment),
            Gathered::Kept => Step::new(Info::Untracked, Verdict::Stolen),
        }
    }

    /// Keeps a part of a datagram until it is whole.
    pub(crate) fn gather(&mut self, part: &Packet<'_>, treatment: &Treatment) -> Gathered {
        if self.behaviour.headers_in_first_fragment && lacks_headers(part) {
            return Gathered::Alone;
        }
        let Settings { fragments_v4, fragments_v6, fragment_bytes: room, .. } = self.settings;
        let timeouts = (self.settings.ticks(fragments_v4), self.settings.ticks(fragments_v6));
        let mixed_ecn_ends = self.behaviour.mixed_ecn_ends;
        let limits = Limits { timeouts, room, mixed_ecn_ends };
        self.defragmenter.add(part, treatment, self.ticks, limits)
    }

    /// Where a packet is looked up, and its way there.
    #[inline(always)]
    pub(crate) fn see(&self, packet: &Packet<'_>, treatment: &Treatment, spot: &mut Spot) {
        self.see_in(&self.table, packet, treatment, spot);
    }

    /// The same in another table.
    #[inline(always)]
    pub(crate) fn see_in(
        &self,
        table: &Table,
        packet: &Packet<'_>,
        treatment: &Treatment,
        spot: &mut Spot,
    ) {
        let zone = treatment.zone;
        let way = self.way(packet, treatment.untracked || zone.is_one_way());
        if matches!(way, Way::Tcp | Way::Udp)
            && let (Some(addresses), Some(ports)) =
                (packet.addresses.narrow(), packet.payload.first_chunk())
        {
            let rest = Packed::rest_of(zone.of_original(), packet.protocol);
            let key = Packed::of_ports(addresses, *ports, rest);
            *spot = table.spot_of_ports(key, way);
        } else {
            self.see_any(table, packet, zone.of_original(), way, spot);
        }
    }

    #[inline(never)]
    fn see_any(&self, table: &Table, packet: &Packet<'_>, zone: u16, way: Way, spot: &mut Spot) {
        let transport = if packet.protocol == GRE { transport(packet) } else { None };
        *spot = match self.packed(packet, transport.as_ref(), zone) {
            Some(key) => table.spot(key, Key::wide_of(packet), way),
            None => Spot::without(Way::Nowhere),
        };
    }

    pub(crate) fn whole(&mut self, packet: &Packet<'_>, treatment: &Treatment) -> Step {
        let mut spot = Spot::without(Way::Nowhere);
        self.see(packet, treatment, &mut spot);
        self.settle(packet, &spot, treatment)
    }

    /// A packet's way: the short one, if it is open.
    #[inline(always)]
    pub(crate) fn settle(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Step {
        if spot.way == Way::Tcp
            && let Some(direction) = self.acknowledge(packet, spot)
        {
            let info = Info::established(direction);
            return self.went(packet, spot.likely(), direction, info);
        }
        self.settle_other(packet, spot, treatment)
    }

    #[inline(never)]
    pub(crate) fn settle_other(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
    ) -> Step {
        match spot.way {
            Way::Tcp => self.less_plain(packet, spot, treatment),
            Way::Udp => self.plain_udp(packet, spot, treatment),
            Way::Icmp => self.plain_icmp(packet, spot, treatment),
            Way::WideTcp => self.plain_wide(packet, spot, treatment),
            Way::Long | Way::Nowhere => self.any(packet, spot, treatment),
            Way::Fragment => self.fragment(packet, treatment),
        }
    }

    /// The way of any whole packet.
    #[inline(never)]
    pub(crate) fn any(&mut self, packet: &Packet<'_>, spot: &Spot, treatment: &Treatment) -> Step {
        self.ruled(packet, spot, treatment, |_, _| treatment.fate)
    }

    /// The same, where the rules that decide are asked once the packet's class is known, if that matters to the table.
    #[inline(always)]
    fn ruled(
        &mut self,
        packet: &Packet<'_>,
        spot: &Spot,
        treatment: &Treatment,
        mut rules: impl FnMut(Info, Option<EntryId>) -> Fate,
    ) -> Step {
        if self.settings.log_invalid != 0 {
            self.log.next_packet();
        }
        if treatment.untracked {
            if self.profile.creation == CounterSource::Counted {
                self.counters.add(Counter::Ignore, 1);
            }
            return Step::new(Info::Untracked, Verdict::Accept);
        }
        let Some(prepared) = self.prepare(packet, treatment) else {
            return self.invalid(Counter::Invalid);
        };
        if let Some(step) = self.icmp_error(packet, &prepared, treatment.zone) {
            return step;
        }
        // What a call's packets mean may have become known since they were looked at.
        let renewed;
        let spot = if packet.protocol == GRE && self.has_calls() {
            let mut own = Spot::without(spot.way);
            self.see_any(&self.table, packet, treatment.zone.of_original(), spot.way, &mut own);
            renewed = own;
            &renewed
        } else {
            spot
        };
        if spot.way == Way::Nowhere {
            return self.invalid(Counter::Invalid);
        }
        let probe = &spot.probe(Key::wide_of(packet));
        let Some(found) = self.find_in(probe, treatment.zone) else {
            return self.fresh(probe, packet, &prepared, treatment, rules);
        };
        let step = self.known(&found, packet, &prepared, &mut rules);
        if step.what == What::Removed && step.reopened {
            // The old entry is gone; the packet begins a new one.
            return Step {
                reopened: true,
                ..self.fresh(probe, packet, &prepared, treatment, rules)
            };
        }
        step
    }

    /// What is known of a packet before the table is looked at; `None`: nothing follows its IP header.
    pub(crate) fn prepare<'a>(
        &self,
        packet: &Packet<'a>,
        treatment: &Treatment,
    ) -> Option<Prepared<'a>> {
        if packet.is_v6() && packet.protocol == NO_NEXT_HEADER {
            return None;
        }
        let checked = self.settings.checksum && !treatment.local;
        let bad = checked && plimsoll_wire::packet::checksum_is_wrong(packet);
        Some(Prepared { transport: transport(packet), bad })
    }

    pub(crate) fn invalid(&mut self, counter: Counter) -> Step {
        self.counters.add(counter, 1);
        Step::new(Info::Invalid, Verdict::Accept)
    }

    pub(crate) const fn passed(info: Info) -> Step {
        Step::new(info, Verdict::Accept)
    }

    /// The key as this generation makes it: protocols without a tracker have no ports.
    pub(crate) fn key_of(
        &self,
        packet: &Packet<'_>,
        transport: Option<&Transport<'_>>,
        zone: u16,
    ) -> Option<Key> {
        let packed = self.packed(packet, transport, zone)?;
        Some(Key::from_parts(packed, Key::wide_of(packet)))
    }

    /// See [`Model::key_of`].
    #[inline(always)]
    fn packed(
        &self,
        packet: &Packet<'_>,
        transport: Option<&Transport<'_>>,
        zone: u16,
    ) -> Option<Packed> {
        let has_ports = match packet.protocol {
            33 => self.behaviour.dccp,
            136 => self.behaviour.udp_lite,
            _ => true,
        };
        if has_ports {
            let key = Packed::of(packet, transport, zone)?;
            let of_call =
                matches!(transport, Some(Transport::Gre { version: 1, protocol: PPP, .. }));
            Some(if of_call && self.has_calls() { self.with_call_id(packet, key) } else { key })
        } else {
            let bare = Packet { payload: &[0; 8], ..*packet };
            Packed::of(&bare, None, zone).map(Packed::generic)
        }
    }
}

/// What is known of a packet before the table is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prepared<'a> {
    pub(crate) transport: Option<Transport<'a>>,
    /// Its checksum is wrong, and that matters.
    pub(crate) bad: bool,
}

#[inline(never)]
pub(crate) fn transport<'a>(packet: &Packet<'a>) -> Option<Transport<'a>> {
    parse_transport(packet.protocol, packet.payload, packet.payload_length)
}

/// The expiry that a refresh makes of an earlier one; some generations leave one that would move by less than
/// `least` ticks.
#[inline(always)]
pub(crate) fn refreshed(expires: Jiffies, now: Jiffies, ticks: u32, least: u32) -> Jiffies {
    let wanted = now.plus(ticks);
    let moves = wanted.0.wrapping_sub(expires.0);
    if moves < least { expires } else { wanted }
}

/// See [`refreshed`].
const fn least(behaviour: &Behaviour, settings: &Settings) -> u32 {
    if behaviour.lazy_refresh { settings.hz } else { 0 }
}

const NO_NEXT_HEADER: u8 = 59;

/// Octets of the fragment header of IPv6.
const FRAGMENT_HEADER: u32 = 8;

pub(crate) const GRE: u8 = 47;

/// A fragment that nobody makes whole, as conntrack sees it: only a first one has a header.
pub(crate) fn alone<'a>(fragment: &Packet<'a>) -> Packet<'a> {
    if fragment.fragment.is_some_and(|f| f.offset != 0) {
        return Packet { protocol: NO_NEXT_HEADER, ..*fragment };
    }
    behind_extensions(fragment)
}
