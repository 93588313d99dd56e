//! cloud-init's user data: commands of each boot, commands and files of the first boot.
//!
//! Source: the cloud-init module reference (`bootcmd` runs on every boot, `runcmd` and `write_files` once for an
//! instance). The document is read line by line; nothing is evaluated.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A list of commands in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    /// Each boot, early.
    BootCommand,
    /// The first boot of an instance only.
    RunCommand,
}

/// A command as a line of shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Which list.
    pub module: Module,
    /// Line, from 1.
    pub line: u32,
    /// Words joined by blanks.
    pub shell: String,
}

/// Reads the commands of a document.
pub fn read(text: &str) -> Vec<Command> {
    let mut found = Vec::new();
    let mut module = None;
    for (line, content) in (1..).zip(text.lines()) {
        let bare = content.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        // A key at the margin begins or ends a list; items of a list may stand at the margin, too.
        if !content.starts_with([' ', '\t', '-']) {
            module = match bare.split(':').next() {
                Some("bootcmd") => Some(Module::BootCommand),
                Some("runcmd") => Some(Module::RunCommand),
                Some(_) | None => None,
            };
            continue;
        }
        let Some(module) = module else { continue };
        let item = bare.trim_start_matches('-').trim();
        let shell: String = match item.strip_prefix('[') {
            // [ sysctl, -w, "a=1" ]
            Some(list) => {
                let words = list.trim_end_matches(']').split(',');
                let words: Vec<&str> = words.map(|w| w.trim().trim_matches(['"', '\''])).collect();
                words.join(" ")
            }
            None => item.trim_matches(['"', '\'']).to_string(),
        };
        if !shell.is_empty() && shell != "|" {
            found.push(Command { module, line, shell });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_each_boot_and_of_the_first_are_told_apart() {
        let text = "#cloud-config\npackages:\n - x\nbootcmd:\n - [ sysctl, -w, \"net.nf_conntrack_max=5\" ]\nruncmd:\n- sysctl -p\n- |\n  echo 1 > /proc/sys/net/x\nusers: []\n - no\n";
        let all = read(text);
        let about: Vec<_> = all.iter().map(|c| (c.module, c.line, c.shell.as_str())).collect();
        assert_eq!(
            about,
            [
                (Module::BootCommand, 5, "sysctl -w net.nf_conntrack_max=5"),
                (Module::RunCommand, 7, "sysctl -p"),
                (Module::RunCommand, 9, "echo 1 > /proc/sys/net/x"),
            ]
        );
    }
}
