#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::modules_load;

fuzz_target!(|data: &str| {
    for m in modules_load::read_list("f", data).iter().chain(&modules_load::read_script("f", data))
    {
        assert!(!m.module.is_empty() && !m.module.contains('-'));
    }
});
