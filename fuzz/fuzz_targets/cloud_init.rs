#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::cloud_init;

fuzz_target!(|data: &str| {
    for command in cloud_init::read(data) {
        assert!(command.line > 0 && !command.shell.is_empty());
    }
});
