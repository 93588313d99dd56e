//! udev rules: commands that run when a module is loaded.
//!
//! Source: udev(7). Only the keys that name a module (`KERNEL`, `DEVPATH`, with `SUBSYSTEM=="module"`) and `RUN` are
//! looked at; a rule with other conditions is taken to fit.

use alloc::string::String;
use alloc::vec::Vec;

/// A rule that runs something when a module comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRule {
    /// File.
    pub file: String,
    /// Line, from 1: that of its beginning.
    pub line: u32,
    /// Pattern of the module's name: `nf_conntrack`, `nf_*`.
    pub module: String,
    /// Commands, in order.
    pub run: Vec<String>,
}

/// Reads a file of rules.
pub fn read(file: &str, text: &str) -> Vec<ModuleRule> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, first)) = lines.next() {
        let mut content = String::from(first.trim());
        if content.starts_with('#') {
            continue;
        }
        while content.ends_with('\\') {
            content.pop();
            let Some((_, more)) = lines.next() else { break };
            content.push_str(more.trim());
        }
        if let Some((module, run)) = rule(&content)
            && !run.is_empty()
        {
            found.push(ModuleRule { file: file.into(), line, module, run });
        }
    }
    found
}

fn rule(content: &str) -> Option<(String, Vec<String>)> {
    let mut subsystem = false;
    let mut module: Option<String> = None;
    let mut run = Vec::new();
    for (key, operator, value) in keys(content) {
        let bare = key.split('{').next().unwrap_or(key);
        match (bare, operator) {
            ("SUBSYSTEM", "==") if value == "module" => subsystem = true,
            ("SUBSYSTEM", "==") => return None,
            ("ACTION", "==") if !value.split('|').any(|a| a == "add" || a == "*") => return None,
            ("KERNEL", "==") => module = Some(value.into()),
            ("DEVPATH", "==") => {
                if let Some(name) = value.strip_prefix("/module/") {
                    subsystem = true;
                    module = Some(name.into());
                }
            }
            ("RUN", "+=" | "=" | ":=") if key != "RUN{builtin}" => run.push(value.into()),
            _ => {}
        }
    }
    if !subsystem {
        return None;
    }
    Some((module?, run))
}

/// `KEY OP "value"`, parted by commas. Quotes hide commas; a broken rest ends the line.
fn keys(content: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut rest = content;
    core::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        let end = rest.find(|c: char| "=+-:!".contains(c))?;
        let key = rest[..end].trim();
        let behind = &rest[end..];
        let length = behind.find('"')?;
        let operator = behind[..length].trim();
        let value = &behind[length + 1..];
        let close = value.find('"')?;
        rest = &value[close + 1..];
        Some((key, operator, &value[..close]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_modules_are_found_in_both_spellings() {
        let text = "# ACTION==\"add\", SUBSYSTEM==\"module\", KERNEL==\"x\", RUN+=\"y\"\n\
            ACTION==\"add\", SUBSYSTEM==\"module\", KERNEL==\"nf_conntrack\", \\\n  RUN+=\"/usr/lib/systemd/systemd-sysctl --prefix=/net/netfilter\"\n\
            ACTION==\"add\", DEVPATH==\"/module/nf_conntrack\", RUN+=\"/sbin/sysctl -p\", RUN{program}+=\"/bin/b\"\n\
            ACTION==\"add\", SUBSYSTEM==\"net\", KERNEL!=\"lo\", RUN+=\"/usr/lib/systemd/systemd-sysctl --prefix=/net/ipv4/conf/$name\"\n\
            ACTION==\"remove\", SUBSYSTEM==\"module\", KERNEL==\"nf_conntrack\", RUN+=\"z\"\n";
        let all = read("f", text);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].line, all[0].module.as_str()), (2, "nf_conntrack"));
        assert_eq!(all[0].run, ["/usr/lib/systemd/systemd-sysctl --prefix=/net/netfilter"]);
        assert_eq!(all[1].run, ["/sbin/sysctl -p", "/bin/b"]);
    }

    #[test]
    fn broken_rules_cost_one_line() {
        assert!(read("f", "SUBSYSTEM==\"module\nKERNEL==\n,,,\n\\\n\"\"\"\n").is_empty());
    }
}
