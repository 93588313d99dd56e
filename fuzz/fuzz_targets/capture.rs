#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::capture::{Decoder, Records};

fuzz_target!(|bytes: &[u8]| {
    let mut octets = 0;
    for record in Records::new(bytes).map_while(Result::ok) {
        octets += record.bytes.len();
    }
    assert!(octets <= bytes.len());
    let mut many = Vec::new();
    let (behind, _) = Decoder::new().steps(bytes, usize::MAX, &mut many);
    let single: Vec<_> = Records::new(bytes).map_while(Result::ok).collect();
    assert!(behind <= bytes.len() && many == single);
});
