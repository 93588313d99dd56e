//! `iptables-save` and `ip6tables-save`, of both back ends.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::numbers::{self, Numbers};
use super::{
    Action, Backend, Base, Match, Need, Program, Rule, Side, States, TableFamily, Target, Test,
    cut, flag, icmp, protocol,
};
use crate::ruleset::words::{Word, words};
use crate::ruleset::{Hook, builtin, needs};

/// Longest list of one condition that is followed.
const LIST: usize = 4096;

/// Options that `-p` brings along.
const PORTS: &[&str] = &[
    "--dport",
    "--destination-port",
    "--sport",
    "--source-port",
    "--syn",
    "--tcp-flags",
    "--icmp-type",
    "--icmpv6-type",
];

/// Reads a whole output into `program`. `family` is what was asked for.
pub fn read_save(text: &str, backend: Backend, family: TableFamily, program: &mut Program) {
    let mut at = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('*') {
            at = Some(program.make_table(backend, family, name.trim()));
        } else if let Some(at) = at
            && let Some(table) = program.tables.get_mut(at)
        {
            if let Some(chain) = line.strip_prefix(':') {
                let mut parts = chain.split_whitespace();
                if let (Some(name), Some(policy)) = (parts.next(), parts.next()) {
                    let base = base(&table.name, name, policy);
                    let place = table.make_chain(name);
                    table.chains[place].base = base;
                }
            } else if let Some((chain, rule)) = rule(line, family) {
                let place = table.make_chain(chain);
                table.chains[place].rules.push(rule);
            }
        }
    }
}

/// Priorities are fixed: `enum nf_ip_hook_priorities`.
fn base(table: &str, chain: &str, policy: &str) -> Option<Base> {
    let hook = builtin(chain)?;
    let priority = match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Hook::Prerouting | Hook::Output) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    };
    Some(Base { hook, priority, nat: table == "nat", drops: policy == "DROP" })
}

/// `[0:0] -A INPUT … -j ACCEPT`
fn rule(line: &str, family: TableFamily) -> Option<(&str, Rule)> {
    let line = match line.strip_prefix('[').and_then(|_| line.split_once(']')) {
        Some((_, rest)) => rest.trim_start(),
        None => line,
    };
    let mut all = words(line);
    if !all.next()?.is("-A") {
        return None;
    }
    let chain = all.next()?.text;
    let mut reading = Reading {
        rule: Rule {
            text: cut(line.to_string()),
            matches: Vec::new(),
            action: Action::Next,
            needs: Vec::new(),
            sends: None,
            untracks: false,
            marks: None,
            comment: String::new(),
            handle: None,
        },
        six: family == TableFamily::Ip6,
        module: String::new(),
        implied: String::new(),
        target: String::new(),
        last: String::new(),
        group: Vec::new(),
    };
    let all: Vec<Word<'_>> = all.collect();
    let mut at = 0;
    while at < all.len() {
        at += reading.step(&all[at..]).max(1);
    }
    reading.end_group();
    Some((chain, reading.rule))
}

struct Reading {
    rule: Rule,
    six: bool,
    /// The match whose options are being read.
    module: String,
    /// The match that a protocol brings along.
    implied: String,
    /// The target whose options are being read.
    target: String,
    /// The option of it that was read last.
    last: String,
    /// Words of a match whose options are not told apart.
    group: Vec<String>,
}

impl Reading {
    fn add(&mut self, test: Test, words: String) {
        self.rule.matches.push(Match { test, words: Some(words) });
    }

    /// A match that was read as a whole ends: it is one condition.
    fn end_group(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let test = match self.module.as_str() {
            "comment" => Test::Always,
            "limit" | "hashlimit" | "recent" | "quota" | "statistic" | "rateest" => Test::Rate,
            module => needs::of_match(module).map_or(Test::Unknown, Test::Tracked),
        };
        let words = core::mem::take(&mut self.group).join(" ");
        if test != Test::Always {
            self.add(test, words);
        }
    }

    /// Takes what begins at the first word; how many words it was.
    fn step(&mut self, all: &[Word<'_>]) -> usize {
        let Some(first) = all.first() else { return 0 };
        let before = first.is("!");
        let at = usize::from(before);
        let Some(option) = all.get(at).filter(|w| !w.quoted) else { return 1 };
        // `--dport ! 22` in files of old.
        let inside = all.get(at + 1).is_some_and(|w| w.is("!"));
        let value_at = at + 1 + usize::from(inside);
        let value = all.get(value_at).copied();
        let text = value.map_or("", |w| w.text);
        let not = before != inside;
        let length = value_at + 1;
        // Files written by hand leave `-m tcp` away.
        if self.module.is_empty() && self.target.is_empty() && PORTS.contains(&option.text) {
            self.module.clone_from(&self.implied);
        }
        match option.text {
            "-m" | "--match" => {
                self.end_group();
                self.target.clear();
                self.module = text.to_string();
                if !self.told_apart() {
                    self.group = alloc::vec!["-m".to_string(), show(value)];
                }
                length
            }
            "-j" | "--jump" | "-g" | "--goto" => {
                self.end_group();
                self.module.clear();
                self.target = text.to_string();
                self.target(text, option.text.starts_with("-g") || option.text == "--goto");
                length
            }
            _ if !self.target.is_empty() => {
                if before {
                    self.target_option(*first);
                }
                self.target_option(*option);
                at + 1
            }
            "-p" | "--protocol" | "--proto" => {
                self.header();
                let test = match protocol(text) {
                    _ if text == "all" => Test::Always,
                    Some(0) => Test::Always,
                    Some(n) => Test::Protocol(Arc::new(Numbers::one(n))),
                    None => Test::Unknown,
                };
                self.condition(test, not, "-p", text);
                self.implied = text.to_string();
                length
            }
            "-s" | "--source" | "--src" => {
                self.header();
                self.condition(addresses(Side::Source, text), not, "-s", text);
                length
            }
            "-d" | "--destination" | "--dst" => {
                self.header();
                self.condition(addresses(Side::Destination, text), not, "-d", text);
                length
            }
            "-i" | "--in-interface" => {
                self.header();
                self.condition(interface(Side::Source, text), not, "-i", &show(value));
                length
            }
            "-o" | "--out-interface" => {
                self.header();
                self.condition(interface(Side::Destination, text), not, "-o", &show(value));
                length
            }
            "-f" | "--fragment" => {
                self.end_group();
                self.condition(Test::Unknown, not, "-f", "");
                at + 1
            }
            "-c" | "--set-counters" => length + 1,
            option if self.told_apart() => self.option(option, all, at, not, value_at),
            "--comment" if self.module == "comment" => {
                self.rule.comment = text.to_string();
                length
            }
            _ => {
                if before {
                    self.group.push("!".to_string());
                }
                self.group.push(show(Some(*option)));
                at + 1
            }
        }
    }

    /// A condition on the header comes: the match at hand is over.
    fn header(&mut self) {
        self.end_group();
        self.module.clear();
    }

    /// Whether the options of the match at hand are understood one by one.
    fn told_apart(&self) -> bool {
        matches!(
            self.module.as_str(),
            "tcp"
                | "udp"
                | "sctp"
                | "dccp"
                | "udplite"
                | "multiport"
                | "state"
                | "conntrack"
                | "icmp"
                | "icmp6"
                | "addrtype"
        )
    }

    fn condition(&mut self, test: Test, not: bool, option: &str, value: &str) {
        let bang = if not { "! " } else { "" };
        let blank = if value.is_empty() { "" } else { " " };
        let words = alloc::format!("{bang}{option}{blank}{value}");
        self.add(if not { negated(test) } else { test }, words);
    }

    fn option(
        &mut self,
        option: &str,
        all: &[Word<'_>],
        at: usize,
        not: bool,
        value_at: usize,
    ) -> usize {
        let value = all.get(value_at).copied();
        let text = value.map_or("", |w| w.text);
        let mut length = value_at + 1;
        let module = self.module.clone();
        let mut shown = show(value);
        let test = match (module.as_str(), option) {
            (_, "--sport" | "--source-port" | "--sports" | "--source-ports") => {
                ports(Side::Source, text)
            }
            (_, "--dport" | "--destination-port" | "--dports" | "--destination-ports") => {
                ports(Side::Destination, text)
            }
            ("multiport", "--ports" | "--port") => {
                Test::Any([ports(Side::Source, text), ports(Side::Destination, text)].into())
            }
            ("state", "--state") | ("conntrack", "--ctstate") => states(text),
            ("conntrack", "--ctstatus") => status(text),
            ("conntrack", _) => Test::Tracked(Need::State),
            ("tcp", "--syn") => {
                length = at + 1;
                shown.clear();
                Test::Flags { mask: 0x17, set: 2 }
            }
            ("tcp", "--tcp-flags") => {
                let set = all.get(value_at + 1).map_or("", |w| w.text);
                length += 1;
                shown = alloc::format!("{shown} {set}");
                match (flags(text), flags(set)) {
                    (Some(mask), Some(set)) => Test::Flags { mask, set },
                    _ => Test::Unknown,
                }
            }
            ("icmp" | "icmp6", "--icmp-type" | "--icmpv6-type") => match icmp(text, self.six) {
                _ if text == "any" || text == "255" => Test::Always,
                Some((kind, code)) => Test::Icmp(
                    Arc::new(Numbers::one(kind)),
                    code.map(|code| Arc::new(Numbers::one(code))),
                ),
                None => Test::Unknown,
            },
            ("addrtype", "--dst-type") if text == "LOCAL" => Test::Local(Side::Destination),
            ("addrtype", "--src-type") if text == "LOCAL" => Test::Local(Side::Source),
            // A packet to a port of a host is neither.
            ("addrtype", "--dst-type") if matches!(text, "BROADCAST" | "MULTICAST" | "ANYCAST") => {
                Test::Not(Arc::new(Test::Always))
            }
            ("addrtype", "--limit-iface-in" | "--limit-iface-out") => {
                length = at + 1;
                shown.clear();
                Test::Unknown
            }
            _ => Test::Unknown,
        };
        self.condition(test, not, &alloc::format!("-m {module} {option}"), &shown);
        // The negation stands before the option, not before the match.
        if not && let Some(last) = self.rule.matches.last_mut() {
            let blank = if shown.is_empty() { "" } else { " " };
            last.words = Some(alloc::format!("-m {module} ! {option}{blank}{shown}"));
        }
        length
    }

    fn target(&mut self, name: &str, goto: bool) {
        needs::add(&mut self.rule.needs, needs::of_target(name));
        self.rule.sends = Target::of(name).map(Box::new);
        if matches!(name, "MARK" | "TOS" | "DSCP") {
            self.rule.marks = Some(alloc::format!("-j {name}"));
        }
        self.rule.action = match name {
            _ if goto => Action::Goto(name.to_string()),
            "ACCEPT" => Action::Accept,
            "DROP" | "REJECT" | "TARPIT" => Action::Drop,
            "RETURN" => Action::Return,
            "MASQUERADE" | "SNAT" | "DNAT" | "REDIRECT" | "NETMAP" | "SAME" => Action::Nat,
            "QUEUE" | "NFQUEUE" => Action::Queue,
            // It answers in the server's place, and drops.
            "SYNPROXY" => Action::Drop,
            "NOTRACK" => {
                self.rule.untracks = true;
                Action::Next
            }
            name if is_target(name) => Action::Next,
            chain => Action::Jump(chain.to_string()),
        };
    }

    fn target_option(&mut self, option: Word<'_>) {
        if let Some(marks) = &mut self.rule.marks {
            marks.push(' ');
            marks.push_str(&show(Some(option)));
        }
        let option = option.text;
        let last = core::mem::replace(&mut self.last, option.to_string());
        if let Some(sends) = &mut self.rule.sends {
            sends.option(&last, option);
        }
        if self.target != "CT" {
            return;
        }
        match option {
            "--notrack" => self.rule.untracks = true,
            "--helper" => needs::add(&mut self.rule.needs, Some(Need::Helper)),
            option => needs::add(&mut self.rule.needs, needs::of_ct_option(option)),
        }
    }
}

/// Targets that let the packet go on. What is not here is a chain.
fn is_target(name: &str) -> bool {
    const ON: &[&str] = &[
        "LOG",
        "NFLOG",
        "ULOG",
        "MARK",
        "CONNMARK",
        "CONNSECMARK",
        "SECMARK",
        "CT",
        "CLASSIFY",
        "DSCP",
        "TOS",
        "TTL",
        "HL",
        "TCPMSS",
        "TCPOPTSTRIP",
        "TRACE",
        "TEE",
        "AUDIT",
        "CHECKSUM",
        "SET",
        "RATEEST",
        "IDLETIMER",
        "LED",
        "TPROXY",
        "ECN",
        "HMARK",
        "FLOWOFFLOAD",
        "CLUSTERIP",
        "DNPT",
        "SNPT",
        "ACCOUNT",
    ];
    ON.contains(&name)
}

fn negated(test: Test) -> Test {
    match test {
        // Whatever it asks, not to know it stays so.
        Test::Unknown => Test::Unknown,
        test => Test::Not(Arc::new(test)),
    }
}

/// A word as it stands in a line.
fn show(word: Option<Word<'_>>) -> String {
    word.map_or_else(String::new, |word| {
        if word.quoted { alloc::format!("\"{}\"", word.text) } else { word.text.to_string() }
    })
}

/// A plus at the end stands for whatever follows.
fn interface(side: Side, name: &str) -> Test {
    let pattern = match name.strip_suffix('+') {
        Some(start) => alloc::format!("{start}*"),
        None => name.to_string(),
    };
    Test::Interface(side, Arc::new([pattern]))
}

fn addresses(side: Side, list: &str) -> Test {
    let ranges: Option<Vec<_>> = list.split(',').take(LIST).map(numbers::prefix).collect();
    ranges.map_or(Test::Unknown, |r| Test::Address(side, Arc::new(Numbers::new(r))))
}

fn ports(side: Side, list: &str) -> Test {
    let ranges: Option<Vec<_>> = list.split(',').take(LIST).map(numbers::ports).collect();
    ranges.map_or(Test::Unknown, |r| Test::Port(side, Arc::new(Numbers::new(r))))
}

fn flags(list: &str) -> Option<u8> {
    list.split(',').try_fold(0, |set, word| Some(set | flag(word)?))
}

fn states(list: &str) -> Test {
    let all = list.split(',').try_fold(States(0), |all, w| Some(all.or(States::named(w)?)));
    all.map_or(Test::Tracked(Need::State), Test::State)
}

/// `--ctstatus DNAT`; the other bits only a tracked packet has.
fn status(list: &str) -> Test {
    match list {
        "DNAT" => Test::State(States::DNAT),
        "SNAT" => Test::State(States::SNAT),
        _ => Test::Tracked(Need::State),
    }
}
