//! What a host sends to itself passes conntrack where it leaves, and again where it arrives.
//!
//! Kernel: `nf_conntrack_in()`: a packet that has an entry, or is exempted, is not looked at again. One
//! that is INVALID has none, so it is judged twice, and counted twice.

use plimsoll_ct::Time;
use plimsoll_wire::packet::Packet;

use crate::model::Model;
use crate::step::{Fate, Info, Step, Treatment, Verdict};

impl Model {
    /// Feeds one packet that the host sends to itself: what the rules do to it in LOCAL_OUT and POSTROUTING,
    /// and, if it gets there without an entry, in PREROUTING and LOCAL_IN. The step is that of its arrival.
    pub fn loopback(
        &mut self,
        at: Time,
        packet: &Packet<'_>,
        leaving: &Treatment,
        arriving: &Treatment,
    ) -> Step {
        let leaving = Treatment { local: true, ..*leaving };
        let arriving = Treatment { local: false, ..*arriving };
        self.advance(at);
        self.gathered(packet, &leaving, |model, whole, leaving| {
            model.log.leaving = true;
            let step = model.whole(whole, leaving);
            model.log.leaving = false;
            let goes_on = step.verdict == Verdict::Accept && leaving.fate == Fate::Accepted;
            if step.info != Info::Invalid || !goes_on {
                return step;
            }
            // Lines of its leaving are about it still.
            let before = model.log.before;
            let step = model.whole(whole, &arriving);
            model.log.before = before;
            step
        })
    }
}
