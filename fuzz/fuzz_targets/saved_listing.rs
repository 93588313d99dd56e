//! A whole saved listing: any bytes make a census or a gap, and each entry of it is written in every form and read again.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_diagnosis::facts::TcpTimeouts;
use plimsoll_probe::table::{census_of_listing, each_of_listing};
use plimsoll_wire::listing::{self, Dialect, save, xml};

fuzz_target!(|bytes: &[u8]| {
    let _ = census_of_listing(bytes, "fuzz", TcpTimeouts::DEFAULT, 1, 5);
    let mut reader = bytes;
    let _ = each_of_listing(&mut reader, &mut |line| {
        let Ok(line) = line else { return true };
        for dialect in [Dialect::Tool, Dialect::ToolExtended, Dialect::Proc] {
            let mut out = Vec::new();
            listing::append(&mut out, line, dialect);
            let again = listing::parse(&out).expect("what we wrote");
            assert_eq!(again.entry.original, line.entry.original);
        }
        let mut out = Vec::new();
        save::append(&mut out, &line.entry, None);
        let again = save::parse(&out).expect("what we wrote");
        assert_eq!(again.original.source, line.entry.original.source);
        let mut out = Vec::new();
        xml::append(&mut out, &line.entry, &xml::Extra::default());
        let again = xml::parse(&out).expect("what we wrote");
        assert_eq!(again.original.destination, line.entry.original.destination);
        true
    });
});
