#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::tuned;

fuzz_target!(|data: &str| {
    for a in tuned::read("f", data).assignments {
        assert!(!a.key.is_empty() && a.line > 0);
    }
});
