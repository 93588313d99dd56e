#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::ruleset::{Backend, Ruleset, TableFamily, read_listing};

fuzz_target!(|data: &str| {
    let mut rules = Ruleset::default();
    read_listing(data, Backend::Legacy, TableFamily::Ip, "filter", &mut rules);
    for rule in &rules.rules {
        assert!(rule.text.len() <= 1004 && rule.ports.len() <= 64 && rule.needs.len() <= 8);
    }
});
