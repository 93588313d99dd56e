//! The machine and its kernel, as they run.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use plimsoll_ct::{Bytes, Counter, CpuCounters, KernelVersion, PROFILES, Probed, Profile, Seconds};
use plimsoll_diagnosis::facts::{Fact, Host, Origin, Reason, SlabSize, Source};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::modules::Module;
use plimsoll_wire::{cpu_list, meminfo, modules, os_release, slabinfo};

use super::text;

const BUCKETS: &str = "/proc/sys/net/netfilter/nf_conntrack_buckets";
const HASHSIZE: &str = "/sys/module/nf_conntrack/parameters/hashsize";

/// Reads the host's facts. The calling thread must be in the namespace whose settings stand for the
/// host's: the initial one, or the nearest to it that can be had.
pub(super) fn read() -> Host {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let version = KernelVersion::parse(&release);
    let profile = version.as_ref().map_or(&PROFILES[PROFILES.len() - 1], Profile::of);
    let memory = text::fact("/proc/meminfo", Reason::Failed, |text| {
        meminfo::parse(text).map_err(Said::from)
    });
    let kernel = version.map_or_else(
        || Fact::missing(Reason::Malformed, Said::name(format!("uname: {}", text::cut(&release)))),
        |version| Fact::known(version, Source::name("uname")),
    );
    Host {
        name: Fact::known(text::cut(&uname.nodename().to_string_lossy()), Source::name("uname")),
        origin: Origin::Live,
        generation: kernel.clone(),
        kernel,
        profile: *profile,
        distribution: distribution(),
        uptime: text::fact("/proc/uptime", Reason::Failed, uptime),
        memory_total: memory.clone().map(|m| m.total),
        memory_available: match memory {
            Fact::Known { value, source } => match value.available {
                Some(bytes) => Fact::Known { value: bytes, source },
                None => Fact::missing(
                    Reason::Malformed,
                    said!("/proc/meminfo: no free memory is told", "/proc/meminfo：没有写空闲内存"),
                ),
            },
            Fact::Missing(gap) => Fact::Missing(gap),
        },
        cpus: text::fact("/sys/devices/system/cpu/online", Reason::Failed, |text| {
            cpu_list::count(text).ok_or_else(|| {
                said!("expected a list, saw {:?}", "应为列表，实为 {:?}", text::cut(text))
            })
        }),
        modular: match is_modular() {
            Some(modular) => {
                Fact::known(modular, Source::names(["/proc/modules", "/proc/sys/kernel/modprobe"]))
            }
            None => Fact::missing(Reason::Failed, said!("/proc is not there", "/proc 不存在")),
        },
        modules: loaded_modules(),
        slab: slab(),
        global_max: global_max(),
        buckets: buckets(),
        privileged: rustix::process::geteuid().is_root(),
    }
}

/// The profile, corrected by what the running kernel shows.
pub(super) fn corrected(profile: &Profile, counters: Option<&CpuCounters>) -> Profile {
    let row = counters.and_then(|c| c.rows.first());
    let has = |counter| row.is_some_and(|row| row.get(counter).is_some());
    let there = |path: &str| Path::new(path).exists();
    let in_tree = there("/proc/sys/net/ipv4");
    profile.corrected(&Probed {
        chain_counter: if has(Counter::ChainTooLong) {
            Some(true)
        } else {
            has(Counter::DeleteList).then_some(false)
        },
        old_names: in_tree.then(|| there("/proc/sys/net/ipv4/netfilter/ip_conntrack_max")),
        new_names: in_tree.then(|| there("/proc/sys/net/netfilter/nf_conntrack_max")),
        // In another namespace the mode is 0444 on every kernel.
        buckets_writable: there("/proc/sys/net/nf_conntrack_max")
            .then(|| std::fs::metadata(BUCKETS).ok())
            .flatten()
            .map(|file| file.permissions().mode() & 0o200 != 0),
        events_on_demand: text::number_in("/proc/sys/net/netfilter/nf_conntrack_events")
            .map(|events| events == 2),
    })
}

/// Whether modules can be loaded; `None`: /proc does not tell.
pub(super) fn is_modular() -> Option<bool> {
    if Path::new("/proc/modules").exists() || Path::new("/proc/sys/kernel/modprobe").exists() {
        return Some(true);
    }
    Path::new("/proc/sys/kernel/osrelease").exists().then_some(false)
}

fn loaded_modules() -> Fact<Vec<Module>> {
    if is_modular() == Some(false) {
        return Fact::known(
            Vec::new(),
            said!(
                "no /proc/modules: this kernel loads no modules",
                "没有 /proc/modules：本内核不加载模块"
            ),
        );
    }
    text::fact("/proc/modules", Reason::Failed, |text| modules::parse(text).map_err(Said::from))
}

fn distribution() -> Fact<String> {
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Some(name) = text::read(path).ok().and_then(|text| os_release::parse(&text).short())
        {
            return Fact::known(name, Source::name(path));
        }
    }
    for path in ["/etc/redhat-release", "/etc/SuSE-release", "/etc/debian_version"] {
        if let Some(name) = text::read(path).ok().and_then(|text| os_release::first_line(&text)) {
            return Fact::known(name, Source::name(path));
        }
    }
    Fact::missing(
        Reason::Failed,
        said!(
            "/etc/os-release, /etc/redhat-release: no such file",
            "/etc/os-release、/etc/redhat-release：没有这样的文件"
        ),
    )
}

fn uptime(text: &str) -> Result<Seconds, Said> {
    let whole = text.split(['.', ' ']).next().unwrap_or_default();
    text::number(whole).map(Seconds)
}

/// The row of slabinfo; where it was merged with another cache or may not be read, what sysfs tells.
fn slab() -> Fact<SlabSize> {
    let row = text::fact("/proc/slabinfo", Reason::NotBuilt, |text| {
        slabinfo::entry_cache(text).map_err(Said::from)
    });
    let gap = match row {
        Fact::Known { value: Some(row), source } => {
            let size = SlabSize {
                object: Bytes(row.size),
                per_slab: row.per_slab,
                pages: row.pages,
                in_use: Some(row.active),
            };
            return Fact::Known { value: size, source };
        }
        Fact::Known { value: None, .. } => None,
        Fact::Missing(gap) => Some(gap),
    };
    for cache in ["nf_conntrack", "ip_conntrack"] {
        let directory = format!("/sys/kernel/slab/{cache}");
        let number = |name: &str| text::number_in(&format!("{directory}/{name}"));
        if let (Some(size), Some(per_slab), Some(order)) =
            (number("slab_size"), number("objs_per_slab"), number("order"))
            && let (Ok(per_slab), Some(pages)) = (
                u32::try_from(per_slab),
                u32::try_from(order).ok().and_then(|o| 1u32.checked_shl(o)),
            )
        {
            // A merged cache counts the objects of its companions too.
            let size = SlabSize { object: Bytes(size), per_slab, pages, in_use: None };
            return Fact::known(size, Source::name(directory));
        }
    }
    gap.map(Fact::Missing).unwrap_or_else(|| {
        Fact::missing(
            Reason::NotLoaded,
            said!(
                "/proc/slabinfo: no cache of entries by name",
                "/proc/slabinfo：没有以此命名的条目缓存"
            ),
        )
    })
}

/// The global limit. Any namespace reads the same number, the initial one by its alias even where
/// net/netfilter is hidden.
fn global_max() -> Fact<u64> {
    let paths = [
        "/proc/sys/net/netfilter/nf_conntrack_max",
        "/proc/sys/net/nf_conntrack_max",
        "/proc/sys/net/ipv4/netfilter/ip_conntrack_max",
        "/proc/sys/net/ipv4/ip_conntrack_max",
    ];
    let path = paths.iter().find(|path| Path::new(path).exists()).unwrap_or(&paths[0]);
    text::fact(path, Reason::NotLoaded, text::number)
}

/// The module parameter first: on 4.9 to 5.4 the sysctl keeps an old number after a resize through it.
fn buckets() -> Fact<u64> {
    if let Some(buckets) = text::number_in(HASHSIZE) {
        return Fact::known(buckets, Source::name(HASHSIZE));
    }
    let old = "/proc/sys/net/ipv4/netfilter/ip_conntrack_buckets";
    let path = if Path::new(old).exists() && !Path::new(BUCKETS).exists() { old } else { BUCKETS };
    text::fact(path, Reason::NotLoaded, text::number)
}
