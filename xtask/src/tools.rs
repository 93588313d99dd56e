//! The programs that the tests drive, and the Debian packages they come in.

use std::path::Path;
use std::process::Command;

use crate::run;

/// Program, and the Debian package that brings it.
pub const TOOLS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("ping", "iputils-ping"),
    ("nft", "nftables"),
    ("iptables-legacy", "iptables"),
    ("conntrack", "conntrack"),
    ("nfct", "nfct"),
    ("script", "bsdutils"),
    ("chattr", "e2fsprogs"),
    ("sos", "sosreport"),
    ("setpriv", "util-linux"),
    ("strace", "strace"),
    ("tmux", "tmux"),
    ("ssh", "openssh-client"),
    ("sshd", "openssh-server"),
];

/// Installs the missing ones where that is possible; otherwise says in one line what is missing.
pub fn provide() -> Result<(), String> {
    provide_these(TOOLS)
}

/// The same for other programs.
pub fn provide_these(tools: &[(&str, &'static str)]) -> Result<(), String> {
    let missing = missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let root = run::output("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    if !root || !present("apt-get") {
        eprintln!(
            "xtask: missing, so some tests will be skipped: {list}  (apt-get install {list})"
        );
        return Ok(());
    }
    eprintln!("xtask: installing {list}");
    let apt = |arguments: &[&str]| {
        run::finish(
            Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments),
        )
    };
    apt(&["-qq", "update"])?;
    let mut install = vec!["-qq", "install", "-y", "--no-install-recommends"];
    install.extend(&missing);
    apt(&install)
}

/// Packages of those programs that are not there.
pub fn missing(tools: &[(&str, &'static str)]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = tools
        .iter()
        .filter(|(program, _)| !present(program))
        .map(|&(_, package)| package)
        .collect();
    packages.dedup();
    packages
}

fn present(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|directory| Path::new(directory).join(program).exists())
}
