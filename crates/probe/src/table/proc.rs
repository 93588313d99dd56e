//! The proc files of the calling thread's namespace.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use plimsoll_diagnosis::facts::{Gap, Reason};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::listing;

use super::clock::{Budget, Meter};
use super::dump::{Outcome, Visit};
use super::listing::{Bounded, next_line};
use crate::live::said_of;

/// A file under /proc/net of the calling thread, whatever namespace the process's main thread is in.
pub(crate) fn net_file(name: &str) -> PathBuf {
    let own = Path::new("/proc/thread-self/net");
    if own.exists() {
        return own.join(name);
    }
    // Before 3.17.
    PathBuf::from(format!("/proc/self/task/{}/net", nix::unistd::gettid())).join(name)
}

/// Reads the table as text.
pub(crate) fn entries(budget: Budget, visit: Visit<'_>) -> Result<Outcome, Gap> {
    let meter = Meter::start(budget);
    let mut gap = None;
    for name in ["nf_conntrack", "ip_conntrack"] {
        match File::open(net_file(name)) {
            Ok(file) => return Ok(lines(BufReader::with_capacity(64 << 10, file), &meter, visit)),
            Err(error) => {
                let mut this = gap_of(Said::name(format!("/proc/net/{name}")), &error);
                if this.reason == Reason::NotPermitted {
                    this.needs = Some(Said::name("root"));
                }
                gap.get_or_insert(this);
            }
        }
    }
    Err(gap.unwrap_or_else(|| Gap {
        reason: Reason::NotBuilt,
        detail: Said::name("/proc/net/nf_conntrack"),
        needs: None,
    }))
}

fn lines(mut reader: impl BufRead, meter: &Meter, visit: Visit<'_>) -> Outcome {
    let mut line = Vec::new();
    let mut number = 0u64;
    let complete = loop {
        match next_line(&mut reader, &mut line) {
            Ok(Some(Bounded::Whole)) if line.trim_ascii().is_empty() => continue,
            Ok(Some(_)) => {}
            Ok(None) => break true,
            Err(_) => break false,
        }
        let go_on = match listing::parse(&line) {
            Ok(line) => visit(Ok(&line.entry)),
            Err(malformed) => visit(Err(&malformed)),
        };
        number += 1;
        if !go_on || (number.is_multiple_of(256) && meter.is_spent()) {
            break false;
        }
    };
    Outcome { complete, kernel_time: meter.kernel_nanos() }
}

/// The gap behind an error of the system.
pub(crate) fn gap_of(what: impl Into<Said>, error: &io::Error) -> Gap {
    let reason = match error.kind() {
        io::ErrorKind::PermissionDenied => Reason::NotPermitted,
        io::ErrorKind::NotFound | io::ErrorKind::Unsupported => Reason::NotBuilt,
        _ => match error.raw_os_error() {
            // EPROTONOSUPPORT, EOPNOTSUPP, EAFNOSUPPORT
            Some(93 | 95 | 97) => Reason::NotBuilt,
            _ => Reason::Failed,
        },
    };
    let (what, why) = (what.into(), said_of(error));
    Gap { reason, detail: said!("{what}: {why}", "{what:#}：{why:#}"), needs: None }
}
