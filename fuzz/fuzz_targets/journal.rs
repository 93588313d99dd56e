#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_apply::read_journal;

fuzz_target!(|data: &[u8]| {
    // Whatever it says, it can be told where the transaction stands and what is left of it.
    if let Ok(Some(transaction)) = read_journal(1, data) {
        let _ = (transaction.left_alone(), transaction.skipped(), transaction.seconds_left());
        let _ = transaction.plan.reversible();
    }
});
