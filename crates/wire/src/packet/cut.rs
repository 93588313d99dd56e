//! Packets of which the capture kept too little.

use super::transport::READ_OF_TCP;
use super::{Packet, upper_layer};

/// More octets behind an IPv4 header, or the whole one of IPv6, are never needed.
const ENOUGH: usize = 56;

impl Packet<'_> {
    /// Whether the capture cut it.
    #[inline(always)]
    pub const fn is_cut(&self) -> bool {
        self.payload.len() < self.payload_length as usize
    }

    /// Whether the capture cut it before the end of what conntrack reads of its transport header. A packet that is too
    /// short itself is none of those, nor a later fragment, which has no such header.
    #[inline]
    pub fn lacks_header(&self) -> bool {
        self.is_cut() && (self.payload.len() < ENOUGH || self.fragment.is_some()) && lacks(self)
    }
}

#[inline(never)]
fn lacks(packet: &Packet<'_>) -> bool {
    if packet.fragment.is_some_and(|fragment| fragment.offset != 0) {
        return false;
    }
    let Some((protocol, at)) = upper_layer(packet) else { return true };
    let kind = |place: usize| packet.payload.get(at + place).copied();
    let needed = match protocol {
        6 => READ_OF_TCP,
        // The ports; the length is assumed to be right.
        17 => 4,
        // An error is about the packet that it quotes, with its ports.
        1 if matches!(kind(0), Some(3 | 4 | 5 | 11 | 12)) => 8 + 20 + 4,
        58 if matches!(kind(0), Some(1..=4)) => 8 + 40 + 4,
        1 | 47 | 58 | 136 => 8,
        // With the first chunk's header, and the tag that an INIT offers.
        132 if matches!(kind(12), Some(1 | 2)) => 12 + 4 + 16,
        132 => 12 + 4,
        // With both numbers.
        33 => 24,
        _ => 0,
    };
    packet.payload.len() < (at + needed).min(packet.payload_length as usize)
}

#[cfg(test)]
mod tests {
    use super::super::{Transport, parse_ip, parse_transport};

    /// An IPv4 packet that promises 60 octets of such a protocol, and of which so many are there, all 0 but for some.
    fn of(protocol: u8, captured: usize, some: &[(usize, u8)]) -> [u8; 80] {
        let mut bytes = [0; 80];
        bytes[..10].copy_from_slice(&[0x45, 0, 0, 80, 0, 0, 0, 0, 64, protocol]);
        some.iter().filter(|(at, _)| *at < captured).for_each(|(at, to)| bytes[20 + at] = *to);
        bytes
    }

    #[test]
    fn what_the_capture_cut_before_what_conntrack_reads_lacks_its_header() {
        let from = |protocol: u8, some: &[(usize, u8)]| {
            let lacks = |captured: &usize| {
                let bytes = of(protocol, *captured, some);
                parse_ip(&bytes[..20 + captured]).expect("its header is whole").lacks_header()
            };
            let enough = (0..=60).find(|captured| !lacks(captured)).expect("the whole one has it");
            assert!((enough..=60).all(|captured| !lacks(&captured)), "{protocol}");
            enough
        };
        assert_eq!(
            [6, 17, 1, 47, 136, 132, 33, 50].map(|p| from(p, &[])),
            [16, 4, 8, 8, 8, 16, 24, 0]
        );
        // An ICMP error, an INIT.
        assert_eq!((from(1, &[(0, 3)]), from(132, &[(12, 1)])), (32, 32));
    }

    #[test]
    fn a_packet_that_is_too_short_itself_and_a_later_fragment_lack_nothing() {
        let mut bytes = of(6, 60, &[]);
        bytes[3] = 30;
        assert!(!parse_ip(&bytes[..30]).expect("an IP header").lacks_header());
        assert!(parse_ip(&bytes[..29]).expect("an IP header").lacks_header());
        bytes[3] = 80;
        for (fragment, lacks) in [([0x20, 0], true), ([0x20, 1], false), ([0, 1], false)] {
            bytes[6..8].copy_from_slice(&fragment);
            assert_eq!(parse_ip(&bytes[..29]).expect("an IP header").lacks_header(), lacks);
        }
    }

    #[test]
    fn the_first_part_of_an_ipv6_datagram_may_lack_what_stands_behind_its_other_headers() {
        // Fragment, then destination options, then TCP.
        let mut bytes = [0; 104];
        bytes[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 64, 44, 64]);
        (bytes[40], bytes[43], bytes[48]) = (60, 1, 6);
        for (captured, lacks) in [(47, true), (48, true), (71, true), (72, false)] {
            let packet = parse_ip(&bytes[..captured]);
            assert_eq!(packet.map(|packet| packet.lacks_header()), Ok(lacks), "{captured}");
        }
    }

    #[test]
    fn a_header_is_read_as_far_as_it_is_needed() {
        let mut tcp = of(6, 60, &[(1, 80), (3, 90), (12, 0x80), (13, 2), (15, 9)]);
        tcp[39] = 7;
        for captured in 16..32 {
            let Some(Transport::Tcp {
                source: 80,
                destination: 90,
                flags: 2,
                window: 9,
                payload,
                options,
                ..
            }) = parse_transport(6, &tcp[20..20 + captured], 60)
            else {
                panic!("{captured} octets are enough")
            };
            assert_eq!((payload, options.present, options.cut), (28, true, true));
        }
        assert_eq!(parse_transport(6, &tcp[20..35], 60), None);
        // One that ends so soon is no TCP header.
        assert_eq!(parse_transport(6, &tcp[20..38], 18), None);
        let udp = |captured: usize, promised| {
            parse_transport(17, &[0, 1, 0, 2, 0, 9][..captured], promised)
        };
        let is = |length| Some(Transport::Udp { source: 1, destination: 2, length });
        assert_eq!((udp(6, 60), udp(5, 60), udp(4, 8)), (is(9), is(60), is(8)));
        assert_eq!((udp(3, 60), udp(4, 7)), (None, None));
    }
}
