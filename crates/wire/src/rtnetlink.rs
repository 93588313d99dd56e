//! Interfaces and addresses of a network namespace, and what it calls others, as rtnetlink tells.
//!
//! Kernel: include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h, net_namespace.h.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::netlink::{Attributes, Writer, flag};
use crate::{Expected, Malformed};

/// An interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// The number of the interface at its other end or below it (`IFLA_LINK`), if it has one.
    pub other: Option<u32>,
    /// That one is in another namespace, which has this number here (`IFLA_LINK_NETNSID`); -1: none.
    pub elsewhere: Option<i32>,
    /// The longest packet that it carries, in bytes (`IFLA_MTU`).
    pub mtu: Option<u32>,
    /// It is up, and not loopback.
    pub carries: bool,
}

const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;

/// A request for all interfaces.
pub fn links() -> Vec<u8> {
    let mut w = Writer::message(18, flag::REQUEST | flag::DUMP, 1);
    w.raw(&[0; 16]);
    w.finish()
}

/// A request for all addresses.
pub fn addresses() -> Vec<u8> {
    let mut w = Writer::message(22, flag::REQUEST | flag::DUMP, 1);
    w.raw(&[0; 8]);
    w.finish()
}

/// A request for the number that another namespace has in the asking one, by an open descriptor of it (4.0 and later).
pub fn number_of(namespace: i32) -> Vec<u8> {
    let mut w = Writer::message(90, flag::REQUEST, 1);
    w.raw(&[0; 4]).attribute(3, &namespace.to_ne_bytes());
    w.finish()
}

/// The answer to [`number_of`]. `None`: it has none.
pub fn number(payload: &[u8]) -> Result<Option<i32>, Malformed> {
    let bad = || Malformed::new("rtgenmsg", Expected::Bytes(4), payload);
    for attribute in Attributes::new(payload.get(4..).ok_or_else(bad)?) {
        let attribute = attribute?;
        if attribute.kind == 1 {
            let number = attribute.value.first_chunk().map(|v| i32::from_ne_bytes(*v));
            return Ok(number.filter(|number| *number >= 0));
        }
    }
    Ok(None)
}

/// An answer to [`links`].
pub fn link(payload: &[u8]) -> Result<Link, Malformed> {
    let bad = || Malformed::new("ifinfomsg", Expected::Bytes(16), payload);
    let index: &[u8; 4] = payload.get(4..).and_then(<[u8]>::first_chunk).ok_or_else(bad)?;
    let flags = payload.get(8..).and_then(<[u8]>::first_chunk).ok_or_else(bad)?;
    let mut link = Link {
        index: u32::from_ne_bytes(*index),
        other: None,
        elsewhere: None,
        mtu: None,
        carries: u32::from_ne_bytes(*flags) & (IFF_UP | IFF_LOOPBACK) == IFF_UP,
    };
    for attribute in Attributes::new(payload.get(16..).ok_or_else(bad)?) {
        let attribute = attribute?;
        match attribute.kind {
            4 => link.mtu = attribute.value.first_chunk().map(|v| u32::from_ne_bytes(*v)),
            5 => link.other = attribute.value.first_chunk().map(|v| u32::from_ne_bytes(*v)),
            37 => link.elsewhere = attribute.value.first_chunk().map(|v| i32::from_ne_bytes(*v)),
            _ => {}
        }
    }
    Ok(link)
}

/// An answer to [`addresses`]. `None`: of another family.
pub fn address(payload: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    let (header, attributes) = payload
        .split_first_chunk::<8>()
        .ok_or_else(|| Malformed::new("ifaddrmsg", Expected::Bytes(8), payload))?;
    let mut found = None;
    for attribute in Attributes::new(attributes) {
        let attribute = attribute?;
        // IFA_ADDRESS is the other end's on a point-to-point link; IFA_LOCAL, where it is told, is ours.
        if attribute.kind == 2 || attribute.kind == 1 && found.is_none() {
            found = match (header[0], attribute.value) {
                (2, value) => value.first_chunk::<4>().map(|v| IpAddr::V4(Ipv4Addr::from(*v))),
                (10, value) => value.first_chunk::<16>().map(|v| IpAddr::V6(Ipv6Addr::from(*v))),
                _ => None,
            };
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_veth_tells_the_other_end_and_that_it_is_elsewhere() {
        let mut w = Writer::payload();
        w.raw(&[0; 4]).raw(&7u32.to_ne_bytes()).raw(&1u32.to_ne_bytes()).raw(&[0; 4]);
        w.attribute(3, b"eth0\0")
            .attribute(4, &1420u32.to_ne_bytes())
            .attribute(5, &9u32.to_ne_bytes())
            .attribute(37, &4i32.to_ne_bytes());
        let expected =
            Link { index: 7, other: Some(9), elsewhere: Some(4), mtu: Some(1420), carries: true };
        let bytes = w.into_payload();
        assert_eq!(link(&bytes).unwrap(), expected);
        assert!(link(&bytes[..15]).is_err());
    }

    #[test]
    fn a_namespace_has_a_number_in_another_or_none() {
        let answer = |number: i32| {
            let mut w = Writer::payload();
            w.raw(&[0; 4]).attribute(1, &number.to_ne_bytes());
            w.into_payload()
        };
        assert_eq!(number(&answer(3)).unwrap(), Some(3));
        assert_eq!(number(&answer(-1)).unwrap(), None);
        assert_eq!(number(&[0; 4]).unwrap(), None);
        assert!(number(&[0; 3]).is_err());
    }

    #[test]
    fn the_own_address_of_a_point_to_point_link_counts() {
        let mut w = Writer::payload();
        w.raw(&[2, 32, 0, 0, 0, 0, 0, 0]).attribute(1, &[10, 0, 0, 2]).attribute(2, &[10, 0, 0, 1]);
        assert_eq!(address(&w.into_payload()).unwrap(), Some("10.0.0.1".parse().unwrap()));
        let mut w = Writer::payload();
        w.raw(&[10, 64, 0, 0, 0, 0, 0, 0]).attribute(1, &[0xfd; 16]);
        assert!(address(&w.into_payload()).unwrap().unwrap().is_ipv6());
        assert!(address(&[2; 7]).is_err());
    }
}
