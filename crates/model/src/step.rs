//! What the ruleset does to a packet, and what conntrack makes of it.

use plimsoll_ct::Zone;

use crate::helper::Helper;
use crate::table::EntryId;
use crate::tcp::Direction;

/// What happens to a packet behind conntrack: a capture does not show it, so the caller says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// It reaches the last hook.
    #[default]
    Accepted,
    /// A rule drops it, no route, TTL: an entry that it would make never gets into the table.
    Dropped,
}

/// How the ruleset treats a packet. A datagram in fragments is treated as its first part is, since rules see it when it is
/// whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Treatment {
    /// Fate.
    pub fate: Fate,
    /// NOTRACK: conntrack does not see it.
    pub untracked: bool,
    /// Zone, of both directions or of one: who is looked for, and what a new entry gets.
    pub zone: Zone,
    /// The timeout policy of the entry that it makes: its place in [`Settings::policies`](crate::Settings::policies).
    pub policy: Option<u8>,
    /// The helper of the entry that it makes, where that is of the helper's protocol.
    pub helper: Option<Helper>,
    /// It was made on the host itself: checksums are not looked at.
    pub local: bool,
}

/// The class of one packet, as rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Info {
    /// NEW
    New,
    /// ESTABLISHED, original direction.
    Established,
    /// ESTABLISHED, reply direction.
    EstablishedReply,
    /// RELATED: an error about an entry's original direction, or an expected flow.
    Related,
    /// RELATED, about the reply direction.
    RelatedReply,
    /// INVALID
    Invalid,
    /// UNTRACKED
    Untracked,
}

impl Info {
    /// Of a packet of an entry that has seen answers.
    #[inline(always)]
    pub(crate) const fn established(direction: Direction) -> Self {
        match direction {
            Direction::Original => Self::Established,
            Direction::Reply => Self::EstablishedReply,
        }
    }
}

/// What becomes of the packet in conntrack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It goes on.
    Accept,
    /// Dropped.
    Drop,
    /// Kept: a fragment that waits for the others, or is thrown away.
    Stolen,
}

/// What the packet did to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Nothing.
    Nothing,
    /// Its entry is in the table now.
    Inserted,
    /// An entry was made, and died with the packet.
    NotConfirmed,
    /// Its entry expires later (or sooner) now.
    Refreshed,
    /// Accepted without a trace in the timeout.
    Ignored,
    /// Its entry was removed.
    Removed,
    /// The table was full.
    TableFull,
    /// Its chains were too long.
    ChainTooLong,
    /// The entry that it would make shares a tuple with another (zones of one direction). It is lost; up to 6.1 what is of
    /// UDP, UDP-Lite or a protocol without a tracker counts as a packet of that one.
    Clashed,
}

/// One packet's way through conntrack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Class.
    pub info: Info,
    /// Verdict.
    pub verdict: Verdict,
    /// Effect.
    pub what: What,
    /// Its entry, if it has one in the table.
    pub entry: Option<EntryId>,
    /// Entries evicted to make room.
    pub evicted: u32,
    /// It re-opened a flow: the old entry was removed first.
    pub reopened: bool,
}

impl Step {
    pub(crate) const fn new(info: Info, verdict: Verdict) -> Self {
        Self { info, verdict, what: What::Nothing, entry: None, evicted: 0, reopened: false }
    }
}
