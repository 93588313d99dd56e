//! What the kernel that boots was built with: conntrack as a module or within, and its ticks.

use std::io::{BufReader, Read};

use plimsoll_ct::KernelVersion;
use plimsoll_diagnosis::facts::{Fact, Reason, Source};
use plimsoll_diagnosis::said;

use crate::files::Files;
use crate::gzip::Members;

/// The running kernel's own configuration, where it was built to keep one.
const OWN: &str = "/proc/config.gz";
/// Most of it that is unpacked. A whole one has less than half.
const LARGEST: u64 = 1 << 20;

/// Whether conntrack is a module of this kernel, by its own files.
pub(super) fn module(files: &Files, kernel: Option<&KernelVersion>) -> Fact<bool> {
    for name in ["nf_conntrack", "ip_conntrack"] {
        let folder = format!("/sys/module/{name}");
        if files.exists(&format!("{folder}/initstate")) {
            return Fact::known(true, Source::name(format!("{folder}/initstate")));
        }
        // Only what is built in has no state. A saved tree may have kept the parameters alone.
        if files.exists(&format!("{folder}/uevent")) {
            return Fact::known(false, Source::name(folder));
        }
    }
    if let Some(kernel) = kernel {
        let folder = format!("/lib/modules/{}", kernel.release);
        for (file, is_module) in [("modules.builtin", false), ("modules.dep", true)] {
            let path = format!("{folder}/{file}");
            let Ok(text) = files.read(&path, 4 << 20) else { continue };
            let names = ["/nf_conntrack.ko", "/ip_conntrack.ko"];
            if names.iter().any(|name| memchr::memmem::find(&text, name.as_bytes()).is_some()) {
                return Fact::known(is_module, Source::name(path));
            }
        }
    }
    if let Some((path, text)) = configuration(files, kernel) {
        for (line, is_module) in [("CONFIG_NF_CONNTRACK=y", false), ("CONFIG_NF_CONNTRACK=m", true)]
        {
            if text.lines().any(|l| l == line) {
                return Fact::known(is_module, Source::name(path));
            }
        }
    }
    let needs = said!("/lib/modules, /sys/module", "/lib/modules、/sys/module");
    Fact::missing_needs(
        Reason::NotCollected,
        said!(
            "neither the kernel's modules nor its configuration are there",
            "既没有内核的模块，也没有它的配置"
        ),
        needs,
    )
}

/// Ticks in a second.
pub fn hz(files: &Files, kernel: Option<&KernelVersion>) -> Fact<u32> {
    let found = configuration(files, kernel).and_then(|(path, text)| {
        let hz = text.lines().find_map(|l| l.strip_prefix("CONFIG_HZ="))?.trim().parse().ok()?;
        Some(Fact::known(hz, Source::name(path)))
    });
    let missing = || {
        Fact::missing_needs(
            Reason::NotCollected,
            said!("the kernel's configuration is not there", "没有内核的配置"),
            said!("/boot/config-*, {OWN}", "/boot/config-*、{OWN}"),
        )
    };
    found.filter(|hz: &Fact<u32>| hz.get().is_some_and(|hz| hz > 0)).unwrap_or_else(missing)
}

/// The configuration and its path: of the release that boots, or what the running kernel keeps of its own.
fn configuration(files: &Files, kernel: Option<&KernelVersion>) -> Option<(String, String)> {
    let of = |release: &str| {
        [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")]
    };
    let plain = kernel.map(|kernel| of(&kernel.release)).into_iter().flatten();
    plain
        .into_iter()
        .find_map(|path| Some((files.text(&path).ok()?, path)))
        .map(|(text, path)| (path, text))
        .or_else(|| Some((OWN.to_owned(), unpacked(files, OWN)?)))
}

/// The text of a file that is compressed.
fn unpacked(files: &Files, path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let source = BufReader::new(files.open(path).ok()?);
    Members::new(source).take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
