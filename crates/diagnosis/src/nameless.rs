//! Lines of the log that name no namespace: whose they can be.
//!
//! Only "table full" names one, since 6.18. Of all else the log says that it happened somewhere on the
//! host; the counters of a namespace, which count since it was made, say where it can't have been.

use alloc::vec::Vec;

use crate::case::{Case, Space};
use crate::drops::add;
use crate::facts::{Seen, SeenIn};

/// Lines, by whether a namespace that was read can have caused them.
#[derive(Debug, Default)]
pub(crate) struct Nameless {
    /// Those that one of them can have caused.
    pub(crate) here: Option<SeenIn>,
    /// The namespace that caused these, where only one is left and all were read.
    pub(crate) suspect: Option<usize>,
    /// Those that none of them can have caused.
    pub(crate) elsewhere: Option<SeenIn>,
}

/// Sorts lines. `innocent` tells of a namespace that it never had this trouble since it was made. Lines from
/// before this boot may be anyone's. Where namespaces were chosen, nothing is said.
pub(crate) fn sort(
    case: &Case<'_>,
    seen: Option<&Seen>,
    innocent: impl Fn(&Space<'_>) -> bool,
) -> Nameless {
    let mut sorted = Nameless::default();
    let Some(seen) = seen.filter(|seen| seen.lines > 0 && !case.chosen) else {
        return sorted;
    };
    let suspects: Vec<usize> =
        (0..case.spaces.len()).filter(|&i| !innocent(&case.spaces[i])).collect();
    for row in &seen.namespaces {
        let here = row.earlier_boot || !suspects.is_empty();
        add(if here { &mut sorted.here } else { &mut sorted.elsewhere }, row);
    }
    if let ([only], true) = (suspects.as_slice(), case.after.namespaces_complete.value().is_some())
        && sorted.here.as_ref().is_some_and(|lines| !lines.earlier_boot)
    {
        sorted.suspect = Some(*only);
    }
    sorted
}
