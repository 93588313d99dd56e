//! Helpers: who reads along in a control connection, and expects the connections that are agreed upon there.
//!
//! Kernel: nf_conntrack_helper.c, `nf_confirm()`, nf_conntrack_proto.c, v6.18. A helper sees a packet at the last
//! hook, behind the tracker; what it does not like it drops. Not modelled: translation, helpers in user space.

mod address_v6;
mod calls;
mod expectations;
mod ftp;
mod pptp;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{Status, Tuple};
use plimsoll_wire::packet::Packet;

pub use expectations::Expectation;
pub(crate) use expectations::Expectations;

use crate::key::Key;
use crate::model::Model;
use crate::step::{Info, Step, Treatment};
use crate::table::{EntryId, Extras, Whole};
use crate::tcp::Direction;

/// A helper that the model knows. [`Treatment::helper`] gives it to the entry that a packet makes; what it reads in the packets
/// of that entry [`Model::expectations`] tells.
///
/// ```
/// use plimsoll_model::ct::{Bytes, Profile, Time};
/// use plimsoll_model::wire::packet::parse_ip;
/// use plimsoll_model::{Config, Helper, Model, Settings, Treatment};
///
/// /// A segment between 10.0.0.1:4096 and 10.0.0.2:21: its flags, sequence number, acknowledgement, text.
/// fn segment(answer: bool, flags: u8, seq: u32, ack: u32, text: &str) -> Vec<u8> {
///     let mut ends = [([10, 0, 0, 1], 4096_u16), ([10, 0, 0, 2], 21)];
///     if answer {
///         ends.reverse();
///     }
///     let [(source, source_port), (destination, destination_port)] = ends;
///     let length = (40 + text.len()) as u16;
///     let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
///     bytes[2..4].copy_from_slice(&length.to_be_bytes());
///     bytes.extend([source, destination].concat());
///     bytes.extend([source_port.to_be_bytes(), destination_port.to_be_bytes()].concat());
///     bytes.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
///     bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
///     bytes.extend(text.as_bytes());
///     bytes
/// }
///
/// let profile = Profile::named("6.18").expect("a known profile");
/// let mut model = Model::new(Config::new(profile, Settings::of(profile, Bytes(8 << 30))));
/// // As a rule with `ct helper set "ftp"` would. Checksums of what is sent on the host itself are not looked at.
/// let treatment = Treatment { helper: Some(Helper::Ftp), local: true, ..Treatment::default() };
/// for bytes in [
///     segment(false, 0x02, 100, 0, ""),   // SYN
///     segment(true, 0x12, 900, 101, ""),  // SYN and ACK
///     segment(false, 0x10, 101, 901, ""), // ACK
///     segment(false, 0x18, 101, 901, "USER a\r\n"),
///     // Read because it is known where the line before it ended.
///     segment(false, 0x18, 109, 901, "PORT 10,0,0,1,19,137\r\n"),
/// ] {
///     let packet = parse_ip(&bytes).expect("a whole header");
///     model.packet(Time::from_secs(0), &packet, &treatment);
/// }
/// let (expected, seconds) = model.expectations().next().expect("the data connection");
/// assert_eq!((expected.destination_port, seconds), (19 * 256 + 137, 300));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Helper {
    /// FTP: data connections by PORT, EPRT, PASV and EPSV.
    Ftp,
    /// PPTP: GRE by the call ids that are agreed upon; IPv4 only.
    Pptp,
}

impl Helper {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Ftp, Self::Pptp];

    /// By the kernel's name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|helper| helper.name() == name)
    }

    /// The kernel's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ftp => "ftp",
            Self::Pptp => "pptp",
        }
    }

    /// The number of the protocol that it reads.
    pub const fn protocol(self) -> u8 {
        match self {
            Self::Ftp | Self::Pptp => 6,
        }
    }

    /// The port that its connections are opened to where no rule says another.
    pub const fn port(self) -> u16 {
        match self {
            Self::Ftp => 21,
            Self::Pptp => 1723,
        }
    }

    /// Whether it reads packets like this one.
    const fn reads(self, packet: &Packet<'_>) -> bool {
        let family = match self {
            Self::Ftp => true,
            Self::Pptp => !packet.is_v6(),
        };
        family && self.protocol() == packet.protocol
    }

    /// Expectations that one entry may have at once.
    const fn most(self) -> usize {
        match self {
            Self::Ftp => 1,
            Self::Pptp => 2,
        }
    }

    /// Seconds that an expectation waits.
    const fn patience(self) -> u32 {
        match self {
            Self::Ftp | Self::Pptp => 300,
        }
    }
}

/// What all helpers of a model know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Helpers {
    pub(crate) expected: Expectations,
    /// What each remembers of its entry.
    ftp: BTreeMap<EntryId, [ftp::Lines; 2]>,
    pptp: BTreeMap<EntryId, pptp::Pptp>,
    /// Call ids of GRE, one for each direction of a control connection: the oldest first.
    calls: Vec<calls::Call>,
}

/// Where a new entry's helper and master come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Origin {
    /// The entry that expected it.
    pub(crate) master: Option<Key>,
    pub(crate) helper: Option<Helper>,
    /// Bits that tell.
    pub(crate) status: Status,
}

impl Model {
    /// Whether somebody expects a new entry, and who reads along.
    pub(crate) fn origin(
        &mut self,
        key: Key,
        packet: &Packet<'_>,
        treatment: &Treatment,
    ) -> Origin {
        let mut origin = Origin::default();
        if !self.helpers.expected.is_empty() {
            origin.master = self.meet(&key, treatment.zone.id);
        }
        if origin.master.is_some() {
            origin.status |= Status::EXPECTED;
        }
        // nft's rule comes later and does not ask; a template is for entries that nobody expected.
        let asked = origin.master.is_none() || self.behaviour.late_rules;
        let by_rule = treatment.helper.filter(|helper| asked && helper.reads(packet));
        if let Some(helper) = by_rule {
            origin.helper = Some(helper);
            origin.status |= Status::HELPER;
        } else if self.settings.helpers && origin.master.is_none() {
            let port = key.tuple(false).destination_port();
            let mut all = Helper::ALL.iter().copied();
            origin.helper = all.find(|h| h.reads(packet) && Some(h.port()) == port);
        }
        origin
    }

    /// Lets an entry's helper read a packet that has passed the tracker. `false`: it drops the packet.
    pub(crate) fn help(&mut self, step: &Step, direction: Direction, packet: &Packet<'_>) -> bool {
        let Some(id) = step.entry else { return true };
        let Some(&Extras { helper: Some(helper), .. }) = self.table.extras(id) else { return true };
        let replied = matches!(step.info, Info::Established | Info::EstablishedReply);
        if !replied {
            return true;
        }
        let Some(whole) = self.table.whole(id) else { return true };
        match helper {
            Helper::Ftp => self.help_ftp(&whole, direction, packet),
            Helper::Pptp => self.help_pptp(&whole, direction, packet),
        }
    }

    /// An entry has gone: what its helper knew goes with it.
    pub(crate) fn forget(&mut self, whole: &Whole) {
        if whole.helper == Some(Helper::Pptp) {
            self.end_call(whole);
            self.helpers.pptp.remove(&whole.id);
        }
        self.end_call_of(&whole.key, whole.master);
        self.helpers.ftp.remove(&whole.id);
        let gone = self.helpers.expected.forget(whole.id);
        self.count_unexpected(gone);
    }

    fn help_ftp(&mut self, whole: &Whole, direction: Direction, packet: &Packet<'_>) -> bool {
        let Some(reply) = whole.reply else { return true };
        let [original, reply] = [whole.key.tuple(false), reply.tuple(false)];
        let (own, other): (Tuple, Tuple) = match direction {
            Direction::Original => (original, reply),
            Direction::Reply => (reply, original),
        };
        let Some(data) = ftp::Data::of(packet) else { return true };
        let lines = &mut self.helpers.ftp.entry(whole.id).or_default()[direction as usize];
        let said = if lines.begins_at(data.seq) {
            let fits = self.behaviour.ftp_numbers_fit;
            ftp::read(direction, data.bytes, ftp::Reader { own: own.source, fits })
        } else {
            ftp::Said::Nothing
        };
        let wanted = match said {
            ftp::Said::Partial => return false,
            ftp::Said::Nothing => None,
            ftp::Said::Expect { address, port } => (address == own.source).then_some(port),
        };
        let expected = wanted.is_none_or(|port| {
            let expected = self.expect(Expectation {
                protocol: 6,
                zone: whole.zone,
                source: other.source,
                source_port: None,
                destination: other.destination,
                destination_port: port,
                helper: Helper::Ftp,
                master: original,
                expires: 0,
                rings: 0,
                by: whole.id,
            });
            expected.is_some()
        });
        if data.ends_a_line {
            let lines = &mut self.helpers.ftp.entry(whole.id).or_default()[direction as usize];
            lines.note_end(data.end);
        }
        expected
    }
}

/// The address with its first four octets replaced, as a helper does that knows IPv4 only.
fn with_first_octets(own: IpAddr, first: u32) -> IpAddr {
    match own {
        IpAddr::V4(_) => IpAddr::V4(first.into()),
        IpAddr::V6(v6) => {
            let rest = v6.to_bits() & (u128::MAX >> 32);
            IpAddr::V6((u128::from(first) << 96 | rest).into())
        }
    }
}
