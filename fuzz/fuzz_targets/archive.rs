#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use plimsoll_probe::archive::{Archive, Bounds};
use plimsoll_probe::files::Files;

// A bundle of any bytes: whatever its compression claims to be and its headers claim to hold.
fuzz_target!(|bytes: &[u8]| {
    let bounds = Bounds {
        time: Duration::from_secs(2),
        unpacked: 16 << 20,
        members: 10_000,
        kept: 1 << 20,
        member: 1 << 20,
    };
    let Ok(archive) = Archive::read(bytes, &bounds) else { return };
    let files = Files::Archive(archive);
    for directory in ["/", "/proc/net", "/etc/sysctl.d", "/var/log"] {
        for name in files.list(directory).unwrap_or_default() {
            let _ = files.text(&format!("{directory}/{name}"));
        }
    }
});
