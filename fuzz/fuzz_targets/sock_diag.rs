//! Sockets as messages and as lines.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::sock_diag;

fuzz_target!(|bytes: &[u8]| {
    let _ = sock_diag::decode(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = sock_diag::line(text);
    }
});
