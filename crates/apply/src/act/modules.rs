//! Modules in and out of the kernel.

use std::fs;
use std::io;

use plimsoll_diagnosis::plan::{LoadModule, ModulesChange};
use plimsoll_diagnosis::{Said, said};

use super::{Seen, program};
use crate::error::plain;
use crate::reason;

pub(super) fn look(c: &ModulesChange) -> io::Result<Seen> {
    let text = fs::read_to_string("/proc/modules")?;
    let there = |m: &LoadModule| {
        let name = m.name.replace('-', "_");
        text.lines().any(|l| l.split(' ').next() == Some(name.as_str()))
    };
    let all = c.unload.len() + c.load.len();
    let done =
        c.unload.iter().filter(|m| !there(m)).count() + c.load.iter().filter(|m| there(m)).count();
    Ok(match done {
        0 => Seen::Before,
        n if n == all => Seen::After,
        n => Seen::Other(reason::MODULES.of(&[&n, &all])),
    })
}

pub(super) fn prepare() -> io::Result<()> {
    fs::metadata("/proc/modules").map_err(|_| {
        io::Error::other(Said::of(
            "this kernel has no modules: conntrack is built in",
            "本内核没有模块：conntrack 已编译在内",
        ))
    })?;
    program::find("modprobe").map(|_| ())
}

pub(super) fn make(c: &ModulesChange) -> io::Result<()> {
    c.unload.iter().try_for_each(|m| out(&m.name))?;
    c.load.iter().try_for_each(load)
}

/// Bears a half-done [`make`]: what is in already stays in.
pub(super) fn take_back(c: &ModulesChange) -> io::Result<()> {
    c.load.iter().rev().try_for_each(|m| out(&m.name))?;
    c.unload.iter().rev().try_for_each(load)?;
    c.settings.iter().try_for_each(|(path, value)| write_back(path, value))
}

/// A value that went with its module. What the kernel has by itself needs no writing.
fn write_back(path: &str, value: &str) -> io::Result<()> {
    match fs::read_to_string(path) {
        Ok(now) if now.trim() == value => Ok(()),
        Ok(_) => fs::write(path, value).map_err(|e| with_path(path, &e)),
        // A key of a module that was not among those taken out.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(with_path(path, &e)),
    }
}

fn with_path(path: &str, error: &io::Error) -> io::Error {
    let why = plain(error);
    io::Error::other(said!("{path}: {error}", "{path}：{why:#}"))
}

fn out(name: &str) -> io::Result<()> {
    program::run("modprobe", &["-r", name], "").map(|_| ())
}

fn load(m: &LoadModule) -> io::Result<()> {
    let mut arguments = vec![m.name.as_str()];
    arguments.extend(m.parameters.iter().map(String::as_str));
    program::run("modprobe", &arguments, "").map(|_| ())
}
