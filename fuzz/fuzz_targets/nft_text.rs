#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::ruleset::{Ruleset, read_nft, read_script};

fuzz_target!(|data: &str| {
    let mut rules = Ruleset::default();
    read_nft(data, &mut rules);
    for rule in &rules.rules {
        assert!(rule.text.len() <= 1004 && rule.ports.len() <= 64 && rule.needs.len() <= 8);
    }
    // Whatever it includes is itself.
    let names = |_: &str| vec!["a".into(), "b.nft".into()];
    let script = read_script("/etc/nftables.conf", &names, &|_| Some(data.into()));
    let script = script.unwrap_or_default();
    assert!(script.included.len() <= 1000 && script.lacking.len() <= 1000);
    assert!(script.text.len() <= (16 << 20) + 1000);
});
