//! What filters and groupings look at: an entry, and what is known around it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{BitOr, BitOrAssign};

use plimsoll_ct::{Entry, Seconds};

use crate::{Direction, Locals, Timeouts, Words};

/// One entry with what is known of it. Cheap to make: everything is borrowed.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The entry.
    pub entry: &'a Entry,
    /// What its reader and its namespace have in common with many others.
    pub around: &'a Surroundings,
    /// Who holds a socket of it. `None`: not looked for. Empty: looked for and nobody found.
    pub owners: Option<&'a [Owner]>,
}

impl<'a> View<'a> {
    /// A view of an entry of which no more is known.
    pub const fn new(entry: &'a Entry, around: &'a Surroundings) -> Self {
        Self { entry, around, owners: None }
    }

    /// Which way it goes; `None` without the namespace's addresses.
    pub fn direction(&self) -> Option<Direction> {
        self.around.locals.as_ref().map(|locals| Direction::of(self.entry, locals))
    }

    /// Seconds since the last packet that refreshed it: never more than its age, though the seconds left are
    /// rounded and the kernel may leave them a tick late.
    pub fn idle(&self) -> Option<Seconds> {
        let idle = self.around.timeouts.idle(self.entry)?;
        Some(self.entry.age.map_or(idle, |age| idle.min(age)))
    }
}

/// What many entries have in common: where they were read, and what that reader tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The network namespace.
    pub netns: Option<Netns>,
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// Its addresses.
    pub locals: Option<Locals>,
    /// What an absent value means.
    pub tells: Tells,
}

/// A network namespace by all that it is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Netns {
    /// Inode.
    pub inode: Option<u64>,
    /// Names, the best first: of `ip netns`, of the unit, container or process that owns it. `host` for the initial.
    pub names: Vec<Box<str>>,
}

impl Netns {
    /// The best name, else nothing.
    pub fn name(&self) -> Option<&str> {
        self.names.first().map(|name| &**name)
    }
}

/// What a reader tells when it is there, so that its absence means "none" and not "not told".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tells {
    /// The helper (ctnetlink; `conntrack -L`).
    pub helper: bool,
    /// Labels (ctnetlink).
    pub labels: bool,
    /// All bits of the status, not only the four that text shows (ctnetlink).
    pub status: bool,
}

/// Who holds a socket of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Process id.
    pub pid: Option<u32>,
    /// Name of the process.
    pub process: Option<Box<str>>,
    /// Systemd unit.
    pub unit: Option<Box<str>>,
    /// Container: its name, or its id.
    pub container: Option<Box<str>>,
    /// The container's whole id.
    pub container_id: Option<Box<str>>,
    /// Pod: `namespace/name`.
    pub pod: Option<Box<str>>,
}

/// Facts that were not there when they were needed: a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lacks(u32);

impl Lacks {
    /// Nothing was lacking.
    pub const NONE: Self = Self(0);
    /// Age: `nf_conntrack_timestamp` was off when the entry was made.
    pub const AGE: Self = Self(1);
    /// Idle time: the timeout is not known, or was changed.
    pub const IDLE: Self = Self(1 << 1);
    /// Seconds left: an offloaded entry has none.
    pub const EXPIRES: Self = Self(1 << 2);
    /// Packets and bytes: `nf_conntrack_acct` was off when the entry was made.
    pub const ACCOUNTING: Self = Self(1 << 3);
    /// Mark.
    pub const MARK: Self = Self(1 << 4);
    /// Labels.
    pub const LABELS: Self = Self(1 << 5);
    /// Helper.
    pub const HELPER: Self = Self(1 << 6);
    /// Network namespace.
    pub const NETNS: Self = Self(1 << 7);
    /// Process, unit, container, pod.
    pub const OWNER: Self = Self(1 << 8);
    /// Direction.
    pub const DIRECTION: Self = Self(1 << 9);
    /// Bits of the status that text does not show.
    pub const STATUS: Self = Self(1 << 10);
    /// State of a protocol that has states.
    pub const STATE: Self = Self(1 << 11);

    /// Each with the words for it.
    pub const ALL: [(Self, Words); 12] = [
        (
            Self::AGE,
            Words::of(
                "age (nf_conntrack_timestamp was off when they were made)",
                "存活时间（创建时 nf_conntrack_timestamp 没有打开）",
            ),
        ),
        (
            Self::IDLE,
            Words::of(
                "idle time (the timeout is not known, or was changed since)",
                "空闲时间（不知道超时，或者后来改过）",
            ),
        ),
        (
            Self::EXPIRES,
            Words::of(
                "seconds left (offloaded entries have none)",
                "剩余时间（卸载到流表的条目没有）",
            ),
        ),
        (
            Self::ACCOUNTING,
            Words::of(
                "packets and bytes (nf_conntrack_acct was off when they were made)",
                "包数和字节数（创建时 nf_conntrack_acct 没有打开）",
            ),
        ),
        (Self::MARK, Words::of("mark", "标记")),
        (Self::LABELS, Words::of("labels", "标签")),
        (Self::HELPER, Words::of("helper", "helper")),
        (Self::NETNS, Words::of("network namespace", "网络命名空间")),
        (Self::OWNER, Words::of("process, unit, container and pod", "进程、单元、容器和 pod")),
        (
            Self::DIRECTION,
            Words::of(
                "direction (the addresses of the namespace are not known)",
                "方向（不知道这个命名空间的地址）",
            ),
        ),
        (
            Self::STATUS,
            Words::of("status bits (text tells only some)", "状态位（文本形式只说出一部分）"),
        ),
        (Self::STATE, Words::of("state", "状态")),
    ];

    /// Whether all of `other` are in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it is empty.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The words for each of them.
    pub fn words(self) -> impl Iterator<Item = Words> {
        Self::ALL.into_iter().filter(move |(one, _)| self.contains(*one)).map(|(_, words)| words)
    }
}

impl BitOr for Lacks {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Lacks {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
