//! What is ours: the command that carries a remedy out, and the rules that an earlier one put in.

use alloc::format;
use alloc::string::{String, ToString};

use plimsoll_wire::ruleset::Rule;

use crate::Said;
use crate::case::Space;
use crate::facts::Owner;
use crate::words;

/// Whether a remedy of ours wrote the rule, and takes it back: by its table, its chain, or its comment in any form.
pub(crate) fn is_ours(rule: &Rule) -> bool {
    const COMMENTS: [&str; 2] = ["comment \"plimsoll: ", "/* plimsoll: "];
    rule.table.starts_with("plimsoll_")
        || rule.chain.starts_with("PLIMSOLL-")
        || COMMENTS.iter().any(|comment| rule.text.contains(comment))
}

/// `plimsoll fix …` for a namespace: for the host's own as it stands, for another with `--netns`. `None` where no
/// word leads there.
pub(super) fn fix(arguments: &str, space: &Space<'_>) -> Option<Said> {
    let netns = match place(space)? {
        place if place.is_empty() => place,
        place => format!(" --netns {place}"),
    };
    Some(Said::name(format!("plimsoll fix {arguments}{netns}")))
}

/// What `--netns` knows a namespace by.
fn place(space: &Space<'_>) -> Option<String> {
    if space.now.is_initial() {
        return Some(String::new());
    }
    let named = space.now.owners.iter().find_map(|owner| match owner {
        // A number would be read as a process or an inode.
        Owner::Named(name) if !name.bytes().all(|b| b.is_ascii_digit()) && !name.contains('/') => {
            words::shell_word(name)
        }
        Owner::Named(_)
        | Owner::Initial
        | Owner::Container { .. }
        | Owner::Unit(_)
        | Owner::Process { .. } => None,
    });
    let pid = || {
        space.now.owners.iter().find_map(|owner| match owner {
            Owner::Process { pid, command: _ } => Some(pid.to_string()),
            Owner::Named(_) | Owner::Initial | Owner::Container { .. } | Owner::Unit(_) => None,
        })
    };
    named.or_else(|| space.now.inode.map(|inode| inode.to_string())).or_else(pid)
}
