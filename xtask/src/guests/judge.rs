//! What each look in a guest must have said, and what it must have left as it was.
//!
//! The scene (e2e/vm/scene.sh) is the same on all kernels; what differs between them stands in one table.

use serde_json::Value;

use super::outcome::{Look, Outcome};

/// What is particular to a line of kernels.
struct Line {
    line: &'static str,
    profile: &'static str,
    /// What an entry costs, slack of the slab and extensions included.
    entry_bytes: u64,
    /// The limit that the kernel gives itself with the guest's 512 MiB.
    default_max: u64,
    /// Whether the log names the namespace that was full.
    names_namespace: bool,
    /// Whether a limit of 0 means none; otherwise it is refused.
    zero: bool,
    /// Whether the BPF census can be had: from 5.10 on, in all that Debian builds.
    census: bool,
    /// Whether `unload` is also killed with its guard alive, and the guard too: dear in an emulated processor.
    guard_killed: bool,
}

/// Debian 12's.
const V6_1: Line = Line {
    line: "6.1",
    profile: "6.1",
    entry_bytes: 256,
    default_max: 4096,
    names_namespace: false,
    zero: true,
    census: true,
    guard_killed: true,
};

const V6_18: Line = Line { line: "6.18", profile: "6.18", names_namespace: true, ..V6_1 };

const LINES: &[Line] = &[
    Line {
        line: "5.10",
        profile: "5.10",
        entry_bytes: 469,
        default_max: 16384,
        guard_killed: false,
        ..V6_1
    },
    V6_1,
    Line { line: "6.12", profile: "6.12", guard_killed: false, ..V6_1 },
    V6_18,
    Line { line: "7.3", profile: "7.1", zero: false, guard_killed: false, ..V6_18 },
];

/// The looks around which the scene kept the world.
const UNDISTURBED: &[&str] = &[
    "absent",
    "absent-nobody",
    "loaded",
    "loaded-nobody",
    "quiet",
    "netlink",
    "flows-bpf",
    "flows-web-bpf",
];
/// What `full` may find: the incident as it was staged, and nothing else.
const STAGED: &[&str] = &["CT001", "CT004", "CT020", "CT040"];
const RATES: &[&str] =
    &["new", "expired", "drop", "early_drop", "insert_failed", "invalid", "growth"];

/// All that is wrong with what a guest showed.
pub fn faults(line: &str, outcome: &Outcome) -> Vec<String> {
    let mut judge = Judge { outcome, faults: Vec::new() };
    let expected = LINES.iter().find(|l| l.line == line);
    judge.step("absent", Judge::absent);
    judge.step("loaded", |j| j.loaded(expected));
    judge.step("full", |j| j.full(expected));
    judge.step("full, for others", Judge::full_for_others);
    judge.step("still full", Judge::still_full);
    judge.step("readers", |j| j.readers("flows", expected));
    judge.step("readers of a container", |j| j.readers("flows-web", expected));
    judge.step("files", Judge::files);
    judge.step("cure", |j| j.cure(expected));
    judge.step("container", |j| j.container(expected));
    judge.step("tables", Judge::tables);
    judge.step("unload", |j| j.unload(expected));
    judge.step("undisturbed", Judge::undisturbed);
    judge.step("vlan", Judge::vlan);
    judge.faults
}

struct Judge<'a> {
    outcome: &'a Outcome,
    faults: Vec<String>,
}

/// A step ends early where a file that it needs is not there.
type Step = Result<(), String>;

impl Judge<'_> {
    fn step(&mut self, name: &str, step: impl FnOnce(&mut Self) -> Step) {
        if let Err(why) = step(self) {
            self.faults.push(format!("{name}: {why}"));
        }
    }

    fn expect(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }

    fn equal(&mut self, what: &str, saw: &Value, expected: impl Into<Value>) {
        let expected = expected.into();
        self.expect(*saw == expected, || format!("{what}: expected {expected}, saw {saw}"));
    }

    fn ids(&mut self, what: &str, look: &Look, expected: &[&str]) {
        let saw = look.ids();
        self.expect(saw == expected, || format!("{what}: expected {expected:?}, saw {saw:?}"));
    }

    /// Nothing loaded: said so, even to nobody.
    fn absent(&mut self) -> Step {
        for name in ["absent", "absent-nobody"] {
            let look = self.outcome.look(name)?;
            self.equal(&format!("{name}: verdict"), &look.value["verdict"], "ok");
            self.ids(name, &look, &["CT031"]);
            let host = look.namespace("host");
            self.equal(&format!("{name}: count"), &host["count"], Value::Null);
            let because = "nf_conntrack is not loaded";
            self.equal(&format!("{name}: because"), &host["tracking_because"], because);
            let unasked = host["rates"]["missing"]["drop"]["reason"].clone();
            self.equal(&format!("{name}: drops are missing since"), &unasked, "not loaded");
        }
        Ok(())
    }

    /// Loaded, and no rule: not tracking, and it stays so.
    fn loaded(&mut self, line: Option<&Line>) -> Step {
        for name in ["loaded", "loaded-nobody"] {
            let look = self.outcome.look(name)?;
            let host = look.namespace("host");
            self.equal(&format!("{name}: count"), &host["count"], 0);
            if let Some(line) = line {
                self.equal(&format!("{name}: max"), &host["max"], line.default_max);
            }
        }
        let look = self.outcome.look("loaded")?;
        // No CT020 and no CT040: the default was foretold for this kernel and memory.
        self.equal("loaded: verdict", &look.value["verdict"], "ok");
        self.ids("loaded", &look, &["CT031"]);
        self.rates("loaded", look.namespace("host"));
        self.equal("loaded: tracking", &look.namespace("host")["tracking"], false);
        let count = self.outcome.text("loaded.count")?;
        self.equal("loaded: entries of a connection after it", &count.trim().into(), "0");
        Ok(())
    }

    fn full(&mut self, line: Option<&Line>) -> Step {
        let look = self.outcome.look("full")?;
        self.equal("full: verdict", &look.value["verdict"], "critical");
        self.expect(look.status == Some(2), || format!("full: exit status {:?}", look.status));
        let ids = look.ids();
        self.expect(ids.first() == Some(&"CT001"), || format!("full: first of {ids:?}"));
        for id in &ids {
            self.expect(STAGED.contains(id), || format!("full: false alarm {id}"));
        }
        let host = look.namespace("host");
        for what in ["count", "max", "protected", "sampled"] {
            self.equal(&format!("full: {what}"), &host[what], 100);
        }
        self.rates("full", host);
        let drop = host["rates"]["drop"].as_f64();
        self.expect(drop.is_some_and(|rate| rate > 0.0), || format!("full: drops {drop:?}"));
        let lines = look.value["drops"]["log_lines"].as_u64();
        self.expect(lines.is_some_and(|n| n > 0), || format!("full: log lines {lines:?}"));
        let example = look.evidence("CT001", "example").cloned().unwrap_or_default();
        self.equal(
            "full: example",
            &example,
            "nf_conntrack: nf_conntrack: table full, dropping packet",
        );
        // A page of pointers is the least number of buckets.
        self.equal("full: buckets", &look.value["host"]["buckets"], 512);
        if let Some(line) = line {
            self.equal("full: profile", &look.value["host"]["profile"], line.profile);
            self.equal("full: entry", &look.value["host"]["entry_bytes"], line.entry_bytes);
        }
        let raise = look.commands("raise");
        for command in [
            "sysctl -w net.netfilter.nf_conntrack_max=",
            "sysctl -w net.netfilter.nf_conntrack_buckets=",
        ] {
            self.expect(raise.contains(command), || {
                format!("full: raise has no {command:?}: {raise}")
            });
        }
        let persist = look.commands("persist");
        self.expect(persist.contains("/etc/sysctl.d/"), || format!("full: persist: {persist}"));
        let bypass = look.commands("bypass");
        let tool = match self.outcome.text("full.backend")?.trim() {
            "nft" => "nft ",
            _ => "iptables-legacy ",
        };
        self.expect(bypass.contains(tool) && bypass.contains("8080"), || {
            format!("full: bypass: {bypass}")
        });

        Ok(())
    }

    /// The statistics and the settings are everybody's: nobody sees the drops too.
    fn full_for_others(&mut self) -> Step {
        let nobody = self.outcome.look("full-nobody")?;
        self.expect(nobody.ids().first() == Some(&"CT001"), || {
            format!("full-nobody: {:?}", nobody.ids())
        });
        let host = nobody.namespace("host");
        for what in ["count", "max"] {
            self.equal(&format!("full-nobody: {what}"), &host[what], 100);
        }
        self.equal("full-nobody: protected", &host["protected"], Value::Null);
        let missing = nobody.missing();
        for fact in ["kernel log: not permitted", "entries of host: not permitted"] {
            self.expect(missing.iter().any(|m| m.starts_with(fact)), || {
                format!("full-nobody: nothing said of {fact:?}: {missing:?}")
            });
        }
        let nagios = self.outcome.text("full-nagios.json")?;
        self.expect(nagios.starts_with("PLIMSOLL CRITICAL"), || format!("full: nagios: {nagios}"));
        Ok(())
    }

    /// No new flow while measured. Without and with the module that a dump by netlink needs: one picture.
    fn still_full(&mut self) -> Step {
        let readers: &[&[&str]] =
            &[&["/proc/net/nf_conntrack"], &["/proc/net/nf_conntrack", "ctnetlink dump"]];
        for (name, readers) in ["quiet", "netlink"].into_iter().zip(readers) {
            let look = self.outcome.look(name)?;
            let host = look.namespace("host");
            for what in ["count", "protected", "sampled"] {
                self.equal(&format!("{name}: {what}"), &host[what], 100);
            }
            self.equal(&format!("{name}: complete"), &host["complete"], true);
            self.rates(name, host);
            let states = &host["groups"]["states"][0];
            self.equal(&format!("{name}: states"), &states["label"], "tcp ESTABLISHED");
            let because = look
                .finding("CT004")
                .and_then(|f| {
                    f["evidence"].as_array()?.iter().find(|e| e["what"] == "cannot be evicted")
                })
                .map(|e| e["source"].clone())
                .unwrap_or_default();
            let holds = because.as_str().is_some_and(|b| readers.contains(&b));
            self.expect(holds, || format!("{name}: entries from {because}, not from {readers:?}"));
        }
        Ok(())
    }

    /// Every reader tells the same of the same table, and what can't be had says why and is not missed.
    fn readers(&mut self, scene: &str, line: Option<&Line>) -> Step {
        let told = |reader: &str| -> Result<(Vec<String>, String, bool), String> {
            let text = |what: &str| self.outcome.text(&format!("{scene}-{reader}.{what}"));
            let mut groups: Vec<String> = text("json")?.lines().map(str::to_owned).collect();
            groups.sort();
            Ok((groups, text("err")?, text("status")?.trim() == "0"))
        };
        let (netlink, proc, bpf, auto) =
            (told("netlink")?, told("proc")?, told("bpf")?, told("auto")?);
        let entries = |groups: &[String]| -> u64 {
            let rows = groups.iter().filter_map(|row| serde_json::from_str::<Value>(row).ok());
            rows.filter_map(|row| row["entries"].as_u64()).sum()
        };
        let seen = entries(&netlink.0);
        self.expect(seen == 100, || format!("{scene}: {seen} entries by netlink: {}", netlink.1));
        self.expect(proc.0 == netlink.0, || {
            format!("{scene}: proc says {:#?}, netlink {:#?}: {}", proc.0, netlink.0, proc.1)
        });
        let (fastest, because) = match bpf.2 {
            true => (&bpf, "read by bpf"),
            false => (&netlink, "read by netlink; not by bpf: "),
        };
        self.expect(fastest.0 == netlink.0, || {
            format!("{scene}: bpf says {:#?}, netlink {:#?}: {}", bpf.0, netlink.0, bpf.1)
        });
        self.expect(bpf.2 || bpf.1.contains("bpf: "), || format!("{scene}: bpf: {}", bpf.1));
        self.expect(auto.0 == netlink.0 && auto.1.contains(because), || {
            format!("{scene}: expected {because:?}, saw {}: {:#?}", auto.1, auto.0)
        });
        if let Some(line) = line {
            self.expect(bpf.2 == line.census, || format!("{scene}: bpf: {}", bpf.1));
        }
        Ok(())
    }

    fn files(&mut self) -> Step {
        let look = self.outcome.look("files")?;
        for (id, key) in [
            ("CT040", "nf_conntrack_max"),
            ("CT041", "ip_conntrack_max"),
            ("CT042", "nf_conntrack_count"),
        ] {
            let summary = look.finding(id).and_then(|f| f["summary"].as_str()).unwrap_or_default();
            self.expect(
                summary.contains(key) && summary.contains("/etc/sysctl.d/90-conntrack.conf"),
                || format!("files: {id}: {summary:?}"),
            );
        }
        Ok(())
    }

    /// The commands of the remedies do on this kernel what they promise.
    fn cure(&mut self, line: Option<&Line>) -> Step {
        for remedy in ["bypass", "raise"] {
            let commands = self.outcome.text(&format!("{remedy}.commands"))?;
            self.expect(commands.lines().count() >= 2, || format!("{remedy}: {commands:?}"));
            let complaint = self.outcome.text(&format!("{remedy}.err"))?;
            self.expect(complaint.is_empty(), || format!("{remedy}: {complaint}"));
        }
        // The visitors keep coming, and none of them is dropped any more.
        let bypassed = self.outcome.look("bypassed")?;
        self.equal("bypassed: drops", &bypassed.namespace("host")["rates"]["drop"], 0.0);

        let raised = self.outcome.look("raised")?;
        let ids = raised.ids();
        // What was is told. CT020: the log does not say under which limit the table was full. CT060: whom
        // the full table kept out now comes at once, and an emulated server may accept them too slowly.
        let well = ids.iter().all(|id| ["CT002", "CT020", "CT040", "CT060"].contains(id));
        self.expect(well && ids.contains(&"CT002"), || format!("raised: {ids:?}"));
        let host = raised.namespace("host");
        let (count, max) = (host["count"].as_u64(), host["max"].as_u64());
        self.expect(max > count.map(|c| c * 10), || format!("raised: {count:?} of {max:?}"));
        let buckets = raised.value["host"]["buckets"].as_u64();
        self.expect(buckets > Some(512), || format!("raised: buckets {buckets:?}"));

        if let Some(line) = line {
            let zero = self.outcome.look("zero")?;
            let max = self.outcome.text("zero.max")?;
            self.expect((max.trim() == "0") == line.zero, || format!("zero: the limit is {max}"));
            let found = zero.ids().contains(&"CT023");
            self.expect(found == line.zero, || format!("zero: {:?}", zero.ids()));
        }
        Ok(())
    }

    /// Full in a container, while the host is empty.
    fn container(&mut self, line: Option<&Line>) -> Step {
        let look = self.outcome.look("container")?;
        let (host, web) = (look.namespace("host"), look.namespace("ip netns web"));
        self.equal("container: host's count", &host["count"], 0);
        self.equal("container: count", &web["count"], 100);
        self.rates("container", web);
        let inode = self.outcome.text("container.inode")?;
        self.equal("container: inode", &web["inode"], inode.trim().parse::<u64>().ok());
        let full = look.finding("CT001").cloned().unwrap_or_default();
        self.equal("container: CT001 is of", &full["namespace"], "ip netns web");
        let raise = look.commands("raise");
        self.expect(raise.starts_with("# on the host"), || format!("container: raise: {raise}"));
        let log = self.outcome.text("tree/log.container")?;
        if let Some(line) = line {
            let named = format!("table full in netns {}, dropping packet", inode.trim());
            let wording = if line.names_namespace {
                &named
            } else {
                "nf_conntrack: table full, dropping packet"
            };
            self.expect(log.trim_end().ends_with(wording), || format!("container: log {log:?}"));
            let lines = look.evidence("CT001", "log lines").and_then(Value::as_u64).unwrap_or(0);
            self.expect((lines > 0) == line.names_namespace, || {
                format!("container: {lines} log lines told of it")
            });
        }
        Ok(())
    }

    /// Tables of old iptables that come with a remedy go with its `undo`, with their modules, but where they are others' too.
    fn tables(&mut self) -> Step {
        for (name, said) in [
            (
                "tables-done",
                "new here (iptable_raw, ip6table_raw): `plimsoll undo` takes them away again",
            ),
            ("tables-undone", "is taken back"),
            ("tables-shared", "raw of iptables-legacy-save (another network namespace has it too)"),
            ("tables-stuck", "raw of iptables-legacy-save (the program modprobe is not installed)"),
        ] {
            self.said(name, "0", said)?;
        }
        let old = self.outcome.text("tables.old")?;
        let new = self.outcome.text("tables.new")?;
        let raw = |text: &str| {
            ["*raw", "iptable_raw", "ip6table_raw"].map(|t| text.lines().any(|l| l == t))
        };
        self.expect(raw(&old) == [false; 3] && raw(&new) == [true; 3], || {
            format!("tables: before {old}, with the remedy {new}")
        });
        let again = self.outcome.text("tables.again")?;
        self.expect(old == again, || format!("tables: before {old}, taken back {again}"));
        let undone = self.outcome.text("tables-undone.json")?;
        self.expect(!undone.contains("stays"), || format!("tables-undone: {undone}"));
        let killed = self.outcome.text("tables.killed")?;
        let lines: Vec<&str> = killed.lines().collect();
        let whole = lines.last().is_some_and(|l| l.ends_with(" whole old"));
        let old = lines.iter().all(|l| l.ends_with(" old"));
        self.expect(whole && old && lines.len() > 8, || format!("tables killed: {killed}"));
        let other = self.outcome.text("tables.other")?;
        self.expect(other.contains("-A PREROUTING -p udp -j ACCEPT"), || {
            format!("tables: the rule of another namespace: {other}")
        });
        // 5.10 makes the table as its module comes, so there it was not new.
        let there = self.outcome.text("tables.loaded")?.contains("*raw");
        let kept = self.outcome.text("tables-kept.json")?;
        let told = kept.contains("(its module iptable_raw was loaded before)");
        self.expect(told != there, || format!("tables-kept: there before: {there}, {kept}"));
        Ok(())
    }

    /// A command of the scene ended so, and said that.
    fn said(&mut self, name: &str, status: &str, said: &str) -> Step {
        let text = self.outcome.text(&format!("{name}.json"))?;
        let talk = self.outcome.text(&format!("{name}.err"))?;
        let ended = self.outcome.text(&format!("{name}.status"))?;
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.expect(ended.trim() == status && flat.contains(said), || {
            format!("{name}: status {}, {text} {talk}", ended.trim())
        });
        Ok(())
    }

    fn unload(&mut self, line: Option<&Line>) -> Step {
        for (name, status, said) in [
            ("unload-refused", "1", "asks for tracking"),
            ("unload-done", "0", "/proc/net/nf_conntrack is gone, and still was 1 s later"),
            ("unload-undone", "0", "is taken back"),
        ] {
            self.said(name, status, said)?;
        }
        for name in ["unload.list", "unload.left"] {
            let text = self.outcome.text(name)?;
            self.expect(text.is_empty(), || format!("{name}: {text}"));
        }
        let before = self.outcome.text("unload.values")?;
        let again = self.outcome.text("unload.again")?;
        self.expect(before == again && before.contains("established:7300"), || {
            format!("unload: before {before}, taken back {again}")
        });
        self.killed(line)?;
        for name in ["unload.err", "unload.after"] {
            let text = self.outcome.text(name)?;
            self.expect(text.is_empty(), || format!("{name}: {text}"));
        }
        Ok(())
    }

    /// `unload` killed at each step without its guard and with it, the guard while it takes back, and `undo`: what stood
    /// after the next call, or after the guard, and what stood in the end.
    fn killed(&mut self, line: Option<&Line>) -> Step {
        let differs = self.outcome.text("unload.differs")?;
        self.expect(
            differs.contains("-nf_conntrack\n")
                && differs.contains("+IPTABLES_MODULES=\"ipt_recent\""),
            || format!("unload changes the modules and the list of them: {differs}"),
        );
        let text = self.outcome.text("unload.killed")?;
        // Who was killed, and what stands once it comes through.
        let all = [("fix", "new"), ("undo", "old"), ("fixguard", "new"), ("guard", "old")];
        let some = if line.is_some_and(|l| l.guard_killed) { 4 } else { 2 };
        for (who, end) in &all[..some] {
            let lines: Vec<Vec<&str>> = text
                .lines()
                .map(|line| line.split(' ').collect())
                .filter(|words: &Vec<&str>| words.first() == Some(who))
                .collect();
            let between = lines.iter().find(|words| match words.as_slice() {
                [_, _, "whole", stands] => stands != end,
                [_, _, "old", "old"] => false,
                [_, _, "new", "old"] => false,
                // An undo that was killed before it had written that it begins.
                [_, _, "new", "new"] => *who != "undo",
                // The guard was killed in the midst of it; the call after it has finished that.
                [_, _, "between", "old"] => *who != "guard",
                _ => true,
            });
            self.expect(between.is_none(), || format!("unload killed, {who}: {between:?}"));
            let whole = lines.last().is_some_and(|words| words.get(2) == Some(&"whole"));
            self.expect(whole && lines.len() > 5, || format!("unload killed, {who}: {text}"));
        }
        Ok(())
    }

    /// The model says what the kernel does.
    fn vlan(&mut self) -> Step {
        let said = self.outcome.text("vlan")?;
        self.expect(said.ends_with("status 0\n"), || {
            format!("the kernel and the model differ:\n{said}")
        });
        self.expect(!said.contains("VLANs"), || format!("this kernel has VLANs:\n{said}"));
        Ok(())
    }

    /// Looking left modules, rules, settings and entries as they were; and it was not for want of
    /// modules that could have come.
    fn undisturbed(&mut self) -> Step {
        for look in UNDISTURBED {
            let before = self.outcome.files(&format!("before/{look}"))?;
            let after = self.outcome.files(&format!("after/{look}"))?;
            self.expect(before.len() >= 4, || format!("before/{look}: {} files", before.len()));
            if before != after {
                self.faults.push(format!("{look} changed:{}", changes(&before, &after)));
            }
        }
        let modules = self.outcome.text("before/absent/modules")?;
        self.expect(!modules.contains("conntrack"), || "absent: conntrack was loaded".into());
        let careless = self.outcome.text("careless.modules")?;
        for module in ["nf_conntrack_netlink", "nf_tables"] {
            self.expect(careless.lines().any(|m| m == module), || {
                format!("a careless look did not load {module}: the guest proves nothing")
            });
        }
        let settings = self.outcome.text("before/quiet/settings")?.lines().count();
        self.expect(settings > 300, || format!("only {settings} settings were compared"));
        let entries = self.outcome.text("before/quiet/entries")?.lines().count();
        self.expect(entries == 100, || format!("{entries} entries were compared"));
        Ok(())
    }

    fn rates(&mut self, what: &str, namespace: &Value) {
        for rate in RATES {
            let value = &namespace["rates"][rate];
            self.expect(value.is_number(), || {
                format!("{what}: rate {rate} is {value}: {}", namespace["rates"]["missing"][rate])
            });
        }
    }
}

/// Lines that are only on one side, file by file.
fn changes(before: &[(String, String)], after: &[(String, String)]) -> String {
    let mut told = String::new();
    for (name, text) in before {
        let now = after.iter().find(|(n, _)| n == name).map_or("", |(_, t)| t.as_str());
        let gone = text.lines().filter(|l| !now.lines().any(|n| n == *l)).map(|l| format!("-{l}"));
        let new = now.lines().filter(|l| !text.lines().any(|t| t == *l)).map(|l| format!("+{l}"));
        for line in gone.chain(new).take(10) {
            told.push_str(&format!("\n    {name}: {line}"));
        }
    }
    for (name, _) in after.iter().filter(|(n, _)| !before.iter().any(|(b, _)| b == n)) {
        told.push_str(&format!("\n    {name} was not there before"));
    }
    told
}
