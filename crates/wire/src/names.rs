//! Files that give names to numbers: /etc/services, /etc/protocols, connlabel.conf.
//!
//! Lines are read one by one; what is no line of the file is skipped, as the C library does. A `#` begins a
//! comment.

use alloc::boxed::Box;
use alloc::vec::Vec;

use plimsoll_ct::Protocol;

/// One line of /etc/services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its official name.
    pub name: Box<str>,
    /// Port.
    pub port: u16,
    /// Of which protocol.
    pub protocol: Protocol,
    /// Other names.
    pub aliases: Vec<Box<str>>,
}

/// One line of /etc/protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedProtocol {
    /// Its official name.
    pub name: Box<str>,
    /// Number in the IP header.
    pub number: u8,
    /// Other names.
    pub aliases: Vec<Box<str>>,
}

/// One line of /etc/xtables/connlabel.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Bit of an entry's labels: 0 to 127.
    pub bit: u16,
    /// Name.
    pub name: Box<str>,
}

/// Lines of /etc/services: `https 443/tcp www-ssl # comment`. Protocols without ports in conntrack are
/// skipped.
pub fn services(text: &str) -> Vec<Service> {
    let line = |line: &str| {
        let mut words = words(line);
        let name = words.next()?;
        let (port, protocol) = words.next()?.split_once('/')?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            "dccp" => Protocol::Dccp,
            "udplite" => Protocol::UdpLite,
            _ => return None,
        };
        let aliases = words.map(Into::into).collect();
        Some(Service { name: name.into(), port: port.parse().ok()?, protocol, aliases })
    };
    text.lines().filter_map(line).collect()
}

/// Lines of /etc/protocols: `esp 50 IPSEC-ESP # comment`.
pub fn protocols(text: &str) -> Vec<NamedProtocol> {
    let line = |line: &str| {
        let mut words = words(line);
        let name = words.next()?.into();
        let number = words.next()?.parse().ok()?;
        Some(NamedProtocol { name, number, aliases: words.map(Into::into).collect() })
    };
    text.lines().filter_map(line).collect()
}

/// Lines of connlabel.conf: `3 web # comment`.
pub fn labels(text: &str) -> Vec<Label> {
    let line = |line: &str| {
        let mut words = words(line);
        let bit = words.next()?.parse().ok().filter(|bit| *bit < 128)?;
        Some(Label { bit, name: words.next()?.into() })
    };
    text.lines().filter_map(line).collect()
}

fn words(line: &str) -> core::str::SplitAsciiWhitespace<'_> {
    line.split('#').next().unwrap_or("").split_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_of_each_file_is_read_and_the_rest_is_skipped() {
        let text =
            "# x\n\nhttps\t\t443/tcp\twww-ssl # web\nhttps 443/udp\nbad 70000/tcp\nddp 1/ddp\n";
        let found = services(text);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (&*found[0].name, found[0].port, found[0].protocol),
            ("https", 443, Protocol::Tcp)
        );
        assert_eq!(&*found[0].aliases[0], "www-ssl");
        let found = protocols("ip 0 IP\nesp\t50\tIPSEC-ESP # x\nx 300\n");
        assert_eq!(found.iter().map(|p| p.number).collect::<Vec<_>>(), [0, 50]);
        let found = labels("0 eth0-in\n1 web # w\n128 no\nx y\n");
        assert_eq!(
            found.iter().map(|l| (l.bit, &*l.name)).collect::<Vec<_>>(),
            [(0, "eth0-in"), (1, "web")]
        );
    }
}
