//! `lifeline` without words, asked for in a session that came by a real sshd: whose session it is and which port it came to
//! are found, also in a shell that has lost its environment.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::files::Copy;
use crate::host::Host;
use crate::support::{BINARY, Netns, plimsoll, root, run, skipped, text, until};

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
        until("the door", || door.ask("true").is_ok());
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
    if !root() {
        return;
    }
    if !std::path::Path::new(SSHD).exists() {
        skipped("openssh-server is not installed");
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

/// Process 1 of a machine that opens the sockets of services which have not started: SSH's, and another one. Beside it a
/// server of SSH that listens by itself.
const MANAGER: &str = "import os,socket,subprocess,sys\n\
os.makedirs('/run/systemd/system/ssh.socket.d')\n\
open('/run/systemd/system/ssh.socket','w').write('[Socket]\\nListenStream=22\\n')\n\
open('/run/systemd/system/ssh.socket.d/port.conf','w').write('[Socket]\\nListenStream=\\nListenStream=2222\\n')\n\
open_ones=[socket.create_server(('0.0.0.0',port)) for port in (80,2222)]\n\
near,far=os.pipe()\n\
if os.fork()==0:\n  \
  [s.close() for s in open_ones]\n  \
  open('/proc/self/comm','w').write('sshd')\n  \
  own=socket.create_server(('0.0.0.0',2200))\n  \
  os.write(far,b'x')\n  \
  import time; time.sleep(600)\n\
os.read(near,1)\n\
sys.exit(subprocess.call(sys.argv[1:]))\n";

#[test]
fn a_port_that_process_1_listens_on_in_place_of_the_server_is_found_by_its_unit() {
    if !root() {
        return;
    }
    let host = Host::new("socket");
    let rules = "table inet site { chain input { type filter hook input priority 0; policy drop; ct state \
                 established,related accept; tcp dport { 80, 2200, 2222 } ct state new accept; }; }";
    host.netns.run("nft", &[rules]);
    host.netns.run("ip", &["address", "add", "10.9.0.1/24", "dev", "lo"]);
    let inside = "mount -t tmpfs plimsoll-test /run && exec \"$@\"";
    let state = host.state.to_str().expect("a path of text");
    let out = Command::new("ip")
        .args(["netns", "exec", &host.netns.0, "unshare", "--pid", "--fork", "--mount-proc"])
        .args(["sh", "-c", inside, "sh", "python3", "-c", MANAGER, BINARY])
        .args(["fix", "lifeline", "--peer", "192.0.2.7", "--dry-run", "--state-dir", state])
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let said = text(&out.stdout);
    assert!(out.status.success(), "{said}{}", text(&out.stderr));
    assert!(said.contains("stop tracking tcp/2200, tcp/2222 with 192.0.2.7"), "{said}");
}

#[test]
fn on_a_saved_host_the_port_is_that_of_the_unit_that_a_boot_starts() {
    let copy = Copy::of("debian-lost-at-boot", "socket");
    let systemd = copy.root().join("etc/systemd/system");
    for folder in ["ssh.socket.d", "sockets.target.wants"] {
        fs::create_dir_all(systemd.join(folder)).expect("a directory");
    }
    fs::write(systemd.join("ssh.socket"), "[Socket]\nListenStream=22\n").expect("a unit");
    let more = "[Socket]\nListenStream=\nListenStream=2222\n";
    fs::write(systemd.join("ssh.socket.d/port.conf"), more).expect("a drop-in");
    let root = copy.root();
    let commands = || {
        let out = plimsoll(&["check", "--commands", "--root", root.to_str().expect("text")]);
        text(&out.stdout)
    };
    let said = commands();
    assert!(said.contains("tcp dport 22 notrack"), "not enabled, it does not listen: {said}");
    let link = systemd.join("sockets.target.wants/ssh.socket");
    std::os::unix::fs::symlink("/etc/systemd/system/ssh.socket", link).expect("a link");
    let said = commands();
    assert!(said.contains("tcp dport 2222 notrack"), "{said}");
}
