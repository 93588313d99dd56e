#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::kube_proxy;

fuzz_target!(|data: &str| {
    let _ = kube_proxy::read_config(data);
    let _ = kube_proxy::read_flags(data);
    let _ = kube_proxy::seconds(data);
});
