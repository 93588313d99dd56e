//! Rules of the calling thread's network namespace.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_diagnosis::facts::{Fact, Reason, Source};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::netlink::{Writer, flag};
use plimsoll_wire::ruleset::{Backend, Ruleset, TableFamily, read_nft, read_save};

use super::run::{Limits, Output, find, run};
use crate::files::Files;
use crate::live::said_of;

/// Most that one look may take. A node of a large cluster has some 10 MiB of rules.
const LIMITS: Limits = Limits { time: Duration::from_secs(2), bytes: 32 << 20 };

/// Whether nf_tables is in the kernel now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is, or asking can't load it.
    There,
    /// It is not: there are no such rules.
    Absent,
    /// It could not be told: asking might load it.
    Unknown(Said),
}

/// Reads rules without disturbing anything. Made once for a host, used in each of its namespaces.
#[derive(Debug)]
pub struct Reader {
    pub(super) nf_tables: Presence,
    pub(super) nft: Option<PathBuf>,
    pub(super) legacy: [(TableFamily, Option<PathBuf>); 2],
    limits: Limits,
}

impl Reader {
    /// Looks for the tools and for nf_tables.
    pub fn new(files: &Files) -> Self {
        Self {
            nf_tables: nf_tables(files),
            nft: find(&["nft"]),
            legacy: [
                (TableFamily::Ip, legacy_tool(&["iptables-legacy-save", "iptables-save"])),
                (TableFamily::Ip6, legacy_tool(&["ip6tables-legacy-save", "ip6tables-save"])),
            ],
            limits: LIMITS,
        }
    }

    /// Rules of the network namespace of the calling thread, and whether these are all. Known when at least one
    /// back end could be read; what of the others could not stands in [`Ruleset::unread`] and in the second fact.
    /// Needs root in the namespace, except where there is nothing to list.
    pub fn here(&self) -> (Fact<Ruleset>, Fact<()>) {
        let mut reading = Reading {
            rules: Ruleset::default(),
            sources: Vec::new(),
            gaps: Vec::new(),
            whys: Vec::new(),
        };
        for (family, tool) in &self.legacy {
            self.legacy(&mut reading, *family, tool.as_deref());
        }
        self.nft(&mut reading);
        reading.finish()
    }

    /// The tables of x_tables that are there, and none else. `iptables-save` without `-t` asks for exactly
    /// those that the same list names; and it is not even run when the list is empty.
    fn legacy(&self, reading: &mut Reading, family: TableFamily, tool: Option<&Path>) {
        let name = if family == TableFamily::Ip6 { "ip6_tables_names" } else { "ip_tables_names" };
        let list = format!("{}/{name}", net());
        let tables = match fs::read_to_string(&list) {
            Ok(tables) => tables,
            // The file comes with the first table module.
            Err(e) if e.kind() == ErrorKind::NotFound && Path::new(&net()).is_dir() => {
                String::new()
            }
            Err(e) => {
                let reason = reason_of(&e);
                return reading.gap(
                    Backend::Legacy,
                    reason,
                    named(&list, &said_of(&e)),
                    Said::name("root"),
                );
            }
        };
        if tables.trim().is_empty() {
            reading.rules.note_read(Backend::Legacy, family);
            return reading.source(format!("/proc/net/{name}"));
        }
        let Some(tool) = tool else {
            let tables = tables.split_whitespace().collect::<Vec<_>>().join(", ");
            let what = said!(
                "the tables {tables} are there, and no iptables-legacy-save is",
                "有表 {tables}，却没有 iptables-legacy-save"
            );
            return reading.gap(
                Backend::Legacy,
                Reason::NoTool,
                what,
                Said::of("iptables package", "iptables 软件包"),
            );
        };
        let before = reading.rules.read.len();
        if reading.take(Backend::Legacy, tool, &["-c"], self.limits, |text, rules| {
            read_save(text, family, rules);
        }) && reading.rules.read.len() == before
        {
            let what = said!("{}: no table in its output", "{}：输出里没有表", tool.display());
            reading.gap(Backend::Legacy, Reason::Malformed, what, Said::name("root"));
        }
    }

    /// nf_tables, if it is there already. The text is read rather than `nft -j`: for rules made by
    /// iptables-nft the JSON drops what nft could translate (docs/formats/ruleset.md).
    fn nft(&self, reading: &mut Reading) {
        match (&self.nf_tables, &self.nft) {
            (Presence::Absent, _) => {
                for family in [TableFamily::Ip, TableFamily::Ip6, TableFamily::Inet] {
                    reading.rules.note_read(Backend::Nft, family);
                }
                reading.source("/proc/modules (no nf_tables)".into());
            }
            (Presence::Unknown(why), _) => {
                reading.gap(
                    Backend::Nft,
                    Reason::NotLoaded,
                    why.clone(),
                    Said::name("/lib/modules"),
                );
            }
            // Starting the tool costs a hundred times as much as asking whether there is anything to list.
            (Presence::There, _) if nft_tables() == Some(0) => {
                for family in [TableFamily::Ip, TableFamily::Ip6, TableFamily::Inet] {
                    reading.rules.note_read(Backend::Nft, family);
                }
                reading.source("nf_tables (no tables)".into());
            }
            (Presence::There, None) => {
                let what = said!(
                    "nf_tables is in the kernel, and no nft is installed",
                    "内核里有 nf_tables，却没有安装 nft"
                );
                reading.gap(
                    Backend::Nft,
                    Reason::NoTool,
                    what,
                    Said::of("nftables package", "nftables 软件包"),
                );
            }
            (Presence::There, Some(tool)) => {
                let arguments = ["list", "ruleset"];
                reading.take(Backend::Nft, tool, &arguments, self.limits, read_nft);
            }
        }
    }
}

/// Something, and what is wrong with it.
fn named(what: &str, why: &Said) -> Said {
    said!("{what}: {why}", "{what}：{why:#}")
}

/// What was read so far.
struct Reading {
    rules: Ruleset,
    sources: Vec<String>,
    gaps: Vec<(Reason, Said)>,
    /// The same as in the rules' `unread`, in both languages.
    whys: Vec<Said>,
}

impl Reading {
    fn source(&mut self, source: String) {
        if !self.sources.contains(&source) {
            self.sources.push(source);
        }
    }

    fn gap(&mut self, backend: Backend, reason: Reason, what: Said, needs: impl Into<Said>) {
        self.gaps.push((reason, needs.into()));
        self.rules.unread.push((backend, what.to_string()));
        self.whys.push(what);
    }

    /// Runs a tool and reads what it says; whether it ended well and said all.
    fn take(
        &mut self,
        backend: Backend,
        tool: &Path,
        arguments: &[&str],
        limits: Limits,
        read: impl FnOnce(&str, &mut Ruleset),
    ) -> bool {
        let name = tool.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let command = format!("{name} {}", arguments.join(" "));
        let output = match run(tool, arguments, limits) {
            Ok(output) => output,
            Err(e) => {
                self.gap(backend, reason_of(&e), named(&command, &said_of(&e)), Said::name("root"));
                return false;
            }
        };
        if let Some((reason, what)) = failure(&output) {
            self.gap(
                backend,
                reason,
                named(&command, &what),
                Said::of("root (CAP_NET_ADMIN)", "root（CAP_NET_ADMIN）"),
            );
            return false;
        }
        let known = self.rules.read.clone();
        read(&String::from_utf8_lossy(&output.text), &mut self.rules);
        self.source(command.clone());
        if let Some(cut) = output.cut {
            self.rules.read = known;
            self.gap(
                backend,
                Reason::NotAsked,
                named(&command, &cut),
                Said::of("more time", "更多时间"),
            );
            return false;
        }
        true
    }

    fn finish(self) -> (Fact<Ruleset>, Fact<()>) {
        let sources = Source::names(self.sources);
        let what = Said::join(&self.whys, &Said::of("; ", "；"));
        let whole = match self.gaps.into_iter().next() {
            Some((reason, needs)) => Fact::missing_needs(reason, what, needs),
            None => Fact::known((), sources.clone()),
        };
        let rules = &self.rules;
        let nothing = rules.read.is_empty() && rules.rules.is_empty() && rules.chains.is_empty();
        match &whole {
            Fact::Missing(gap) if nothing => (Fact::Missing(gap.clone()), whole),
            _ => (Fact::known(self.rules, sources), whole),
        }
    }
}

/// How a tool failed, if it did. One that was stopped for its length has not.
pub(super) fn failure(output: &Output) -> Option<(Reason, Said)> {
    let failed = match output.status {
        Some(status) => !status.success() && output.cut.is_none(),
        None => output.text.is_empty(),
    };
    if !failed {
        return None;
    }
    let complaint: Said = match (output.complaint.as_str(), &output.cut, output.status) {
        ("", Some(cut), _) => cut.clone(),
        ("", None, Some(status)) => match status.code() {
            Some(code) => said!("{status}", "退出码 {code}"),
            None => said!("{status}", "被信号终止（{status}）"),
        },
        (complaint, _, _) => Said::name(complaint),
    };
    let denied = ["not permitted", "ermission denied", "must be root"];
    let reason = if denied.iter().any(|d| complaint.contains(d)) {
        Reason::NotPermitted
    } else {
        Reason::Failed
    };
    Some((reason, complaint))
}

fn reason_of(error: &std::io::Error) -> Reason {
    match error.kind() {
        ErrorKind::PermissionDenied => Reason::NotPermitted,
        _ => Reason::Failed,
    }
}

/// How many tables of nf_tables there are, if the kernel tells. To be asked only where nf_tables is in it.
pub(super) fn nft_tables() -> Option<u64> {
    const GET_TABLE: u16 = 10 << 8 | 1;
    let mut request = Writer::message(GET_TABLE, flag::REQUEST | flag::DUMP, 1);
    // All families, version 0.
    request.raw(&[0; 4]);
    crate::table::answers(&request.finish())
}

/// The /proc/net of the calling thread: plain /proc/net is that of the process's first thread.
pub(super) fn net() -> String {
    if Path::new("/proc/thread-self/net").is_dir() {
        return "/proc/thread-self/net".into();
    }
    // /proc/thread-self came with 3.17.
    format!("/proc/self/task/{}/net", rustix::thread::gettid().as_raw_nonzero())
}

/// A tool of the legacy back end: what is called iptables-save may be the nft one.
fn legacy_tool(names: &[&str]) -> Option<PathBuf> {
    let tool = find(names)?;
    let real = fs::canonicalize(&tool).ok()?;
    let nft = real.file_name()?.to_string_lossy().contains("nft");
    (!nft).then_some(tool)
}

/// Whether nf_tables is in the kernel.
fn nf_tables(files: &Files) -> Presence {
    let Ok(modules) = files.text("/proc/modules") else {
        // A kernel that knows no modules can load none.
        return if files.exists("/proc/sys") { Presence::There } else { unknown("/proc/modules") };
    };
    if modules.lines().any(|line| line.split(' ').next() == Some("nf_tables")) {
        return Presence::There;
    }
    if files.text("/proc/sys/kernel/modules_disabled").is_ok_and(|t| t.trim() == "1") {
        return Presence::There;
    }
    let release = files.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    let list = format!("/lib/modules/{}/modules.builtin", release.trim());
    match files.text(&list) {
        Ok(builtin) if builtin.lines().any(|l| l.ends_with("/nf_tables.ko")) => Presence::There,
        Ok(_) => Presence::Absent,
        Err(_) => unknown(&list),
    }
}

fn unknown(path: &str) -> Presence {
    Presence::Unknown(said!(
        "{path} could not be read, so nf_tables may be absent, and `nft list` would load it",
        "读不到 {path}，所以可能没有 nf_tables，而 `nft list` 会加载它"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_had_no_time_to_say_is_missing_beside_what_was_read() {
        let mut reading = Reading {
            rules: Ruleset::default(),
            sources: Vec::new(),
            gaps: Vec::new(),
            whys: Vec::new(),
        };
        reading.rules.note_read(Backend::Nft, TableFamily::Inet);
        reading.source("nf_tables (no tables)".into());
        let sleep = find(&["sleep"]).expect("coreutils are installed");
        let short = Limits { time: Duration::from_millis(50), ..LIMITS };
        assert!(!reading.take(Backend::Legacy, &sleep, &["60"], short, |_, _| {}));
        let (rules, whole) = reading.finish();
        let rules = rules.value().expect("nf_tables was read");
        assert_eq!(rules.unread.len(), 1, "{rules:?}");
        let gap = whole.gap().expect("the other was not");
        assert!(gap.detail.contains("sleep 60: stopped after"), "{gap:?}");
    }

    fn presence(name: &str, files: &[(&str, &str)]) -> Presence {
        let root =
            std::env::temp_dir().join(format!("plimsoll-rules-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("has a parent")).expect("made");
            fs::write(path, text).expect("written");
        }
        let found = nf_tables(&Files::Directory(root.clone()));
        fs::remove_dir_all(root).expect("removed");
        found
    }

    const RELEASE: (&str, &str) = ("proc/sys/kernel/osrelease", "6.1.0\n");

    #[test]
    fn nft_is_asked_only_where_nf_tables_is_in_the_kernel() {
        let loaded = ("proc/modules", "nf_tables 311296 0 - Live 0x0\n");
        assert_eq!(presence("loaded", &[RELEASE, loaded]), Presence::There);
        let other = ("proc/modules", "nf_tables_x 1 0 - Live 0x0\n");
        let builtin = ("lib/modules/6.1.0/modules.builtin", "kernel/net/netfilter/nf_tables.ko\n");
        assert_eq!(presence("builtin", &[RELEASE, other, builtin]), Presence::There);
        let without = ("lib/modules/6.1.0/modules.builtin", "kernel/fs/ext4/ext4.ko\n");
        assert_eq!(presence("absent", &[RELEASE, other, without]), Presence::Absent);
        assert!(matches!(presence("unknown", &[RELEASE, other]), Presence::Unknown(_)));
        assert_eq!(presence("static", &[RELEASE]), Presence::There, "no modules at all");
        let frozen = ("proc/sys/kernel/modules_disabled", "1\n");
        assert_eq!(presence("frozen", &[RELEASE, other, frozen]), Presence::There);
    }
}
