//! Programs of the host: nft, iptables-restore, modprobe.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use plimsoll_diagnosis::said;

use crate::error::plain;

/// Root's shells do not all have these in their path.
const ALSO: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a program is.
pub(super) fn find(name: &str) -> io::Result<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').chain(ALSO.split(':')).filter(|p| p.starts_with('/'));
    let mut found = places.map(|place| PathBuf::from(place).join(name));
    found.find(|file| file.is_file()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            said!("the program {name} is not installed", "没有安装程序 {name}"),
        )
    })
}

/// Runs it with a text on its standard input; its output, or an error with what it said.
pub(super) fn run(name: &str, arguments: &[&str], input: &str) -> io::Result<String> {
    let program = find(name)?;
    let mut child = Command::new(&program)
        .args(arguments)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| {
            let why = plain(&e);
            let said = said!("starting {}: {e}", "启动 {}：{why:#}", program.display());
            io::Error::new(e.kind(), said)
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading has something to say about it.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).filter(|l| !l.is_empty()).take(3).collect::<Vec<_>>();
    let said = if said.is_empty() { output.status.to_string() } else { said.join(" / ") };
    Err(io::Error::other(said!("{name} says: {said}", "{name} 说：{said}")))
}
