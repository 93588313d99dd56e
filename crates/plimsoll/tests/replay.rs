//! `plimsoll replay`, from outside.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_plimsoll");

/// A capture of raw IP: DNS queries from so many ports, a millisecond apart; the answers if asked for.
fn capture(queries: u16, answered: bool) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    let mut record = |micros: u32, packet: &[u8]| {
        let length = packet.len() as u32;
        for word in [1_700_000_000 + micros / 1_000_000, micros % 1_000_000, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    };
    for n in 0..queries {
        let [a, b] = (1024 + n).to_be_bytes();
        let mut query = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        query.extend([a, b, 0, 53, 0, 8, 0, 0]);
        record(u32::from(n) * 1000, &query);
        if answered {
            let mut answer =
                vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
            answer.extend([0, 53, a, b, 0, 8, 0, 0]);
            record(u32::from(n) * 1000 + 500, &answer);
        }
    }
    file
}

fn stored(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("plimsoll-replay-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Standard output, standard error, exit status.
fn replay(arguments: &[&str], stdin: &[u8]) -> (String, String, Option<i32>) {
    let mut child = Command::new(BINARY)
        .arg("replay")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may stop reading when it has had enough.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let out = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out.stdout), text(out.stderr), out.status.code())
}

#[test]
fn the_table_is_printed_as_the_kernel_prints_it() {
    let (out, _, status) = replay(&["-", "--dump"], &capture(1, true));
    let line = "ipv4     2 udp      17 30 src=10.0.0.1 dst=10.0.0.2 sport=1024 dport=53 \
                src=10.0.0.2 dst=10.0.0.1 sport=53 dport=1024 mark=0 zone=0 use=2\n";
    assert_eq!((out.as_str(), status), (line, Some(0)));
    let (out, _, _) = replay(&["-", "--dump", "-o", "conntrack"], &capture(1, false));
    assert!(out.starts_with("udp      17 30 src=") && out.ends_with("mark=0 use=1\n"), "{out}");
}

#[test]
fn a_smaller_table_evicts_and_the_grid_finds_the_one_that_holds() {
    let grid = "--what-if=net.netfilter.nf_conntrack_max=50,200";
    let (out, _, _) =
        replay(&["-", "--set", "nf_conntrack_max=20", grid, "--json"], &capture(100, false));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["schema"], "plimsoll.replay/1");
    let runs = value["runs"].as_array().unwrap();
    let number = |run: usize, key: &str| runs[run][key].as_u64().unwrap();
    assert_eq!((number(0, "peak_entries"), number(1, "peak_entries")), (20, 50));
    assert_eq!((number(2, "peak_entries"), number(2, "packets_lost")), (100, 0));
    // Each query over the limit was dropped, or another's entry made room for it.
    for run in 0..2 {
        let max = number(run, "max");
        assert!(number(run, "packets_lost") + number(run, "entries_evicted") >= 100 - max);
    }
}

#[test]
fn several_captures_are_merged_by_time_and_gzip_is_unpacked() {
    let whole = capture(3, true);
    let path = stored("whole.pcap.gz", &{
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&whole).unwrap();
        gz.finish().unwrap()
    });
    let name = path.to_str().unwrap();
    let (out, err, status) = replay(&[name, "-", "--json"], &capture(5, false));
    std::fs::remove_file(&path).unwrap();
    assert_eq!((err.as_str(), status), ("", Some(0)));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&value["frames"], &value["doubts"]["backwards"]), (&11.into(), &0.into()));
    assert_eq!(value["runs"][0]["peak_entries"], 5);
}

#[test]
fn a_capture_that_is_cut_off_is_named_and_refused_only_when_asked() {
    let whole = capture(3, true);
    let cut = &whole[..whole.len() - 5];
    let (out, err, status) = replay(&["-"], cut);
    assert!(out.contains("5 packets in") && status == Some(0), "{out}");
    assert!(err.contains("-: packet 6, offset 244: cut off"), "{err}");
    assert_eq!(replay(&["-", "--strict"], cut).2, Some(1));
}

#[test]
fn a_stream_that_cannot_be_unpacked_is_named_with_the_place_reached() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gz.write_all(&capture(3, true)).unwrap();
    let mut whole = gz.finish().unwrap();
    // The checksum stands at the end.
    let last = whole.len() - 6;
    whole[last] ^= 1;
    let (out, err, status) = replay(&["-", "--stats"], &whole);
    assert!(out.lines().nth(1).unwrap().starts_with("00000003 "), "{out}");
    let why = "-: packet 7, offset 288 of what was unpacked: its gzip stream is cut off or corrupt";
    assert_eq!((err.as_str(), status), (format!("plimsoll: {why}\n").as_str(), Some(0)));
    assert_eq!(replay(&["-", "--stats", "--strict"], &whole).2, Some(1));
    // The magic of zstd, a frame's header, and nothing.
    let (_, err, status) = replay(&["-"], &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
    assert!(err.contains("-: packet 1, offset 0 of what was unpacked: its zstd stream"), "{err}");
    assert_eq!(status, Some(1));
}

#[test]
fn a_capture_without_anything_to_read_is_an_error() {
    for (bytes, why) in [
        (&b""[..], "-: packet 1, offset 0: an empty file"),
        (b"GIF89a..................", "-: packet 1, offset 0: neither pcap nor pcapng"),
        (b"\xd4\xc3\xb2\xa1", "-: packet 1, offset 0: cut off"),
    ] {
        for form in ["--no-search", "--dump"] {
            let (_, err, status) = replay(&["-", form], bytes);
            let all = format!("plimsoll: {why}\nplimsoll: no packet could be read\n");
            assert_eq!((err, status), (all, Some(1)), "{form}");
        }
    }
    // Bluetooth: the frames are counted, also where only a listing is printed.
    let mut other = capture(2, false);
    other[20] = 201;
    let (_, err, status) = replay(&["-", "--dump"], &other);
    let counted = "plimsoll: 2 frames of a link type that is not read\n";
    assert_eq!((err.as_str(), status), (counted, Some(0)));
    assert_eq!(replay(&["-", "--dump", "--strict"], &other).2, Some(1));
}

#[test]
fn what_is_no_setting_is_named() {
    let (_, err, status) = replay(&["-", "--set", "nf_conntrack_maxx=1"], b"");
    assert!(err.contains("nf_conntrack_maxx: no such setting"), "{err}");
    assert_eq!(status, Some(64));
    assert_eq!(replay(&["-", "--profile", "windows"], b"").2, Some(64));
}

#[test]
fn a_timeout_policy_makes_the_entries_of_its_port_end_sooner() {
    // A query a millisecond, for ten seconds: at the default of 30 s none ends meanwhile.
    let path = stored("policy.pcap", &capture(10_000, false));
    let name = path.to_str().unwrap();
    let peak = |more: &[&str]| {
        let (text, error, status) = replay(&[&[name, "--json"], more].concat(), &[]);
        assert_eq!(status, Some(0), "{error}");
        let value: Value = serde_json::from_str(&text).unwrap();
        (value["runs"][0]["peak_entries"].as_u64().unwrap(), value["timeout_policies"].clone())
    };
    assert_eq!(peak(&[]), (10_000, Value::Array(Vec::new())));
    let (policy, other) = ("udp dport 53 unreplied=1 replied=2", "udp dport 54 unreplied=1");
    let (few, told) = peak(&["--timeout-policy", policy, "--what-if=nf_conntrack_udp_timeout=60"]);
    assert!(few < 9_000, "{few}");
    assert_eq!(told, Value::from(vec![policy]));
    assert_eq!(peak(&["--timeout-policy", other]).0, 10_000);
    let (_, error, status) = replay(&[name, "--timeout-policy=udp dport 53 established=1"], &[]);
    assert_eq!(status, Some(64));
    assert!(
        error.contains("udp has no timeout \"established\", only unreplied, replied"),
        "{error}"
    );
    std::fs::remove_file(path).unwrap();
}

#[test]
fn settings_that_cannot_share_a_table_are_told_to_take_their_own() {
    let capture = capture(200, true);
    let told = |more: &[&str]| {
        let arguments = [&["--profile", "6.18", "--no-search"], more, &["-"]].concat();
        let (_, told, status) = replay(&arguments, &capture);
        assert_eq!(status, Some(0), "{told}");
        told
    };
    let limits = "--what-if=nf_conntrack_max=50,100,150";
    let timeouts = "--what-if=nf_conntrack_udp_timeout=5,10";
    assert_eq!(told(&[limits, timeouts]), "");
    assert_eq!(told(&[limits]), "");
    for (more, tables) in [
        (vec![timeouts, "--what-if=nf_conntrack_buckets=1024,2048"], "took 3 tables"),
        (vec![timeouts, "--set=nf_conntrack_acct=1"], "took 3 tables"),
    ] {
        assert!(told(&more).contains(tables), "{more:?}: {}", told(&more));
    }
}
