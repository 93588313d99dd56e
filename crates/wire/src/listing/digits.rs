//! Numbers and addresses to bytes, without the machinery of `fmt`: a million lines are written in a fraction of what
//! reading them costs.

use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Appends a number in decimal; `fmt` takes several times as long, and there are many.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends an address as inet_ntop(3) writes it.
pub(super) fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(a) => v4(out, a),
        IpAddr::V6(a) => v6(out, a),
    }
}

fn v4(out: &mut Vec<u8>, address: Ipv4Addr) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        decimal(out, octet.into());
    }
}

fn v6(out: &mut Vec<u8>, address: Ipv6Addr) {
    // inet_ntop(3) writes the last four octets with dots when exactly the twelve before them are zero; Rust does not.
    let [.., a, b] = address.segments();
    if a != 0 && address.segments()[..6] == [0; 6] {
        out.extend_from_slice(b"::");
        let [high, low] = [a.to_be_bytes(), b.to_be_bytes()];
        v4(out, Ipv4Addr::new(high[0], high[1], low[0], low[1]));
        return;
    }
    formatted(out, format_args!("{address}"));
}

/// Appends an IPv6 address with all its digits, as /proc writes it.
pub(super) fn all_digits(out: &mut Vec<u8>, address: Ipv6Addr) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 && index % 2 == 0 {
            out.push(b':');
        }
        out.push(HEX[usize::from(octet >> 4)]);
        out.push(HEX[usize::from(octet & 15)]);
    }
}

/// Appends what is rare enough for `fmt`.
pub(super) fn formatted(out: &mut Vec<u8>, arguments: fmt::Arguments<'_>) {
    struct Bytes<'a>(&'a mut Vec<u8>);
    impl Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // Memory never refuses.
    let _ = Bytes(out).write_fmt(arguments);
}
