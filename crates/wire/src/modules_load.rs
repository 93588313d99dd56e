//! modules-load.d files, /etc/modules, /etc/rc.modules.

use alloc::string::String;
use alloc::vec::Vec;

use crate::modprobe::normalised;

/// A module named for early loading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleToLoad {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Module, dashes turned to underscores.
    pub module: String,
    /// What stands behind the name: options, for the programs that take them there (kmod's init script). systemd takes
    /// the whole line for a name.
    pub arguments: String,
}

/// Reads a list: one module a line (modules-load.d, /etc/modules).
pub fn read_list(file: &str, text: &str) -> Vec<ModuleToLoad> {
    (1..)
        .zip(text.lines())
        .filter_map(|(line, content)| {
            let content = content.trim();
            let (module, arguments) = content.split_once([' ', '\t']).unwrap_or((content, ""));
            (!module.is_empty() && !module.starts_with(['#', ';'])).then(|| ModuleToLoad {
                file: file.into(),
                line,
                module: normalised(module),
                arguments: arguments.trim().into(),
            })
        })
        .collect()
}

/// Reads a shell script (/etc/rc.modules, /etc/sysconfig/modules/*.modules): modules that a plain `modprobe NAME`
/// names. Nothing is evaluated, so a name in a variable is not seen.
pub fn read_script(file: &str, text: &str) -> Vec<ModuleToLoad> {
    let mut found = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.split(" #").next().unwrap_or("");
        if content.trim_start().starts_with('#') {
            continue;
        }
        for command in content.split([';', '&', '|', '(', ')']) {
            let mut words = command.split_whitespace();
            if !words.by_ref().any(|w| w == "modprobe" || w.ends_with("/modprobe")) {
                continue;
            }
            let words: Vec<&str> = words.take_while(|w| !w.contains(['>', '<'])).collect();
            if words.iter().any(|w| matches!(*w, "-r" | "--remove")) {
                continue;
            }
            let all = words.contains(&"-a");
            let mut names = words.into_iter().filter(|w| !w.starts_with(['-', '$', '"']));
            let named: Vec<&str> = names.by_ref().take(if all { usize::MAX } else { 1 }).collect();
            let arguments = names.collect::<Vec<_>>().join(" ");
            found.extend(named.into_iter().map(|module| ModuleToLoad {
                file: file.into(),
                line,
                module: normalised(module),
                arguments: arguments.clone(),
            }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_module_a_line() {
        let all = read_list("f", "# x\n; y\n\nnf-conntrack hashsize=5\r\n loop\n");
        let about: Vec<_> = all.iter().map(|m| (m.line, m.module.as_str())).collect();
        assert_eq!(about, [(4, "nf_conntrack"), (5, "loop")]);
        assert_eq!((all[0].arguments.as_str(), all[1].arguments.as_str()), ("hashsize=5", ""));
    }

    #[test]
    fn a_script_loads_what_a_plain_modprobe_names() {
        let text = "#!/bin/sh\n# modprobe a\n/sbin/modprobe ip_conntrack hashsize=5 >/dev/null 2>&1\nmodprobe -r x; modprobe -q nf-nat || exit 0\nmodprobe -a b c\nmodprobe $X\nmodprobe\n";
        let all = read_script("f", text);
        let about: Vec<_> = all.iter().map(|m| (m.line, m.module.as_str())).collect();
        assert_eq!(about, [(3, "ip_conntrack"), (4, "nf_nat"), (5, "b"), (5, "c")]);
    }
}
