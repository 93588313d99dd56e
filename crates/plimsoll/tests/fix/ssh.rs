//! `lifeline` without words, asked for in a session that came by a real sshd: whose session it is and which port it came to
//! are found, also in a shell that has lost its environment.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::host::{Host, text};
use crate::support::{BINARY, Netns, root, run};
use crate::sweep::wait_for;

const SSHD: &str = "/usr/sbin/sshd";
const PORT: &str = "2222";
const HERE: &str = "10.78.0.2";
const CLIENT: &str = "10.78.0.1";

/// A host with sshd, and a client that has its key.
struct Door {
    host: Host,
    client: Netns,
    keys: PathBuf,
    sshd: Child,
}

impl Door {
    fn new(name: &str) -> Self {
        let (host, client) = (Host::new(name), Netns::new(&format!("{name}-c")));
        let ends =
            ["link", "add", "c", "netns", &client.0, "type", "veth", "peer", "name", "s", "netns"];
        run("ip", &[&ends[..], &[&host.netns.0]].concat());
        for (space, link, address) in [(&client, "c", CLIENT), (&host.netns, "s", HERE)] {
            space.run("ip", &["address", "add", &format!("{address}/24"), "dev", link]);
            space.run("ip", &["link", "set", link, "up"]);
        }
        let rules = "table inet site { chain input { type filter hook input priority 0; policy drop; ct state \
                     established,related accept; tcp dport 2222 ct state new accept; }; }";
        host.netns.run("nft", &[rules]);
        let keys = std::env::temp_dir().join(format!("{}-keys", host.netns.0));
        let _ = fs::remove_dir_all(&keys);
        fs::create_dir_all(&keys).expect("a directory");
        // sshd gives up its rights there.
        fs::create_dir_all("/run/sshd").expect("a directory");
        let path = |name: &str| keys.join(name).to_str().expect("a path of text").to_owned();
        for key in ["host", "user"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
        }
        let options = [
            format!("HostKey={}", path("host")),
            format!("AuthorizedKeysFile={}", path("user.pub")),
            format!("ListenAddress={HERE}:{PORT}"),
            "PidFile=none".into(),
            "StrictModes=no".into(),
            "UsePAM=no".into(),
            "PermitRootLogin=yes".into(),
        ];
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &host.netns.0, SSHD, "-D", "-e", "-f", "/dev/null"]);
        for option in &options {
            command.args(["-o", option]);
        }
        let log = fs::File::create(keys.join("log")).expect("a log");
        let sshd = command.stdin(Stdio::null()).stderr(log).spawn().expect("sshd starts");
        let door = Self { host, client, keys, sshd };
        wait_for(|| door.ask("true").is_ok());
        door
    }

    /// What a command prints that is run by the client on the host; its failure is an error.
    fn ask(&self, what: &str) -> Result<String, String> {
        let key = self.keys.join("user");
        let key = key.to_str().expect("a path of text");
        let out = Command::new("ip")
            .args(["netns", "exec", &self.client.0, "ssh", "-F", "none", "-p", PORT, "-i", key])
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "LogLevel=ERROR", "-o", "BatchMode=yes", &format!("root@{HERE}"), what])
            .stdin(Stdio::null())
            .output()
            .expect("ssh starts");
        let said = text(&out.stdout);
        if out.status.success() { Ok(said) } else { Err(said + &text(&out.stderr)) }
    }

    fn plimsoll(&self, arguments: &str) -> String {
        let state = self.host.state.to_str().expect("a path of text");
        format!("{BINARY} {arguments} --state-dir {state}")
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
        let _ = fs::remove_dir_all(&self.keys);
    }
}

#[test]
fn a_lifeline_finds_the_session_and_the_port_in_a_shell_without_environment_too() {
    const TEST: &str =
        "a_lifeline_finds_the_session_and_the_port_in_a_shell_without_environment_too";
    if !root(TEST) {
        return;
    }
    if !std::path::Path::new(SSHD).exists() {
        eprintln!("{TEST}: skipped, openssh-server is not installed");
        return;
    }
    let door = Door::new("ssh");
    let old = door.host.everything();
    let fix = door.plimsoll("fix lifeline --yes --watch 0");
    let bare = format!("env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin {fix}");
    for shell in [fix.clone(), bare.clone(), format!("su root -c '{bare}'")] {
        let said = door.ask(&shell).unwrap_or_else(|why| panic!("{shell}: {why}"));
        assert!(
            said.contains(&format!("stop tracking tcp/{PORT} with {CLIENT}")),
            "{shell}: {said}"
        );
        let rules = door.host.netns.run("nft", &["list", "ruleset"]);
        assert!(rules.contains(&format!("ip saddr {CLIENT}")), "{rules}");
        // The session itself goes on, and a new one comes in.
        door.ask(&door.plimsoll("undo")).expect("it is taken back");
        assert_eq!(door.host.everything(), old);
    }
    // An environment that outlived its session (tmux, screen) names nobody who is there.
    let stale = format!("SSH_CONNECTION='192.0.2.7 51234 {HERE} 22' {fix}");
    let said = door.ask(&stale).expect("it is done");
    assert!(said.contains(&format!("with {CLIENT}")) && !said.contains("192.0.2.7"), "{said}");
    door.host.ok(&["undo"]);
    // Not from a session at all.
    let out = door.host.run(&["fix", "lifeline", "--yes"]);
    let said = text(&out.stderr);
    assert!(said.contains("this session does not come from elsewhere"), "{said}");
    assert_eq!(door.host.everything(), old);
}
