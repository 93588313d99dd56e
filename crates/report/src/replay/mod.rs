//! What a capture says about settings: as a screen, as JSON, as a drawing.

mod caveats;
mod chart;
mod json;
mod svg;
mod table;
mod terminal;
mod text;

pub use caveats::{caveats as replay_caveats, log_cut as replay_log_cut};
pub use json::{REPLAY_SCHEMA, ReplayDetails, replay_json};
pub use svg::replay_svg;
pub use terminal::replay_chart;
pub use text::replay_text;

use alloc::format;
use alloc::string::String;

use plimsoll_diagnosis::size::{Demand, MARGIN, Machine, Peak, Sizing, size};
use plimsoll_replay::Answer;

use crate::{Clock, Language};

/// The size to go for.
fn sizing(a: &Answer) -> Sizing {
    let demand = Demand { mean: a.needed(), peak: Peak::Seen(a.needed()), ..Demand::default() };
    let buckets = a.more_buckets.as_ref().unwrap_or(&a.as_set).outcome.buckets;
    size(demand, &Machine::of_profile(a.profile, buckets), MARGIN)
}

/// What a drawing's times count from. Made-up traffic has no date.
fn start(a: &Answer, clock: Clock, language: Language) -> String {
    match a.span {
        Some((first, _)) if !a.synthetic => {
            let first = clock.show(first);
            spoken!(language, "{first}", " {first} ")
        }
        Some(_) | None => spoken!(language, "the start", "开始"),
    }
}

/// A span since the start, short: `+12.3 s`, `+4:10`, `+3:12:04`.
fn since_start(seconds: f64) -> String {
    if seconds < 99.95 {
        return format!("+{seconds:.1} s");
    }
    let s = (seconds + 0.5) as u64;
    if s < 3600 {
        format!("+{}:{:02}", s / 60, s % 60)
    } else {
        format!("+{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }
}
