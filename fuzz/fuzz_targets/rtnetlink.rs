//! Interfaces and addresses as rtnetlink lists them.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::rtnetlink;

fuzz_target!(|payload: &[u8]| {
    let _ = (rtnetlink::link(payload), rtnetlink::address(payload), rtnetlink::number(payload));
});
