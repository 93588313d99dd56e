#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::ruleset::{Ruleset, read_json};

fuzz_target!(|data: &[u8]| {
    let mut rules = Ruleset::default();
    let _ = read_json(data, &mut rules);
    for rule in &rules.rules {
        assert!(rule.text.len() <= 1004 && rule.ports.len() <= 64 && rule.needs.len() <= 8);
    }
});
