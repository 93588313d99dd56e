//! Segments that make an entry of which everything is known at once.

use plimsoll_ct::TcpState;
use plimsoll_wire::packet::{Acknowledgement, Opening, parse_acknowledgement, parse_opening};

use super::{ACK_WINDOW, Class, Next, TcpSettings, next};
use crate::ticks::Sequence;

/// See the module. What [`Tcp::open`](super::Tcp::open) and [`Tcp::judge`](super::Tcp::judge) make of it, the table writes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// A SYN.
    Syn(Opening),
    /// An acknowledgement that is met in the middle of a flow.
    Met(Acknowledgement),
}

impl First {
    /// Of a TCP header and what stands behind it. `None`: another segment; one whose end is 0, of which the last segment would be told
    /// another way; or one that happens to acknowledge what lies in the window of a side of which nothing is known.
    #[inline(always)]
    pub(crate) fn of(bytes: &[u8], promised: u32, settings: &TcpSettings) -> Option<Self> {
        if let Some(syn) = parse_opening(bytes, promised) {
            return (!syn.answers && syn.end() != 0).then_some(Self::Syn(syn));
        }
        let met = parse_acknowledgement(bytes, promised)?;
        let begins = next(settings.behaviour.table, false, Class::Ack, TcpState::None);
        let (ack, nothing) = (Sequence(met.ack), Sequence(0));
        let oldest = nothing.minus(ACK_WINDOW.max(met.window.into())).minus(1);
        let known = settings.loose
            && begins == Next::To(TcpState::Established)
            && met.payload <= u16::MAX.into()
            && met.end() != 0
            && (ack.after(nothing) || !ack.after(oldest));
        known.then_some(Self::Met(met))
    }

    /// The state of its entry.
    pub(crate) const fn state(&self) -> TcpState {
        match self {
            Self::Syn(_) => TcpState::SynSent,
            Self::Met(_) => TcpState::Established,
        }
    }
}

/// The answer to a SYN, if it is one, whose end is not 0.
#[inline(always)]
pub(crate) fn answer(bytes: &[u8], promised: u32) -> Option<Opening> {
    parse_opening(bytes, promised).filter(|answer| answer.answers && answer.end() != 0)
}
