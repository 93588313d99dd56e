//! The harness as a test: real captures and generated flows through the running kernel and the model.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plimsoll_fidelity::filling::FILLINGS;
use plimsoll_fidelity::kernel::Kernel;
use plimsoll_fidelity::run::{Pace, Pair, ready};
use plimsoll_fidelity::{captures, full, generated};

/// One at a time: the entries of one test set the collector's pace for all namespaces.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn thousands_of_generated_flows_end_in_the_same_table_and_counters() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let mut shown = String::new();
    let mut pair = Pair::new(&[]).expect("namespaces");
    let outcome = generated::run(&mut pair, 12_000, 20_261_124, &mut |line| {
        shown.push_str(line);
        shown.push('\n');
    })
    .expect("the harness runs");
    assert_eq!((outcome.failed, outcome.unexplained), (0, 0), "{shown}");
    assert!(outcome.entries > 5_000, "flows that leave entries: {outcome:?}");
    assert!(outcome.met > 100 && outcome.calls > 20, "expected flows: {outcome:?}");
}

#[test]
fn every_capture_at_hand_ends_in_the_same_table_and_counters() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let own = root.join("fixtures/captures");
    let shared = root.join("../shared/captures");
    let mut places = Vec::new();
    for place in [own, shared] {
        if place.exists() {
            places.push(place);
        } else {
            eprintln!("skipped: no captures at {}", place.display());
        }
    }
    let files = captures::below(&places).expect("readable directories");
    let mut shown = String::new();
    let mut pair = Pair::new(&[]).expect("namespaces");
    let outcome = captures::run(&mut pair, &files, Pace::NONE, false, &mut |line| {
        shown.push_str(line);
        shown.push('\n');
    })
    .expect("the harness runs");
    assert!(outcome.differing.is_empty(), "{shown}");
    assert!(outcome.captures == 0 || outcome.entries > 0, "{outcome:?}");
}

#[test]
fn full_tables_lose_and_evict_as_many_within_the_statistical_error() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let turn = full::Turn::take(3000).expect("the limit, ours for a while");
    let mut kernel = Kernel::new().expect("namespaces");
    let mut flows = 0;
    let (mut wrong, mut met) = (Vec::new(), 0);
    for filling in FILLINGS {
        let outcome = full::run(&mut kernel, &turn, filling, &mut flows).expect("the harness runs");
        for total in outcome.totals {
            met += usize::from(total.kernel > 0.0);
            if total.score().abs() > full::BOUND {
                wrong.push((filling.name, total));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(met > 15, "totals that say something: {met}");
}
