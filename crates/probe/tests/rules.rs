//! Reading rules in real network namespaces: what is read is what the kernel does, and nothing changes by it.
//!
//! Needs root, iproute2, nftables, iptables; without root each test says that it is skipped.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::net::UdpSocket;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use plimsoll_ct::{Entries, Profile};
use plimsoll_diagnosis::Said;
use plimsoll_diagnosis::facts::{Fact, Reason, Source, Tracking};
use plimsoll_probe::files::Files;
use plimsoll_probe::rules::{Reader, Signs, of_files, tracking};
use plimsoll_wire::ruleset::{Backend, Need, Ruleset, Verdict};
use support::{Netns, Tree, root};

/// A namespace, where one can be made.
fn netns() -> Option<Netns> {
    root().then(|| Netns::new("rules"))
}

impl Netns {
    fn rules(&self) -> Fact<Ruleset> {
        let reader = Reader::new(&Files::live());
        self.enter(|| reader.here().0)
    }

    /// Whether the kernel tracks: one datagram over the loopback, count looked at.
    fn tracks(&self) -> bool {
        self.enter(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            // Nobody listens, or a rule drops it: both are fine.
            let _ = socket.send_to(b"x", "127.0.0.1:4");
        });
        self.run("cat", &["/proc/sys/net/netfilter/nf_conntrack_count"]).trim() != "0"
    }

    /// Everything that a careless look would change.
    fn state(&self) -> Vec<String> {
        [
            ("cat", &["/proc/net/ip_tables_names"][..]),
            ("cat", &["/proc/net/ip6_tables_names"]),
            ("nft", &["list", "ruleset"]),
            ("cat", &["/proc/sys/net/netfilter/nf_conntrack_count"]),
            ("cat", &["/proc/net/netfilter/nf_log"]),
        ]
        .map(|(program, arguments)| self.run(program, arguments))
        .into()
    }
}

fn judged(rules: &Fact<Ruleset>) -> Fact<Tracking> {
    tracking(&Signs {
        profile: Profile::named("6.18").unwrap(),
        modules: &Fact::missing(Reason::NotAsked, Said::name("")),
        directives: &[],
        rules,
        count: &Fact::known(Entries(0), Source::name("before the datagram")),
    })
}

#[test]
fn a_fresh_namespace_is_known_to_be_empty_and_stays_untouched() {
    let Some(ns) = netns() else { return };
    let before = ns.state();
    let rules = ns.rules();
    assert_eq!(ns.state(), before);
    let found = rules.value().unwrap();
    assert!(found.complete() && found.rules.is_empty() && found.chains.is_empty());
    assert!(matches!(judged(&rules).value(), Some(Tracking::Off { .. })));
    assert!(!ns.tracks(), "looking must not start tracking");
}

#[test]
fn asking_for_an_absent_table_makes_it_which_is_what_we_avoid() {
    let Some(ns) = netns() else { return };
    ns.run("iptables-legacy-save", &["-t", "nat"]);
    assert_eq!(ns.run("cat", &["/proc/net/ip_tables_names"]).trim(), "nat");
    // What is there now is read, and nothing beside it appears.
    let rules = ns.rules();
    assert_eq!(ns.run("cat", &["/proc/net/ip_tables_names"]).trim(), "nat");
    assert!(rules.value().unwrap().chains.iter().all(|c| c.table == "nat"));
    assert!(!ns.tracks(), "an empty nat table does not track");
}

#[test]
fn both_back_ends_are_read_side_by_side_and_left_as_they_are() {
    let Some(ns) = netns() else { return };
    ns.run(
        "iptables-legacy",
        &[
            "-A", "INPUT", "-p", "tcp", "--dport", "22", "-m", "state", "--state", "NEW", "-j",
            "ACCEPT",
        ],
    );
    ns.run("ip6tables-legacy", &["-P", "FORWARD", "DROP"]);
    ns.run(
        "iptables-nft",
        &["-t", "nat", "-A", "POSTROUTING", "-s", "10.0.0.0/8", "-j", "MASQUERADE"],
    );
    ns.run("nft", &["add", "table", "inet", "f"]);
    ns.run(
        "nft",
        &["add", "chain", "inet", "f", "raw", "{ type filter hook prerouting priority raw; }"],
    );
    ns.run("nft", &["add", "rule", "inet", "f", "raw", "udp dport 53 counter notrack"]);
    let before = ns.state();
    let fact = ns.rules();
    assert_eq!(ns.state(), before);
    assert_eq!(
        fact.source().unwrap().to_string(),
        "iptables-legacy-save -c, ip6tables-legacy-save -c, nft list ruleset"
    );
    let rules = fact.value().unwrap();
    assert!(rules.complete(), "{:?}", rules.unread);
    let about: Vec<_> = rules
        .rules
        .iter()
        .map(|r| (r.backend, r.text.as_str(), r.needs.as_slice(), r.verdict))
        .collect();
    assert_eq!(
        about,
        [
            (
                Backend::Legacy,
                "-A INPUT -p tcp -m tcp --dport 22 -m state --state NEW -j ACCEPT",
                &[Need::State][..],
                Verdict::Accept
            ),
            (
                Backend::IptablesNft,
                "ip saddr 10.0.0.0/8 counter masquerade",
                &[Need::Nat],
                Verdict::Other
            ),
            (Backend::Nft, "udp dport 53 counter notrack", &[], Verdict::Untrack),
        ]
    );
    assert!(rules.chains.iter().any(|c| c.policy == Verdict::Drop && c.chain == "FORWARD"));
}

/// Adds one construct, judges by the rules alone, and asks the kernel.
fn agrees(setup: impl FnOnce(&Netns) -> Output, name: &str, built: &mut u32) {
    let Some(ns) = netns() else { return };
    let output = setup(&ns);
    if !output.status.success() {
        eprintln!("not in this kernel: {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        return;
    }
    *built += 1;
    let judged = judged(&ns.rules());
    let says = matches!(judged.value(), Some(Tracking::On { .. }));
    assert!(judged.value().is_some(), "{name}: {judged:?}");
    assert_eq!(says, ns.tracks(), "{name}: {judged:?}");
}

/// None of them may meet the datagram: a packet that a rule drops leaves no entry, tracked or not.
const IPTABLES: &[&str] = &[
    "-A INPUT -m state --state NEW",
    "-A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT",
    "-A INPUT -p tcp -m connlimit --connlimit-above 10 -j REJECT",
    "-A INPUT -m connmark --mark 1",
    "-A INPUT -m connbytes --connbytes 1:2 --connbytes-dir both --connbytes-mode packets",
    "-A INPUT -m connlabel --label 3",
    "-A INPUT -m helper --helper ftp",
    "-A INPUT -m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 5",
    "-A INPUT -m socket",
    "-A INPUT -m mark --mark 1 -j LOG --log-prefix ct-state",
    "-A INPUT -m limit --limit 5/s -m recent --set",
    "-A INPUT -j REJECT",
    "-A INPUT -p tcp -j SYNPROXY",
    "-t nat -A POSTROUTING -o eth9 -j MASQUERADE",
    "-t nat -A POSTROUTING -o eth9 -j SNAT --to-source 192.0.2.1",
    "-t nat -A PREROUTING -p tcp --dport 81 -j DNAT --to-destination 192.0.2.7:80",
    "-t nat -A PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 8080",
    "-t nat -A PREROUTING -d 198.51.100.0/24 -j NETMAP --to 192.0.2.0/24",
    "-t nat -A PREROUTING -j RETURN",
    "-t mangle -A PREROUTING -j CONNMARK --restore-mark",
    "-t mangle -A PREROUTING -j CONNSECMARK --restore",
    "-t mangle -A PREROUTING -p tcp -j TPROXY --on-port 3129",
    "-t raw -A PREROUTING -p tcp -j CT --notrack",
    "-t raw -A PREROUTING -p tcp -j NOTRACK",
    "-t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp",
    "-t raw -A PREROUTING -p tcp -j CT --zone 5",
];

#[test]
fn what_we_say_of_each_construct_of_iptables_is_what_the_kernel_does() {
    let mut built = 0;
    for rule in IPTABLES {
        for tool in ["iptables-legacy", "iptables-nft"] {
            let words: Vec<&str> = rule.split(' ').collect();
            agrees(|ns| ns.try_run(tool, &words), &format!("{tool} {rule}"), &mut built);
        }
    }
    assert!(built == 0 || built > 30, "only {built} could be added");
}

const NFT: &[&str] = &[
    "chain c { ct state new; }",
    "chain c { ct state untracked accept; }",
    "chain c { ct original ip saddr 192.0.2.1; }",
    "chain c { ct mark 1; }",
    "chain c { meta mark set ct mark; }",
    "chain c { ct mark set 1; }",
    "chain c { ct label 3; }",
    "chain c { ct bytes > 1; }",
    "chain c { ct count over 20 reject; }",
    "chain c { ct status dnat; }",
    "chain c { ct helper \"ftp\"; }",
    "chain c { ct zone set 1; }",
    "chain c { ct event set new; }",
    "chain c { tcp dport 80 synproxy mss 1460 wscale 7; }",
    "chain c { notrack; }",
    "chain c { log prefix \"ct state new\" drop; }",
    "chain c { meta l4proto tcp socket transparent 1; }",
    "chain c { fib saddr type local accept; }",
    "chain c { type nat hook postrouting priority srcnat; oifname eth9 masquerade; }",
    "chain c { type nat hook postrouting priority srcnat; ip saddr 192.0.2.1 snat ip to 192.0.2.2; }",
    "chain c { type nat hook prerouting priority dstnat; tcp dport 1 dnat ip to 192.0.2.2; }",
    "chain c { type nat hook prerouting priority dstnat; tcp dport 1 redirect to :2; }",
    "chain c { type nat hook prerouting priority dstnat; accept; }",
    "chain c { type nat hook prerouting priority dstnat; }",
    "ct helper h { type \"ftp\" protocol tcp; }",
    "ct timeout h { protocol tcp; policy = { established : 100 }; }",
    "ct expectation h { protocol udp; dport 99; timeout 2m; size 12; l3proto ip; }",
    "synproxy h { mss 1460; wscale 7; timestamp sack-perm; }",
    "set s { type ipv4_addr; size 100; flags dynamic; ct count over 5; }",
    "set s { typeof ct mark; }",
    "counter seen { }",
];

#[test]
fn what_we_say_of_each_construct_of_nft_is_what_the_kernel_does() {
    let mut built = 0;
    for body in NFT {
        // nft wants a line end before the brace that closes a block.
        let body_lines = body.strip_suffix('}').map(|b| b.replace("; ", "\n")).unwrap_or_default();
        let script = format!("table inet f {{\n {body_lines}\n }}\n}}\n");
        let path = std::env::temp_dir().join(format!("config-{}.nft", std::process::id()));
        fs::write(&path, script).unwrap();
        agrees(|ns| ns.try_run("nft", &["-f", path.to_str().unwrap()]), body, &mut built);
        fs::remove_file(path).unwrap();
    }
    assert!(built == 0 || built > 20, "only {built} could be added");
}

#[test]
fn ten_thousand_rules_are_read_within_the_time() {
    let Some(ns) = netns() else { return };
    let mut script = String::from("*filter\n:INPUT ACCEPT [0:0]\n");
    for i in 0..10_000 {
        script.push_str(&format!(
            "-A INPUT -s 10.{}.{}.1/32 -p tcp --dport 80 -j DROP\n",
            i / 256,
            i % 256
        ));
    }
    script.push_str("-A INPUT -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n");
    let path = std::env::temp_dir().join(format!("config-many-{}", std::process::id()));
    fs::write(&path, script).unwrap();
    ns.run("iptables-nft-restore", &[path.to_str().unwrap()]);
    ns.run("iptables-legacy-restore", &[path.to_str().unwrap()]);
    fs::remove_file(path).unwrap();
    let start = std::time::Instant::now();
    let fact = ns.rules();
    eprintln!("20,002 rules in {:?}", start.elapsed());
    let rules = fact.value().unwrap();
    assert!(rules.unread.is_empty(), "{:?}", rules.unread);
    assert_eq!(rules.rules.len() as u64 + rules.left_out, 20_002);
    assert_eq!(rules.needing().count(), 1 + usize::from(rules.left_out == 0));
}

impl Tree {
    fn rules(&self, namespace: Option<&str>) -> Fact<Ruleset> {
        of_files(&Files::Directory(self.0.clone()), namespace)
    }
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../fixtures/rules/", $name))
    };
}

#[test]
fn a_sosreport_of_a_legacy_host_holds_listings_and_each_table_counts_once() {
    let saved = Tree::new(&[
        ("/sos_commands/networking/iptables_-vnxL", fixture!("iptables_-vnxL")),
        ("/sos_commands/networking/iptables_-t_filter_-nvL", fixture!("iptables_-t_filter_-nvL")),
        ("/sos_commands/networking/iptables_-t_nat_-nvL", fixture!("iptables_-t_nat_-nvL")),
        ("/sos_commands/networking/iptables_-t_raw_-nvL", fixture!("iptables_-t_raw_-nvL")),
        ("/sos_commands/networking/ip6tables_-vnxL", fixture!("ip6tables_-vnxL")),
        (
            "/sos_commands/networking/ip_netns_exec_web_iptables-save",
            fixture!("iptables-legacy-save_-c"),
        ),
        (
            "/sos_commands/kernel/lsmod",
            "Module Size Used by\nip_tables 1 1 iptable_filter\nip6_tables 1 0\nnf_conntrack 1 1\n",
        ),
    ]);
    let fact = saved.rules(None);
    let rules = fact.value().unwrap();
    assert_eq!(rules.rules.iter().filter(|r| r.table == "filter" && r.chain == "INPUT").count(), 3);
    assert_eq!(rules.rules.iter().filter(|r| r.table == "nat").count(), 5);
    assert!(rules.has_nat() && rules.accepts_untracked());
    assert!(rules.complete(), "nf_tables was not loaded");
    assert!(
        !fact.source().unwrap().to_string().contains("filter_-nvL"),
        "it repeats the exact listing"
    );
    assert_eq!(saved.rules(Some("web")).value().unwrap().rules.len(), 30);
    assert_eq!(saved.rules(Some("db")).gap().unwrap().reason, Reason::NotCollected);
}

#[test]
fn a_sosreport_of_an_nft_host_is_read_from_nft_and_the_listings_repeat_it() {
    let saved = Tree::new(&[
        ("/sos_commands/firewall_tables/iptables_-vnxL", fixture!("iptables_-vnxL")),
        (
            "/sos_commands/firewall_tables/nft_-a_list_ruleset",
            fixture!("iptables-nft.nft_-a_list_ruleset"),
        ),
        ("/sos_commands/firewalld/nft_list_ruleset", fixture!("iptables-nft.nft_list_ruleset")),
    ]);
    let fact = saved.rules(None);
    assert_eq!(
        fact.source().unwrap().to_string(),
        "/sos_commands/firewall_tables/nft_-a_list_ruleset"
    );
    assert!(fact.value().unwrap().rules.iter().all(|r| r.backend == Backend::IptablesNft));
}

#[test]
fn a_message_in_place_of_rules_is_no_empty_ruleset() {
    let saved = Tree::new(&[
        (
            "/sos_commands/networking/nft_list_ruleset",
            "timeout: failed to run command 'nft': No such file or directory\n",
        ),
        ("/iptables-save", "iptables-save: command not found\n"),
    ]);
    assert_eq!(saved.rules(None).gap().unwrap().reason, Reason::NotCollected);
    let empty = Tree::new(&[("/nft_list_ruleset", "")]);
    assert!(empty.rules(None).value().unwrap().rules.is_empty());
}

#[test]
fn what_only_the_boot_would_load_is_labelled_so() {
    let saved = Tree::new(&[("/etc/sysconfig/iptables", fixture!("centos5-sysconfig-iptables"))]);
    let fact = saved.rules(None);
    assert_eq!(
        fact.source().unwrap().to_string(),
        "/etc/sysconfig/iptables (what the boot loads, not what was in force)"
    );
    let rules = fact.value().unwrap();
    assert_eq!(rules.needing().count(), 4);
    assert!(!rules.complete());
}

#[test]
fn without_root_the_rules_are_missing_and_not_empty() {
    if rustix::process::geteuid().is_root() {
        // The same test once more, as nobody: from a copy, for nobody may not reach the build's folder.
        let copy = std::env::temp_dir().join(format!("config-nobody-{}", std::process::id()));
        // Copied by a child: a file that this process has open for writing while another test forks is busy.
        let exe = std::env::current_exe().unwrap();
        assert!(Command::new("cp").arg(exe).arg(&copy).status().unwrap().success());
        let name = "without_root_the_rules_are_missing_and_not_empty";
        let output = Command::new(&copy)
            .uid(65534)
            .gid(65534)
            .args(["--exact", name])
            .current_dir("/")
            .output()
            .unwrap();
        fs::remove_file(copy).unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let fact = Reader::new(&Files::live()).here();
    let gap = fact.0.gap().unwrap();
    assert_eq!(gap.reason, Reason::NotPermitted, "{gap:?}");
    assert!(gap.detail.contains("ip_tables_names") && gap.detail.contains("nft list ruleset"));
    assert!(gap.needs.as_deref().unwrap().contains("root"));
}

/// Tables named after the files that they stand in.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "etc/nftables.conf",
        "#!/usr/sbin/nft -f\nflush ruleset\n# include \"/srv/not.nft\"\ninclude \"/srv/rules.d/*.nft\"\ninclude \"/srv/none/*\"\n\
         include \"in-etc.nft\"\ninclude \"./srv/here.nft\"; include \"/srv/linked/l?.nft\"\ntable ip main {\n  include \"/srv/chain.inc\"\n}\n",
    ),
    ("etc/in-etc.nft", "table ip in_etc { }\n"),
    ("srv/rules.d/b.nft", "table ip b { }\n"),
    ("srv/rules.d/a.nft", "table ip a { }\ninclude \"/srv/deep/1.nft\"\n"),
    ("srv/rules.d/.hidden.nft", "table ip hidden { }\n"),
    ("srv/rules.d/folder.nft/x", "table ip folder { }\n"),
    ("srv/rules.d/other.txt", "table ip other { }\n"),
    ("srv/deep/1.nft", "include \\\n\"/srv/deep/2.nft\"\n"),
    ("srv/deep/2.nft", "table ip deep { }\n"),
    ("srv/not.nft", "table ip not { }\n"),
    ("srv/here.nft", "table ip here { }\n"),
    ("srv/far/l1.nft", "table ip linked { }\n"),
    ("srv/linked", "-> far"),
    ("srv/chain.inc", "chain c { type filter hook input priority 0; ct state new accept; }\n"),
];

#[test]
fn a_script_of_a_saved_tree_includes_what_nft_includes_and_nothing_out_of_the_tree() {
    let tree = Tree::new(SCRIPTS);
    let fact = of_files(&Files::Directory(tree.0.clone()), None);
    let rules = fact.value().unwrap();
    assert!(rules.unread.is_empty(), "{:?}", rules.unread);
    assert_eq!(rules.needing().count(), 1, "{rules:?}");
    // Out of the tree, by a name and by links: the files of this machine are not the tree's.
    let outside = std::env::temp_dir().join(support::unique("outside.nft"));
    fs::write(
        &outside,
        "table ip x { chain c { type filter hook input priority 0; ct state new accept; } }",
    )
    .unwrap();
    for (link, text) in [
        ("srv/rules.d/out.nft", format!("-> {}", outside.display())),
        ("srv/up.nft", format!("-> ../../../../../../../../{}", outside.display())),
        ("srv/folder", format!("-> {}", outside.parent().unwrap().display())),
    ] {
        tree.add(link, &text);
    }
    let name = outside.file_name().unwrap().to_str().unwrap();
    let text = format!(
        "include \"{}\"\ninclude \"/srv/rules.d/out.nft\"\ninclude \"/srv/up.nft\"\ninclude \"/srv/folder/{name}\"\ninclude \"../../../..{}\"\ntable ip t {{ }}\n",
        outside.display(),
        outside.display(),
    );
    fs::write(tree.path("etc/nftables.conf"), text).unwrap();
    let fact = of_files(&Files::Directory(tree.0.clone()), None);
    fs::remove_file(&outside).unwrap();
    assert!(fact.value().is_none_or(|rules| rules.needing().count() == 0), "{fact:?}");
}

/// The tables that the very program makes of it.
#[test]
fn nft_makes_the_tables_of_a_script_that_are_read() {
    if !root() {
        return;
    }
    let tree = Tree::new(SCRIPTS);
    let script = format!(
        "set -e; cd {}; mount --bind srv /srv; mount --bind etc /etc; cd /; nft -f /etc/nftables.conf; nft list tables",
        tree.0.display()
    );
    let listed = support::run("unshare", &["-m", "-n", "sh", "-c", &script]);
    let listed: Vec<&str> = listed.lines().map(|l| l.trim_start_matches("table ip ")).collect();
    let files = Files::Directory(tree.0.clone());
    let text = plimsoll_wire::ruleset::read_script(
        "/etc/nftables.conf",
        &|folder| files.list(folder).unwrap_or_default(),
        &|path| files.text(path).ok(),
    )
    .unwrap()
    .text;
    let read: Vec<&str> = text
        .lines()
        .filter_map(|l| l.trim_start_matches([' ', ';']).strip_prefix("table ip "))
        .filter_map(|l| l.split(' ').next())
        .collect();
    assert_eq!(read, listed);
}
