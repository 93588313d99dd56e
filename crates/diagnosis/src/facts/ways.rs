//! The ways that packets take through a host: its rules in full, its addresses, who listens. What a change of rules is
//! planned on; `check` reads it only where a finding asks for such a change.

use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_wire::filter::Program;

use super::{Fact, Gap};
use crate::Said;

/// Of one namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Ways {
    /// The rules, every condition of them.
    pub program: Fact<Program>,
    /// What of the rules could not be read, with the reason.
    pub unread: Vec<Said>,
    /// Addresses of the namespace.
    pub own: Fact<Vec<IpAddr>>,
    /// The longest packet that all its interfaces carry, in bytes.
    pub mtu: Fact<u32>,
    /// Ports that somebody listens on: IP protocol number, address, port.
    pub listening: Fact<Vec<(u8, IpAddr, u16)>>,
    /// The first and the last port that the kernel gives to who asks from no port in particular.
    pub own_ports: Fact<(u16, u16)>,
    /// TCP ports on which an SSH server listens, in order.
    pub doors: Vec<u16>,
    /// The far end of the connection that whoever asks came by, and the port it came to.
    pub session: Option<(IpAddr, u16)>,
}

impl Ways {
    /// Nothing of it, for one reason.
    pub fn missing(gap: &Gap) -> Self {
        Self {
            program: Fact::Missing(gap.clone()),
            unread: Vec::new(),
            own: Fact::Missing(gap.clone()),
            mtu: Fact::Missing(gap.clone()),
            listening: Fact::Missing(gap.clone()),
            own_ports: Fact::Missing(gap.clone()),
            doors: Vec::new(),
            session: None,
        }
    }
}
