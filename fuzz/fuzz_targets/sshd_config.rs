#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    assert!(!plimsoll_wire::sshd_config::ports(data).is_empty());
});
