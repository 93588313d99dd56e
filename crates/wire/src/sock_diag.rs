//! Sockets as the kernel lists them: `sock_diag` messages, and the text of /proc/net/tcp, udp and their like.
//!
//! Kernel: include/uapi/linux/inet_diag.h, `tcp4_seq_show()`, `udp4_seq_show()`.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_ct::{Family, Protocol};

use crate::netlink::{Writer, flag};
use crate::{Expected, Malformed, Place};

/// One end of a flow that has a socket on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Socket {
    /// Own address; unspecified: any. An IPv4 address in an IPv6 socket is told as IPv4.
    pub local: (IpAddr, u16),
    /// The other's address and port; port 0: not connected, it takes from anybody.
    pub remote: (IpAddr, u16),
    /// Number of the socket's file; 0: no process holds it any more (TIME_WAIT).
    pub inode: u64,
}

/// Message type of requests and answers.
pub const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// A request for all sockets of a family and protocol, in every state.
pub fn request(family: Family, protocol: Protocol) -> Vec<u8> {
    let mut w = Writer::message(SOCK_DIAG_BY_FAMILY, flag::REQUEST | flag::DUMP, 1);
    let family = match family {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    w.raw(&[family, protocol.number(), 0, 0]).raw(&u32::MAX.to_ne_bytes()).raw(&[0; 48]);
    w.finish()
}

/// The answer about one socket.
pub fn decode(payload: &[u8]) -> Result<Socket, Malformed> {
    let bad = || {
        Malformed::new(
            "inet_diag_msg",
            Expected::Words(&["72 bytes, of family 2 or 10", "72 个字节，地址族 2 或 10"]),
            payload,
        )
    };
    let message: &[u8; 72] = payload.first_chunk().ok_or_else(bad)?;
    let port = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let address = |at: usize| match message[0] {
        2 => {
            let bytes: &[u8; 4] = message[at..].first_chunk()?;
            Some(IpAddr::V4(Ipv4Addr::from(*bytes)))
        }
        10 => {
            let bytes: &[u8; 16] = message[at..].first_chunk()?;
            Some(IpAddr::V6(Ipv6Addr::from(*bytes)).to_canonical())
        }
        _ => None,
    };
    let inode: &[u8; 4] = message[68..].first_chunk().ok_or_else(bad)?;
    Ok(Socket {
        local: (address(8).ok_or_else(bad)?, port(4)),
        remote: (address(24).ok_or_else(bad)?, port(6)),
        inode: u32::from_ne_bytes(*inode).into(),
    })
}

/// A line of /proc/net/tcp, tcp6, udp, udp6, udplite or udplite6. `None`: the heading.
pub fn line(text: &str) -> Result<Option<Socket>, Malformed> {
    let mut words = text.split_ascii_whitespace();
    let place = words.next().unwrap_or_default();
    if !place.ends_with(':') {
        return Ok(None);
    }
    let bad = |expected| {
        Malformed::new(
            Place::Words(&["line of sockets", "套接字列表中的一行"]),
            expected,
            text.as_bytes(),
        )
    };
    let local = words
        .next()
        .and_then(end)
        .ok_or_else(|| bad(Expected::Words(&["an address in hexadecimal", "十六进制的地址"])))?;
    let remote = words.next().and_then(end).ok_or_else(|| {
        bad(Expected::Words(&["two addresses in hexadecimal", "两个十六进制的地址"]))
    })?;
    // State, queues, timer, retransmissions, user, timeout.
    let inode = words.nth(6).and_then(|word| word.parse().ok());
    let inode =
        inode.ok_or_else(|| bad(Expected::Words(&["a number as tenth column", "第十列是数字"])))?;
    Ok(Some(Socket { local, remote, inode }))
}

/// `0100007F:0035`: words of 32 bits in the machine's byte order.
fn end(word: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = word.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let part = |at: usize| {
        let word = address.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(part(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, to) in bytes.chunks_exact_mut(4).enumerate() {
                to.copy_from_slice(&part(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_both_families_are_read() {
        let heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                       uid  timeout inode";
        assert_eq!(line(heading).unwrap(), None);
        let tcp = "   0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101  \
                   0 22817 1 0000000000000000 100 0 0 10 0";
        let socket = line(tcp).unwrap().unwrap();
        assert_eq!(socket.local, ("127.0.0.1".parse().unwrap(), 53));
        assert_eq!((socket.remote.1, socket.inode), (0, 22817));
        let mapped = "   3: 0000000000000000FFFF00000100000A:01BB 0000000000000000FFFF00000200000A:9C40 01 \
                      00000000:00000000 00:00000000 00000000 33 0 991 1";
        let socket = line(mapped).unwrap().unwrap();
        assert_eq!(socket.local, ("10.0.0.1".parse().unwrap(), 443));
        assert_eq!(socket.remote, ("10.0.0.2".parse().unwrap(), 40_000));
        assert!(line("1: 0100007F:0035").is_err());
        assert!(line("1: 0100007F:0035 x:y").is_err());
        assert!(line("1: 0100€07F:0035 0100007F:0035 a b c d e f 7").is_err());
    }

    #[test]
    fn an_answer_is_read_and_a_short_one_refused() {
        let mut bytes = [0; 72];
        bytes[0] = 2;
        bytes[4..8].copy_from_slice(&[0, 80, 0x9c, 0x40]);
        bytes[8..12].copy_from_slice(&[10, 0, 0, 1]);
        bytes[24..28].copy_from_slice(&[10, 0, 0, 2]);
        bytes[68..].copy_from_slice(&7u32.to_ne_bytes());
        let socket = decode(&bytes).unwrap();
        assert_eq!(socket.local, ("10.0.0.1".parse().unwrap(), 80));
        assert_eq!(socket.remote, ("10.0.0.2".parse().unwrap(), 40_000));
        assert_eq!(socket.inode, 7);
        assert!(decode(&bytes[..71]).is_err());
        bytes[0] = 1;
        assert!(decode(&bytes).is_err());
    }
}
