//! The same packets, fed in many ways, come to the same.

use plimsoll_ct::Bytes;

use super::*;
use crate::{Selector, Synthetic, Workload};

type Came = (Tally, Doubts, Outcome, Timeline);

/// What so many records at once come to.
fn fed(records: &[Record<'_>], at_once: usize, rules: &Rules) -> Came {
    let profile = Profile::named("6.18").expect("a known profile");
    let mut settings = Settings::of(profile, Bytes(1 << 30));
    (settings.max, settings.buckets) = (20, 64);
    let config = Config::new(profile, settings);
    let mut replay = Replay::new([(String::new(), config)], rules.clone());
    replay.sample();
    records.chunks(at_once).for_each(|records| replay.feed(records));
    replay.finish(None);
    let timeline = replay.runs()[0].timeline.clone();
    assert!(timeline.samples().len() > 100);
    (*replay.tally(), *replay.doubts(), replay.outcomes().remove(0), timeline)
}

#[test]
fn what_comes_and_goes_between_two_samples_is_seen_in_the_timeline() {
    let profile = Profile::named("6.18").expect("a known profile");
    let mut settings = Settings::of(profile, Bytes(1 << 30));
    settings.set("nf_conntrack_udp_timeout", 5).expect("a setting");
    let mut replay =
        Replay::new([(String::new(), Config::new(profile, settings))], Rules::default());
    replay.sample();
    // A query an hour for two weeks, and 200 of other ports within a second of the seventh day: gone five minutes later.
    let hours = (0..14 * 24).map(|hour| (hour * 3600, 1024));
    let flood = (0..200).map(|n| (7 * 86_400 + 600, 2000 + n));
    let mut queries: Vec<(i64, u16)> = hours.chain(flood).collect();
    queries.sort_unstable();
    for (second, port) in queries {
        let mut query =
            Vec::from([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        query.extend([&port.to_be_bytes()[..], &[0, 53, 0, 8, 0, 0]].concat());
        let time = Some(Time(second * 1_000_000_000));
        replay.feed(&[Record { time, link: 101, bytes: &query, length: 28 }]);
    }
    replay.finish(None);
    let run = &replay.runs()[0];
    let samples = run.timeline.samples();
    let (most, moments) =
        (samples.iter().map(|s| s.most), samples.iter().map(|s| s.occupancy.counted));
    assert_eq!(Some(replay.outcomes()[0].peak), most.max());
    assert!(replay.outcomes()[0].peak >= 200 && moments.max() < Some(10));
}

#[test]
fn packets_in_plain_frames_come_to_what_they_come_to_without_a_link() {
    let mut synthetic = Synthetic::new(Workload { rate: 20.0, span: 10.0, ..Workload::default() });
    let mut kept = Vec::new();
    while let Some(Record { time, bytes, length, .. }) = synthetic.next_record() {
        let mut frame = Vec::from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        frame.extend(bytes);
        kept.push((frame, time, length));
    }
    let of = |link: u32, from: usize| -> Vec<Record<'_>> {
        let mut records = Vec::new();
        for (frame, time, length) in &kept {
            records.push(Record { time: *time, link, bytes: &frame[from..], length: *length });
        }
        records
    };
    let (framed, bare) = (of(1, 0), of(101, 14));
    assert!(plain_packet(1, framed[0].bytes).is_some());
    let rules = Rules::default();
    assert_eq!(fed(&framed, 100, &rules), fed(&bare, 100, &rules));
}

/// What so many packets come to under eight settings, which share one table.
fn under_eight(frames: &[(Vec<u8>, Option<Time>)], link: u32) -> Vec<(Outcome, Vec<Entry>)> {
    let profile = Profile::named("6.18").expect("a known profile");
    let configs = (0..8).map(|n| {
        let mut settings = Settings::of(profile, Bytes(1 << 30));
        (settings.max, settings.buckets) = (20 << (n % 4 * 2), 64);
        settings.set("nf_conntrack_udp_timeout", 3 + n).expect("a setting");
        (String::new(), Config::new(profile, settings))
    });
    let mut replay = Replay::new(configs, Rules::default());
    for (frame, time) in frames {
        let (bytes, length) = (frame.as_slice(), frame.len() as u32);
        replay.feed(&[Record { time: *time, link, bytes, length }]);
    }
    assert_eq!((replay.tables(), replay.tally().packets), (1, frames.len() as u64));
    replay.runs().iter().map(|run| (Outcome::of(run), run.snapshot())).collect()
}

#[test]
fn tags_change_nothing_where_several_settings_share_a_table() {
    const TAGS: &[&[u8]] = &[
        &[],
        &[0x81, 0, 0, 7],
        &[0x81, 0, 0xb0, 0],
        &[0x88, 0xa8, 0, 9, 0x81, 0, 0, 7],
        &[0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 0x88, 0xa8, 0, 4],
    ];
    let mut synthetic = Synthetic::new(Workload { rate: 20.0, span: 10.0, ..Workload::default() });
    let mut bare = Vec::new();
    while let Some(Record { time, bytes, .. }) = synthetic.next_record() {
        bare.push((bytes.to_vec(), time));
    }
    let come = under_eight(&bare, 101);
    assert!(come[0] != come[1] && come[1] != come[3] && come[3] != come[7]);
    // Ethernet; both kinds of cooked captures, the second with the protocol in front.
    let ends = [[&[2_u8, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..]], [&[0; 14]], [&[]]];
    for ((link, behind), ends) in [(1, 0), (113, 0), (276, 18)].into_iter().zip(ends) {
        let mut turn = TAGS.iter().cycle();
        let framed: Vec<_> = bare
            .iter()
            .map(|(packet, time)| {
                let tags = [turn.next().copied().unwrap_or_default(), &[8, 0]].concat();
                let (kind, tags) = tags.split_at(2);
                let frame = [ends[0], kind, &[0; 18][..behind], tags, packet].concat();
                (frame, *time)
            })
            .collect();
        assert!(under_eight(&framed, link) == come, "{link}");
    }
}

#[test]
fn frames_of_all_kinds_and_times_come_to_the_same_however_many_come_at_once() {
    const ARP: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6];
    let mut synthetic = Synthetic::new(Workload { rate: 20.0, span: 10.0, ..Workload::default() });
    let mut kept = Vec::new();
    let mut expected = Tally::default();
    let mut latest = i64::MIN;
    while let Some(record) = synthetic.next_record() {
        let number = kept.len() as u64;
        let mut bytes = Vec::from(&ARP[..12]);
        // A VLAN's tag in front of some.
        if number.is_multiple_of(5) {
            bytes.extend([0x81, 0, 0, 7]);
        }
        let (mut time, mut link) = (record.time, 1);
        match number % 17 {
            3 => bytes.extend(&ARP[12..]),
            4 => bytes.extend([8, 0, 0x45]),
            6 => link = 9999,
            _ => {
                bytes.extend([8, 0]);
                bytes.extend(record.bytes);
                expected.packets += 1;
            }
        }
        match number % 13 {
            0 => time = None,
            // The one before has the same time, or a later one.
            1 if number > 1 => time = Some(Time(time.map_or(0, |t| t.0) - 1_000_000_000)),
            _ => {}
        }
        if let Some(Time(at)) = time {
            let by = latest.saturating_sub(at).max(0).unsigned_abs();
            (latest, expected.backwards_by) = (latest.max(at), expected.backwards_by.max(by));
        }
        expected.frames += 1;
        expected.untimed += u64::from(number.is_multiple_of(13));
        expected.backwards += u64::from(number % 13 == 1 && number > 1);
        expected.not_ip += u64::from(number % 17 == 3);
        expected.truncated += u64::from(number % 17 == 4);
        expected.unknown_link += u64::from(number % 17 == 6);
        if number % 17 == 6 {
            expected.unread_link = Some(9999);
        }
        kept.push((bytes, time, link, record.length));
    }
    let records: Vec<Record<'_>> = kept
        .iter()
        .map(|(bytes, time, link, length)| Record {
            time: *time,
            link: *link,
            bytes,
            length: *length,
        })
        .collect();
    let untracked = Vec::from([Selector::parse("udp").expect("a selector")]);
    for rules in [Rules::default(), Rules { untracked, ..Rules::default() }] {
        let single = fed(&records, 1, &rules);
        let (tally, ..) = single;
        let Tally { picked_up, sliced, merged, .. } = tally;
        assert_eq!(tally, Tally { picked_up, sliced, merged, ..expected });
        let Outcome { evicted, lost, .. } = single.2;
        assert!(evicted + lost > 100, "{evicted} evicted, {lost} lost");
        for at_once in [2, 31, 32, 33, 1000] {
            assert_eq!(fed(&records, at_once, &rules), single, "{at_once}");
        }
    }
}

/// A connection of raw IP, of which so many octets of each packet are there, and what came of it.
fn captured_to(octets: usize, protocol: u8) -> (Tally, Outcome) {
    let of = |answers: bool, flags: u8| {
        let mut packet = Vec::from([0x45, 0, 0, 52, 0, 0, 0, 0, 64, protocol, 0, 0]);
        let (from, to) = if answers { (2, 1) } else { (1, 2) };
        packet.extend([10, 0, 0, from, 10, 0, 0, to, 4, from, 4, to]);
        let numbers = if protocol == 6 {
            [0, 0, 0, from, 0, 0, 0, to + 1]
        } else {
            [0, 32, 0, 0, 0, 0, 0, 0]
        };
        packet.extend(numbers);
        packet.extend([0x80, flags, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        packet.truncate(octets);
        packet
    };
    let packets = [of(false, 2), of(true, 0x12)];
    let records = [0, 1].map(|n: usize| Record {
        time: Some(Time(n as i64)),
        link: 101,
        bytes: &packets[n],
        length: 52,
    });
    for record in &records {
        let left_out = crate::is_cut_within_headers(record);
        assert_eq!(left_out, octets < if protocol == 6 { 36 } else { 24 }, "{octets}");
    }
    let profile = Profile::named("6.18").expect("a known profile");
    let config = Config::new(profile, Settings::of(profile, Bytes(1 << 30)));
    let mut replay = Replay::new([(String::new(), config)], Rules::default());
    replay.feed(&records);
    replay.finish(None);
    (*replay.tally(), replay.outcomes().remove(0))
}

#[test]
fn what_was_cut_within_its_headers_is_left_out_and_the_rest_is_tracked() {
    for (protocol, enough) in [(6, 36), (17, 24)] {
        for octets in 0..=52 {
            let (tally, outcome) = captured_to(octets, protocol);
            let there = if octets < enough { 0 } else { 2 };
            let what = (tally.packets, tally.truncated, outcome.peak);
            assert_eq!(what, (there, 2 - there, there / 2), "{protocol}, {octets} octets");
            assert_eq!(tally.sliced, if octets < 52 { there } else { 0 });
            let options = protocol == 6 && (enough..52).contains(&octets);
            assert_eq!(tally.options_cut, if options { 2 } else { 0 }, "{octets}");
            assert_eq!(outcome.counters.get(plimsoll_ct::Counter::Invalid).unwrap_or(0), 0);
        }
    }
}
