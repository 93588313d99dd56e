//! Assignments outside of sysctl.d: in shell scripts (rc.local) and on the kernel's command line.

use alloc::vec::Vec;

use super::{Assignment, dotted, is_conntrack};

/// Assignments to conntrack keys in a shell script: `sysctl -w KEY=VALUE` and
/// `echo VALUE > /proc/sys/KEY`. Nothing is evaluated; a line with a variable for a value keeps the variable.
pub fn read_script(file: &str, text: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.split(" #").next().unwrap_or("").trim();
        if content.starts_with('#') {
            continue;
        }
        for command in content.split([';', '&', '|']) {
            let mut add = |key: &str, value: &str| {
                let key = dotted(key);
                if is_conntrack(&key) {
                    found.push(Assignment {
                        file: file.into(),
                        line,
                        key,
                        value: unquoted(value).into(),
                        may_fail: false,
                    });
                }
            };
            if let Some((left, target)) = command.split_once('>') {
                let target = target.trim_start_matches('>').trim();
                if let Some(key) = unquoted(target).strip_prefix("/proc/sys/")
                    && let Some(value) = left.trim().rsplit(' ').next()
                {
                    add(key, value);
                }
            }
            let mut words = command.split_whitespace();
            if words.by_ref().any(|w| w == "sysctl" || w.ends_with("/sysctl")) {
                for (key, value) in words.filter_map(|w| unquoted(w).split_once('=')) {
                    add(key, value);
                }
            }
        }
    }
    found
}

/// `sysctl.net.netfilter.nf_conntrack_max=…` on the kernel's command line (5.8 and later): set before init starts.
pub fn read_command_line(text: &str) -> Vec<Assignment> {
    text.split_whitespace()
        .filter_map(|word| {
            let (key, value) = word.strip_prefix("sysctl.")?.split_once('=')?;
            let key = dotted(key);
            is_conntrack(&key).then(|| Assignment {
                file: "/proc/cmdline".into(),
                line: 1,
                key,
                value: value.into(),
                may_fail: true,
            })
        })
        .collect()
}

fn unquoted(word: &str) -> &str {
    word.trim_matches(['"', '\''])
}
