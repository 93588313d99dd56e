#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = plimsoll_wire::os_release::parse(text);
    let _ = plimsoll_wire::os_release::first_line(text);
});
