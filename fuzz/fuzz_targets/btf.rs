//! The kernel's description of its types: whole, and as a module's on top of itself.
#![no_main]
use libfuzzer_sys::fuzz_target;
use plimsoll_wire::btf::{Btf, Kind};

fuzz_target!(|bytes: &[u8]| {
    let Ok(base) = Btf::parse(bytes, None) else { return };
    look(&base);
    if let Ok(module) = Btf::parse(bytes, Some(&base)) {
        look(&module);
    }
});

fn look(btf: &Btf<'_>) {
    let _ = btf.find(Kind::Function, "f");
    for name in ["nf_conn", "a", ""] {
        if let Some(structure) = btf.find(Kind::Struct, name) {
            let _ =
                (btf.member(structure, "a.b.c"), btf.member(structure, ""), btf.size(structure));
        }
    }
}
