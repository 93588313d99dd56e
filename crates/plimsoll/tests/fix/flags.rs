//! Tables of nft that are not like others: one that only its process changes, and one that is asleep.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::host::Host;
use crate::support::{Running, root, text, until};

/// What `fix bypass tcp/443` says, in one line, and its exit status.
fn bypass(host: &Host) -> (Option<i32>, String) {
    let role = ["fix", "bypass", "tcp/443", "--role", "server", "--yes", "--watch", "0"];
    let out = host.run(&role);
    let said = text(&out.stdout) + &text(&out.stderr);
    (out.status.code(), said.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn a_table_that_its_process_owns_is_named_before_anything_is_tried() {
    if !root() {
        return;
    }
    let host = Host::new("owned").with_strict_nft();
    // As firewalld holds its table: nft, which stays.
    let door = format!("--net=/run/netns/{}", host.netns.0);
    let mut nft = Command::new("nsenter");
    nft.args([&door, "nft", "-i"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut owner = Running(nft.spawn().expect("it starts"));
    let mut told = owner.0.stdin.take().expect("a pipe");
    told.write_all(
        b"add table inet fire { flags owner ; }
add chain inet fire input { type filter hook input priority 10 ; policy drop ; }
add rule inet fire input ct state established,related accept
add rule inet fire input ct state new tcp dport 443 accept
",
    )
    .expect("it is told");
    let all = || host.netns.run("nft", &["list", "ruleset"]);
    until("its last rule", || all().contains("ct state new tcp dport 443"));
    let old = host.everything();
    let (code, said) = bypass(&host);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(
            "it needs a rule of ours in table inet fire, which only the process that made it can change"
        ),
        "{said}"
    );
    assert_eq!(host.everything(), old);
}

#[test]
fn what_a_sleeping_table_would_do_to_a_port_stands_in_nobodys_way() {
    if !root() {
        return;
    }
    let host = Host::new("dormant").with_strict_nft();
    host.netns.run(
        "nft",
        &["table ip asleep { flags dormant; chain p { type nat hook prerouting priority -100; tcp dport 443 \
           dnat to 10.9.0.5:443; }; }"],
    );
    let old = host.everything();
    let (code, said) = bypass(&host);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("asleep"), "{said}");
    host.ok(&["undo"]);
    assert_eq!(host.everything(), old);
}
