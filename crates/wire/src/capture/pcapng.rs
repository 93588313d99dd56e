//! pcapng: blocks, in sections that may differ in byte order, from interfaces that may differ in link type
//! and resolution.

use alloc::vec::Vec;

use plimsoll_ct::Time;

use super::{LONGEST, Order, Record, Step};

/// Type of the section header block; the same in both byte orders.
pub(super) const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const PACKET: u32 = 6;
/// A file with more interfaces is garbage.
const MOST_INTERFACES: usize = 65_536;

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: u32,
    snapshot: u32,
    /// Units per second.
    resolution: u64,
    /// Seconds to add.
    offset: i64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
}

impl Section {
    pub(super) fn block<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, &'static str> {
        if bytes.len() < 12 {
            return Ok(Step::Need(12));
        }
        if bytes[..4] == SECTION {
            self.order = match [bytes[8], bytes[9], bytes[10], bytes[11]] {
                [0x1a, 0x2b, 0x3c, 0x4d] => Order { big: true },
                [0x4d, 0x3c, 0x2b, 0x1a] => Order { big: false },
                _ => return Err("a section header without its byte-order mark"),
            };
        }
        let order = self.order;
        let length = order.u32(bytes, 4) as usize;
        if length < 12 || !length.is_multiple_of(4) {
            return Err("a block length that is none");
        }
        if length > LONGEST + 64 {
            return Err("a block longer than 16 MiB");
        }
        let Some(block) = bytes.get(..length) else { return Ok(Step::Need(length)) };
        let body = &block[8..length - 4];
        if bytes[..4] == SECTION {
            self.interfaces.clear();
            return Ok(Step::Skip(length));
        }
        if order.u32(block, 0) == INTERFACE {
            if self.interfaces.len() >= MOST_INTERFACES {
                return Err("too many interfaces");
            }
            self.interfaces.push(interface(order, body));
            return Ok(Step::Skip(length));
        }
        let record = self.record(order.u32(block, 0), body)?;
        Ok(record.map_or(Step::Skip(length), |record| Step::Record(record, length)))
    }

    /// The record that `bytes` begin with, if a whole block of packets stands there.
    pub(super) fn again<'a>(&self, bytes: &'a [u8]) -> Option<Record<'a>> {
        let length = self.order.u32(bytes, 4) as usize;
        let body = bytes.get(8..length.checked_sub(4)?)?;
        self.record(self.order.u32(bytes, 0), body).ok()?
    }

    /// The record of a block of this kind, if it is one of packets.
    fn record<'a>(&self, kind: u32, body: &'a [u8]) -> Result<Option<Record<'a>>, &'static str> {
        let order = self.order;
        match kind {
            PACKET => self.packet(body, order.u32(body, 0), 20),
            OLD_PACKET => self.packet(body, order.u16(body, 0).into(), 20),
            SIMPLE_PACKET => {
                let on = self.interfaces.first().ok_or("a packet before any interface")?;
                let length = order.u32(body, 0);
                let limit = if on.snapshot == 0 { u32::MAX } else { on.snapshot };
                let rest = body.get(4..).unwrap_or_default();
                let held = (length.min(limit) as usize).min(rest.len());
                Ok(Some(Record { time: None, link: on.link, bytes: &rest[..held], length }))
            }
            _ => Ok(None),
        }
    }

    fn packet<'a>(
        &self,
        body: &'a [u8],
        interface: u32,
        data: usize,
    ) -> Result<Option<Record<'a>>, &'static str> {
        let on =
            self.interfaces.get(interface as usize).ok_or("a packet of an unknown interface")?;
        let order = self.order;
        let ticks = u64::from(order.u32(body, 4)) << 32 | u64::from(order.u32(body, 8));
        let held = order.u32(body, 12) as usize;
        let frame = body.get(data..data + held).ok_or("a packet longer than its block")?;
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(on.resolution);
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        let time = Time(nanos.saturating_add(on.offset.saturating_mul(1_000_000_000)));
        let length = order.u32(body, 16);
        Ok(Some(Record { time: Some(time), link: on.link, bytes: frame, length }))
    }
}

fn interface(order: Order, body: &[u8]) -> Interface {
    let mut interface = Interface {
        link: order.u16(body, 0).into(),
        snapshot: order.u32(body, 4),
        resolution: 1_000_000,
        offset: 0,
    };
    let mut options = body.get(8..).unwrap_or_default();
    while options.len() >= 4 {
        let (code, length) = (order.u16(options, 0), usize::from(order.u16(options, 2)));
        let Some(value) = options.get(4..4 + length) else { break };
        match (code, value) {
            (0, _) => break,
            (9, [resolution]) => {
                let exponent = u32::from(resolution & 0x7f);
                let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
                interface.resolution = base.checked_pow(exponent).unwrap_or(u64::MAX);
            }
            (14, value) if value.len() == 8 => {
                let low = u64::from(order.u32(value, if order.big { 4 } else { 0 }));
                let high = u64::from(order.u32(value, if order.big { 0 } else { 4 }));
                interface.offset = (high << 32 | low) as i64;
            }
            _ => {}
        }
        options = options.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
    }
    interface
}
