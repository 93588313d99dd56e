//! A remedy as a plan: everything that will be changed, with what stands there before, and how to take it back.
//!
//! Pure: a request and the [`Ground`] (facts and files that were read) enter, a [`Plan`] leaves. `report`
//! shows it, `apply` carries it out. Nothing here writes; what was not read is not planned on.

mod bypass;
mod change;
mod content;
mod filter;
mod floors;
mod limit;
mod persist;
mod placed;
mod policy;
mod raise;
mod shed;
mod synproxy;
mod timeout;
mod unload;

pub use bypass::{BypassRequest, bypass, lifeline_request};
pub(crate) use bypass::{planned, serves};
pub use change::{
    Change, DeleteEntries, FileChange, IptablesChange, LoadModule, ModulesChange, NftChange,
    NftTable, OwnRule, PolicyChange, Readback, Setting, Step,
};
pub use content::{Content, FileState};
pub use filter::{Filter, Idle};
pub use limit::{LimitRequest, limit};
pub use persist::{PERSIST_FILES, persist, proved};
pub use placed::Placed;
pub use raise::{RaiseRequest, raise};
pub use shed::{Cut, ShedRequest, shed};
pub use synproxy::{SynProxyRequest, synproxy};
pub use timeout::{TimeoutRequest, timeout};
pub use unload::{UNLOAD_FILES, unload};

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_ct::Bytes;
use plimsoll_wire::filter::{Backend, Program, TableFamily};
use serde::{Deserialize, Serialize};

use crate::Said;
use crate::case::{Case, Space};
use crate::facts::{Fact, Namespace, Owner, Snapshot, Ways};
use crate::{RemedyId, words};

/// What a plan is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The earlier reading, if rates matter.
    pub before: Option<&'a Snapshot>,
    /// The reading that is planned on.
    pub now: &'a Snapshot,
    /// Index of the namespace to be changed in `now.namespaces`.
    pub target: usize,
    /// Files that the remedy wants to know, by path: `None` where there is no such file. A path that is
    /// not in here was not read, and a plan must not write it.
    pub files: &'a BTreeMap<String, Option<FileState>>,
}

impl<'a> Ground<'a> {
    /// The namespace to be changed.
    pub fn namespace(&self) -> Option<&'a Namespace> {
        self.now.namespaces.get(self.target)
    }

    /// The same with what its two readings tell.
    pub(crate) fn space<'c>(&self, case: &'c Case<'a>) -> Option<&'c Space<'a>> {
        let namespace = self.namespace()?;
        case.spaces.iter().find(|s| core::ptr::eq(s.now, namespace))
    }
}

/// The rules that a plan is made on, if they were read, whole or in part; what was not read refuses the plan.
pub(crate) fn rules_read<'a>(ways: &'a Ways, plan: &mut Plan) -> Option<&'a Program> {
    let program = match &ways.program {
        Fact::Known { value, source: _ } => value,
        Fact::Missing(gap) => {
            let why = said!(
                "the rules could not be read: {}",
                "读不到规则：{:#}",
                gap.detail.map(words::clean)
            );
            plan.refused.push(why);
            return None;
        }
    };
    for why in &ways.unread {
        plan.refused.push(said!(
            "not all rules could be read: {}",
            "规则没有读全：{:#}",
            why.map(words::clean)
        ));
    }
    Some(program)
}

/// How long rules last, and what stays of them.
pub(crate) fn tell_of_rules(case: &Case<'_>, space: &Space<'_>, plan: &mut Plan) {
    plan.warnings.push(said!(
        "rules are gone with the next boot; while these stand do not save yours (`netfilter-persistent save`, `service \
         iptables save`): these would be saved with them, and come back after `plimsoll undo`",
        "规则到下次启动就没有了；这些规则生效期间不要保存您的规则（`netfilter-persistent save`、`service iptables save`）：\
         它们会一起存进去，`plimsoll undo` 之后又会回来"
    ));
    let chains = || space.now.rules.value().into_iter().flat_map(|rules| &rules.chains);
    let mut new = Vec::new();
    for change in &plan.changes {
        let Change::Iptables(c) = change else { continue };
        let (family, module) = match c.restore.starts_with("ip6") {
            false => (TableFamily::Ip, "iptable"),
            true => (TableFamily::Ip6, "ip6table"),
        };
        let old = c.restore.contains("legacy") || !case.profile.hooks_on_demand;
        let there = chains().any(|chain| {
            chain.backend == Backend::Legacy && chain.family == family && chain.table == c.table
        });
        if old && !there {
            new.push(format!("{module}_{}", c.table));
        }
    }
    // A module that is in the kernel already, or built into it, does not go with the remedy.
    let modules = case.after.host.modules.value();
    let loads = case.after.host.modular.value() == Some(&true);
    let (goes, stays): (Vec<String>, Vec<String>) = new.into_iter().partition(|name| {
        loads && modules.is_some_and(|all| all.iter().all(|module| module.name != *name))
    });
    if !goes.is_empty() {
        plan.warnings.push(said!(
            "tables of old iptables are new here ({}): `plimsoll undo` takes them away again with these modules, unless \
             somebody else has them by then or they are built in", "旧 iptables 的这些表在这里是新的（{}）：`plimsoll undo` 会连同这些模块一起去掉，除非那时别人也在用，或者已编译进内核",
            goes.join(", ")
        ));
    }
    if !stays.is_empty() {
        plan.warnings.push(said!(
            "tables of old iptables are new here ({}), and the kernel has had their modules before: after `plimsoll \
             undo` they stay, without a rule", "旧 iptables 的这些表在这里是新的（{}），而内核早已有它们的模块：`plimsoll undo` 之后它们还在，只是没有规则",
            stays.join(", ")
        ));
    }
}

/// Of what is written into the running kernel alone.
const UNTIL_BOOT: Said = Said::of(
    "gone with the next boot: `plimsoll fix persist` makes it stay",
    "下次启动就没有了：`plimsoll fix persist` 使它保留",
);

/// The same in another namespace than the host's own: a new one begins with the kernel's values, whatever files say.
const UNTIL_GONE: Said = Said::of(
    "gone with this namespace: who makes it has to set it again (`plimsoll fix persist` keeps the host's own values only)",
    "随这个命名空间一起消失：由建立它的程序再设一次（`plimsoll fix persist` 只保留主机自己的值）",
);

/// Why nothing is planned where [`Ground::namespace`] is none.
pub(crate) const NO_NAMESPACE: Said = Said::of("the namespace could not be read", "读不到命名空间");

/// Where a plan's namespace-bound changes go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Shown name: "host", "ip netns web".
    pub name: String,
    /// File to enter it by (/run/netns/web, /proc/812/ns/net). `None`: the namespace of the caller.
    pub path: Option<String>,
    /// Its inode: what is behind the path must still be it.
    pub inode: Option<u64>,
}

impl Target {
    /// The namespace that a plan is made for.
    pub fn of(ground: &Ground<'_>) -> Self {
        match ground.namespace() {
            Some(space) => Self::in_namespace(space),
            None => Self { name: String::new(), path: None, inode: None },
        }
    }

    pub(crate) fn in_namespace(space: &Namespace) -> Self {
        let path = space.owners.iter().find_map(|owner| match owner {
            Owner::Named(name) if name.contains('/') => Some(name.clone()),
            Owner::Named(name) => Some(alloc::format!("/run/netns/{name}")),
            Owner::Process { pid, command: _ } => Some(alloc::format!("/proc/{pid}/ns/net")),
            Owner::Initial | Owner::Container { .. } | Owner::Unit(_) => None,
        });
        let path = if space.is_initial() { None } else { path };
        Self { name: crate::load::name(space).to_string(), path, inode: space.inode }
    }
}

/// How the plan proves itself once its changes are read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verify {
    /// The counter `drop` of the target stands still while packets flow.
    DropsEnd,
    /// No new entry of this service is made while packets flow: transport protocol number and port.
    NoNewEntries {
        /// IP protocol number.
        protocol: u8,
        /// Port of the service.
        port: u16,
    },
    /// After the next boot, by simulation of the files as they are then, a setting has a value.
    AfterBoot {
        /// Modern bare name of the setting.
        setting: String,
        /// Value.
        value: u64,
    },
    /// A file is gone and stays gone: /proc/net/nf_conntrack.
    Gone {
        /// Path.
        path: String,
    },
}

/// A remedy, ready to be shown and to be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Which.
    pub remedy: RemedyId,
    /// A few words: "raise the limit to 524,288".
    pub title: Said,
    /// Where.
    pub target: Target,
    /// What will be different.
    pub effect: Said,
    /// Memory it may take at worst, over all namespaces.
    pub price: Option<u64>,
    /// What it touches, counted: a line each.
    pub details: Vec<Said>,
    /// What may go wrong, a sentence each.
    pub risks: Vec<Said>,
    /// What the person should know and that stops nothing, a sentence each.
    pub warnings: Vec<Said>,
    /// Why it must not be done on this host, a sentence each. Not empty: `apply` will not touch anything.
    pub refused: Vec<Said>,
    /// What the person has to do by hand, since another program owns it; ready to paste.
    pub by_hand: Vec<Said>,
    /// Changes in order. Undone in the opposite order.
    pub changes: Vec<Change>,
    /// Proofs, after everything was read back.
    pub verify: Vec<Verify>,
}

impl Plan {
    /// An empty plan of a remedy.
    pub fn new(remedy: RemedyId, title: impl Into<Said>, target: Target) -> Self {
        Self {
            remedy,
            title: title.into(),
            target,
            effect: Said::default(),
            price: None,
            details: Vec::new(),
            risks: Vec::new(),
            warnings: Vec::new(),
            refused: Vec::new(),
            by_hand: Vec::new(),
            changes: Vec::new(),
            verify: Vec::new(),
        }
    }

    /// Its price, with the unit.
    pub fn price(&self) -> Option<Bytes> {
        self.price.map(Bytes)
    }

    /// Whether all of it can be taken back.
    pub fn reversible(&self) -> bool {
        self.changes.iter().all(Change::reversible)
    }
}
