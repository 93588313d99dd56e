//! `plimsoll flows --by pod, container, unit, process`, end to end: containers as the kernel sees them, which is a process in a control
//! group with an engine's name and in a network namespace, behind a node that forwards and translates.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{BINARY, Netns, Running, root, run, skipped, text};

const ID: &str = "5e0b7c1d2f3a495867a1b2c3d4e5f60718293a4b5c6d7e8f9a0b1c2d3e4f5a6b";
const UID: &str = "7c0f2a44-0b1d-4c2e-9f3a-5d6e7f809112";
const OTHER: &str = "7c0f2a44-0b1d-4c2e-9f3a-5d6e7f809113";

/// A control group made for the test; with its parents, as far as they are empty, it goes with it.
struct Group {
    hierarchy: &'static Path,
    path: PathBuf,
}

impl Group {
    /// `None`: no control groups may be made here.
    fn new(path: &str) -> Option<Self> {
        let hierarchy = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .map(Path::new)
            .into_iter()
            .find(|place| place.join("cgroup.procs").exists())?;
        let path = hierarchy.join(path);
        fs::create_dir_all(&path).ok()?;
        Some(Self { hierarchy, path })
    }

    fn take(&self, pid: u32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).expect("the group takes it");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for path in self.path.ancestors().take_while(|path| *path != self.hierarchy) {
            let _ = fs::remove_dir(path);
        }
    }
}

/// Python in a namespace, until it says that it is ready.
fn python(netns: &Netns, script: &str) -> Running {
    let mut child = Command::new("ip")
        .args(["netns", "exec", &netns.0, "python3", "-c"])
        .arg(format!("import socket, sys\n{script}\nprint('ready', flush=True)\nsys.stdin.read()"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let ready = lines.map_while(Result::ok).any(|line| line == "ready");
    let running = Running(child);
    assert!(ready, "{script}");
    running
}

const SERVE: &str = "s=socket.create_server(('0.0.0.0', 9000)); s.listen(64)";
/// Connects to the outside, listens on a port that the node publishes, and leaves a datagram whose socket is gone.
const CONTAIN: &str = "l=socket.create_server(('0.0.0.0', 80)); l.listen(64)\n\
     c=socket.create_connection(('192.0.2.9', 9000))\n\
     d=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.sendto(b'x', ('192.0.2.9', 5353)); d.close()";

/// A node with a container at 10.88.0.2 behind it, and an outside.
struct Node {
    node: Netns,
    _others: [Netns; 2],
    container: Running,
    _outside: [Running; 2],
}

impl Node {
    fn new(name: &str, visitor: &str) -> Self {
        let of = |what: &str| Netns::new(&format!("{name}-{what}"));
        let (node, inside, outside) = (of("node"), of("in"), of("out"));
        for (other, device, net) in
            [(&inside, "veth-in", "10.88.0"), (&outside, "veth-out", "192.0.2")]
        {
            let peer = ["peer", "name", "eth0", "netns", &other.0];
            run(
                "ip",
                &[&["-n", &node.0, "link", "add", device, "type", "veth"][..], &peer].concat(),
            );
            let (own, theirs) = if net == "10.88.0" { ("1", "2") } else { ("1", "9") };
            for (netns, device, host) in [(&node, device, own), (other, "eth0", theirs)] {
                netns.run("ip", &["addr", "add", &format!("{net}.{host}/24"), "dev", device]);
                netns.run("ip", &["link", "set", device, "up"]);
            }
        }
        inside.run("ip", &["route", "add", "default", "via", "10.88.0.1"]);
        node.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
        node.run(
            "nft",
            &["add table ip n; add chain ip n post { type nat hook postrouting priority 100; }; \
               add rule ip n post oifname veth-out masquerade; \
               add chain ip n pre { type nat hook prerouting priority -100; }; \
               add rule ip n pre iifname veth-out tcp dport 8080 dnat to 10.88.0.2:80"],
        );
        let server = python(&outside, SERVE);
        let container = python(&inside, CONTAIN);
        // A visitor from another machine: nobody here has its address any more once it is connected.
        let whole = format!("{visitor}/32");
        outside.run("ip", &["addr", "add", &whole, "dev", "lo"]);
        node.run("ip", &["route", "add", &whole, "via", "192.0.2.9"]);
        let connect = format!(
            "v=socket.create_connection(('192.0.2.1', 8080), source_address=('{visitor}', 0))"
        );
        let connected = python(&outside, &connect);
        outside.run("ip", &["addr", "del", &whole, "dev", "lo"]);
        Self { node, _others: [inside, outside], container, _outside: [server, connected] }
    }

    /// Groups of the node's table, as keys joined with spaces to entries. Files of a node lie where engines keep them,
    /// in a mount namespace of the look's own.
    fn groups(&self, by: &str) -> BTreeMap<String, u64> {
        let files = format!(
            "mount -t tmpfs none /var/log && mkdir -p /var/log/pods/shop_cart-0_{UID} /var/log/pods/shop_cart-1_{OTHER} && \
             mount -t tmpfs none /var/lib && mkdir -p /var/lib/docker/containers/{ID} && \
             echo '{{\"Name\":\"/web\"}}' >/var/lib/docker/containers/{ID}/config.v2.json && exec \"$@\""
        );
        let look = ["flows", "--netns", &self.node.0, "--by", by, "--json"];
        let look = [&["-m", "sh", "-c", &files, "sh", BINARY][..], &look].concat();
        // On a busy machine the time for looking at the whole host may be over too early, which is said.
        let complete = |out: &Output| !text(&out.stderr).contains("the time was over");
        let looks = || Command::new("unshare").args(&look).output().expect("unshare starts");
        let out = std::iter::repeat_with(looks).take(100).find(complete).expect("a whole look");
        assert!(out.status.success(), "{}", text(&out.stderr));
        let out = String::from_utf8(out.stdout).expect("UTF-8");
        let rows = out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        rows.map(|row| {
            let keys = by.split(',').map(|key| match &row[key] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            (keys.collect::<Vec<_>>().join(" "), row["entries"].as_u64().expect("a number"))
        })
        .collect()
    }
}

/// The three of a node's table: out through masquerading, in through a published port, a datagram that nobody holds.
fn all_of(owner: &str) -> BTreeMap<String, u64> {
    [(owner.to_owned(), 3)].into_iter().collect()
}

#[test]
fn what_a_node_forwards_and_translates_is_its_containers_by_the_name_that_the_engine_gave() {
    if !root() {
        return;
    }
    let dashed = UID.replace('-', "_");
    let pod =
        format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{dashed}.slice");
    let node = Node::new("owners", "203.0.113.7");
    for (path, by, owner) in [
        (format!("{pod}/cri-containerd-{ID}.scope"), "pod", "shop/cart-0".to_owned()),
        (format!("{pod}/crio-{ID}.scope/container"), "pod", "shop/cart-0".to_owned()),
        (format!("kubepods/besteffort/pod{UID}/{ID}"), "pod", "shop/cart-0".to_owned()),
        (format!("system.slice/docker-{ID}.scope"), "container", "web".to_owned()),
        (format!("docker/{ID}"), "container", "web".to_owned()),
        (format!("machine.slice/libpod-{ID}.scope/container"), "container", ID.to_owned()),
        (
            "machine.slice/systemd-nspawn@box.service/payload".to_owned(),
            "container",
            "box".to_owned(),
        ),
        ("system.slice/shop.service".to_owned(), "unit", "shop.service".to_owned()),
    ] {
        let Some(group) = Group::new(&path) else {
            skipped("no control group may be made here");
            return;
        };
        group.take(node.container.0.id());
        assert_eq!(node.groups(by), all_of(&owner), "{path}");
        // It leaves the group, so that this can be removed.
        fs::write(group.hierarchy.join("cgroup.procs"), node.container.0.id().to_string())
            .expect("the root takes it");
    }
    // Two are a process's sockets; the datagram's is gone: it is only known whose the namespace is.
    let processes = [("python3".to_owned(), 2), ("null".to_owned(), 1)];
    assert_eq!(node.groups("process"), processes.into_iter().collect());
}

/// Every node has the same networks: which container is meant is told by the other end of the pair of interfaces.
#[test]
fn of_two_containers_with_one_address_each_nodes_own_is_meant() {
    if !root() {
        return;
    }
    let (one, two) = (Node::new("twin1", "203.0.113.8"), Node::new("twin2", "203.0.113.9"));
    let mut groups = Vec::new();
    for (node, uid) in [(&one, UID), (&two, OTHER)] {
        let Some(group) = Group::new(&format!("kubepods/burstable/pod{uid}/{ID}")) else {
            skipped("no control group may be made here");
            return;
        };
        group.take(node.container.0.id());
        groups.push((group, node.container.0.id()));
    }
    let seen = [one.groups("pod"), two.groups("pod")];
    for (group, pid) in &groups {
        fs::write(group.hierarchy.join("cgroup.procs"), pid.to_string())
            .expect("the root takes it");
    }
    assert_eq!(seen, [all_of("shop/cart-0"), all_of("shop/cart-1")]);
}
