//! What the tests of the lab share.
#![allow(dead_code, clippy::unwrap_used)]

use plimsoll_lab::{Lab, Namespace};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Whether the test can run; says so if not.
pub fn root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let root =
        status.lines().any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0"));
    if !root {
        eprintln!("skipped: namespaces need root");
    }
    root
}

/// Waits until something holds, and fails with its name if it never does.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "never seen: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What stands in the table of a namespace: lines counted by protocol, state and flags.
pub fn census(namespace: &Namespace) -> BTreeMap<String, usize> {
    let table = namespace
        .run(|| std::fs::read_to_string("/proc/thread-self/net/nf_conntrack"))
        .unwrap()
        .expect("this kernel shows its table in /proc");
    let mut census = BTreeMap::new();
    for line in table.lines() {
        let mut words = line.split_whitespace().skip(2);
        let protocol = words.next().unwrap();
        let state =
            words.find(|w| w.parse::<u64>().is_err()).filter(|w| !w.contains('=')).unwrap_or("-");
        let flags: Vec<&str> =
            ["[UNREPLIED]", "[ASSURED]"].into_iter().filter(|f| line.contains(f)).collect();
        *census.entry(format!("{protocol} {state} {}", flags.join(" "))).or_insert(0) += 1;
    }
    census
}

/// The names that a lab has given.
pub fn names(lab: &Lab) -> [String; 2] {
    [lab.server().name().to_owned(), lab.client().name().to_owned()]
}

pub fn namespace_exists(name: &str) -> bool {
    std::path::Path::new("/run/netns").join(name).exists()
}

/// Standard output of a command in the namespace that we are in.
pub fn output(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
