//! PPTP's calls: what the control connection makes of the table, and of the keys of GRE.
//!
//! Kernel: `exp_gre()`, `pptp_expectfn()`, `pptp_destroy_siblings()`, nf_conntrack_pptp.c; `nf_ct_gre_keymap_add()`,
//! nf_conntrack_proto_gre.c, v6.18.

use core::net::IpAddr;

use plimsoll_ct::{L4, Protocol, Tuple};
use plimsoll_wire::packet::Packet;

use super::pptp::{self, CallId, Said};
use super::{Expectation, Helper};
use crate::key::{Key, Packed};
use crate::model::Model;
use crate::table::{EntryId, Whole};
use crate::tcp::Direction;

const GRE: u8 = 47;

/// The tuple of a call's packets in one direction.
fn call(own: &Tuple, source: u16, destination: u16) -> Tuple {
    Tuple { protocol: Protocol::Gre, l4: L4::Gre { source, destination }, ..*own }
}

/// A call id, and the control connection that spoke of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    by: EntryId,
    /// The original key of that.
    master: Key,
    direction: Direction,
    id: CallId,
}

/// What belongs to a tuple of a call.
fn call_id(tuple: &Tuple) -> Option<CallId> {
    match (tuple.source, tuple.destination, tuple.l4) {
        (
            IpAddr::V4(source),
            IpAddr::V4(destination),
            L4::Gre { source: meant, destination: named },
        ) => Some(CallId { source, destination, named, meant }),
        (_, _, _) => None,
    }
}

impl Model {
    pub(super) fn help_pptp(
        &mut self,
        whole: &Whole,
        direction: Direction,
        packet: &Packet<'_>,
    ) -> bool {
        let Some(message) = pptp::message(packet) else { return true };
        match self.helpers.pptp.entry(whole.id).or_default().read(direction, message) {
            Said::Nothing => {}
            Said::Begins { pac, pns } => self.begin_call(whole, pac, pns),
            Said::Ends => self.end_call(whole),
        }
        true
    }

    /// Both tuples of the call that an entry speaks of.
    fn call_of(whole: &Whole, pac: u16, pns: u16) -> Option<[Tuple; 2]> {
        let (original, reply) = (whole.key.tuple(false), whole.reply?.tuple(false));
        Some([call(&original, pns, pac), call(&reply, pac, pns)])
    }

    fn begin_call(&mut self, whole: &Whole, pac: u16, pns: u16) {
        let Some(tuples) = Self::call_of(whole, pac, pns) else { return };
        let mut numbers = alloc::vec::Vec::new();
        for tuple in tuples {
            let (source, destination) = Key::from_tuple(&tuple, 0).ends();
            let number = self.expect(Expectation {
                protocol: GRE,
                zone: whole.zone,
                source: tuple.source,
                source_port: Some(source),
                destination: tuple.destination,
                destination_port: destination,
                helper: Helper::Pptp,
                master: whole.key.tuple(false),
                expires: 0,
                rings: 0,
                by: whole.id,
            });
            let Some(number) = number else {
                numbers.into_iter().for_each(|number| self.give_away(number));
                return;
            };
            numbers.push(number);
        }
        let [there, back] = tuples;
        let noted = self.note_call(whole, Direction::Original, &there);
        if !noted || !self.note_call(whole, Direction::Reply, &back) {
            if noted {
                self.helpers.calls.retain(|call| call.by != whole.id);
            }
            numbers.into_iter().for_each(|number| self.give_away(number));
        }
    }

    /// Notes what packets mean. `false`: the entry speaks of another call already.
    fn note_call(&mut self, whole: &Whole, direction: Direction, tuple: &Tuple) -> bool {
        let Some(new) = call_id(tuple) else { return false };
        let own = |call: &&Call| call.by == whole.id && call.direction == direction;
        if let Some(known) = self.helpers.calls.iter().find(own) {
            return CallId { meant: new.meant, ..known.id } == new;
        }
        self.helpers.calls.push(Call { by: whole.id, master: whole.key, direction, id: new });
        true
    }

    /// With an entry of GRE that a control connection expected, what was known of its call ends: also where that
    /// entry never came into the table, since its first packet was lost behind the tracker.
    pub(crate) fn end_call_of(&mut self, key: &Key, master: Option<Key>) {
        if let Some(master) = master.filter(|_| key.packed().protocol() == GRE) {
            self.helpers.calls.retain(|call| call.master != master);
        }
    }

    /// Ends the call that a control connection spoke of last, under way or expected. One that spoke of none ends the
    /// call of the ids 0.
    pub(super) fn end_call(&mut self, whole: &Whole) {
        self.helpers.calls.retain(|call| call.by != whole.id);
        let known = self.helpers.pptp.get(&whole.id).copied().unwrap_or_default();
        let Some(tuples) = Self::call_of(whole, known.pac, known.pns) else { return };
        for tuple in tuples {
            let key = Key::from_tuple(&tuple, whole.zone.of_original());
            match self.find_in(&self.table.probe(key), whole.zone) {
                Some(found) => self.remove(found.id),
                None => self.unexpect_alike(&key, whole.zone.id),
            }
        }
    }

    /// The key of a GRE packet, with the source's call id where it is known.
    #[cold]
    pub(crate) fn with_call_id(&self, packet: &Packet<'_>, key: Packed) -> Packed {
        let named = key.second();
        let is_meant = |call: &CallId| {
            IpAddr::V4(call.source) == packet.source()
                && IpAddr::V4(call.destination) == packet.destination()
                && call.named == named
        };
        let call = self.helpers.calls.iter().map(|call| &call.id).find(|call| is_meant(call));
        call.map_or(key, |call| key.with_first(call.meant))
    }

    /// Whether any GRE packet may mean more than it names.
    pub(crate) fn has_calls(&self) -> bool {
        !self.helpers.calls.is_empty()
    }
}
