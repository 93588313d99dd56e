//! Headers: etherparse looks at the same frames.

use std::cell::Cell;
use std::path::Path;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use plimsoll_wire::capture::Records;
use plimsoll_wire::packet::{
    LinkType, NoPacket, Transport, network_layer, parse_ip, parse_transport,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::any;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::every;

/// What both tell of a packet.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    ends: [std::net::IpAddr; 2],
    protocol: u8,
    fragment: bool,
    payload: usize,
    transport: Option<Ports>,
}

/// Ports; of TCP sequence and acknowledgement number, flags, window.
type Ports = (u16, u16, Option<(u32, u32, u8, u16)>);

fn ours(link: u32, frame: &[u8]) -> Result<Told, NoPacket> {
    let link = LinkType::from_number(link).ok_or(NoPacket::UnknownLink)?;
    let packet = parse_ip(network_layer(link, frame)?)?;
    let of = |transport| match transport {
        Transport::Tcp { source, destination, seq, ack, flags, window, .. } => {
            Some((source, destination, Some((seq, ack, flags, window))))
        }
        Transport::Udp { source, destination, .. } => Some((source, destination, None)),
        _ => None,
    };
    let transport = parse_transport(packet.protocol, packet.payload, packet.payload_length)
        .filter(|_| packet.fragment.is_none());
    Ok(Told {
        ends: [packet.source(), packet.destination()],
        protocol: packet.protocol,
        fragment: packet.fragment.is_some(),
        payload: packet.payload.len(),
        transport: transport.and_then(of),
    })
}

/// `None`: they see no IP packet, or refuse it.
fn theirs(link: u32, frame: &[u8]) -> Option<Told> {
    let sliced = match link {
        1 => SlicedPacket::from_ethernet(frame),
        113 => SlicedPacket::from_linux_sll(frame),
        12 | 101 | 228 | 229 => SlicedPacket::from_ip(frame),
        _ => return None,
    };
    let sliced = sliced.ok()?;
    let (ends, payload): ([std::net::IpAddr; 2], _) = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => (
            [ip.header().source_addr().into(), ip.header().destination_addr().into()],
            ip.payload(),
        ),
        Some(NetSlice::Ipv6(ip)) => (
            [ip.header().source_addr().into(), ip.header().destination_addr().into()],
            ip.payload(),
        ),
        Some(NetSlice::Arp(_)) | None => return None,
    };
    let transport = sliced.transport.as_ref().and_then(|transport| match transport {
        TransportSlice::Tcp(tcp) => {
            let all = (
                tcp.sequence_number(),
                tcp.acknowledgment_number(),
                tcp.slice()[13],
                tcp.window_size(),
            );
            Some((tcp.source_port(), tcp.destination_port(), Some(all)))
        }
        TransportSlice::Udp(udp) => Some((udp.source_port(), udp.destination_port(), None)),
        TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) => None,
    });
    Some(Told {
        ends,
        protocol: payload.ip_number.0,
        fragment: payload.fragmented,
        payload: payload.payload.len(),
        transport,
    })
}

fn has_hop_by_hop(link: u32, frame: &[u8]) -> bool {
    let link = LinkType::from_number(link).unwrap();
    network_layer(link, frame).is_ok_and(|packet| packet[0] >> 4 == 6 && packet[6] == 0)
}

/// What both saw and agree on: `Ok(true)`; one of them saw nothing or refused it: `Ok(false)`; where they part without a reason that is named here.
fn compared(link: u32, frame: &[u8]) -> Result<bool, String> {
    const AH: u8 = 51;
    const ROUTING: u8 = 43;
    // They refuse what is cut, and link types and tunnels that ours reads.
    let Some(mut theirs) = theirs(link, frame) else { return Ok(false) };
    let ours = match ours(link, frame) {
        Ok(told) => told,
        // Hop-by-hop options for which the kernel drops a packet.
        Err(NoPacket::Malformed) if has_hop_by_hop(link, frame) => return Ok(false),
        Err(why) => return Err(format!("{why:?}, {theirs:?}")),
    };
    if ours.fragment && !theirs.fragment {
        // The only part of its datagram: to the kernel a fragment all the same.
        (theirs.fragment, theirs.transport) = (true, None);
    }
    if ours.protocol == AH && ours.ends[0].is_ipv4() {
        // They look behind it, conntrack does not.
        (theirs.protocol, theirs.payload, theirs.transport) = (AH, ours.payload, None);
    }
    if ours.fragment && theirs.fragment && ours.protocol == ROUTING {
        // They look behind that too, which the kernel does with a whole datagram only.
        (theirs.protocol, theirs.payload) = (ROUTING, ours.payload);
    }
    if ours == theirs { Ok(true) } else { Err(format!("{ours:?}, {theirs:?}")) }
}

#[test]
fn every_packet_of_the_captures_at_hand_has_the_headers_that_etherparse_sees() {
    let (mut same, mut all) = (0, 0);
    for path in every() {
        let bytes = std::fs::read(&path).unwrap();
        for (n, record) in Records::new(&bytes).map_while(Result::ok).enumerate() {
            match compared(record.link, record.bytes) {
                Ok(both) => same += u32::from(both),
                Err(why) => panic!("{}, packet {}: {why}", path.display(), n + 1),
            }
            all += 1;
        }
    }
    // Most of them, so that this says something.
    assert!(same > all / 2, "{same} of {all}");
}

#[test]
fn a_spoilt_packet_has_the_headers_that_etherparse_sees_or_is_refused_for_a_reason() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captures");
    let mut frames = Vec::new();
    for name in ["dns", "icmp", "fragments", "http", "ftp-v6"] {
        let pcap = std::fs::read(own.join(name).with_extension("pcap")).unwrap();
        frames.extend(Records::new(&pcap).map(|record| record.unwrap().bytes.to_vec()));
    }
    let spoilt =
        (any::<Index>(), vec((12..80_usize, any::<u8>()), 0..4), option::of(any::<Index>()));
    let config = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let same = Cell::new(0);
    let outcome = runner.run(&spoilt, |(which, changes, cut)| {
        let mut frame = frames[which.index(frames.len())].clone();
        for (at, octet) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = octet;
            }
        }
        if let Some(at) = cut {
            frame.truncate(at.index(frame.len()) + 1);
        }
        let both = compared(1, &frame).map_err(TestCaseError::fail)?;
        same.set(same.get() + u32::from(both));
        Ok(())
    });
    outcome.unwrap();
    assert!(same.get() > 4000, "{}", same.get());
}
