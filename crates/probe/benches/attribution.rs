//! What it takes to know whose every entry of a host is.
//!
//!     cargo bench -p plimsoll-probe --bench attribution -- [--namespaces N] [--sockets N] [--runs N]
//!
//! Needs root. As many processes as namespaces (200 unless told), each in its own with its share of the sockets (10,000 in all):
//! a listener, and connections to it, whose both ends it holds. Then looks at the whole host, this machine's other
//! processes and namespaces included. Held against the least time, since whatever else the machine does only adds to
//! it; the median stands beside. Exit status 1: the promise is broken.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use plimsoll_probe::attribution::Attribution;

const CHILD: &str = "--child";
/// The budget of `plimsoll flows` is as long.
const PROMISED: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: making a network namespace needs root");
        return ExitCode::SUCCESS;
    }
    match number(CHILD, 0) {
        0 => {}
        sockets => {
            hold(sockets);
            return ExitCode::SUCCESS;
        }
    }
    let (namespaces, all) = (number("--namespaces", 200).max(1), number("--sockets", 10_000));
    let crowd: Vec<Held> = (0..namespaces).map(|_| Held::start(all / namespaces)).collect();
    let mut took = Vec::new();
    for _ in 0..number("--runs", 9).max(1) {
        let start = Instant::now();
        let host = Attribution::of_host(Duration::from_secs(60));
        took.push(start.elapsed());
        assert!(host.sockets() >= all, "{} sockets of {all}: {:?}", host.sockets(), host.gaps());
    }
    drop(crowd);
    took.sort_unstable();
    let (least, median) = (took[0], took[took.len() / 2]);
    let held = least <= PROMISED;
    println!(
        "{} {all} sockets in {namespaces} namespaces are attributed in {least:.0?} (median {median:.0?}), \
         promised {PROMISED:.0?}; load {}",
        if held { "kept:  " } else { "BROKEN:" },
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A process that holds sockets in a namespace of its own, until it is dropped.
struct Held(Child);

impl Held {
    fn start(sockets: usize) -> Self {
        let own = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(own)
            .args([CHILD, &sockets.max(1).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts itself");
        let mut line = String::new();
        let ready = child.stdout.take().map(BufReader::new);
        ready.expect("a pipe").read_line(&mut line).expect("it says that it is ready");
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// In the child.
fn hold(sockets: usize) {
    unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.is_ok_and(|status| status.success()), "lo comes up");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let to = listener.local_addr().expect("bound");
    let pairs: Vec<_> = (0..sockets.div_ceil(2))
        .map(|_| {
            let there = TcpStream::connect(to).expect("connects");
            (there, listener.accept().expect("accepts"))
        })
        .collect();
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    drop(pairs);
}
