//! Each way to say what `shed` deletes: what is like that goes, and nothing else.

use crate::host::Host;
use crate::support::{Copy, NOBODY, root, text};

/// Entries by destination port: protocol, seconds left (of TCP's five days they tell how long it has been idle), state,
/// status, and more.
const ENTRIES: &[(&str, &str, &str, &str, &[&str])] = &[
    ("1", "tcp", "431990", "ESTABLISHED", &["-s", "10.1.0.1", "-u", "SEEN_REPLY,ASSURED"]),
    ("2", "tcp", "424800", "ESTABLISHED", &["-s", "10.1.0.1", "-u", "SEEN_REPLY,ASSURED"]),
    ("3", "tcp", "331000", "ESTABLISHED", &["-s", "10.1.0.2", "-u", "SEEN_REPLY,ASSURED"]),
    ("4", "tcp", "110", "TIME_WAIT", &["-s", "10.1.0.2", "-u", "SEEN_REPLY,ASSURED"]),
    ("5", "tcp", "100", "SYN_SENT", &["-s", "10.1.0.3"]),
    ("6", "udp", "600", "", &["-s", "10.2.0.1"]),
    ("7", "udp", "600", "", &["-s", "10.2.0.1", "-u", "SEEN_REPLY,ASSURED"]),
    // Its address is rewritten.
    (
        "8",
        "tcp",
        "331000",
        "ESTABLISHED",
        &["-s", "10.3.0.1", "-u", "SEEN_REPLY,ASSURED", "--dst-nat", "10.9.9.9"],
    ),
];

/// Words of `shed`, and the ports whose entries go.
const WAYS: &[(&[&str], &str)] = &[
    (&["--unreplied"], "5 6"),
    (&["--unreplied", "--protocol", "udp"], "6"),
    (&["--protocol", "udp"], "6 7"),
    (&["--port", "4"], "4"),
    (&["--state", "TIME_WAIT"], "4"),
    (&["--source", "10.1.0.2"], "3 4"),
    (&["--source", "10.1.0.0/24", "--unreplied"], "5"),
    (&["--idle", "1h"], "2 3"),
    (&["--idle", "10h"], "3"),
    (&["--idle", "10h", "--with-nat"], "3 8"),
    (&["--oldest", "1"], "3"),
    (&["--oldest", "2"], "2 3"),
];

fn fill(host: &Host) {
    host.netns.run("conntrack", &["-F"]);
    for (port, protocol, left, state, more) in ENTRIES {
        let mut words =
            vec!["-I", "-t", left, "-p", protocol, "-d", "10.8.0.1", "--sport", "40000"];
        words.extend(["--dport", port]);
        if !state.is_empty() {
            words.extend(["--state", state]);
        }
        words.extend(*more);
        host.netns.run("conntrack", &words);
    }
}

/// The ports that have an entry, in order.
fn ports(host: &Host) -> Vec<String> {
    let listed = host.netns.run("conntrack", &["-L"]);
    let port = |line: &str| Some(line.split("dport=").nth(1)?.split(' ').next()?.to_owned());
    let mut ports: Vec<String> = listed.lines().filter_map(port).collect();
    ports.sort();
    ports
}

#[test]
fn each_way_to_shed_takes_what_it_names_and_nothing_else() {
    if !root() {
        return;
    }
    let host = Host::new("shed").with_nft();
    for (words, going) in WAYS {
        fill(&host);
        let before = ports(&host);
        assert_eq!(before.len(), ENTRIES.len(), "{before:?}");
        let going: Vec<&str> = going.split(' ').collect();
        let shed = [&["fix", "shed"], *words].concat();
        let shown = host.ok(&[&shed[..], &["--dry-run"]].concat());
        let number = if going.len() == 1 { "1 entry" } else { &format!("{} entries", going.len()) };
        assert!(shown.contains(&format!("delete {number} (")), "{words:?}: {shown}");
        assert_eq!(ports(&host), before, "{words:?}: shown only");
        assert!(shown.contains("undo     not possible: what is deleted is gone"), "{shown}");
        host.ok(&[&shed[..], &["--yes", "--watch", "0"]].concat());
        let left: Vec<String> =
            before.into_iter().filter(|port| !going.contains(&port.as_str())).collect();
        assert_eq!(ports(&host), left, "{words:?}");
    }
}

#[test]
fn who_may_not_read_the_table_is_told_so_and_not_that_the_words_were_wrong() {
    if !root() {
        return;
    }
    let host = Host::new("unread").with_nft();
    fill(&host);
    let copy = Copy::new("unread");
    for words in ["--state ESTABLISHED", "--oldest 3"] {
        let inside = format!("ip netns exec {} {NOBODY} {{}} fix shed", host.netns.0);
        let out = copy.shell(&format!("{inside} {words} --dry-run"));
        let said = text(&out.stdout);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("the table could not be read"), "{said}");
    }
}
