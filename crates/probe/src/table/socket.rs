//! A netlink socket.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket,
};
use nix::sys::time::TimeVal;

/// The part of the kernel at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The packet filter.
    Netfilter,
    /// Interfaces and addresses.
    Route,
    /// Sockets.
    SockDiag,
}

/// Closing it ends a dump that is under way.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// Opens one in the namespace of the calling thread. For netfilter call [`super::netlink_safe`] first: this
    /// alone can load a module.
    pub(super) fn open(part: Part) -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            match part {
                Part::Netfilter => SockProtocol::NetlinkNetFilter,
                Part::Route => SockProtocol::NetlinkRoute,
                Part::SockDiag => SockProtocol::NetlinkSockDiag,
            },
        )?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // A dump is made inside our own recv, so an answer is there at once or never.
        setsockopt(&fd, ReceiveTimeout, &TimeVal::new(2, 0))?;
        Ok(Self(fd))
    }

    pub(super) fn send(&self, message: &[u8]) -> io::Result<()> {
        send(self.0.as_raw_fd(), message, MsgFlags::empty())?;
        Ok(())
    }

    /// One datagram. An error when it was longer than the buffer.
    pub(super) fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        loop {
            match recv(self.0.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC) {
                Ok(length) => {
                    return buffer
                        .get(..length)
                        .ok_or_else(|| io::Error::other("datagram longer than the buffer"));
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
