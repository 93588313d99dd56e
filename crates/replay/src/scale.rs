//! The same traffic several times over, each copy with addresses of its own.
//!
//! Copy `n` (from 1 on) has the second octet of every IPv4 address changed by the low octet of `n`, the first
//! by the next: 10.0.0.1 becomes 10.1.0.1, 10.2.0.1 … In IPv6 the third group is changed. Both ends of a
//! flow change alike, and so do the addresses that an ICMP error quotes. Checksums stay as they were.

use alloc::vec::Vec;
use core::ops::Range;

use plimsoll_wire::capture::Record;
use plimsoll_wire::packet::{LinkType, network_layer, parse_ip};

/// Most copies: there are no more addresses.
pub const MOST_COPIES: u32 = 0xffff;

/// Makes copies of a record.
#[derive(Debug, Clone, Default)]
pub struct Copies {
    bytes: Vec<u8>,
    /// Some copies, one behind the other.
    several: Vec<u8>,
    /// Places of the high half of each address, and the family.
    addresses: Vec<(Range<usize>, bool)>,
    copy: u32,
}

impl Copies {
    /// Begins with another record.
    pub fn of(&mut self, record: &Record<'_>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(record.bytes);
        self.addresses.clear();
        self.copy = 0;
        let Some(link) = LinkType::from_number(record.link) else { return };
        let Ok(ip) = network_layer(link, record.bytes) else { return };
        let Ok(packet) = parse_ip(ip) else { return };
        // Both are ends of the record's bytes.
        let outer = record.bytes.len() - ip.len();
        self.note(outer);
        let is_error = match (packet.protocol, packet.payload.first()) {
            (1, Some(3 | 4 | 5 | 11 | 12)) => !packet.is_v6(),
            (58, Some(0..=127)) => packet.is_v6(),
            _ => false,
        };
        if is_error && packet.fragment.is_none_or(|f| f.offset == 0) {
            let behind = packet.payload.as_ptr() as usize - ip.as_ptr() as usize;
            self.note(outer + behind + 8);
        }
    }

    /// Remembers where the addresses of the IP header at `at` stand.
    fn note(&mut self, at: usize) {
        let (source, step, v6) = match self.bytes.get(at).map(|b| b >> 4) {
            Some(4) => (at + 12, 4, false),
            Some(6) => (at + 8, 16, true),
            Some(_) | None => return,
        };
        if self.bytes.len() >= source + 2 * step {
            for start in [source, source + step] {
                self.addresses.push((start..start + step, v6));
            }
        }
    }

    /// The record's copies of these numbers; 0 is as it was.
    pub fn some<'a>(&'a mut self, record: &Record<'_>, numbers: Range<u32>) -> Vec<Record<'a>> {
        self.several.clear();
        for number in numbers.clone() {
            self.become_copy(number);
            self.several.extend_from_slice(&self.bytes);
        }
        let Record { time, link, length, .. } = *record;
        let octets = self.bytes.len();
        let copy = |at: usize| &self.several[at * octets..(at + 1) * octets];
        (0..numbers.len()).map(|at| Record { bytes: copy(at), time, link, length }).collect()
    }

    fn become_copy(&mut self, number: u32) {
        let [_, _, high, low] = (number ^ self.copy).to_be_bytes();
        self.copy = number;
        for (range, v6) in &self.addresses {
            let at = if *v6 { range.start + 4 } else { range.start };
            self.bytes[at] ^= high;
            self.bytes[at + 1] ^= low;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn copies_differ_in_both_addresses_and_in_those_that_an_error_quotes() {
        let mut packet =
            alloc::vec![0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1];
        packet.extend([3, 3, 0, 0, 0, 0, 0, 0]);
        packet.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend([4, 0, 0, 53, 0, 8, 0, 0]);
        let record = Record { time: None, link: 101, bytes: &packet, length: 56 };
        let mut copies = Copies::default();
        copies.of(&record);
        for n in [1, 0x102, 3] {
            let copy = copies.some(&record, n..n + 1).remove(0);
            let outer = parse_ip(copy.bytes).unwrap();
            let inner = parse_ip(&copy.bytes[28..]).unwrap();
            let first = 10 ^ (n >> 8);
            let second = n & 0xff;
            assert_eq!(outer.destination().to_string(), alloc::format!("{first}.{second}.0.1"));
            assert_eq!(inner.source(), outer.destination());
        }
        let some = copies.some(&record, 0..3);
        let second = |n: usize| parse_ip(some[n].bytes).unwrap().source().to_string();
        assert_eq!((some.len(), some[0].bytes), (3, &packet[..]));
        assert_eq!((second(1), second(2)), ("10.1.0.9".into(), "10.2.0.9".into()));
    }

    #[test]
    fn what_is_no_packet_is_copied_as_it_is() {
        let record = Record { time: None, link: 1, bytes: &[0; 20], length: 20 };
        let mut copies = Copies::default();
        copies.of(&record);
        assert_eq!(copies.some(&record, 7..8)[0].bytes, &[0; 20]);
    }
}
