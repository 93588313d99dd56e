#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let ports = plimsoll_wire::socket_unit::ports(data);
    assert!(!ports.contains(&0) && ports.len() <= data.len());
});
