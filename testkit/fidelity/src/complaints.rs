//! What the kernel writes about packets that it does not like (`nf_conntrack_log_invalid`), beside what the model does: line
//! by line, packet by packet.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::slice;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plimsoll_model::{LogLine, Treatment};
use plimsoll_wire::packet::LinkType;

use crate::forge::{self, TcpSegment};
use crate::kernel::link_addresses;
use crate::run::Pair;
use crate::scripts::Sent;

/// Whether namespaces but the first may write to the log.
const ALL_NAMESPACES: &str = "/proc/sys/net/netfilter/nf_log_all_netns";

/// Lets every namespace write to the kernel's log until dropped. To be asked for outside of a router's namespace, by who
/// holds the turn: it is the whole machine's.
pub struct Permission {
    gone: Option<Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Permission {
    /// Given.
    pub fn give() -> io::Result<Self> {
        let before = fs::read_to_string(ALL_NAMESPACES)?;
        fs::write(ALL_NAMESPACES, "1")?;
        let (gone, wait) = channel();
        // The thread that asks will be in another namespace, where there is no such setting.
        let thread = thread::spawn(move || {
            let _: Result<(), _> = wait.recv();
            fs::write(ALL_NAMESPACES, before.trim())
        });
        Ok(Self { gone: Some(gone), thread: Some(thread) })
    }
}

impl Drop for Permission {
    fn drop(&mut self) {
        self.gone.take();
        // What could not be put back was refused by the kernel; nothing is left to do.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The kernel's log, from a moment on.
pub struct KernelLog(File);

impl KernelLog {
    /// From now on.
    pub fn from_now() -> io::Result<Self> {
        let mut options = File::options();
        let mut log = options.read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
        log.seek(SeekFrom::End(0))?;
        Ok(Self(log))
    }

    /// The texts that were written since the last call.
    pub fn texts(&mut self) -> io::Result<Vec<String>> {
        let mut texts = Vec::new();
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(length) => {
                    let record = String::from_utf8_lossy(&record[..length]).into_owned();
                    let text = record.split_once(';').map_or("", |(_, text)| text);
                    texts.push(text.lines().next().unwrap_or_default().to_owned());
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(texts),
                // Older records were overwritten meanwhile.
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// Settings under which it is worth to compare.
pub const SETTINGS: &[&[(&str, u64)]] = &[
    &[("nf_conntrack_checksum", 1)],
    &[("nf_conntrack_checksum", 0)],
    &[("nf_conntrack_checksum", 0), ("nf_conntrack_tcp_be_liberal", 1)],
    &[("nf_conntrack_checksum", 1), ("nf_conntrack_tcp_loose", 0)],
];

/// The limit under which no packet of theirs is lost; the smallest machines may have it.
pub const LIMIT: u64 = 30_000;

/// What generated flows have not: bits of TCP that are reserved, a challenge ACK, redirects of IPv6, errors about what
/// is encrypted.
pub fn by_hand() -> Vec<Sent> {
    let ends = [[10, 77, 1, 1], [192, 0, 2, 1]].map(IpAddr::from);
    let (syn, fin, ack) = (2, 17, 16);
    let segments = [
        (false, syn, 99, 0),
        (true, syn | ack, 199, 100),
        (false, ack, 100, 200),
        (false, fin, 100, 200),
        (true, ack, 200, 101),
        (true, fin, 200, 101),
        (false, syn, 9_999, 0),
        (true, ack, 201, 101),
    ];
    let mut packets: Vec<_> = segments
        .iter()
        .map(|&(back, flags, seq, ack)| {
            let (from, to) = if back { (ends[1], ends[0]) } else { (ends[0], ends[1]) };
            let ports = if back { (80, 4000) } else { (4000, 80) };
            TcpSegment { ports, seq, ack, flags, window: 512, ..Default::default() }
                .packet(from, to)
        })
        .collect();
    let mut odd = TcpSegment { ports: (4001, 80), flags: 1, ..Default::default() };
    odd.window = 1;
    let mut odd = odd.packet(ends[0], ends[1]);
    odd[32] |= 5;
    packets.push(odd);
    let ends = [[0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x77], [0x2001, 0xdb8, 2, 0, 0, 0, 0, 1]];
    let ends = ends.map(IpAddr::from);
    packets.push(forge::icmp(ends[0], ends[1], 137, 0, 0, &[0; 40]));
    packets.extend((0..=16).flat_map(|octets| quoted(ends, octets)));
    packets.extend([0, 1, 2, 3, 8, 16].iter().flat_map(|octets| redirects(ends, *octets)));
    packets.into_iter().map(|packet| (packet, Treatment::default())).collect()
}

/// Errors about packets of so many octets of what nobody can look into: authenticated, encrypted.
fn quoted(v6: [IpAddr; 2], octets: usize) -> Vec<Vec<u8>> {
    let v4 = [[10, 77, 1, 2], [192, 0, 2, 1]].map(IpAddr::from);
    let mut packets = Vec::new();
    for ([from, to], kind) in [(v4, 3), (v6, 1)] {
        for protocol in [50, 51, 47, 4, 41] {
            let all = [6, 0, 0, 1, 0, 0, 0, 2, 3, 0, 0, 4, 5, 0, 0, 6];
            packets.push(forge::ip(from, to, protocol, &all));
            let inner = forge::ip(from, to, protocol, &all[..octets]);
            packets.push(forge::icmp(to, from, kind, 1, 0, &inner));
            packets.push(forge::icmp(from, to, kind, 1, 0, &inner));
        }
    }
    packets
}

/// Redirects from the own link with so many octets of an option: one that quotes, one that does not, one without a length.
fn redirects([client, server]: [IpAddr; 2], octets: usize) -> Vec<Vec<u8>> {
    let router = IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 5]);
    let known = forge::udp(client, server, (4000, 53), 8, 0);
    let option = |kind: u8, units: u8| {
        let mut body = vec![0; 32];
        body.extend(&[kind, units, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..octets]);
        body.extend(if octets == 8 && kind == 4 { &known[..] } else { &[] });
        let mut packet = forge::icmp(router, client, 137, 0, 0, &body);
        packet[7] = 255;
        packet
    };
    vec![known.clone(), option(4, 7), option(2, 1), option(4, 0)]
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Packets.
    pub packets: usize,
    /// Lines of the kernel, by their first words.
    pub lines: BTreeMap<String, usize>,
    /// Packets about which both sides do not say the same.
    pub differing: usize,
}

/// Looks for a line that a busy machine has not yet written.
const PATIENCE: usize = 20;

/// A line without the words that begin so.
fn without(line: &str, name: &str) -> String {
    let words = line.split_inclusive(' ').filter(|word| !word.starts_with(name));
    words.collect()
}

fn is_complaint(text: &str) -> bool {
    text.starts_with("nf_ct_proto_")
}

/// The causes that lines name, without their numbers.
fn words(lines: &[String]) -> String {
    let causes = lines.iter().map(|line| line.split(" IN=").next().unwrap_or_default());
    let words = causes.flat_map(str::split_whitespace);
    let words = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

/// Sends flows, one after the other, and compares what is said of each packet.
pub fn run(
    pair: &mut Pair,
    flows: impl IntoIterator<Item = Vec<Sent>>,
    settings: &[(&str, u64)],
    show: &mut dyn FnMut(&str),
) -> io::Result<Outcome> {
    pair.configure(&[&[("nf_conntrack_log_invalid", 255)], settings].concat())?;
    let mut log = KernelLog::from_now()?;
    let mut outcome = Outcome::default();
    let mut kinds = BTreeMap::new();
    for (packet, treatment) in flows.into_iter().flatten() {
        outcome.packets += 1;
        let treatment = pair.kernel.able(&treatment);
        pair.feed(&packet, &treatment)?;
        let mut kernel = log.texts()?;
        kernel.retain(|text| is_complaint(text));
        let mut frame = link_addresses(&treatment).concat();
        frame.extend_from_slice(if packet[0] >> 4 == 6 { &[0x86, 0xdd] } else { &[8, 0] });
        frame.extend_from_slice(&packet);
        if treatment.local {
            frame[..12].fill(0);
        }
        let interface = if treatment.local { "lo" } else { "rc" };
        pair.model.describe(LinkType::Ethernet, &frame, interface);
        let mut model = Vec::new();
        for LogLine { mut text, leaving, .. } in pair.model.take_log() {
            // Behind the end of a segment or datagram that is not whole nothing is told, nor, over IPv6, of any other packet.
            let ends = ["PROTO=TCP ", "PROTO=UDP ", "HOPLIMIT="].iter().any(|n| text.contains(n));
            let cut = ["TRUNCATED", "INCOMPLETE"].iter().any(|end| text.contains(end));
            let whole = !cut || !ends || text.contains("[SRC=");
            if leaving && whole {
                // The socket is ours, and the model knows of no owners.
                text.push_str("UID=0 GID=0 ");
            }
            model.push(text);
        }
        for _ in 0..PATIENCE {
            if kernel.len() >= model.len() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
            kernel.extend(log.texts()?.into_iter().filter(|text| is_complaint(text)));
        }
        if treatment.local {
            // A packet of a raw socket that has no identification gets one.
            for text in kernel.iter_mut().chain(&mut model) {
                *text = without(text, "ID=");
            }
        }
        for text in &kernel {
            *outcome.lines.entry(words(slice::from_ref(text))).or_default() += 1;
        }
        if kernel != model {
            outcome.differing += 1;
            let shown: &mut usize = kinds.entry((words(&kernel), words(&model))).or_default();
            *shown += 1;
            if *shown <= 2 {
                show(&format!("{:02x?} {treatment:?}", &packet[..packet.len().min(96)]));
                kernel.iter().for_each(|line| show(&format!("   kernel {line:?}")));
                model.iter().for_each(|line| show(&format!("   model  {line:?}")));
            }
        }
    }
    Ok(outcome)
}
