//! `plimsoll replay`, from outside.
#![allow(clippy::unwrap_used)]

mod asked;
mod chains;
mod cut;
mod drawings;
mod passes;
mod silences;

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
fn an_answer_names_what_is_changed_and_nothing_else() {
    let said = |more: &[&str]| {
        let arguments = [&["-", "--no-search", "--width", "200"], more].concat();
        let (out, told, status) = replay(&arguments, &capture(100, false));
        assert_eq!(status, Some(0), "{told}");
        out
    };
    let out = said(&[]);
    assert!(out.contains("nf_conntrack_max=262,144 holds them (less than 1 % full):"), "{out}");
    let out = said(&["--set", "nf_conntrack_max=0"]);
    assert!(out.contains("nf_conntrack_max=0 (no limit) holds them: no packet is lost"), "{out}");
    // What the answer calls them may be typed.
    let short = said(&["--set", "max=20", "--what-if=udp_timeout=30,40", "--what-if=max=20,200"]);
    let timeouts = "--what-if=nf_conntrack_udp_timeout=30,40";
    let out =
        said(&["--set", "nf_conntrack_max=20", timeouts, "--what-if=nf_conntrack_max=20,200"]);
    let change = "the smallest change that drops nothing: nf_conntrack_max=200 (instead of 20).";
    assert!(out.contains(change), "{out}");
    assert_eq!(short, out);
}

#[test]
fn what_json_says_is_what_its_schema_publishes() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let schema = std::fs::read_to_string(root.join("docs/formats/replay.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let held = |arguments: &[&str], stdin: &[u8], roles: &[&str]| {
        let (out, told, _) = replay(&[&["--json"], arguments].concat(), stdin);
        let value: Value = serde_json::from_str(&out).expect(&told);
        let errors = schema.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path));
        assert_eq!(errors.collect::<Vec<_>>(), Vec::<String>::new());
        let runs = value["runs"].as_array().unwrap();
        let mut seen: Vec<&str> = runs.iter().map(|run| run["role"].as_str().unwrap()).collect();
        seen.dedup();
        assert_eq!(seen, roles);
    };
    let whole = capture(100, true);
    held(&["-"], &whole[..whole.len() - 3], &["as_set"]);
    held(&["-"], &whole[..24], &["as_set"]);
    held(&["-", "--set", "nf_conntrack_max=20"], &whole, &["as_set", "unlimited"]);
    let path = stored("schema.pcap", &whole);
    let name = path.to_str().unwrap();
    let full = ["--set=nf_conntrack_max=20", "--what-if=nf_conntrack_max=30"];
    held(&[&full[..], &[name]].concat(), b"", &["as_set", "asked", "unlimited"]);
    std::fs::remove_file(path).unwrap();
    held(&["--synthetic", "rate=20/s lifetime=exp:1s seed=1 for=2s"], b"", &["as_set"]);
}

#[test]
fn what_cannot_be_written_is_named_and_does_not_cost_the_answer() {
    let (out, err, status) = replay(&["-", "--plot", "/dev/full"], &capture(1, true));
    assert!(out.starts_with("HOLDS  The table needs 1 entry;"), "{out}");
    assert_eq!(
        (err.contains("plimsoll: /dev/full: No space left"), status),
        (true, Some(1)),
        "{err}"
    );
    let (out, err, status) = replay(&["-", "--plot", "/nowhere/x.svg"], &capture(1, true));
    let why = "plimsoll: --plot: no directory /nowhere\n";
    assert_eq!((out.as_str(), err.as_str(), status), ("", why, Some(64)));
    let full = || std::fs::File::create("/dev/full").unwrap();
    let path = stored("full.pcap", &capture(1, true));
    for arguments in
        [&["replay"][..], &["replay", "--json"], &["replay", "--dump"], &["size", "--capture"]]
    {
        let all = arguments.iter().map(std::ffi::OsStr::new).chain([path.as_os_str()]);
        let told = Command::new(BINARY).args(all).stdout(full()).output().unwrap();
        let err = String::from_utf8(told.stderr).unwrap();
        assert!(err.contains("plimsoll: standard output: No space left"), "{arguments:?}: {err}");
        assert!(!told.status.success(), "{arguments:?}");
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn standard_input_can_be_given_once() {
    let why = "plimsoll: -, the standard input, can be given once: it is read to its end\n";
    for form in ["--no-search", "--dump"] {
        let (out, err, status) = replay(&["-", "-", form], &capture(3, true));
        assert_eq!((out.as_str(), err.as_str(), status), ("", why, Some(64)), "{form}");
    }
    let size = Command::new(BINARY).args(["size", "--capture", "-", "-"]).output().unwrap();
    assert_eq!(
        (String::from_utf8(size.stderr).unwrap().as_str(), size.status.code()),
        (why, Some(64))
    );
}

#[test]
fn a_moment_before_the_first_packet_is_refused() {
    for form in ["--no-search", "--dump"] {
        let (out, err, status) =
            replay(&["-", form, "--at", "2020-01-01T00:00:00Z"], &capture(1, true));
        let why =
            "plimsoll: --at 2020-01-01T00:00:00Z: before the first packet, 2023-11-14T22:13:20Z\n";
        assert_eq!((out.as_str(), err.as_str(), status), ("", why, Some(1)));
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
    // Zeros behind the end are padding to gzip(1), all else is told.
    whole[last] ^= 1;
    let padded = [&whole[..], &[0; 512]].concat();
    assert_eq!(replay(&["-", "--stats", "--strict"], &padded), (out, String::new(), Some(0)));
    let (_, err, status) = replay(&["-", "--stats"], &[&padded[..], b"x"].concat());
    let why = why.replace(
        "its gzip stream is cut off or corrupt",
        "garbage behind the end of its gzip stream",
    );
    assert_eq!((err, status), (format!("plimsoll: {why}\n"), Some(0)));
    // The magic of zstd, a frame's header, and nothing.
    let (_, err, status) = replay(&["-"], &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
    assert!(err.contains("-: packet 1, offset 0 of what was unpacked: its zstd stream"), "{err}");
    assert_eq!(status, Some(1));
}

#[test]
fn every_frame_of_a_zstd_stream_is_read_and_its_checksum_held() {
    let whole = capture(3, true);
    let packed = |bytes: &[u8]| {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    };
    // As pzstd leaves it: before each frame, one that tells its length to other programs.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0], &b"size"[..]].concat();
    let (half, rest) = whole.split_at(100);
    let file = [&skipped[..], &packed(half), &skipped, &packed(rest), &skipped].concat();
    let (plain, _, _) = replay(&["-", "--dump"], &whole);
    assert_eq!(plain.lines().count(), 3);
    assert_eq!(replay(&["-", "--dump", "--strict"], &file), (plain, String::new(), Some(0)));
    let place = "-: packet 7, offset 288 of what was unpacked";
    for (from, to) in [(0, 1), (0, 9)] {
        let mut file = packed(&whole);
        if to == 1 {
            *file.last_mut().unwrap() ^= 1;
        } else {
            file.extend(&skipped[from..to]);
        }
        let (_, err, status) = replay(&["-", "--stats"], &file);
        assert_eq!(err, format!("plimsoll: {place}: its zstd stream is cut off or corrupt\n"));
        assert_eq!(status, Some(0));
    }
    // A window of 2 TiB.
    let (_, err, status) =
        replay(&["-", "--stats"], &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 1, 0, 0]);
    assert!(err.contains("wants 2097152 MiB of memory, more than the 128 it may have"), "{err}");
    assert_eq!(status, Some(1));
}

#[test]
fn a_capture_without_anything_to_read_is_an_error() {
    for (bytes, why) in [
        (&b""[..], "-: packet 1, offset 0: an empty file"),
        (b"GIF89a\0..................", "-: packet 1, offset 0: neither pcap nor pcapng"),
        (
            b"22:13:21.000000 IP 10.0.0.1.4097 > 10.0.0.2.53: UDP, length 0",
            "-: packet 1, offset 0: neither pcap nor pcapng, but text: tcpdump records packets with -w FILE",
        ),
        (
            b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x16\0\0\0\x74\x2f\xe5\xa3",
            "-: packet 1, offset 0: neither pcap nor pcapng, but packed with xz: unpack it first (xz -dc FILE | plimsoll replay -)",
        ),
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
    let counted = "plimsoll: 2 frames of a link type that is not read (LINKTYPE 201)\n";
    for form in ["--dump", "--json"] {
        let (out, err, status) = replay(&["-", form], &other);
        let all = format!("{counted}plimsoll: no packet could be read\n");
        assert_eq!((out.as_str(), err, status), ("", all, Some(1)));
    }
    // Beside one that can be read.
    let path = stored("other.pcap", &other);
    let both = [path.to_str().unwrap(), "-", "--dump"];
    let (out, err, status) = replay(&both, &capture(1, false));
    assert_eq!((out.lines().count(), err.as_str(), status), (1, counted, Some(0)));
    assert_eq!(replay(&[&both[..], &["--strict"]].concat(), &capture(1, false)).2, Some(1));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_is_no_setting_is_named() {
    let (_, err, status) = replay(&["-", "--set", "nf_conntrack_maxx=1"], b"");
    assert!(err.contains("nf_conntrack_maxx: no such setting"), "{err}");
    assert_eq!(status, Some(64));
    assert_eq!(replay(&["-", "--profile", "windows"], b"").2, Some(64));
    let (_, err, status) = replay(&["-", "--netns", "blue"], b"");
    assert!(err.contains("expected the namespace's inode, like 4026532288"), "{err}");
    assert_eq!(status, Some(64));
    // What nobody has seen is not passed off as known.
    for (kernel, told) in [
        (
            "9.9",
            "plimsoll: Linux 9.9 is newer than any that was compared (7.3): it is taken for 7.1\n",
        ),
        ("7.3", ""),
    ] {
        let (_, err, status) = replay(&["-", "--stats", "--profile", kernel], &capture(1, false));
        assert_eq!((err.as_str(), status), (told, Some(0)));
    }
    // What would not be looked at is not swallowed.
    for form in ["--dump", "--expectations", "--events", "--stats", "--log"] {
        for other in ["--what-if=nf_conntrack_max=9", "--plot=-"] {
            let (out, err, status) = replay(&["-", form, other], &capture(1, false));
            assert_eq!((out.as_str(), status), ("", Some(64)), "{form} {other}");
            assert!(err.contains("are of one setting"), "{err}");
        }
    }
}

#[test]
fn what_the_log_would_have_said_of_a_packet_is_printed() {
    // A datagram whose length is a lie, behind one that is none.
    let mut bytes = capture(2, false);
    let length = bytes.len();
    bytes[length - 3] = 99;
    let log = ["-", "--log", "--interface", "eth0", "--set"];
    let (out, err, status) = replay(&[&log[..], &["nf_conntrack_log_invalid=17"]].concat(), &bytes);
    assert_eq!((err.as_str(), status), ("", Some(0)));
    assert_eq!(
        out,
        "2023-11-14T22:13:20,000000+00:00 nf_ct_proto_17: truncated/malformed packet IN=eth0 OUT= MAC= SRC=10.0.0.1 \
         DST=10.0.0.2 LEN=28 TOS=0x00 PREC=0x00 TTL=64 ID=0 PROTO=UDP SPT=1025 DPT=53 LEN=99 \n"
    );
    let (out, _, _) = replay(&[&log[..], &["nf_conntrack_log_invalid=6"]].concat(), &bytes);
    assert_eq!(out, "", "of other protocols nothing is said");
    // Beside a limit that is met before.
    let mut many = capture(40, false);
    let length = many.len();
    many[length - 3] = 99;
    let logged = |more: &[&str]| {
        let set = ["-", "--json", "--set=nf_conntrack_log_invalid=17", "--set=nf_conntrack_max=99"];
        let (out, _, _) = replay(&[&set[..], more].concat(), &many);
        serde_json::from_str::<Value>(&out).unwrap()["log"].clone()
    };
    let alone = logged(&[]);
    assert_eq!(alone.to_string().matches("truncated/malformed").count(), 1, "{alone}");
    assert_eq!(logged(&["--what-if=nf_conntrack_max=10"]), alone);
    let older = [&log[..], &["nf_conntrack_log_invalid=17", "--profile", "5.4"]].concat();
    let (_, err, status) = replay(&older, &bytes);
    assert_eq!(status, Some(64));
    assert!(
        err.contains(
            "nf_conntrack_log_invalid: what this kernel writes was not compared; it was with the profiles 5.10, 6.1, 6.12, \
             6.18, 7.1"
        ),
        "{err}"
    );
    // Of a datagram whose header alone was captured.
    let mut cut = bytes.clone();
    let (length, frame) = (cut.len(), cut.len() - 28);
    (cut[length - 3], cut[frame + 3]) = (7, 99);
    let (out, err, _) = replay(&[&log[..], &["nf_conntrack_log_invalid=17"]].concat(), &cut);
    assert!(
        out.contains(
            "truncated/malformed packet IN=eth0 OUT= MAC= SRC=10.0.0.1 DST=10.0.0.2 LEN=99 "
        ),
        "{out}"
    );
    assert!(
        err.contains("The log has lines about 1 packet that was cut by the snapshot length"),
        "{err}"
    );
    // A datagram that comes in two parts is shown whole.
    let parts = [
        (&[0x45, 0, 0, 28, 0, 9, 0x20, 0][..], &[16, 0, 0, 53, 0, 99, 0, 0][..]),
        (&[0x45, 0, 0, 23, 0, 9, 0, 1], &[1, 2, 3]),
    ];
    let mut parted = capture(0, false);
    for (front, payload) in parts {
        let packet = [front, &[64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], payload].concat();
        let words = [1_700_000_000, 0, packet.len() as u32, packet.len() as u32];
        words.iter().for_each(|word| parted.extend(word.to_le_bytes()));
        parted.extend(packet);
    }
    let (out, err, _) = replay(&[&log[..], &["nf_conntrack_log_invalid=17"]].concat(), &parted);
    assert_eq!(err, "");
    assert!(
        out.contains("malformed packet IN=eth0 OUT= MAC= SRC=10.0.0.1 DST=10.0.0.2 LEN=31 "),
        "{out}"
    );
    assert!(out.contains(" ID=9 PROTO=UDP SPT=4096 DPT=53 LEN=99 "), "{out}");
    // 5.10 tells no interface.
    let own = [&log[..], &["nf_conntrack_log_invalid=17", "--profile", "5.10"]].concat();
    let (out, _, status) = replay(&own, &bytes);
    assert_eq!(status, Some(0));
    assert!(
        out.contains("nf_ct_proto_17: truncated/malformed packet IN= OUT= SRC=10.0.0.1 "),
        "{out}"
    );
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

/// A raw IPv4 packet between 10.0.0.`ends`.
fn packet(protocol: u8, ends: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend([10, 0, 0, ends[0], 10, 0, 0, ends[1]]);
    packet.extend(payload);
    packet
}

/// A TCP segment to port 80, or from it: flags, acknowledgement number, octets of payload.
fn segment(reply: bool, flags: u8, ack: u8, payload: usize) -> Vec<u8> {
    let ports = if reply { [0, 80, 16, 0] } else { [16, 0, 0, 80] };
    let rest = [0, 0, 0, 1, 0, 0, 0, ack, 0x50, flags, 2, 0, 0, 0, 0, 0];
    let ends = if reply { [2, 1] } else { [1, 2] };
    packet(6, ends, &[&ports[..], &rest, &vec![0; payload]].concat())
}

/// A capture of raw IP: second, octets captured, octets less.
fn frames(frames: &[(u32, Vec<u8>, u32)]) -> Vec<u8> {
    let mut file = capture(0, false);
    for (second, bytes, missing) in frames {
        let length = bytes.len() as u32;
        for word in [1_700_000_000 + second, 0, length, length + missing] {
            file.extend(word.to_le_bytes());
        }
        file.extend(bytes);
    }
    file
}

/// The blocks of a pcapng section of raw IP, each with its kind.
fn blocks(blocks: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let section = [&0x1a2b_3c4du32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let interface = [&[101, 0, 0, 0][..], &[0; 4]].concat();
    let mut file = Vec::new();
    for (kind, body) in [(0x0a0d_0d0a, section), (1, interface)].iter().chain(blocks) {
        let length = (body.len() as u32 + 12).to_le_bytes();
        file.extend([&kind.to_le_bytes()[..], &length, body, &length].concat());
    }
    file
}

/// An enhanced packet block: microseconds, octets of a packet.
fn stamped(micros: u64, bytes: &[u8]) -> (u32, Vec<u8>) {
    let length = bytes.len() as u32;
    let words = [0, (micros >> 32) as u32, micros as u32, length, length];
    let head = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    (6, [head, bytes.to_vec()].concat())
}

#[test]
fn a_time_that_nobody_can_have_is_none_and_one_at_the_end_of_time_is_reached() {
    let query = |port: u8| packet(17, [1, 2], &[16, port, 0, 53, 0, 8, 0, 0]);
    let told = |third: u64, more: &[&str]| {
        let second = 1_700_000_000_000_000;
        let packets = [
            stamped(second, &query(1)),
            stamped(third, &query(2)),
            stamped(second + 1_000_000, &query(3)),
        ];
        let arguments = [&["-", "--json"], more].concat();
        let (out, err, status) = replay(&arguments, &blocks(&packets));
        assert_eq!((err.as_str(), status), ("", Some(0)));
        let value: Value = serde_json::from_str(&out).unwrap();
        let doubts = &value["doubts"];
        let counted = |name: &str| doubts[name].as_u64().unwrap();
        let samples = value["runs"][0]["timeline"].as_array().unwrap().len();
        assert!(samples < 500, "{samples}");
        (counted("untimed"), counted("backwards"), value["runs"][0]["peak_entries"].clone())
    };
    // All ones, as a program writes that knows no time: taken at that of the one before.
    assert_eq!(told(u64::MAX, &[]), (1, 0, 3.into()));
    // The last microsecond that there is, and what slowness makes of less.
    assert_eq!(told(i64::MAX as u64 / 1000, &[]).1, 1);
    assert_eq!(told(1_800_000_000_000_000, &["--speed", "0.00001"]).1, 1);
}

#[test]
fn the_end_is_that_of_the_last_frame_whatever_it_is() {
    let query = packet(17, [1, 2], &[16, 1, 0, 53, 0, 8, 0, 0]);
    // Cut within its header: no packet for the table, but time has passed.
    let mut bytes = frames(&[(0, query.clone(), 0), (5, query[..12].to_vec(), 16)]);
    let (dump, _, _) = replay(&["-", "--dump"], &bytes);
    assert!(dump.starts_with("ipv4     2 udp      17 25 src="), "{dump}");
    let (json, _, _) = replay(&["-", "--json"], &bytes);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["entries"], Value::from(vec![dump.trim_end()]));
    let timeline = value["runs"][0]["timeline"].as_array().unwrap();
    assert_eq!(timeline.last().unwrap()["time"], value["last"]);
    // And hours later the entry is gone.
    bytes.extend(frames(&[(9000, query[..12].to_vec(), 16)]).split_off(24));
    assert_eq!(replay(&["-", "--dump"], &bytes).0, "");
    let (stats, _, _) = replay(&["-", "--stats"], &bytes);
    assert!(stats.lines().nth(1).unwrap().starts_with("00000000 "), "{stats}");
}

#[test]
fn what_a_capture_cannot_tell_is_said_in_a_sentence() {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let query = |port: u8| packet(17, [1, 2], &[16, port, 0, 53, 0, 8, 0, 0]);
    let whole = packet(17, [1, 2], &[&[16, 1, 0, 53, 0, 28, 0, 0][..], &[0; 20]].concat());
    let queries: Vec<_> = (0..9).map(|port| (0, query(port), 0)).collect();
    let lost = [&[0; 12][..], &[5, 0, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0], &[0; 4]].concat();
    let untimed = [&28u32.to_le_bytes()[..], &query(1)].concat();
    let ethernet = |kind: [u8; 2], rest: &[u8]| [&[0; 12], &kind[..], rest].concat();
    let labelled = ethernet([0x88, 0x47], &[&[0, 1, 1, 64], &query(2)[..]].concat());
    let mut mpls = frames(&[(1, ethernet([8, 0], &query(1)), 0), (2, labelled, 0)]);
    mpls[20] = 1;
    let cases: [(&[&str], Vec<u8>, &str); 17] = [
        (
            &["--notrack", "udp dport 53"],
            capture(1, true),
            "NOTRACK 'udp dport 53' is one direction only, as a rule of the kernel is: the answers are still looked up \
             and find no entry, so that they are INVALID or open entries back to front. Add --notrack 'udp sport 53'.",
        ),
        (
            &[],
            blocks(&[(5, lost)]),
            "The capturing host lost 7 packets itself (its own statistics)",
        ),
        (
            &[],
            frames(&[(0, segment(false, SYN, 0, 0), 0), (1, segment(false, ACK, 9, 0), 0)]),
            "50 % of the TCP packets acknowledge an answer that was not captured",
        ),
        (
            &[],
            frames(&[(0, query(1), 0), (0, query(1), 0)]),
            "50 % of the packets were captured twice (as -i any does on a router)",
        ),
        (
            &[],
            frames(&[(0, segment(false, ACK, 9, 0), 0), (1, segment(true, ACK, 9, 0), 0)]),
            "1 connection was under way when the capture began, or had been given up before",
        ),
        (
            &[],
            frames(&[(0, segment(false, ACK, 9, 3000), 0)]),
            "1 TCP segment is longer than an Ethernet frame: the network card had merged them",
        ),
        (
            &[],
            frames(&[(0, whole[..28].to_vec(), 20)]),
            "1 packet was cut by the snapshot length; the headers were there",
        ),
        (&[], frames(&[(0, query(1)[..12].to_vec(), 16)]), "1 packet was cut within the headers"),
        (
            &[],
            frames(&[(0, [&[0x41], &query(1)[1..]].concat(), 0)]),
            "1 packet was left out for a wrong IP header: a host drops such before conntrack.",
        ),
        (
            &[],
            frames(&[(9, query(1), 0), (1, query(2), 0)]),
            "1 packet is earlier than one before, by up to 8 s, and taken at its time.",
        ),
        (
            &[],
            frames(&[(9000, query(1), 0), (1, query(2), 0)]),
            "by up to 2 h 29 min, and taken at its time. A clock was set, or one packet's time is wrong: behind it nothing \
             expires until the times have caught up.",
        ),
        (
            &[],
            frames(&[(1, query(1), 0), (2, query(2), 0), (3 * 86_400 + 2, query(3), 0)]),
            "Nothing came for 3 d before packet 3: what was in the table by then has mostly expired.",
        ),
        (
            &[],
            mpls,
            "1 frame was not IP (ARP, STP, MPLS and the like): conntrack does not see such.",
        ),
        (
            &[],
            blocks(&[(3, untimed)]),
            "1 packet has no time and is taken at that of the one before.",
        ),
        (
            &["--set=nf_conntrack_max=1"],
            frames(&queries),
            "What a lost packet leads to (no answer, a second try) is not in the traffic",
        ),
        (&["--scale", "3"], capture(1, true), "3 copies do everything at the same moment"),
        (
            &["--profile=5.15", "--set=nf_conntrack_buckets=512", "--set=nf_conntrack_max=20000"],
            capture(12_000, false),
            "lost to hash chains that were too long, not to the limit: more buckets help (nf_conntrack_buckets, now 512).",
        ),
    ];
    for (arguments, bytes, sentence) in cases {
        let all = [&["-", "--no-search", "--utc", "--width=240"], arguments].concat();
        let (out, err, status) = replay(&all, &bytes);
        let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(status == Some(0) && err.is_empty(), "{arguments:?}: {err}");
        assert!(out.contains(sentence), "{arguments:?}: {sentence}\n{out}");
    }
    // Of a capture in good order none of them is said.
    let (good, _, _) = replay(&["-", "--no-search", "--utc"], &capture(9, true));
    assert!(good.contains("18 packets in less than 0.1 s · from"), "{good}");
    let (_, err, status) = replay(&["-", "--at=+1y"], b"");
    assert!(err.contains("expected a span like +90, +2m, +1h or +3d, saw \"+1y\""), "{err}");
    assert_eq!(status, Some(64));
    assert!(!good.contains("WHAT THIS CANNOT TELL"), "{good}");
}
