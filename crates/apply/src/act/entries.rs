//! Entries, deleted in batches: each by its tuple and its id, none that came since with the same tuple.
//!
//! Kernel: `ctnetlink_del_conntrack()`, `ctnetlink_dump_table()`. A dump may be read on while entries are
//! deleted: it goes on at the bucket where it stood.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket,
};
use nix::sys::time::TimeVal;
use plimsoll_ct::Entry;
use plimsoll_diagnosis::Said;
use plimsoll_diagnosis::plan::DeleteEntries;
use plimsoll_wire::ctnetlink;
use plimsoll_wire::netlink::{Message, Messages};

use crate::journal::Memo;
use crate::transaction::Event;

/// The kernel fills at most about 32 KiB of a reader's buffer.
const BUFFER: usize = 64 << 10;
/// `ENOENT`: it was gone already.
const GONE: i32 = 2;

pub(super) fn prepare(c: &DeleteEntries) -> io::Result<()> {
    if c.filter.is_empty() {
        return Err(io::Error::other(Said::of(
            "without a condition it would delete everything",
            "没有条件就会全部删除",
        )));
    }
    if c.batch == 0 {
        return Err(io::Error::other(Said::of(
            "expected batches of at least one entry",
            "每批应至少一个条目",
        )));
    }
    Ok(())
}

/// Readings of the table at most.
const READINGS: usize = 3;

/// Deletes them; returns how many it were.
///
/// A dump misses entries where the table gets other buckets meanwhile. So where fewer went than were counted before, it is read
/// once more, as long as that finds some.
pub(super) fn delete(c: &DeleteEntries, tell: &mut (dyn FnMut(Event) + Send)) -> io::Result<Memo> {
    let mut writer = Writer { socket: Socket::open()?, buffer: vec![0; BUFFER], deleted: 0 };
    for reading in 0..READINGS {
        let before = writer.deleted;
        read(c, &mut writer, tell)?;
        let all = if c.at_most > 0 { c.expected.min(c.at_most) } else { c.expected };
        if writer.deleted >= all || reading > 0 && writer.deleted == before {
            break;
        }
    }
    Ok(vec![writer.deleted.to_string()])
}

/// Reads the table once, and deletes what is found.
fn read(
    c: &DeleteEntries,
    writer: &mut Writer,
    tell: &mut (dyn FnMut(Event) + Send),
) -> io::Result<()> {
    let reader = Socket::open()?;
    reader.send(&ctnetlink::dump(1, &ctnetlink::Filter::default()))?;
    let mut buffer = vec![0; BUFFER];
    let mut batch: Vec<Entry> = Vec::new();
    let enough = |n: u64| c.at_most > 0 && n >= c.at_most;
    'dump: loop {
        for message in Messages::new(reader.receive(&mut buffer)?) {
            match message.map_err(|e| io::Error::other(Said::from(e)))? {
                Message::Data { payload, .. } => {
                    // One that can't be understood is not deleted.
                    let Ok(entry) = ctnetlink::decode(payload, None) else { continue };
                    if c.filter.matches(&entry) && !enough(writer.deleted + batch.len() as u64) {
                        batch.push(entry);
                    }
                }
                Message::Done { error: 0, .. } => break 'dump,
                Message::Done { error, .. } => return Err(io::Error::from_raw_os_error(-error)),
                Message::Error { errno, .. } => return Err(io::Error::from_raw_os_error(errno)),
                Message::Control(_) => {}
            }
        }
        while batch.len() >= c.batch as usize {
            let rest = batch.split_off(c.batch as usize);
            writer.delete(&batch)?;
            batch = rest;
            tell(Event::Deleted { done: writer.deleted, of: c.expected });
        }
        if enough(writer.deleted + batch.len() as u64) {
            break;
        }
    }
    writer.delete(&batch)?;
    tell(Event::Deleted { done: writer.deleted, of: c.expected });
    Ok(())
}

struct Writer {
    socket: Socket,
    buffer: Vec<u8>,
    deleted: u64,
}

impl Writer {
    /// One batch in one call. Only refusals and the last message are answered.
    fn delete(&mut self, batch: &[Entry]) -> io::Result<()> {
        let Some(last) = batch.len().checked_sub(1) else { return Ok(()) };
        let mut bytes = Vec::with_capacity(batch.len() * 128);
        for (n, entry) in batch.iter().enumerate() {
            let sequence = u32::try_from(n).unwrap_or(0);
            bytes.extend(ctnetlink::delete(sequence, entry, n == last));
        }
        self.socket.send(&bytes)?;
        let mut missed = 0;
        loop {
            for message in Messages::new(self.socket.receive(&mut self.buffer)?) {
                let message = message.map_err(|e| io::Error::other(Said::from(e)))?;
                let Message::Error { header, errno } = message else { continue };
                match errno {
                    0 => {}
                    GONE => missed += 1,
                    errno => return Err(io::Error::from_raw_os_error(errno)),
                }
                if header.sequence as usize == last {
                    self.deleted += batch.len() as u64 - missed;
                    return Ok(());
                }
            }
        }
    }
}

/// A netlink socket to the packet filter's part of the kernel. Closing it ends a dump that is under way.
struct Socket(OwnedFd);

impl Socket {
    /// In the namespace of the calling thread.
    fn open() -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        )?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        setsockopt(&fd, ReceiveTimeout, &TimeVal::new(5, 0))?;
        Ok(Self(fd))
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        send(self.0.as_raw_fd(), message, MsgFlags::empty())?;
        Ok(())
    }

    fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        loop {
            match recv(self.0.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC) {
                Ok(length) => {
                    return buffer.get(..length).ok_or_else(|| {
                        io::Error::other(Said::of(
                            "datagram longer than the buffer",
                            "数据报比缓冲区长",
                        ))
                    });
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::Command;

    use nix::sched::{CloneFlags, unshare};
    use plimsoll_diagnosis::plan::Filter;

    use super::*;

    fn insert(port: u16) {
        let flow = "-I -t 600 -p udp -s 10.2.0.1 -d 10.8.0.1 --sport 40000 --dport";
        let done = Command::new("conntrack").args(flow.split(' ')).arg(port.to_string()).output();
        assert!(done.unwrap().status.success());
    }

    /// What a dump missed stands there behind it: here it comes only then.
    #[test]
    fn where_fewer_went_than_were_counted_the_table_is_read_once_more() {
        if !nix::unistd::geteuid().is_root() {
            return println!("skipped: needs root");
        }
        let delete_of = |expected, at_most| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            (1..=2).for_each(insert);
            let mut late = Some(3);
            let filter = Filter { protocol: Some(17), ..Filter::default() };
            let change = DeleteEntries { filter, expected, batch: 10, at_most, left_over: false };
            delete(&change, &mut |_| late.take().into_iter().for_each(insert)).unwrap()
        };
        let deleted = std::thread::spawn(move || {
            [(3, 0), (2, 0), (9, 2), (9, 0)].map(|(expected, at_most)| delete_of(expected, at_most))
        });
        assert_eq!(deleted.join().unwrap(), [["3"], ["2"], ["2"], ["3"]]);
    }
}
