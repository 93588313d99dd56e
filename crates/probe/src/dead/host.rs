//! The machine and its kernel.

use plimsoll_ct::{Bytes, Counter, KernelVersion, Probed, Profile, Seconds};
use plimsoll_diagnosis::facts::{
    Fact, Host, LogDigest, Namespace, Origin, Reason, SlabSize, Source,
};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::modules::{self, Module};
use plimsoll_wire::{cpu_list, meminfo, os_release, slabinfo};

use super::generation;
use super::read::{Saved, not_collected, shown, word};

/// Host name.
pub(super) fn name(saved: &Saved<'_>) -> Fact<String> {
    let paths = [
        "/sos_commands/host/hostname",
        "/sos_commands/general/hostname",
        "/proc/sys/kernel/hostname",
        "/etc/hostname",
        "/etc/HOSTNAME",
    ];
    let fact =
        saved.first(&paths, |text| word(text).ok_or(Said::of("expected a name", "应为名字")));
    if fact.value().is_some() {
        return fact;
    }
    // RHEL to 6 keeps it among the network's settings.
    let network = saved.first(&["/etc/sysconfig/network"], |text| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix("HOSTNAME="))
            .and_then(|value| word(value.trim_matches(['"', '\''])))
            .ok_or(Said::of("no HOSTNAME=", "没有 HOSTNAME="))
    });
    if network.value().is_some() { network } else { fact }
}

/// Everything about the host.
pub(super) fn host(
    saved: &Saved<'_>,
    origin: Origin,
    name: Fact<String>,
    uptime: Fact<Seconds>,
    log: Option<&LogDigest>,
) -> Host {
    let kernel = kernel(saved);
    let generation = generation::generation(saved, &kernel);
    let modules = modules(saved);
    let memory = memory(saved);
    let (memory_total, memory_available) = match memory {
        Fact::Known { value: (total, available), source } => (
            Fact::known(total, source.clone()),
            match available {
                Some(bytes) => Fact::known(bytes, source),
                None => Fact::missing(
                    Reason::NotCollected,
                    said!("{source}: no such line", "{source}：没有这一行"),
                ),
            },
        ),
        Fact::Missing(gap) => (Fact::Missing(gap.clone()), Fact::Missing(gap)),
    };
    Host {
        name,
        origin,
        profile: generation.value().map_or_else(unknown_generation, |k| *Profile::of(k)),
        generation,
        kernel,
        distribution: distribution(saved),
        uptime,
        memory_total,
        memory_available,
        cpus: cpus(saved),
        modular: match &modules {
            Fact::Known { source, .. } => Fact::known(true, source.clone()),
            Fact::Missing(gap) => Fact::Missing(gap.clone()),
        },
        modules,
        slab: slab(saved),
        global_max: saved.sysctl_fact(&[
            "net.netfilter.nf_conntrack_max",
            "net.nf_conntrack_max",
            "net.ipv4.netfilter.ip_conntrack_max",
            "net.ipv4.ip_conntrack_max",
        ]),
        buckets: buckets(saved, log),
        privileged: false,
    }
}

/// Puts the profile right by what the initial namespace shows.
pub(super) fn correct_profile(saved: &Saved<'_>, host: &mut Host, initial: &Namespace) {
    let names = |start: &str| initial.settings.keys().any(|key| key.starts_with(start));
    let settings = !initial.settings.is_empty();
    let counters = initial.counters.value().map(plimsoll_ct::CpuCounters::sum);
    let has = |counter| counters.as_ref().is_some_and(|sum| sum.get(counter).is_some());
    let probed = Probed {
        chain_counter: match (has(Counter::ChainTooLong), has(Counter::DeleteList)) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        },
        old_names: settings.then(|| names("ip_conntrack_")),
        new_names: settings.then(|| names("nf_conntrack_")),
        // Modes are those of the copy, not of the kernel's file.
        buckets_writable: None,
        events_on_demand: (saved.number("net.netfilter.nf_conntrack_events") == Some(2))
            .then_some(true),
    };
    correct(host, &probed);
}

/// Puts the profile right; and where nothing else told the generation, the names of the settings do.
pub(super) fn correct(host: &mut Host, probed: &Probed) {
    let named = probed.old_names == Some(true) || probed.new_names == Some(true);
    if host.generation.value().is_none()
        && named
        && let Some(version) = generation::of_names(host.profile.corrected(probed).era)
    {
        host.profile = *Profile::of(&version);
        host.generation = Fact::known(version, said!("the names of the settings", "参数的名字"));
    }
    host.profile = host.profile.corrected(probed);
}

/// Without any release: the youngest generation, as its ways are the most common.
fn unknown_generation() -> Profile {
    let newest = KernelVersion::parse("9999.0").expect("two numbers are a release");
    *Profile::of(&newest)
}

fn kernel(saved: &Saved<'_>) -> Fact<KernelVersion> {
    const PATHS: [&str; 5] = [
        "/proc/sys/kernel/osrelease",
        "/proc/version",
        "/sos_commands/kernel/uname_-a",
        "/sos_commands/general/uname_-a",
        "/uname",
    ];
    let fact = saved.first(&PATHS, |text| {
        // `Linux version RELEASE (…`, `Linux HOST RELEASE #1 …`, or the release alone.
        let words: Vec<&str> = text.split_whitespace().take(3).collect();
        let release = match words.as_slice() {
            ["Linux", _, release] => release,
            [release, ..] => release,
            [] => "",
        };
        KernelVersion::parse(&shown(release)).ok_or_else(|| {
            said!("expected a release, saw {}", "应为内核版本，实为 {}", shown(text))
        })
    });
    if fact.value().is_some() {
        return fact;
    }
    for path in
        ["/var/log/dmesg", "/dmesg", "/sos_commands/kernel/dmesg", "/sos_commands/general/dmesg"]
    {
        let Ok(start) = saved.files.read(path, 256 << 10) else { continue };
        let start = String::from_utf8_lossy(&start);
        let release = start.split_once("Linux version ").and_then(|(_, rest)| word(rest));
        if let Some(version) = release.and_then(|release| KernelVersion::parse(&release)) {
            return Fact::known(version, Source::name(path));
        }
    }
    // Exactly one kernel is installed.
    match generation::installed(saved) {
        (releases, place) if releases.len() == 1 => {
            releases.into_iter().next().map_or(fact, |only| Fact::known(only, Source::name(place)))
        }
        _ => fact,
    }
}

fn distribution(saved: &Saved<'_>) -> Fact<String> {
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Ok(text) = saved.text(path)
            && let Some(short) = os_release::parse(&text).short()
        {
            return Fact::known(short, Source::name(path));
        }
    }
    let paths =
        ["/etc/redhat-release", "/etc/centos-release", "/etc/SuSE-release", "/etc/debian_version"];
    for path in paths {
        if let Ok(text) = saved.text(path)
            && let Some(line) = os_release::first_line(&text)
        {
            let line =
                if path.ends_with("debian_version") { format!("debian {line}") } else { line };
            return Fact::known(line, Source::name(path));
        }
    }
    not_collected(&["/etc/os-release", "/etc/redhat-release"])
}

fn memory(saved: &Saved<'_>) -> Fact<(Bytes, Option<Bytes>)> {
    let proc = saved.first(&["/proc/meminfo"], |text| {
        meminfo::parse(text).map(|memory| (memory.total, memory.available))
    });
    if proc.value().is_some() {
        return proc;
    }
    // `free`, in KiB: the row of memory, its total first and what is available last.
    let free = saved.first(&["/sos_commands/memory/free"], |text| {
        let header = text.lines().next().unwrap_or_default();
        let row = text
            .lines()
            .find_map(|line| line.strip_prefix("Mem:"))
            .ok_or(Said::of("no row of memory", "没有内存一行"))?;
        let numbers: Vec<u64> = row.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let total = *numbers.first().ok_or(Said::of("no number", "没有数字"))?;
        let available = numbers.last().filter(|_| header.trim_end().ends_with("available"));
        let bytes = |kib: u64| Bytes(kib.saturating_mul(1024));
        Ok::<_, Said>((bytes(total), available.map(|&kib| bytes(kib))))
    });
    if free.value().is_some() { free } else { proc }
}

fn cpus(saved: &Saved<'_>) -> Fact<u32> {
    let count = |n: usize| {
        u32::try_from(n)
            .ok()
            .filter(|&n| n > 0)
            .ok_or(Said::of("no processor in it", "里面没有处理器"))
    };
    let facts = [
        saved.first(&["/sys/devices/system/cpu/online"], |text| {
            cpu_list::count(text).ok_or(Said::of("no list of CPUs", "没有 CPU 列表"))
        }),
        saved.first(&["/proc/cpuinfo"], |text| {
            count(
                text.lines()
                    .filter(|line| line.starts_with("processor") && line.contains(':'))
                    .count(),
            )
        }),
        saved.first(&["/proc/stat"], |text| {
            let cpu = |line: &&str| {
                line.strip_prefix("cpu")
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            count(text.lines().filter(cpu).count())
        }),
        saved.first(&["/sos_commands/processor/lscpu"], |text| {
            text.lines()
                .find_map(|line| line.strip_prefix("CPU(s):"))
                .and_then(|n| n.trim().parse().ok())
                .ok_or(Said::of("no line `CPU(s):`", "没有 `CPU(s):` 一行"))
        }),
    ];
    facts
        .into_iter()
        .find(|fact| fact.value().is_some())
        .unwrap_or_else(|| not_collected(&["/proc/cpuinfo", "/sos_commands/processor/lscpu"]))
}

/// Whether anything puts connections into a flow table.
pub(super) fn offload(saved: &Saved<'_>) -> bool {
    modules(saved).value().is_some_and(|m| modules::offload(m))
}

fn modules(saved: &Saved<'_>) -> Fact<Vec<Module>> {
    let proc = saved.first(&["/proc/modules"], modules::parse);
    if proc.value().is_some() {
        return proc;
    }
    let tool = saved.first(&["/sos_commands/kernel/lsmod", "/lsmod"], listed_modules);
    if tool.value().is_some() { tool } else { proc }
}

/// What `lsmod` printed: `nf_conntrack  172032  2 nf_nat,xt_conntrack` below a heading.
fn listed_modules(text: &str) -> Result<Vec<Module>, Said> {
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default();
    if !heading.starts_with("Module") {
        let saw = shown(heading);
        return Err(said!(
            "expected the heading of lsmod, saw {saw}",
            "应为 lsmod 的表头，实为 {saw}"
        ));
    }
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.replace('-', "_");
        Some(Module {
            name: shown(&name),
            size: words.next()?.parse().ok()?,
            references: words.next().and_then(|n| n.parse().ok()),
            used_by: words
                .next()
                .map(|users| users.split(',').filter(|user| !user.is_empty()).map(shown).collect())
                .unwrap_or_default(),
        })
    };
    Ok(lines.take(10_000).filter_map(row).collect())
}

fn slab(saved: &Saved<'_>) -> Fact<SlabSize> {
    let paths = ["/proc/slabinfo"];
    match saved.first(&paths, slabinfo::entry_cache) {
        Fact::Known { value: Some(slab), source } => Fact::known(
            SlabSize {
                object: Bytes(slab.size),
                per_slab: slab.per_slab,
                pages: slab.pages,
                in_use: Some(slab.active),
            },
            source,
        ),
        Fact::Known { value: None, source } => Fact::missing(
            Reason::NotLoaded,
            said!(
                "{source}: no cache of entries under its own name",
                "{source}：没有以它自己命名的条目缓存"
            ),
        ),
        Fact::Missing(gap) => Fact::Missing(gap),
    }
}

/// Buckets: the module's parameter is right where `_buckets` may lag behind a resize (4.9, 4.19).
fn buckets(saved: &Saved<'_>, log: Option<&LogDigest>) -> Fact<u64> {
    for path in [
        "/sys/module/nf_conntrack/parameters/hashsize",
        "/sys/module/ip_conntrack/parameters/hashsize",
    ] {
        if let Some(buckets) =
            saved.text(path).ok().and_then(|text| text.trim().parse().ok()).filter(|&n| n > 0)
        {
            return Fact::known(buckets, Source::name(path));
        }
    }
    let setting = saved.sysctl_fact(&[
        "net.netfilter.nf_conntrack_buckets",
        "net.ipv4.netfilter.ip_conntrack_buckets",
    ]);
    if setting.value().is_some() {
        return setting;
    }
    match log.and_then(|log| log.boot_line) {
        Some((buckets, _)) => Fact::known(
            buckets,
            said!("the kernel's log, when the module was loaded", "内核日志，模块加载时的"),
        ),
        None => setting,
    }
}
