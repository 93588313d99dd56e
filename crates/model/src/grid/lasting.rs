//! How long entries last under each setting, in lanes.

use plimsoll_ct::{Class, TcpState};

use crate::model::Model;
use crate::plain::Usual;
use crate::table::{Lasts, Table, Ticks};
use crate::tcp::{EntryView, Plainly, Tcp, TcpSettings};

/// Timeouts of the short and middle ways in ticks, by setting.
#[derive(Debug, Clone)]
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
    /// What comes of these by state, bounds and class, as far as it was asked for.
    tcp: [[[Option<Lasts>; CLASSES]; BOUNDS]; TCP_STATES],
    /// Behind a SYN that opens a flow, its answer, and an acknowledgement that is met in the middle of one: by the state, alike.
    begins: [Option<Lasts>; BEGINNINGS],
}

/// Those that have a timeout.
const TCP_STATES: usize = 10;
/// Three that hold or do not.
const BOUNDS: usize = 8;
const CLASSES: usize = 3;
/// Up to ESTABLISHED.
const BEGINNINGS: usize = 4;

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
        let established = established.map(|ticks| table.lasts(ticks, Class::Protected));
        let udp = [Class::Evictable, Class::Protected]
            .map(|class| udp.map(|ticks| table.lasts(ticks, class)));
        let states = core::array::from_fn(|n| {
            each(&|m| m.settings.ticks(m.settings.tcp_timeouts.states[n]))
        });
        let unacknowledged = each(&|m| m.settings.ticks(m.settings.tcp_timeouts.unacknowledged));
        let closed = each(&|m| m.settings.ticks(m.settings.tcp_timeouts.max_retrans));
        let numbered = models[0].usual.numbered();
        let tcp = [[[None; CLASSES]; BOUNDS]; TCP_STATES];
        let begins = [None; BEGINNINGS];
        Self { established, udp, least, numbered, states, unacknowledged, closed, tcp, begins }
    }

    /// Of an entry that is not assured, whose last segment made it or was the first to answer.
    #[inline(always)]
    pub(super) fn begins(
        &mut self,
        state: TcpState,
        models: &[Model],
        table: &mut Table,
    ) -> &Lasts {
        self.begins[usize::from(state.number()) % BEGINNINGS].get_or_insert_with(|| {
            let mut ticks = Ticks::default();
            for (place, Model { usual, .. }) in ticks.iter_mut().zip(models) {
                *place = match state {
                    TcpState::SynSent => usual.opening,
                    TcpState::SynRecv => usual.answered,
                    _ => usual.met,
                };
            }
            table.lasts(ticks, Class::Evictable)
        })
    }

    /// What [`Tcp::lasts`] says under each setting of an entry that is of a class now, where that is plain.
    #[inline(always)]
    pub(super) fn of_tcp(
        &mut self,
        tcp: &Tcp,
        view: EntryView,
        class: Class,
        settings: &TcpSettings,
        table: &mut Table,
    ) -> Option<&Lasts> {
        let plainly = tcp.lasts_plainly(view, settings)?;
        let Plainly { state, unanswered, unacknowledged, closed } = plainly;
        let state = usize::from(state.number());
        let bounds =
            usize::from(unanswered) | usize::from(unacknowledged) << 1 | usize::from(closed) << 2;
        let known = self.tcp.get(state)?[bounds][class as usize].is_some();
        if !known {
            let lasts = table.lasts(self.plainly(&plainly)?, class);
            self.tcp[state][bounds][class as usize] = Some(lasts);
        }
        self.tcp[state][bounds][class as usize].as_ref()
    }

    /// The same in ticks.
    #[inline(never)]
    pub(super) fn plainly(&self, plainly: &Plainly) -> Option<Ticks> {
        let Plainly { state, unanswered, unacknowledged, closed } = *plainly;
        let mut ticks = *self.states.get(usize::from(state.number()))?;
        let bounds = self.unacknowledged.iter().zip(&self.closed);
        for (ticks, (&to_acknowledge, &to_open)) in ticks.iter_mut().zip(bounds) {
            if unacknowledged && *ticks > to_acknowledge {
                *ticks = to_acknowledge;
            } else if closed {
                *ticks = (*ticks).min(to_open);
            }
            if unanswered {
                *ticks = (*ticks).min(to_acknowledge);
            }
        }
        Some(ticks)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use alloc::{format, vec::Vec};

    use plimsoll_ct::{Bytes, Profile};

    use super::*;
    use crate::table::SEATS;
    use crate::tcp::side;
    use crate::{Config, Grid, Settings};

    /// Timeouts in every order to each other, all that they hang on, on a generation that knows each of it and one that knows less.
    #[test]
    fn a_plain_timeout_is_what_the_tracker_says_under_each_setting() {
        for name in ["6.18", "4.14"] {
            let profile = Profile::named(name).unwrap();
            let configs: Vec<Config> = (0..SEATS as u64)
                .map(|seat| {
                    let mut settings = Settings::of(profile, Bytes(8 << 30));
                    for (n, what) in
                        ["established", "unacknowledged", "max_retrans"].iter().enumerate()
                    {
                        let seconds = 100 + (seat >> n & 1) * 300 + n as u64;
                        settings.set(&format!("nf_conntrack_tcp_timeout_{what}"), seconds).unwrap();
                    }
                    Config::new(profile, settings)
                })
                .collect();
            let Grid { mut lasting, mut table, models, .. } = Grid::new(&configs).unwrap();
            let mut seen = 0;
            for (state, bits) in (1..=9).flat_map(|state| (0..16_u8).map(move |bits| (state, bits)))
            {
                let mut tcp = Tcp::resumed(TcpState::from_number(state));
                tcp.sides[usize::from(bits & 1)].flags |=
                    (bits >> 1 & 1) * side::DATA_UNACKNOWLEDGED;
                tcp.last.window = u16::from(bits >> 2 & 1);
                let view = EntryView { assured: false, replied: bits >> 3 & 1 != 0 };
                let settings = &models[0].settings.tcp;
                for class in [Class::Evictable, Class::Closing, Class::Protected] {
                    let Some(lasts) = lasting.of_tcp(&tcp, view, class, settings, &mut table)
                    else {
                        continue;
                    };
                    for (model, ticks) in models.iter().zip(lasts.ticks) {
                        let wanted = tcp.lasts(view, settings, &model.settings.tcp_timeouts);
                        assert_eq!(
                            ticks,
                            model.settings.ticks(wanted),
                            "{name} {state} {bits:04b}"
                        );
                    }
                    seen += 1;
                }
            }
            assert_eq!(seen, 9 * 16 * 3, "{name}");
        }
    }
}
