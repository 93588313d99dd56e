//! Statistics texts of every generation.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::statistics;

fuzz_target!(|text: &[u8]| {
    let _ = statistics::parse_proc(text);
    let _ = statistics::parse_tool(text);
});
