//! One line of a listing in every form; what was read is written and read to itself.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::listing::{self, Dialect, save, xml};

fuzz_target!(|line: &[u8]| {
    let _ = save::parse(line);
    if let Some(end) = xml::flow_end(line) {
        let _ = xml::parse(&line[..end]);
    }
    let _ = xml::parse(line);
    let Ok(read) = listing::parse(line) else { return };
    let mut text = String::new();
    listing::write(&mut text, &read, Dialect::Proc).expect("a string takes everything");
    let again = listing::parse(text.as_bytes()).expect("what we wrote");
    assert_eq!(again.entry.original, read.entry.original);
    assert_eq!(again.entry.reply, read.entry.reply);
    assert_eq!(again.entry.expires, read.entry.expires);
});
