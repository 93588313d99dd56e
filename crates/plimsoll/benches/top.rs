//! What `plimsoll top` costs while it runs, and whether it keeps its promise.
//!
//!     cargo bench -p plimsoll --bench top -- [--entries N] [--seconds N]
//!
//! Needs root. A table of a million entries of real traffic in a throw-away namespace (the machine's limit is raised for it,
//! and put back whatever happens); `top` in a terminal of 80 by 24 beside it: its processor time, its memory, what it sends to the
//! terminal, and what it says of itself. With the BPF reader, left alone and with a person who regroups all the time; with
//! ctnetlink. Exit status 1: the promise (5 % of one core) is broken.

#[path = "check/measure.rs"]
#[allow(dead_code)]
mod measure;
#[path = "check/stages.rs"]
#[allow(dead_code)]
mod stages;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use plimsoll_lab::{LabError, Namespace};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const PLIMSOLL: &str = env!("CARGO_BIN_EXE_plimsoll");
/// Of one core.
const PROMISE: f64 = 0.05;
/// Left out at the beginning: programs are loaded, the host is checked for the first time.
const WARM_UP: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let seconds = Duration::from_secs(number("--seconds", 30));
    let done = plimsoll_lab::install_signal_cleanup()
        .and_then(|()| all(number("--entries", 1_000_000), seconds));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn all(entries: u64, seconds: Duration) -> Result<bool, LabError> {
    let large = stages::large(entries)?;
    let inside = large.lab.server();
    println!("{} entries, {} s each", large.lab.count()?, seconds.as_secs());
    let mut kept = true;
    for (name, reader, keys) in [
        ("bpf, left alone", "bpf", ""),
        ("bpf, regrouped every second", "bpf", "123456\r\x1b"),
        ("netlink, left alone", "netlink", ""),
        ("netlink, regrouped every second", "netlink", "123456\r\x1b"),
    ] {
        let ran = watched(inside, reader, keys.as_bytes(), seconds);
        println!(
            "  {name:<32} {:>5.2} % of one core (with its start {:>5.2} %), {:>5.1} MiB, {:>6.0} B/s",
            ran.share * 100.0,
            ran.share_with_start * 100.0,
            ran.peak as f64 / 1024.0,
            ran.bytes
        );
        println!("  {:<32} {}", "", ran.says);
        let holds = ran.share <= PROMISE && ran.share_with_start <= PROMISE;
        kept &= holds;
        println!("    {} 5 % at most", if holds { "kept:  " } else { "BROKEN:" });
    }
    Ok(kept)
}

/// What one run took.
struct Ran {
    /// Of one core, after the warm-up and from the very beginning.
    share: f64,
    share_with_start: f64,
    /// KiB.
    peak: u64,
    /// To the terminal, per second.
    bytes: f64,
    /// The right half of its first line.
    says: String,
}

/// Runs it in a terminal of its own; presses one of `keys` a second, over and over.
fn watched(inside: &Namespace, reader: &'static str, keys: &[u8], seconds: Duration) -> Ran {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&controller).expect("a terminal of ours");
    unlockpt(&controller).expect("a terminal of ours");
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&controller, size).expect("a terminal has a size");
    let name = ptsname(&controller, Vec::new()).expect("a terminal has a name");
    let terminal = PathBuf::from(name.to_str().expect("a path").to_owned());
    let open = || File::options().read(true).write(true).open(&terminal).expect("a terminal");
    let (input, output) = (open(), open());
    let start = Instant::now();
    let mut child = inside
        .run(move || {
            Command::new(PLIMSOLL)
                .args(["top", "--reader", reader])
                .env("TERM", "xterm")
                .env("LANG", "C.UTF-8")
                .stdin(Stdio::from(OwnedFd::from(input)))
                .stdout(Stdio::from(OwnedFd::from(output)))
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts")
        })
        .expect("a namespace of ours can be entered");
    let pid = child.id();
    let mut controller = File::from(controller);
    let pictures = listen(controller.try_clone().expect("a descriptor"));

    let mut keys = keys.iter().cycle();
    let mut warm = None;
    while start.elapsed() < WARM_UP + seconds {
        std::thread::sleep(Duration::from_secs(1));
        if start.elapsed() >= WARM_UP && warm.is_none() {
            warm = Some((start.elapsed(), used(pid)));
            pictures.try_iter().for_each(drop);
        }
        if let Some(key) = keys.next() {
            controller.write_all(&[*key]).expect("a terminal takes keys");
        }
    }
    let (from, before) = warm.expect("it was warm");
    let (whole, after) = (start.elapsed(), used(pid));
    let sent: usize = pictures.try_iter().map(|part| part.len()).sum();
    let peak = peak(pid);
    // All of the picture, anew.
    controller.write_all(b"\x0c").expect("a terminal takes keys");
    std::thread::sleep(Duration::from_millis(500));
    let picture: Vec<u8> = pictures.try_iter().flatten().collect();
    controller.write_all(b"qqq").expect("a terminal takes keys");
    child.wait().expect("our child");
    let span = whole - from;
    Ran {
        share: (after - before).as_secs_f64() / span.as_secs_f64(),
        share_with_start: after.as_secs_f64() / whole.as_secs_f64(),
        peak,
        bytes: sent as f64 / span.as_secs_f64(),
        says: said(&picture),
    }
}

/// What it sends to the terminal, until it ends.
fn listen(mut controller: File) -> Receiver<Vec<u8>> {
    let (send, parts) = channel();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n @ 1..) = controller.read(&mut buffer) {
            if send.send(buffer[..n].to_vec()).is_err() {
                return;
            }
        }
    });
    parts
}

/// Text without escape sequences, from "live" on.
fn said(picture: &[u8]) -> String {
    let mut text = String::new();
    let whole = String::from_utf8_lossy(picture);
    let mut chars = whole.chars();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            text.push(c);
        } else if chars.next() == Some('[') {
            // Its end is a letter.
            let _ = chars.by_ref().find(|c| c.is_ascii_alphabetic());
        }
    }
    let from = text.rfind("live").unwrap_or(0);
    let says = &text[from..];
    // The next line of the screen follows at once.
    let end = says.find(" s").map_or(says.len(), |at| at + 2);
    says[..end].to_owned()
}

/// Processor time of a process, with the children that it waited for.
fn used(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which is in parentheses: utime is the 12th, then stime, cutime, cstime.
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks: u64 =
        behind.split_whitespace().skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let row = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    row.and_then(|row| row.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
