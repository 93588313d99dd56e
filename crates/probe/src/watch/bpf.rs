//! Every write to a sysctl on the host, by a BPF program at the root of the cgroups.
//!
//! The object is built from bpf/sysctl.bpf.c and committed; `cargo xtask bpf` builds it anew and compares. It is attached by
//! a link that lives as long as this value: killed in whatever way, nothing stays behind.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

use aya::maps::{MapData, RingBuf};
use aya::programs::{CgroupAttachMode, CgroupSysctl};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use plimsoll_diagnosis::facts::Writer;
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::sysctl;
use rustix::time::{ClockId, clock_gettime};

use super::{Seen, now, process};
use crate::said_of;
use plimsoll_ct::Time;

const OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/sysctl.bpf.o");
/// The same, which knows the writer's namespace even when the writer is gone: where the kernel tells its types.
const WITH_NETNS: &[u8] = aya::include_bytes_aligned!("../../bpf/sysctl-netns.bpf.o");

/// Most directories looked at to find the name of a cgroup.
const CGROUPS: usize = 20_000;

/// Bytes of one record: `struct write` of bpf/sysctl.bpf.c.
const RECORD: usize = 32 + 16 + 96 + 32;

/// The attached program.
pub(super) struct Writes {
    // Dropping it detaches the program.
    _program: Ebpf,
    ring: RingBuf<MapData>,
    root: PathBuf,
}

impl std::fmt::Debug for Writes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writes").field("root", &self.root).finish_non_exhaustive()
    }
}

/// What failed, and why: an error of the library's with its causes, on one line.
fn shown(failed: &str, error: &(dyn std::error::Error + 'static)) -> Said {
    let why = crate::entries::bpf_error(error);
    let chinese = format!("{failed}，BPF 库的原话：{why}");
    Said::new(why, chinese)
}

impl Writes {
    /// Attaches it to the root of the unified cgroups.
    pub(super) fn begin() -> Result<Self, Said> {
        let root = unified().ok_or(Said::of("no cgroup2 is mounted", "没有挂载 cgroup2"))?;
        let mut ebpf = load(WITH_NETNS).or_else(|_| load(OBJECT))?;
        let directory = File::open(&root).map_err(|error| {
            let (root, why) = (root.display(), said_of(&error));
            said!("{root}: {why}", "{root}：{why:#}")
        })?;
        let program = program(&mut ebpf)?;
        // A link lets others be attached beside it whatever is said here, and refuses to be told so.
        program
            .attach(&directory, CgroupAttachMode::Single)
            .map_err(|e| shown("挂接 BPF 程序失败", &e))?;
        let map = ebpf
            .take_map("writes")
            .ok_or(Said::of("no ring in the object", "目标文件里没有环形缓冲区"))?;
        let ring = RingBuf::try_from(map).map_err(|e| shown("打开环形缓冲区失败", &e))?;
        Ok(Self { _program: ebpf, ring, root })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the ring's and lives as long as it, which is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }

    /// What was written since.
    pub(super) fn read(&mut self, seen: &mut Vec<Seen>) {
        while let Some(item) = self.ring.next() {
            let Some(record) = item.get(..RECORD) else { continue };
            let word = |at: usize| {
                let bytes = record[at..at + 8].try_into().expect("a slice of 8 bytes");
                u64::from_ne_bytes(bytes)
            };
            let text = |from: usize, to: usize| {
                let bytes = &record[from..to];
                let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
                String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
            };
            let (monotonic, pid, cgroup) = (word(0), (word(8) >> 32) as u32, word(16));
            let (uid, netns) = (word(24) as u32, word(24) >> 32);
            let key = sysctl::dotted(&text(48, 144));
            let mut writer =
                Writer { pid, command: text(32, 48), uid: Some(uid), ..Writer::default() };
            process::describe(&mut writer);
            if netns != 0 {
                process::written_in(&mut writer, netns);
            }
            if writer.cgroup.is_none() {
                writer.cgroup = name_of(&self.root, cgroup);
            }
            let asked = Some(text(144, 176));
            seen.push(Seen { at: wall(monotonic), key, asked, writer });
        }
    }
}

/// An object with its program in the kernel.
fn load(object: &[u8]) -> Result<Ebpf, Said> {
    let mut loader = EbpfLoader::new();
    let loader = loader.verifier_log_level(VerifierLogLevel::DISABLE);
    let mut ebpf = loader.load(object).map_err(|e| shown("加载 BPF 程序失败", &e))?;
    program(&mut ebpf)?.load().map_err(|e| shown("加载 BPF 程序失败", &e))?;
    Ok(ebpf)
}

fn program(ebpf: &mut Ebpf) -> Result<&mut CgroupSysctl, Said> {
    let program = ebpf
        .program_mut("watch")
        .ok_or(Said::of("no program in the object", "目标文件里没有程序"))?;
    program.try_into().map_err(|e: aya::programs::ProgramError| shown("BPF 程序的类型不对", &e))
}

/// Where the unified cgroups are mounted.
fn unified() -> Option<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    text.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let whole = before.split(' ').nth(3)? == "/";
        (after.starts_with("cgroup2 ") && whole)
            .then(|| before.split(' ').nth(4).map(PathBuf::from))?
    })
}

/// The cgroup of this inode, below the root: what names the unit or container of a process that is gone already.
fn name_of(root: &std::path::Path, inode: u64) -> Option<String> {
    use std::os::unix::fs::DirEntryExt;
    let mut todo = vec![root.to_owned()];
    let mut looked = 0;
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).ok()?.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            looked += 1;
            if entry.ino() == inode {
                let path = entry.path();
                let below = path.strip_prefix(root).ok()?.to_str()?;
                return Some(format!("/{below}"));
            }
            if looked > CGROUPS {
                return None;
            }
            todo.push(entry.path());
        }
    }
    None
}

/// Wall-clock time of a moment of the monotonic clock.
fn wall(monotonic: u64) -> Time {
    let clock = clock_gettime(ClockId::Monotonic);
    let since_boot = clock.tv_sec.saturating_mul(1_000_000_000).saturating_add(clock.tv_nsec);
    let ago = since_boot.saturating_sub(i64::try_from(monotonic).unwrap_or(since_boot)).max(0);
    Time(now().0.saturating_sub(ago))
}
