//! What the program is shown.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use plimsoll_ct::{Entries, Seconds};
use plimsoll_lab::{Closing, Kind, Lab, LabError, Namespace, Options, Pace, Sources};

/// How long to wait for other labs before the limit is changed.
const PATIENCE: Duration = Duration::from_secs(300);
/// So that nothing expires while it is looked at.
const LONG: Seconds = Seconds(3_600);
/// Entries of each namespace of a crowd that tracks.
const EACH: u16 = 50;

/// 3,000 connections that stand, and 2,000 datagrams that nobody answered.
pub fn ordinary() -> Result<Lab, LabError> {
    let options =
        Options { entries: Some(Entries(5_000)), patience: PATIENCE, ..Options::default() };
    let lab = Lab::build(&options)?;
    fill(&lab, 3_000, 2_000)?;
    Ok(lab)
}

/// A large table, and how many of its entries are ASSURED.
pub struct Large {
    pub lab: Lab,
    pub assured: u64,
}

/// Four of ten entries ASSURED, the others unanswered datagrams; under a limit of its own.
pub fn large(entries: u64) -> Result<Large, LabError> {
    let limit = Some(Entries(entries + entries / 10));
    let lab = Lab::build(&Options { limit, patience: PATIENCE, ..Options::default() })?;
    let assured = fill(&lab, entries / 10 * 4, entries - entries / 10 * 4)?;
    Ok(Large { lab, assured })
}

fn fill(lab: &Lab, connections: u64, datagrams: u64) -> Result<u64, LabError> {
    lab.set_timeout("udp_timeout", LONG)?;
    let filled = lab.fill_tcp(connections, Closing::Silent, &|_| {})?;
    lab.flood(Kind::Udp, Sources::Unanswered, Pace::burst(datagrams))?.finish()?;
    Ok(filled.made)
}

/// Removes the crowd of a benchmark that was killed.
pub fn sweep() {
    shell(
        "for n in /run/netns/plimsoll-bench-*; do pid=${n##*bench-}; pid=${pid%-*}; \
         [ ! -e \"$n\" ] || [ -d \"/proc/$pid\" ] || ip netns del \"${n##*/}\"; done",
    );
}

/// Many namespaces, removed when dropped.
pub struct Crowd {
    namespaces: Vec<Namespace>,
}

impl Crowd {
    /// `count` namespaces; each tenth has a rule that tracks, and some entries.
    pub fn build(count: u64) -> Result<Self, LabError> {
        let mut crowd = Self { namespaces: Vec::new() };
        for n in 0..count {
            let name = format!("plimsoll-bench-{}-{n}", std::process::id());
            shell(&format!("ip netns add {name}"));
            let namespace = Namespace::open(&name)?;
            if n % 10 == 0 {
                namespace.run(track)?;
            }
            crowd.namespaces.push(namespace);
        }
        Ok(crowd)
    }

    pub fn tracking(&self) -> usize {
        self.namespaces.len().div_ceil(10)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            shell(&format!("ip netns del {}", namespace.name()));
        }
    }
}

/// Switches tracking on in the thread's namespace and makes entries.
fn track() {
    shell("ip link set lo up; sysctl -qw net.netfilter.nf_conntrack_udp_timeout=3600");
    shell(
        "nft 'add table ip b; add chain ip b in { type filter hook input priority 0; }; \
         add rule ip b in ct state established accept; add rule ip b in meta l4proto udp drop'",
    );
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is up");
    for port in 1..=EACH {
        socket.send_to(b"x", (Ipv4Addr::LOCALHOST, port)).expect("loopback takes it");
    }
}

fn shell(line: &str) {
    let status = Command::new("/bin/sh").args(["-c", line]).stdin(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{line}");
}
