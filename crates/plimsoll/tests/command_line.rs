//! The command line as scripts meet it: exit status, streams, forms of output.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use support::{BINARY, Netns, check, plimsoll, root, run, text, turn};

#[test]
fn wrong_usage_is_64_and_talks_on_stderr() {
    for arguments in [
        &["check", "--no-such-flag"][..],
        &["check", "--json", "--nagios"],
        &["check", "--root", "/", "--bundle", "x"],
        &["check", "--interval", "never"],
        &["no-such-command"],
    ] {
        let out = plimsoll(arguments);
        assert_eq!(out.status.code(), Some(64), "{arguments:?}");
        assert!(out.stdout.is_empty(), "{arguments:?}");
        assert!(!out.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_value_that_is_wrong_is_told_in_words_for_a_person() {
    for (line, why) in [
        ("replay x --memory many", "expected GiB between 0.001 and 1000000, like 8 or 0.5"),
        ("replay x --memory -1", "expected GiB between"),
        ("undo x", "'x' for '[ID]': expected a whole number"),
        ("undo 99999999999999999999", "the number is too large"),
        ("check --interval -1", "'-1' for '--interval <SECONDS>': expected seconds between 0.05"),
        ("check --width -1", "-1 is not in 60..=240"),
        ("size --peak -2", "expected a number from 1 on"),
        ("size --rate =5", "expected the name of a class before ="),
        ("size --rate 5 --lifetime =5d", "expected the name of a class before ="),
        ("replay --synthetic tcp=70%,udp=70%", "expected 100% at most, saw 140%"),
        ("size --rate a=5 --rate a=6 --lifetime 5d", "--rate a=… is given twice"),
        ("size --rate 5 --rate 6 --lifetime 5d", "--rate is given twice"),
        ("size --rate 5 --lifetime 5d --lifetime 6d", "--lifetime is given twice"),
    ] {
        let out = plimsoll(&line.split(' ').collect::<Vec<_>>());
        let said = text(&out.stderr);
        assert!(said.contains(why), "{line}: {said}");
        assert_eq!(out.status.code(), Some(64), "{line}");
    }
    let days = text(&plimsoll(&["size", "--rate", "5", "--lifetime", "5d"]).stdout);
    assert!(days.contains(" 432,000 2,160,000  as given"), "{days}");
    let made = ["replay", "--synthetic", "rate=10/s for=1s", "--json", "--memory", "0.5"];
    let small: serde_json::Value =
        serde_json::from_slice(&plimsoll(&made).stdout).expect("an answer");
    assert_eq!(small["runs"][0]["max"], 4096, "{small:#}");
}

#[test]
fn ascii_excludes_only_a_language_that_needs_more() {
    let commands = [
        &["check", "--root", "/nowhere"][..],
        &["boot", "--root", "/nowhere"],
        &["size", "--root", "/nowhere"],
        &["explain", "CT999"],
        &["flows", "--from", "/nowhere"],
        &["top", "--by", "no-such-key"],
        &["replay", "/nowhere"],
        &["fix", "raise", "--max", "5", "--state-dir", "/nowhere"],
        &["--root", "/nowhere"],
    ];
    for command in commands {
        let with = |lang| plimsoll(&[command, &["--ascii", "--lang", lang]].concat());
        let (english, chinese) = (text(&with("en").stderr), with("zh"));
        assert!(!english.contains("cannot be used with"), "{command:?}: {english}");
        let why = text(&chinese.stderr);
        assert!(why.starts_with("错误：'--lang zh' 不能与 '--ascii' 一起用\n\n用法："), "{why}");
        assert_eq!((chinese.stdout.len(), chinese.status.code()), (0, Some(64)), "{command:?}");
    }
    let page = text(&plimsoll(&["explain", "CT012", "--lang", "en", "--ascii"]).stdout);
    assert!(page.is_ascii() && page.contains("CT012"), "{page}");
}

#[test]
fn a_root_that_is_not_there_is_wrong_usage_with_its_path() {
    let out = plimsoll(&["check", "--root", "/no/such/place"]);
    assert_eq!(out.status.code(), Some(64));
    assert!(text(&out.stderr).contains("/no/such/place"));
}

#[test]
fn a_bundle_that_is_no_archive_is_wrong_usage_with_its_path() {
    let out = plimsoll(&["check", "--bundle", "/etc/hostname"]);
    assert_eq!(out.status.code(), Some(64));
    assert!(text(&out.stderr).contains("/etc/hostname"));
}

#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let empty = std::env::temp_dir().join(format!("plimsoll-unwritten-{}", std::process::id()));
    std::fs::create_dir_all(&empty).expect("a directory");
    let root = empty.to_str().expect("UTF-8");
    for arguments in [
        &["explain"][..],
        &["check", "--root", root],
        &["boot", "--root", root],
        &["lab"],
        &["fix", "--list", "--state-dir", root],
        &["fix", "--list", "--json", "--state-dir", root],
        &["fix", "timeout", "udp=31", "--dry-run"],
        &["fix", "timeout", "udp=31", "--json"],
    ] {
        let full = std::fs::File::create("/dev/full").expect("/dev/full");
        let told = std::process::Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .args(arguments)
            .stdout(full)
            .output()
            .expect("it starts");
        let err = text(&told.stderr);
        assert!(err.contains("plimsoll: standard output: No space left"), "{arguments:?}: {err}");
        assert_eq!(told.status.code(), Some(3), "{arguments:?}");
    }
    let listing = empty.join("listing");
    std::fs::write(&listing, "udp 17 29 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=53 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=53 dport=1 mark=0 use=1\n").expect("written");
    let told = std::process::Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["flows", "--lang", "zh", "--from", listing.to_str().expect("UTF-8")])
        .stdout(std::fs::File::create("/dev/full").expect("/dev/full"))
        .output()
        .expect("it starts");
    let err = text(&told.stderr);
    assert!(err.contains("标准输出：设备上没有空间"), "{err}");
    assert!(!told.status.success());
    std::fs::remove_file(listing).expect("it was there");
    std::fs::remove_dir(empty).expect("empty as before");
}

#[test]
fn a_standard_error_that_takes_nothing_stops_nothing() {
    for arguments in [&["explain", "CT999"][..], &["fix"]] {
        let full = std::fs::File::create("/dev/full").expect("/dev/full");
        let mut command = std::process::Command::new(BINARY);
        let status = command.args(arguments).stderr(full).status().expect("it starts");
        assert_eq!(status.code(), Some(64), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_leaves_ends_the_lab_which_leaves_nothing() {
    if !root() {
        return;
    }
    let _turn = turn();
    let limit = || std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max");
    let before = limit().expect("conntrack is there");
    let began = std::time::Instant::now();
    // The lines of the first chapter, the namespace's name among them. Another lab on this host is waited for.
    let namespace = loop {
        let mut lab = std::process::Command::new(BINARY)
            .args(["lab", "--max=3000", "--lang=en"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let told = BufReader::new(lab.stdout.take().expect("a pipe")).lines().take(4);
        let last = told.map(|line| line.expect("a line")).last().unwrap_or_default();
        let out = lab.wait_with_output().expect("it ends");
        if let Some(name) = last.trim().strip_prefix("The server's namespace is ") {
            assert_eq!((text(&out.stderr), out.status.code()), (String::new(), Some(0)));
            break name.trim_end_matches('.').to_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{last}{}", text(&out.stderr));
        std::thread::sleep(Duration::from_secs(1));
    };
    assert_eq!(limit().expect("still there"), before);
    assert!(!run("ip", &["netns", "list"]).contains(&namespace), "{namespace}");
}

#[test]
fn help_and_version_are_answers() {
    for flag in ["--help", "--version"] {
        let out = plimsoll(&[flag]);
        assert_eq!(out.status.code(), Some(0));
        assert!(text(&out.stdout).contains("plimsoll"));
    }
}

#[test]
fn without_a_command_it_checks_this_host() {
    let alone = plimsoll(&["--json", "--interval", "0.1"]);
    let text = text(&alone.stdout);
    assert!(text.contains("\"plimsoll.check/1\""), "{text}");
    assert!(alone.status.code().is_some_and(|c| c <= 3));
}

#[test]
fn a_pipe_gets_no_escape_sequences_and_no_line_over_80_columns() {
    // Whatever stands on this host, one table has a finding, a remedy and a name too long for it.
    let ns = root().then(|| Netns::new("a-name-that-makes-commands-long"));
    let _turn = ns.as_ref().map(|ns| {
        let turn = turn();
        ns.run(
            "nft",
            &["add table inet t; add chain inet t c { type filter hook input priority 0; }; \
            add rule inet t c ct state new counter accept"],
        );
        ns.run("sysctl", &["-q", "-w", "net.netfilter.nf_conntrack_udp_timeout=600"]);
        ns.send_udp("127.0.0.1", 1_000, 40_000);
        turn
    });
    let out = plimsoll(&["check", "--interval", "0.1", "--ascii"]);
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    assert!(!text.contains('\u{1b}'));
    assert!(ns.is_none_or(|ns| text.contains(&ns.0) && text.contains("\nREMEDIES")), "{text}");
    let mut section = "";
    for line in text.lines() {
        let outer = line.starts_with(|c: char| !c.is_whitespace());
        if outer && line.starts_with(|c: char| c.is_ascii_uppercase()) {
            section = line.split(' ').next().unwrap_or_default();
        }
        // Commands are never wrapped: they are there to be pasted.
        let command = outer && section == "REMEDIES";
        assert!(command || line.len() <= 80, "{} columns: {line}", line.len());
    }
}

#[test]
fn the_status_says_the_verdict() {
    let (value, status) = check(&["--interval", "0.1"]);
    let expected = match value["verdict"].as_str() {
        Some("ok") => 0,
        Some("warning") => 1,
        Some("critical") => 2,
        Some("unknown") => 3,
        other => panic!("verdict {other:?}"),
    };
    assert_eq!(status, expected);
}

#[test]
fn npd_stays_within_80_characters_and_nagios_on_one_line() {
    let npd = plimsoll(&["check", "--npd", "--interval", "0.1"]);
    let line = text(&npd.stdout);
    assert!(line.trim_end().len() <= 80 && line.lines().count() == 1, "{line}");
    assert!(npd.status.code().is_some_and(|c| c <= 2));
    let nagios = plimsoll(&["check", "--nagios", "--interval", "0.1"]);
    let line = text(&nagios.stdout);
    assert!(line.lines().count() == 1 && line.contains(" | "), "{line}");
}

#[test]
fn the_list_of_findings_keeps_the_width_and_its_columns() {
    for (lang, width) in ["en", "zh"].into_iter().flat_map(|lang| [(lang, 60), (lang, 80)]) {
        let columns = width.to_string();
        let list = text(&plimsoll(&["explain", "--lang", lang, "--width", &columns]).stdout);
        let names = list.lines().filter(|line| line.starts_with("CT"));
        let starts = names.map(|line| {
            let name = line.split_whitespace().nth(1).expect("a name");
            let title = line.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
            let title = title.trim_start()[name.len()..].trim_start();
            line.len() - title.len()
        });
        let starts: std::collections::BTreeSet<_> = starts.collect();
        assert_eq!(starts.len(), 1, "{list}");
        assert!(list.lines().all(|l| plimsoll_report::width(l) <= width), "{list}");
    }
}

#[test]
fn explain_prints_a_page_by_id_or_name_and_refuses_what_it_does_not_know() {
    let by_id = plimsoll(&["explain", "ct001"]);
    let by_name = plimsoll(&["explain", "table-full"]);
    assert_eq!(by_id.status.code(), Some(0));
    assert_eq!(by_id.stdout, by_name.stdout);
    assert!(by_id.stdout.len() > 500);
    let unknown = plimsoll(&["explain", "CT999"]);
    assert_eq!(unknown.status.code(), Some(64));
    assert!(text(&unknown.stderr).contains("CT999"));
}

#[test]
fn a_namespace_that_is_not_there_is_named_as_it_was_asked_for_and_cannot_command_the_terminal() {
    let out = plimsoll(&["check", "--netns", "no-such\u{1b}[2J", "--interval", "0.05"]);
    assert_eq!(out.status.code(), Some(64));
    let told = text(&out.stderr);
    assert!(told.contains("\"no-such\\u{1b}[2J\"") && !told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn words_and_names_of_files_cannot_command_the_terminal_that_tells_of_them() {
    const HOSTILE: &str = "x\u{1b}]0;owned\u{7}\u{202e}";
    for arguments in [
        &["check", "--root", HOSTILE][..],
        &["flows", "--bundle", HOSTILE],
        &["flows", "proto", HOSTILE],
        &["flows", "--by", HOSTILE],
        &["replay", HOSTILE],
        &["replay", "--set", &format!("{HOSTILE}=1"), "a.pcap"],
        &["size", "--capture", HOSTILE],
        &["size", "--rate", HOSTILE],
        &["fix", "bypass", HOSTILE],
        &[HOSTILE],
    ] {
        let out = plimsoll(arguments);
        let told = text(&out.stderr);
        assert_ne!(out.status.code(), Some(0), "{arguments:?}");
        assert!(told.contains("owned"), "{arguments:?}: {told:?}");
        assert!(!told.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{arguments:?}: {told:?}");
    }
}

/// What a program reads is the same to the byte, what a terminal gets is clean.
#[test]
fn a_saved_listing_cannot_command_the_terminal_that_shows_it() {
    let line = "udp      17 29 src=192.0.2.1 dst=192.0.2.2 sport=1 dport=2 [UNREPLIED] src=192.0.2.2 dst=192.0.2.1 sport=2 \
                dport=1 mark=0 secctx=a\u{1b}[2Jb use=1\n";
    let file = std::env::temp_dir().join(format!("plimsoll-hostile-{}", std::process::id()));
    std::fs::write(&file, line).expect("written");
    let path = file.to_str().expect("a path of text");
    let piped = plimsoll(&["flows", "--from", path, "--output", "conntrack"]);
    assert_eq!(text(&piped.stdout), line);
    let shown = format!("{BINARY} flows --from {path} --output conntrack");
    let shown = run("script", &["-qec", &shown, "/dev/null"]);
    let _ = std::fs::remove_file(&file);
    assert!(shown.contains("secctx=a\u{fffd}[2Jb use=1") && !shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn a_namespace_with_a_hostile_or_a_long_name_is_found_by_it_and_shown_without_harm() {
    if !root() {
        return;
    }
    let _turn = turn();
    for name in ["red\u{1b}[31m", "a;reboot 'x'", &"long".repeat(30)] {
        let ns = Netns::new(name);
        let arguments = ["--netns", &ns.0, "--interval", "0.05"];
        let (value, _) = check(&arguments);
        assert_eq!(value["namespaces"][0]["owners"][0]["name"], ns.0.as_str());
        let screen = plimsoll(&[&["check"], &arguments[..]].concat());
        assert!(!screen.stdout.contains(&0x1b), "{}", text(&screen.stdout));
    }
}
