//! Finishing what an earlier call could not: it was killed, and its guard as well.

use std::path::Path;
use std::time::Duration;

use plimsoll_diagnosis::{Said, said};

use crate::error::several;
use crate::fault::Fault;
use crate::history::{INTERRUPTED, INTERRUPTED_BACK, TOO_LATE, UNGUARDED, load_all, titled};
use crate::state::State;
use crate::undo::{Stuck, unwind};
use crate::{ApplyError, Phase};

/// A transaction that was put in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Its number.
    pub id: u64,
    /// Its title.
    pub title: Said,
    /// Why it had to be taken back.
    pub why: Said,
    /// A table that holds more than the limit that came back, in words.
    pub overfull: Option<Said>,
    /// What was left as others had made it; or why it could not be taken back, and waits on.
    pub left: Result<Vec<Said>, Said>,
}

impl Recovered {
    /// As it is told to a person.
    pub fn said(&self) -> Said {
        let Self { id, title, why, overfull, left } = self;
        let left = match left {
            Ok(left) => left,
            Err(stuck) => {
                return said!(
                    "transaction {id} ({title}) {why}, and can't be taken back now: {stuck}; \
                     `plimsoll undo {id} --leave-changed` leaves there what it changed, and ends it",
                    "事务 {id}（{title:#}）{why:#}，现在无法撤销：{stuck:#}；\
                     `plimsoll undo {id} --leave-changed` 把它改过的留在那里，就此了结"
                );
            }
        };
        let mut whole = said!(
            "transaction {id} ({title}) {why}; it was taken back",
            "事务 {id}（{title:#}）{why:#}；已撤销"
        );
        if !left.is_empty() {
            let left = several(left);
            whole.push(&said!(", but for: {left}", "，但以下除外：{left:#}"));
        }
        if let Some(overfull) = overfull {
            whole.push(&said!("; {overfull}", "；{overfull:#}"));
        }
        whole
    }
}

/// Puts in order what was left half-done. Every call that changes something does so first. What can't be put in order now is told,
/// and keeps nobody from something else.
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
            (Phase::Applying, _) => INTERRUPTED,
            (Phase::Undoing, _) => INTERRUPTED_BACK,
            (Phase::Pending { .. }, Some(0)) => TOO_LATE,
            (Phase::Pending { .. }, _) if !spare && !state.guarded(transaction.id) => UNGUARDED,
            _ => continue,
        };
        let unwound = match transaction.place() {
            Ok(place) => unwind(state, place.as_ref(), transaction.id, &why, Stuck::Wait, fault)
                .map_err(|error| error.said()),
            // A namespace that can't be entered is one whose changes can't be taken back now.
            Err(why) => Err(why),
        };
        let overfull = unwound.as_ref().ok().and_then(|unwound| unwound.overfull.clone());
        recovered.push(Recovered {
            id: transaction.id,
            title: titled(&transaction.plan),
            why,
            overfull,
            left: unwound.map(|unwound| unwound.left),
        });
    }
    Ok(recovered)
}
