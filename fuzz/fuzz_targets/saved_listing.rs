//! A whole saved listing: any bytes make a census or a gap.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_diagnosis::facts::TcpTimeouts;
use plimsoll_probe::table::census_of_listing;

fuzz_target!(|bytes: &[u8]| {
    let _ = census_of_listing(bytes, "fuzz", TcpTimeouts::DEFAULT, 1, 5);
});
