//! A namespace and a state directory for one test, and everything of them that a remedy may change.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{BINARY, Netns, Turn, text};
use crate::sweep::Stage;

/// All that a remedy may change in a namespace. One shell, since the tests ask some ten thousand times.
const EVERYTHING: &str =
    "nft list ruleset; echo @@; iptables-legacy-save; ip6tables-legacy-save; iptables-nft-save
    nfct list timeout; cd /proc/sys/net/netfilter
    grep . $(ls -d nf_conntrack_* | grep -Ev '_count$|_conntrack_max$|_buckets$|_expect_max$')";

/// Where a test's remedies go.
pub struct Host {
    pub netns: Netns,
    pub state: PathBuf,
    /// It is run in the machine's own namespace.
    machine: bool,
    /// The machine's limit and buckets, which it may change, as they were.
    before: Option<(u64, u64)>,
}

impl Host {
    /// With a rule that switches tracking on, written by nft or by legacy iptables.
    pub fn new(name: &str) -> Self {
        let netns = Netns::new(name);
        let state = std::env::temp_dir().join(format!("{}-state", netns.0));
        let _ = std::fs::remove_dir_all(&state);
        Self { netns, state, machine: false, before: None }
    }

    /// In the machine's own namespace, for plans that are only shown.
    pub fn of_the_machine(name: &str) -> Self {
        let mut host = Self::new(name);
        host.machine = true;
        host
    }

    /// For remedies that change the machine's own settings, which are put back in the end.
    pub fn changing_the_machine(name: &str, _turn: &Turn) -> Self {
        let mut host = Self::of_the_machine(name);
        host.before = Some(host.limit());
        host
    }

    /// The machine's limit and buckets.
    pub fn limit(&self) -> (u64, u64) {
        let read = |name| {
            let path = format!("/proc/sys/net/netfilter/{name}");
            let text = std::fs::read_to_string(path).expect("it reads");
            text.trim().parse().expect("a number")
        };
        (read("nf_conntrack_max"), read("nf_conntrack_buckets"))
    }

    /// Rules as nft writes them.
    pub fn with_nft(self) -> Self {
        let rules = "table inet site { chain input { type filter hook input priority 0; policy accept; ct \
                     state established accept comment \"ours\"; tcp dport 22 accept; }; }";
        self.netns.run("nft", &[rules]);
        self
    }

    /// Rules as iptables of old writes them.
    pub fn with_legacy(self) -> Self {
        let rule = ["-A", "INPUT", "-m", "state", "--state", "ESTABLISHED", "-j", "ACCEPT"];
        self.netns.run("iptables-legacy", &rule);
        // The table that the remedy uses is there already: once there it can't be taken away.
        self.netns.run("iptables-legacy", &["-t", "raw", "-L", "-n"]);
        self
    }

    /// Rules that let pass only what has a state, in both directions; an address that is not loopback.
    pub fn with_strict_nft(self) -> Self {
        self.with_address();
        let rules = "table inet site { chain input { type filter hook input priority 0; policy drop; ct state \
                     invalid drop; ct state established,related accept; ip saddr 10.0.0.0/8 tcp dport 443 ct state \
                     new accept; udp dport 53 ct state new accept; }; chain output { type filter hook output priority \
                     0; policy drop; ct state established,related accept; }; }";
        self.netns.run("nft", &[rules]);
        self
    }

    /// The same by iptables of old, with a chain as RHEL 5 has it.
    pub fn with_strict_legacy(self) -> Self {
        let host = self.with_legacy_filter();
        host.netns.run("iptables-legacy", &["-t", "raw", "-L", "-n"]);
        host
    }

    /// As [`Self::with_strict_legacy`], where nothing has named another table yet.
    pub fn with_legacy_filter(self) -> Self {
        self.strict_by("iptables-legacy");
        self
    }

    /// The same by iptables on nf_tables.
    pub fn with_strict_iptables(self) -> Self {
        self.strict_by("iptables-nft");
        self
    }

    fn strict_by(&self, iptables: &str) {
        self.with_address();
        let rules = "-N FW;-A INPUT -j FW;-A FW -i lo -j ACCEPT;-A FW -m state --state RELATED,ESTABLISHED -j \
                     ACCEPT;-A FW -s 10.0.0.0/8 -p tcp -m state --state NEW -m tcp --dport 443 -j ACCEPT;-A FW -p udp \
                     -m state --state NEW -m udp --dport 53 -j ACCEPT;-A FW -j REJECT;-A OUTPUT -m state --state \
                     RELATED,ESTABLISHED -j ACCEPT;-P OUTPUT DROP";
        for rule in rules.split(';') {
            let words: Vec<&str> = rule.split_whitespace().collect();
            self.netns.run(iptables, &words);
        }
    }

    fn with_address(&self) {
        self.netns.run("ip", &["address", "add", "10.9.0.1/24", "dev", "lo"]);
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = if self.machine {
            Command::new(BINARY)
        } else {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &self.netns.0, BINARY]);
            command
        };
        command
            .args(arguments)
            .args(["--state-dir", self.state.to_str().expect("a path of text")])
            .stdin(Stdio::null())
            .env_remove("LANG")
            .env_remove("LC_ALL");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// Runs it, and it must succeed; what it prints.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        let (said, talk) = (text(&out.stdout), text(&out.stderr));
        assert!(out.status.success(), "{arguments:?}: {said}{talk}");
        said
    }

    /// Runs it, and it must fail with status 1; what it says.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        assert_eq!(out.status.code(), Some(1), "{arguments:?}: {}", text(&out.stdout));
        text(&out.stderr)
    }

    /// Rules, policies and the namespace's own settings, byte for byte. What iptables-save tells of the time and counts of
    /// packets is left out, and so are the machine's own settings, which another test may change meanwhile.
    pub fn everything(&self) -> String {
        if self.machine {
            return format!("{:?}", self.limit());
        }
        let all = self.netns.run("sh", &["-ec", EVERYTHING]);
        let (rules, saved) = all.split_once("@@\n").expect("rules of nft first");
        let lines = saved.lines().filter(|l| !l.starts_with("# "));
        let saved: String = lines.flat_map(|l| [l.split(" [").next().unwrap_or(l), "\n"]).collect();
        format!("{rules}{saved}")
    }

    /// The history, one line a transaction.
    pub fn list(&self) -> String {
        self.ok(&["fix", "--list"])
    }
}

impl Stage for Host {
    fn command(&self, arguments: &[&str]) -> Command {
        self.command(arguments)
    }

    fn everything(&self) -> String {
        self.everything()
    }

    fn state(&self) -> &Path {
        &self.state
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A test that fails in the middle leaves the machine as it was, too.
        if let Some((max, buckets)) = self.before {
            for (name, value) in [("nf_conntrack_buckets", buckets), ("nf_conntrack_max", max)] {
                let path = format!("/proc/sys/net/netfilter/{name}");
                let now = std::fs::read_to_string(&path).unwrap_or_default();
                if now.trim() != value.to_string() {
                    let _ = std::fs::write(path, value.to_string());
                }
            }
        }
        let _ = std::fs::remove_dir_all(&self.state);
    }
}
