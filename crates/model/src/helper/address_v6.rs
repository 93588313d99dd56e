//! An IPv6 address in a line of text, as the kernel's helpers read one.
//!
//! Kernel: `get_ipv6_addr()`, nf_conntrack_ftp.c, v6.18. They are more lenient than RFC 4291: a number may have any zeros in front.
//! What ends an address is the delimiter, an octet of zero, or, behind numbers as of IPv4, a colon.

use core::net::Ipv6Addr;

const GROUPS: usize = 8;

/// The address that the text begins with, and its octets.
pub(super) fn read(text: &[u8], delimiter: u8) -> Option<(Ipv6Addr, usize)> {
    let length = text.iter().position(|&octet| octet == delimiter || octet == 0)?;
    let text = &text[..length];
    let mut groups = [0_u16; GROUPS];
    let (mut count, mut at, mut gap) = (0, 0, None);
    if text.starts_with(b"::") {
        (at, gap) = (2, Some(0));
    }
    while gap != Some(count) || at < length {
        let (group, digits) = number(&text[at..], 16)?;
        let may_be_v4 = count == GROUPS - 2 || gap.is_some() && count < GROUPS - 2;
        let next = text.get(at + digits);
        if next == Some(&b'.') && may_be_v4 {
            let (four, octets) = four_numbers(&text[at..])?;
            let [a, b, c, d] = four;
            groups[count] = u16::from_be_bytes([a, b]);
            groups[count + 1] = u16::from_be_bytes([c, d]);
            (count, at) = (count + 2, at + octets);
            break;
        }
        *groups.get_mut(count)? = group;
        count += 1;
        at += digits;
        match next {
            None => break,
            Some(b':') if count < GROUPS => at += 1,
            Some(_) => return None,
        }
        if gap.is_none() && text.get(at) == Some(&b':') {
            (at, gap) = (at + 1, Some(count));
        }
    }
    match gap {
        Some(gap) if count < GROUPS => groups[gap..].rotate_right(GROUPS - count),
        None if count == GROUPS => {}
        _ => return None,
    }
    Some((groups.into(), at))
}

/// A number of sixteen bits, and its octets.
fn number(text: &[u8], base: u32) -> Option<(u16, usize)> {
    let mut value = 0_u16;
    let mut octets = 0;
    while let Some(digit) = text.get(octets).and_then(|&octet| char::from(octet).to_digit(base)) {
        value = value.checked_mul(base as u16)?.checked_add(digit as u16)?;
        octets += 1;
    }
    (octets > 0).then_some((value, octets))
}

/// `10.0.0.1`, at the text's end or in front of a colon.
fn four_numbers(text: &[u8]) -> Option<([u8; 4], usize)> {
    let mut all = [0; 4];
    let mut at = 0;
    for (place, one) in all.iter_mut().enumerate() {
        let (value, octets) = number(&text[at..], 10)?;
        *one = u8::try_from(value).ok()?;
        at += octets;
        match text.get(at) {
            Some(b'.') if place < 3 => at += 1,
            None | Some(b':') if place == 3 => {}
            _ => return None,
        }
    }
    Some((all, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a running 6.18 does (each in an EPRT whose sender has that address).
    #[test]
    fn zeros_in_front_and_other_ends_are_taken() {
        let own = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x1f4);
        for text in [
            "2001:db8:1::1f4",
            "2001:DB8:1::1F4",
            "02001:0db8:0001:0000:0000:0000:0000:000001f4",
            "2001:db8:1::0.0.1.244",
            "2001:db8:1:0:0:0:000.0.01.244",
        ] {
            let line = [text, "|1025|"].concat();
            assert_eq!(read(line.as_bytes(), b'|'), Some((own, text.len())), "{text}");
        }
        for text in ["2001:db8:1::0.0.1.244:", "2001:db8:1::1f4\0", "2001:db8:1::1f4x"] {
            let delimiter = text.as_bytes()[text.len() - 1];
            let delimiter = if delimiter == b'x' { delimiter } else { b'|' };
            let line = [text, "1025|"].concat();
            assert_eq!(read(line.as_bytes(), delimiter), Some((own, text.len() - 1)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_not_taken() {
        for text in [
            "",
            ":",
            ":::",
            "1",
            "1:",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7:8:",
            "1:2:3:4:5:6:7:8::",
            "1:2:3:4::5:6:7:8",
            "1:2:3::4:5:6:7.8.9.1",
            "::1::2",
            ":1::2",
            "12345::",
            "g::",
            "1.2.3.4",
            "::256.0.0.1",
            "::1.2.3",
            "::1.2.3.4.5",
            "::1.2..4",
            "::a.1.2.3",
            "1:2:3:4:5:6:7:1.2.3.4",
            "1::2%eth0",
            "1::2 ",
        ] {
            let line = [text, "|1025|"].concat();
            assert_eq!(read(line.as_bytes(), b'|'), None, "{text}");
        }
        assert_eq!(read(b"1::2", b'|'), None, "without an end");
        assert_eq!(read(b"::|", b'|'), Some((Ipv6Addr::UNSPECIFIED, 2)));
    }
}
