//! Keepalives of local processes, from the list of sockets in /proc: netlink could tell as well, but asking it
//! may load a module.

use std::fs;
use std::io;

use plimsoll_diagnosis::facts::{Fact, Gap, Keepalives, Reason, Source};
use plimsoll_diagnosis::said;
use plimsoll_wire::tcp_sockets;

use crate::live::{self, Visit};
use crate::said_of;

/// Of a network namespace, by inode: connections with this port on either side, or with any.
pub fn keepalives(namespace: Option<u64>, port: Option<u16>) -> Fact<Keepalives> {
    let found = live::found();
    let doors: Vec<_> = found.iter().filter(|f| f.inode == namespace).collect();
    let visits = live::each(&doors, |here, _| match &here.outside {
        Some(gap) => Fact::Missing(gap.clone()),
        None => read(&here.net, port),
    });
    match visits.into_iter().next() {
        Some(Visit::Read(fact)) => fact,
        Some(Visit::Refused(gap)) => Fact::Missing(gap),
        Some(Visit::Gone) | None => {
            Fact::missing(Reason::Failed, said!("the namespace is gone", "命名空间已经不在"))
        }
    }
}

fn read(net: &str, port: Option<u16>) -> Fact<Keepalives> {
    let mut found = Keepalives::default();
    for name in ["tcp", "tcp6"] {
        let text = match fs::read_to_string(format!("{net}/{name}")) {
            Ok(text) => text,
            // A host without IPv6.
            Err(error) if name == "tcp6" && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                let why = said_of(&error);
                let detail = said!("/proc/net/{name}: {why}", "/proc/net/{name}：{why:#}");
                return Fact::Missing(Gap { reason: Reason::Failed, detail, needs: None });
            }
        };
        let sockets = tcp_sockets::parse(&text);
        for socket in
            sockets.filter(|s| port.is_none_or(|p| s.local_port == p || s.remote_port == p))
        {
            found.connections += 1;
            found.without += u64::from(socket.keepalive.is_none());
            found.longest = found.longest.max(socket.keepalive);
        }
    }
    Fact::known(found, Source::name("/proc/net/tcp"))
}
