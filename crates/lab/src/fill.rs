//! Filling the table with real TCP connections: a real listener, real handshakes, ASSURED entries.
//!
//! Hundreds of thousands of them, without as many open sockets: once a connection stands, both ends are
//! taken away in silence (TCP_REPAIR: no FIN, no RST), as if both machines had lost their power. What is
//! left is what a real leak leaves: an ESTABLISHED, ASSURED entry that lives for five days.

use crate::address::{APPLICATION, SERVICE_PORT, Sources};
use crate::attempt::attempt;
use crate::{Lab, LabError, Namespace};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, SockaddrIn, bind, connect, listen,
    setsockopt, shutdown, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How the connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Not at all: both ends vanish in silence, the entry stays ESTABLISHED.
    Silent,
    /// As it should be, the client first: the entry goes to TIME_WAIT. On a busy machine, where packets
    /// overtake each other, one in some thousands is answered by a reset and goes to CLOSE.
    Orderly,
}

/// How a fill went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filled {
    /// Connections that stood.
    pub made: u64,
    /// Connections that got no answer.
    pub failed: u64,
    /// The time it took.
    pub took: Duration,
}

/// A SYN that is lost comes again after a second; who has no answer by then gets none.
const PATIENCE: i64 = 500;
/// After so many failures in a row a worker takes the table for full.
const GIVE_UP: u64 = 3;

impl Lab {
    /// Opens `connections` real TCP connections from the client to the application and closes them as
    /// told. `progress` hears the number made so far, from several threads.
    ///
    /// Ends early when connections are not answered any more: the table is full.
    pub fn fill_tcp(
        &self,
        connections: u64,
        closing: Closing,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Filled, LabError> {
        self.fill_tcp_from(Sources::crowded, connections, closing, progress)
    }

    /// The same, with each connection from another host.
    pub fn fill_tcp_scattered(
        &self,
        connections: u64,
        closing: Closing,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Filled, LabError> {
        self.fill_tcp_from(Sources::scattered, connections, closing, progress)
    }

    fn fill_tcp_from(
        &self,
        pick: fn(Sources, u64) -> (Ipv4Addr, u16),
        connections: u64,
        closing: Closing,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Filled, LabError> {
        let started = Instant::now();
        let listener = self.server().run(|| application(4096))??;
        // Sources are not used twice, or a later fill would meet the entries of an earlier one.
        let first = self.next_source(connections);
        let next = AtomicU64::new(first);
        let (made, failed, fetched) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let work = Work {
            client: self.client(),
            listener: &listener,
            pick,
            closing,
            next: &next,
            end: first + connections,
            made: &made,
            fetched: &fetched,
            failed: &failed,
            progress,
        };
        let workers = std::thread::available_parallelism().map_or(2, usize::from).min(8);
        let halves = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(|| work.run())).collect();
            let results = threads.into_iter().map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            results.collect::<Result<Vec<_>, _>>()
        })?;
        // What a worker could not fetch at once, since its packets took another CPU. Closing the listener
        // would reset those that are still on their way.
        let patience = Instant::now() + Duration::from_millis(500);
        while fetched.load(Ordering::Relaxed) < made.load(Ordering::Relaxed)
            && Instant::now() < patience
        {
            if !work.fetch()? {
                std::thread::yield_now();
            }
        }
        drop(halves);
        Ok(Filled { made: made.into_inner(), failed: failed.into_inner(), took: started.elapsed() })
    }
}

/// What the workers share.
struct Work<'a> {
    client: &'a Namespace,
    listener: &'a TcpListener,
    pick: fn(Sources, u64) -> (Ipv4Addr, u16),
    closing: Closing,
    next: &'a AtomicU64,
    end: u64,
    made: &'a AtomicU64,
    fetched: &'a AtomicU64,
    failed: &'a AtomicU64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Work<'_> {
    /// Connects, and takes the other end from the listener: the whole handshake happens inside
    /// `connect`, on this CPU, so there is nothing to wait for.
    fn run(&self) -> Result<VecDeque<OwnedFd>, LabError> {
        self.client.enter()?;
        let mut failures = 0;
        // Held until the other end has closed as well: a FIN that finds no socket is answered by a reset.
        let mut closing = VecDeque::new();
        while failures < GIVE_UP {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            if n >= self.end {
                break;
            }
            let (address, port) = (self.pick)(Sources::Real, n);
            let Some(socket) = dial(address, port)? else {
                failures += 1;
                self.failed.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            failures = 0;
            match self.closing {
                Closing::Silent => vanish(&socket)?,
                Closing::Orderly => {
                    shutdown(socket.as_raw_fd(), Shutdown::Write)
                        .map_err(LabError::errno(attempt!("closing a connection", "关闭连接")))?;
                    closing.push_back(socket);
                    if closing.len() > 64 {
                        closing.pop_front();
                    }
                }
            }
            self.fetch()?;
            let made = self.made.fetch_add(1, Ordering::Relaxed) + 1;
            if made.is_multiple_of(1024) {
                (self.progress)(made);
            }
        }
        Ok(closing)
    }

    /// Takes one connection from the listener and closes it; false if none was there.
    fn fetch(&self) -> Result<bool, LabError> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                if self.closing == Closing::Silent {
                    vanish(&stream)?;
                }
                self.fetched.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) => {
                Ok(false)
            }
            Err(e) => Err(LabError::system(attempt!("accepting a connection", "接受连接"))(e)),
        }
    }
}

/// The application's listener; nobody waits on it.
pub(crate) fn application(backlog: i32) -> Result<TcpListener, LabError> {
    let listener = listener(APPLICATION, backlog)?;
    listener
        .set_nonblocking(true)
        .map_err(LabError::system(attempt!("preparing the listener", "准备监听")))?;
    Ok(listener)
}

pub(crate) fn listener(address: Ipv4Addr, backlog: i32) -> Result<TcpListener, LabError> {
    let failed = || {
        LabError::errno(attempt!(
            "listening on {address}:{SERVICE_PORT}",
            "监听 {address}:{SERVICE_PORT}"
        ))
    };
    let socket = tcp(SockFlag::empty())?;
    setsockopt(&socket, sockopt::ReuseAddr, &true).map_err(failed())?;
    bind(socket.as_raw_fd(), &endpoint(address, SERVICE_PORT)).map_err(failed())?;
    listen(&socket, Backlog::new(backlog).map_err(failed())?).map_err(failed())?;
    Ok(TcpListener::from(socket))
}

/// A connection from this source to the application; nothing if it is not answered in time.
fn dial(address: Ipv4Addr, port: u16) -> Result<Option<OwnedFd>, LabError> {
    let failed = || {
        LabError::errno(attempt!(
            "connecting from {address}:{port}",
            "从 {address}:{port} 发起连接"
        ))
    };
    let socket = tcp(SockFlag::empty())?;
    setsockopt(&socket, sockopt::ReuseAddr, &true).map_err(failed())?;
    let patience = TimeVal::milliseconds(PATIENCE);
    setsockopt(&socket, sockopt::SendTimeout, &patience).map_err(failed())?;
    bind(socket.as_raw_fd(), &endpoint(address, port)).map_err(failed())?;
    match connect(socket.as_raw_fd(), &endpoint(APPLICATION, SERVICE_PORT)) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::EINPROGRESS | Errno::EAGAIN | Errno::ETIMEDOUT | Errno::EINTR) => Ok(None),
        Err(errno) => Err(failed()(errno)),
    }
}

/// From now on closing this socket sends nothing.
fn vanish(socket: &impl std::os::fd::AsFd) -> Result<(), LabError> {
    setsockopt(socket, sockopt::TcpRepair, &1).map_err(LabError::errno(attempt!(
        "silencing a connection (TCP_REPAIR)",
        "让连接沉默（TCP_REPAIR）"
    )))
}

pub(crate) fn tcp(flags: SockFlag) -> Result<OwnedFd, LabError> {
    socket(AddressFamily::Inet, SockType::Stream, flags | SockFlag::SOCK_CLOEXEC, None)
        .map_err(LabError::errno(attempt!("opening a socket", "打开套接字")))
}

pub(crate) fn endpoint(address: Ipv4Addr, port: u16) -> SockaddrIn {
    let [a, b, c, d] = address.octets();
    SockaddrIn::new(a, b, c, d, port)
}
