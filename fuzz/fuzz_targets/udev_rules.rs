#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::udev_rules;

fuzz_target!(|data: &str| {
    for rule in udev_rules::read("f", data) {
        assert!(rule.line > 0 && !rule.run.is_empty());
    }
});
