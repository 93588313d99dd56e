//! /etc/services, /etc/protocols, connlabel.conf: any text is some names.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::names;

fuzz_target!(|text: &str| {
    let _ = names::services(text);
    let _ = names::protocols(text);
    assert!(names::labels(text).iter().all(|label| label.bit < 128));
});
