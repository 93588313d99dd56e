//! `plimsoll top` driven for real, in a terminal (tmux): what is on the screen, what keys do, and that the terminal comes
//! back whatever happens.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::{BINARY, Netns, plimsoll, root, run, skipped, text};

/// A condition that must come true.
const BOUND: Duration = Duration::from_secs(90);

/// A terminal with a shell in it.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// In a namespace, of so many columns and rows.
    fn open(name: &str, namespace: &Netns, size: (u16, u16)) -> Self {
        let terminal = Self { socket: format!("plimsoll-test-{}-{name}", std::process::id()) };
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        // A shell whose prompt tells that it is back.
        let shell = format!(
            "ip netns exec {} env -i PATH=\"$PATH\" LANG=C.UTF-8 TERM=screen PS1='ready> ' sh",
            namespace.0
        );
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            &rows,
            &shell,
        ]);
        terminal.wait("a prompt", |screen| screen.contains("ready>"));
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut all = vec!["-L", self.socket.as_str()];
        all.extend(arguments);
        run("tmux", &all)
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Types words and Enter.
    fn command(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        self.key("Enter");
    }

    fn key(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.screen();
            if holds(&screen) {
                return screen;
            }
            assert!(start.elapsed() < BOUND, "never came: {what}\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What tmux knows of the terminal: the second screen, the mouse, the cursor.
    fn modes(&self) -> String {
        self.tmux(&[
            "display-message",
            "-p",
            "alternate #{alternate_on} mouse #{mouse_any_flag} cursor #{cursor_flag}",
        ])
    }

    /// How the terminal treats what is typed.
    fn settings(&self) -> String {
        let tty = self.tmux(&["display-message", "-p", "#{pane_tty}"]);
        run("stty", &["-F", tty.trim(), "-a"])
    }

    /// The process that draws.
    fn top(&self) -> u32 {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let children = run("ps", &["-o", "pid=,args=", "--ppid", shell.trim()]);
        let line = children.lines().find(|line| line.contains(" top")).expect("top runs");
        line.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a process id")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).status();
    }
}

fn able() -> bool {
    let tmux = Command::new("tmux").arg("-V").output().is_ok_and(|out| out.status.success());
    if !tmux {
        skipped("needs tmux");
    }
    tmux && root()
}

/// A namespace that tracks: 40 flows to port 53, 20 to 30 others.
fn filled(name: &str) -> Netns {
    let namespace = Netns::new(name);
    namespace.run("nft", &["add", "table", "inet", "t"]);
    let chain = "{ type filter hook input priority 0; }";
    namespace.run("nft", &["add", "chain", "inet", "t", "in", chain]);
    namespace.run("nft", &["add", "rule", "inet", "t", "in", "ct", "state", "new", "counter"]);
    // Nothing expires while the test looks.
    for key in ["udp_timeout", "udp_timeout_stream", "icmp_timeout"] {
        namespace.run("sysctl", &["-qw", &format!("net.netfilter.nf_conntrack_{key}=3000")]);
    }
    let script = "import socket\nfor p in range(40000,40040):\n  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n  \
                  s.bind(('127.0.0.1',p))\n  s.sendto(b'x',('127.0.0.2',53))\n";
    namespace.run("python3", &["-c", script]);
    namespace.send_udp("127.0.0.3", 3000, 20);
    namespace
}

#[test]
fn keys_lead_into_the_table_and_back_and_the_terminal_is_as_it_was() {
    if !able() {
        return;
    }
    let namespace = filled("top-keys");
    let terminal = Terminal::open("keys", &namespace, (80, 24));
    let (before, modes) = (terminal.settings(), terminal.modes());
    terminal.command(&format!("{BINARY} top --by service --reader netlink"));
    let screen = terminal.wait("the groups", |screen| screen.contains("21, 60 entries"));
    assert!(screen.contains("60 / "), "{screen}");
    assert!(screen.contains("evictable 60"), "{screen}");
    assert!(screen.contains("by netlink"), "{screen}");
    let first = screen.lines().find(|line| line.starts_with("> ")).expect("a chosen group");
    assert!(first.contains("40   67 %  53/udp"), "{screen}");
    assert_ne!(terminal.settings(), before);
    assert_ne!(terminal.modes(), modes);

    // Into the group: its filter, and by what it can be told apart.
    terminal.key("Enter");
    let screen = terminal.wait("the group", |screen| screen.contains("IF udp and dport 53"));
    assert!(screen.contains("BY state,service"), "{screen}");
    terminal.key("4");
    terminal.wait("sources", |screen| screen.contains("BY src ") && screen.contains("127.0.0.1 "));
    // A mistake has its place shown; mended, it applies.
    terminal.key("/");
    terminal.tmux(&["send-keys", "-l", " and sprot 40000-40009"]);
    terminal.key("Enter");
    terminal.wait("a caret", |screen| {
        screen.contains("^^^^^ did you mean \"sport\"?")
            && screen.contains("/ udp and dport 53 and sprot")
    });
    for _ in 0.."rot 40000-40009".len() {
        terminal.key("BSpace");
    }
    terminal.tmux(&["send-keys", "-l", "ort 40000-40009"]);
    terminal.key("Enter");
    terminal.wait("ten of them", |screen| screen.contains("1 of 1, 10 entries"));
    terminal.key("Escape");
    terminal.wait("forty", |screen| screen.contains("40 entries"));
    terminal.key("Escape");
    terminal
        .wait("all", |screen| screen.contains("21, 60 entries") && screen.contains("BY service"));

    // What comes meanwhile is seen, and a pause hides it.
    namespace.send_udp("127.0.0.3", 3020, 5);
    terminal.wait("more", |screen| screen.contains("26, 65 entries"));
    terminal.key("p");
    terminal.wait("a pause", |screen| screen.contains("PAUSED"));
    namespace.send_udp("127.0.0.3", 3025, 5);
    // It grows; a busy machine may let more seconds pass between two looks.
    terminal.wait("its age", |screen| {
        let age = screen.split_once("PAUSED, ").and_then(|(_, age)| age.split_once(" s ago"));
        age.is_some_and(|(age, _)| age.contains("min") || age.parse().is_ok_and(|s: u32| s >= 3))
    });
    assert!(terminal.screen().contains("26, 65 entries"));
    for _ in 0..60 {
        terminal.key("[");
    }
    terminal.wait("the past", |screen| screen.contains("21, 60 entries"));
    terminal.key("l");
    terminal.wait("now", |screen| screen.contains("31, 70 entries"));

    terminal.key("?");
    terminal.wait("help", |screen| screen.contains("KEYS") && screen.contains("Shift-Tab"));
    terminal.key("x");
    terminal.key("f");
    terminal.wait("findings", |screen| screen.starts_with("FINDINGS"));
    terminal.key("Escape");
    terminal.key("n");
    let name = namespace.0.clone();
    terminal.wait("namespaces", |screen| screen.contains(&format!("70  ip netns {name}")));
    terminal.key("Escape");

    terminal.key("q");
    terminal.wait("the shell", |screen| {
        screen.trim_end().ends_with("ready>") && screen.contains("--reader netlink")
    });
    assert_eq!(terminal.settings(), before);
    assert_eq!(terminal.modes(), modes);
}

#[test]
fn whatever_ends_it_the_terminal_comes_back() {
    if !able() {
        return;
    }
    let namespace = filled("top-ends");
    let terminal = Terminal::open("ends", &namespace, (80, 24));
    let (before, modes) = (terminal.settings(), terminal.modes());
    for (signal, status) in
        [("TERM", 143), ("HUP", 129), ("INT", 130), ("QUIT", 131), ("KILL", 137)]
    {
        terminal.command(&format!("clear; {BINARY} top; s=$?"));
        terminal.wait("groups", |screen| screen.contains("60 entries"));
        assert_ne!(terminal.modes(), modes);
        run("kill", &["-s", signal, &terminal.top().to_string()]);
        // A killed one is cleaned up after by its guard, which may come a moment after the shell.
        terminal.wait(signal, |_| terminal.modes() == modes && terminal.settings() == before);
        terminal.command("echo ended with $s");
        terminal.wait(signal, |screen| screen.contains(&format!("ended with {status}")));
    }
    // Stopped, and gone on with.
    terminal.command(&format!("clear; {BINARY} top"));
    terminal.wait("groups", |screen| screen.contains("60 entries"));
    terminal.key("C-z");
    terminal.wait("a shell", |screen| screen.contains("Stopped") || screen.contains("Suspended"));
    terminal.wait("the terminal", |_| terminal.modes() == modes && terminal.settings() == before);
    terminal.command("fg");
    terminal.wait("groups again", |screen| screen.contains("60 entries"));
    // Stopped by another process.
    let top = terminal.top().to_string();
    run("kill", &["-s", "TSTP", &top]);
    terminal.wait("a shell", |_| run("ps", &["-o", "stat=", "-p", &top]).starts_with('T'));
    assert_eq!(terminal.modes(), modes);
    terminal.command("fg");
    terminal.wait("groups again", |screen| {
        screen.starts_with("plimsoll top") && screen.contains("q quit")
    });
    terminal.key("q");
    terminal.wait("the end", |_| terminal.modes() == modes && terminal.settings() == before);
}

#[test]
fn nobody_sees_the_load_and_which_right_is_missing_and_all_see_without_colour_or_mouse() {
    if !able() {
        return;
    }
    let namespace = filled("top-nobody");
    let terminal = Terminal::open("nobody", &namespace, (80, 24));
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    terminal.command(&format!("clear; {nobody} {BINARY} top"));
    let screen = terminal.wait("what is missing", |screen| screen.contains("can't be read"));
    assert!(screen.contains("60 / ") && screen.contains("missing: root"), "{screen}");
    terminal.key("q");
    terminal.wait("the shell", |screen| screen.contains("ready>"));
    terminal.command(&format!("clear; NO_COLOR=1 {BINARY} top --no-mouse --ascii"));
    let screen = terminal.wait("groups", |screen| screen.contains("60 entries"));
    assert!(screen.is_ascii(), "{screen}");
    assert!(terminal.modes().contains("alternate 1 mouse 0"), "{}", terminal.modes());
    let coloured = terminal.tmux(&["capture-pane", "-p", "-e"]);
    // 39 is the terminal's own colour.
    for colour in ["[31m", "[32m", "[33m", "[35m", "[36m", "[94m"] {
        assert!(!coloured.contains(colour), "{coloured:?}");
    }
    terminal.key("q");
}

#[test]
fn it_follows_the_size_of_the_terminal_and_what_the_terminal_can_show() {
    if !able() {
        return;
    }
    let namespace = filled("top-sizes");
    let terminal = Terminal::open("sizes", &namespace, (80, 24));
    for (environment, ascii, speaks) in
        [("LANG=C", true, "q quit"), ("LANG=zh_CN.UTF-8 TERM=linux", false, "q 退出")]
    {
        terminal.command(&format!("clear; env {environment} {BINARY} top"));
        for (columns, rows) in [("60", "15"), ("200", "60"), ("80", "24")] {
            terminal.tmux(&["resize-window", "-x", columns, "-y", rows]);
            let screen = terminal.wait("the size", |screen| {
                let whole = screen.lines().count().to_string() == rows;
                let last = screen.lines().last().is_some_and(|line| line.ends_with(speaks));
                // What is said at the right stands at the right.
                let first = screen.lines().next().unwrap_or_default();
                let wide = first.chars().map(|c| 1 + usize::from(c >= '\u{2e80}')).sum::<usize>();
                whole && last && columns == wide.to_string() && screen.contains("60 ")
            });
            assert_eq!(screen.is_ascii(), ascii, "{screen}");
        }
        terminal.key("q");
        terminal.wait("the shell", |screen| screen.trim_end().ends_with("ready>"));
    }
    terminal.command(&format!("clear; TERM=dumb {BINARY} top"));
    terminal.wait("a way out", |screen| screen.contains("plimsoll flows --by state,service"));
}

#[test]
fn without_a_terminal_or_with_a_wrong_question_it_says_what_to_do() {
    let out = plimsoll(&["top"]);
    assert_eq!(out.status.code(), Some(1));
    let said = text(&out.stderr);
    assert!(said.contains("needs a terminal") && said.contains("plimsoll flows --by"), "{said}");
    let out = plimsoll(&["top", "dprt 80"]);
    assert_eq!(out.status.code(), Some(64));
    let said = text(&out.stderr);
    assert!(said.contains("^^^^ did you mean \"dport\"?"), "{said}");
    let out = plimsoll(&["top", "--by", "sorce"]);
    assert_eq!(out.status.code(), Some(64));
    let out = plimsoll(&["top", "--netns", "no such place"]);
    assert_eq!(out.status.code(), Some(64));
    let said = text(&out.stderr);
    assert!(said.contains("no network namespace answers to \"no such place\""), "{said}");
}

#[test]
fn a_long_interval_is_told_on_a_terminal_while_it_lasts() {
    if !root() || !able() {
        return;
    }
    let namespace = Netns::new("interval");
    let terminal = Terminal::open("interval", &namespace, (80, 24));
    for command in ["check --netns own", "size --netns own"] {
        terminal.command(&format!("clear; {BINARY} {command} --interval 3 > /dev/null"));
        terminal.wait("the measuring", |screen| screen.contains("measuring rates over 3 s"));
        let after = terminal.wait("the end", |screen| screen.trim().ends_with("ready>"));
        assert_eq!(after.trim(), "ready>", "{command}");
    }
}
