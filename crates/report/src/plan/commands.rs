//! A change as the command that a person would type for it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::plan::{
    Change, DeleteEntries, IptablesChange, LoadModule, ModulesChange, NftChange, Plan,
    PolicyChange, Setting,
};

use crate::Language;
use crate::number::count;

/// The commands of a change; lines that begin with `#` are remarks.
pub(super) fn of(plan: &Plan, change: &Change, language: Language) -> Vec<String> {
    let inside = match &plan.target.path {
        Some(path) => format!("nsenter --net={path} "),
        None => String::new(),
    };
    match change {
        Change::Setting(c) => setting(c, &inside, language),
        Change::Nft(c) => nft(c, &inside),
        Change::Iptables(c) => iptables(c, &inside),
        Change::Policy(c) => policy(c, &inside),
        Change::Modules(c) => modules(c),
        Change::Delete(c) => entries(c, language),
        Change::File(_) => Vec::new(),
    }
}

fn setting(c: &Setting, inside: &str, language: Language) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(step) = c.step {
        lines.push(spoken!(
            language,
            "# only while packets are still dropped, with {} MiB of memory available:",
            "# 只在仍然丢包、且有 {} MiB 可用内存时：",
            count(step.available >> 20)
        ));
    }
    let command = match c.path.strip_prefix("/proc/sys/") {
        Some(key) => format!("sysctl -w {}={}", key.replace('/', "."), c.after),
        None => format!("echo {} > {}", c.after, c.path),
    };
    let now = c.before.trim();
    lines.push(spoken!(
        language,
        "{inside}{command}    # now {now}",
        "{inside}{command}    # 现在是 {now}"
    ));
    lines
}

fn nft(c: &NftChange, inside: &str) -> Vec<String> {
    alloc::vec![here_document(&format!("{inside}nft -f -"), &c.apply)]
}

fn iptables(c: &IptablesChange, inside: &str) -> Vec<String> {
    alloc::vec![here_document(&format!("{inside}{} -n", c.restore), &c.apply)]
}

fn here_document(command: &str, text: &str) -> String {
    format!("{command} <<'END'\n{}\nEND", text.trim_end())
}

fn policy(c: &PolicyChange, inside: &str) -> Vec<String> {
    let timeouts: Vec<String> = c.timeouts.iter().map(|(s, n)| format!("{s} {n}")).collect();
    alloc::vec![format!(
        "{inside}nfct add timeout {} {} {} {}",
        c.name,
        c.family,
        c.protocol,
        timeouts.join(" ")
    )]
}

fn modules(c: &ModulesChange) -> Vec<String> {
    let load = |m: &LoadModule| {
        let words: Vec<&str> = core::iter::once(m.name.as_str())
            .chain(m.parameters.iter().map(String::as_str))
            .collect();
        format!("modprobe {}", words.join(" "))
    };
    let out = c.unload.iter().map(|m| format!("modprobe -r {}", m.name));
    out.chain(c.load.iter().map(load)).collect()
}

fn entries(c: &DeleteEntries, language: Language) -> Vec<String> {
    let filter = c.filter.said();
    let filter = filter.spoken(language);
    if c.left_over {
        return alloc::vec![spoken!(
            language,
            "# then delete what entries there still are: {filter}",
            "# 然后删除还剩下的条目：{filter}"
        )];
    }
    let most = match c.at_most {
        0 => String::new(),
        n => spoken!(language, ", {} at most", "，最多 {} 个", count(n)),
    };
    alloc::vec![
        spoken!(
            language,
            "# delete the entries that are {filter}: {} of them now{most}",
            "# 删除这样的条目：{filter}：现在有 {} 个{most}",
            count(c.expected)
        ),
        spoken!(
            language,
            "# in batches of {}, by tuple and id, through ctnetlink",
            "# 每批 {} 个，按元组和 id，经由 ctnetlink",
            c.batch
        ),
    ]
}
