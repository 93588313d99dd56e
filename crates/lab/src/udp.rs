//! Filling the table with UDP conversations: requests, answers, and more of both after two seconds.
//!
//! Kernel: `nf_conntrack_udp_packet()`, v6.18: ASSURED comes with the first request that finds an answer
//! seen and the entry older than two seconds (older kernels: sooner).

use crate::address::{SERVICE_PORT, Sources, WEB};
use crate::attempt::attempt;
use crate::flood::{Kind, RawSender};
use crate::packet::Packet;
use crate::{Filled, Lab, LabError};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Requests sent before the answers are given: less than the receive buffer holds.
const BATCH: u64 = 128;

impl Lab {
    /// Holds `conversations` UDP conversations with the web server until each is ASSURED. Takes two
    /// seconds more than the packets take; the first must not expire before the second round, so the
    /// number is bounded by what 25 s (of the 30 s timeout) allow.
    pub fn fill_udp_assured(&self, conversations: u64) -> Result<Filled, LabError> {
        let started = Instant::now();
        let server = self.server().run(answerer)??;
        let sender = RawSender::new(self.client())?;
        let first = self.next_source(conversations);
        let range = first..first + conversations;
        let mut answered = talk(&sender, &server, range.clone())?;
        std::thread::sleep(Duration::from_millis(2100));
        answered = answered.min(talk(&sender, &server, range)?);
        let took = started.elapsed();
        Ok(Filled { made: answered, failed: conversations.saturating_sub(answered), took })
    }
}

/// A UDP server whose answers are given by [`talk`].
fn answerer() -> Result<UdpSocket, LabError> {
    let failed = || {
        LabError::system(attempt!(
            "serving UDP on {WEB}:{SERVICE_PORT}",
            "在 {WEB}:{SERVICE_PORT} 提供 UDP 服务"
        ))
    };
    let socket = UdpSocket::bind((WEB, SERVICE_PORT)).map_err(failed())?;
    socket.set_nonblocking(true).map_err(failed())?;
    setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20))
        .map_err(LabError::errno(attempt!("enlarging the receive buffer", "扩大接收缓冲区")))?;
    Ok(socket)
}

/// One request from each source and one answer to each; returns the answers.
fn talk(
    sender: &RawSender,
    server: &UdpSocket,
    range: std::ops::Range<u64>,
) -> Result<u64, LabError> {
    let mut packet = Packet::new(Kind::Udp, WEB, SERVICE_PORT);
    let mut buffer = [0; 64];
    let (mut answers, mut asked) = (0, 0);
    for n in range.clone() {
        let (address, port) = Sources::Answered.crowded(n);
        sender.send(packet.from(address, port))?;
        asked += 1;
        if asked % BATCH != 0 && n + 1 != range.end {
            continue;
        }
        // The packets are normally there already; give one that took another CPU a moment.
        let patience = Instant::now() + Duration::from_millis(50);
        while answers < asked {
            match server.recv_from(&mut buffer) {
                Ok((length, peer)) => {
                    server
                        .send_to(&buffer[..length], peer)
                        .map_err(LabError::system(attempt!("answering a request", "应答请求")))?;
                    answers += 1;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock && Instant::now() < patience => {
                    std::thread::yield_now();
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => {
                    return Err(LabError::system(attempt!("receiving a request", "接收请求"))(
                        e,
                    ));
                }
            }
        }
        // Lost ones stay lost.
        asked = answers;
    }
    Ok(answers)
}
