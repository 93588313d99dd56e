#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let _ = plimsoll_wire::iptables_config::read(data);
});
