//! `plimsoll check`, `boot`, `fix`, `replay`, `size`, `flows`, `top` and `lab` in Chinese: when, and that nothing is left in English.

mod command_line;
mod flows;
mod lab;
mod replay;
#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use support::{BINARY, Copy, NOBODY, repository, root, text};

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
                && pair[0] != "plimsoll"
                && both != "Linux cooked"
            {
                found.push(format!("{both}: {line}"));
            }
        }
    }
    found
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
fn what_nobody_may_do_is_said_in_chinese_and_names_a_right_once() {
    if !root() {
        return;
    }
    let copy = Copy::new("zh-nobody");
    let told = |arguments: &str| {
        let out = copy.shell(&format!("timeout 3 {NOBODY} {{}} {arguments} --lang zh --width=240"));
        [text(&out.stdout), text(&out.stderr)].concat()
    };
    let check = told("check --interval 0.2");
    assert!(check.contains("没有看到") && check.contains("需要："), "{check}");
    let log = check.lines().find(|line| line.contains("内核日志：没有权限"));
    assert!(log.is_none_or(|log| log.matches("需要：").count() == 1), "{check}");
    let watch = told("boot --watch nf_conntrack_max");
    assert!(watch.contains("加载 BPF 程序失败，BPF 库的原话：map error: "), "{watch}");
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
