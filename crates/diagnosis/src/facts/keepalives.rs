//! Keepalives of local processes: what a shorter timeout would meet.

/// ESTABLISHED connections of local processes, to or from one port or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keepalives {
    /// Connections.
    pub connections: u64,
    /// Those that send no keepalives.
    pub without: u64,
    /// The longest time until a keepalive is due, in seconds; `None`: none sends any.
    pub longest: Option<u64>,
}
