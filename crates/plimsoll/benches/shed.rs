//! `plimsoll fix shed` on a large table while traffic flows beside it: how long it takes, and the longest that a packet of
//! an established connection had to wait meanwhile.
//!
//!     cargo bench -p plimsoll --bench shed -- [--entries N]
//!
//! Needs root, and the machine's limit for a minute: it is raised under the lab's lock, and put back whatever happens. An
//! echo goes to and fro between two namespaces over a connection that stays, by threads of real-time priority, so that
//! waiting for a processor is not taken for a stall of the kernel. Exit status 1: the promise is broken.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plimsoll_ct::{Entries, Seconds};
use plimsoll_lab::{Kind, Lab, LabError, Options, Pace, SERVICE_PORT, Sources, WEB};

/// The longest stall that is promised.
const PROMISED: Duration = Duration::from_millis(10);
/// Pause between two echoes.
const PAUSE: Duration = Duration::from_micros(200);
/// How long the echo is watched without anything beside it.
const QUIET: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|a| a == "--entries");
    let entries = at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(1_000_000);
    match plimsoll_lab::install_signal_cleanup().and_then(|()| measure(entries)) {
        Ok(stall) if stall <= PROMISED => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(entries: u64) -> Result<Duration, LabError> {
    let limit = Some(Entries(entries + entries / 10));
    let lab = Lab::build(&Options { limit, patience: PATIENCE, ..Options::default() })?;
    lab.set_timeout("udp_timeout", Seconds(3600))?;
    let echo = Echo::begin(&lab)?;
    let began = Instant::now();
    lab.flood(Kind::Udp, Sources::Unanswered, Pace::burst(entries))?.finish()?;
    println!("{} entries made in {:.1} s", lab.count()?, began.elapsed().as_secs_f64());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load before: {}", load.trim());
    echo.longest();
    std::thread::sleep(QUIET);
    let quiet = echo.longest();
    show("without it", &quiet);
    let state = std::env::temp_dir().join(format!("plimsoll-bench-shed-{}", std::process::id()));
    let server = lab.server().name();
    let began = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["fix", "shed", "--unreplied", "--netns", server, "--yes", "--watch", "0"])
        .arg("--state-dir")
        .arg(&state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    let took = began.elapsed();
    let beside = echo.longest();
    let _ = std::fs::remove_dir_all(&state);
    assert!(status.is_ok_and(|s| s.success()), "fix shed did its work");
    let left = lab.count()?;
    println!(
        "fix shed: {:.2} s as a whole process (two readings and the deletion), {} entries left",
        took.as_secs_f64(),
        left
    );
    show("beside it", &beside);
    println!("promised: no stall over {} ms", PROMISED.as_millis());
    Ok(beside.longest)
}

fn show(when: &str, gaps: &Gaps) {
    println!(
        "{when:12} {:6} echoes, longest wait {:7.3} ms, median {:6.3} ms, over 1 ms: {}",
        gaps.number,
        gaps.longest.as_secs_f64() * 1e3,
        gaps.median.as_secs_f64() * 1e3,
        gaps.over_a_millisecond
    );
}

/// What the echo saw since it was last asked.
struct Gaps {
    number: usize,
    longest: Duration,
    median: Duration,
    over_a_millisecond: usize,
}

/// A byte to and fro, again and again, from its sending to its return.
struct Echo {
    waits: Arc<std::sync::Mutex<Vec<Duration>>>,
    over: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Echo {
    fn begin(lab: &Lab) -> Result<Self, LabError> {
        let address = SocketAddrV4::new(WEB, SERVICE_PORT);
        let listener = lab.server().run(|| TcpListener::bind(address))?.expect("the port is free");
        let mut client = lab.client().run(|| TcpStream::connect(address))?.expect("it is let in");
        let (mut server, _) = listener.accept().expect("it came");
        for end in [&client, &server] {
            end.set_nodelay(true).expect("TCP has it");
        }
        let waits = Arc::new(std::sync::Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let back = std::thread::spawn(move || {
            at_once();
            let mut byte = [0];
            while server.read_exact(&mut byte).and_then(|()| server.write_all(&byte)).is_ok() {}
        });
        let forth = std::thread::spawn({
            let (waits, over) = (Arc::clone(&waits), Arc::clone(&over));
            move || {
                at_once();
                let mut byte = [1];
                while !over.load(Ordering::Relaxed) {
                    let sent = Instant::now();
                    client.write_all(&byte).expect("the connection stays");
                    client.read_exact(&mut byte).expect("the connection stays");
                    waits.lock().expect("nobody panics with it").push(sent.elapsed());
                    std::thread::sleep(PAUSE);
                }
            }
        });
        Ok(Self { waits, over, threads: vec![forth, back] })
    }

    fn longest(&self) -> Gaps {
        let mut waits = std::mem::take(&mut *self.waits.lock().expect("nobody panics with it"));
        waits.sort_unstable();
        Gaps {
            number: waits.len(),
            longest: waits.last().copied().unwrap_or_default(),
            median: waits.get(waits.len() / 2).copied().unwrap_or_default(),
            over_a_millisecond: waits.iter().filter(|w| **w > Duration::from_millis(1)).count(),
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Real-time priority for the calling thread; without it (a container) the figures hold waits for a processor too.
fn at_once() {
    let priority = libc::sched_param { sched_priority: 50 };
    // SAFETY: the pointer is to a live value of the right type; 0 is the calling thread.
    let refused = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
    if refused != 0 {
        eprintln!("no real-time priority: waits for a processor count as stalls");
    }
}
