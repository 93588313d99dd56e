//! The guard: a small process that undoes what the lab did as soon as the lab is gone.
//!
//! It waits at the far end of a pipe. When our end closes, because we closed it, returned, panicked, or
//! were killed with a signal that nobody can catch, it runs its undo script. So there is one way to undo,
//! and every run uses it. It lives in its own process group (no Ctrl-C reaches it), ignores the signals
//! that a closing terminal or a polite `kill` sends, and pins no directory.

use crate::LabError;
use crate::attempt::attempt;
use crate::command::SEARCH_PATH;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Waits for the end of its standard input, then runs what follows. The undo must bear being run twice.
const WAIT: &str = "trap '' HUP INT TERM QUIT PIPE; while read -r _; do :; done\n";

static ALL: Mutex<Vec<Arc<Guard>>> = Mutex::new(Vec::new());

/// A guard at its post.
#[derive(Debug)]
pub(crate) struct Guard {
    script: String,
    arguments: Vec<String>,
    child: Mutex<Option<Child>>,
}

impl Guard {
    /// Posts a guard that will run `undo`, a shell script, with `arguments` as `$1`...; `held` is a file it
    /// keeps open until it is done.
    pub(crate) fn post(
        undo: &str,
        arguments: &[&str],
        held: Option<File>,
    ) -> Result<Arc<Self>, LabError> {
        let script = format!("{WAIT}{undo}");
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        let child = shell(&script, &arguments)
            .stdin(Stdio::piped())
            .stdout(held.map_or_else(Stdio::null, Stdio::from))
            .spawn()
            .map_err(LabError::system(attempt!("starting the guard", "启动守护进程")))?;
        let guard = Arc::new(Self { script, arguments, child: Mutex::new(Some(child)) });
        lock(&ALL).push(Arc::clone(&guard));
        Ok(guard)
    }

    /// Has everything undone and waits for it. The second call does nothing.
    pub(crate) fn dismiss(&self) -> Result<(), LabError> {
        let mut slot = lock(&self.child);
        let Some(mut child) = slot.take() else { return Ok(()) };
        lock(&ALL).retain(|other| !std::ptr::eq(&**other, self));
        drop(child.stdin.take());
        let undone = child.wait().is_ok_and(|status| status.success());
        if undone {
            return Ok(());
        }
        // Somebody killed the guard, or a command of it failed: once more, and this time we listen.
        let output = shell(&self.script, &self.arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(LabError::system(attempt!("cleaning up", "清理")))?;
        if output.status.success() {
            return Ok(());
        }
        Err(LabError::NotCleanedUp {
            what: self.arguments.join(" "),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

fn shell(script: &str, arguments: &[String]) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script, "plimsoll-lab-guard"])
        .args(arguments)
        .env("PATH", SEARCH_PATH)
        .current_dir("/")
        .process_group(0)
        .stdout(Stdio::null());
    command
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on SIGINT, SIGTERM and SIGHUP first undo everything that labs of this process did, and then
/// end the process as if nobody had handled them. Without this call the guards do the same a moment
/// *after* the process has ended.
pub fn install_signal_cleanup() -> Result<(), LabError> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(LabError::system(attempt!("handling signals", "处理信号")))?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let guards: Vec<Arc<Guard>> = lock(&ALL).clone();
            for guard in guards.iter().rev() {
                if let Err(error) = guard.dismiss() {
                    error.tell();
                }
            }
            // Fails only for a signal without a default action: not for these three.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
    Ok(())
}
