#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::capture::Records;

fuzz_target!(|bytes: &[u8]| {
    let mut octets = 0;
    for record in Records::new(bytes).map_while(Result::ok) {
        octets += record.bytes.len();
    }
    assert!(octets <= bytes.len());
});
