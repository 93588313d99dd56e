//! Hosts in code: an ordinary idle one of a release, and what happens to it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use plimsoll_ct::{
    Bytes, Class, Counter, Counters, CpuCounters, Entries, Family, KernelVersion, Nanos, Profile,
    Protocol, Seconds, State, Status, TcpState, Time, TimeRange,
};
use plimsoll_diagnosis::boot::{Entry, FileChange, Tree};
use plimsoll_diagnosis::facts::{
    AgeBand, BootFiles, Census, Churn, Fact, Host, LogDigest, LogSource, Namespace, Neighbours,
    Origin, Owner, Prefix, Reader, Reason, Seen, SeenIn, Service, SlabSize, Snapshot, SocketMemory,
    Source, Stack, StateKey, Tally, Top, Tracking, Ways,
};
use plimsoll_diagnosis::{Diagnosis, Remedy, RemedyId, Said, Severity};

use crate::spoken::diagnose;
use plimsoll_wire::filter::{Program, read_json, read_save};
use plimsoll_wire::iptables_config::IptablesConfig;
use plimsoll_wire::modules::Module;
use plimsoll_wire::ruleset::{Backend, BaseChain, Hook, Need, Rule, Ruleset, TableFamily, Verdict};
use plimsoll_wire::sysctl::Assignment;

/// Monday 2026-11-23, 03:12:07 UTC.
pub const NOW: i64 = 1_795_403_527;

/// A known fact.
pub fn known<T>(value: T) -> Fact<T> {
    Fact::known(value, Source::name("staged"))
}

/// A missing one.
pub fn missing<T>(reason: Reason) -> Fact<T> {
    Fact::missing(reason, Said::name("staged"))
}

/// An ordinary idle host: a stateful firewall, limit at its default, a few entries, nothing in the log.
pub fn host(release: &str, gib: u64) -> Snapshot {
    let version = KernelVersion::parse(release).expect("a release");
    let profile = *Profile::of(&version);
    let memory = Bytes(gib << 30);
    let (buckets, max) = profile.defaults(memory);
    let object = profile.entry_size;
    let module = if version.rank() < (2, 20) { "ip_conntrack" } else { "nf_conntrack" };
    Snapshot {
        at: Time::from_secs(NOW),
        monotonic: Some(Nanos(1_000_000_000_000)),
        host: Host {
            name: known("web1".into()),
            origin: Origin::Live,
            generation: known(version.clone()),
            kernel: known(version),
            profile,
            distribution: missing(Reason::NotCollected),
            uptime: known(Seconds(1_000_000)),
            memory_total: known(memory),
            memory_available: known(Bytes(memory.0 / 2)),
            cpus: known(2),
            modular: known(true),
            modules: known(vec![loaded(module, &["xt_state"]), loaded("xt_state", &[])]),
            slab: known(SlabSize {
                object,
                per_slab: (4096 / object.0) as u32,
                pages: 1,
                in_use: Some(150),
            }),
            global_max: known(max),
            buckets: known(buckets),
            privileged: true,
        },
        namespaces: vec![namespace(&profile, Owner::Initial, Some(4_026_531_840), max)],
        namespaces_complete: known(()),
        whole: known(()),
        log: known(LogDigest {
            sources: vec![LogSource {
                name: "/dev/kmsg".into(),
                lines: 900,
                from: None,
                to: None,
                cut: None,
            }],
            ..LogDigest::default()
        }),
        boot: BootFiles {
            iptables_config: missing(Reason::NotCollected),
            managers: known(vec![]),
            // /etc/sysctl.conf is linked, as on most hosts.
            tree: known({
                let mut tree = Tree::default();
                tree.put_text("/etc/sysctl.conf", "");
                tree.put(LINK, Entry::Link("../sysctl.conf".into()));
                tree
            }),
            hz: missing(Reason::NotCollected),
            module: missing(Reason::NotCollected),
        },
        cloud: Fact::missing(Reason::NotBuilt, Said::name("no ENA interface")),
    }
}

/// A namespace as on an idle host.
pub fn namespace(profile: &Profile, owner: Owner, inode: Option<u64>, max: u64) -> Namespace {
    let mut settings = BTreeMap::new();
    let modern = profile.name != "2.6.18";
    for setting in plimsoll_ct::SETTINGS {
        if let Some(default) = setting.default
            && setting.until.is_none()
            && (modern || setting.old_name.is_some())
        {
            let name = if modern { setting.name } else { setting.old_name.unwrap_or(setting.name) };
            settings.insert(name.into(), default.to_string());
        }
    }
    let idle = census(&[(tcp(TcpState::Established), 100), (udp(false), 20), (udp(true), 30)]);
    let addresses = |entries| Neighbours {
        family: Family::V4,
        entries: Some(entries),
        table_fulls: Some(0),
        limit: Some(1024),
    };
    let stack = [
        "TcpExt.ListenOverflows",
        "TcpExt.ListenDrops",
        "TcpExt.TCPReqQFullDoCookies",
        "TcpExt.TCPReqQFullDrop",
        "TcpExt.TCPAbortOnMemory",
        "TcpExt.TCPMemoryPressures",
    ];
    Namespace {
        inode,
        owners: vec![owner],
        count: known(Entries(150)),
        max: known(Entries(max)),
        expectations: known(Entries(0)),
        expect_max: known(Entries(1024)),
        settings,
        counters: known(counters(&[])),
        tracking: known(Tracking::On { because: Said::name("rule -m state in INPUT") }),
        rules: known(stateful()),
        rules_whole: known(()),
        ways: ways(STATEFUL, &[]),
        census: known(idle),
        stack: known(Stack { counters: stack.iter().map(|n| ((*n).into(), 0)).collect() }),
        neighbours: known(vec![addresses(12)]),
        sockets: known(SocketMemory {
            tcp_pages: Some(200),
            tcp_pages_limit: Some(190_000),
            orphans: Some(0),
            orphans_limit: Some(65_536),
        }),
    }
}

/// A loaded module.
pub fn loaded(name: &str, used_by: &[&str]) -> Module {
    let used_by = used_by.iter().map(|s| (*s).into()).collect();
    Module { name: name.into(), size: 1, references: Some(0), used_by }
}

/// A firewall that needs state: the ordinary case.
pub fn stateful() -> Ruleset {
    let mut rules = stateless();
    rules
        .rules
        .insert(0, rule("-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT", &[Need::State]));
    rules
}

/// The same, every condition of it.
pub const STATEFUL: &str = "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT";

/// The ways of a host with these rules in its table `filter`, which drops what comes in or goes out otherwise, for both
/// families; somebody listens on these TCP ports and on SSH's.
pub fn ways(rules: &str, listening: &[u16]) -> Ways {
    let text = format!("*filter\n:INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n");
    let mut program = Program::default();
    for family in [TableFamily::Ip, TableFamily::Ip6] {
        read_save(&text, Backend::Legacy, family, &mut program);
    }
    of_program(program, listening)
}

/// The same of nft's table `inet filter` with the chain `input`, by the JSON of its rules' expressions.
pub fn ways_of_nft(rules: &[&str], listening: &[u16]) -> Ways {
    let mut json = r#"{"nftables":[{"table":{"family":"inet","name":"filter"}},{"chain":{"family":"inet","table":"filter","name":"input","type":"filter","hook":"input","prio":0,"policy":"drop"}}"#.to_string();
    for (number, expr) in rules.iter().enumerate() {
        json += &format!(
            r#",{{"rule":{{"family":"inet","table":"filter","chain":"input","handle":{},"expr":[{expr}]}}}}"#,
            number + 2
        );
    }
    let mut program = Program::default();
    read_json(format!("{json}]}}").as_bytes(), &mut program).expect("JSON");
    of_program(program, listening)
}

fn of_program(program: Program, listening: &[u16]) -> Ways {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Ways {
        unread: Vec::new(),
        program: known(program),
        own: known(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10))]),
        mtu: known(1500),
        listening: known(listening.iter().chain(&[22]).map(|port| (6, any, *port)).collect()),
        own_ports: known((32_768, 60_999)),
        doors: vec![22],
        session: None,
    }
}

/// A firewall that needs none; both back ends were read.
pub fn stateless() -> Ruleset {
    Ruleset {
        chains: vec![BaseChain {
            backend: Backend::Legacy,
            family: TableFamily::Ip,
            table: "filter".into(),
            chain: "INPUT".into(),
            hook: Hook::Input,
            priority: Some(0),
            policy: Verdict::Drop,
            packets: Some(0),
        }],
        rules: vec![rule("-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT", &[])],
        read: vec![
            (Backend::Legacy, TableFamily::Ip),
            (Backend::Legacy, TableFamily::Ip6),
            (Backend::Nft, TableFamily::Inet),
        ],
        ..Ruleset::default()
    }
}

/// A stateful firewall in nft.
pub fn nft() -> Ruleset {
    let mut rules = stateful();
    for chain in &mut rules.chains {
        (chain.backend, chain.family, chain.chain) =
            (Backend::Nft, TableFamily::Inet, "input".into());
    }
    rules.rules.clear();
    let mut rule = rule("ct state established,related accept", &[Need::State]);
    (rule.backend, rule.family, rule.chain) = (Backend::Nft, TableFamily::Inet, "input".into());
    rules.rules.push(rule);
    rules
}

/// A rule of iptables.
pub fn rule(text: &str, needs: &[Need]) -> Rule {
    Rule {
        backend: Backend::Legacy,
        family: TableFamily::Ip,
        table: if needs.contains(&Need::Nat) { "nat" } else { "filter" }.into(),
        chain: "INPUT".into(),
        hook: Some(Hook::Input),
        text: text.into(),
        needs: needs.to_vec(),
        verdict: Verdict::Accept,
        packets: Some(10),
        ports: vec![],
    }
}

/// Statistics of two CPUs: the values on the first, zeros on the second, all else zero.
pub fn counters(values: &[(Counter, u64)]) -> CpuCounters {
    let mut first = Counters::new();
    for &counter in Counter::ALL {
        first.set(counter, 0);
    }
    let second = first;
    for &(counter, value) in values {
        first.set(counter, value);
    }
    CpuCounters { rows: vec![first, second] }
}

/// An ASSURED TCP entry in a state.
pub fn tcp(state: TcpState) -> StateKey {
    StateKey { protocol: Protocol::Tcp, state: State::Tcp(state), assured: true, replied: true }
}

/// A TCP handshake that nobody answered.
pub fn syn() -> StateKey {
    let state = State::Tcp(TcpState::SynSent);
    StateKey { protocol: Protocol::Tcp, state, assured: false, replied: false }
}

/// UDP: answered and ASSURED, or unanswered.
pub fn udp(replied: bool) -> StateKey {
    let state = State::Stateless;
    StateKey { protocol: Protocol::Udp, state, assured: replied, replied }
}

/// Unanswered ICMP.
pub fn icmp() -> StateKey {
    let state = State::Stateless;
    StateKey { protocol: Protocol::Icmp, state, assured: false, replied: false }
}

/// So many entries of a kind.
pub fn tally(key: StateKey, n: u64) -> Tally {
    let mut status = Status::empty();
    if key.assured {
        status |= Status::ASSURED;
    }
    let mut tally = Tally::default();
    match Class::of(status, key.state) {
        Class::Evictable => tally.evictable = n,
        Class::Closing => tally.closing = n,
        Class::Protected => tally.protected = n,
    }
    tally.unreplied = if key.replied { 0 } else { n };
    tally
}

/// A complete census of entries to port 443 (UDP: 53) from many sources.
pub fn census(states: &[(StateKey, u64)]) -> Census {
    let mut total = Tally::default();
    let mut services: BTreeMap<Service, Tally> = BTreeMap::new();
    let mut rows = Vec::new();
    for &(key, n) in states {
        let t = tally(key, n);
        for sum in [&mut total, services.entry(port_of(key)).or_default()] {
            sum.evictable += t.evictable;
            sum.closing += t.closing;
            sum.protected += t.protected;
            sum.unreplied += t.unreplied;
        }
        rows.push((key, t));
    }
    let mut services: Vec<_> = services.into_iter().collect();
    services.sort_by_key(|(_, t)| std::cmp::Reverse(t.total()));
    let spread = spread(total);
    Census {
        reader: Reader::Ctnetlink,
        seen: total.total(),
        complete: true,
        kernel_time: None,
        total,
        states: rows,
        services: Top { rows: services, error: 0 },
        sources: spread,
        source_networks: Top::default(),
        destinations: Top::default(),
        destination_networks: Top::default(),
        established_idle: vec![],
        idle_services: Top::default(),
        nat: 0,
        churn: None,
        malformed: 0,
    }
}

fn port_of(key: StateKey) -> Service {
    let port = match key.protocol {
        Protocol::Tcp => 443,
        Protocol::Udp => 53,
        _ => 0,
    };
    Service { protocol: key.protocol, port }
}

/// The same entries spread evenly over twenty sources.
fn spread(total: Tally) -> Top<Prefix> {
    let rows = (1..=20)
        .map(|i| {
            let t = Tally {
                evictable: total.evictable / 20,
                closing: total.closing / 20,
                protected: total.protected / 20,
                unreplied: total.unreplied / 20,
            };
            (address(i), t)
        })
        .collect();
    Top { rows, error: 0 }
}

/// 198.51.100.N
pub fn address(n: u8) -> Prefix {
    Prefix { address: IpAddr::V4(Ipv4Addr::new(198, 51, 100, n)), length: 32 }
}

/// All entries of a census from one source.
pub fn from_one(mut census: Census) -> Census {
    census.sources = Top { rows: vec![(address(7), census.total)], error: 0 };
    census
}

/// Makes ESTABLISHED entries idle: so many for an hour to a day, so many for longer.
pub fn idle(mut census: Census, hours: u64, days: u64) -> Census {
    census.established_idle = vec![(AgeBand::Day, hours), (AgeBand::Older, days)];
    let all = Tally { protected: hours + days, ..Tally::default() };
    let service = Service { protocol: Protocol::Tcp, port: 443 };
    census.idle_services = Top { rows: vec![(service, all)], error: 0 };
    census
}

/// Churn within a census, over one second.
pub fn churn(mut census: Census, appeared: u64, vanished: u64) -> Census {
    census.churn = Some(Churn {
        interval: Nanos(1_000_000_000),
        compared: census.seen,
        appeared,
        appeared_tcp: appeared,
        appeared_udp: 0,
        vanished,
    });
    census
}

/// Fills the table of a namespace with a census; the count is what it holds.
pub fn fill(namespace: &mut Namespace, census: Census) {
    namespace.count = known(Entries(census.seen));
    namespace.census = known(census);
}

/// Log lines "table full": how many, and how many seconds ago the first and last.
pub fn lines(snapshot: &mut Snapshot, n: u64, first: i64, last: i64, netns: Option<u64>) {
    log(snapshot).table_full = Some(seen(n, first, last, netns));
}

/// What the log of a staged host says.
pub fn log(snapshot: &mut Snapshot) -> &mut LogDigest {
    let Fact::Known { value: log, .. } = &mut snapshot.log else { panic!("the log is there") };
    log
}

/// Lines of this boot that name one namespace or none, the first and the last so many seconds ago.
pub fn seen(n: u64, first: i64, last: i64, inode: Option<u64>) -> Seen {
    both(&[row(n, first, last, inode)])
}

/// Such lines as one of the rows that make up the lines of a kind.
pub fn row(n: u64, first: i64, last: i64, inode: Option<u64>) -> SeenIn {
    let at = |ago: i64| Some(TimeRange::exact(Time::from_secs(NOW - ago)));
    SeenIn {
        inode,
        earlier_boot: false,
        first: at(first),
        last: at(last),
        since: at(first),
        lines: n,
        packets_at_least: n,
        example: match inode {
            Some(inode) => format!("nf_conntrack: table full in netns {inode}, dropping packet"),
            None => "nf_conntrack: table full, dropping packet".into(),
        },
    }
}

/// Rows together.
pub fn both(rows: &[SeenIn]) -> Seen {
    Seen {
        first: rows.iter().filter_map(|r| r.first).min_by_key(|t| t.earliest),
        last: rows.iter().filter_map(|r| r.last).max_by_key(|t| t.latest),
        lines: rows.iter().map(|r| r.lines).sum(),
        packets_at_least: rows.iter().map(|r| r.packets_at_least).sum(),
        namespaces: rows.to_vec(),
        example: rows[0].example.clone(),
    }
}

/// Only some namespaces were asked for.
pub fn choose(snapshot: &mut Snapshot, wanted: impl Fn(&Namespace) -> bool) {
    snapshot.namespaces.retain(wanted);
    snapshot.namespaces_complete =
        Fact::missing(Reason::NotAsked, Said::name("only the chosen namespaces were read"));
}

/// The same host one second earlier, with other counters and counts.
pub fn earlier(after: &Snapshot, change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let mut before = after.clone();
    before.at = Time::from_secs(NOW - 1);
    before.monotonic = after.monotonic.map(|m| Nanos(m.0 - 1_000_000_000));
    before.host.uptime = known(Seconds(999_999));
    change(&mut before);
    before
}

/// A saved host: no second reading, no monotonic clock.
pub fn saved(mut snapshot: Snapshot) -> Snapshot {
    snapshot.monotonic = None;
    snapshot.host.origin = Origin::Tree;
    snapshot
}

/// An assignment in a sysctl file.
pub fn assigns(file: &str, line: u32, key: &str, value: &str) -> Assignment {
    Assignment { file: file.into(), line, key: key.into(), value: value.into(), may_fail: false }
}

const LINK: &str = "/etc/sysctl.d/99-sysctl.conf";

fn tree(after: &mut Snapshot) -> &mut Tree {
    match &mut after.boot.tree {
        Fact::Known { value, .. } => value,
        Fact::Missing(gap) => panic!("{gap:?}"),
    }
}

/// Puts lines at their places in the files that take part in booting.
pub fn put(after: &mut Snapshot, file: &str, line: u32, text: &str) {
    let tree = tree(after);
    let mut lines: Vec<&str> = tree.text(file).unwrap_or_default().split('\n').collect();
    lines.resize(lines.len().max(line as usize), "");
    lines[line as usize - 1] = text;
    let all = lines.join("\n");
    tree.put_text(file, all);
}

/// The files then set this, and nothing else.
pub fn sets(after: &mut Snapshot, assignments: &[Assignment]) {
    let tree = tree(after);
    let others: Vec<String> =
        tree.files_below("/etc/sysctl.d").into_iter().map(Into::into).collect();
    let others = others.into_iter().filter(|path| path != LINK);
    let emptied = |path| FileChange { path, text: Some(String::new()) };
    *tree = tree.with(&others.chain(["/etc/sysctl.conf".into()]).map(emptied).collect::<Vec<_>>());
    for a in assignments {
        let text = match a.file.ends_with("rc.local") {
            true => format!("sysctl -w {}={}", a.key, a.value),
            false => format!("{} = {}", a.key, a.value),
        };
        put(after, &a.file, a.line, &text);
    }
}

/// The files set this in /etc/sysctl.conf, which nothing links to.
pub fn sets_unread(after: &mut Snapshot, line: u32, key: &str, value: &str) {
    let without = FileChange { path: LINK.into(), text: None };
    *tree(after) = tree(after).with(&[without]);
    put(after, "/etc/sysctl.conf", line, &format!("{key} = {value}"));
}

/// An option of the module, in a file of its own.
pub fn option(after: &mut Snapshot, name: &str, value: &str) {
    put(after, "/etc/modprobe.d/ct.conf", 1, &format!("options nf_conntrack {name}={value}"));
}

/// The module is loaded before the settings are applied.
pub fn early(after: &mut Snapshot) {
    put(after, "/etc/modules-load.d/ct.conf", 1, "nf_conntrack");
}

/// RHEL's firewall is configured so.
pub fn service(after: &mut Snapshot, config: IptablesConfig) {
    const FILE: &str = "/etc/sysconfig/iptables-config";
    put(after, FILE, 1, &format!("IPTABLES_MODULES=\"{}\"", config.modules.join(" ")));
    let unload = if config.unload == Some(false) { "no" } else { "yes" };
    put(after, FILE, 2, &format!("IPTABLES_MODULES_UNLOAD=\"{unload}\""));
    let list = config.sysctl_load_list.join(" ");
    put(after, FILE, 3, &format!("IPTABLES_SYSCTL_LOAD_LIST=\"{list}\""));
    let rule = "-A INPUT -m state --state ESTABLISHED -j ACCEPT";
    put(after, "/etc/sysconfig/iptables", 1, rule);
    after.boot.iptables_config = known(config);
}

/// What is judged, over one second in which the counters rose by `rises` on the initial namespace.
pub fn judge(after: &Snapshot, rises: &[(Counter, u64)]) -> Diagnosis {
    let before = earlier(after, |_| {});
    let mut after = after.clone();
    if let Fact::Known { value, .. } = &mut after.namespaces[0].counters {
        for &(counter, by) in rises {
            value.rows[0].add(counter, by);
        }
    }
    diagnose(Some(&before), &after)
}

/// Ids of the findings that ask for action, in their order.
pub fn acts(d: &Diagnosis) -> Vec<&'static str> {
    d.findings.iter().filter(|f| f.severity > Severity::Info).map(|f| f.id).collect()
}

/// Ids of all findings, in their order.
pub fn ids(d: &Diagnosis) -> Vec<&'static str> {
    d.findings.iter().map(|f| f.id).collect()
}

/// Ids of the remedies, in their order.
pub fn remedies(d: &Diagnosis) -> Vec<&'static str> {
    d.remedies.iter().map(|r| r.id.name()).collect()
}

/// A remedy.
pub fn remedy(d: &Diagnosis, id: RemedyId) -> &Remedy {
    d.remedies.iter().find(|r| r.id == id).unwrap_or_else(|| panic!("no {}: {d:#?}", id.name()))
}

/// Asserts that a remedy holds a command.
pub fn says(d: &Diagnosis, id: RemedyId, command: &str) {
    let r = remedy(d, id);
    assert!(r.commands.iter().any(|c| c == command), "{command:?} is not in {:#?}", r.commands);
}

/// The summary of a finding.
pub fn summary<'a>(d: &'a Diagnosis, id: &str) -> &'a str {
    &d.findings.iter().find(|f| f.id == id).unwrap_or_else(|| panic!("no {id}")).summary
}
