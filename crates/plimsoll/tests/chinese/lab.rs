//! `lab`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use std::time::{Duration, Instant};

use super::support::{self, BINARY, text};
use super::{is_chinese, left_over};

#[test]
fn the_lab_says_in_chinese_that_it_needs_root() {
    // Not where the program is built: nobody may not look there.
    let copy = std::env::temp_dir().join(format!("plimsoll-zh-lab-{}", std::process::id()));
    std::fs::copy(BINARY, &copy).expect("a copy that nobody may run");
    let mut command = Command::new(&copy);
    command.args(["lab", "--lang", "zh"]);
    if support::root() {
        command.uid(65_534).gid(65_534);
    }
    let out = command.output().expect("the binary starts");
    std::fs::remove_file(copy).expect("removed");
    let (story, why) = (text(&out.stdout), text(&out.stderr));
    assert_eq!(story, "\n1. 两个网络命名空间：有状态防火墙后面的一台服务器，和它的客户端\n");
    assert_eq!(why, "plimsoll lab: 演示要新建网络命名空间，这需要 root\n");
    assert_eq!(out.status.code(), Some(1));
}

/// The story, on a limit that is soon full. What else on this host leans on the limit is waited for.
fn story(lang: &str) -> String {
    let began = Instant::now();
    loop {
        let mut command = Command::new(BINARY);
        let told = command.args(["lab", "--max=3000", "--lang", lang]).output().expect("it starts");
        let why = text(&told.stderr);
        if told.status.success() {
            assert_eq!(why, "");
            return text(&told.stdout);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{}{why}", text(&told.stdout));
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The numbers of a line.
fn numbers(line: &str) -> Vec<u64> {
    let words = line.split(|c: char| !c.is_ascii_digit() && c != ',').map(|w| w.replace(',', ""));
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn the_lab_tells_its_whole_story_in_both_languages_and_leaves_nothing() {
    if !support::root() {
        return;
    }
    let _turn = support::turn();
    let limit = || std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max");
    let before = limit().expect("conntrack is there");
    let ours = || support::run("ip", &["netns", "list"]).matches("plimsoll-lab").count();
    let labs = ours();
    for (lang, entries, verdict, words) in [
        (
            "en",
            " entries   dropped ",
            "CRITICAL  ",
            ["# nft ", " SYNs sent in all", "The limit is "],
        ),
        ("zh", " 个条目   丢弃 ", "严重  ", ["# nft ", "，总共发出 ", "上限暂时是 "]),
    ] {
        let told = story(lang);
        assert_eq!(limit().expect("still there"), before, "{told}");
        assert_eq!(ours(), labs, "{told}");
        for (at, heading) in (1..=6).map(|n| (n, format!("\n{n}. "))) {
            assert_eq!(told.matches(&heading).count(), 1, "{at}: {told}");
        }
        assert!(words.iter().all(|words| told.contains(words)), "{told}");
        assert!(told.lines().any(|line| line.starts_with(verdict)), "{told}");
        // Entries, dropped, evicted, visitors served and lost; two seconds before it is full, three full, three cured.
        let seconds: Vec<_> =
            told.lines().filter(|line| line.contains(entries)).map(numbers).collect();
        assert_eq!(seconds.len(), 8, "{told}");
        assert!(seconds[..2].iter().all(|s| s[0] < 3000 && s[1] == 0 && s[4] == 0), "{told}");
        assert!(seconds[4][0] > 2900 && seconds[4][1] > 0 && seconds[4][4] > 0, "{told}");
        assert!(seconds[7][1] == 0 && seconds[7][3] > 0 && seconds[7][4] == 0, "{told}");
        for line in told.lines().filter(|line| lang == "zh" && !line.contains("plimsoll-")) {
            assert!(left_over(line).is_empty() || line.trim().starts_with("# "), "{line}");
        }
        assert_eq!(is_chinese(&told), lang == "zh", "{told}");
    }
}
