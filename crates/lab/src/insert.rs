//! Entries written straight into a table, as conntrackd does: any state, a million in seconds, no packet sent.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, send, socket,
};
use plimsoll_ct::Family;
use plimsoll_wire::ctnetlink::{Flow, command};
use plimsoll_wire::netlink::{Writer, flag};

use crate::attempt::attempt;
use crate::{LabError, Namespace};

const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;
/// Bytes of one datagram of many requests.
const DATAGRAM: usize = 128 << 10;

impl Namespace {
    /// Writes entries into its table. Returns how many its count grew by: the kernel refuses what is there
    /// already, and what goes beyond the limit.
    pub fn insert(&self, flows: impl Iterator<Item = Flow> + Send) -> Result<u64, LabError> {
        let before = self.count()?;
        self.run(|| write(flows))??;
        Ok(self.count()?.saturating_sub(before))
    }
}

fn write(flows: impl Iterator<Item = Flow>) -> Result<(), LabError> {
    let socket = open()
        .map_err(LabError::system(attempt!("opening a netlink socket", "打开 netlink 套接字")))?;
    let mut datagram: Vec<u8> = Vec::with_capacity(DATAGRAM + 1024);
    let send = |datagram: &mut Vec<u8>| {
        let sent = send(socket.as_raw_fd(), datagram, MsgFlags::empty());
        datagram.clear();
        sent.map(|_| ()).map_err(std::io::Error::from)
    };
    for flow in flows {
        let mut message = Writer::message(command::NEW, flag::REQUEST | CREATE | EXCLUSIVE, 0);
        let mut payload = flow.encode();
        // The kernel reads the addresses by the message's family.
        payload[0] = match flow.entry.original.family() {
            Family::V4 => 2,
            Family::V6 => 10,
        };
        message.raw(&payload);
        datagram.extend_from_slice(&message.finish());
        if datagram.len() >= DATAGRAM {
            send(&mut datagram)
                .map_err(LabError::system(attempt!("sending entries", "发送条目")))?;
        }
    }
    match datagram.is_empty() {
        true => Ok(()),
        false => {
            send(&mut datagram).map_err(LabError::system(attempt!("sending entries", "发送条目")))
        }
    }
}

/// Refusals come back as messages that nobody reads: beyond the buffer the kernel drops them.
fn open() -> std::io::Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(fd)
}
