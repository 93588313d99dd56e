#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::ruleset::{Ruleset, read_nft};

fuzz_target!(|data: &str| {
    let mut rules = Ruleset::default();
    read_nft(data, &mut rules);
    for rule in &rules.rules {
        assert!(rule.text.len() <= 1004 && rule.ports.len() <= 64 && rule.needs.len() <= 8);
    }
});
