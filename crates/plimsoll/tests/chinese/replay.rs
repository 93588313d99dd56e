//! `replay` and `size`.

use std::process::Command;

use super::support::{BINARY, repository, text};
use super::{is_chinese, left_over, told};

/// A small table is looked through sooner.
const FEW: &str = "--set=buckets=512";
const MADE: &str = "rate=10/s lifetime=exp:5s seed=1 for=30s";

#[test]
fn the_locale_or_the_flag_chooses_and_what_programs_read_stays_english() {
    let replay = ["replay", "--synthetic", MADE, FEW, "--no-search", "--utc"];
    let english = told("C.UTF-8", &replay).0;
    assert!(english.starts_with("HOLDS  The table needs "), "{english}");
    assert!(!is_chinese(&english));
    let chinese = told("zh_CN.UTF-8", &replay).0;
    assert!(chinese.starts_with("够用  连接跟踪表需要 "), "{chinese}");
    // By the flag also where the locale shows ASCII alone; without it such a terminal gets no marks of questions.
    let flagged =
        |locale: &str, lang: &str| told(locale, &[&replay[..], &["--lang", lang]].concat()).0;
    assert_eq!(flagged("C", "zh"), chinese);
    assert_eq!(flagged("zh_CN.UTF-8", "en"), english);
    let bare = told("zh_CN.GBK", &replay).0;
    assert!(bare.is_ascii() && bare.starts_with("HOLDS"), "{bare}");
    let json =
        |locale: &str| told(locale, &["replay", "--synthetic", MADE, FEW, "--json", "--scale=2"]).0;
    assert_eq!(json("zh_CN.UTF-8"), json("C"));
    let all = told("C", &["explain", "--lang", "zh"]).0;
    assert!(all.starts_with("CT001  table-full                 表已满，正在丢包\n"), "{all}");
    assert!(all.lines().all(is_chinese), "{all}");
    let wrong = told("zh_CN.UTF-8", &["explain", "x"]).1;
    assert!(wrong.starts_with("plimsoll: 没有诊断结论 \"x\"；"), "{wrong}");
    let explain = told("C", &["explain", "CT001", "--lang", "zh"]).0;
    assert!(explain.starts_with("CT001 table-full：表已满"), "{explain}");
}

#[test]
fn every_sentence_of_the_answers_is_there_in_chinese() {
    let trees = repository("fixtures/trees");
    let tree = |name: &str| trees.join(name).to_string_lossy().into_owned();
    let small = "--set=max=60";
    let grid = "--what-if=max=90,1000";
    let folder = std::env::temp_dir().join(format!("plimsoll-zh-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a directory");
    let (svg, cut) = (folder.join("x.svg"), folder.join("cut.pcap"));
    // Raw IP: a fragment without the rest, a frame of no protocol, and one that is cut off.
    let mut capture = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 101] {
        capture.extend(word.to_le_bytes());
    }
    for part in
        [[0x45, 0, 0, 28, 0, 9, 0x20, 0, 64, 17, 0, 0], [0x41, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]]
    {
        for word in [1_700_000_000u32, 0, 28, 28] {
            capture.extend(word.to_le_bytes());
        }
        capture.extend(part);
        capture.extend([10, 0, 0, 1, 10, 0, 0, 2, 16, 0, 0, 53, 0, 8, 0, 0]);
    }
    capture.extend([7; 9]);
    std::fs::write(&cut, capture).expect("written");
    let (svg, cut) = (svg.to_string_lossy().into_owned(), cut.to_string_lossy().into_owned());
    let (host, full, little) = (tree("debian-healthy"), tree("centos6"), tree("kernel-6.1"));
    let asked: [&[&str]; 9] = [
        &["replay", "--synthetic", MADE, FEW, small],
        &["replay", "--synthetic", MADE, FEW, small, grid, "--plot", "-", "--scale=2", "--speed=2"],
        &["replay", "--synthetic", MADE, FEW, grid, "--plot", &svg],
        &["replay", &cut, "--no-search"],
        &["size", "--root", &host],
        &["size", "--root", &full],
        &["size", "--root", &full, "--rate=1e6", "--lifetime=1h"],
        &["size", "--root", &host, "--rate", "tcp=2000", "--lifetime", "tcp=200ms", "--peak=3"],
        &["size", "--root", &little, "--capture", &cut],
    ];
    for arguments in asked {
        let (out, said) = told("C", &[arguments, &["--lang", "zh", "--width=200"]].concat());
        assert!(is_chinese(&out), "{arguments:?}: {out}{said}");
        assert_eq!(
            left_over(&format!("{out}{said}")),
            Vec::<String>::new(),
            "{arguments:?}: {out}"
        );
        assert!(!out.contains('?'), "{arguments:?}: {out}");
    }
    let drawn = std::fs::read_to_string(&svg).expect("drawn");
    let texts = drawn.split('>').filter_map(|piece| piece.split_once("</text").map(|t| t.0));
    assert_eq!(left_over(&texts.collect::<Vec<_>>().join("\n")), Vec::<String>::new());
    assert!(drawn.contains("模拟流量：连接跟踪表中的条目数"), "{drawn}");
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn what_is_wrong_is_said_in_chinese_too() {
    for (arguments, why) in [
        (&["replay", "-", "-"][..], "标准输入 - 只能给一次"),
        (&["replay", "-"], "plimsoll: -：第 1 个包，偏移 0：空文件\nplimsoll: 一个包也没能读出\n"),
        (
            &["size", "--lifetime=tcp=1", "--rate=2"],
            "plimsoll: --lifetime tcp=… 没有对应的 --rate tcp=…",
        ),
        (&["size", "--netns=gone-long-ago"], "plimsoll: 没有这样的网络命名空间：\"gone-long-ago\""),
        (&["replay", "-", "--set", "nf_conntrack_maxx=1"], "；您是不是指 nf_conntrack_max？"),
    ] {
        let out = Command::new(BINARY)
            .args(arguments)
            .args(["--lang", "zh"])
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the binary starts");
        let said = text(&out.stderr);
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert!(!out.status.success());
    }
}

#[test]
fn every_refusal_of_replay_and_size_is_there_in_chinese() {
    let folder = std::env::temp_dir().join(format!("plimsoll-zh-no-{}", std::process::id()));
    let tree = folder.join("tree/proc");
    std::fs::create_dir_all(&tree).expect("a directory");
    std::fs::write(tree.join("version"), "Linux version 9.9.0 (x)\n").expect("written");
    let file = |name: &str, octets: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, octets).expect("written");
        path.to_string_lossy().into_owned()
    };
    let words =
        |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let header = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101]);
    let section = words(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, !0, !0, 28]);
    let long = [&header[..], &words(&[0, 0, 1 << 30, 1 << 30])].concat();
    let lone = [&section[..], &words(&[3, 16, 0, 16])].concat();
    let captures = [
        file("text", b"12:00:00.000000 IP 10.0.0.1.80 > 10.0.0.2.9: Flags [S]"),
        file("old", &words(&[0xa1b2_c3d4, 0x0004_0001, 0, 0, 65_535, 101])),
        file("long", &long),
        file("lone", &lone),
        file("packed", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 9, 9, 9]),
        file("behind", b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\x03\0\0\0\0\0\0\0\0\0x"),
        file("zst", &[0x28, 0xb5, 0x2f, 0xfd, 9, 9, 9, 9]),
        file("xz", b"\xfd7zXZ\0 and so on"),
        file("cut", &header[..9]),
        folder.join("none").to_string_lossy().into_owned(),
        folder.to_string_lossy().into_owned(),
    ];
    let rates = (0..70).map(|n| format!("{}", 1000 + n)).collect::<Vec<_>>().join(",");
    let grid = format!("max={rates}");
    let short = ["--synthetic", MADE, FEW, "--no-search"];
    let wrong: [&[&str]; 46] = [
        &["--at=noon"],
        &["--at=+5y"],
        &["--at=@x"],
        &["--at=9000-01-01T00:00:00Z"],
        &["--at=@-9"],
        &["--synthetic=rate=fast"],
        &["--synthetic=lifetime=30s"],
        &["--synthetic=tcp=170%"],
        &["--synthetic=tcp=0%"],
        &["--synthetic=every=x"],
        &["--synthetic=clients=0"],
        &["--synthetic=seed=x"],
        &["--synthetic=for=x"],
        &["--synthetic=speed=2"],
        &["--synthetic=rate"],
        &["--synthetic="],
        &["--set=max=0", "--profile=7.1"],
        &["--synthetic=rate=10000000 for=10d"],
        &["--dump", "--plot=x.svg"],
        &["--stats", "--what-if=max=7"],
        &["-o", "proc"],
        &["--dump", "-o", "timestamp"],
        &["--plot=/no/such/place/x.svg"],
        &["--plot=/proc/x.svg"],
        &["--profile=w2k"],
        &["--profile=9.9"],
        &["--profile=2.4.20"],
        &["--memory=18446744073709551615"],
        &["--set=no_such=1"],
        &["--set=max=-1"],
        &["--set=max=x"],
        &["--set=max=5000000000"],
        &["--set=log_invalid=6", "--profile=4.9"],
        &["--set=nf_conntrack_events=1"],
        &["--set=checksum=1", "--scale=2"],
        &["--timeout-policy=tcp established=9", "--profile=2.6.18"],
        &["--timeout-policy=udp established=9"],
        &["--timeout-policy=dport 9 established=9"],
        &["--timeout-policy=proto 99 x=9"],
        &["--zone=7", "--profile=2.6.18"],
        &["--zone=orig=7", "--profile=3.10"],
        &["--zone=tcp both=7"],
        &["--notrack=tcp dport"],
        &["--notrack=tpc host 1.2.3.4/99"],
        &["--helper=tcp dport 21"],
        &["--what-if", &grid],
    ];
    let mut asked: Vec<Vec<&str>> = Vec::new();
    for some in &wrong {
        let made = !some.iter().any(|word| word.starts_with("--synthetic"));
        let made = if made { &short[..] } else { &[] };
        asked.push([&["replay"][..], made, some].concat());
    }
    for capture in &captures {
        asked.push(vec!["replay", capture]);
        asked.push(vec!["size", "--capture", capture]);
    }
    let saved = folder.join("tree").to_string_lossy().into_owned();
    asked.extend([
        vec!["size", "--root", &saved],
        vec!["size", "--root", &saved, "--capture", &captures[2]],
        vec!["size", "--history"],
        vec!["size", "--rate=9", "--lifetime=tcp=9"],
        vec!["size", "--rate=9"],
        vec!["size", "--rate=api=9"],
        vec!["size", "--rate=x"],
        vec!["size", "--root=/no/such/place"],
    ]);
    let outside = |line: &str| {
        // Names of files, and what was typed.
        let typed = line.replace(&*folder.to_string_lossy(), "");
        let bare = typed.split(['"', '\'', '`']).step_by(2).collect::<Vec<_>>().join(" ");
        let words = bare.split(' ').filter(|word| !word.starts_with('-') && !word.contains('='));
        words.collect::<Vec<_>>().join(" ")
    };
    for arguments in asked {
        let english = told("C", &arguments);
        assert!(!is_chinese(&english.1), "{arguments:?}: {}", english.1);
        let (out, said) = told("C", &[&arguments[..], &["--lang", "zh"]].concat());
        assert!(said.contains("plimsoll: ") || said.starts_with("错误："), "{arguments:?}: {out}");
        for line in said.lines() {
            let ours = line.starts_with("plimsoll: ") || line.starts_with("错误：");
            let left = left_over(&outside(line));
            assert!(!ours || is_chinese(line) && left.is_empty(), "{arguments:?}: {said}{left:?}");
        }
    }
    std::fs::remove_dir_all(folder).expect("removed");
}
