#![allow(clippy::unwrap_used)]
use alloc::vec::Vec;

use super::*;

fn pcap(big: bool, nanoseconds: bool) -> Vec<u8> {
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = Vec::new();
    let version = if big { 0x0002_0004 } else { 0x0004_0002 };
    for n in [magic, version, 0, 0, 64, 1, 7, 5, 3, 60] {
        file.extend_from_slice(&word(n));
    }
    file.extend_from_slice(b"abc");
    file
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = ((12 + body.len()) as u32).to_le_bytes();
    [&kind.to_le_bytes(), &length, body, &length].concat()
}

fn section() -> Vec<u8> {
    let unknown_length = [255; 8];
    block(0x0a0d_0d0a, &[&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0], &unknown_length[..]].concat())
}

/// Of raw IP, with these options.
fn described(options: &[u8]) -> Vec<u8> {
    block(1, &[&[101, 0, 0, 0, 0, 0, 0, 0], options].concat())
}

/// A frame on an interface, so many octets of which are said to stand here.
fn packet(interface: u8, held: u32) -> Vec<u8> {
    let mut body = Vec::from([interface, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0]);
    body.extend(held.to_le_bytes());
    body.extend([9, 0, 0, 0, b'h', b'i', 0, 0]);
    block(6, &body)
}

fn pcapng() -> Vec<u8> {
    let nanoseconds = described(&[9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    [section(), nanoseconds, block(0xbad, &[1, 2, 3, 4]), packet(0, 2)].concat()
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
    let version = word(if big { 0x0001_0000 } else { 1 });
    block(0x0a0d_0d0a, &[word(0x1a2b_3c4d), version, word(u32::MAX), word(u32::MAX)].concat());
    let resolutions =
        [None, Some(6), Some(9), Some(3), Some(10), Some(0), Some(0x80 | 10), Some(19)];
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

/// Frames before the fault, where it is, and what it is.
fn fault(file: &[u8]) -> Option<(u64, u64, &'static str)> {
    let error = Records::new(file).find_map(Result::err)?;
    Some((error.frames, error.offset, error.what.words()))
}

#[test]
fn garbage_is_named() {
    assert_eq!(fault(&[0x55; 64]), Some((0, 0, "neither pcap nor pcapng")));
}

#[test]
fn what_a_pcap_cannot_be_is_named_with_its_place() {
    let whole = pcap(false, false);
    let changed = |at: usize, to: u8| {
        let mut file = [&whole[..], &whole[24..]].concat();
        file[at] = to;
        fault(&file)
    };
    assert_eq!(changed(24, 1), None);
    assert_eq!(changed(4, 1), Some((0, 0, "a pcap of another version than 2")));
    assert_eq!(changed(43 + 11, 0xff), Some((1, 43, "a record longer than 16 MiB")));
    // Longer than the wire's frame, than the snapshot length, than a second.
    for (at, to) in [(36, 1), (16, 1), (31, 0xff)] {
        assert_eq!(changed(at, to), None);
    }
    assert_eq!(fault(&[&whole[..], &whole[24..40]].concat()), Some((1, 43, "cut off")));
}

#[test]
fn what_a_block_cannot_be_is_named_with_its_place() {
    let before = [section(), described(&[]), packet(0, 2)].concat();
    let at = before.len() as u64;
    let behind = |blocks: &[u8]| fault(&[&before[..], blocks, &packet(0, 2)].concat());
    let with = |mut block: Vec<u8>, at: usize, to: u8| {
        block[at] = to;
        block
    };
    assert_eq!(behind(&packet(0, 4)), None);
    let last = packet(0, 2).len() - 4;
    let lengths = "a block length that can't be: less than 12, or no multiple of 4";
    let differ = "a block whose two lengths differ";
    for (block, what) in [
        (with(packet(0, 2), 4, 0), lengths),
        (with(packet(0, 2), 4, 8), lengths),
        (with(packet(0, 2), 4, 13), lengths),
        (with(packet(0, 2), 7, 0xff), "a block longer than 16 MiB"),
        (with(packet(0, 2), last, 0), differ),
        (with(section(), 24, 32), differ),
        (with(described(&[]), 16, 24), differ),
        (with(block(0xbad, b"abcd"), 12, 99), differ),
        (with(section(), 8, 0), "a section header without its byte-order mark"),
        (with(section(), 12, 2), "a section of another version than 1"),
        (block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a]), "a section header shorter than 28 octets"),
        (block(1, &[101, 0, 0, 0]), "an interface's description shorter than 20 octets"),
        (packet(1, 2), "a packet of an unknown interface"),
        (packet(255, 2), "a packet of an unknown interface"),
        (packet(0, 5), "a packet longer than its block"),
        (packet(0, u32::MAX), "a packet longer than its block"),
        (block(6, &[0; 8]), "a packet longer than its block"),
        (block(3, &[]), "a packet longer than its block"),
        (block(3, &[9, 0, 0, 0, b'h', b'i', 0, 0]), "a packet longer than its block"),
        (Vec::from([0; 12]), lengths),
    ] {
        assert_eq!(behind(&block), Some((1, at, what)), "{block:x?}");
    }
    let unseen = [section(), block(3, &[0, 0, 0, 0])].concat();
    assert_eq!(fault(&unseen), Some((0, 28, "a packet before any interface")));
    let many = [section(), described(&[]).repeat(65_537)].concat();
    assert_eq!(fault(&many), Some((0, 28 + 65_536 * 20, "too many interfaces")));
    for cut in before.len() + 1..before.len() + 36 {
        let file = [&before[..], &packet(0, 2)].concat();
        assert_eq!(fault(&file[..cut]), Some((1, at, "cut off")));
    }
}

#[test]
fn a_resolution_is_any_that_64_bits_hold_and_options_may_lack_their_end() {
    let at = |resolution: &[u8]| {
        let length = resolution.len() as u8;
        let option = [&[9, 0, length, 0], resolution, &[0; 4][resolution.len()..]].concat();
        let file = [section(), described(&option), packet(0, 2)].concat();
        Records::new(&file).next().unwrap().map(|r| r.time.unwrap().0).map_err(|e| e.what.words())
    };
    // Ticks since 1970: 7 of a second, of 10^-9, of 2^-30, of what is too small to be seen.
    assert_eq!([at(&[0]), at(&[9]), at(&[0x9e])], [Ok(7_000_000_000), Ok(7), Ok(6)]);
    assert_eq!([at(&[19]), at(&[0xbf])], [Ok(0), Ok(0)]);
    for fine in [20, 0x7f, 0xc0, 0xff] {
        assert_eq!(at(&[fine]), Err("a resolution of time too fine for 64 bits"));
    }
    assert_eq!(at(&[6, 6]), Err("a resolution of time that is not one octet"));
}

#[test]
fn an_option_longer_than_its_block_is_named_wherever_it_stands() {
    let what = "an option longer than its block";
    let fits = [2, 0, 3, 0, b'e', b't', b'h', 0];
    let too_long = [2, 0, 5, 0, b'e', b't', b'h', 0];
    // A block as it is without options, and with these.
    let with = |block: Vec<u8>, options: &[u8]| {
        let (kind, body) = (block[0..4].to_vec(), &block[8..block.len() - 4]);
        let kind = u32::from_le_bytes([kind[0], kind[1], kind[2], kind[3]]);
        self::block(kind, &[body, options].concat())
    };
    let statistics = || block(5, &[0; 12]);
    let before = [section(), described(&[]), packet(0, 2)].concat();
    for at_last in [section(), described(&[]), statistics(), packet(0, 2)] {
        let behind = |options: &[u8]| {
            let file = [&before[..], &with(at_last.clone(), options)].concat();
            let mut found = Vec::new();
            // Alone, and among many.
            many_are_as_single(&file);
            found.extend(fault(&file));
            found
        };
        assert_eq!(behind(&fits), []);
        assert_eq!(behind(&[&fits[..], &[0, 0, 0, 0], &too_long].concat()), [], "behind their end");
        let place = (1, before.len() as u64, what);
        assert_eq!(behind(&too_long), [place]);
        assert_eq!(behind(&[fits, too_long].concat()), [place]);
    }
}

#[test]
fn sections_of_either_byte_order_follow_each_other_each_with_its_own_interfaces() {
    let swapped = {
        let mut file = section();
        file[4..8].reverse();
        file[8..12].reverse();
        file[12..14].reverse();
        file[24..28].reverse();
        file
    };
    let described_there =
        [&[0u8, 0, 0, 1, 0, 0, 0, 20, 0, 101], &[0; 6][..], &[0, 0, 0, 20]].concat();
    let there = {
        let mut file = packet(0, 2);
        for at in [0, 4, 8, 12, 16, 20, 24, 32] {
            file[at..at + 4].reverse();
        }
        file
    };
    let here = [section(), described(&[]), packet(0, 2)].concat();
    let file = [&here[..], &swapped, &described_there, &there, &here].concat();
    let all: Vec<_> = Records::new(&file).map(|r| r.unwrap()).collect();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|record| *record == all[0]), "{all:?}");
    let file = [here, swapped, there].concat();
    assert_eq!(fault(&file), Some((1, 112, "a packet of an unknown interface")));
}
