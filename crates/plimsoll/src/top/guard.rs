//! The guard of the terminal: a process that gives it back when `top` is killed and can't do so itself.
//!
//! It is posted before anything is changed, keeps what the terminal was like, and waits at the end of a socket. A word
//! there means that all was given back; the end without a word, that `top` is gone.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTTOU};

/// No mouse, the first screen, a cursor, no colour.
const GIVEN_BACK: &[u8] =
    b"\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1049l\x1b[?25h\x1b[0m";

/// A guard that stands.
pub struct Guard {
    socket: UnixStream,
    child: Child,
}

impl Guard {
    /// Posts it, and returns when it stands.
    pub fn post() -> io::Result<Self> {
        let (mut socket, theirs) = UnixStream::pair()?;
        let child = Command::new(std::env::current_exe()?)
            .arg("terminal-guard")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::inherit())
            .stderr(Stdio::null())
            .spawn()?;
        let mut ready = [0];
        socket.read_exact(&mut ready)?;
        Ok(Self { socket, child })
    }

    /// All was given back: it may go.
    pub fn dismiss(mut self) {
        let _ = self.socket.write_all(b"d");
        let _ = self.child.wait();
    }
}

/// Stands guard over the terminal at standard output, until there is nothing left to guard.
pub fn stand() -> ExitCode {
    // Not of the group that the terminal stops or hangs up.
    let _ = rustix::process::setsid();
    let heard = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTTOU] {
        let _ = signal_hook::flag::register(signal, Arc::clone(&heard));
    }
    let Ok(before) = tcgetattr(io::stdout()) else { return ExitCode::FAILURE };
    let (mut socket, mut word) = (io::stdin(), [0]);
    // The other half of the socket is the same descriptor.
    let Ok(mut answer) = rustix::io::dup(&socket).map(UnixStream::from) else {
        return ExitCode::FAILURE;
    };
    if answer.write_all(b"r").is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        match socket.read(&mut word) {
            Ok(0) => break,
            Ok(_) => return ExitCode::SUCCESS,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    give_back(&before);
    ExitCode::SUCCESS
}

/// Gives the terminal back as it was.
fn give_back(before: &Termios) {
    let mut out = io::stdout();
    let _ = out.write_all(GIVEN_BACK).and_then(|()| out.flush());
    let _ = tcsetattr(&out, OptionalActions::Now, before);
}
