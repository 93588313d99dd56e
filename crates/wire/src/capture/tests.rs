#![allow(clippy::unwrap_used)]
use alloc::vec::Vec;

use super::*;

fn pcap(big: bool, nanoseconds: bool) -> Vec<u8> {
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = Vec::new();
    for n in [magic, 0x0004_0002, 0, 0, 64, 1, 7, 5, 3, 60] {
        file.extend_from_slice(&word(n));
    }
    file.extend_from_slice(b"abc");
    file
}

fn pcapng() -> Vec<u8> {
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = (12 + body.len()) as u32;
        file.extend_from_slice(&kind.to_le_bytes());
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(body);
        file.extend_from_slice(&length.to_le_bytes());
    };
    block(
        0x0a0d_0d0a,
        &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
    );
    // Raw IP, nanoseconds.
    block(1, &[101, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    block(0xbad, &[1, 2, 3, 4]);
    block(6, &[0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, b'h', b'i', 0, 0]);
    file
}

/// A section of interfaces of every kind of resolution and an offset, and a packet on each, at times near and far.
fn interfaces(big: bool) -> Vec<u8> {
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = word((12 + body.len()) as u32);
        file.extend([&word(kind)[..], &length, body, &length].concat());
    };
    block(0x0a0d_0d0a, &[word(0x1a2b_3c4d), word(1), word(u32::MAX), word(u32::MAX)].concat());
    let resolutions =
        [None, Some(6), Some(9), Some(3), Some(10), Some(0), Some(0x80 | 10), Some(63)];
    for resolution in resolutions {
        for offset in [None, Some(5_i64), Some(-5), Some(i64::MAX)] {
            let mut body = [&half(101)[..], &[0; 6]].concat();
            if let Some(resolution) = resolution {
                body.extend([&half(9)[..], &half(1), &[resolution, 0, 0, 0]].concat());
            }
            if let Some(offset) = offset {
                let octets = if big { offset.to_be_bytes() } else { offset.to_le_bytes() };
                body.extend([&half(14)[..], &half(8), &octets].concat());
            }
            block(1, &body);
        }
    }
    for interface in 0..4 * resolutions.len() as u32 {
        for high in [0, 1, 0x7fff_ffff, u32::MAX] {
            let header = [interface, high, 1 << 31 | 7, 3, 60].map(word).concat();
            block(6, &[&header[..], b"abc", &[0]].concat());
        }
    }
    file
}

#[test]
fn both_byte_orders_and_resolutions_give_the_same_record() {
    for (big, nanoseconds) in [(true, true), (true, false), (false, true), (false, false)] {
        let file = pcap(big, nanoseconds);
        let record = Records::new(&file).next().unwrap().unwrap();
        let below = if nanoseconds { 5 } else { 5000 };
        assert_eq!(record.time, Some(Time(7_000_000_000 + below)));
        assert_eq!((record.link, record.bytes, record.length), (1, &b"abc"[..], 60));
    }
}

/// By single steps: records, then octets behind them and where it ends.
fn one_by_one(file: &[u8]) -> (Vec<Record<'_>>, u64, Result<Option<usize>, CaptureError>) {
    let (mut decoder, mut rest, mut records) = (Decoder::new(), file, Vec::new());
    let end = loop {
        match decoder.step(rest) {
            Ok(Step::Record(record, used)) => {
                records.push(record);
                rest = &rest[used..];
            }
            Ok(Step::Skip(used)) => rest = &rest[used..],
            Ok(Step::Need(needed)) => break Ok(Some(needed)),
            Err(error) => break Err(error),
        }
    };
    (records, decoder.offset(), end)
}

#[test]
fn many_steps_at_once_come_to_what_single_ones_do_wherever_the_file_is_cut_or_wrong() {
    let mut old = pcap(true, true);
    for _ in 0..6 {
        let record = old[24..].to_vec()[..19].to_vec();
        old.extend(record);
    }
    let mut garbage = old.clone();
    garbage[24 + 3 * 19 + 8] = 0xff;
    let files = [old, garbage, pcapng(), [pcapng(), pcapng()].concat()];
    for file in &files {
        for cut in 0..=file.len() {
            many_are_as_single(&file[..cut]);
        }
        for at in 0..file.len() {
            for octet in [1, 3, 7, 31, 0x80, 0xff] {
                let mut wrong = file.clone();
                wrong[at] ^= octet;
                many_are_as_single(&wrong);
            }
        }
    }
    for big in [false, true] {
        let file = interfaces(big);
        many_are_as_single(&file);
        assert_eq!(one_by_one(&file).0.len(), 128);
    }
}

/// Compares.
fn many_are_as_single(file: &[u8]) {
    let wanted = one_by_one(file);
    for most in [1, 2, 100] {
        let (mut decoder, mut behind, mut all) = (Decoder::new(), 0, Vec::new());
        let end = loop {
            let mut some = Vec::new();
            let (used, end) = decoder.steps(&file[behind..], most, &mut some);
            behind += used;
            assert!(some.len() <= most);
            let full = some.len() == most;
            all.extend(some);
            match end {
                Ok(None) => assert!(full),
                end => break end,
            }
        };
        assert_eq!(decoder.offset(), behind as u64);
        assert_eq!(decoder.frames(), all.len() as u64);
        assert_eq!((all, behind as u64, end), wanted, "{most}");
    }
}

#[test]
fn unknown_blocks_are_skipped_and_the_interface_sets_link_and_resolution() {
    let file = pcapng();
    let all: Vec<_> = Records::new(&file).map(|r| r.unwrap()).collect();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].time, all[0].link, all[0].bytes), (Some(Time(7)), 101, &b"hi"[..]));
}

#[test]
fn the_losses_that_a_capture_owns_up_to_are_added_over_its_interfaces_and_sections() {
    let mut file = pcapng();
    let statistics = |dropped: u8| {
        let mut block = Vec::from([5, 0, 0, 0, 48, 0, 0, 0]);
        block.extend([0; 12]);
        block.extend([5, 0, 8, 0, dropped, 0, 0, 0, 0, 0, 0, 0]);
        block.extend([7, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        block.extend([48, 0, 0, 0]);
        block
    };
    // Told twice: the counters run on.
    file.extend(statistics(3));
    file.extend(statistics(4));
    file.extend_from_within(..);
    let mut decoder = Decoder::new();
    let mut rest = &file[..];
    while let Step::Record(_, used) | Step::Skip(used) = decoder.step(rest).unwrap() {
        rest = &rest[used..];
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(decoder.lost(), 10);
}

#[test]
fn every_cut_of_a_capture_is_an_error_with_its_place_or_a_clean_end() {
    for file in [pcap(false, false), pcapng()] {
        for cut in 1..file.len() {
            for record in Records::new(&file[..cut]) {
                if let Err(e) = record {
                    assert!(e.offset <= cut as u64);
                }
            }
        }
    }
}

#[test]
fn garbage_is_named() {
    let error = Records::new(&[0x55; 64]).next().unwrap().unwrap_err();
    assert_eq!((error.offset, error.what), (0, "neither pcap nor pcapng"));
}
