//! What a killed lab left behind.
//!
//! A lab's namespaces are called `plimsoll-lab-<pid>-<number>-server` and `-client`. One whose process is
//! gone belongs to nobody: its guard was killed as well, or is just about to remove it.

use crate::command::Step;
use crate::{LabError, namespace};
use std::path::Path;

pub(crate) const PREFIX: &str = "plimsoll-lab-";

/// Removes the namespaces of labs whose process is gone; returns their names.
pub fn sweep() -> Result<Vec<String>, LabError> {
    let mut removed = Vec::new();
    for name in namespace::names()? {
        let Some(pid) = owner(&name) else { continue };
        if Path::new("/proc").join(pid.to_string()).exists() {
            continue;
        }
        match Step::new("ip", &format!("netns del {name}")).run(None) {
            Ok(()) => removed.push(name),
            // Its guard was quicker.
            Err(_) if !namespace::path_of(&name).exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// The process that made a namespace of this name.
fn owner(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(PREFIX)?;
    let mut parts = rest.split('-');
    let pid = parts.next()?.parse().ok()?;
    let _number: u32 = parts.next()?.parse().ok()?;
    matches!((parts.next(), parts.next()), (Some("server" | "client"), None)).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_lab_gives_have_an_owner() {
        assert_eq!(owner("plimsoll-lab-417-0-server"), Some(417));
        assert_eq!(owner("plimsoll-lab-417-12-client"), Some(417));
        for other in
            ["plimsoll-lab-417-0", "plimsoll-lab-x-0-server", "web", "plimsoll-lab-1-0-server-x"]
        {
            assert_eq!(owner(other), None, "{other}");
        }
    }
}
