//! ctnetlink's dumps.

use std::io;

use plimsoll_ct::{CpuCounters, Entry, Nanos};
use plimsoll_diagnosis::facts::{Gap, Reason};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::Malformed;
use plimsoll_wire::ctnetlink::{self, Filter};
use plimsoll_wire::netlink::{Message, Messages};

use super::clock::{Budget, Meter};
use super::proc;
use super::socket::{Part, Socket};

/// The kernel fills at most about 32 KiB of a reader's buffer.
const BUFFER: usize = 64 << 10;

/// Takes each entry, or what could not be understood; `false` ends the reading.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(Result<&Entry, &Malformed>) -> bool;

/// How a reading ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// The table's end was reached.
    pub(crate) complete: bool,
    /// Kernel time spent.
    pub(crate) kernel_time: Option<Nanos>,
}

/// Why there was no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Socket.
    Io(io::Error),
    /// The kernel refused.
    Refused(io::Error),
    /// Bytes that are no netlink.
    Malformed(Malformed),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How this way of reading is called.
pub(crate) const DUMP: Said = Said::of("ctnetlink dump", "ctnetlink 转储");

impl Trouble {
    pub(crate) fn gap(self, what: Said) -> Gap {
        match self {
            Self::Io(error) | Self::Refused(error) => {
                let mut gap = proc::gap_of(what, &error);
                match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        gap.needs = Some(Said::of(
                            "CAP_NET_ADMIN in the network namespace",
                            "该网络命名空间里的 CAP_NET_ADMIN",
                        ));
                    }
                    // nfnetlink's answer when the subsystem is not there.
                    io::ErrorKind::InvalidInput => gap.reason = Reason::NotBuilt,
                    _ => {}
                }
                gap
            }
            Self::Malformed(e) => Gap {
                reason: Reason::Malformed,
                detail: {
                    let why = Said::from(e);
                    said!("{what}: {why}", "{what:#}：{why:#}")
                },
                needs: None,
            },
        }
    }
}

/// Dumps the table. What was seen before a failure counts as an incomplete reading.
pub(super) fn entries(budget: Budget, visit: Visit<'_>) -> Result<Outcome, Trouble> {
    let meter = Meter::start(budget);
    let mut seen = false;
    let end = messages(
        &ctnetlink::dump(1, &Filter::default()),
        &mut |payload| {
            seen = true;
            match ctnetlink::decode(payload, None) {
                Ok(entry) => visit(Ok(&entry)),
                Err(malformed) => visit(Err(&malformed)),
            }
        },
        &|| meter.is_spent(),
    );
    let complete = match end {
        Ok(complete) => complete,
        Err(_) if seen => false,
        Err(trouble) => return Err(trouble),
    };
    Ok(Outcome { complete, kernel_time: meter.kernel_nanos() })
}

/// The per-CPU statistics.
pub(super) fn cpu_counters() -> Result<CpuCounters, Trouble> {
    let mut cpus = Vec::new();
    let mut malformed = None;
    let take = &mut |payload: &[u8]| match ctnetlink::cpu_counters(payload) {
        Ok(cpu) => {
            cpus.push(cpu);
            true
        }
        Err(e) => {
            malformed = Some(e);
            false
        }
    };
    messages(&ctnetlink::statistics_per_cpu(1), take, &|| false)?;
    match malformed {
        Some(e) => Err(Trouble::Malformed(e)),
        None => {
            cpus.sort_by_key(|(cpu, _)| *cpu);
            Ok(CpuCounters { rows: cpus.into_iter().map(|(_, row)| row).collect() })
        }
    }
}

/// How many answers a dump request to a netfilter subsystem gets, that must be in the kernel already.
/// `None`: refused.
pub(crate) fn answers(request: &[u8]) -> Option<u64> {
    let mut count = 0;
    let take = &mut |_: &[u8]| {
        count += 1;
        true
    };
    matches!(messages(request, take, &|| false), Ok(true)).then_some(count)
}

/// Sends a dump request and shows each answer's payload. Whether the end was reached.
fn messages(
    request: &[u8],
    take: &mut dyn FnMut(&[u8]) -> bool,
    stop: &dyn Fn() -> bool,
) -> Result<bool, Trouble> {
    let mut dump = Dump::start(Part::Netfilter, request)?;
    loop {
        match dump.next(take)? {
            Step::End => return Ok(true),
            Step::Stopped => return Ok(false),
            Step::Overrun => return Err(io::Error::from_raw_os_error(ENOBUFS).into()),
            Step::More if stop() => return Ok(false),
            Step::More => {}
        }
    }
}

const ENOBUFS: i32 = 105;

/// A dump under way.
#[derive(Debug)]
pub(crate) struct Dump {
    socket: Socket,
    buffer: Vec<u8>,
}

/// What one datagram brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// More will come.
    More,
    /// The end.
    End,
    /// The visitor wants no more.
    Stopped,
    /// The kernel says that messages were lost; the dump goes on.
    Overrun,
}

impl Dump {
    pub(crate) fn start(part: Part, request: &[u8]) -> Result<Self, Trouble> {
        let socket = Socket::open(part)?;
        socket.send(request)?;
        Ok(Self { socket, buffer: vec![0; BUFFER] })
    }

    /// Receives one datagram and shows each answer's payload.
    pub(crate) fn next(&mut self, take: &mut dyn FnMut(&[u8]) -> bool) -> Result<Step, Trouble> {
        let datagram = match self.socket.receive(&mut self.buffer) {
            Err(error) if error.raw_os_error() == Some(ENOBUFS) => return Ok(Step::Overrun),
            received => received?,
        };
        for message in Messages::new(datagram) {
            match message.map_err(Trouble::Malformed)? {
                Message::Data { payload, .. } => {
                    if !take(payload) {
                        return Ok(Step::Stopped);
                    }
                }
                Message::Done { error: 0, .. } => return Ok(Step::End),
                Message::Done { error, .. } => {
                    return Err(Trouble::Refused(io::Error::from_raw_os_error(-error)));
                }
                Message::Error { errno, .. } => {
                    return Err(Trouble::Refused(io::Error::from_raw_os_error(errno)));
                }
                Message::Control(_) => {}
            }
        }
        Ok(Step::More)
    }
}
