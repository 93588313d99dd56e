//! When the table will be full.
//!
//! A straight line through two readings lies: short-lived entries level out by themselves (Little's law:
//! entries = rate × lifetime), and since 4.9 expired ones stay in the count until the collector comes, so
//! that a steady load draws a saw-tooth.

use crate::Said;
use crate::case::{Case, Space};
use crate::groups::ratio;

/// Least growth to speak of in one interval: a page load or a cron job makes fewer.
pub(super) const GROWTH_LEAST: f64 = 100.0;
/// Part of a table that may come and go by chance between two readings whose churn is not known.
const UNKNOWN_CHURN: f64 = 0.1;
/// Nine: three standard deviations, squared.
const THREE_SIGMA: f64 = 9.0;
/// How far ahead the growth of long-lived entries is counted on.
const HORIZON: f64 = 1800.0;

/// When the limit will be reached, and from what that follows.
pub(crate) struct Forecast {
    /// Seconds from the reading on.
    pub(crate) seconds: f64,
    /// Growth in entries per second that it rests on.
    pub(crate) growth: f64,
    /// What grew: "protected entries", "entries".
    pub(crate) of: Said,
    /// Whether it rests on readings of the entries themselves, so that expired ones that are still
    /// counted cannot feign it.
    pub(crate) sure: bool,
}

/// Extrapolates the growth over the interval, if there is any beyond noise, and if the rate of new
/// entries and their lifetimes do not say that it will level out below the limit.
///
/// Growth of the count alone, without a reading of the entries, is believed only when the table is half
/// full.
pub(crate) fn forecast(case: &Case<'_>, s: &Space<'_>) -> Option<Forecast> {
    let (count, max) = (s.load.count?.0, s.limit()?);
    let seconds = case.seconds()?;
    if count >= max {
        return None;
    }
    // Two censuses: what cannot be evicted is what fills a table for good.
    if let (Some(then), Some(now)) = (
        s.then.and_then(|n| n.census.value()).filter(|c| c.complete),
        s.now.census.value().filter(|c| c.complete),
    ) {
        let grew = now.total.protected as f64 - then.total.protected as f64;
        let noise = (now.total.protected.max(then.total.protected)) as f64;
        if grew >= GROWTH_LEAST && grew * grew > THREE_SIGMA * UNKNOWN_CHURN * noise {
            let growth = grew / seconds;
            let left = max.saturating_sub(now.total.protected) as f64;
            return Some(Forecast {
                seconds: left / growth,
                growth,
                of: Said::of("protected entries", "受保护的条目"),
                sure: true,
            });
        }
    }
    if let Some(churn) = s.now.census.value().and_then(|c| c.churn)
        && let (Ok(new), Ok(gone)) = (&s.rates.new, &s.rates.expired)
    {
        let net = churn.appeared as f64 - churn.vanished as f64;
        let moved = (churn.appeared + churn.vanished) as f64;
        // Three standard deviations of two counts that come and go by chance.
        if net < GROWTH_LEAST / 2.0 || net * net < THREE_SIGMA * moved {
            return None;
        }
        let growth = new - gone;
        let left = (max - count) as f64;
        if growth <= 0.0 || levels_out(case, s, *new, growth, left / growth) {
            return None;
        }
        return Some(Forecast {
            seconds: left / growth,
            growth,
            of: Said::of("entries", "条目"),
            sure: true,
        });
    }
    let growth = *s.rates.growth.as_ref().ok()?;
    let grew = growth * seconds;
    let noise = count as f64 * UNKNOWN_CHURN;
    if ratio(count, max) < 0.5 || grew < GROWTH_LEAST || grew * grew < THREE_SIGMA * noise {
        return None;
    }
    Some(Forecast {
        seconds: (max - count) as f64 / growth,
        growth,
        of: Said::of("entries", "条目"),
        sure: false,
    })
}

/// Whether short-lived entries make the growth, so that by Little's law (entries = rate × lifetime) it
/// levels out below the limit.
fn levels_out(case: &Case<'_>, s: &Space<'_>, new: f64, growth: f64, horizon: f64) -> bool {
    let Some((census, scale)) = s.census() else {
        return false;
    };
    let (mut short, mut weighted, mut long) = (0u64, 0.0, 0u64);
    for (key, tally) in &census.states {
        match super::idle::lifetime(case, s, key.protocol, key.state, key.replied) {
            Some(seconds) if seconds <= 600 => {
                short = short.saturating_add(tally.total());
                weighted += tally.total() as f64 * seconds as f64;
            }
            Some(_) | None => long = long.saturating_add(tally.total()),
        }
    }
    let all = short.saturating_add(long);
    if all == 0 || short == 0 {
        return false;
    }
    let lag = case.profile.collector_lag.0 as f64;
    let share_long = ratio(long, all);
    // The lifetimes are those of entries that nothing refreshes: the shortest they can be. A flow that
    // talks on lives on, so the share of long-lived ones grows without end over the horizon.
    let steady_short = new * (1.0 - share_long) * (weighted / short as f64 + lag);
    let long_then = scale.up(long) as f64 + growth * share_long * horizon.min(HORIZON);
    steady_short + long_then < s.limit().unwrap_or(0) as f64
}
