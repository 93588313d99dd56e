#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::ruleset::{Ruleset, TableFamily, read_save};

fuzz_target!(|data: &str| {
    let mut rules = Ruleset::default();
    read_save(data, TableFamily::Ip, &mut rules);
    for rule in &rules.rules {
        assert!(rule.text.len() <= 1004 && rule.ports.len() <= 64 && rule.needs.len() <= 8);
        let _ = rule.accepts_untracked();
    }
});
