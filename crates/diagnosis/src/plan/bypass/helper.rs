//! Helpers that no rule names: up to Linux 5.19 one that is loaded reads along on its port by itself, where
//! `nf_conntrack_helper` lets it (documentation; the switch is of 3.5, and off since 4.7).

use alloc::vec::Vec;

use plimsoll_ct::Protocol;

use crate::Said;
use crate::case::{Case, Space};

/// A helper by the end of its module's name, and a port on which it reads along.
const HELPERS: &[(&str, Protocol, u16)] = &[
    ("ftp", Protocol::Tcp, 21),
    ("tftp", Protocol::Udp, 69),
    ("netbios_ns", Protocol::Udp, 137),
    ("snmp", Protocol::Udp, 161),
    ("h323", Protocol::Tcp, 1720),
    ("pptp", Protocol::Tcp, 1723),
    ("sip", Protocol::Tcp, 5060),
    ("sip", Protocol::Udp, 5060),
    ("sane", Protocol::Tcp, 6566),
    ("irc", Protocol::Tcp, 6667),
    ("amanda", Protocol::Udp, 10080),
];
/// First release in which none reads along unless it is let.
const OFF_SINCE: (u16, u16) = (4, 7);
/// First release in which none does at all.
const NEVER_SINCE: (u16, u16) = (6, 0);

/// Why such services must stay tracked, a sentence each.
pub(super) fn reading_along(
    case: &Case<'_>,
    space: &Space<'_>,
    services: &[(Protocol, u16)],
) -> Vec<Said> {
    let rank = case.after.host.kernel.value().map(|kernel| kernel.rank());
    let on = match space.now.setting("nf_conntrack_helper") {
        Some(value) => value != 0,
        None => rank.is_some_and(|rank| rank < OFF_SINCE),
    };
    let Some(modules) = case.after.host.modules.value() else { return Vec::new() };
    if !on || rank.is_some_and(|rank| rank >= NEVER_SINCE) {
        return Vec::new();
    }
    let of = |(protocol, port): (Protocol, u16)| {
        let (end, _, _) = HELPERS.iter().find(|(_, p, at)| (*p, *at) == (protocol, port))?;
        let module = modules.iter().find(|module| {
            let name = module.name.as_str();
            ["nf_conntrack_", "ip_conntrack_"].iter().any(|p| name.strip_prefix(p) == Some(end))
        })?;
        Some(said!(
            "{} reads along on {}/{port} by itself, to let its other connections in: what is not tracked it never sees",
            "{} 自己看着 {}/{port} 的内容，好放行它的其他连接：不跟踪的它看不到",
            module.name,
            protocol.name()
        ))
    };
    services.iter().copied().filter_map(of).collect()
}
