//! `plimsoll flows --watch` end to end: beside `conntrack -E`, and where events are lost.

mod support;

use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{BINARY, Netns, root, turn};

/// A namespace that tracks what comes in.
fn tracked(name: &str) -> Netns {
    let namespace = Netns::new(name);
    namespace.run("nft", &["add table inet t; add chain inet t c { type filter hook input priority 0; }; \
        add rule inet t c ct state new counter; add chain inet t p { type filter hook prerouting priority 0; }; \
        add rule inet t p udp dport 777 ct mark set 5"]);
    namespace
}

/// A program inside whose standard output is kept.
struct Inside(Child);

impl Inside {
    fn start(namespace: &Netns, command: &[&str]) -> Self {
        let child = Command::new("ip")
            .args(["netns", "exec", &namespace.0])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ip starts");
        Self(child)
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child is ours and was not waited for, so its number is still its own.
        assert_eq!(unsafe { libc::kill(self.0.id() as libc::pid_t, signal) }, 0);
    }

    fn finish(mut self) -> (String, String) {
        self.signal(libc::SIGINT);
        let (mut out, mut err) = (String::new(), String::new());
        self.0.stdout.take().expect("a pipe").read_to_string(&mut out).expect("UTF-8");
        self.0.stderr.take().expect("a pipe").read_to_string(&mut err).expect("UTF-8");
        self.0.wait().expect("it ends");
        (out, err)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

/// Waits until so many sockets listen to conntrack's events.
fn wait_for_listeners(namespace: &Netns, count: usize) {
    for _ in 0..200 {
        let sockets = namespace.run("cat", &["/proc/net/netlink"]);
        let listening = sockets
            .lines()
            .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
            .filter(|words| {
                words.get(1) == Some(&"12") && words.get(3).is_some_and(|g| g.ends_with('7'))
            })
            .count();
        if listening == count {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("{count} programs never listened");
}

const TRAFFIC: &str = "import socket\n\
    u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); u.sendto(b'x',('127.0.0.1',777))\n\
    l=socket.socket(); l.bind(('127.0.0.1',8080)); l.listen()\n\
    c=socket.create_connection(('127.0.0.1',8080)); a,_=l.accept(); c.send(b'x'); a.recv(1); c.close(); a.close()\n\
    v=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM); v.sendto(b'x',('::1',778))\n";

#[test]
fn events_are_the_same_to_the_byte_as_those_of_conntrack() {
    if !root("flows --watch") {
        return;
    }
    let _turn = turn();
    for form in ["conntrack", "extended,id", "xml"] {
        let namespace = tracked("watch");
        let options: &[&str] = if form == "conntrack" { &[] } else { &["-o", form] };
        let theirs = Inside::start(&namespace, &[&["conntrack", "-E"], options].concat());
        let ours = Inside::start(&namespace, &[BINARY, "flows", "--watch", "-o", form]);
        wait_for_listeners(&namespace, 2);
        namespace.run("python3", &["-c", TRAFFIC]);
        // Something that both see last.
        namespace.run(
            "python3",
            &[
                "-c",
                "import socket\n\
            socket.socket(socket.AF_INET,socket.SOCK_DGRAM).sendto(b'x',('127.0.0.1',999))",
            ],
        );
        std::thread::sleep(Duration::from_millis(300));
        let ((expected, _), (seen, said)) = (theirs.finish(), ours.finish());
        assert!(expected.contains("999") && expected.lines().count() >= 9, "{expected}");
        assert_eq!(seen, expected, "-o {form}: {said}");
        assert!(said.contains("128 bytes larger"), "{said}");
    }
}

#[test]
fn a_filter_is_applied_to_events_and_limit_ends_the_watch() {
    if !root("flows --watch FILTER") {
        return;
    }
    let _turn = turn();
    let namespace = tracked("wfilter");
    let ours = Inside::start(
        &namespace,
        &[BINARY, "flows", "--watch", "--limit", "2", "--json", "mark 5"],
    );
    wait_for_listeners(&namespace, 1);
    namespace.run("python3", &["-c", TRAFFIC]);
    // The end of it, which another program brings about.
    namespace.run("conntrack", &["-D", "-p", "udp"]);
    let mut ours = ours;
    let mut out = String::new();
    ours.0.stdout.take().expect("a pipe").read_to_string(&mut out).expect("UTF-8");
    let events: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let words: Vec<&str> = events.iter().map(|e| e["event"].as_str().expect("a word")).collect();
    assert_eq!(words, ["update", "destroy"], "{out}");
    assert!(events.iter().all(|event| event["dport"] == 777 && event["reread"] == false), "{out}");
}

#[test]
fn lost_events_are_counted_and_made_good_by_reading_the_table_again() {
    if !root("flows --watch losses") {
        return;
    }
    let _turn = turn();
    let namespace = tracked("wloss");
    let start = |port| namespace.send_udp("127.0.0.1", port, 100);
    // Known before; half of it will end while nobody looks.
    start(10_000);
    let ours =
        Inside::start(&namespace, &[BINARY, "flows", "--watch", "--buffer", "4096", "--json"]);
    wait_for_listeners(&namespace, 1);
    // One that it shows, so that the reading at the beginning is over.
    start(11_000);
    std::thread::sleep(Duration::from_millis(500));
    ours.signal(libc::SIGSTOP);
    for port in 20_000..20_010 {
        namespace.send_udp("127.0.0.1", port * 3 % 40_000 + 12_000, 100);
    }
    for port in 10_000..10_050 {
        namespace.run("conntrack", &["-D", "-p", "udp", "--dport", &port.to_string()]);
    }
    ours.signal(libc::SIGCONT);
    std::thread::sleep(Duration::from_millis(1_500));
    let ids = |listing: &str| -> BTreeSet<u64> {
        let id = |line: &str| line.rsplit_once(" id=").and_then(|(_, id)| id.trim().parse().ok());
        listing.lines().filter_map(id).collect()
    };
    let table = ids(&namespace.run("conntrack", &["-L", "-o", "id"]));
    let (out, said) = ours.finish();
    let mut alive: BTreeSet<u64> = BTreeSet::new();
    let mut reread = 0;
    let mut ended = 0;
    for line in out.lines() {
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
    }
    // The first hundred was there before; fifty of them ended.
    assert_eq!(ended, 50, "{said}");
    assert!(alive.is_subset(&table), "shown as alive, but gone");
    assert_eq!(table.len() - alive.len(), 50, "those that were there before, and still are");
    assert!(reread > 0, "{said}");
    assert!(said.contains("times too slow: the kernel dropped"), "{said}");
}
