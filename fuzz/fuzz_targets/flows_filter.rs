//! A filter and a list of keys: any text is one or an error that can be shown; what is read prints to itself, and judges
//! any entry.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_flows::{Filter, Groups, Keys, Limits, Names, Order, Surroundings, View};
use plimsoll_wire::{listing, names};

const LINE: &[u8] = b"tcp 6 431000 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=443 packets=5 \
    bytes=500 src=192.168.1.5 dst=10.0.0.1 sport=8443 dport=40000 packets=4 bytes=400 [ASSURED] mark=21 \
    zone=3 delta-time=7200 use=1";

fuzz_target!(|text: &str| {
    let names = Names::new(
        names::services("https 443/tcp\ndomain 53/udp\n"),
        names::protocols("esp 50\n"),
        names::labels("1 web\n"),
    );
    let entry = listing::parse(LINE).expect("a line").entry;
    let around = Surroundings::default();
    let view = View::new(&entry, &around);
    match Filter::parse(text, &names) {
        Ok(filter) => {
            let printed = filter.to_string();
            assert_eq!(Filter::parse(&printed, &names), Ok(filter.clone()), "{printed}");
            let _ = filter.judge(&view);
        }
        Err(error) => assert!(error.to_string().contains('^')),
    }
    match Keys::parse(text) {
        Ok(keys) => {
            assert_eq!(Keys::parse(&keys.to_string()), Ok(keys.clone()));
            let mut groups = Groups::new(keys, Limits { bytes: 1 << 12 }, 1);
            groups.add(&view);
            assert_eq!(groups.rows(Order::Entries, None).count(), 1);
        }
        Err(error) => assert!(error.to_string().contains('^')),
    }
});
