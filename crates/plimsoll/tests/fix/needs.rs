//! Rules that need the tracking of a port, and chains that change while a plan is looked at: both stop a bypass.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::host::Host;
use crate::support::{BINARY, root, text};

/// Rules that need the tracking of tcp/443, who writes such ones, and what is said of them.
const NEED: &[(&str, &str, &str)] = &[
    (
        "docker",
        "*nat\n:PREROUTING ACCEPT\n:DOCKER -\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n-A DOCKER ! -i docker0 \
         -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443\nCOMMIT\n",
        "rewrites its addresses, which only happens to tracked packets: iptables nat: -A DOCKER ! -i docker0 -p tcp -m \
         tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443",
    ),
    (
        "kube-proxy",
        "*nat\n:PREROUTING ACCEPT\n:KUBE-SERVICES -\n:KUBE-NODEPORTS -\n:KUBE-SVC-X -\n-A PREROUTING -j KUBE-SERVICES\n-A \
         KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n-A KUBE-NODEPORTS -p tcp -m tcp --dport 443 -j \
         KUBE-SVC-X\n-A KUBE-SVC-X -p tcp -m tcp -j DNAT --to-destination 10.244.1.5:8443\nCOMMIT\n",
        "a rule rewrites its addresses, which only happens to tracked packets: iptables nat: -A KUBE-SVC-X",
    ),
    (
        "calico",
        "*filter\n:INPUT ACCEPT\n:cali-INPUT -\n-A INPUT -m comment --comment \"cali:x\" -j cali-INPUT\n-A cali-INPUT -p tcp \
         -m tcp --dport 443 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT\n-A cali-INPUT -p tcp -m tcp --dport 443 -j DROP\nCOMMIT\n",
        "it needs a rule of ours in chain cali-INPUT, which Calico writes anew by itself, without ours; the port, still untracked, \
         would then be dropped: iptables filter: -A cali-INPUT",
    ),
    (
        "redirect",
        "*nat\n:PREROUTING ACCEPT\n-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 443\nCOMMIT\n",
        "a rule sends other connections to it, and only tracked answers find their way back: iptables nat: -A PREROUTING",
    ),
    (
        "helper",
        "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -p tcp -m tcp --dport 443 -j CT --helper ftp\nCOMMIT\n",
        "gives it a helper, which reads along to let its other connections in: iptables raw: -A PREROUTING -p tcp",
    ),
    (
        "connlimit",
        "*filter\n:INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 443 -m connlimit --connlimit-above 50 -j REJECT\nCOMMIT\n",
        "counts its connections: iptables filter: -A INPUT -p tcp -m tcp --dport 443 -m connlimit",
    ),
    (
        "synproxy",
        "*filter\n:INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 443 -m conntrack --ctstate INVALID -j SYNPROXY \
         --sack-perm\n-A INPUT -p tcp -m tcp --dport 443 -j CONNMARK --set-xmark 0x1\nCOMMIT\n",
        "uses the mark or the counts of its connections: iptables filter: -A INPUT -p tcp -m tcp --dport 443 -j CONNMARK",
    ),
];

#[test]
fn who_needs_the_tracking_of_a_port_is_named_by_the_rule() {
    if !root() {
        return;
    }
    for (name, rules, said) in NEED {
        for tool in ["iptables-nft", "iptables-legacy"] {
            let host = Host::new(&format!("need-{name}"));
            let file = std::env::temp_dir().join(format!("{}.rules", host.netns.0));
            std::fs::write(&file, rules).expect("written");
            host.netns.run("sh", &["-c", &format!("{tool}-restore < {}", file.display())]);
            let _ = std::fs::remove_file(file);
            let old = host.everything();
            let out = host.run(&["fix", "bypass", "tcp/443", "--role", "server", "--yes"]);
            let all = text(&out.stdout);
            // Joined again where the screen has broken the lines.
            let all = all.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(out.status.code(), Some(1), "{name}, {tool}: {all}");
            assert!(all.contains(said), "{name}, {tool}: {all}");
            assert_eq!(host.everything(), old);
        }
    }
}

/// Starts `fix bypass` in a terminal, and answers its question once `meanwhile` has happened; what it said, and its status.
fn asked(host: &Host, meanwhile: &[&str]) -> (String, bool) {
    let state = host.state.to_str().expect("a path of text");
    let fix = format!(
        "ip netns exec {} {BINARY} fix bypass tcp/443 --role server --watch 0 --state-dir {state}",
        host.netns.0
    );
    let mut script = Command::new("script")
        .args(["-qec", &fix, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script starts");
    let mut said = Vec::new();
    let mut out = script.stdout.take().expect("a pipe");
    let mut byte = [0];
    while !said.ends_with(b"[y/N] ") {
        assert_eq!(out.read(&mut byte).expect("it speaks"), 1, "{}", text(&said));
        said.push(byte[0]);
    }
    host.netns.run(meanwhile[0], &meanwhile[1..]);
    script.stdin.take().expect("a pipe").write_all(b"y\n").expect("it hears");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("it ends");
    (rest, script.wait().expect("it is gone").success())
}

#[test]
fn who_changes_the_chain_while_the_plan_is_looked_at_is_noticed() {
    if !root() {
        return;
    }
    let ban = ["iptables-legacy", "-I", "FW", "1", "-s", "203.0.113.9", "-j", "DROP"];
    let other =
        ["iptables-legacy", "-t", "mangle", "-I", "PREROUTING", "-j", "MARK", "--set-mark", "1"];
    let nft = ["nft", "insert rule inet site input ip saddr 203.0.113.9 drop"];
    let legacy: fn() -> Host = || Host::new("meanwhile").with_strict_legacy();
    let strict: fn() -> Host = || Host::new("meanwhile").with_strict_nft();
    for (host, meanwhile) in [(legacy, &ban[..]), (strict, &nft[..])] {
        let host = host();
        let (said, done) = asked(&host, meanwhile);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!done, "{said}");
        assert!(said.contains("has changed since the plan was made: plan again"), "{said}");
        assert!(!host.everything().contains("plimsoll"), "{}", host.everything());
        // Planned anew it goes where it belongs: behind the ban.
        host.ok(&["fix", "bypass", "tcp/443", "--role", "server", "--yes", "--watch", "0"]);
        let all = host.everything();
        let place = |words: &str| all.find(words).unwrap_or_else(|| panic!("{words}: {all}"));
        assert!(place("203.0.113.9") < place("10.0.0.0/8"), "{all}");
        host.ok(&["undo"]);
        assert!(!host.everything().contains("plimsoll: "), "{}", host.everything());
    }
    let (said, done) = asked(&legacy(), &other);
    assert!(done, "what others change elsewhere is no matter: {said}");
}
