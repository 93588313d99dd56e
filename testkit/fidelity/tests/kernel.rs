//! The harness as a test: real captures and generated flows through the running kernel and the model.

use std::path::Path;

use plimsoll_fidelity::run::{Pace, Pair, ready};
use plimsoll_fidelity::{captures, generated};

#[test]
fn thousands_of_generated_flows_end_in_the_same_table_and_counters() {
    if !ready() {
        return;
    }
    let mut shown = String::new();
    let mut pair = Pair::new(&[]).expect("namespaces");
    let outcome = generated::run(&mut pair, 12_000, 20_261_124, &mut |line| {
        shown.push_str(line);
        shown.push('\n');
    })
    .expect("the harness runs");
    assert_eq!((outcome.failed, outcome.unexplained), (0, 0), "{shown}");
    assert!(outcome.entries > 5_000, "flows that leave entries: {outcome:?}");
}

#[test]
fn every_capture_at_hand_ends_in_the_same_table_and_counters() {
    if !ready() {
        return;
    }
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
