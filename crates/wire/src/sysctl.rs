//! sysctl.d files: assignments with their place.

use alloc::string::String;

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// File as the host knows it: `/etc/sysctl.d/90-x.conf`.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Key in dotted notation, as `sysctl -a` prints it: `net.netfilter.nf_conntrack_max`.
    pub key: String,
    /// Value, trimmed.
    pub value: String,
    /// Line began with `-`: failure is ignored.
    pub may_fail: bool,
}
