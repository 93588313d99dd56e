//! `plimsoll flows --watch` end to end: beside `conntrack -E`, and where events are lost.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use support::{BINARY, Netns, Running, root, turn, until};

/// A namespace that tracks what comes in.
fn tracked(name: &str) -> Netns {
    let namespace = Netns::new(name);
    namespace.run("nft", &["add table inet t; add chain inet t c { type filter hook input priority 0; }; \
        add rule inet t c ct state new counter; add chain inet t p { type filter hook prerouting priority 0; }; \
        add rule inet t p udp dport 777 ct mark set 5"]);
    // No entry ends by itself meanwhile.
    namespace.run("sysctl", &["-qw", "net.netfilter.nf_conntrack_udp_timeout=600"]);
    namespace
}

/// A program inside whose lines are read as they come.
struct Inside {
    program: Running,
    lines: Receiver<String>,
    seen: String,
}

impl Inside {
    /// Starts it, and waits until so many sockets listen to conntrack's events there.
    fn listening(namespace: &Netns, command: &[&str], sockets: usize) -> Self {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &namespace.0])
            // Into a pipe the other tool would write by blocks.
            .args(["stdbuf", "-oL"])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ip starts");
        let pipe = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        // Ends with the program, or with the test.
        std::thread::spawn(move || {
            pipe.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        until("the listeners", || {
            let table = namespace.run("cat", &["/proc/net/netlink"]);
            let rows = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
            let listens = |row: &Vec<&str>| {
                row.get(1) == Some(&"12") && row.get(3).is_some_and(|g| g.ends_with('7'))
            };
            rows.filter(listens).count() == sockets
        });
        Self { program: Running(child), lines, seen: String::new() }
    }

    /// Reads its lines until one of them is the one.
    fn until(&mut self, mut last: impl FnMut(&str) -> bool) {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(120));
            let line = line.unwrap_or_else(|e| panic!("{e}, behind\n{}", self.seen));
            self.seen += &line;
            self.seen.push('\n');
            if last(&line) {
                return;
            }
        }
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child is ours and was not waited for, so its number is still its own.
        assert_eq!(unsafe { libc::kill(self.program.0.id() as libc::pid_t, signal) }, 0);
    }

    /// What it has printed and what it has said when it has ended by itself.
    fn ended(mut self) -> (String, String) {
        self.seen.extend(self.lines.iter().map(|line| line + "\n"));
        let mut said = String::new();
        let talk = self.program.0.stderr.as_mut().expect("a pipe");
        talk.read_to_string(&mut said).expect("UTF-8");
        (self.seen, said)
    }

    fn finish(self) -> (String, String) {
        self.signal(libc::SIGINT);
        self.ended()
    }
}

const TRAFFIC: &str = "import socket\n\
    u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); u.sendto(b'x',('127.0.0.1',777))\n\
    l=socket.socket(); l.bind(('127.0.0.1',8080)); l.listen()\n\
    c=socket.create_connection(('127.0.0.1',8080)); a,_=l.accept(); c.send(b'x'); a.recv(1); c.close(); a.close()\n\
    v=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); v.sendto(b'x',('::1',778))\n";

#[test]
fn events_are_the_same_to_the_byte_as_those_of_conntrack() {
    if !root() {
        return;
    }
    let _turn = turn();
    for form in ["conntrack", "extended,id", "xml"] {
        let namespace = tracked("watch");
        let options: &[&str] = if form == "conntrack" { &[] } else { &["-o", form] };
        let theirs = [&["conntrack", "-E"], options].concat();
        let mut theirs = Inside::listening(&namespace, &theirs, 1);
        let ours = [BINARY, "flows", "--watch", "-o", form];
        let mut ours = Inside::listening(&namespace, &ours, 2);
        namespace.run("python3", &["-c", TRAFFIC]);
        // Something that both see last.
        namespace.send_udp("127.0.0.1", 999, 1);
        theirs.until(|line| line.contains("999"));
        ours.until(|line| line.contains("999"));
        let ((expected, _), (seen, said)) = (theirs.finish(), ours.finish());
        assert!(expected.contains("999") && expected.lines().count() >= 9, "{expected}");
        assert_eq!(seen, expected, "-o {form}: {said}");
        assert!(said.contains("128 bytes larger"), "{said}");
    }
}

#[test]
fn a_filter_is_applied_to_events_and_limit_ends_the_watch() {
    if !root() {
        return;
    }
    let _turn = turn();
    let namespace = tracked("wfilter");
    let ours = [BINARY, "flows", "--watch", "--limit", "2", "--json", "mark 5"];
    let ours = Inside::listening(&namespace, &ours, 1);
    namespace.run("python3", &["-c", TRAFFIC]);
    // The end of it, which another program brings about.
    namespace.run("conntrack", &["-D", "-p", "udp"]);
    let (out, said) = ours.ended();
    let events: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let words: Vec<&str> = events.iter().map(|e| e["event"].as_str().expect("a word")).collect();
    assert_eq!(words, ["update", "destroy"], "{out}");
    assert!(events.iter().all(|event| event["dport"] == 777 && event["reread"] == false), "{out}");
    assert!(said.contains("2 events shown"), "{said}");
    let one = [BINARY, "flows", "--watch", "--limit", "1"];
    let one = Inside::listening(&namespace, &one, 1);
    namespace.send_udp("127.0.0.1", 7000, 3);
    let (_, said) = one.ended();
    assert!(said.contains("1 event shown"), "{said}");
}

#[test]
fn lost_events_are_counted_and_made_good_by_reading_the_table_again() {
    if !root() {
        return;
    }
    let _turn = turn();
    let namespace = tracked("wloss");
    let start = |port| namespace.send_udp("127.0.0.1", port, 100);
    // Known before; half of it will end while nobody looks.
    start(10_000);
    let ours = [BINARY, "flows", "--watch", "--buffer", "4096", "--json"];
    let mut ours = Inside::listening(&namespace, &ours, 1);
    // One that it shows, so that the reading at the beginning is over.
    start(11_000);
    ours.until(|line| line.contains("\"dport\":11099,"));
    ours.signal(libc::SIGSTOP);
    for port in 20_000..20_010 {
        namespace.send_udp("127.0.0.1", port * 3 % 40_000 + 12_000, 100);
    }
    for port in 10_000..10_050 {
        namespace.run("conntrack", &["-D", "-p", "udp", "--dport", &port.to_string()]);
    }
    ours.signal(libc::SIGCONT);
    let id = |line: &str| line.rsplit_once(" id=").and_then(|(_, id)| id.trim().parse().ok());
    let listing = namespace.run("conntrack", &["-L", "-o", "id"]);
    let table: BTreeSet<u64> = listing.lines().filter_map(id).collect();
    let mut alive: BTreeSet<u64> = BTreeSet::new();
    let (mut reread, mut ended) = (0, 0);
    let mut follow = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let id = event["id"].as_u64().expect("an id");
        reread += u64::from(event["reread"] == true);
        match event["event"].as_str() {
            Some("new") => assert!(alive.insert(id), "twice new: {line}"),
            Some("destroy") => {
                ended += 1;
                alive.remove(&id);
            }
            _ => {}
        }
        // Fifty of those that were there before ended, and fifty still are.
        ended == 50 && alive.len() + 50 == table.len() && alive.is_subset(&table)
    };
    ours.seen.lines().for_each(|line| _ = follow(line));
    let before = ours.seen.len();
    ours.until(&mut follow);
    let followed = ours.seen.len();
    let (out, said) = ours.finish();
    assert!(before < followed && followed == out.len(), "and nothing more: {}", &out[followed..]);
    assert!(reread > 0, "{said}");
    assert!(said.contains(" too slow: the kernel dropped"), "{said}");
}
