//! The program as one file for hosts that have nothing else: linked statically, run on an empty root, and without the
//! system calls that old kernels lack.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::guests::build::linked_statically;
use crate::{run, tools};

/// System calls that came after Linux 2.6.18: there they answer ENOSYS.
const YOUNG: &str = "getrandom,openat2,setns,statx,memfd_create,pidfd_open,bpf,renameat2,copy_file_range,close_range,\
                     clone3,faccessat2,rseq,prlimit64,fanotify_init,sendmmsg,recvmmsg,preadv2,execveat,membarrier,pipe2,\
                     dup3,accept4,epoll_create1,eventfd2,inotify_init1,signalfd4,fallocate,utimensat,timerfd_create";

/// What is run where there is nothing, and its exit status: an answer, or the word that nothing can be read.
const TRIED: &[(&[&str], i32)] = &[
    (&["--version"], 0),
    (&["explain", "CT001"], 0),
    (&["check", "--interval", "0.05"], 3),
    (&["flows"], 1),
    (&["size", "--interval", "0.05"], 3),
    (&["fix", "raise", "--dry-run"], 1),
    (&["replay", "--synthetic", "rate=10/s,lifetime=exp:5s,seed=1,for=1m"], 0),
];

/// Builds it in a profile of Cargo's, and holds it to that.
pub fn run(profile: &str) -> Result<(), String> {
    tools::provide_these(&[("strace", "strace")])?;
    let program = linked_statically("plimsoll", profile)?;
    let bytes = fs::read(&program).map_err(|e| format!("{}: {e}", program.display()))?;
    if needs_a_loader(&bytes) {
        return Err(format!(
            "{}: needs a loader, so it is not linked statically",
            program.display()
        ));
    }
    let root = env::temp_dir().join(format!("plimsoll-alone-{}", std::process::id()));
    let tried = on_an_empty_root(&program, &root);
    let _ = fs::remove_dir_all(&root);
    tried?;
    let size = bytes.len() as f64 / f64::from(1 << 20);
    println!("xtask: static: {}, {size:.1} MiB, runs on an empty root", program.display());
    Ok(())
}

fn on_an_empty_root(program: &Path, root: &Path) -> Result<(), String> {
    fs::create_dir(root)
        .and_then(|()| fs::copy(program, root.join("plimsoll")))
        .map_err(|e| format!("{}: {e}", root.display()))?;
    let strace = run::output("strace", &["-V"]).is_some();
    for (arguments, expected) in TRIED {
        expect(Command::new("unshare"), root, arguments, *expected)?;
        if strace {
            let mut old = Command::new("strace");
            let calls = [format!("trace={YOUNG}"), format!("inject={YOUNG}:error=ENOSYS")];
            old.args(["-f", "-qq", "-o", "/dev/null", "-e", &calls[0], "-e", &calls[1], "unshare"]);
            expect(old, root, arguments, *expected)?;
        }
    }
    Ok(())
}

/// The status of the program in a root of its own, as root of a user namespace, and that it does not panic.
fn expect(
    mut command: Command,
    root: &Path,
    arguments: &[&str],
    expected: i32,
) -> Result<(), String> {
    command.args(["--map-root-user", "--root"]).arg(root).arg("/plimsoll").args(arguments);
    let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    if out.status.code() == Some(expected) && !said.contains("panicked") {
        return Ok(());
    }
    Err(format!("{command:?}: {}, expected {expected}: {said}", out.status))
}

/// Whether an ELF file of 64 bits names a program that loads its libraries (`PT_INTERP`).
fn needs_a_loader(elf: &[u8]) -> bool {
    const INTERP: u32 = 3;
    let number = |at: usize, length: usize| {
        let bytes = elf.get(at..at + length).unwrap_or_default();
        bytes.iter().rev().fold(0usize, |n, byte| n << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    (0..count).any(|n| number(table + n * size, 4) == INTERP as usize)
}
