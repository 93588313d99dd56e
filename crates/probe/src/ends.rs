//! What a change of rules is planned on, of one network namespace: the rules in full, its addresses, its sockets; and who
//! the present session is with.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use plimsoll_diagnosis::facts::{Fact, Gap, Reason, Source, Ways};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::filter::Program;
use plimsoll_wire::sock_diag::Socket;

use crate::attribution::{each_process_socket, links_here, sockets_here};
use crate::doors;
use crate::files::Files;
use crate::live::{self, Visit};
use crate::rules::Reader;

/// Looking for the processes of sockets may take so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Programs that let people in.
const DOORS: &[&str] = &["sshd", "dropbear", "sshd-session", "tinysshd"];
/// The process that listens for sockets' units.
const MANAGER: u32 = 1;

/// The ways of a network namespace, by inode. Which ports SSH listens on costs a look at every process; `doors` asks for
/// it.
pub fn ways(namespace: Option<u64>, doors: bool) -> Ways {
    let ends = Ends::read(namespace);
    Ways {
        listening: ends.listening(),
        own_ports: ends.own_ports.clone(),
        doors: if doors { ends.ssh_ports() } else { Vec::new() },
        session: ends.session(),
        program: ends.program,
        unread: ends.unread,
        own: ends.own,
        mtu: ends.mtu,
    }
}

/// Of one namespace.
struct Ends {
    /// Its rules, and what of them could not be read.
    program: Fact<Program>,
    unread: Vec<Said>,
    /// Its addresses.
    own: Fact<Vec<IpAddr>>,
    /// The longest packet that all its interfaces carry, in bytes.
    mtu: Fact<u32>,
    /// Its sockets, with the number of their protocol.
    sockets: Fact<Vec<(u8, Socket)>>,
    /// Ports that its kernel gives to who asks from none in particular.
    own_ports: Fact<(u16, u16)>,
}

impl Ends {
    fn read(namespace: Option<u64>) -> Self {
        let found = live::found();
        let doors: Vec<_> = found.iter().filter(|f| f.inode == namespace).collect();
        let reader = Reader::new(&Files::live());
        let visits = live::each(&doors, |here, _| match &here.outside {
            Some(gap) => Self::missing(gap),
            None => {
                let (links, own) = links_here();
                let carrying = links.iter().filter(|link| link.carries);
                let (program, unread) = reader.program();
                Self {
                    program,
                    unread,
                    own: Fact::known(own, Source::name("rtnetlink")),
                    mtu: match carrying.filter_map(|link| link.mtu).min() {
                        Some(mtu) => Fact::known(mtu, Source::name("rtnetlink")),
                        None => Fact::Missing(Gap {
                            reason: Reason::Failed,
                            detail: said!("no interface is up", "没有启用的网络接口"),
                            needs: None,
                        }),
                    },
                    sockets: Fact::known(sockets_here(), Source::name("sock_diag")),
                    own_ports: own_ports(),
                }
            }
        });
        match visits.into_iter().next() {
            Some(Visit::Read(ends)) => ends,
            Some(Visit::Refused(gap)) => Self::missing(&gap),
            Some(Visit::Gone) | None => Self::missing(&Gap {
                reason: Reason::Failed,
                detail: said!("the namespace is gone", "命名空间已经不在"),
                needs: None,
            }),
        }
    }

    fn missing(gap: &Gap) -> Self {
        Self {
            program: Fact::Missing(gap.clone()),
            unread: Vec::new(),
            own: Fact::Missing(gap.clone()),
            mtu: Fact::Missing(gap.clone()),
            sockets: Fact::Missing(gap.clone()),
            own_ports: Fact::Missing(gap.clone()),
        }
    }

    /// Ports that somebody listens on: IP protocol number, address, port.
    fn listening(&self) -> Fact<Vec<(u8, IpAddr, u16)>> {
        match &self.sockets {
            Fact::Known { value, source } => {
                let open = value.iter().filter(|(_, s)| s.remote.1 == 0);
                let open = open.map(|(protocol, s)| (*protocol, s.local.0, s.local.1));
                Fact::Known { value: open.collect(), source: source.clone() }
            }
            Fact::Missing(gap) => Fact::Missing(gap.clone()),
        }
    }

    /// TCP ports on which an SSH server listens, in order, or process 1 in its place, as units of systemd say; where neither was
    /// seen, those that it is set up for and that somebody listens on.
    fn ssh_ports(&self) -> Vec<u16> {
        const TCP: u8 = 6;
        let sockets = self.sockets.value().into_iter().flatten();
        let open: Vec<&Socket> =
            sockets.filter(|(p, s)| *p == TCP && s.remote.1 == 0).map(|(_, s)| s).collect();
        let deadline = Instant::now() + PATIENCE;
        let files = Files::live();
        let units = doors::of_units(&files, false);
        let mut ports = BTreeSet::new();
        each_process_socket(
            &mut |pid, inode| {
                if let Some(socket) = open.iter().find(|s| s.inode == inode && inode != 0)
                    && !ports.contains(&socket.local.1)
                    && (opens_doors(pid) || pid == MANAGER && units.contains(&socket.local.1))
                {
                    ports.insert(socket.local.1);
                }
                true
            },
            &|| Instant::now() > deadline,
        );
        if ports.is_empty() {
            let listening = |port: &u16| open.iter().any(|socket| socket.local.1 == *port);
            ports.extend(doors::of_server(&files).into_iter().chain(units).filter(listening));
        }
        ports.into_iter().collect()
    }

    /// Whether such a connection is there: an environment may outlive its session (tmux, screen).
    fn is_open(&self, peer: IpAddr, from: u16, port: u16) -> bool {
        self.sockets.value().is_none_or(|sockets| {
            let far = (peer, from);
            sockets
                .iter()
                .any(|(_, s)| (s.remote.0.to_canonical(), s.remote.1) == far && s.local.1 == port)
        })
    }

    /// The far end of the connection that the present session came by, and the port it came to: from the environment, or
    /// the socket of the process of SSH that this one descends from.
    fn session(&self) -> Option<(IpAddr, u16)> {
        if let Ok(text) = std::env::var("SSH_CONNECTION")
            && let Some((peer, from, port)) = of_environment(&text)
            && self.is_open(peer, from, port)
        {
            return Some((peer, port));
        }
        let ours: BTreeSet<u64> = ancestors().into_iter().flat_map(sockets_of).collect();
        let sockets = self.sockets.value().into_iter().flatten();
        let mut far = sockets.filter(|(_, s)| s.remote.1 != 0 && ours.contains(&s.inode));
        far.find(|(_, s)| !s.remote.0.is_loopback())
            .map(|(_, s)| (s.remote.0.to_canonical(), s.local.1))
    }
}

/// Of the namespace in which this thread is.
fn own_ports() -> Fact<(u16, u16)> {
    const FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
    live::read_fact(FILE, Reason::Failed, |text| {
        of_range(text).ok_or(Said::of("expected two ports", "应为两个端口"))
    })
}

/// Two numbers with white space between them.
fn of_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    let range = (first.parse().ok()?, last.trim().parse().ok()?);
    (range.0 <= range.1).then_some(range)
}

/// `192.0.2.7 51234 198.51.100.1 22`: the peer, its port, and the port that it came to.
fn of_environment(text: &str) -> Option<(IpAddr, u16, u16)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [peer, from, _, port] = words[..] else { return None };
    let peer: IpAddr = peer.split('%').next()?.parse().ok()?;
    Some((peer.to_canonical(), from.parse().ok()?, port.parse().ok()?))
}

/// Whether a process is a server of SSH.
fn opens_doors(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    DOORS.contains(&name.trim())
}

/// This process and those it descends from.
fn ancestors() -> Vec<u32> {
    let mut found = vec![std::process::id()];
    while found.len() < 64 {
        let Some(pid) = found.last().copied().filter(|pid| *pid > 1) else { break };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { break };
        // The name in brackets may hold anything.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        let Some(parent) = parent.and_then(|p| p.parse().ok()) else { break };
        found.push(parent);
    }
    found
}

fn sockets_of(pid: u32) -> Vec<u64> {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = files.flatten().filter_map(|f| fs::read_link(f.path()).ok());
    let number = |link: std::path::PathBuf| {
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    links.filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_a_session_names_its_far_end_and_its_port() {
        let is = |text: &str| of_environment(text).map(|(ip, _, port)| format!("{ip} {port}"));
        assert_eq!(is("192.0.2.7 51234 198.51.100.1 2222").as_deref(), Some("192.0.2.7 2222"));
        assert_eq!(is("fe80::1%eth0 51234 fe80::2%eth0 22").as_deref(), Some("fe80::1 22"));
        assert_eq!(is("::ffff:192.0.2.7 1 ::1 22").as_deref(), Some("192.0.2.7 22"));
        for bad in ["", "UNKNOWN 65535 UNKNOWN 65535", "192.0.2.7 1 22", "x 1 y 22"] {
            assert_eq!(is(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_range_of_ports_is_two_in_their_order() {
        assert_eq!(of_range("32768\t60999\n"), Some((32_768, 60_999)));
        for bad in ["", "1024", "a b", "60999 32768", "1 65536"] {
            assert_eq!(of_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_process_descends_from_its_parent() {
        let found = ancestors();
        assert_eq!(found[0], std::process::id());
        assert_eq!(found[1], std::os::unix::process::parent_id());
    }
}
