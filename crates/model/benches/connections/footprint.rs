//! Octets that an entry takes.

use plimsoll_ct::Time;
use plimsoll_model::{Model, Treatment};
use plimsoll_wire::packet::parse_ip;

use crate::round::{ACK, SYN, empty};

/// Resident octets.
pub fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) * 1024.0
}

/// Octets that an entry takes, all in; of TCP with its handshake behind it.
pub fn footprint(entries: u32, protocol: u8, v6: bool) -> (f64, Model) {
    let before = resident();
    let (mut model, _) = empty(entries);
    let ways: &[(bool, u8)] = match protocol {
        6 => &[(false, SYN), (true, SYN | ACK), (false, ACK)],
        _ => &[(false, 0)],
    };
    let mut held = 0;
    for &(reply, flags) in ways {
        held = 0;
        for n in 0..entries {
            let (bytes, length) = small(n, protocol, v6, reply, flags);
            let packet = parse_ip(&bytes[..length]).expect("a whole header");
            let step = model.packet(Time(0), &packet, &Treatment::default());
            held += u32::from(step.entry.is_some());
        }
    }
    assert_eq!((held, model.counted()), (entries, entries as usize));
    ((resident() - before) / f64::from(entries), model)
}

/// A packet of the `n`th flow, and its octets.
fn small(n: u32, protocol: u8, v6: bool, reply: bool, flags: u8) -> ([u8; 60], usize) {
    let mut p = [0_u8; 60];
    let (own, other) = (0x0a00_0000 + n, 0xc0a8_0001_u32);
    let (source, destination) = if reply { (other, own) } else { (own, other) };
    let at = if v6 { 40 } else { 20 };
    if v6 {
        (p[0], p[5], p[6]) = (0x60, 20, protocol);
        p[8..12].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        p[20..24].copy_from_slice(&source.to_be_bytes());
        p[24..28].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        p[36..40].copy_from_slice(&destination.to_be_bytes());
    } else {
        (p[0], p[3], p[9]) = (0x45, 40, protocol);
        p[12..16].copy_from_slice(&source.to_be_bytes());
        p[16..20].copy_from_slice(&destination.to_be_bytes());
    }
    let header = &mut p[at..];
    match protocol {
        1 => header[0] = 8,
        17 => header[..6].copy_from_slice(&[16, 0, 0, 53, 0, 20]),
        _ => {
            header[..4].copy_from_slice(if reply { &[1, 187, 16, 0] } else { &[16, 0, 1, 187] });
            let acked = u8::from(flags & ACK != 0);
            // Numbers as a handshake has them: 0, then one more for each SYN.
            (header[7], header[11]) = (u8::from(flags == ACK), acked);
            (header[12], header[13], header[14]) = (0x50, flags, 255);
        }
    }
    (p, at + 20)
}
