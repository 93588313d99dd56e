//! Named timeout policies for rules of xtables, by nfct(8).

use std::io;

use plimsoll_diagnosis::Said;
use plimsoll_diagnosis::plan::PolicyChange;

use super::{Seen, program};
use crate::journal::Memo;
use crate::reason;

pub(super) fn look(c: &PolicyChange, memo: Option<&Memo>) -> io::Result<Seen> {
    let Some(now) = get(c)? else { return Ok(Seen::Before) };
    Ok(match memo.and_then(|m| m.first()) {
        Some(then) if *then != now => Seen::Other(reason::POLICY.of(&[&c.name, &now])),
        Some(_) | None => Seen::After,
    })
}

pub(super) fn prepare(_: &PolicyChange) -> io::Result<()> {
    program::find("nfct").map(|_| ())
}

pub(super) fn make(c: &PolicyChange) -> io::Result<Memo> {
    let mut arguments = vec!["add", "timeout", &c.name, &c.family, &c.protocol];
    let seconds: Vec<String> = c.timeouts.iter().map(|(_, s)| s.to_string()).collect();
    for ((state, _), seconds) in c.timeouts.iter().zip(&seconds) {
        arguments.extend([state.as_str(), seconds]);
    }
    program::run("nfct", &arguments, "")?;
    let now = get(c)?.ok_or_else(|| {
        io::Error::other(Said::of("it was made, and is not there", "已经建立，却不在"))
    })?;
    Ok(vec![now])
}

/// Refused by the kernel as long as a rule uses it, so the rule goes first: changes are undone in reverse.
pub(super) fn take_back(c: &PolicyChange) -> io::Result<()> {
    program::run("nfct", &["delete", "timeout", &c.name], "").map(|_| ())
}

fn get(c: &PolicyChange) -> io::Result<Option<String>> {
    let all = program::run("nfct", &["list", "timeout"], "")?;
    // A policy in use says how often in between; its name stays its mark.
    let ours = all.split("};").find(|p| p.trim().starts_with(&format!(".{} = {{", c.name)));
    Ok(ours.map(|p| p.split_whitespace().collect::<Vec<_>>().join(" ")))
}
