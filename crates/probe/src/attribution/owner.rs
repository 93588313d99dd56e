//! Owners: what the control group of a process names, told once for each process.

use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_wire::cgroup;

use crate::live::{Found, Names, cut, read_text};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Process {
    /// Process id, as /proc shows it here.
    pub pid: u32,
    /// `comm`: at most 15 bytes.
    pub command: Arc<str>,
}

/// A container or virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Container {
    /// `docker`, `containerd`, `crio`, `podman`, `lxc`, `nspawn`, `libvirt`; `container` where it is not told.
    pub runtime: &'static str,
    /// Full id, or the name of a machine.
    pub id: Arc<str>,
    /// The name that people gave it, where a file of the node tells.
    pub name: Option<Arc<str>>,
}

/// Whose an entry is. What is not known is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Owner {
    /// The process that holds the socket. `None`: it is only known whose the namespace is.
    pub process: Option<Process>,
    /// systemd unit.
    pub unit: Option<Arc<str>>,
    /// Innermost container.
    pub container: Option<Container>,
    /// `namespace/pod`, or `pod UID` where no file of the node names it.
    pub pod: Option<Arc<str>>,
    /// The namespace's name under /run/netns, where it is all that is known.
    pub netns: Option<Arc<str>>,
}

/// All owners, each once.
#[derive(Debug, Default)]
pub(super) struct Owners {
    all: Vec<Owner>,
    by_pid: BTreeMap<u32, u32>,
    /// What a control group says: processes of one container share it.
    groups: BTreeMap<String, Owner>,
}

impl Owners {
    pub fn get(&self, owner: u32) -> Option<&Owner> {
        self.all.get(owner as usize)
    }

    /// The place of a process, whose name is looked for later.
    pub fn of_process(&mut self, pid: u32) -> u32 {
        *self.by_pid.entry(pid).or_insert_with(|| {
            let process = Some(Process { pid, command: Arc::from("") });
            self.all.push(Owner { process, ..Owner::default() });
            self.all.len() as u32 - 1
        })
    }

    /// Names all processes that hold a socket.
    pub fn name_processes(&mut self, names: &mut Names) {
        let pids: Vec<(u32, u32)> = self.by_pid.iter().map(|(pid, place)| (*pid, *place)).collect();
        for (pid, place) in pids {
            let mut owner = self.of_group(pid, names);
            let command = read_text(&format!("/proc/{pid}/comm")).unwrap_or_default();
            owner.process = Some(Process { pid, command: cut(&command).into() });
            self.all[place as usize] = owner;
        }
    }

    /// The owner of a namespace as a whole: the container, pod or unit of a process in it; else its name.
    pub fn of_namespace(&mut self, found: &Found, names: &mut Names) -> Option<u32> {
        const LOOK_AT: usize = 3;
        let known = |owner: &Owner| owner.container.is_some() || owner.unit.is_some();
        let groups = found.pids.iter().take(LOOK_AT).map(|pid| self.of_group(*pid, names));
        let mut owner = groups.reduce(|a, b| if known(&a) { a } else { b }).unwrap_or_default();
        let file = found.files.first().and_then(|file| file.file_name()?.to_str());
        owner.netns = file.map(|name| cut(name).into());
        let any = known(&owner) || owner.pod.is_some() || owner.netns.is_some();
        any.then(|| {
            self.all.push(owner);
            self.all.len() as u32 - 1
        })
    }

    /// For tests: the owner of a namespace of this name; none without a name.
    #[cfg(test)]
    pub fn named(&mut self, name: &str) -> Option<u32> {
        let found = Found { files: vec![name.into()], ..Found::default() };
        self.of_namespace(&found, &mut Names::default())
    }

    fn of_group(&mut self, pid: u32, names: &mut Names) -> Owner {
        let Ok(text) = read_text(&format!("/proc/{pid}/cgroup")) else { return Owner::default() };
        if let Some(known) = self.groups.get(&text) {
            return known.clone();
        }
        let owner = named(cgroup::parse(&text), names);
        self.groups.insert(text, owner.clone());
        owner
    }
}

fn named(member: cgroup::Membership, names: &mut Names) -> Owner {
    let pod = member.container.as_ref().and_then(|container| container.pod.as_deref());
    let pod = pod.map(|uid| cut(&names.pod(uid)).into());
    let container = member.container.map(|container| Container {
        runtime: container.runtime,
        name: match container.pod {
            Some(_) => None,
            None => names.container(container.runtime, &container.id).map(|n| cut(&n).into()),
        },
        id: container.id.into(),
    });
    Owner { unit: member.unit.map(|unit| cut(&unit).into()), container, pod, ..Owner::default() }
}
