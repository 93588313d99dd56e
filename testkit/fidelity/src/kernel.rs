//! Client, router, server: three namespaces, one forwarding. Conntrack runs in the router.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Error};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use plimsoll_ct::{Counter, Counters, CpuCounters, Entry, ZoneDirection};
use plimsoll_model::{Fate, Helper, Info, Step, TimeoutPolicy, Treatment, Verdict, What};
use plimsoll_wire::ctnetlink::{self, Filter, command};
use plimsoll_wire::netlink::{Message, Messages, Writer, flag};
use plimsoll_wire::statistics;

use crate::forge;
use crate::vlan::Tag;

/// Memory for incomplete datagrams.
pub(crate) const FRAGMENT_BYTES: &str = "268435456";
/// Seconds that they wait.
pub(crate) const FRAGMENT_SECONDS: &str = "3600";
/// Of the router's loopback.
const LOOPBACK_MTU: &str = "300000";
/// Addresses of IPv6 that are the router's own.
const OWN_V6: &str = "2001:db8:3::/48";
/// A link that is not there by then will not be.
const LINK_PATIENCE: Duration = Duration::from_secs(20);
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The last but one octet tells the router's rules how to treat a packet ([`code`]), the one before it
/// which policy its entry gets, and the one before that which helper.
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Bits of that octet: the zone, then these.
const UNTRACKED: u8 = 4;
const DROPPED: u8 = 8;
/// The zone is for one direction only.
const ORIGINAL: u8 = 16;
const REPLY: u8 = 32;

/// The timeout policies of the router: protocol, seconds by state. No two of a protocol are near each other or what
/// they replace; what is not named stays the namespace's.
pub const POLICIES: [&str; 2] = [
    "tcp syn_sent=710 syn_recv=33 established=550 fin_wait=90 last_ack=45 time_wait=210 close=25 retrans=150 \
     unack=180",
    "udp unreplied=200 replied=70",
];

/// A policy of [`POLICIES`]: protocol, seconds by state.
fn parts(policy: &str) -> (&str, impl Iterator<Item = (&str, &str)>) {
    let (protocol, states) = policy.split_once(' ').unwrap_or((policy, ""));
    (protocol, states.split_whitespace().filter_map(|state| state.split_once('=')))
}

/// The router's timeout policies, in their order.
pub fn policies() -> io::Result<Vec<TimeoutPolicy>> {
    let policy = |text| {
        let (protocol, states) = parts(text);
        let mut policy = TimeoutPolicy::new(if protocol == "tcp" { 6 } else { 17 });
        for (state, seconds) in states {
            let seconds = seconds.parse().map_err(Error::other)?;
            policy.set(state, seconds).map_err(Error::other)?;
        }
        Ok(policy)
    };
    POLICIES.into_iter().map(policy).collect()
}

/// The classes of packets that the router's rules count: name, condition.
const CLASSES: [(&str, &str); 7] = [
    ("new", "ct state new"),
    ("established", "ct state established ct direction original"),
    ("established-reply", "ct state established ct direction reply"),
    ("related", "ct state related ct direction original"),
    ("related-reply", "ct state related ct direction reply"),
    ("invalid", "ct state invalid"),
    ("untracked", "ct state untracked"),
];

/// Packets that came to the router, by their classes as its rules see them: `CLASSES`.
pub type Classes = [u64; 7];

/// The class that rules see in a packet, by its place; `None`: it does not come so far, or not from outside.
pub fn class(step: &Step) -> Option<usize> {
    match (step.verdict, step.what) {
        (Verdict::Stolen, _) | (Verdict::Drop, What::TableFull | What::Nothing) => return None,
        (Verdict::Accept | Verdict::Drop, _) => {}
    }
    Some(match step.info {
        Info::New => 0,
        Info::Established => 1,
        Info::EstablishedReply => 2,
        Info::Related => 3,
        Info::RelatedReply => 4,
        Info::Invalid => 5,
        Info::Untracked => 6,
    })
}

/// The name of a class.
pub const fn class_name(place: usize) -> &'static str {
    CLASSES[place].0
}

/// How the router's rules see a treatment.
fn code(treatment: &Treatment) -> u8 {
    let untracked = if treatment.untracked { UNTRACKED } else { 0 };
    let dropped = if treatment.fate == Fate::Dropped { DROPPED } else { 0 };
    let direction = match treatment.zone.direction {
        ZoneDirection::Both => 0,
        ZoneDirection::Original => ORIGINAL,
        ZoneDirection::Reply => REPLY,
    };
    (treatment.zone.id as u8 & 3) | direction | untracked | dropped
}

/// The link addresses of a frame whose packet is treated like this: the router's, the sender's.
pub(crate) fn link_addresses(treatment: &Treatment) -> [[u8; 6]; 2] {
    let mut client = CLIENT_MAC;
    client[4] = code(treatment);
    let helper = Helper::ALL.iter().position(|helper| Some(*helper) == treatment.helper);
    client[2] = helper.map_or(0, |place| place as u8 + 1);
    client[3] = treatment.policy.map_or(0, |policy| policy + 1);
    [ROUTER_MAC, client]
}

/// The frame with these tags in which a packet comes to the router.
pub(crate) fn frame(packet: &[u8], treatment: &Treatment, tags: &[Tag]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(packet.len() + 14 + 4 * tags.len());
    for address in link_addresses(treatment) {
        frame.extend_from_slice(&address);
    }
    for (kind, number) in tags {
        frame.extend_from_slice(&kind.to_be_bytes());
        frame.extend_from_slice(&number.to_be_bytes());
    }
    let v6 = packet.first().is_some_and(|b| b >> 4 == 6);
    frame.extend_from_slice(if v6 { &[0x86, 0xdd] } else { &[0x08, 0x00] });
    frame.extend_from_slice(packet);
    frame
}

/// The rules: what comes from which link address goes into which zone, is exempted, is dropped; and what
/// the router sends to itself is not answered.
fn rules() -> String {
    let senders = |mask: u8, code: u8| {
        format!("ether saddr & 00:00:00:00:{mask:02x}:00 == 00:00:00:00:{code:02x}:00")
    };
    let mut rules = String::from(
        "add table inet t; add chain inet t e { type filter hook prerouting priority -300; }; \
         add chain inet t c { type filter hook forward priority 0; }; \
         add chain inet t i { type filter hook input priority 0; }; \
         add chain inet t k { type filter hook prerouting priority -150; }; \
         add rule inet t c ct state invalid counter; add rule inet t i iif lo drop; \
         add rule inet t k iif lo accept; ",
    );
    for (_, condition) in CLASSES {
        rules += &format!("add rule inet t k {condition} counter; ");
    }
    rules += &format!("add rule inet t e {} notrack accept; ", senders(UNTRACKED, UNTRACKED));
    for (direction, name) in [(0, ""), (ORIGINAL, "original "), (REPLY, "reply ")] {
        for zone in 1..4 {
            let own = senders(3 | ORIGINAL | REPLY, zone | direction);
            rules += &format!("add rule inet t e {own} ct {name}zone set {zone}; ");
        }
    }
    rules += &format!("add rule inet t c {} drop; ", senders(DROPPED, DROPPED));
    rules
}

/// The rules that give entries policies and helpers.
fn attachments() -> String {
    let mut rules = String::new();
    for (place, policy) in (1..).zip(POLICIES) {
        let (protocol, states) = parts(policy);
        let states: Vec<_> = states.map(|(state, s)| format!("{state}: {s}")).collect();
        let mask = format!("ether saddr & 00:00:00:ff:00:00 == 00:00:00:{place:02x}:00:00");
        rules += &format!(
            "add ct timeout inet t p{place} {{ protocol {protocol}; policy = {{ {} }}; }}; \
             insert rule inet t c {mask} ct timeout set \"p{place}\"; ",
            states.join(", ")
        );
    }
    for (place, helper) in (1..).zip(Helper::ALL) {
        let name = helper.name();
        let mask = format!("ether saddr & 00:00:ff:00:00:00 == 00:00:{place:02x}:00:00:00");
        // PPTP's is for IPv4 only.
        let family = if *helper == Helper::Pptp { "l3proto ip; " } else { "" };
        rules += &format!(
            "add ct helper inet t {name} {{ type \"{name}\" protocol tcp; {family}}}; \
             insert rule inet t c {mask} ct helper set \"{name}\"; "
        );
    }
    rules
}

/// The three namespaces; removed when dropped.
pub struct Kernel {
    names: [String; 3],
    packets: OwnedFd,
    /// What the router sends to itself goes through these: IPv4, IPv6.
    local: [OwnedFd; 2],
    interface: i32,
    netlink: OwnedFd,
    buffer: Vec<u8>,
    /// This kernel was built with all policies and helpers that the router gives to entries.
    attaches: bool,
    /// What the router has not got, since this kernel refused it.
    left_out: Vec<String>,
}

pub(crate) fn ip(line: &str) -> io::Result<()> {
    let output = Command::new("ip").args(line.split_whitespace()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::other(format!("ip {line}: {said}")))
}

/// Writes a setting of the namespace the thread is in, by its place under net; an error names it.
fn write(key: &str, value: &str) -> io::Result<()> {
    fs::write(format!("/proc/sys/net/{key}"), value)
        .map_err(|e| Error::new(e.kind(), format!("net/{key} = {value}: {e}")))
}

/// A setting of the namespace the thread is in, by its name under net.netfilter, or `None` where this kernel has no such one.
pub fn setting(name: &str) -> io::Result<Option<u64>> {
    match fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")) {
        Ok(text) => text.trim().parse().map(Some).map_err(Error::other),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

impl Kernel {
    /// Makes them. The calling thread ends up in the router's namespace, and on one CPU.
    pub fn new() -> io::Result<Self> {
        sweep()?;
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let names = ["c", "r", "s"].map(|n| format!("model-{}-{number}-{n}", std::process::id()));
        let built = Self::build(&names).and_then(|kernel| {
            kernel.await_link()?;
            Ok(kernel)
        });
        if built.is_err() {
            remove(&names);
        }
        built
    }

    /// Waits until what the client sends comes to the router: a link that just went up loses it, and says nothing, until a worker of the
    /// kernel has got round to it.
    fn await_link(&self) -> io::Result<()> {
        let begun = Instant::now();
        let probe = forge::ip([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), 253, &[0; 8]);
        let untracked = Treatment { untracked: true, ..Treatment::default() };
        while self.classes()? == Classes::default() {
            if begun.elapsed() > LINK_PATIENCE {
                return Err(Error::other("what the client sends does not come to the router"));
            }
            self.forward(&probe, &untracked)?;
        }
        Ok(())
    }

    fn build(names: &[String; 3]) -> io::Result<Self> {
        let [client, router, server] = names;
        for name in names {
            ip(&format!("netns add {name}"))?;
        }
        ip(&format!(
            "link add c netns {client} address 02:00:00:00:00:02 mtu 65535 type veth peer name rc netns {router} address 02:00:00:00:00:01"
        ))?;
        ip(&format!("link add rs netns {router} mtu 65535 type veth peer name s netns {server}"))?;
        for (name, links) in [(client, &["c"][..]), (server, &["s"]), (router, &["rc", "rs", "lo"])]
        {
            enter(name)?;
            let quiet = if name == router { "addr_gen_mode" } else { "disable_ipv6" };
            for link in links.iter().filter(|l| **l != "lo") {
                write(&format!("ipv6/conf/{link}/{quiet}"), "1")?;
            }
            for link in links {
                // A jumbogram has room on no link but this.
                let mtu = if *link == "lo" { LOOPBACK_MTU } else { "65535" };
                ip(&format!("link set {link} mtu {mtu} up"))?;
            }
        }
        let mut left_out = Vec::new();
        // Interfaces that come later, VLANs, have them from the beginning.
        for (key, value) in [
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv4/conf/default/accept_source_route", "1"),
            ("ipv6/conf/default/addr_gen_mode", "1"),
            ("ipv4/ip_forward", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/rc/rp_filter", "0"),
            ("ipv4/conf/rc/accept_source_route", "1"),
            // Incomplete datagrams of many flows wait at the same time.
            ("ipv4/ipfrag_high_thresh", FRAGMENT_BYTES),
            // The router would send errors about those that time out.
            ("ipv4/ipfrag_time", FRAGMENT_SECONDS),
            ("netfilter/nf_conntrack_frag6_timeout", FRAGMENT_SECONDS),
        ] {
            write(key, value)?;
        }
        // 5.10 lets it be lowered only; what it has by itself is enough for some thousand flows.
        if let Err(error) = write("netfilter/nf_conntrack_frag6_high_thresh", FRAGMENT_BYTES) {
            left_out.push(error.to_string());
        }
        ip("neigh add 169.254.254.2 lladdr 02:00:00:00:00:99 dev rs nud permanent")?;
        ip("neigh add fe80::2 lladdr 02:00:00:00:00:99 dev rs nud permanent")?;
        ip("route add default via 169.254.254.2 dev rs onlink")?;
        ip("-6 route add default via fe80::2 dev rs onlink")?;
        ip(&format!("-6 route add local {OWN_V6} dev lo"))?;
        let nft = Command::new("nft").arg(rules()).output()?;
        if !nft.status.success() {
            return Err(Error::other(String::from_utf8_lossy(&nft.stderr).into_owned()));
        }
        let attached = Command::new("nft").arg(attachments()).output()?;
        let attaches = attached.status.success();
        if !attaches {
            let said = String::from_utf8_lossy(&attached.stderr);
            let said = said.lines().next().unwrap_or_default();
            left_out.push(format!("timeout policies and helpers: {said}"));
        }
        enter(client)?;
        let packets = socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
        let name = CString::new("c").map_err(Error::other)?;
        // SAFETY: `name` is a C string that outlives the call.
        let interface = unsafe { libc::if_nametoindex(name.as_ptr()) } as i32;
        enter(router)?;
        let netlink = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER)?;
        let local = [
            socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?,
            socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_RAW)?,
        ];
        let mut cpus = nix::sched::CpuSet::new();
        cpus.set(0)?;
        nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cpus)?;
        Ok(Self {
            names: names.clone(),
            packets,
            local,
            interface,
            netlink,
            buffer: vec![0; 256 << 10],
            attaches,
            left_out,
        })
    }

    /// What the router has not got, since this kernel refused it: a line each, with the reason.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Sets a setting of the router by its name under net.netfilter.
    pub fn set(&self, name: &str, value: u64) -> io::Result<()> {
        write(&format!("netfilter/{name}"), &value.to_string())
    }

    /// A treatment as far as this kernel can give it.
    pub fn able(&self, treatment: &Treatment) -> Treatment {
        if self.attaches {
            return *treatment;
        }
        Treatment { policy: None, helper: None, ..*treatment }
    }

    /// Sends an IP packet as the treatment says: from the client, or the router to itself. When this
    /// returns, the router has seen it.
    pub fn send(&self, packet: &[u8], treatment: &Treatment) -> io::Result<()> {
        if treatment.local { self.send_local(packet) } else { self.forward(packet, treatment) }
    }

    fn send_local(&self, packet: &[u8]) -> io::Result<()> {
        let short = || Error::other("not an IP packet");
        let sent = if packet.first().is_some_and(|b| b >> 4 == 6) {
            // SAFETY: all-zero octets are a valid sockaddr_in6.
            let mut to: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            to.sin6_family = libc::AF_INET6 as u16;
            let destination = packet.get(24..40).and_then(|d| d.try_into().ok());
            to.sin6_addr.s6_addr = destination.ok_or_else(short)?;
            self.send_to(&self.local[1], packet, (&raw const to).cast(), size_of_val(&to))
        } else {
            // SAFETY: all-zero octets are a valid sockaddr_in.
            let mut to: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            to.sin_family = libc::AF_INET as u16;
            let destination = packet.get(16..20).and_then(|d| d.try_into().ok());
            to.sin_addr.s_addr = u32::from_ne_bytes(destination.ok_or_else(short)?);
            self.send_to(&self.local[0], packet, (&raw const to).cast(), size_of_val(&to))
        };
        match sent {
            // Conntrack drops it, and says so to who sends.
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(()),
            // Conntrack has seen it whole, and it can't be cut again where it leaves: options for every hop in the wrong place.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            sent => sent,
        }
    }

    fn send_to(
        &self,
        socket: &OwnedFd,
        bytes: &[u8],
        to: *const libc::sockaddr,
        length: usize,
    ) -> io::Result<()> {
        let (fd, buffer) = (socket.as_raw_fd(), bytes.as_ptr().cast());
        // SAFETY: `bytes` and the address outlive the call, with their lengths.
        let sent = unsafe { libc::sendto(fd, buffer, bytes.len(), 0, to, length as u32) };
        if sent < 0 { Err(Error::last_os_error()) } else { Ok(()) }
    }

    fn forward(&self, packet: &[u8], treatment: &Treatment) -> io::Result<()> {
        self.transmit(&frame(packet, treatment, &[]))
    }

    /// Sends a frame from the client. When this returns, the router has seen it.
    pub(crate) fn transmit(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: all-zero octets are a valid sockaddr_ll.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = self.interface;
        to.sll_halen = 6;
        let length = size_of::<libc::sockaddr_ll>();
        self.send_to(&self.packets, frame, (&raw const to).cast(), length)
    }

    /// Removes the router's timeout policies, with the rules that give them; entries that have them stay.
    pub(crate) fn remove_policies(&self) -> io::Result<()> {
        let mut lines = String::from("flush chain inet t c; ");
        for place in 1..=POLICIES.len() {
            lines += &format!("delete ct timeout inet t p{place}; ");
        }
        let nft = Command::new("nft").arg(&lines).output()?;
        if nft.status.success() {
            return Ok(());
        }
        Err(Error::other(format!("nft {lines}: {}", String::from_utf8_lossy(&nft.stderr))))
    }

    /// Empties the router's table.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut request = Writer::message(command::DELETE, flag::REQUEST | flag::ACK, 1);
        request.raw(&[0; 4]);
        self.ask(&request.finish(), &mut |_| Ok(()))
    }

    /// The router's table.
    pub fn entries(&mut self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.ask(&ctnetlink::dump(1, &Filter::default()), &mut |payload| {
            entries.push(ctnetlink::decode(payload, None).map_err(Error::other)?);
            Ok(())
        })?;
        Ok(entries)
    }

    /// The router's counters, summed over the CPUs.
    pub fn counters(&mut self) -> io::Result<Counters> {
        let mut rows = Vec::new();
        self.ask(&ctnetlink::statistics_per_cpu(1), &mut |payload| {
            rows.push(ctnetlink::cpu_counters(payload).map_err(Error::other)?.1);
            Ok(())
        })?;
        let mut counters = CpuCounters { rows }.sum();
        // ctnetlink does not tell those of expectations.
        let proc = fs::read("/proc/thread-self/net/stat/nf_conntrack")?;
        let proc = statistics::parse_proc(&proc).map_err(Error::other)?.cpus.sum();
        for counter in [Counter::ExpectNew, Counter::ExpectCreate, Counter::ExpectDelete] {
            counters.add(counter, proc.get(counter).unwrap_or(0));
        }
        Ok(counters)
    }

    /// Packets that came so far, by class.
    pub fn classes(&self) -> io::Result<Classes> {
        let output = Command::new("nft").args(["list", "chain", "inet", "t", "k"]).output()?;
        if !output.status.success() {
            return Err(Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        // `ct state new counter packets 3 bytes 144`, in the order of the classes.
        let text = String::from_utf8_lossy(&output.stdout);
        let mut classes = Classes::default();
        for (class, counted) in classes.iter_mut().zip(text.split("counter packets ").skip(1)) {
            let count = counted.split_whitespace().next().unwrap_or_default();
            *class = count.parse().map_err(Error::other)?;
        }
        Ok(classes)
    }

    /// What the router's helpers expect, as lines.
    pub fn expectations(&self) -> io::Result<Vec<String>> {
        let text = fs::read_to_string("/proc/thread-self/net/nf_conntrack_expect")?;
        Ok(text.lines().map(|line| line.trim_end().to_owned()).collect())
    }

    /// Entries that the router's namespace counts.
    pub fn count(&self) -> io::Result<u64> {
        let text = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count")?;
        text.trim().parse().map_err(Error::other)
    }

    fn ask(
        &mut self,
        request: &[u8],
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let socket = self.netlink.as_raw_fd();
        // SAFETY: the request outlives the call, with its length.
        if unsafe { libc::send(socket, request.as_ptr().cast(), request.len(), 0) } < 0 {
            return Err(Error::last_os_error());
        }
        loop {
            // SAFETY: the buffer outlives the call, with its length.
            let got = unsafe {
                libc::recv(socket, self.buffer.as_mut_ptr().cast(), self.buffer.len(), 0)
            };
            let got = usize::try_from(got).map_err(|_| Error::last_os_error())?;
            for message in Messages::new(&self.buffer[..got]) {
                match message.map_err(Error::other)? {
                    Message::Data { payload, .. } => take(payload)?,
                    Message::Done { .. } | Message::Error { errno: 0, .. } => return Ok(()),
                    Message::Error { errno, .. } => return Err(Error::from_raw_os_error(errno)),
                    Message::Control(_) => {}
                }
            }
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        remove(&self.names);
    }
}

/// Removes what a run that was killed left behind.
pub(crate) fn sweep() -> io::Result<()> {
    let Ok(names) = fs::read_dir("/run/netns") else { return Ok(()) };
    for name in names {
        let Ok(name) = name?.file_name().into_string() else { continue };
        let owner = name.strip_prefix("model-").and_then(|n| n.split('-').next());
        let owner = owner.and_then(|n| n.parse::<u32>().ok());
        if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            ip(&format!("netns del {name}"))?;
        }
    }
    Ok(())
}

pub(crate) fn remove(names: &[String]) {
    for name in names {
        // What was not made can't be removed; the rest is gone.
        let _ = ip(&format!("netns del {name}"));
    }
}

pub(crate) fn enter(name: &str) -> io::Result<()> {
    Ok(setns(File::open(format!("/run/netns/{name}"))?, CloneFlags::CLONE_NEWNET)?)
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
