#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_diagnosis::rules::{Role, Traffic, judge};
use plimsoll_wire::filter::{Program, read_json};

fuzz_target!(|data: &[u8]| {
    let mut program = Program::default();
    let _ = read_json(data, &mut program);
    let own = [std::net::IpAddr::from([192, 0, 2, 10])];
    for role in [Role::Server, Role::Client, Role::Forward] {
        let judgement = judge(&program, [&Traffic::new(6, 443, role).on(&own)]);
        for accept in &judgement.accepts {
            assert!(!accept.rule().contains(['\n', '\0']), "a line of its own: {}", accept.rule());
        }
    }
});
