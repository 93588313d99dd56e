//! Finishing what an earlier call could not: it was killed, and its guard as well.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::fault::Fault;
use crate::history::load_all;
use crate::place::Place;
use crate::state::State;
use crate::undo::unwind;
use crate::{ApplyError, Phase};

/// A transaction that was put in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Its number.
    pub id: u64,
    /// Its title.
    pub title: String,
    /// Why it had to be taken back.
    pub why: String,
    /// What was left as others had made it.
    pub left: Vec<String>,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, title, why, left } = self;
        write!(f, "transaction {id} ({title}) {why}; it was taken back")?;
        if !left.is_empty() {
            write!(f, ", but for: {}", left.join("; "))?;
        }
        Ok(())
    }
}

/// Puts in order what was left half-done. Every call that changes something does so first.
pub fn recover(state_dir: &Path) -> Result<Vec<Recovered>, ApplyError> {
    let state = State::at(state_dir);
    if state.numbers()?.is_empty() {
        return Ok(Vec::new());
    }
    let _lock = state.lock(Duration::from_secs(10))?;
    recover_locked(&state, true, &Fault::default())
}

/// The same for whoever holds the lock. `spare`: what still has time is left to whoever may confirm it,
/// though its guard is gone.
pub(crate) fn recover_locked(
    state: &State,
    spare: bool,
    fault: &Fault,
) -> Result<Vec<Recovered>, ApplyError> {
    let mut recovered = Vec::new();
    for transaction in load_all(state)? {
        if !transaction.open() {
            continue;
        }
        let why = match (transaction.phase, transaction.left()) {
            (Phase::Applying, _) => "was interrupted",
            (Phase::Undoing, _) => "was interrupted while it was taken back",
            (Phase::Pending { .. }, Some(0)) => "was not confirmed in time",
            (Phase::Pending { .. }, _) if !spare && !state.guarded(transaction.id) => {
                "was not confirmed yet, and its guard was gone"
            }
            _ => continue,
        };
        // A namespace that can't be entered is one whose changes can't be taken back now.
        let place = Place::open(&transaction.plan.target).map_err(|error| {
            ApplyError::unfit(&transaction.plan.target.name, crate::error::plain(&error))
        })?;
        let left = unwind(state, place.as_ref(), transaction.id, why, fault)?;
        recovered.push(Recovered {
            id: transaction.id,
            title: transaction.plan.title.to_string(),
            why: why.to_owned(),
            left,
        });
    }
    Ok(recovered)
}
