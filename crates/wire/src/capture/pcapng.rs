//! pcapng: blocks, in sections that may differ in byte order, from interfaces that may differ in link type
//! and resolution.

use alloc::vec::Vec;

use plimsoll_ct::Time;

use super::{Fault, LONGEST, Order, Record, Step};

/// Type of the section header block; the same in both byte orders.
pub(super) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
/// Octets of a section header without options, and of an interface's description.
const SECTION_LEAST: usize = 28;
const INTERFACE_LEAST: usize = 20;
/// In nanoseconds.
const SECOND: i64 = 1_000_000_000;
/// A file with more interfaces is garbage.
const MOST_INTERFACES: usize = 65_536;

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: u32,
    snapshot: u32,
    /// Units per second.
    resolution: u64,
    /// Nanoseconds that a unit lasts, where that is a whole number.
    unit: Option<i64>,
    /// Nanoseconds to add.
    offset: i64,
    /// Packets that the capture lost on it, as last told.
    lost: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
    /// Of the sections before.
    lost: u64,
}

impl Section {
    /// Packets that the capturing host says it could not write, up to here.
    pub(super) fn lost(&self) -> u64 {
        self.interfaces.iter().fold(self.lost, |sum, on| sum.saturating_add(on.lost))
    }

    /// Adds the packets that `bytes` begin with, at most so many, as far as they stand in blocks of the usual kind and
    /// nothing about them is odd; how many octets they take.
    pub(super) fn records<'a>(
        &self,
        bytes: &'a [u8],
        most: usize,
        records: &mut Vec<Record<'a>>,
    ) -> usize {
        let mut rest = bytes;
        for _ in 0..most {
            let Some((record, used)) = self.usual(rest) else { break };
            records.push(record);
            rest = rest.get(used..).unwrap_or_default();
        }
        bytes.len() - rest.len()
    }

    /// The packet that `bytes` begin with, and how long its block is. `None`: [`Section::block`] says what stands there.
    #[inline(always)]
    fn usual<'a>(&self, bytes: &'a [u8]) -> Option<(Record<'a>, usize)> {
        const AROUND: usize = 32;
        let (first, second) = bytes.first_chunk::<28>()?.split_first_chunk::<16>()?;
        let [kind, length, interface, high] = self.order.words(first);
        let (low, held) = (self.order.u32(second, 0), self.order.u32(second, 4) as usize);
        let used = length as usize;
        let block = bytes.get(..used)?;
        let odd = kind != PACKET || !used.is_multiple_of(4) || used > LONGEST + 64;
        if odd || used.checked_sub(AROUND)? < held || self.order.u32(block, used - 4) != length {
            return None;
        }
        let on = self.interfaces.get(interface as usize)?;
        let ticks = i64::try_from(u64::from(high) << 32 | u64::from(low)).ok()?;
        let time = ticks.checked_mul(on.unit?)?.checked_add(on.offset)?;
        let (bytes, length) = (block.get(28..28 + held)?, self.order.u32(second, 8));
        let behind = block.get(28 + held.next_multiple_of(4)..used - 4)?;
        if !behind.is_empty() && sound(self.order, behind).is_err() {
            return None;
        }
        Some((Record { time: Some(Time(time)), link: on.link, bytes, length }, used))
    }

    pub(super) fn block<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Fault> {
        if bytes.len() < 12 {
            return Ok(Step::Need(12));
        }
        if bytes[..4] == SECTION {
            self.order = match [bytes[8], bytes[9], bytes[10], bytes[11]] {
                [0x1a, 0x2b, 0x3c, 0x4d] => Order { big: true },
                [0x4d, 0x3c, 0x2b, 0x1a] => Order { big: false },
                _ => return Err(Fault::NoByteOrder),
            };
        }
        let order = self.order;
        let length = order.u32(bytes, 4) as usize;
        if length < 12 || !length.is_multiple_of(4) {
            return Err(Fault::BlockLength);
        }
        if length > LONGEST + 64 {
            return Err(Fault::BlockTooLong);
        }
        let Some(block) = bytes.get(..length) else { return Ok(Step::Need(length)) };
        if order.u32(block, length - 4) as usize != length {
            return Err(Fault::LengthsDiffer);
        }
        let body = &block[8..length - 4];
        if bytes[..4] == SECTION {
            if length < SECTION_LEAST {
                return Err(Fault::SectionTooShort);
            }
            if order.u16(block, 12) != 1 {
                return Err(Fault::SectionVersion);
            }
            sound(order, body.get(16..).unwrap_or_default())?;
            self.lost = self.lost();
            self.interfaces.clear();
            return Ok(Step::Skip(length));
        }
        if order.u32(block, 0) == INTERFACE {
            if self.interfaces.len() >= MOST_INTERFACES {
                return Err(Fault::TooManyInterfaces);
            }
            if length < INTERFACE_LEAST {
                return Err(Fault::InterfaceTooShort);
            }
            self.interfaces.push(interface(order, body)?);
            return Ok(Step::Skip(length));
        }
        if order.u32(block, 0) == STATISTICS {
            self.statistics(body)?;
            return Ok(Step::Skip(length));
        }
        let record = self.record(order.u32(block, 0), body)?;
        Ok(record.map_or(Step::Skip(length), |record| Step::Record(record, length)))
    }

    /// What became of packets on an interface: those dropped by it, and by its host.
    fn statistics(&mut self, body: &[u8]) -> Result<(), Fault> {
        const INTERFACE_DROPPED: u16 = 5;
        const HOST_DROPPED: u16 = 7;
        let order = self.order;
        let told = body.get(12..).unwrap_or_default();
        sound(order, told)?;
        let Some(on) = self.interfaces.get_mut(order.u32(body, 0) as usize) else { return Ok(()) };
        let dropped = options(order, told)
            .filter(|(code, value)| {
                matches!(*code, INTERFACE_DROPPED | HOST_DROPPED) && value.len() == 8
            })
            .fold(0u64, |sum, (_, value)| sum.saturating_add(wide(order, value)));
        on.lost = on.lost.max(dropped);
        Ok(())
    }

    /// The record that `bytes` begin with, if a whole block of packets stands there.
    pub(super) fn again<'a>(&self, bytes: &'a [u8]) -> Option<Record<'a>> {
        let length = self.order.u32(bytes, 4) as usize;
        let body = bytes.get(8..length.checked_sub(4)?)?;
        self.record(self.order.u32(bytes, 0), body).ok()?
    }

    /// The record of a block of this kind, if it is one of packets.
    fn record<'a>(&self, kind: u32, body: &'a [u8]) -> Result<Option<Record<'a>>, Fault> {
        let order = self.order;
        match kind {
            PACKET => self.packet(body, order.u32(body, 0), 20),
            OLD_PACKET => self.packet(body, order.u16(body, 0).into(), 20),
            SIMPLE_PACKET => {
                let on = self.interfaces.first().ok_or(Fault::NoInterface)?;
                let length = order.u32(body, 0);
                let limit = if on.snapshot == 0 { u32::MAX } else { on.snapshot };
                let held = length.min(limit) as usize;
                let frame = body
                    .get(4..)
                    .and_then(|rest| rest.get(..held))
                    .ok_or(Fault::LongerThanBlock)?;
                Ok(Some(Record { time: None, link: on.link, bytes: frame, length }))
            }
            _ => Ok(None),
        }
    }

    fn packet<'a>(
        &self,
        body: &'a [u8],
        interface: u32,
        data: usize,
    ) -> Result<Option<Record<'a>>, Fault> {
        let on = self.interfaces.get(interface as usize).ok_or(Fault::UnknownInterface)?;
        let order = self.order;
        let ticks = u64::from(order.u32(body, 4)) << 32 | u64::from(order.u32(body, 8));
        let held = order.u32(body, 12) as usize;
        let frame = body.get(data..data + held).ok_or(Fault::LongerThanBlock)?;
        sound(order, body.get((data + held).next_multiple_of(4)..).unwrap_or_default())?;
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(on.resolution);
        // All ones where the program that wrote it knew none: a time that nobody can have is none.
        let time = i64::try_from(nanos).ok().and_then(|n| n.checked_add(on.offset)).map(Time);
        let length = order.u32(body, 16);
        Ok(Some(Record { time, link: on.link, bytes: frame, length }))
    }
}

/// An option of 8 octets.
fn wide(order: Order, value: &[u8]) -> u64 {
    let (high, low) = if order.big { (0, 4) } else { (4, 0) };
    u64::from(order.u32(value, high)) << 32 | u64::from(order.u32(value, low))
}

/// The options of a block, code and value of each, to their end or to one that is longer than the block.
fn options(order: Order, mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let (code, value, behind) = option(order, rest).ok()??;
        rest = behind;
        Some((code, value))
    })
}

/// Whether all options of a block are within it.
fn sound(order: Order, mut rest: &[u8]) -> Result<(), Fault> {
    while let Some((_, _, behind)) = option(order, rest)? {
        rest = behind;
    }
    Ok(())
}

/// Code, value, and what follows.
type Opt<'a> = (u16, &'a [u8], &'a [u8]);

/// The option that `rest` begins with; `None`: their end, which may be left out.
fn option(order: Order, rest: &[u8]) -> Result<Option<Opt<'_>>, Fault> {
    let Some((head, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let (code, length) = (order.u16(head, 0), usize::from(order.u16(head, 2)));
    if code == 0 {
        return Ok(None);
    }
    let value = rest.get(..length).ok_or(Fault::OptionTooLong)?;
    Ok(Some((code, value, rest.get(length.next_multiple_of(4)..).unwrap_or_default())))
}

fn interface(order: Order, body: &[u8]) -> Result<Interface, Fault> {
    let mut interface = Interface {
        link: order.u16(body, 0).into(),
        snapshot: order.u32(body, 4),
        resolution: 1_000_000,
        unit: None,
        offset: 0,
        lost: 0,
    };
    let told = body.get(8..).unwrap_or_default();
    sound(order, told)?;
    for (code, value) in options(order, told) {
        match (code, value) {
            (9, [resolution]) => {
                let exponent = u32::from(resolution & 0x7f);
                let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
                interface.resolution =
                    base.checked_pow(exponent).ok_or(Fault::ResolutionTooFine)?;
            }
            (9, _) => return Err(Fault::ResolutionLength),
            (14, value) if value.len() == 8 => {
                interface.offset = (wide(order, value) as i64).saturating_mul(SECOND);
            }
            _ => {}
        }
    }
    let resolution = i64::try_from(interface.resolution).ok();
    let whole = resolution.filter(|per| SECOND.checked_rem(*per) == Some(0));
    interface.unit = whole.map(|per| SECOND / per);
    Ok(interface)
}
