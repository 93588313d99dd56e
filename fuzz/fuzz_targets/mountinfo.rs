#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = plimsoll_wire::mountinfo::net_namespaces(text);
});
