//! A whole saved listing: any bytes make a census or a gap, and each entry of it is written in every form.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_diagnosis::facts::{Source, TcpTimeouts};
use plimsoll_probe::table::{census_of_listing, each_of_listing};
use plimsoll_wire::listing::{self, Dialect, save, xml};

fuzz_target!(|bytes: &[u8]| {
    let _ = census_of_listing(bytes, Source::name("fuzz"), TcpTimeouts::DEFAULT, 1, 5);
    let mut reader = bytes;
    let _ = each_of_listing(&mut reader, &mut |line| {
        let Ok(line) = line else { return true };
        for dialect in [Dialect::Tool, Dialect::ToolExtended, Dialect::Proc] {
            let mut out = Vec::new();
            listing::append(&mut out, line, dialect);
            // What XML leaves out, or halves of two protocols, can't all be said in a line.
            if let Ok(again) = listing::parse(&out) {
                assert_eq!(again.entry.original.source, line.entry.original.source);
            }
        }
        let mut out = Vec::new();
        save::append(&mut out, &line.entry, None);
        let _ = save::parse(&out);
        let mut out = Vec::new();
        xml::append(&mut out, &line.entry, &xml::Extra::default());
        let _ = xml::parse(&out);
        true
    });
});
