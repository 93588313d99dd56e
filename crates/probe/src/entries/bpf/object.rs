//! The objects, and how they get into the kernel.
//!
//! Both are built from bpf/census.bpf.c and committed, so that nobody needs a compiler for BPF; `cargo xtask bpf`
//! builds them anew and compares.

use std::error::Error;
use std::io;

use aya::maps::Map;
use aya::programs::{Program, RawTracePoint};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use plimsoll_diagnosis::facts::{Gap, Reason};
use plimsoll_diagnosis::{Said, said};
use rustix::process::chroot;
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, unshare_unsafe};

use super::failed;
use super::layout::Layout;

/// Plain loads and bpf_loop: 6.2 and later.
const DIRECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/census-direct.bpf.o");
/// bpf_probe_read_kernel and bounded loops: 5.10 and later.
const READ: &[u8] = aya::include_bytes_aligned!("../../../bpf/census-read.bpf.o");

/// A call of a helper with a number that no helper has: bpf/census.bpf.c means `bpf_rdonly_cast` by it.
const CAST: [u8; 8] = [0x85, 0, 0, 0, 0x5a, 0x7e, 0xc0, 0x7f];

const RIGHTS: Said = Said::of(
    "CAP_BPF and CAP_PERFMON in the initial user namespace (root)",
    "初始用户命名空间里的 CAP_BPF 和 CAP_PERFMON（root）",
);

/// Whether it is worth trying, told without a look at anything large.
pub(super) fn may_load() -> Result<(), Gap> {
    let gap = || Gap {
        reason: Reason::NotPermitted,
        detail: Said::of("bpf: not permitted", "bpf：没有权限"),
        needs: Some(RIGHTS),
    };
    let own = capabilities(None).map_err(|_| gap())?.effective;
    let both = CapabilitySet::BPF | CapabilitySet::PERFMON;
    if own.contains(both) || own.contains(CapabilitySet::SYS_ADMIN) { Ok(()) } else { Err(gap()) }
}

/// The loaded programs.
#[derive(Debug)]
pub(super) struct Programs {
    ebpf: Ebpf,
    pub direct: bool,
}

impl Programs {
    /// Loads the faster ones, where this kernel takes them.
    pub fn load(layout: &Layout) -> Result<Self, Gap> {
        let direct = layout.rdonly_cast.map(|cast| with_cast(DIRECT, cast));
        if let Some(object) = direct
            && let Ok(ebpf) = load(&object, layout)
        {
            return Ok(Self { ebpf, direct: true });
        }
        let ebpf = match load(READ, layout) {
            // Before 5.11 maps counted as locked memory, of which a process may have little.
            Err(error) if io_error(&*error).is_some_and(|e| e.raw_os_error() == Some(EPERM)) => {
                with_locked_memory(|| load(READ, layout)).unwrap_or(Err(error))
            }
            loaded => loaded,
        };
        let ebpf = ebpf.map_err(|error| match io_error(&*error) {
            Some(io) if io.kind() == io::ErrorKind::PermissionDenied => Gap {
                reason: Reason::NotPermitted,
                detail: Said::of(
                    "bpf: loading the programs: not permitted",
                    "bpf：没有权限加载程序",
                ),
                needs: Some(RIGHTS),
            },
            _ => {
                let error = whole(&*error);
                failed(said!(
                    "bpf: loading the programs: {error}",
                    "bpf：加载程序失败，BPF 库的原话：{error}"
                ))
            }
        })?;
        Ok(Self { ebpf, direct: false })
    }

    pub fn map(&self, name: &str) -> Result<&Map, Gap> {
        self.ebpf
            .map(name)
            .ok_or_else(|| failed(said!("bpf: no map {name}", "bpf：没有 map {name}")))
    }

    pub fn walk(&self) -> Result<&RawTracePoint, Gap> {
        self.program("walk")
    }

    pub fn find(&self) -> Result<&RawTracePoint, Gap> {
        self.program("find")
    }

    fn program(&self, name: &str) -> Result<&RawTracePoint, Gap> {
        match self.ebpf.program(name) {
            Some(Program::RawTracePoint(program)) => Ok(program),
            _ => Err(failed(said!("bpf: no program {name}", "bpf：没有程序 {name}"))),
        }
    }
}

const EPERM: i32 = 1;

fn load(object: &[u8], layout: &Layout) -> Result<Ebpf, Box<dyn Error>> {
    let offsets = layout.offsets.bytes();
    let mut ebpf = loader()
        // Nothing is relocated by it.
        .btf(None)
        .verifier_log_level(VerifierLogLevel::DISABLE)
        .override_global("at", offsets.as_slice(), true)
        .load(object)?;
    for name in ["find", "walk"] {
        let program: &mut RawTracePoint =
            ebpf.program_mut(name).ok_or("a program is not in the object")?.try_into()?;
        program.load()?;
    }
    Ok(ebpf)
}

/// A loader. The library reads all of the kernel's types when it makes one, which takes 17 MiB and longer than all the
/// rest, for nothing. So a thread makes it to which that file is not there: its root alone is another directory.
fn loader<'a>() -> EbpfLoader<'a> {
    let elsewhere = std::thread::Builder::new().spawn(|| {
        // SAFETY: root and working directory become this thread's own; descriptors stay shared.
        if unsafe { unshare_unsafe(UnshareFlags::FS) }.is_ok() {
            // Without the right to it, the file is read.
            let _ = chroot("/proc");
        }
        EbpfLoader::new()
    });
    elsewhere.ok().and_then(|thread| thread.join().ok()).unwrap_or_default()
}

/// The object with calls of the kernel's function number `id`. Loaders resolve such calls by name, but not the one
/// that our toolchain allows.
fn with_cast(object: &[u8], id: u32) -> Vec<u8> {
    const PSEUDO_KFUNC_CALL: u8 = 2 << 4;
    let mut object = object.to_vec();
    for instruction in object.chunks_exact_mut(8).filter(|instruction| **instruction == CAST) {
        instruction[1] = PSEUDO_KFUNC_CALL;
        instruction[4..].copy_from_slice(&id.to_ne_bytes());
    }
    object
}

/// Does it without a limit for locked memory, which is put back. `None`: we may not.
fn with_locked_memory<T>(work: impl FnOnce() -> T) -> Option<T> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
    let endless = nix::sys::resource::RLIM_INFINITY;
    setrlimit(Resource::RLIMIT_MEMLOCK, endless, endless).ok()?;
    let done = work();
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
    Some(done)
}

/// The system's error behind a library's.
fn io_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(io) = this.downcast_ref::<io::Error>() {
            return Some(io);
        }
        error = this.source();
    }
    None
}

/// An error with its causes, on one line of readable length.
pub(crate) fn whole(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Some say their cause's words themselves, or their own again.
        let words = cause.to_string();
        let last = text.rsplit(": ").next().unwrap_or_default();
        let more = words.strip_prefix(last).unwrap_or(&words).trim_start_matches(": ");
        if !more.is_empty() && !text.ends_with(more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    /// An error with its cause.
    #[derive(Debug)]
    struct Said(&'static str, Option<&'static Said>);

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Said {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.map(|cause| cause as _)
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_no_word_twice() {
        static CALL: Said = Said("Operation not permitted", None);
        static SAYS_ITS_CAUSE: Said = Said("no map: Operation not permitted", Some(&CALL));
        static MAP: Said = Said("no map", Some(&SAYS_ITS_CAUSE));
        assert_eq!(
            whole(&Said("map error", Some(&MAP))),
            "map error: no map: Operation not permitted"
        );
    }
}
