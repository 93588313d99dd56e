//! What of the captures `replay` reads, how often, and when it stops.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{BINARY, blocks, capture, frames, packet, replay, stamped, stored};

fn query(port: u8) -> Vec<u8> {
    packet(17, [1, 2], &[16, port, 0, 53, 0, 8, 0, 0])
}

#[test]
fn nothing_more_is_read_once_nobody_reads_what_is_printed() {
    for (form, wanted) in [("--events", "[NEW] udp"), ("--log", "table full")] {
        let mut child = Command::new(BINARY)
            .args(["replay", "-", "--set=nf_conntrack_max=1", "--set=buckets=1", form])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        // Little, and the input stays open: what there is to say is seen at once.
        input.write_all(&capture(3, true)).unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(out);
        lines.read_line(&mut line).unwrap();
        assert!(line.contains(wanted), "{form}: {line}");
        drop(lines);
        // Without an end; until it is closed.
        let more = capture(20, false).split_off(24);
        while input.write_all(&more).is_ok() {}
        assert_eq!(child.wait().unwrap().code(), Some(0), "{form}");
    }
}

#[test]
fn standard_input_is_read_once_though_a_file_may_have_its_name() {
    let folder = std::env::temp_dir().join(format!("plimsoll-dash-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let bytes = capture(300, false);
    for (program, said) in [
        (&["replay", "-", "--set=max=200"][..], "Smallest limit that neither drops nor evicts"),
        (&["size", "--capture", "-"], "A pipe is read once"),
    ] {
        let answer = || {
            let mut child = Command::new(BINARY)
                .args(program)
                .current_dir(&folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(&bytes).unwrap();
            let mut text = String::new();
            child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
            child.wait().unwrap();
            text.lines().find(|line| line.contains(said)).map(str::to_owned)
        };
        let alone = answer();
        assert!(alone.is_some(), "{program:?}");
        std::fs::write(folder.join("-"), capture(9, true)).unwrap();
        assert_eq!(answer(), alone, "{program:?}");
        std::fs::remove_file(folder.join("-")).unwrap();
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_capture_that_changes_between_two_readings_is_told_of() {
    // More than is read in a millisecond: what is appended meanwhile the next reading would see.
    let bytes = capture(20_000, true);
    let path = stored("grows.pcap", &bytes);
    let flags = ["replay", "--set=max=5000", path.to_str().unwrap()];
    let run = |more: &[&str], changes: bool| {
        let child = Command::new(BINARY)
            .args(flags)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Until it has ended.
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = std::fs::File::options().append(true).open(&path).unwrap();
                while changes && !ended.load(std::sync::atomic::Ordering::Relaxed) {
                    file.write_all(&bytes[24..68]).unwrap();
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            });
            let out = child.wait_with_output().unwrap();
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            (String::from_utf8(out.stderr).unwrap(), out.status.code())
        })
    };
    assert_eq!(run(&[], false), (String::new(), Some(0)));
    let (err, status) = run(&[], true);
    assert!(err.contains("grows.pcap: it changes while it is read several times"), "{err}");
    assert_eq!(status, Some(1), "{err}");
    // What is read once needs no second look.
    assert_eq!(run(&["--no-search"], true), (String::new(), Some(0)));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_moment_is_not_missed_for_a_packet_whose_time_is_wrong() {
    let years = 3 * 365 * 86_400;
    let bytes = frames(&[
        (0, query(1), 0),
        (years, query(2), 0),
        (1, query(3), 0),
        (9, query(4), 0),
        (2, query(5), 0),
    ]);
    let ports = |bytes: &[u8], at: &str| {
        let (out, err, status) = replay(&["-", "--dump", "--at", at], bytes);
        assert_eq!((err.as_str(), status), ("", Some(0)));
        let port = |line: &str| line.split_once("sport=").unwrap().1[..4].parse().unwrap();
        let mut ports: Vec<u16> = out.lines().map(port).collect();
        ports.sort_unstable();
        ports
    };
    assert_eq!(ports(&bytes, "+2"), [4097, 4099, 4101]);
    assert_eq!(ports(&bytes, "+9"), [4097, 4099, 4100, 4101]);
    // One without a time comes with the one before it.
    let second = 1_700_000_000_000_000;
    let packets = [
        stamped(second, &query(1)),
        stamped(second + 9_000_000, &query(2)),
        stamped(u64::MAX, &query(3)),
        stamped(second + 1_000_000, &query(4)),
    ];
    assert_eq!(ports(&blocks(&packets), "+2"), [4097, 4100]);
}

#[test]
fn a_moment_ends_what_has_no_end() {
    let mut child = Command::new(BINARY)
        .args(["replay", "-", "--stats", "--at=+0.01"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&capture(20, false)).unwrap();
    let more = frames(&[(60, query(1), 0)]).split_off(24);
    while input.write_all(&more).is_ok() {}
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn events_have_the_times_of_their_packets_before_1970_and_for_centuries() {
    // Each by an interface whose times count from so many seconds on (`if_tsoffset`).
    let times = |packets: &[(i64, u64)]| {
        let head = [101, 0, 0, 0, 0, 0, 0, 0, 14, 0, 8, 0];
        let mut all = Vec::new();
        for (&(offset, micros), id) in packets.iter().zip(1..) {
            let (kind, mut body) = stamped(micros, &query(id));
            body[0] = id;
            all.push((1, [&head[..], &offset.to_le_bytes(), &[0; 4]].concat()));
            all.push((kind, body));
        }
        let flags = ["-", "--events", "-o", "timestamp"];
        let (out, err, status) = replay(&flags, &blocks(&all));
        assert_eq!((err.as_str(), status), ("", Some(0)));
        let new = out.lines().filter(|line| line.contains("[NEW]"));
        new.map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        times(&[(-10, 0), (-10, 250_000), (-10, 500_000), (-1, 999_999), (0, 250_000)]),
        ["[-10.000000]", "[-9.750000]", "[-9.500000]", "[-0.000001]", "[0.250000]"]
    );
    assert_eq!(
        times(&[(-9_000_000_000, 0), (9_000_000_000, 0)]),
        ["[-9000000000.000000]", "[9000000000.000000]"]
    );
}

#[test]
fn times_are_those_of_the_zone_as_it_was_then() {
    let shown = |zone: &str| {
        let path = stored("zone.pcap", &frames(&[(0, query(1), 0)]));
        let out = Command::new(BINARY)
            .args(["replay", "--width=240"])
            .arg(&path)
            .env("TZ", zone)
            .output()
            .unwrap();
        std::fs::remove_file(path).unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        text.split_once("from ").unwrap().1.split(" ·").next().unwrap().to_owned()
    };
    // In November, with a summer that is over and one that has begun.
    assert_eq!(shown("EST5EDT,M3.2.0,M11.1.0"), "2023-11-14 17:13:20 -05:00");
    assert_eq!(shown("EST5EDT,M11.1.0,M12.4.0"), "2023-11-14 18:13:20 -04:00");
    assert_eq!(shown("EST5EDT,M12.4.0,M11.1.0"), "2023-11-14 17:13:20 -05:00");
    if std::path::Path::new("/usr/share/zoneinfo/Asia/Shanghai").exists() {
        assert_eq!(shown("Asia/Shanghai"), "2023-11-15 06:13:20 +08:00");
    }
    assert_eq!(shown("UTC0"), "2023-11-14 22:13:20 UTC");
}

#[test]
fn a_setting_in_two_pieces_is_one() {
    let runs = |flags: &[&str]| {
        let all = [&["-", "--json", "--no-search", "--set=max=9"], flags].concat();
        let (out, err, status) = replay(&all, &capture(20, false));
        assert_eq!((err.as_str(), status), ("", Some(0)));
        let value: Value = serde_json::from_str(&out).unwrap();
        value["runs"].clone()
    };
    let pieces = runs(&["--what-if=max=10", "--what-if=nf_conntrack_max=11,12"]);
    assert_eq!(pieces, runs(&["--what-if=ip_conntrack_max=10,11,12"]));
    assert_eq!(pieces.as_array().unwrap().len(), 4);
}
