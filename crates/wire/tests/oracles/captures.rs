//! Records: pcap-parser walks the same file.

use pcap_parser::pcapng::Block;
use pcap_parser::{PcapBlockOwned, PcapError, create_reader};
use plimsoll_wire::capture::{Decoder, Records, Step};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{any, prop_assert_eq};
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use std::path::Path;

use super::every;

/// A record: nanoseconds since 1970, link type, what was captured, length on the wire.
type Walked = (Option<i128>, u32, Vec<u8>, u32);

/// By our reader: records, and what is wrong behind them.
fn ours(bytes: &[u8]) -> (Vec<Walked>, Option<&'static str>) {
    let (mut walked, mut wrong) = (Vec::new(), None);
    for record in Records::new(bytes) {
        match record {
            Ok(r) => walked.push((r.time.map(|t| t.0.into()), r.link, r.bytes.to_vec(), r.length)),
            Err(error) => wrong = Some(error.what.words()),
        }
    }
    (walked, wrong)
}

/// An interface of pcapng: link type, snapshot length, units a second, seconds to add.
type Interface = (u32, u32, u64, i64);

/// By theirs.
fn theirs(bytes: &[u8]) -> (Vec<Walked>, Option<String>) {
    let mut walked = Vec::new();
    let mut reader = match create_reader(bytes.len().max(64) + 1, bytes) {
        Ok(reader) => reader,
        Err(error) => return (walked, Some(format!("{error:?}"))),
    };
    let (mut unit, mut link) = (1000, 0);
    let (mut big, mut interfaces) = (false, Vec::<Interface>::new());
    loop {
        let used = match reader.next() {
            Ok((used, block)) => {
                let record = match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        unit = if header.is_nanosecond_precision() { 1 } else { 1000 };
                        link = header.network.0 as u32 & 0xffff;
                        None
                    }
                    PcapBlockOwned::Legacy(b) => {
                        let time =
                            i128::from(b.ts_sec) * 1_000_000_000 + i128::from(b.ts_usec) * unit;
                        Some((Some(time), link, b.data.to_vec(), b.origlen))
                    }
                    PcapBlockOwned::NG(block) => match packet(block, &mut big, &mut interfaces) {
                        Ok(record) => record,
                        Err(why) => return (walked, Some(why)),
                    },
                };
                walked.extend(record);
                used
            }
            Err(PcapError::Eof) => return (walked, None),
            // It has read all there is.
            Err(PcapError::Incomplete(_)) => {
                let within = !reader.data().is_empty();
                return (walked, within.then(|| "cut off".to_owned()));
            }
            Err(error) => return (walked, Some(format!("{error:?}"))),
        };
        reader.consume(used);
    }
}

fn packet(
    block: Block<'_>,
    big: &mut bool,
    interfaces: &mut Vec<Interface>,
) -> Result<Option<Walked>, String> {
    match &block {
        Block::SectionHeader(b) => {
            *big = b.big_endian();
            interfaces.clear();
        }
        Block::InterfaceDescription(b) => {
            // They take no powers of two, and an offset's octets for little-endian ones always.
            let (base, exponent): (u64, _) =
                (if b.if_tsresol < 0x80 { 10 } else { 2 }, b.if_tsresol & 0x7f);
            let resolution =
                base.checked_pow(exponent.into()).ok_or("a resolution beyond 64 bits")?;
            let offset = if *big { b.ts_offset().swap_bytes() } else { b.ts_offset() };
            interfaces.push((b.linktype.0 as u32, b.snaplen, resolution, offset));
        }
        Block::EnhancedPacket(b) => {
            let (link, _, resolution, offset) =
                interfaces.get(b.if_id as usize).ok_or("an unknown interface")?;
            let ticks = i128::from(b.ts_high) << 32 | i128::from(b.ts_low);
            // Ours ends in the year 2262: what is later, all ones above all, is no time.
            let second = 1_000_000_000;
            let since = i64::try_from(ticks * i128::from(second) / i128::from(*resolution)).ok();
            let time = since.and_then(|since| since.checked_add(offset.saturating_mul(second)));
            let data = b.data.get(..b.caplen as usize).ok_or("longer than its block")?;
            return Ok(Some((time.map(i128::from), *link, data.to_vec(), b.origlen)));
        }
        Block::SimplePacket(b) => {
            let (link, snapshot, ..) = interfaces.first().ok_or("before any interface")?;
            let held = if *snapshot == 0 { b.origlen } else { b.origlen.min(*snapshot) };
            let data = b.data.get(..held as usize).ok_or("longer than its block")?;
            return Ok(Some((None, *link, data.to_vec(), b.origlen)));
        }
        _ => {}
    }
    Ok(None)
}

/// What is an error to us and not to pcap-parser, which reads on. The other way round there is nothing.
const STRICTER: [&str; 6] = [
    "a section of another version than 1",
    "a pcap of another version than 2",
    "a block whose two lengths differ",
    "an option longer than its block",
    "a resolution of time that is not one octet",
    "a record longer than 16 MiB",
];

/// Says where the two part without a reason.
fn apart(bytes: &[u8]) -> Option<String> {
    let ((ours, wrong), (theirs, refused)) = (ours(bytes), theirs(bytes));
    let both = ours.len().min(theirs.len());
    if let Some(at) = (0..both).find(|at| ours[*at] != theirs[*at]) {
        return Some(format!("record {at}: {:?}, {:?}", ours[at], theirs[at]));
    }
    let alike = ours.len() == theirs.len() && wrong.is_some() == refused.is_some();
    let stricter = ours.len() <= theirs.len() && wrong.is_some_and(|why| STRICTER.contains(&why));
    (!alike && !stricter)
        .then(|| format!("{} records {wrong:?}, {} records {refused:?}", ours.len(), theirs.len()))
}

#[test]
fn every_capture_at_hand_has_the_records_that_pcap_parser_finds() {
    for path in every() {
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(apart(&bytes), None, "{}", path.display());
    }
}

/// The records of a pcap as pcapng, in one byte order or the other: options before, behind and in between, two interfaces.
fn as_pcapng(pcap: &[u8], big: bool) -> Vec<u8> {
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = word(body.len() as u32 + 12);
        file.extend([&word(kind)[..], &length, body, &length].concat());
    };
    let comment = [&half(1)[..], &half(5), b"hello\0\0\0"].concat();
    let version = [half(1), half(0)].concat();
    block(0x0a0d_0d0a, &[&word(0x1a2b_3c4d)[..], &version, &[0xff; 8], &comment].concat());
    for (resolution, offset) in [(9, 0_i64), (6, 1)] {
        let offset = if big { offset.to_be_bytes() } else { offset.to_le_bytes() };
        let options =
            [&half(9)[..], &half(1), &[resolution, 0, 0, 0], &half(14), &half(8), &offset];
        block(1, &[&[half(1), half(0)].concat()[..], &word(0), &options.concat()].concat());
    }
    for (at, record) in Records::new(pcap).enumerate() {
        let record = record.unwrap();
        let on = at as u32 % 2;
        let ticks = record.time.unwrap().0 as u64 / [1, 1000][on as usize];
        let held = record.bytes.len();
        let padding = &[0; 4][..held.next_multiple_of(4) - held];
        let length = word(held as u32);
        match at % 5 {
            4 => block(3, &[&length, record.bytes, padding].concat()),
            _ => {
                let head = [on, (ticks >> 32) as u32, ticks as u32].map(word).concat();
                let options = if at % 5 == 0 { &comment[..] } else { &[] };
                block(6, &[&head[..], &length, &length, record.bytes, padding, options].concat());
            }
        }
        if at % 7 == 0 {
            block(5, &[&word(on)[..], &[0; 8], &comment].concat());
        }
    }
    file
}

/// Where records and blocks begin.
fn beginnings(bytes: &[u8]) -> Vec<usize> {
    let (mut decoder, mut found) = (Decoder::new(), Vec::new());
    loop {
        let at = decoder.offset() as usize;
        found.push(at);
        match decoder.step(&bytes[at..]) {
            Ok(Step::Record(..) | Step::Skip(_)) => {}
            Ok(Step::Need(_)) | Err(_) => return found,
        }
    }
}

#[test]
fn a_spoilt_capture_has_the_records_that_pcap_parser_finds_before_what_is_wrong() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captures");
    let mut files = Vec::new();
    for name in ["dns", "icmp", "fragments"] {
        let pcap = std::fs::read(own.join(name).with_extension("pcap")).unwrap();
        files.extend([as_pcapng(&pcap, false), as_pcapng(&pcap, true), pcap]);
    }
    let files: Vec<_> = files.into_iter().map(|file| (beginnings(&file), file)).collect();
    for (_, file) in &files {
        assert_eq!(apart(file), None);
    }
    let spoilt = (
        0..files.len(),
        vec((any::<Index>(), 0..40_usize, any::<u8>()), 0..4),
        option::of(any::<Index>()),
    );
    let config = Config { cases: 3000, failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&spoilt, |(which, changes, cut)| {
        let (beginnings, file) = &files[which];
        let mut file = file.clone();
        for (at, behind, octet) in changes {
            if let Some(place) = file.get_mut(beginnings[at.index(beginnings.len())] + behind) {
                *place = octet;
            }
        }
        if let Some(at) = cut {
            file.truncate(at.index(file.len()) + 1);
        }
        prop_assert_eq!(apart(&file), None);
        Ok(())
    });
    outcome.unwrap();
}
