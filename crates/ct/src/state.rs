//! The protocols' state machines: names and numbers only. The transitions are the model's.

use core::fmt;

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A number this build does not know; kept, never guessed.
            Other(u8),
        }

        impl $name {
            /// From the number that ctnetlink carries.
            pub const fn from_number(number: u8) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Other(other),
                }
            }

            /// The number that ctnetlink carries.
            pub const fn number(self) -> u8 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Other(n) => n,
                }
            }

            /// From the word that /proc and conntrack(8) print.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The word that /proc and conntrack(8) print; `None` for an unknown number.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($text),)*
                    Self::Other(_) => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "state-{}", self.number()),
                }
            }
        }
    };
}

states!(
    /// TCP tracker states, in the kernel's order.
    TcpState {
        /// No packet judged yet.
        None = 0, "NONE";
        /// SYN seen.
        SynSent = 1, "SYN_SENT";
        /// SYN/ACK seen.
        SynRecv = 2, "SYN_RECV";
        /// Handshake complete, or picked up in the middle.
        Established = 3, "ESTABLISHED";
        /// One FIN seen.
        FinWait = 4, "FIN_WAIT";
        /// The FIN was acknowledged.
        CloseWait = 5, "CLOSE_WAIT";
        /// The second FIN seen.
        LastAck = 6, "LAST_ACK";
        /// Both closed; waiting.
        TimeWait = 7, "TIME_WAIT";
        /// Closed by RST.
        Close = 8, "CLOSE";
        /// Simultaneous open (2.6.18: LISTEN, never shown).
        SynSent2 = 9, "SYN_SENT2";
    }
);

states!(
    /// SCTP tracker states.
    SctpState {
        /// No chunk judged yet.
        None = 0, "NONE";
        /// INIT seen, or closed.
        Closed = 1, "CLOSED";
        /// INIT ACK seen.
        CookieWait = 2, "COOKIE_WAIT";
        /// COOKIE ECHO seen.
        CookieEchoed = 3, "COOKIE_ECHOED";
        /// Association up.
        Established = 4, "ESTABLISHED";
        /// SHUTDOWN from the original side.
        ShutdownSent = 5, "SHUTDOWN_SENT";
        /// SHUTDOWN from the reply side.
        ShutdownRecd = 6, "SHUTDOWN_RECD";
        /// SHUTDOWN ACK seen.
        ShutdownAckSent = 7, "SHUTDOWN_ACK_SENT";
        /// HEARTBEAT as first chunk.
        HeartbeatSent = 8, "HEARTBEAT_SENT";
        /// Up to about 6.0.
        HeartbeatAcked = 9, "HEARTBEAT_ACKED";
    }
);

states!(
    /// DCCP tracker states (2.6.30 to 6.14).
    DccpState {
        /// No packet judged yet.
        None = 0, "NONE";
        /// Request seen.
        Request = 1, "REQUEST";
        /// Response seen.
        Respond = 2, "RESPOND";
        /// First acknowledgement seen.
        PartOpen = 3, "PARTOPEN";
        /// Open.
        Open = 4, "OPEN";
        /// Server asked to close.
        CloseReq = 5, "CLOSEREQ";
        /// Close seen.
        Closing = 6, "CLOSING";
        /// Waiting.
        TimeWait = 7, "TIMEWAIT";
        /// Packet ignored.
        Ignore = 8, "IGNORE";
        /// Packet invalid.
        Invalid = 9, "INVALID";
    }
);

/// The protocol's own part of an entry's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum State {
    /// The protocol has no state machine (UDP, ICMP, GRE, generic), or the source did not say.
    #[default]
    Stateless,
    /// TCP.
    Tcp(TcpState),
    /// SCTP.
    Sctp(SctpState),
    /// DCCP.
    Dccp(DccpState),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stateless => f.write_str("-"),
            Self::Tcp(s) => s.fmt(f),
            Self::Sctp(s) => s.fmt(f),
            Self::Dccp(s) => s.fmt(f),
        }
    }
}
