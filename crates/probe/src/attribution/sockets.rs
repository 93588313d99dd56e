//! The sockets of all namespaces, to be found by the ends of a flow.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;

use plimsoll_ct::{Family, Protocol};
use plimsoll_wire::sock_diag::{self, Socket};

use super::owner::Owners;
use super::processes;
use crate::files::Files;
use crate::table::{Dump, Part, Step, can_load_nothing, net_file};

/// A hash table keyed at random: addresses and ports are chosen by whoever sends packets.
type Table<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Address and port.
pub(super) type At = (IpAddr, u16);

/// All sockets. Keys begin with the place of the namespace and the protocol.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// By both ends: index of the file.
    connected: Table<(u32, u8, At, At), u32>,
    /// Listening, or bound and not connected, by own port: address and index of the file.
    open: Table<(u32, u8, u16), Vec<(IpAddr, u32)>>,
    /// Numbers of the sockets' files, and the owner.
    files: Vec<Option<u32>>,
    /// Number to index.
    by_inode: Table<u64, u32>,
}

impl Sockets {
    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn add(&mut self, place: u32, sockets: Vec<(u8, Socket)>) {
        for (protocol, socket) in sockets {
            let file = self.file(socket.inode);
            if socket.remote.1 == 0 {
                let open = self.open.entry((place, protocol, socket.local.1)).or_default();
                open.push((socket.local.0, file));
            } else {
                self.connected.insert((place, protocol, socket.local, socket.remote), file);
            }
        }
    }

    /// One for each file; those that no process holds share nothing.
    fn file(&mut self, inode: u64) -> u32 {
        let next = self.files.len() as u32;
        if inode == 0 {
            self.files.push(None);
            return next;
        }
        let file = *self.by_inode.entry(inode).or_insert(next);
        if file == next {
            self.files.push(None);
        }
        file
    }

    /// Looks for the processes that hold the files. Whether the time was over before all were looked at.
    pub fn find_processes(&mut self, owners: &mut Owners, is_over: &dyn Fn() -> bool) -> bool {
        let Self { files, by_inode, .. } = self;
        let mut left = by_inode.len();
        processes::sockets(
            &mut |pid, inode| {
                if let Some(&file) = by_inode.get(&inode)
                    && files[file as usize].is_none()
                {
                    files[file as usize] = Some(owners.of_process(pid));
                    left -= 1;
                }
                left > 0
            },
            is_over,
        )
    }

    /// For tests: who holds a file.
    #[cfg(test)]
    pub fn own(&mut self, inode: u64, owner: u32) {
        let file = self.by_inode[&inode];
        self.files[file as usize] = Some(owner);
    }

    /// The owner of the socket with these ends.
    pub fn connected(&self, place: u32, protocol: u8, local: At, remote: At) -> Option<u32> {
        let file = self.connected.get(&(place, protocol, local, remote))?;
        self.files[*file as usize]
    }

    /// The owner of a socket that takes what comes to this address and port.
    pub fn open(&self, place: u32, protocol: u8, (address, port): At) -> Option<u32> {
        let open = self.open.get(&(place, protocol, port))?;
        let exact =
            open.iter().find(|(own, file)| *own == address && self.files[*file as usize].is_some());
        let any = || {
            open.iter()
                .find(|(own, file)| own.is_unspecified() && self.files[*file as usize].is_some())
        };
        let (_, file) = exact.or_else(any)?;
        self.files[*file as usize]
    }
}

/// Which protocols' sockets may be asked for by `sock_diag` without loading a module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ways {
    tcp: bool,
    udp: bool,
}

impl Ways {
    pub fn here() -> Self {
        let files = Files::live();
        let inet = can_load_nothing(&files, &["inet_diag"]);
        Self {
            tcp: inet && can_load_nothing(&files, &["tcp_diag"]),
            udp: inet && can_load_nothing(&files, &["udp_diag"]),
        }
    }
}

/// The sockets of the calling thread's namespace, with their protocols. What is not there is skipped by the kernel's own
/// count, since a dump of nothing walks the whole host's table.
pub(super) fn here(ways: Ways) -> Vec<(u8, Socket)> {
    let counts = ["sockstat", "sockstat6"].map(|name| fs::read_to_string(net_file(name)));
    let none = |text: &std::io::Result<String>, word: &str| match text {
        Ok(text) => match text.lines().find_map(|line| line.strip_prefix(word)) {
            Some(rest) => {
                let value = |name| {
                    let mut words = rest.split_ascii_whitespace();
                    words.find(|word| *word == name).and_then(|_| words.next()).unwrap_or("0")
                };
                value("inuse") == "0" && value("tw") == "0"
            }
            None => false,
        },
        Err(_) => false,
    };
    let kinds = [
        (Family::V4, Protocol::Tcp, "tcp", none(&counts[0], "TCP:"), ways.tcp),
        (Family::V6, Protocol::Tcp, "tcp6", none(&counts[1], "TCP6:"), ways.tcp),
        (Family::V4, Protocol::Udp, "udp", none(&counts[0], "UDP:"), ways.udp),
        (Family::V6, Protocol::Udp, "udp6", none(&counts[1], "UDP6:"), ways.udp),
    ];
    let mut sockets = Vec::new();
    for (family, protocol, file, empty, by_diag) in kinds {
        if empty {
            continue;
        }
        let number = protocol.number();
        let before = sockets.len();
        if by_diag && diag(family, protocol, &mut |socket| sockets.push((number, socket))) {
            continue;
        }
        sockets.truncate(before);
        let text = fs::read_to_string(net_file(file)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| sock_diag::line(line).ok().flatten());
        sockets.extend(lines.map(|socket| (number, socket)));
    }
    sockets
}

/// Whether all were told.
fn diag(family: Family, protocol: Protocol, take: &mut dyn FnMut(Socket)) -> bool {
    let Ok(mut dump) = Dump::start(Part::SockDiag, &sock_diag::request(family, protocol)) else {
        return false;
    };
    loop {
        let step = dump.next(&mut |payload| {
            if let Ok(socket) = sock_diag::decode(payload) {
                take(socket);
            }
            true
        });
        match step {
            Ok(Step::More) => {}
            Ok(Step::End) => return true,
            Ok(Step::Overrun | Step::Stopped) | Err(_) => return false,
        }
    }
}
