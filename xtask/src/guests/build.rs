//! What a guest is made of: the static program, and the base of the initramfs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::{run, tools};

use super::script;

/// Program, and the Debian package that brings it.
pub const TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("modprobe", "kmod"),
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("nft", "nftables"),
    ("iptables-legacy", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("setpriv", "util-linux"),
];

const MUSL: &str = "x86_64-unknown-linux-musl";
const GNU: &str = "x86_64-unknown-linux-gnu";

/// Whether this machine can build and boot guests; installs what it may.
pub fn able() -> Result<(), String> {
    if (env::consts::ARCH, env::consts::OS) != ("x86_64", "linux") {
        return Err(format!("guests are x86_64, this machine is {}", env::consts::ARCH));
    }
    tools::provide_these(TOOLS)?;
    let missing = tools::missing(TOOLS);
    if missing.is_empty() { Ok(()) } else { Err(format!("missing: {}", missing.join(" "))) }
}

/// The program under test, without shared libraries: for musl where that target is installed, otherwise
/// glibc's static form, which needs nothing but refuses kernels older than 3.2.
pub fn program() -> Result<PathBuf, String> {
    linked_statically("plimsoll", "guest")
}

/// A program of the workspace by the names of its package and of the profile, in the same form.
pub fn linked_statically(package: &str, profile: &str) -> Result<PathBuf, String> {
    let targets = run::output("rustup", &["target", "list", "--installed"]).unwrap_or_default();
    let musl = targets.lines().any(|line| line == MUSL);
    let (target, flags) = if musl { (MUSL, "") } else { (GNU, "-C target-feature=+crt-static") };
    let arguments =
        ["build", "--quiet", "--package", package, "--profile", profile, "--target", target];
    run::cargo_with(&arguments, &[("RUSTFLAGS", flags)])?;
    Ok(run::root().join("target").join(target).join(profile).join(package))
}

/// Directory of the kernel image and the base of the initramfs, built once for each package and recipe.
pub fn base(cache: &Path, package: &str) -> Result<PathBuf, String> {
    let base = cache.join("base").join(package);
    let built = base.join("base.cpio.gz");
    let age = |path: &Path| fs::metadata(path).and_then(|m| m.modified());
    let recipe = script("initramfs.sh");
    let fresh = matches!((age(&built), age(&recipe)), (Ok(built), Ok(recipe)) if built > recipe);
    if !fresh {
        let kernel = cache.join("kernels").join(package);
        run::finish(Command::new(&recipe).arg(kernel).arg(&base))?;
    }
    Ok(base)
}
