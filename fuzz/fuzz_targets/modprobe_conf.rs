#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::modprobe;

fuzz_target!(|data: &str| {
    let lines = data.lines().count() as u32;
    for d in modprobe::read_conf("f", data) {
        assert!(d.line >= 1 && d.line <= lines);
        let _ = modprobe::is_conntrack(&d.module);
    }
    let _ = modprobe::read_command_line(data);
});
