//! How long entries last under each setting, in lanes.

use crate::model::Model;
use crate::plain::Usual;
use crate::table::SEATS;
use crate::tcp::{EntryView, Tcp, TcpSettings};

/// Timeouts of the short ways in ticks, by setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lasting {
    /// By the numbers of [`Usual::timeouts`].
    pub(super) established: [[u32; SEATS]; 8],
    pub(super) udp: [[u32; SEATS]; 2],
    /// The least of them.
    pub(super) least: u32,
    pub(super) numbered: Usual,
    /// Of TCP by state, of data unacknowledged, and of a closed window.
    states: [[u32; SEATS]; TCP_STATES],
    unacknowledged: [u32; SEATS],
    closed: [u32; SEATS],
}

/// Those that have a timeout.
const TCP_STATES: usize = 10;

impl Lasting {
    pub(super) fn of(models: &[Model]) -> Self {
        let each = |of: &dyn Fn(&Model) -> u32| {
            let mut all = [0; SEATS];
            all.iter_mut().zip(models).for_each(|(place, model)| *place = of(model));
            all
        };
        let established = core::array::from_fn(|n| each(&|model| model.usual.timeouts()[n]));
        let udp = core::array::from_fn(|n| each(&|m| m.settings.ticks(m.settings.udp[n])));
        let of_settings =
            established.iter().chain(&udp).flat_map(|all| all.iter().take(models.len()));
        let least = of_settings.copied().min().unwrap_or(0);
        let states = core::array::from_fn(|n| {
            each(&|m| m.settings.ticks(m.settings.tcp_timeouts.states[n]))
        });
        let unacknowledged = each(&|m| m.settings.ticks(m.settings.tcp_timeouts.unacknowledged));
        let closed = each(&|m| m.settings.ticks(m.settings.tcp_timeouts.max_retrans));
        let numbered = models[0].usual.numbered();
        Self { established, udp, least, numbered, states, unacknowledged, closed }
    }

    /// What [`Tcp::lasts`] says under each setting, where that is plain.
    #[inline(always)]
    pub(super) fn of_tcp(
        &self,
        tcp: &Tcp,
        view: EntryView,
        settings: &TcpSettings,
    ) -> Option<[u32; SEATS]> {
        let (state, bounds) = tcp.lasts_plainly(view, settings)?;
        let mut ticks = *self.states.get(usize::from(state.number()))?;
        for (bound, bounds) in [&self.unacknowledged, &self.closed].into_iter().zip(bounds) {
            for (ticks, bound) in ticks.iter_mut().zip(bound) {
                *ticks = if bounds { (*ticks).min(*bound) } else { *ticks };
            }
        }
        Some(ticks)
    }
}
