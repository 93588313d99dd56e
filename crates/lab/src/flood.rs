//! Floods: packets with forged sources, as fast as asked, from the client's namespace.
//!
//! They cannot leave the lab: the only way out of the client's namespace is the cable to the server.

use crate::address::{SERVICE_PORT, Sources, WEB};
use crate::attempt::attempt;
use crate::packet::Packet;
use crate::{Lab, LabError, Namespace};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a flood consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TCP packets that open a connection.
    Syn,
    /// UDP datagrams of four bytes.
    Udp,
    /// ICMP echo requests.
    Ping,
}

/// How fast, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Packets per second; as fast as the machine can if absent.
    pub per_second: Option<u64>,
    /// The number of packets; until stopped if absent.
    pub packets: Option<u64>,
}

impl Pace {
    /// So many at once, as fast as can be.
    pub const fn burst(packets: u64) -> Self {
        Self { per_second: None, packets: Some(packets) }
    }

    /// So many per second until stopped.
    pub const fn steady(per_second: u64) -> Self {
        Self { per_second: Some(per_second), packets: None }
    }
}

/// A flood that runs. Dropping it stops it.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<(), LabError>>>,
}

impl Lab {
    /// Starts a flood of new "connections" to the web server, each packet from another forged source.
    ///
    /// [`Sources::Answered`]: the server's answers leave it, so the entries have seen a reply.
    /// [`Sources::Unanswered`]: the entries stay UNREPLIED.
    pub fn flood(&self, kind: Kind, sources: Sources, pace: Pace) -> Result<Flood, LabError> {
        self.flood_from(kind, sources, pace, 0)
    }

    /// The same, but the first `skip` sources were used already.
    pub(crate) fn flood_from(
        &self,
        kind: Kind,
        sources: Sources,
        pace: Pace,
        skip: u64,
    ) -> Result<Flood, LabError> {
        let sender = RawSender::new(self.client())?;
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            run(&sender, kind, move |n| sources.scattered(skip + n), pace, &stopped, &counter)
        });
        Ok(Flood { stop, sent, thread: Some(thread) })
    }
}

impl Flood {
    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until a flood with an end has ended; returns the packets sent.
    pub fn finish(mut self) -> Result<u64, LabError> {
        self.join()?;
        Ok(self.sent())
    }

    /// Stops it; returns the packets sent.
    pub fn stop(mut self) -> Result<u64, LabError> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()?;
        Ok(self.sent())
    }

    fn join(&mut self) -> Result<(), LabError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever wanted to know how it went called `stop` or `finish`.
            let _ = thread.join();
        }
    }
}

fn run(
    sender: &RawSender,
    kind: Kind,
    source: impl Fn(u64) -> (Ipv4Addr, u16),
    pace: Pace,
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> Result<(), LabError> {
    let mut packet = Packet::new(kind, WEB, SERVICE_PORT);
    let end = pace.packets.unwrap_or(u64::MAX);
    let started = Instant::now();
    let mut n = 0;
    while n < end && !stop.load(Ordering::Relaxed) {
        let due = match pace.per_second {
            None => n + 256,
            Some(rate) => (started.elapsed().as_micros() as u64).saturating_mul(rate) / 1_000_000,
        };
        while n < due.min(end) && !stop.load(Ordering::Relaxed) {
            let (address, port) = source(n);
            sender.send(packet.from(address, port))?;
            n += 1;
            sent.store(n, Ordering::Relaxed);
        }
        if pace.per_second.is_some() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// A raw socket of a namespace: it sends whole IP packets to the web server.
#[derive(Debug)]
pub(crate) struct RawSender {
    socket: OwnedFd,
    to: SockaddrIn,
}

impl RawSender {
    pub(crate) fn new(namespace: &Namespace) -> Result<Self, LabError> {
        let socket = namespace
            .run(|| {
                socket(
                    AddressFamily::Inet,
                    SockType::Raw,
                    SockFlag::SOCK_CLOEXEC,
                    SockProtocol::Raw,
                )
            })?
            .map_err(LabError::errno(attempt!("opening a raw socket", "打开原始套接字")))?;
        let [a, b, c, d] = WEB.octets();
        Ok(Self { socket, to: SockaddrIn::new(a, b, c, d, 0) })
    }

    pub(crate) fn send(&self, packet: &[u8]) -> Result<(), LabError> {
        loop {
            match sendto(self.socket.as_raw_fd(), packet, &self.to, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                // The queue is full: wait for the receiver.
                Err(Errno::ENOBUFS | Errno::EAGAIN) => std::thread::yield_now(),
                Err(errno) => {
                    return Err(LabError::errno(attempt!("sending a packet", "发包"))(errno));
                }
            }
        }
    }
}
