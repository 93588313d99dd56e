//! Runs a tool for its output: no shell, a time limit, a limit on what is kept.

use plimsoll_diagnosis::{Said, said};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Where tools are looked for. PATH is not asked: it may be anybody's, and cron's lacks sbin.
const PLACES: &[&str] = &["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];

/// Most bytes kept of what a tool says on stderr.
const COMPLAINT: u64 = 4096;

/// Limits of one run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time.
    pub time: Duration,
    /// Bytes of output kept.
    pub bytes: u64,
}

/// What a tool said.
#[derive(Debug)]
pub struct Output {
    /// Output, at most as much as was asked for.
    pub text: Vec<u8>,
    /// Why it is not whole, if so: "stopped after 2 s".
    pub cut: Option<Said>,
    /// Exit status; a tool that was stopped has none of its own.
    pub status: Option<ExitStatus>,
    /// First line of what it said on stderr, remarks beginning with `#` left out.
    pub complaint: String,
}

/// Looks a tool up by its names, the first that is there.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    names
        .iter()
        .flat_map(|name| PLACES.iter().map(move |place| Path::new(place).join(name)))
        .find(|path| path.is_file())
}

/// Runs a tool in the calling thread's namespaces: the child is forked from this very thread.
pub fn run(program: &Path, arguments: &[&str], limits: Limits) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", PLACES.join(":"))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let deadline = Instant::now() + limits.time;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    // The readers only read pipes; what namespace they are in does not matter.
    let (done, finished) = mpsc::channel();
    let reader = thread::Builder::new().spawn(move || {
        let text = out.map(|pipe| keep(pipe, limits.bytes)).unwrap_or_default();
        // The receiver may have given up waiting; the text goes with the thread's result.
        let _ = done.send(());
        text
    });
    let complaints = thread::Builder::new()
        .spawn(move || err.map(|pipe| keep(pipe, COMPLAINT)).unwrap_or_default());
    let (Ok(reader), Ok(complaints)) = (reader, complaints) else {
        stop(&mut child);
        return Err(io::Error::other(said!("no thread could be started", "无法启动线程")));
    };
    let late = finished.recv_timeout(limits.time).is_err();
    let status = if late { None } else { wait_until(&mut child, deadline) };
    if status.is_none() {
        stop(&mut child);
    }
    let text = reader.join().unwrap_or_default();
    let complaint = complaints.join().unwrap_or_default();
    let full = text.len() as u64 >= limits.bytes;
    let cut = if late {
        Some(said!("stopped after {:.1} s", "{:.1} 秒后中止", limits.time.as_secs_f64()))
    } else {
        full.then(|| {
            said!("only the first {} MiB were read", "只读了前 {} MiB", limits.bytes >> 20)
        })
    };
    Ok(Output { text, cut, status, complaint: first_line(&complaint) })
}

/// Keeps the first bytes and reads on to the end, so that the tool is never blocked by a full pipe. More than
/// twice the limit is not waited for: closing the pipe ends the tool.
fn keep(mut pipe: impl Read, limit: u64) -> Vec<u8> {
    let mut text = Vec::new();
    let _ = pipe.by_ref().take(limit).read_to_end(&mut text);
    if (text.len() as u64) < limit || limit > COMPLAINT {
        return text;
    }
    let _ = io::copy(&mut pipe, &mut io::sink());
    text
}

/// Waits for the end of a tool that has closed its output.
fn wait_until(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Ends a tool and takes its remains away.
fn stop(child: &mut Child) {
    // It may have ended by itself in the meantime.
    let _ = child.kill();
    let _ = child.wait();
}

fn first_line(complaint: &[u8]) -> String {
    String::from_utf8_lossy(complaint)
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .unwrap_or("")
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// More than any tool here needs on the busiest machine.
    const AMPLE: Limits = Limits { time: Duration::from_secs(60), bytes: 1 << 20 };

    fn shell(script: &str, limits: Limits) -> Output {
        run(Path::new("/bin/sh"), &["-c", script], limits).unwrap()
    }

    #[test]
    fn what_a_tool_said_before_its_time_ran_out_is_kept() {
        let stopped = |millis: u64| {
            let limits = Limits { time: Duration::from_millis(millis), ..AMPLE };
            let output = shell("echo table; exec sleep 600", limits);
            assert_eq!(
                *output.cut.unwrap(),
                *format!("stopped after {:.1} s", millis as f64 / 1e3)
            );
            assert!(output.status.is_none());
            output.text
        };
        // A busy machine may not even have begun it within a moment.
        let said = [300, 3_000, 30_000].into_iter().map(stopped).find(|text| !text.is_empty());
        assert_eq!(said.unwrap(), b"table\n");
    }

    #[test]
    fn a_tool_that_talks_without_end_is_cut_and_ended() {
        let output = shell("exec cat /dev/zero", AMPLE);
        assert_eq!(output.text.len(), 1 << 20);
        assert_eq!(output.cut.unwrap(), "only the first 1 MiB were read");
    }

    #[test]
    fn a_tool_that_complains_a_lot_is_not_blocked() {
        let output = shell("echo '# remark' >&2; head -c 1000000 /dev/zero >&2; echo x", AMPLE);
        assert_eq!((output.text.as_slice(), output.cut), (&b"x\n"[..], None));
        assert!(output.status.unwrap().success());
    }

    #[test]
    fn nothing_of_the_caller_s_environment_reaches_the_tool() {
        let output = shell("env; echo gone >&2; exit 3", AMPLE);
        let text = String::from_utf8(output.text).unwrap();
        assert!(text.contains("LC_ALL=C") && !text.contains("CARGO"));
        assert_eq!((output.complaint.as_str(), output.status.unwrap().code()), ("gone", Some(3)));
    }
}
