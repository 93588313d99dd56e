//! `plimsoll check`, `boot`, `fix`, `replay`, `size`, `flows`, `top` and `lab` in Chinese: when, and that nothing is left in English.

mod support;

use std::os::unix::process::CommandExt;
use std::process::Command;

use support::{BINARY, repository, text};

/// A small table is looked through sooner.
const FEW: &str = "--set=buckets=512";
const MADE: &str = "rate=10/s lifetime=exp:5s seed=1 for=30s";

/// Standard output and error, in a locale.
fn told(locale: &str, arguments: &[&str]) -> (String, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_remove("LANGUAGE").env_remove("LANG").env("LC_ALL", locale);
    let out = command.output().expect("the binary starts");
    (text(&out.stdout), text(&out.stderr))
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

/// English left between Chinese: two words of it side by side that are no name.
fn left_over(text: &str) -> Vec<String> {
    const NAMES: [&str; 4] = ["plimsoll replay", "plimsoll fix", "plimsoll check", "Linux cooked"];
    let mut found = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(|c: char| !c.is_ascii_alphabetic()).collect();
        for pair in words.windows(2) {
            let both = format!("{} {}", pair[0], pair[1]);
            let is_word =
                |w: &str| w.len() > 2 && w.chars().skip(1).all(|c| c.is_ascii_lowercase());
            if pair.iter().all(|w| is_word(w))
                && line.contains(&both)
                && !line.starts_with("plimsoll ")
                && !NAMES.contains(&both.as_str())
            {
                found.push(format!("{both}: {line}"));
            }
        }
    }
    found
}

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
    assert!(all.starts_with("CT001  table-full               表已满，正在丢包\n"), "{all}");
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

/// Words of Latin letters that stand in what `check` and `boot` say in Chinese of the hosts in fixtures: programs, names of the
/// kernel and of nftables, what is typed; then names of those hosts; then what their logs and rules say.
const NAMES: &str = "\
    sysctl plimsoll conntrack explain fix raise persist timeout bypass lifeline shed limit unload none-needed root shell \
    commands docker exec tcp udp iptables nft hashsize firewalld ufw tuned keepalive helper peer saddr role client forward \
    adm list ruleset filter nat raw input state counter established related accept yes conn netns kernel \
    new drop found invalid insert ignore delete searched clashres chainlength entries Linux \
    guest shop site \
    table full dropping packet comment service traffic requiring such file directory \
    systemd udev tuned unloads overridden duplicate ratio echo install modprobe options same acct tstamp max conf \
    confirm undo buckets idle oldest state port protocol source unreplied generic stream replied loose close server client forward meminfo sockstat";

/// How a line begins that is to be typed.
const TYPED: [&str; 16] = [
    "nft ",
    "iptables",
    "ip6tables",
    "conntrack ",
    "sysctl ",
    "plimsoll ",
    "sed ",
    "echo ",
    "grep ",
    "printf ",
    "modprobe ",
    "ls ",
    "nsenter ",
    "ip netns ",
    "# iptables ",
    "# nft ",
];

/// What of a screen is neither Chinese nor a name: words of letters alone, not part of a path or a key.
fn not_chinese(screen: &str) -> Vec<String> {
    let names: Vec<&str> = NAMES.split_whitespace().collect();
    let inside = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%'\"*<>{}\\".contains(c);
    let mut found = Vec::new();
    for line in screen.lines() {
        if !is_chinese(line) && TYPED.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        // What stands in backquotes is typed.
        let outside = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        let words = outside.split(|c| !inside(c)).map(|word| word.trim_matches([':', '.', '-']));
        for word in words {
            let is_word = word.len() > 2
                && word.chars().all(|c| c.is_ascii_alphabetic())
                && word.chars().skip(1).all(|c| c.is_ascii_lowercase());
            if is_word && !names.contains(&word) {
                found.push(format!("{word}: {line}"));
            }
        }
    }
    found
}

#[test]
fn check_says_every_sentence_about_every_saved_host_in_chinese() {
    let mut hosts = Vec::new();
    for (flag, folder) in [("--root", "fixtures/trees"), ("--bundle", "fixtures/bundles")] {
        for entry in std::fs::read_dir(repository(folder)).expect("fixtures") {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() || name.contains(".tar.") {
                hosts.push([flag.to_owned(), name]);
            }
        }
    }
    assert!(hosts.len() > 17, "{hosts:?}");
    for [flag, path] in &hosts {
        for how in [&["-v", "--commands"][..], &["-v"], &[]] {
            let arguments = [&["check", flag, path, "--utc", "--width=240"], how].concat();
            let english = told("C.UTF-8", &arguments).0;
            assert!(!is_chinese(&english), "{english}");
            let (chinese, said) = told("C", &[&arguments[..], &["--lang", "zh"]].concat());
            assert_eq!(not_chinese(&chinese), Vec::<String>::new(), "{path} {how:?}: {chinese}");
            assert_eq!(said, "", "{path}");
        }
    }
}

#[test]
fn boot_says_every_sentence_about_every_saved_host_in_chinese() {
    let cases = [("fixtures/trees", ""), ("fixtures/boot", "tree")];
    let mut hosts = Vec::new();
    for (folder, below) in cases {
        let entries = std::fs::read_dir(repository(folder)).expect("fixtures");
        hosts.extend(entries.map(|entry| entry.expect("an entry").path().join(below)));
    }
    hosts.retain(|path| path.is_dir());
    assert!(hosts.len() > 25, "{hosts:?}");
    for path in &hosts {
        let path = path.to_string_lossy();
        for how in [&["-v"][..], &["-v", "--width=240"], &["nf_conntrack_max"]] {
            let arguments = [&["boot", "--root", &path], how].concat();
            let english = told("C.UTF-8", &arguments);
            assert!(!is_chinese(&english.0), "{}", english.0);
            let chinese = told("C", &[&arguments[..], &["--lang", "zh"]].concat());
            assert_eq!(not_chinese(&chinese.0), Vec::<String>::new(), "{path}: {}", chinese.0);
        }
        let json = ["boot", "--root", &path, "--json"];
        assert_eq!(told("zh_CN.UTF-8", &json), told("C", &json));
    }
    let tree = repository("fixtures/boot/ratio/tree").to_string_lossy().into_owned();
    let boot = ["boot", "--root", &tree];
    let chinese = told("C", &[&boot[..], &["--lang", "zh"]].concat());
    assert_eq!(told("zh_CN.UTF-8", &boot), chinese);
    assert_eq!(told("zh_CN.GBK", &boot), told("C", &boot));
    for arguments in [["nf_conntrack_maxx"], ["--watch=nf_conntrack_maxx"]] {
        let said = told("C", &[&["boot", "--lang", "zh"], &arguments[..]].concat()).1;
        assert_eq!(not_chinese(&said), Vec::<String>::new(), "{said}");
        assert!(said.contains("本内核的连接跟踪没有这个设置"), "{said}");
    }
}

#[test]
fn fix_plans_does_and_takes_back_in_chinese() {
    let home = std::env::temp_dir().join(format!("plimsoll-zh-fix-{}", std::process::id()));
    let (root, state) = (home.join("root"), home.join("state"));
    std::fs::create_dir_all(&home).expect("a directory");
    let tree = repository("fixtures/boot/lost-module-later/tree");
    let copied = Command::new("cp").arg("-r").args([&tree, &root]).status().expect("cp runs");
    assert!(copied.success());
    let [root, state] = [root, state].map(|path| path.to_string_lossy().into_owned());
    let settings = format!("{root}/proc/sys/net/netfilter");
    std::fs::create_dir_all(&settings).expect("a directory");
    std::fs::write(format!("{settings}/nf_conntrack_max"), "4711\n").expect("written");
    let persist = ["fix", "persist", "nf_conntrack_max", "--root", &root];
    let steps: [(&[&str], &str); 8] = [
        (&[&persist[..], &["--dry-run"]].concat(), "persist：让 nf_conntrack_max = 4711 "),
        (&persist, "这里没有人可问：--yes 直接执行，--dry-run 只显示"),
        (&[&persist[..], &["--yes", "--confirm=60s"]].concat(), "事务 1 将在 60 秒后自动还原"),
        (&["fix", "--list"], "在等 `plimsoll confirm`，还剩 "),
        (&["confirm"], "事务 1 保留：persist：写入 /etc/modules-load.d/plimsoll.conf"),
        (&["undo"], "事务 1 已撤销：persist：写入 /etc/modules-load.d/plimsoll.conf"),
        (&["fix", "--list"], "已撤销（应请求）"),
        (&["undo"], "plimsoll: 没有可以撤销的"),
    ];
    for (arguments, expected) in steps {
        let with = [arguments, &["--state-dir", &state, "--lang", "zh"]].concat();
        let (out, said) = told("C", &with);
        assert!(format!("{out}{said}").contains(expected), "{arguments:?}: {out}{said}");
        // What is written into files is English whoever asks for it.
        let ours = |line: &&str| !line.starts_with("+ ");
        let all: Vec<&str> = out.lines().chain(said.lines()).filter(ours).collect();
        let left = not_chinese(&all.join("\n"));
        assert_eq!(left, Vec::<String>::new(), "{arguments:?}: {out}{said}");
    }
    // What a journal has in English is known again.
    let with = |arguments: &[&str]| {
        told("C", &[arguments, &["--state-dir", &state, "--lang", "zh"]].concat()).0
    };
    with(&[&persist[..], &["--yes"]].concat());
    std::fs::write(format!("{root}/etc/modules-load.d/plimsoll.conf"), "x\n").expect("written");
    with(&["undo", "--leave-changed"]);
    let list = with(&["fix", "--list"]);
    assert!(
        list.contains(
            "  部分撤销（应请求）\n      保持原样：/etc/modules-load.d/plimsoll.conf 的内容变了\n"
        ),
        "{list}"
    );
    let json = ["fix", "--list", "--json", "--state-dir", &state];
    assert_eq!(told("zh_CN.UTF-8", &json), told("C", &json));
    std::fs::remove_dir_all(home).expect("removed");
}

#[test]
fn every_remedy_is_planned_or_refused_in_chinese() {
    let state = format!("--state-dir=/tmp/plimsoll-zh-none-{}", std::process::id());
    let asked: [&[&str]; 12] = [
        &["raise"],
        &["raise", "--max=1000"],
        &["raise", "--max=4000000000", "--buckets=7"],
        &["timeout", "established=100", "udp_stream=20", "no_such=3", "time_wait=1"],
        &["timeout", "time_wait=50", "generic=5184000"],
        &["timeout", "--port=tcp/443", "replied=9"],
        &["shed", "--unreplied"],
        &["shed"],
        &["unload"],
        &["limit", "udp/53", "--synproxy"],
        &["bypass", "tcp/9"],
        &["lifeline", "--netns", "gone-long-ago"],
    ];
    for remedy in asked {
        let with = [&["fix"], remedy, &["--dry-run", &state, "--width=240", "--lang=zh"]].concat();
        let (out, said) = told("C", &with);
        assert!(is_chinese(&format!("{out}{said}")), "{remedy:?}: {out}{said}");
        assert_eq!(not_chinese(&format!("{out}{said}")), Vec::<String>::new(), "{remedy:?}");
    }
}

#[test]
fn what_check_could_not_read_is_said_in_chinese() {
    let root = std::env::temp_dir().join(format!("plimsoll-zh-bad-{}", std::process::id()));
    let bad = [
        "proc/meminfo",
        "proc/modules",
        "proc/net/netstat",
        "proc/net/sockstat",
        "proc/net/stat/nf_conntrack",
        "proc/sys/net/netfilter/nf_conntrack_max",
    ];
    for name in bad {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, "%% 0\n").expect("written");
    }
    let path = root.to_string_lossy();
    let (out, said) = told("C", &["check", "--root", &path, "-v", "--width=240", "--lang", "zh"]);
    assert_eq!(not_chinese(&format!("{out}{said}")), Vec::<String>::new(), "{out}{said}");
    for expected in
        ["/proc/meminfo：应为 `MemTotal: N kB` 一行，实为", "第 1 行：应为", "_max：应为数，实为"]
    {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    std::fs::remove_dir_all(root).expect("removed");
}

#[test]
fn check_speaks_by_locale_or_flag_and_what_programs_read_stays_english() {
    let tree = repository("fixtures/trees/centos5").to_string_lossy().into_owned();
    let check = ["check", "--root", &tree, "--utc"];
    let with = |more: &[&'static str]| [&check[..], more].concat();
    let chinese = told("zh_CN.UTF-8", &check).0;
    assert!(chinese.starts_with("严重  "), "{chinese}");
    let english = told("C.UTF-8", &check).0;
    assert!(english.starts_with("CRITICAL  "), "{english}");
    assert_eq!(told("zh_CN.UTF-8", &with(&["--lang", "en"])).0, english);
    assert_eq!(told("C", &with(&["--lang", "zh"])).0, chinese);
    // A terminal that can't show it gets English.
    for (locale, more) in [("zh_CN.GBK", &[][..]), ("zh_CN.UTF-8", &["--ascii"])] {
        let bare = told(locale, &with(more)).0;
        assert!(bare.is_ascii() && bare.starts_with("CRITICAL"), "{bare}");
    }
    for form in ["--json", "--nagios", "--npd"] {
        let asked = told("C", &with(&[form, "--lang", "zh"]));
        assert_eq!(asked, told("C", &with(&[form])), "{form}");
        assert_eq!(told("zh_CN.UTF-8", &with(&[form])), asked, "{form}");
    }
    // No line is wider than it may be; what is typed is never broken.
    for line in chinese.lines().filter(|line| is_chinese(line)) {
        let columns: usize = line.chars().map(|c| if c >= '\u{2e80}' { 2 } else { 1 }).sum();
        assert!(columns <= 80, "{columns}: {line}");
    }
    for (arguments, why) in [
        (["--root", "/proc/self/stat"], "plimsoll: /proc/self/stat：应为存放主机文件的目录\n"),
        (["--bundle", "/proc/self"], "plimsoll: /proc/self：应为归档文件\n"),
        (["--netns", "gone-long-ago"], "plimsoll: 没有这样的网络命名空间：\"gone-long-ago\"\n"),
    ] {
        let said =
            told("C", &[&["check", "--lang", "zh", "--interval=0.1"], &arguments[..]].concat());
        assert_eq!(said, (String::new(), why.to_owned()));
    }
}

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

#[test]
fn flows_speaks_chinese_and_what_programs_read_stays_english() {
    let listing = repository("fixtures/trees/centos5/proc/net/ip_conntrack");
    let listing = listing.to_string_lossy().into_owned();
    let flows = ["flows", "--from", &listing];
    let chinese = |more: &[&str]| told("C", &[&flows[..], more, &["--lang", "zh"]].concat());
    let (table, said) = chinese(&["--limit", "3"]);
    assert!(table.starts_with("协议   状态        来源                  目的     "), "{table}");
    assert_eq!(said, format!("plimsoll: 显示了 3 个条目，读自 {listing}\n"));
    let (table, said) = chinese(&["--by", "class,src/24", "--top", "2", "not process x or tcp"]);
    assert!(table.starts_with("条目数  占比  类别    来源/24 "), "{table}");
    assert!(table.contains(" 受保护  ") && table.contains("个条目（--top）\n"), "{table}");
    assert_eq!(not_chinese(&table.replace("--top", "")), Vec::<String>::new(), "{table}");
    assert!(said.contains("个无法判断，因为缺少：进程、单元、容器和 pod\n"), "{said}");
    assert_eq!(told("zh_CN.UTF-8", &flows), chinese(&[]));
    assert_eq!(told("zh_CN.GBK", &flows), told("C", &flows));
    for form in ["json", "csv", "conntrack", "extended,id", "xml", "proc"] {
        let asked = [&flows[..], &["-o", form]].concat();
        assert_eq!(told("zh_CN.UTF-8", &asked).0, told("C", &asked).0, "{form}");
    }
}

#[test]
fn what_is_wrong_with_a_filter_and_where_is_said_in_chinese() {
    let said = |arguments: &[&str]| {
        let all = [&["flows", "--lang", "zh", "--from", "/dev/null"], arguments].concat();
        told("C", &all).1
    };
    let typed = "\"dprot\"";
    assert_eq!(
        said(&["tcp dprot 443"]),
        format!(
            "plimsoll: 过滤器第 5 列：应为测试，实为 {typed}\n  tcp dprot 443\n      ^^^^^ 您是不是指 \"dport\"？\n"
        )
    );
    for wrong in [
        "tcp)",
        "(tcp",
        "(tcp x",
        "tcp and",
        "src x",
        "src",
        "sport 9-5",
        "dport nosuch",
        "dport",
        "proto nosuch",
        "state x",
        "direction x",
        "label x",
        "mark x",
        "mark > 5",
        "zone 70000",
        "type 999",
        "class x",
        "reply x",
        "idle x",
        "idle > x",
        "packets > x",
        "process",
        "process and",
        "tcp & udp",
        "process \"x",
        "dnat to x",
        "src or src",
        "class \"x\"",
    ] {
        let told = said(&[wrong]);
        let line = told.lines().next().unwrap_or_default();
        assert!(line.starts_with("plimsoll: 过滤器第 "), "{wrong}: {told}");
        let typed = |word: &String| word.starts_with("such") || word.starts_with("expected");
        assert!(!line.contains("not ") && !not_chinese(line).iter().any(typed), "{told}");
    }
    let top = told("C", &["top", "--lang", "zh", "tcp)"]);
    assert!(top.1.starts_with("plimsoll: 过滤器第 4 列：这个括号没有开头\n"), "{}", top.1);
    let top = told("zh_CN.UTF-8", &["top"]);
    assert!(top.1.starts_with("plimsoll: top 需要终端；"), "{}", top.1);
    for (wrong, why) in [
        ("state,state", "--by 第 7 列：这个键前面已经写过"),
        ("src/99", "--by 第 1 列：应为前缀，如 /24 或 /24:64（IPv4:IPv6）"),
        ("state/24", "只有地址可以截成前缀"),
        ("a", "应为其中之一：proto, family, "),
        ("src,dst,sport,dport,zone,mark,proto,age,idle", "键超过 8 个"),
    ] {
        let told = said(&["--by", wrong]);
        assert!(told.contains(why), "{wrong}: {told}");
    }
}

#[test]
fn a_command_line_that_is_wrong_is_told_in_chinese() {
    for (line, why) in [
        ("flows --lnag", "不认识的参数 '--lnag'\n\n  提示：您是不是指 '--lang'？\n\n用法："),
        ("undo 3 4", "不认识的参数 '4'\n\n用法："),
        ("chekc", "没有 'chekc' 这个命令\n\n  提示：您是不是指 'check'？\n\n用法："),
        ("boot --root", "'--root <DIR>' 后面缺少值\n"),
        ("flows --width 300", "'--width <COLUMNS>' 的值 '300' 不对：不在 60..=240 之内\n"),
        ("undo x", "'[ID]' 的值 'x' 不对：应为整数\n"),
        (
            "top --interval 0",
            "'--interval <SECONDS>' 的值 '0' 不对：应为 0.05 到 3600 之间的秒数\n",
        ),
        ("flows -o save,id", "save 不能与其他选项一起用，与 conntrack(8) 相同\n"),
        ("explain --lang fr", "'--lang <LANG>' 的值 'fr' 不对\n  [可选的值：en、zh]\n"),
        ("flows --top 3", "缺少必需的参数：\n  --by <KEYS>\n\n用法："),
        ("check --json --nagios", "'--json' 不能与 '--nagios' 一起用\n\n用法："),
        ("check --json --json", "'--json' 不能重复\n\n用法："),
        ("fix --llist", "'--llist'"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let said = told("zh_CN.UTF-8", &words).1;
        assert!(said.starts_with("错误：") && said.contains(why), "{line}: {said}");
        assert!(said.ends_with("\n更多信息见 '--help'。\n"), "{line}: {said}");
        let english = told("C.UTF-8", &words).1;
        assert!(english.starts_with("error: ") && !is_chinese(&english), "{line}: {english}");
        if !line.contains("--lang") {
            let flagged =
                |lang: &'static str| told("C", &[&["--lang", lang], &words[..]].concat()).1;
            assert!(is_chinese(&flagged("zh")) && !is_chinese(&flagged("en")), "{line}");
            assert_eq!(
                told("zh_CN.UTF-8", &[&words[..], &["--ascii"]].concat()).1.find("错误"),
                None,
                "{line}"
            );
        }
    }
}
