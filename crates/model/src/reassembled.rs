//! A datagram that came in parts as one frame again: what the log shows of it.
//!
//! Kernel: `ip_frag_reasm()`, `nf_ct_frag6_reasm()`, seen in the log of v6.18: the first part's link addresses and headers
//! stand in front of the whole payload.

use alloc::vec::Vec;

use plimsoll_wire::packet::{LinkType, network_layer};

/// What stands in front of a datagram's payload: the frame of its first part, as far as its headers go; `headers`: octets of
/// the IP header and those behind it that every part has.
pub(crate) fn head(link: LinkType, frame: &[u8], headers: usize) -> Vec<u8> {
    frame.get(..front(link, frame) + headers).unwrap_or(frame).to_vec()
}

/// Octets in front of the IP header.
fn front(link: LinkType, frame: &[u8]) -> usize {
    network_layer(link, frame).map_or(0, |packet| frame.len() - packet.len())
}

/// The frame of a datagram; `head`: see [`head`], `protocol`: that of the first octet of `payload`, `congested`: one of its
/// parts met congestion.
pub(crate) fn frame(
    link: LinkType,
    head: &[u8],
    protocol: u8,
    payload: &[u8],
    congested: bool,
) -> Vec<u8> {
    let mut frame = [head, payload].concat();
    let front = front(link, head);
    let packet = &mut frame[front..];
    let long = packet.len();
    let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    let length = if v6 { long.saturating_sub(40) } else { long };
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    if !v6 {
        if let Some(header) = packet.first_chunk_mut::<20>() {
            header[1] |= if congested { 3 } else { 0 };
            [header[2], header[3]] = length;
            // Neither an offset nor more to come; whether it might have been cut is told.
            [header[6], header[7]] = [header[6] & 0x40, 0];
        }
        return frame;
    }
    let Some(header) = packet.first_chunk_mut::<40>() else { return frame };
    header[1] |= if congested { 3 << 4 } else { 0 };
    [header[4], header[5]] = length;
    // The last header that every part has named the fragment's.
    let (mut place, mut at) = (6, 40);
    let end = head.len() - front;
    while at < end {
        let Some(&[_, words]) = packet.get(at..).and_then(|rest| rest.first_chunk()) else { break };
        let unit = if packet[place] == 51 { 4 } else { 8 };
        (place, at) = (at, at + usize::from(words) * unit + 8);
    }
    packet[place] = protocol;
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragment_header_is_gone_and_the_one_before_it_names_what_follows() {
        // An IPv6 header, one for every hop, that of the fragment: 0, more follow.
        let mut first = alloc::vec![0x60, 0, 0, 0, 0, 24, 0, 64];
        first.extend([0; 32]);
        first.extend([44, 0, 1, 4, 0, 0, 0, 0]);
        first.extend([17, 0, 0, 1, 0, 0, 0, 9, 16, 0, 0, 53, 0, 11, 0, 0]);
        let head = head(LinkType::RawIp, &first, 48);
        let whole = frame(LinkType::RawIp, &head, 17, &[16, 0, 0, 53, 0, 11, 0, 0, 1, 2, 3], true);
        assert_eq!(whole[..8], [0x60, 0x30, 0, 0, 0, 19, 0, 64]);
        assert_eq!(whole[40..], [17, 0, 1, 4, 0, 0, 0, 0, 16, 0, 0, 53, 0, 11, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn a_head_of_any_length_is_borne() {
        for link in [LinkType::RawIp, LinkType::Ethernet, LinkType::Null] {
            for first in [0x45, 0x60, 0xff, 0] {
                let octets = [first; 80];
                for end in 0..octets.len() {
                    for headers in [0, 20, 60, 200] {
                        let head = head(link, &octets[..end], headers);
                        assert_eq!(frame(link, &head, 17, &[7; 9], true).len(), head.len() + 9);
                    }
                }
            }
        }
    }
}
