#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_diagnosis::rules::{Role, Traffic, judge, proxied};
use plimsoll_wire::filter::{Program, read_json};

fuzz_target!(|data: &[u8]| {
    let mut program = Program::default();
    let _ = read_json(data, &mut program);
    let own = [std::net::IpAddr::from([192, 0, 2, 10])];
    for accept in proxied(&program, 443, Some(&own)).accepts {
        let words = [&accept.rule(), &accept.table, &accept.chain];
        assert!(!words.iter().any(|w| w.contains(['\n', '\0'])), "a line of its own: {words:?}");
    }
    for role in [Role::Server, Role::Client, Role::Forward] {
        let judgement = judge(&program, [&Traffic::new(6, 443, role).on(&own)]);
        for accept in &judgement.accepts {
            assert!(!accept.rule().contains(['\n', '\0']), "a line of its own: {}", accept.rule());
        }
    }
});
