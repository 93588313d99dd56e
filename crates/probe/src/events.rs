//! What ctnetlink tells by itself: entries that come, change and go.
//!
//! The kernel adds 128 bytes to every entry that is made while anybody listens, on the whole host, and entries made
//! before the first listener never tell of their end. A listener that is too slow loses events, and is told no more
//! than that (ENOBUFS): then read the table again.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname,
    recv, setsockopt, socket,
};
use plimsoll_ct::Entry;
use plimsoll_diagnosis::Said;
use plimsoll_diagnosis::facts::Gap;
use plimsoll_wire::Malformed;
use plimsoll_wire::ctnetlink::{self, Details, command};
use plimsoll_wire::netlink::{Message, Messages};

use crate::entries::Scope;
use crate::files::Files;
use crate::live::{self, Visit};
use crate::table::{gap_of, netlink_safe};

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It came.
    New,
    /// It changed: what did not change may be missing from it.
    Update,
    /// It went.
    Destroy,
}

/// One thing that a listener is told.
#[derive(Debug)]
pub enum Happening<'a> {
    /// An entry came, changed or went.
    Event {
        /// Which.
        kind: Kind,
        /// The entry.
        entry: &'a Entry,
        /// All else that the message told.
        details: &'a Details,
        /// Netlink port of the program that did it; `None`: the kernel by itself.
        by: Option<u32>,
    },
    /// Events of a namespace were lost.
    Lost {
        /// Its inode.
        netns: Option<u64>,
    },
    /// A message could not be understood.
    Malformed(&'a Malformed),
}

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Events were shown; there may be more.
    Events,
    /// Nothing happened for the given time.
    Quiet,
    /// The visitor wants no more.
    Stopped,
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
}

/// A listener in one namespace or several.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<(Option<u64>, OwnedFd)>,
    signals: SignalFd,
    buffer: Vec<u8>,
    /// Namespaces where listening was refused.
    pub refused: Vec<(Option<u64>, Gap)>,
}

/// Groups of new, changed and removed entries.
const GROUPS: u32 = 0b111;
/// A datagram of one event has some hundred bytes.
const BUFFER: usize = 64 << 10;
/// NLM_F_CREATE, which marks an entry that came.
const CREATE: u16 = 0x400;

impl Listener {
    /// Begins to listen. `bytes`: how much the kernel keeps of what was not received yet.
    ///
    /// From now on SIGINT, SIGTERM and SIGHUP end [`Self::wait`] instead of the program, in this thread and those it
    /// makes.
    pub fn open(scope: &Scope, bytes: usize) -> Result<Self, Gap> {
        let failed = |error: io::Error| gap_of(EVENTS, &error);
        netlink_safe(&Files::live())?;
        let mut set = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            set.add(signal);
        }
        set.thread_block().map_err(|error| failed(error.into()))?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&set, flags).map_err(|error| failed(error.into()))?;
        let mut listener =
            Self { sockets: Vec::new(), signals, buffer: vec![0; BUFFER], refused: Vec::new() };
        if *scope == Scope::Here {
            let inode = std::fs::metadata("/proc/thread-self/ns/net")
                .ok()
                .map(|file| std::os::unix::fs::MetadataExt::ino(&file));
            listener.sockets.push((inode, listen(bytes).map_err(|error| refusal(&error))?));
            return Ok(listener);
        }
        let mut found = live::found();
        if let Scope::Some(inodes) = scope {
            found.retain(|found| found.inode.is_some_and(|inode| inodes.contains(&inode)));
        }
        let doors: Vec<_> = found.iter().collect();
        let visits = live::each(&doors, |here, _| match &here.outside {
            Some(gap) => Err(gap.clone()),
            None => listen(bytes).map_err(|error| refusal(&error)),
        });
        for (visit, door) in visits.into_iter().zip(&doors) {
            match visit {
                Visit::Read(Ok(socket)) => listener.sockets.push((door.inode, socket)),
                Visit::Read(Err(gap)) | Visit::Refused(gap) => {
                    listener.refused.push((door.inode, gap));
                }
                Visit::Gone => {}
            }
        }
        match (listener.sockets.is_empty(), listener.refused.first()) {
            (true, Some((_, gap))) => Err(gap.clone()),
            (true, None) => Err(failed(io::Error::other("no network namespace is left"))),
            (false, _) => Ok(listener),
        }
    }

    /// Waits for something to happen, at most for so many milliseconds, and shows what did.
    pub fn wait(
        &mut self,
        milliseconds: u16,
        visit: &mut dyn FnMut(Option<u64>, Happening<'_>) -> bool,
    ) -> io::Result<Woken> {
        let mut ready: Vec<PollFd<'_>> = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        ready.extend(self.sockets.iter().map(|(_, fd)| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        match poll(&mut ready, PollTimeout::from(milliseconds)) {
            Ok(0) => return Ok(Woken::Quiet),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(Woken::Events),
            Err(error) => return Err(error.into()),
        }
        let is_ready: Vec<bool> = ready.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        if is_ready[0] {
            return Ok(Woken::Signal);
        }
        for ((netns, socket), _) in
            self.sockets.iter().zip(&is_ready[1..]).filter(|(_, ready)| **ready)
        {
            if !receive(*netns, socket, &mut self.buffer, visit)? {
                return Ok(Woken::Stopped);
            }
        }
        Ok(Woken::Events)
    }

    /// How many messages the kernel dropped for want of room in the sockets of the calling thread's namespace.
    pub fn dropped(&self) -> Option<u64> {
        let text = std::fs::read_to_string("/proc/thread-self/net/netlink").ok()?;
        let ports: Vec<u32> = self
            .sockets
            .iter()
            .filter_map(|(_, fd)| Some(getsockname::<NetlinkAddr>(fd.as_raw_fd()).ok()?.pid()))
            .collect();
        // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode; 12 is the packet filter's part.
        let mut dropped = None;
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [_, "12", pid, _, _, _, _, _, drops, ..] = words[..] else { continue };
            if pid.parse().is_ok_and(|pid| ports.contains(&pid)) {
                *dropped.get_or_insert(0) += drops.parse::<u64>().unwrap_or(0);
            }
        }
        dropped
    }
}

/// The name of the program that holds a netlink socket of this port, in the calling thread's namespace. It may be gone by
/// now.
pub fn program_of(port: u32) -> Option<String> {
    let text = std::fs::read_to_string("/proc/thread-self/net/netlink").ok()?;
    let inode = text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (family, pid) = (words.nth(1)?, words.next()?);
        (family == "12" && pid.parse() == Ok(port)).then(|| words.next_back())?
    })?;
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let holds = |process: &std::path::Path| {
        std::fs::read_dir(process.join("fd")).is_ok_and(|mut files| {
            files.any(|file| {
                file.and_then(|file| std::fs::read_link(file.path()))
                    .is_ok_and(|link| link.as_os_str() == wanted.as_str())
            })
        })
    };
    let process = processes.map(|process| process.path()).find(|process| holds(process))?;
    let name = std::fs::read_to_string(process.join("comm")).ok()?;
    Some(name.trim_end_matches('\n').to_owned())
}

/// How this way of reading is called.
const EVENTS: Said = Said::of("ctnetlink events", "ctnetlink 事件");

fn refusal(error: &io::Error) -> Gap {
    let mut gap = gap_of(EVENTS, error);
    if error.kind() == io::ErrorKind::PermissionDenied {
        gap.needs = Some(Said::of(
            "CAP_NET_ADMIN in the network namespace",
            "该网络命名空间里的 CAP_NET_ADMIN",
        ));
    }
    gap
}

/// A socket of the calling thread's namespace that hears all three groups.
fn listen(bytes: usize) -> io::Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkNetFilter,
    )?;
    // Beyond the limit of the host with the right to, else up to it.
    if setsockopt(&fd, RcvBufForce, &bytes).is_err() {
        setsockopt(&fd, RcvBuf, &bytes)?;
    }
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(fd)
}

/// Takes what is there, up to a few hundred datagrams, so that other sockets get their turn.
fn receive(
    netns: Option<u64>,
    socket: &OwnedFd,
    buffer: &mut [u8],
    visit: &mut dyn FnMut(Option<u64>, Happening<'_>) -> bool,
) -> io::Result<bool> {
    let mut details = Details::default();
    let mut entry = Entry::UNKNOWN;
    for _ in 0..256 {
        let length = match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC) {
            Ok(length) => length,
            Err(nix::errno::Errno::EAGAIN) => return Ok(true),
            Err(nix::errno::Errno::EINTR) => continue,
            Err(nix::errno::Errno::ENOBUFS) => {
                if !visit(netns, Happening::Lost { netns }) {
                    return Ok(false);
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for message in Messages::new(buffer.get(..length).unwrap_or_default()) {
            let (header, payload) = match message {
                Ok(Message::Data { header, payload }) => (header, payload),
                Ok(Message::Done { .. } | Message::Error { .. } | Message::Control(_)) => continue,
                Err(malformed) => {
                    if !visit(netns, Happening::Malformed(&malformed)) {
                        return Ok(false);
                    }
                    continue;
                }
            };
            let kind = match header.kind {
                command::NEW if header.flags & CREATE != 0 => Kind::New,
                command::NEW => Kind::Update,
                command::DELETE => Kind::Destroy,
                _ => continue,
            };
            let by = (header.port != 0).then_some(header.port);
            entry.netns = netns;
            let go_on = match ctnetlink::decode_with(payload, None, &mut entry, &mut details) {
                Ok(()) => {
                    visit(netns, Happening::Event { kind, entry: &entry, details: &details, by })
                }
                Err(malformed) => visit(netns, Happening::Malformed(&malformed)),
            };
            if !go_on {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
