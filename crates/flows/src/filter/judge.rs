//! Whether an entry is meant.

use alloc::boxed::Box;
use core::str::FromStr;

use plimsoll_ct::{Accounting, Entry, L4, Protocol, Seconds, State, Status, Tuple};

use super::{
    Amount, Comparison, End, Expr, Flag, Glob, Mark, Named, Nat, Port, Side, SpanOf, Target, Test,
    Truth, words,
};
use crate::{Lacks, Net, View};

impl From<bool> for Truth {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl Expr {
    pub(super) fn judge(&self, view: &View<'_>, lacks: &mut Lacks) -> Truth {
        match self {
            Self::Test(test) => test.judge(view, lacks),
            Self::Not(inner) => match inner.judge(view, lacks) {
                Truth::Yes => Truth::No,
                Truth::No => Truth::Yes,
                Truth::Unknown => Truth::Unknown,
            },
            Self::And(list) => settle(list, view, lacks, Truth::No, Truth::Yes),
            Self::Or(list) => settle(list, view, lacks, Truth::Yes, Truth::No),
        }
    }

    pub(super) fn needs(&self) -> Lacks {
        match self {
            Self::Test(test) => test.needs(),
            Self::Not(inner) => inner.needs(),
            Self::And(list) | Self::Or(list) => {
                list.iter().fold(Lacks::NONE, |needs, expr| needs | expr.needs())
            }
        }
    }
}

/// One that decides settles it, whatever else is unknown.
fn settle(
    list: &[Expr],
    view: &View<'_>,
    lacks: &mut Lacks,
    decides: Truth,
    else_: Truth,
) -> Truth {
    let mut truth = else_;
    for expr in list {
        match expr.judge(view, lacks) {
            found if found == decides => return decides,
            Truth::Unknown => truth = Truth::Unknown,
            Truth::Yes | Truth::No => {}
        }
    }
    truth
}

impl Test {
    fn judge(&self, view: &View<'_>, lacks: &mut Lacks) -> Truth {
        let entry = view.entry;
        let mut known = |value: Option<bool>, lack: Lacks| match value {
            Some(yes) => Truth::from(yes),
            None => {
                *lacks |= lack;
                Truth::Unknown
            }
        };
        match self {
            Self::Family(family) => (entry.original.family() == *family).into(),
            Self::Protocol(protocol) => (entry.original.protocol == *protocol).into(),
            Self::Address { side, end, nets } => {
                tuples(entry, *side).any(|tuple| has_address(tuple, *end, nets)).into()
            }
            Self::Port { side, end, ports } => {
                tuples(entry, *side).any(|tuple| has_port(tuple, *end, ports)).into()
            }
            Self::IcmpType(kinds) => {
                matches!(entry.original.l4, L4::Icmp { kind, .. } if kinds.contains(&kind)).into()
            }
            Self::State(names) => known(is_in_state(entry, names), Lacks::STATE),
            Self::Class(class) => (entry.class() == *class).into(),
            Self::Flag(flag) => known(has_flag(view, *flag), Lacks::STATUS),
            Self::Nat { kind, to } => is_rewritten(entry, *kind, to).into(),
            Self::Direction(list) => {
                known(view.direction().map(|way| list.contains(&way)), Lacks::DIRECTION)
            }
            Self::Span { of, comparison, with } => {
                let (span, lack) = match of {
                    SpanOf::Age => (entry.age, Lacks::AGE),
                    SpanOf::Idle => (view.idle(), Lacks::IDLE),
                    SpanOf::Expires => (entry.expires, Lacks::EXPIRES),
                };
                known(span.map(|Seconds(span)| comparison.holds(span, with.get())), lack)
            }
            Self::Amount { of, comparison, with } => {
                let amount = amount(entry, *of);
                known(amount.map(|amount| comparison.holds(amount, *with)), Lacks::ACCOUNTING)
            }
            Self::Mark(list) => {
                known(entry.mark.map(|mark| list.iter().any(|m| m.fits(mark))), Lacks::MARK)
            }
            Self::Zone(list) => list.contains(&entry.zone.id).into(),
            Self::Label(list) => known(has_label(view, list), Lacks::LABELS),
            Self::Named { of: Named::Helper, globs } => {
                known(is_helped(view, globs), Lacks::HELPER)
            }
            Self::Named { of: Named::Netns, globs } => {
                known(is_in_netns(view, globs), Lacks::NETNS)
            }
            Self::Named { of: Named::Process, globs } => owned(view, lacks, |owner| {
                owner.process.as_deref().is_some_and(|name| any(globs, name))
                    || owner.pid.is_some_and(|pid| is_number(globs, pid))
            }),
            Self::Named { of: Named::Unit, globs } => owned(view, lacks, |owner| {
                owner.unit.as_deref().is_some_and(|unit| {
                    any(globs, unit)
                        || unit.strip_suffix(".service").is_some_and(|bare| any(globs, bare))
                })
            }),
            Self::Named { of: Named::Container, globs } => owned(view, lacks, |owner| {
                owner.container.as_deref().is_some_and(|name| any(globs, name))
                    || owner.container_id.as_deref().is_some_and(|id| has_id(globs, id))
            }),
            Self::Named { of: Named::Pod, globs } => owned(view, lacks, |owner| {
                owner.pod.as_deref().is_some_and(|pod| {
                    any(globs, pod) || pod.split_once('/').is_some_and(|(_, name)| any(globs, name))
                })
            }),
        }
    }

    /// What it may ask for beyond the bare entry.
    fn needs(&self) -> Lacks {
        match self {
            Self::Family(_)
            | Self::Protocol(_)
            | Self::Address { .. }
            | Self::Port { .. }
            | Self::IcmpType(_)
            | Self::State(_)
            | Self::Class(_)
            | Self::Nat { .. }
            | Self::Zone(_) => Lacks::NONE,
            Self::Flag(flag) => match flag {
                Flag::Assured | Flag::Replied | Flag::Unreplied | Flag::Offloaded => Lacks::NONE,
                Flag::Expected | Flag::Dying | Flag::Fixed => Lacks::STATUS,
            },
            Self::Direction(_) => Lacks::DIRECTION,
            Self::Span { of: SpanOf::Age, .. } => Lacks::AGE,
            Self::Span { of: SpanOf::Idle, .. } => Lacks::IDLE,
            Self::Span { of: SpanOf::Expires, .. } => Lacks::EXPIRES,
            Self::Amount { .. } => Lacks::ACCOUNTING,
            Self::Mark(_) => Lacks::MARK,
            Self::Label(_) => Lacks::LABELS,
            Self::Named { of, .. } => match of {
                Named::Helper => Lacks::HELPER,
                Named::Netns => Lacks::NETNS,
                Named::Process | Named::Unit | Named::Container | Named::Pod => Lacks::OWNER,
            },
        }
    }
}

/// Whether any owner fits. No owner found is not "none of them": the entry may be forwarded, its socket closed.
fn owned(view: &View<'_>, lacks: &mut Lacks, fits: impl Fn(&crate::Owner) -> bool) -> Truth {
    match view.owners {
        Some(owners) => owners.iter().any(fits).into(),
        None => {
            *lacks |= Lacks::OWNER;
            Truth::Unknown
        }
    }
}

fn any(globs: &[Glob], name: &str) -> bool {
    globs.iter().any(|glob| glob.matches(name))
}

/// Whether a number is meant: an inode, the id of a process.
fn is_number<N: FromStr + PartialEq>(globs: &[Glob], number: N) -> bool {
    globs.iter().any(|glob| glob.as_str().parse().is_ok_and(|wanted: N| wanted == number))
}

/// Whether the id of a container is meant; its beginning will do.
fn has_id(globs: &[Glob], id: &str) -> bool {
    let begins = |prefix: &str| prefix.len() >= 6 && id.starts_with(prefix);
    globs.iter().any(|glob| glob.matches(id) || begins(glob.as_str()))
}

/// `None`: this protocol has states, and the source did not tell.
fn is_in_state(entry: &Entry, names: &[&str]) -> Option<bool> {
    let name = match entry.state {
        State::Tcp(state) => state.name(),
        State::Sctp(state) => state.name(),
        State::Dccp(state) => state.name(),
        State::Stateless => match entry.original.protocol {
            Protocol::Tcp | Protocol::Sctp | Protocol::Dccp => return None,
            _ => None,
        },
    };
    Some(name.is_some_and(|name| names.iter().any(|n| words::same_state(n, name))))
}

fn has_flag(view: &View<'_>, flag: Flag) -> Option<bool> {
    let has = |bits| view.entry.status.contains(bits);
    let told = |bits| view.around.tells.status.then(|| has(bits));
    match flag {
        Flag::Assured => Some(has(Status::ASSURED)),
        Flag::Replied => Some(has(Status::SEEN_REPLY)),
        Flag::Unreplied => Some(!has(Status::SEEN_REPLY)),
        Flag::Offloaded => Some(has(Status::OFFLOAD) || has(Status::HW_OFFLOAD)),
        Flag::Expected => told(Status::EXPECTED),
        Flag::Dying => told(Status::DYING),
        Flag::Fixed => told(Status::FIXED_TIMEOUT),
    }
}

fn has_label(view: &View<'_>, list: &[(u16, Option<Box<str>>)]) -> Option<bool> {
    let none = view.around.tells.labels.then_some([].as_slice());
    let bits = view.entry.labels.as_ref().map(|bits| bits.as_slice()).or(none)?;
    let set =
        |bit: u16| bits.get(usize::from(bit / 8)).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
    Some(list.iter().any(|(bit, _)| set(*bit)))
}

fn is_helped(view: &View<'_>, globs: &[Glob]) -> Option<bool> {
    match &view.entry.helper {
        Some(helper) => Some(any(globs, helper.as_str())),
        None => view.around.tells.helper.then_some(false),
    }
}

fn is_in_netns(view: &View<'_>, globs: &[Glob]) -> Option<bool> {
    let netns = view.around.netns.as_ref()?;
    let by_inode = netns.inode.is_some_and(|inode| is_number(globs, inode));
    Some(by_inode || netns.names.iter().any(|name| any(globs, name)))
}

impl Mark {
    fn fits(self, mark: u32) -> bool {
        let mask = self.mask.unwrap_or(u32::MAX);
        mark & mask == self.value & mask
    }
}

impl Comparison {
    fn holds(self, a: u64, b: u64) -> bool {
        match self {
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::Greater => a > b,
            Self::AtLeast => a >= b,
            Self::Equal => a == b,
            Self::Different => a != b,
        }
    }
}

fn tuples(entry: &Entry, side: Side) -> impl Iterator<Item = &Tuple> {
    let original = (side != Side::Reply).then_some(&entry.original);
    let reply = (side != Side::Original).then_some(&entry.reply);
    original.into_iter().chain(reply)
}

fn has_address(tuple: &Tuple, end: End, nets: &[Net]) -> bool {
    nets.iter().any(|net| {
        end != End::Destination && net.contains(tuple.source)
            || end != End::Source && net.contains(tuple.destination)
    })
}

fn has_port(tuple: &Tuple, end: End, ports: &[Port]) -> bool {
    let source = tuple.source_port().filter(|_| end != End::Destination);
    let destination = tuple.destination_port().filter(|_| end != End::Source);
    [source, destination].into_iter().flatten().any(|port| {
        ports.iter().any(|wanted| match wanted {
            Port::Range(first, last) => (*first..=*last).contains(&port),
            Port::Service { places, .. } => places.contains(&(tuple.protocol, port)),
        })
    })
}

/// By the tuples, which every form of the table shows: the answers come from, or go to, another place than the first
/// packet named.
fn is_rewritten(entry: &Entry, kind: Nat, to: &[Target]) -> bool {
    let reply = &entry.reply;
    let (source, destination) = (entry.is_source_rewritten(), entry.is_destination_rewritten());
    let fits = |rewritten: bool, address, port| {
        rewritten && (to.is_empty() || to.iter().any(|target| target.admits(address, port)))
    };
    let by_source =
        kind != Nat::Destination && fits(source, reply.destination, reply.destination_port());
    let by_destination =
        kind != Nat::Source && fits(destination, reply.source, reply.source_port());
    by_source || by_destination
}

fn amount(entry: &Entry, of: Amount) -> Option<u64> {
    let one = |a: Accounting| match of {
        Amount::Packets => a.packets,
        Amount::Bytes => a.bytes,
    };
    let (original, reply) = (entry.original_accounting?, entry.reply_accounting?);
    Some(one(original).saturating_add(one(reply)))
}
