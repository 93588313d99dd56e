//! The guard: a process of its own session that takes back what is not confirmed.
//!
//! It is posted before the first change, and waits at the far end of a pipe. When our end closes, because we
//! are done or because we were killed, it reads the journal: what is half-done it takes back at once, what
//! waits for a confirmation it takes back at the deadline. It holds a lock as long as it lives, so that
//! others see when it was killed as well.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use plimsoll_diagnosis::{Said, said};
use rustix::fs::{FlockOperation, flock};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};

use crate::error::plain;
use crate::fault::Fault;
use crate::history::{GUARD_ENDED, INTERRUPTED, INTERRUPTED_BACK, TOO_LATE};
use crate::place::Place;
use crate::state::State;
use crate::undo::{Stuck, no_such, unwind};
use crate::{ApplyError, Phase, Transaction};

const GUARD: Said = Said::of("the guard", "守护进程");
/// What it says once it stands.
const READY: &str = "ready";
/// How often it looks whether a confirmation has come.
const LOOK: Duration = Duration::from_millis(500);

/// The program that calls [`stand_guard`].
#[derive(Debug, Clone)]
pub struct GuardProgram {
    /// Program.
    pub program: PathBuf,
    /// Arguments before the state directory and the number of the transaction.
    pub arguments: Vec<OsString>,
}

/// A guard that stands. Dropping it tells the guard that we are gone.
#[derive(Debug)]
pub(crate) struct Post {
    child: Child,
}

impl Post {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// Posts a guard for a transaction, and returns when it stands.
pub(crate) fn post(program: &GuardProgram, state: &State, id: u64) -> Result<Post, ApplyError> {
    let unfit = |why: Said| ApplyError::unfit(GUARD, why);
    let mut child = Command::new(&program.program)
        .args(&program.arguments)
        .arg(absolute(state.path()))
        .arg(id.to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| unfit(plain(&e)))?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut said).map_err(|e| unfit(plain(&e)))?;
    }
    if said.trim() != READY {
        let _ = child.wait();
        return Err(unfit(said!(
            "it did not come to its post: {:?}",
            "没有就位：{:?}",
            said.trim()
        )));
    }
    Ok(Post { child })
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

enum News {
    /// Whoever posted us is gone.
    Alone,
    /// We are asked to end: rather now than not at all.
    End,
}

/// Stands guard over a transaction; returns when there is nothing left to guard. `fault`: for tests.
pub fn stand_guard(state_dir: &Path, id: u64, fault: &Fault) -> Result<(), ApplyError> {
    // Fails only for the leader of a group, which nobody else can hang up then either.
    let _ = rustix::process::setsid();
    leave_session();
    let state = State::at(state_dir);
    let unfit = |e: &io::Error| ApplyError::unfit(GUARD, plain(e));
    let post = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(state.post(id))
        .map_err(|e| unfit(&e))?;
    flock(&post, FlockOperation::LockExclusive).map_err(|e| unfit(&e.into()))?;
    let transaction = Transaction::load(&state, id)?.ok_or_else(|| no_such(id))?;
    // Held open: a namespace must not end, nor its name mean another, before we are done.
    let place = Place::open(&transaction.plan.target, transaction.cookie).map_err(|e| unfit(&e))?;

    let (news, received) = channel();
    let signals = [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGPIPE];
    let mut signals = signal_hook::iterator::Signals::new(signals).map_err(|e| unfit(&e))?;
    let ended = news.clone();
    std::thread::spawn(move || {
        // A terminal that hangs up, or Ctrl-C in it, is not meant for us.
        if signals.forever().any(|signal| signal == SIGTERM) {
            let _ = ended.send(News::End);
        }
    });
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = io::stdin().read_to_end(&mut rest);
        let _ = news.send(News::Alone);
    });
    writeln!(io::stdout(), "{READY}").map_err(|e| unfit(&e))?;

    let mut end = matches!(received.recv(), Ok(News::End));
    while let Some(now) = Transaction::load(&state, id)? {
        let due = match (now.phase, now.left()) {
            (Phase::Applying | Phase::Undoing, _) => true,
            (Phase::Pending { .. }, left) => end || left == Some(0),
            (Phase::Standing | Phase::Undone | Phase::UndoneInPart, _) => break,
        };
        if due && take_back(&state, place.as_ref(), id, end, fault)? {
            break;
        }
        let left = now.left().map_or(LOOK, |left| Duration::from_millis(left.max(1)).min(LOOK));
        match received.recv_timeout(left) {
            Ok(News::End) => end = true,
            Ok(News::Alone) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(left),
        }
    }
    let _ = fs::remove_file(state.post(id));
    Ok(())
}

/// Whether nothing is left to do. Under the lock the journal is read again: a confirmation that came first
/// holds.
fn take_back(
    state: &State,
    place: Option<&Place>,
    id: u64,
    end: bool,
    fault: &Fault,
) -> Result<bool, ApplyError> {
    let _lock = match state.lock(Duration::from_secs(60)) {
        Ok(lock) => lock,
        Err(ApplyError::Busy { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let Some(now) = Transaction::load(state, id)? else { return Ok(true) };
    let why = match (now.phase, now.left()) {
        (Phase::Applying, _) => INTERRUPTED,
        (Phase::Undoing, _) => INTERRUPTED_BACK,
        (Phase::Pending { .. }, Some(0)) => TOO_LATE,
        (Phase::Pending { .. }, _) if end => GUARD_ENDED,
        (Phase::Pending { .. }, _) => return Ok(false),
        (Phase::Standing | Phase::Undone | Phase::UndoneInPart, _) => return Ok(true),
    };
    // What can't be taken back now is tried again by whoever calls next.
    unwind(state, place, id, &why, Stuck::Wait, fault).map(|_| true)
}

/// Out of the session's control group, which logind kills as a whole where KillUserProcesses is set; and
/// last to go when memory is short. Where that is not ours to do, we stay as we are.
fn leave_session() {
    let pid = std::process::id().to_string();
    for group in ["/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/systemd/cgroup.procs"] {
        if fs::write(group, &pid).is_ok() {
            break;
        }
    }
    let _ = fs::write("/proc/self/oom_score_adj", "-900");
}
