#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::sysctl;

fuzz_target!(|data: &str| {
    let _ = (sysctl::read_conf_of_systemd("f", data), sysctl::read_conf_of_procps("f", data));
    let conf = sysctl::read_conf("f", data);
    for a in conf.assignments.iter().take(16) {
        // The notation is settled: reading the key again changes nothing unless a slash comes first.
        let _ = sysctl::path(&a.key);
        if a.key.len() < 256 {
            let _ = sysctl::expand(&a.key);
        }
    }
    let _ = sysctl::read_listing(data).count();
    let _ = sysctl::read_script("f", data);
    let _ = sysctl::read_command_line(data);
});
