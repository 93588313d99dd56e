//! pcap: a header of 24 octets, then records.

use alloc::vec::Vec;

use plimsoll_ct::Time;

use super::{Fault, LONGEST, Order, Record, Step};

#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    order: Order,
    link: u32,
    /// Nanoseconds that one sub-second unit lasts.
    unit: i64,
    /// Octets of a record's header.
    record: usize,
}

/// Octets from the record that is read to what is touched ahead.
const AHEAD: usize = 512;

impl Header {
    pub(super) fn read(bytes: &[u8; 24]) -> Result<Self, Fault> {
        let magic = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let (big, unit, record) = match u32::from_be_bytes(magic) {
            0xa1b2_c3d4 => (true, 1000, 16),
            0xd4c3_b2a1 => (false, 1000, 16),
            0xa1b2_3c4d => (true, 1, 16),
            0x4d3c_b2a1 => (false, 1, 16),
            // Kuznetzov's: interface, protocol and packet type behind each record's header.
            0xa1b2_cd34 => (true, 1000, 24),
            0x34cd_b2a1 => (false, 1000, 24),
            _ => return Err(Fault::NoCapture),
        };
        let order = Order { big };
        // Version 1 has another form, and nobody has seen 3. AIX calls its version 2 by another number.
        if !matches!(order.u16(bytes, 4), 2 | 543) {
            return Err(Fault::PcapVersion);
        }
        // The upper half tells of checksums that the link adds.
        Ok(Self { order, link: order.u32(bytes, 20) & 0xffff, unit, record })
    }

    /// Adds the records that `bytes` begin with, at most so many; how many octets they take.
    pub(super) fn records<'a>(
        self,
        bytes: &'a [u8],
        most: usize,
        records: &mut Vec<Record<'a>>,
    ) -> usize {
        records.reserve(most.min(bytes.len() / self.record));
        let mut rest = bytes;
        // Where a record begins is known when the one before was read: what lies ahead is touched meanwhile.
        let mut touched = 0;
        for _ in 0..most {
            let Ok(Step::Record(record, used)) = self.record(rest) else { break };
            records.push(record);
            rest = rest.get(used..).unwrap_or_default();
            touched |= rest.get(AHEAD).copied().unwrap_or_default();
        }
        core::hint::black_box(touched);
        bytes.len() - rest.len()
    }

    #[inline(always)]
    pub(super) fn record<'a>(&self, bytes: &'a [u8]) -> Result<Step<'a>, Fault> {
        // Every record's header begins with these.
        let Some(header) = bytes.first_chunk::<16>().filter(|_| bytes.len() >= self.record) else {
            return Ok(Step::Need(self.record));
        };
        let [seconds, below, held, length] = self.order.words(header);
        let held = held as usize;
        if held > LONGEST {
            return Err(Fault::RecordTooLong);
        }
        let end = self.record + held;
        let Some(frame) = bytes.get(self.record..end) else { return Ok(Step::Need(end)) };
        let time = Time(i64::from(seconds) * 1_000_000_000 + i64::from(below) * self.unit);
        Ok(Step::Record(Record { time: Some(time), link: self.link, bytes: frame, length }, end))
    }
}
