//! The BPF census: programs that walk the table where it lies, of all namespaces at once.
//!
//! An entry costs some 0.1 µs, a twentieth of what ctnetlink takes to write a message about it. Nothing is attached,
//! pinned or left behind: the programs run when this process calls them and are gone with it. They read; no lock
//! is taken, no entry touched, and no run holds a CPU for longer than a fraction of a millisecond.
//!
//! What must be there: BTF of the kernel (CONFIG_DEBUG_INFO_BTF), CAP_BPF and CAP_PERFMON in the initial user
//! namespace (CAP_SYS_ADMIN before 5.8), no lockdown for confidentiality; 5.10 or later.

mod decode;
mod find;
mod layout;
mod object;
mod shared;

pub(crate) use object::whole;
mod walk;

pub(crate) use walk::SLICE;

use std::fs;
use std::time::Duration;

use aya::programs::{ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun};
use plimsoll_diagnosis::facts::{Gap, Reason};
use plimsoll_diagnosis::{Said, said};

use decode::Decoder;
use find::Way;
use object::Programs;
use shared::{Place, Shared};

use super::Wants;
use crate::said_of;

/// Programs that are loaded and know their way.
#[derive(Debug)]
pub(crate) struct Census {
    programs: Programs,
    workers: Shared,
    found: Shared,
    way: Way,
    decoder: Decoder,
    /// Whether it is known where this kernel keeps what lies beside an entry.
    has_extensions: bool,
}

/// Whether there is something to read, and the means.
#[derive(Debug)]
pub(crate) enum Loaded {
    /// There is.
    Ready(Box<Census>),
    /// No namespace has an entry.
    Empty,
}

impl Census {
    /// Loads the programs: some 15 ms, most of it the kernel's check of them.
    pub fn load() -> Result<Loaded, Gap> {
        object::may_load()?;
        let layout = layout::read()?;
        let Some(way) = find::way(layout.by_iterator)? else { return Ok(Loaded::Empty) };
        let programs = Programs::load(&layout)?;
        let map = |shared: std::io::Result<Shared>| {
            shared.map_err(|error| {
                let why = said_of(&error);
                failed(said!("bpf: mapping a map's memory: {why}", "bpf：映射 map 的内存：{why:#}"))
            })
        };
        let workers = map(Shared::workers(programs.map("workers")?))?;
        let found = map(Shared::found(programs.map("found")?))?;
        let decoder = Decoder::new(&layout, 1);
        let has_extensions = layout.has_extensions;
        let mut census = Self { programs, workers, found, way, decoder, has_extensions };
        let hz = census.ticks_of_a_second()?;
        census.decoder = Decoder::new(&layout, hz);
        Ok(Loaded::Ready(Box::new(census)))
    }

    /// What of all that is wanted can't be told here, if anything.
    fn beyond(&self, wants: Wants) -> Option<Said> {
        let Wants { accounting, id: _, age, helper, labels, references, security } = wants;
        let lacking = [
            (accounting, Said::of("packets and bytes", "包数和字节数")),
            (age, Said::of("ages", "存活时间")),
            (helper, Said::of("helpers", "helper")),
            (labels, Said::of("labels", "标签")),
            (references, Said::of("references", "引用计数")),
        ];
        if security && names_contexts() {
            return Some(Said::of("security contexts", "安全上下文"));
        }
        let mut lacking = lacking.into_iter().filter(|(wanted, _)| *wanted && !self.has_extensions);
        lacking.next().map(|(_, what)| what)
    }

    /// Where the table is now.
    fn place(&mut self) -> Result<Place, Gap> {
        let mut args = [0; 12];
        match &mut self.way {
            Way::Iterator(file) => {
                find::begin(file).map_err(|error| {
                    let why = said_of(&error);
                    failed(said!(
                        "/proc/net/nf_conntrack: {why}",
                        "/proc/net/nf_conntrack：{why:#}"
                    ))
                })?;
                args[0] = std::os::fd::AsRawFd::as_raw_fd(file).unsigned_abs().into();
            }
            Way::Symbols(table, buckets) => (args[1], args[2]) = (*table, *buckets),
        }
        let returned = run(self.programs.find()?, args)?;
        let place = self.found.place();
        let likely = place.table != 0 && (1..=1 << 32).contains(&place.buckets);
        if returned != 0 || !likely {
            return Err(failed(Said::of(
                "bpf: the table was not found in the kernel's memory",
                "bpf：在内核的内存里找不到表",
            )));
        }
        match find::buckets() {
            Some(buckets) if buckets != place.buckets => Err(failed(said!(
                "bpf: found {} buckets, nf_conntrack_buckets says {buckets}",
                "bpf：找到 {} 个桶，nf_conntrack_buckets 却是 {buckets}",
                place.buckets
            ))),
            _ => Ok(place),
        }
    }

    /// CONFIG_HZ, which no interface tells: the count of ticks begins 300 s before zero, so it and the time since
    /// boot give it, but around the moment when the count is zero.
    fn ticks_of_a_second(&mut self) -> Result<u32, Gap> {
        const KNOWN: [u32; 14] =
            [24, 32, 48, 64, 100, 128, 200, 250, 256, 300, 500, 512, 1000, 1024];
        let first = self.place()?;
        let seconds = first.nanos as f64 / 1e9 - 300.0;
        let measured = if seconds.abs() > 30.0 {
            (first.jiffies as f64 - 4_294_967_296.0) / seconds
        } else {
            std::thread::sleep(Duration::from_millis(250));
            let second = self.place()?;
            let ticks = second.jiffies.saturating_sub(first.jiffies) as f64;
            ticks / (second.nanos.saturating_sub(first.nanos).max(1) as f64 / 1e9)
        };
        let distance = |hz: &u32| (f64::from(*hz) / measured - 1.0).abs();
        let best = KNOWN.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        best.filter(|hz| distance(hz) < 0.05).ok_or_else(|| {
            failed(said!(
                "bpf: {measured:.1} ticks a second are unheard of",
                "bpf：每秒 {measured:.1} 个滴答，不合常理"
            ))
        })
    }
}

/// Whether a security module runs that has a name for every entry: then netlink shows one of each, and only the module
/// knows it.
fn names_contexts() -> bool {
    match fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(modules) => modules.split([',', '\n']).any(|name| matches!(name, "selinux" | "smack")),
        Err(_) => ["/sys/fs/selinux/enforce", "/sys/fs/smackfs/load2"]
            .iter()
            .any(|path| fs::metadata(path).is_ok()),
    }
}

/// Runs a program once.
fn run(program: &RawTracePoint, args: [u64; 12]) -> Result<u32, Gap> {
    let ran = program.test_run(RawTracePointRunOptions { args, cpu: None });
    ran.map(|result| result.return_value).map_err(|error: ProgramError| {
        let why = object::whole(&error);
        failed(said!("bpf: running a program: {why}", "bpf：运行程序失败，BPF 库的原话：{why}"))
    })
}

fn failed(detail: Said) -> Gap {
    Gap { reason: Reason::Failed, detail, needs: None }
}
