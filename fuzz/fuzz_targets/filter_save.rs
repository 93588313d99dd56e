#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_diagnosis::rules::{Role, Traffic, judge, proxied};
use plimsoll_wire::filter::{Backend, Program, TableFamily, read_save};

fuzz_target!(|data: &str| {
    let mut program = Program::default();
    read_save(data, Backend::Legacy, TableFamily::Ip, &mut program);
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
