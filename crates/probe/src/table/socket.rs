//! A netlink socket to the packet filter's part of the kernel.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket,
};
use nix::sys::time::TimeVal;

/// Closing it ends a dump that is under way.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// Opens one in the namespace of the calling thread. Call [`super::netlink_safe`] first: this alone
    /// can load a module.
    pub(super) fn open() -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
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
