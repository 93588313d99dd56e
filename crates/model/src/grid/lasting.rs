//! How long entries last under each setting, in lanes.

use plimsoll_ct::Class;

use crate::model::Model;
use crate::plain::Usual;
use crate::table::{Row, Table, Ticks};
use crate::tcp::{EntryView, Tcp, TcpSettings};

/// Timeouts of the short ways in ticks, by setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lasting {
    /// By the numbers of [`Usual::timeouts`].
    pub(super) established: [Lasts; 8],
    /// Of entries that are not assured, and of those that are: without and with a stream.
    pub(super) udp: [[Lasts; 2]; 2],
    /// The least of them.
    pub(super) least: u32,
    pub(super) numbered: Usual,
    /// Of TCP by state, of data unacknowledged, and of a closed window.
    states: [Ticks; TCP_STATES],
    unacknowledged: Ticks,
    closed: Ticks,
}

/// How long entries of a class last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lasts {
    pub(super) ticks: Ticks,
    row: Row,
}

impl Lasts {
    fn of(table: &mut Table, ticks: Ticks, class: Class) -> Self {
        Self { ticks, row: table.row(&ticks, class) }
    }

    #[inline(always)]
    pub(super) const fn of_class(&self) -> (&Ticks, Row) {
        (&self.ticks, self.row)
    }
}

/// Those that have a timeout.
const TCP_STATES: usize = 10;

impl Lasting {
    /// The rows that it needs are the table's first.
    pub(super) fn of(models: &[Model], table: &mut Table) -> Self {
        let each = |of: &dyn Fn(&Model) -> u32| {
            let mut all = Ticks::default();
            all.iter_mut().zip(models).for_each(|(place, model)| *place = of(model));
            all
        };
        let established: [Ticks; 8] =
            core::array::from_fn(|n| each(&|model| model.usual.timeouts()[n]));
        let udp: [Ticks; 2] =
            core::array::from_fn(|n| each(&|m| m.settings.ticks(m.settings.udp[n])));
        let of_settings =
            established.iter().chain(&udp).flat_map(|all| all.iter().take(models.len()));
        let least = of_settings.copied().min().unwrap_or(0);
        let established = established.map(|ticks| Lasts::of(&mut *table, ticks, Class::Protected));
        let udp = [Class::Evictable, Class::Protected]
            .map(|class| udp.map(|ticks| Lasts::of(&mut *table, ticks, class)));
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
    ) -> Option<Ticks> {
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
