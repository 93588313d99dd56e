//! Captures made up: always the same bytes for the same numbers.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Microseconds from one packet to the next.
pub const APART: u64 = 10;
/// Connections that half of the packets go to: the newest ones.
const NEWEST: u64 = 4096;

/// What one connection has sent.
#[derive(Clone, Copy, Default)]
struct Connection {
    /// Packets, up to three.
    packets: u8,
    /// Octets of data by direction.
    octets: [u32; 2],
}

/// Ethernet frames: 78 % TCP, 20 % UDP, 2 % echoes, 10 µs apart, connections opened evenly over their number.
pub struct Traffic {
    packets: u64,
    connections: u64,
    /// Packets so far.
    sent: u64,
    all: Vec<Connection>,
    chance: Chance,
    frame: Vec<u8>,
}

impl Traffic {
    pub fn new(packets: u64, connections: u64) -> Self {
        let all = Vec::with_capacity(connections as usize);
        Self {
            packets,
            connections,
            sent: 0,
            all,
            chance: Chance(packets ^ connections),
            frame: Vec::new(),
        }
    }

    /// The next one, and when it comes, in microseconds.
    pub fn next(&mut self) -> Option<(u64, &[u8])> {
        let Self { packets, connections, sent, all, chance, frame } = self;
        let n = *sent;
        if n == *packets {
            return None;
        }
        *sent += 1;
        let open = all.len() as u64;
        let which = if open < *connections && open * *packets <= n * *connections {
            all.push(Connection::default());
            open
        } else if chance.next() & 1 == 0 {
            open - 1 - chance.below(open.min(NEWEST))
        } else {
            chance.below(open)
        };
        frame.clear();
        packet(frame, which as u32, &mut all[which as usize], chance);
        Some((n * APART, frame))
    }
}

/// Writes a pcap of them, so many microseconds apart.
pub fn make(path: &Path, packets: u64, connections: u64, apart: u64) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut traffic = Traffic::new(packets, connections);
    while let Some((micros, frame)) = traffic.next() {
        let (length, micros) = (frame.len() as u32, micros / APART * apart);
        let stamp = [1_700_000_000 + (micros / 1_000_000) as u32, (micros % 1_000_000) as u32];
        for word in [stamp[0], stamp[1], length, length] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(frame)?;
    }
    out.flush()
}

/// A congruential generator.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.0 >> 33
    }

    fn below(&mut self, number: u64) -> u64 {
        (self.next() * number) >> 31
    }
}

fn packet(frame: &mut Vec<u8>, n: u32, connection: &mut Connection, chance: &mut Chance) {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let protocol = match n % 50 {
        0 => 1,
        1..=10 => 17,
        _ => 6,
    };
    let draw = chance.next();
    let reply = match (protocol, connection.packets) {
        (_, 0) => false,
        (6, 1) => true,
        (6, 2) => false,
        _ => draw & 1 == 1,
    };
    let (client, server) = (0x0a00_0000 + n / 28_000, 0xc0a8_0000 + n % 64);
    let (port, service) = (1024 + (n % 28_000) as u16, if protocol == 17 { 53 } else { 443 });
    let (from, to) = if reply { (server, client) } else { (client, server) };
    let (source, destination) = if reply { (service, port) } else { (port, service) };
    let data = if connection.packets > 2 && draw & 2 != 0 { 64 } else { 0 };
    let header = if protocol == 6 { 20 } else { 8 };
    frame.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    let total = (20 + header + data) as u16;
    frame.extend([0x45, 0]);
    frame.extend(total.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    frame.extend(from.to_be_bytes());
    frame.extend(to.to_be_bytes());
    match protocol {
        1 => {
            frame.extend([if reply { 0 } else { 8 }, 0, 0, 0]);
            frame.extend(port.to_be_bytes());
            frame.extend([0, 1]);
        }
        17 => {
            frame.extend(source.to_be_bytes());
            frame.extend(destination.to_be_bytes());
            frame.extend((total - 20).to_be_bytes());
            frame.extend([0, 0]);
        }
        _ => {
            let [own, other] = if reply {
                [connection.octets[1], connection.octets[0]]
            } else {
                connection.octets
            };
            let (seq, ack, flags) = match connection.packets {
                0 => (1, 0, SYN),
                1 => (1, 2, SYN | ACK),
                _ => (2_u32.wrapping_add(own), 2_u32.wrapping_add(other), ACK),
            };
            frame.extend(source.to_be_bytes());
            frame.extend(destination.to_be_bytes());
            frame.extend(seq.to_be_bytes());
            frame.extend(ack.to_be_bytes());
            frame.extend([0x50, flags]);
            frame.extend((60_000 + (draw >> 8 & 1023) as u16).to_be_bytes());
            frame.extend([0, 0, 0, 0]);
            connection.octets[usize::from(reply)] = own.wrapping_add(data as u32);
        }
    }
    frame.resize(frame.len() + data, 0);
    connection.packets = (connection.packets + 1).min(3);
}
