//! The SCTP tracker.
//!
//! Kernel: `nf_conntrack_sctp_packet()`, `sctp_new()`, `do_basic_checks()`, nf_conntrack_proto_sctp.c,
//! v6.18. States by their number in [`plimsoll_ct::SctpState`]; tags as they stand in the packet.

use alloc::format;
use alloc::string::String;

use plimsoll_wire::packet::{SctpHeader, chunks};

use crate::tcp::Direction;

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const DATA: u8 = 0;
const HEARTBEAT: u8 = 4;
const HEARTBEAT_ACK: u8 = 5;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const ERROR: u8 = 9;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;

/// No state yet.
const NO: u8 = 0;
const CL: u8 = 1;
const CW: u8 = 2;
const CE: u8 = 3;
/// Established.
pub(crate) const ES: u8 = 4;
const SS: u8 = 5;
const SR: u8 = 6;
const SA: u8 = 7;
const HS: u8 = 8;
/// Invalid.
const IV: u8 = 255;

/// Columns: NO CL CW CE ES SS SR SA HS.
type Row = [u8; 9];

/// By chunk: original direction, reply direction.
#[rustfmt::skip]
const fn rows(chunk: u8) -> Option<[Row; 2]> {
    Some(match chunk {
        INIT              => [[CL, CL, CW, CE, ES, CL, CL, SA, CW], [IV, CL, CW, CE, ES, SS, SR, SA, IV]],
        INIT_ACK          => [[CL, CL, CW, CE, ES, SS, SR, SA, CL], [IV, CW, CW, CE, ES, SS, SR, SA, IV]],
        ABORT             => [[CL, CL, CL, CL, CL, CL, CL, CL, CL], [IV, CL, CL, CL, CL, CL, CL, CL, IV]],
        SHUTDOWN          => [[CL, CL, CW, CE, SS, SS, SR, SA, CL], [IV, CL, CW, CE, SR, SS, SR, SA, IV]],
        SHUTDOWN_ACK      => [[SA, CL, CW, CE, ES, SA, SA, SA, SA], [IV, CL, CW, CE, ES, SA, SA, SA, IV]],
        ERROR             => [[CL, CL, CW, CE, ES, SS, SR, SA, CL], [IV, CL, CW, CL, ES, SS, SR, SA, IV]],
        COOKIE_ECHO       => [[CL, CL, CE, CE, ES, SS, SR, SA, CL], [IV, CL, CE, CE, ES, SS, SR, SA, IV]],
        COOKIE_ACK        => [[CL, CL, CW, ES, ES, SS, SR, SA, CL], [IV, CL, CW, ES, ES, SS, SR, SA, IV]],
        SHUTDOWN_COMPLETE => [[CL, CL, CW, CE, ES, SS, SR, CL, CL], [IV, CL, CW, CE, ES, SS, SR, CL, IV]],
        HEARTBEAT         => [[HS, CL, CW, CE, ES, SS, SR, SA, HS], [IV, CL, CW, CE, ES, SS, SR, SA, HS]],
        HEARTBEAT_ACK     => [[CL, CL, CW, CE, ES, SS, SR, SA, HS], [IV, CL, CW, CE, ES, SS, SR, SA, ES]],
        _ => return None,
    })
}

/// The state behind a chunk; chunks without a row change nothing.
fn next(direction: Direction, state: u8, chunk: u8) -> u8 {
    let column = usize::from(state.min(HS));
    rows(chunk).map_or(state, |rows| rows[direction as usize][column])
}

/// What the tracker remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sctp {
    pub(crate) state: u8,
    /// Tag that packets of this direction must carry.
    tags: [u32; 2],
    /// Whose INIT was seen; of two that collide the later one.
    inits: [bool; 2],
    /// A heartbeat with another tag was let through, from this side.
    strange_heartbeat: Option<Direction>,
    /// Nobody knows the tag of this direction: the entry was not made by its packets.
    unknown: [bool; 2],
}

/// What a packet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Refresh with the timeout of this state; assured when it was just established.
    Refresh { state: u8, assure: bool, moved: bool },
    /// Accepted without a refresh.
    Ignore { assure: bool },
    /// Invalid. Chunks before the bad one have had their effect.
    Invalid { assure: bool },
}

/// The chunk types of a packet, or `None` where chunks stand together that may not.
fn inventory(header: &SctpHeader<'_>) -> Option<[u64; 4]> {
    let mut seen = [0u64; 4];
    let mut alone = false;
    let mut count = 0u32;
    for chunk in chunks(header) {
        let (kind, _, _) = chunk?;
        alone |= matches!(kind, INIT | INIT_ACK | SHUTDOWN_COMPLETE);
        if count != 0 && (alone || matches!(kind, COOKIE_ACK | COOKIE_ECHO)) {
            return None;
        }
        seen[usize::from(kind >> 6)] |= 1 << (kind & 63);
        count += 1;
    }
    (count != 0).then_some(seen)
}

const fn has(seen: &[u64; 4], kind: u8) -> bool {
    seen[(kind >> 6) as usize] & (1 << (kind & 63)) != 0
}

/// What is said of an invalid packet of an entry, if anything; `both`: its memory before and after. `None`: it makes no
/// entry.
pub(crate) fn complaint(
    both: Option<(Sctp, Sctp)>,
    direction: Direction,
    header: &SctpHeader<'_>,
) -> Option<String> {
    let (mut alone, mut at) = (false, 0);
    for (count, chunk) in (0u32..).zip(chunks(header)) {
        let &[kind, _, long, octets] = header.chunks.get(at..)?.first_chunk()?;
        let length = [long, octets];
        if chunk.is_none() && length != [0; 2] {
            return None;
        }
        alone |= matches!(kind, INIT | INIT_ACK | SHUTDOWN_COMPLETE);
        let crowded = count != 0 && (alone || matches!(kind, COOKIE_ACK | COOKIE_ECHO));
        if crowded || chunk.is_none() {
            // As it stands in the packet, read by a machine of the other order.
            let (length, alone) = (u16::from_le_bytes(length), u8::from(alone));
            // The line's end stands in its middle.
            return Some(format!(
                "do_basic_checks failed. chunk num {count}, type {kind}, len {length} flag {alone}\\x0a"
            ));
        }
        at += usize::from(u16::from_be_bytes(length)).next_multiple_of(4);
    }
    let seen = inventory(header)?;
    let (before, after) = match both {
        Some((before, after)) => (before, Some(after)),
        None => (Sctp::open(header)?, None),
    };
    let by_chunk =
        [INIT, SHUTDOWN_COMPLETE, COOKIE_ECHO, ABORT, SHUTDOWN_ACK, HEARTBEAT, HEARTBEAT_ACK];
    let own = direction as usize;
    let known = before.tags[own];
    if !by_chunk.iter().any(|&kind| has(&seen, kind)) && header.tag != known {
        let (tag, known) = (header.tag.swap_bytes(), known.swap_bytes());
        return Some(format!("verification tag check failed {tag:x} vs {known:x} for dir {own}"));
    }
    // Those in front of a chunk that may not come in this state had their effect.
    let after = after?;
    let refused = |kind| next(direction, after.state, kind) == IV;
    let (kind, flags, _) = chunks(header).flatten().find(|&(kind, ..)| refused(kind))?;
    let (silent, state) = (after.forbids(direction, kind, flags, header.tag), after.state);
    (!silent).then(|| format!("Invalid, old_state {state}, dir {own}, type {kind}"))
}

/// The first four octets behind a chunk's header: the tag of an INIT.
fn offered_tag(value: &[u8]) -> Option<u32> {
    // The kernel wants the whole fixed part of the INIT.
    let whole: &[u8; 16] = value.first_chunk()?;
    Some(u32::from_be_bytes([whole[0], whole[1], whole[2], whole[3]]))
}

impl Sctp {
    /// The memory that a first packet makes, or `None` when it makes no entry.
    pub(crate) fn open(header: &SctpHeader<'_>) -> Option<Self> {
        let seen = inventory(header)?;
        if has(&seen, ABORT) || has(&seen, SHUTDOWN_COMPLETE) || has(&seen, COOKIE_ACK) {
            return None;
        }
        let mut sctp = Self { unknown: [false; 2], ..Self::resumed(NO) };
        for chunk in chunks(header) {
            let (kind, _, value) = chunk?;
            let new = next(Direction::Original, NO, kind);
            if new == NO || new == IV {
                return None;
            }
            match kind {
                INIT if header.tag != 0 => return None,
                INIT => sctp.tags[1] = offered_tag(value)?,
                HEARTBEAT => sctp.tags[0] = header.tag,
                // Out of the blue; a SHUTDOWN COMPLETE with the same tag is to come back.
                SHUTDOWN_ACK => sctp.tags[1] = header.tag,
                _ => {}
            }
        }
        Some(sctp)
    }

    /// As the table packs it.
    pub(crate) fn pack(&self) -> [u32; 3] {
        let strange = match self.strange_heartbeat {
            None => 0,
            Some(Direction::Original) => 4,
            Some(Direction::Reply) => 8,
        };
        let both = |[one, other]: [bool; 2]| u32::from(one) | u32::from(other) << 1;
        let rest = both(self.inits) | strange | both(self.unknown) << 4;
        [self.tags[0], self.tags[1], u32::from(self.state) | rest << 8]
    }

    pub(crate) const fn unpack([own, other, rest]: [u32; 3]) -> Self {
        let strange_heartbeat = match rest >> 8 & 12 {
            4 => Some(Direction::Original),
            8 => Some(Direction::Reply),
            _ => None,
        };
        let inits = [rest >> 8 & 1 != 0, rest >> 8 & 2 != 0];
        let unknown = [rest >> 8 & 16 != 0, rest >> 8 & 32 != 0];
        Self { state: rest as u8, tags: [own, other], inits, strange_heartbeat, unknown }
    }

    /// The memory of an entry of which only the state is known: of each direction any tag will do once.
    pub(crate) const fn resumed(state: u8) -> Self {
        let (inits, strange_heartbeat) = ([false; 2], None);
        Self { state, tags: [0; 2], inits, strange_heartbeat, unknown: [true; 2] }
    }

    /// Judges a packet; the first one too, after [`Sctp::open`].
    pub(crate) fn judge(
        &mut self,
        direction: Direction,
        header: &SctpHeader<'_>,
        confirmed: bool,
        collisions: bool,
    ) -> Outcome {
        let before = (self.tags, self.unknown);
        let learnt = self.unknown != [false; 2] && self.learn(direction, header);
        let outcome = self.judged(direction, header, confirmed, collisions);
        if learnt && matches!(outcome, Outcome::Invalid { .. }) {
            (self.tags, self.unknown) = before;
        }
        outcome
    }

    /// Takes the tag of a packet for that of a direction of which none is known. Whether it did.
    fn learn(&mut self, direction: Direction, header: &SctpHeader<'_>) -> bool {
        let Some(Some((kind, flags, _))) = chunks(header).next() else { return false };
        let whose = match kind {
            // It has none, and brings that of the other direction.
            INIT => return false,
            ABORT | SHUTDOWN_COMPLETE if flags & 1 != 0 => direction.flip(),
            _ => direction,
        };
        let unknown = core::mem::take(&mut self.unknown[whose as usize]);
        if unknown {
            self.tags[whose as usize] = header.tag;
        }
        unknown
    }

    fn judged(
        &mut self,
        direction: Direction,
        header: &SctpHeader<'_>,
        confirmed: bool,
        collisions: bool,
    ) -> Outcome {
        let Some(seen) = inventory(header) else { return Outcome::Invalid { assure: false } };
        let by_chunk =
            [INIT, SHUTDOWN_COMPLETE, COOKIE_ECHO, ABORT, SHUTDOWN_ACK, HEARTBEAT, HEARTBEAT_ACK];
        let own = self.tags[direction as usize];
        if !by_chunk.iter().any(|&kind| has(&seen, kind)) && header.tag != own {
            return Outcome::Invalid { assure: false };
        }
        let (mut ignore, mut assure, mut moved, mut last) = (false, false, false, NO);
        for chunk in chunks(header) {
            let Some((kind, flags, value)) = chunk else { return Outcome::Invalid { assure } };
            if self.forbids(direction, kind, flags, header.tag) {
                return Outcome::Invalid { assure };
            }
            if matches!(kind, HEARTBEAT | HEARTBEAT_ACK) {
                let lenient = !has(&seen, DATA) && !ignore;
                match self.beat(direction, kind, header.tag, lenient) {
                    None => return Outcome::Invalid { assure },
                    Some(false) => {}
                    Some(true) => {
                        ignore = true;
                        continue;
                    }
                }
            }
            let old = self.state;
            let new = next(direction, old, kind);
            if new == IV {
                return Outcome::Invalid { assure };
            }
            if matches!(kind, INIT | INIT_ACK) {
                let tag = offered_tag(value);
                if !tag.is_some_and(|tag| self.offer(direction, kind, tag, confirmed, collisions)) {
                    return Outcome::Invalid { assure };
                }
                // A repeated INIT does not keep an entry alive.
                ignore |= kind == INIT && new == CL && old == CL && confirmed;
            }
            self.state = new;
            last = new;
            moved |= old != new;
            assure |= old != new && new == ES;
            if kind == COOKIE_ACK {
                self.inits = [false; 2];
            }
        }
        if ignore {
            Outcome::Ignore { assure }
        } else {
            Outcome::Refresh { state: last, assure, moved }
        }
    }

    /// Whether a chunk may not come under the packet's tag.
    const fn forbids(&self, direction: Direction, kind: u8, flags: u8, tag: u32) -> bool {
        let (own, other) = (direction as usize, direction.flip() as usize);
        match kind {
            INIT => tag != 0,
            // The T bit says whose tag it is.
            ABORT | SHUTDOWN_COMPLETE => tag != self.tags[if flags & 1 != 0 { other } else { own }],
            COOKIE_ECHO => tag != self.tags[own],
            _ => false,
        }
    }

    /// A heartbeat or the answer to one; a strange tag may pass where nothing forbids to be `lenient`. Whether it is a strange heartbeat;
    /// `None`: it is INVALID.
    fn beat(&mut self, direction: Direction, kind: u8, tag: u32, lenient: bool) -> Option<bool> {
        let (own, other) = (direction as usize, direction.flip() as usize);
        if self.tags[own] == 0 {
            self.tags[own] = tag;
            return Some(false);
        }
        if self.tags[own] == tag {
            self.strange_heartbeat = None;
            return Some(false);
        }
        if !lenient {
            return None;
        }
        if kind == HEARTBEAT {
            self.strange_heartbeat = Some(direction);
            return Some(true);
        }
        if self.strange_heartbeat != Some(direction.flip()) {
            return None;
        }
        self.strange_heartbeat = None;
        (self.tags[own], self.tags[other]) = (tag, 0);
        Some(false)
    }

    /// An INIT or INIT ACK offers a tag: whether it may.
    fn offer(
        &mut self,
        direction: Direction,
        kind: u8,
        tag: u32,
        confirmed: bool,
        collisions: bool,
    ) -> bool {
        let (own, other) = (direction as usize, direction.flip() as usize);
        let known = self.tags[other];
        if kind == INIT {
            // The same once more is none.
            if known != tag || !confirmed {
                self.inits[other] &= !self.inits[own];
                self.inits[own] = true;
            }
        } else {
            // An INIT ACK answers the other side's INIT; where that was not seen, or both sides'
            // INITs crossed, it may not bring a new tag.
            let unasked = !self.inits[other] && known != 0;
            let crossed = self.inits[own] && self.inits[other];
            if collisions && (unasked || crossed) && known != tag {
                return false;
            }
        }
        self.tags[other] = tag;
        self.unknown[other] = false;
        true
    }
}
