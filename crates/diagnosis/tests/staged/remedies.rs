//! What to do: refusals, ways into other namespaces, hostile names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use plimsoll_ct::{Counter, Entries, Protocol, TcpState};

use plimsoll_diagnosis::facts::{
    Fact, Manager, ManagerKind, Owner, Prefix, Reason, Service, Snapshot, Top, Ways,
};
use plimsoll_diagnosis::plan::{self, Ground};
use plimsoll_diagnosis::{Diagnosis, Language, RemedyId, Said};
use plimsoll_wire::filter::{Program, read_save};
use plimsoll_wire::iptables_config::IptablesConfig;
use plimsoll_wire::ruleset::{Backend, Need, Ruleset, TableFamily, read_nft};

use crate::build::*;
use crate::spoken::diagnose;

fn full(release: &str) -> Snapshot {
    let mut after = host(release, 8);
    let max = after.host.global_max.get().unwrap();
    fill(
        &mut after.namespaces[0],
        idle(census(&[(tcp(TcpState::Established), max)]), 0, max / 2 + 1),
    );
    after
}

fn dropping(after: &Snapshot) -> Diagnosis {
    judge(after, &[(Counter::Drop, 700)])
}

#[test]
fn the_classic_second_cure_names_rules_configuration_modules_and_proof() {
    let mut after = full("2.6.18-398.el5");
    after.host.modules = known(vec![
        loaded("ip_conntrack", &["xt_state", "ip_conntrack_netbios_ns"]),
        loaded("ip_conntrack_netbios_ns", &[]),
        loaded("xt_state", &[]),
        loaded("nfnetlink", &["ip_conntrack"]),
    ]);
    service(
        &mut after,
        IptablesConfig {
            modules: vec!["ip_conntrack_netbios_ns".into()],
            modules_line: Some(6),
            unload: Some(true),
            sysctl_load_list: vec![],
        },
    );
    let d = dropping(&after);
    let unload = remedy(&d, RemedyId::Unload);
    assert_eq!(
        unload.commands,
        [
            "iptables-save > /root/rules-before.iptables",
            "# replace by rules without state (1 rule):",
            "#   iptables filter: -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT",
            "sed -i 's/^IPTABLES_MODULES=/#&/' /etc/sysconfig/iptables-config",
            "modprobe -r xt_state ip_conntrack_netbios_ns ip_conntrack",
            "ls /proc/net/ip_conntrack  # must say: No such file or directory",
        ]
    );
    assert!(unload.refused.is_empty(), "{:?}", unload.refused);
}

#[test]
fn on_a_modern_kernel_it_is_enough_that_no_rule_asks() {
    let d = dropping(&full("6.12.117"));
    let unload = remedy(&d, RemedyId::Unload);
    assert!(unload.commands.iter().all(|c| !c.contains("modprobe")), "{:#?}", unload.commands);
    assert!(unload.commands.last().unwrap().starts_with("sysctl net.netfilter.nf_conntrack_count"));
}

#[test]
fn rules_to_replace_are_told_with_their_places_in_the_words_of_their_tool() {
    let mut after = full("6.12.117");
    let nft = "table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy accept;
		meta l4proto tcp tcp dport { 80, 443 } accept
		ct state established accept
	}
}
table ip6 raw {
	chain PREROUTING {
		type filter hook prerouting priority raw; policy accept;
		xt target \"CT\"
	}
}
table inet own {
	chain input {
		ct state invalid drop
	}
}";
    let mut rules = Ruleset::default();
    read_nft(nft, &mut rules);
    after.namespaces[0].rules = known(rules);
    let told = |after: &Snapshot| remedy(&dropping(after), RemedyId::Unload).commands[..7].to_vec();
    assert_eq!(
        told(&after),
        [
            "nft list ruleset > /root/rules-before.nft",
            "iptables-save > /root/rules-before.iptables",
            "ip6tables-save > /root/rules-before.ip6tables",
            "# replace by rules without state (3 rules):",
            "#   nft ip filter INPUT: ct state established accept",
            "#   nft ip6 raw PREROUTING: xt target \"CT\"",
            "#   nft inet own input: ct state invalid drop",
        ]
    );
    // Where they were read in full, iptables says what it means.
    let mut program = Program::default();
    for (family, text) in [
        (
            TableFamily::Ip,
            "*filter\n-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT\n-A INPUT -m conntrack --ctstate \
             ESTABLISHED -j ACCEPT\nCOMMIT",
        ),
        (TableFamily::Ip6, "*raw\n-A PREROUTING -j CT --zone 7\nCOMMIT"),
    ] {
        read_save(text, Backend::IptablesNft, family, &mut program);
    }
    after.namespaces[0].ways.program = known(program);
    assert_eq!(
        told(&after)[4..6],
        [
            "#   iptables filter: -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            "#   ip6tables raw: -A PREROUTING -j CT --zone 7",
        ]
    );
}

#[test]
fn rules_of_earlier_remedies_go_by_undo_and_are_not_listed_to_be_replaced() {
    let mut after = full("2.6.18-398.el5");
    let mut rules = stateful();
    let ours = "-m state --state UNTRACKED -m comment --comment \"plimsoll: tcp/443\" -j ACCEPT";
    rules.rules.insert(0, rule(&format!("-A INPUT -p tcp {ours}"), &[Need::State]));
    after.namespaces[0].rules = known(rules.clone());
    let commands = remedy(&dropping(&after), RemedyId::Unload).commands.clone();
    assert_eq!(
        commands[1..4],
        [
            "# take back what earlier remedies put in (1 rule): `plimsoll undo`",
            "# replace by rules without state (1 rule):",
            "#   iptables filter: -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT",
        ]
    );
    rules.rules.retain(|r| r.text.contains("plimsoll"));
    after.namespaces[0].rules = known(rules);
    let unload = remedy(&dropping(&after), RemedyId::Unload).clone();
    assert!(unload.commands.iter().all(|c| !c.contains("replace by rules")), "{unload:#?}");
    assert!(unload.fix.is_empty(), "`fix unload` refuses as long as they stand");
    let files = BTreeMap::new();
    let plan = plan::unload(&Ground { before: None, now: &after, target: 0, files: &files });
    assert!(plan.by_hand.is_empty(), "nothing is to be deleted by hand: {:?}", plan.by_hand);
    let told = "1 rule of host that earlier remedies put in: `plimsoll undo` takes that back";
    assert!(plan.refused.iter().any(|r| r == told), "{:#?}", plan.refused);
}

#[test]
fn a_firewall_manager_of_another_namespace_refuses_nothing_here() {
    let mut after = full("6.12.117");
    after.namespaces[0].rules = known(stateful());
    let own = after.namespaces[0].inode;
    let refuses = |after: &mut Snapshot, namespace: Option<u64>| {
        let kinds = [ManagerKind::Firewalld, ManagerKind::Ufw, ManagerKind::Shorewall];
        let of = |kind: ManagerKind| Manager::new(kind, kind.name(), Said::name(kind.name()));
        after.boot.managers = known(kinds.map(|kind| of(kind).within(namespace)).to_vec());
        let d = dropping(after);
        let refused = &remedy(&d, RemedyId::Unload).refused;
        refused.iter().filter(|r| r.contains("writes rules by state")).count()
    };
    assert_eq!((refuses(&mut after, own), refuses(&mut after, None)), (3, 3), "{own:?}");
    assert_eq!(refuses(&mut after, Some(4_026_532_999)), 0);
}

#[test]
fn nat_containers_and_firewall_managers_refuse_what_would_break_them() {
    let mut after = full("6.12.117");
    let mut rules = stateful();
    rules.rules.push(rule("-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE", &[Need::Nat]));
    after.namespaces[0].rules = known(rules);
    let manager = |kind, because: &str| Manager::new(kind, because, Said::name(because));
    after.boot.managers = known(vec![
        manager(ManagerKind::Docker, "process dockerd (812)"),
        manager(ManagerKind::Kubernetes, "chain KUBE-SERVICES"),
        manager(ManagerKind::Firewalld, "firewalld.service is enabled"),
    ]);
    let unknown = after.namespaces[0].ways.clone();
    let ports = "COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 172.17.0.0/16 -j \
                 MASQUERADE";
    after.namespaces[0].ways = ways(&format!("{STATEFUL}\n{ports}"), &[443]);
    let d = dropping(&after);
    let unload = remedy(&d, RemedyId::Unload);
    assert_eq!(unload.refused.len(), 4, "{:?}", unload.refused);
    assert!(remedy(&d, RemedyId::Bypass).refused.is_empty(), "no rule rewrites that port");
    assert!(remedy(&d, RemedyId::Lifeline).refused.is_empty(), "no rule rewrites port 22");
    let refused: Vec<bool> = d.remedies.iter().map(|r| !r.refused.is_empty()).collect();
    assert!(refused.is_sorted(), "what must not be done comes last: {:?}", remedies(&d));

    let docker = "-A PREROUTING -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443";
    after.namespaces[0].ways = ways(&format!("{STATEFUL}\n{ports}\n{docker}"), &[443]);
    let refused = remedy(&dropping(&after), RemedyId::Bypass).refused.clone();
    assert!(refused[0].ends_with(&format!("iptables nat: {docker}")), "{refused:?}");

    after.namespaces[0].ways = Ways { program: missing(Reason::NotCollected), ..unknown };
    let refused = remedy(&dropping(&after), RemedyId::Bypass).refused.clone();
    assert_eq!(
        refused.len(),
        3,
        "where the rules are not known, their managers decide: {refused:?}"
    );
}

#[test]
fn ssh_that_is_rewritten_keeps_no_lifeline() {
    let mut after = full("6.12.117");
    let dnat = "COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 22 -j DNAT --to 10.0.0.2";
    after.namespaces[0].ways = ways(&format!("{STATEFUL}\n{dnat}"), &[]);
    let refused = remedy(&dropping(&after), RemedyId::Lifeline).refused.clone();
    assert!(refused[0].starts_with("a rule rewrites its addresses"), "{refused:?}");
}

#[test]
fn a_lifeline_accepts_ssh_ahead_of_the_chains_that_drop() {
    let mut after = full("6.12.117");
    after.namespaces[0].rules = known(nft());
    after.namespaces[0].ways = ways_of_nft(&[KNOWN, DOOR], &[]);
    let d = dropping(&after);
    let commands = &remedy(&d, RemedyId::Lifeline).commands;
    assert_eq!(
        commands[0],
        "nft 'insert rule inet filter input handle 3 tcp dport 22 ct state untracked accept comment \"plimsoll: \
         tcp/22\"'"
    );
    assert_eq!(
        commands[3],
        "nft 'table inet plimsoll_bypass_tcp22 { chain prerouting { type filter hook prerouting priority -300; policy \
         accept; iifname != \"lo\" fib daddr type local tcp dport 22 notrack comment \"plimsoll: tcp/22\"; }; chain output \
         { type filter hook output priority -300; policy accept; oifname != \"lo\" tcp sport 22 notrack comment \
         \"plimsoll: tcp/22\"; }; }'",
    );
    assert!(commands.last().unwrap().contains("--peer ADDRESS"), "{commands:#?}");

    after.namespaces[0].ways.session = Some(("198.51.100.7".parse().unwrap(), 22));
    let d = dropping(&after);
    says(
        &d,
        RemedyId::Lifeline,
        "nft 'insert rule inet filter input handle 3 ip saddr 198.51.100.7 tcp dport 22 ct state untracked accept comment \
         \"plimsoll: tcp/22 with 198.51.100.7\"'",
    );
}

const KNOWN: &str = r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}},{"accept":null}"#;
const DOOR: &str = r#"{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":{"set":[22,3306]}}},{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":"new"}},{"accept":null}"#;

/// A full table, most of it of one service.
fn full_of(service: Service, rules: Ruleset) -> Snapshot {
    let mut after = host("6.18.15", 8);
    let kind = if service.protocol == Protocol::Udp { udp(false) } else { syn() };
    let mut census = census(&[(kind, 250_000)]);
    census.services = Top { rows: vec![(service, census.total)], error: 0 };
    fill(&mut after.namespaces[0], census);
    after.namespaces[0].rules = known(rules);
    after
}

const MYSQL: Service = Service { protocol: Protocol::Tcp, port: 3306 };

/// A table full of MySQL's connections, with these rules in `filter`.
fn mysql(rules: &str, listening: &[u16]) -> Snapshot {
    let mut after = full_of(MYSQL, stateful());
    after.namespaces[0].ways = ways(rules, listening);
    after
}

/// Commands without remarks.
fn commands(d: &Diagnosis) -> Vec<&str> {
    let all = remedy(d, RemedyId::Bypass).commands.iter();
    all.map(plimsoll_diagnosis::Said::as_str).filter(|c| !c.starts_with('#')).collect()
}

#[test]
fn a_bypass_is_told_as_the_commands_of_its_plan() {
    let rules = "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 3306 -j ACCEPT";
    let d = judge(&mysql(rules, &[3306]), &[]);
    assert_eq!(remedy(&d, RemedyId::Bypass).fix, ["plimsoll fix bypass tcp/3306 --confirm 60s"]);
    let mut expected = Vec::new();
    for (tool, error) in [
        ("iptables-legacy", "-p icmp -m icmp --icmp-type 3/4"),
        ("ip6tables-legacy", "-p ipv6-icmp -m icmp6 --icmpv6-type 2"),
    ] {
        expected.push(format!(
            "{tool} -I INPUT 2 -p tcp -m tcp --dport 3306 -m state --state UNTRACKED -m comment --comment 'plimsoll: \
             tcp/3306' -j ACCEPT"
        ));
        expected.push(format!(
            "{tool} -I INPUT 1 {error} -m state --state INVALID -m comment --comment 'plimsoll: tcp/3306 2' -j ACCEPT"
        ));
    }
    for tool in ["iptables-legacy", "ip6tables-legacy"] {
        for words in [
            "-N PLIMSOLL-BYPASS-TCP3306",
            "-A PLIMSOLL-BYPASS-TCP3306 -j CT --notrack",
            "-A PREROUTING ! -i lo -p tcp -m tcp --dport 3306 -m addrtype --dst-type LOCAL -m comment --comment \
             'plimsoll: tcp/3306, in' -j PLIMSOLL-BYPASS-TCP3306",
            "-A OUTPUT ! -o lo -p tcp -m tcp --sport 3306 -m comment --comment 'plimsoll: tcp/3306, back' -j \
             PLIMSOLL-BYPASS-TCP3306",
        ] {
            expected.push(format!("{tool} -t raw {words}"));
        }
    }
    expected.push("conntrack -D -p tcp --orig-port-dst 3306 -d 192.0.2.10".into());
    assert_eq!(commands(&d), expected);
    let effect = &remedy(&d, RemedyId::Bypass).effect;
    assert!(effect.contains("goes away at once: those entries are deleted"), "{effect}");
}

#[test]
fn whose_the_port_is_is_told_by_the_ends_of_its_entries_where_nobody_listens() {
    let end = |address: [u8; 4], d: &Snapshot| {
        let prefix = Prefix { address: IpAddr::V4(address.into()), length: 32 };
        let total = d.namespaces[0].census.value().unwrap().total;
        Top { rows: vec![(prefix, total)], error: 0 }
    };
    let fix = |after: &Snapshot| remedy(&judge(after, &[]), RemedyId::Bypass).fix[0].clone();
    let mut after = mysql(STATEFUL, &[]);
    assert_eq!(fix(&after), "plimsoll fix bypass tcp/3306 --role forward --confirm 60s");
    let d = judge(&after, &[]);
    let told = remedy(&d, RemedyId::Bypass);
    assert!(told.effect.contains("goes away as those entries expire"), "{}", told.effect);
    assert!(!commands(&d).iter().any(|c| c.starts_with("conntrack -D")));
    let top = end([192, 0, 2, 10], &after);
    if let Fact::Known { value, .. } = &mut after.namespaces[0].census {
        value.sources = top;
    }
    assert_eq!(fix(&after), "plimsoll fix bypass tcp/3306 --role client --confirm 60s");
    let d = judge(&after, &[]);
    says(
        &d,
        RemedyId::Bypass,
        "iptables-legacy -I INPUT 1 -p tcp -m tcp --sport 3306 -m tcp ! --syn -m state --state UNTRACKED -m comment \
         --comment 'plimsoll: tcp/3306' -j ACCEPT",
    );
}

#[test]
fn visits_over_loopback_stay_tracked_and_that_is_told() {
    let mut after = mysql(STATEFUL, &[3306]);
    let to = |address: [u8; 4], after: &mut Snapshot| {
        if let Fact::Known { value, .. } = &mut after.namespaces[0].census {
            let prefix = Prefix { address: IpAddr::V4(address.into()), length: 32 };
            value.destinations = Top { rows: vec![(prefix, value.total)], error: 0 };
        }
        remedy(&judge(after, &[]), RemedyId::Bypass).clone()
    };
    assert!(to([192, 0, 2, 10], &mut after).refused.is_empty());
    let told = to([127, 0, 0, 1], &mut after);
    assert!(told.refused[0].contains("over loopback, which stays tracked"), "{told:?}");
    assert!(told.commands.is_empty(), "{told:?}");
}

#[test]
fn a_port_that_is_open_to_some_only_stays_so() {
    let accepts = |text: &str| -> Vec<String> {
        let rules =
            format!("-A INPUT -m state --state ESTABLISHED -j ACCEPT\n-A INPUT {text} -j ACCEPT");
        let d = judge(&mysql(&rules, &[3306]), &[]);
        let all = commands(&d).into_iter().filter(|c| c.starts_with("iptables-legacy -I"));
        all.map(ToString::to_string).collect()
    };
    let narrow = accepts("-s 10.0.0.0/8 -p tcp -m state --state NEW -m tcp --dport 3306");
    assert!(narrow.iter().all(|c| c.contains(" -s 10.0.0.0/8 ")), "{narrow:?}");
    assert_eq!(narrow.len(), 1);
    let interface = accepts("-i eth1 -p tcp -m state --state NEW -m tcp --dport 3306");
    assert!(interface.iter().all(|c| c.contains(" -i eth1 ")), "{interface:?}");
    assert_eq!(interface.len(), 1);
    assert!(accepts("-s 10.0.0.0/8 -p tcp --dport 3306").is_empty(), "it asks for no state");
}

#[test]
fn a_chain_that_lets_untracked_packets_pass_already_needs_no_exception() {
    let opened = |text: &str| {
        let rules = format!(
            "-A INPUT {text} -j ACCEPT\n-A INPUT -m state --state ESTABLISHED,NEW -j ACCEPT"
        );
        let d = judge(&mysql(&rules, &[3306]), &[]);
        commands(&d).iter().any(|c| c.contains("-I INPUT") && c.contains("--dport 3306"))
    };
    assert!(!opened("-m conntrack --ctstate RELATED,ESTABLISHED,UNTRACKED"));
    assert!(opened("-i lo -m conntrack --ctstate UNTRACKED"), "only there");
    assert!(opened("-m conntrack --ctstate RELATED,ESTABLISHED"));
}

#[test]
fn rules_that_untrack_the_port_already_are_shown() {
    let there = "COMMIT\n*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 3306 -j CT --notrack";
    let d = judge(&mysql(&format!("{STATEFUL}\n{there}"), &[3306]), &[]);
    says(
        &d,
        RemedyId::Bypass,
        "# exempted already: iptables raw: -A PREROUTING -p tcp -m tcp --dport 3306 -j CT --notrack",
    );
}

#[test]
fn where_the_rules_were_not_read_whole_it_is_said_what_to_look_for() {
    let mut after = mysql(STATEFUL, &[3306]);
    after.namespaces[0].ways.program = missing(Reason::NotCollected);
    let d = judge(&after, &[]);
    assert_eq!(
        remedy(&d, RemedyId::Bypass).commands[0],
        "# its rules were not read whole (staged): where one drops what has no state, let this port pass ahead of it in \
         both directions"
    );
    says(&d, RemedyId::Bypass, "iptables-legacy -t raw -N PLIMSOLL-BYPASS-TCP3306");
}

#[test]
fn legacy_tables_that_took_too_long_to_read_are_told_and_are_still_the_ones_that_are_there() {
    let mut after = mysql(STATEFUL, &[3306]);
    let mut rest = nft();
    rest.rules.clear();
    rest.chains.clear();
    rest.unread.push((Backend::Legacy, "iptables-legacy-save -c: stopped after 2.0 s".into()));
    after.namespaces[0].rules = known(rest);
    after.namespaces[0].rules_whole = Fact::missing(
        Reason::NotAsked,
        Said::of(
            "iptables-legacy-save -c: stopped after 2.0 s",
            "iptables-legacy-save -c：2.0 秒后中止",
        ),
    );
    let d = judge(&after, &[]);
    says(&d, RemedyId::Bypass, "iptables-legacy -t raw -N PLIMSOLL-BYPASS-TCP3306");
    let told = d.missing.iter().find(|m| m.fact.contains("the rest of the packet-filter rules"));
    let told = told.unwrap_or_else(|| panic!("{:#?}", d.missing));
    assert!(told.reason.contains("iptables-legacy-save -c: stopped"), "{told:?}");
    assert!(told.reason.spoken(Language::Chinese).contains("2.0 秒后中止"), "{told:?}");
}

#[test]
fn the_room_of_a_shorter_timeout_in_a_full_table_is_told_by_what_comes() {
    let mut after = host("6.12.117", 8);
    let flood = census(&[(udp(false), 262_000), (tcp(TcpState::Established), 144)]);
    fill(&mut after.namespaces[0], churn(flood, 9_000, 9_000));
    let effect = |drops| {
        let d = judge(&after, &[(Counter::Drop, drops)]);
        remedy(&d, RemedyId::Timeout).effect.clone()
    };
    let ends = "Those in the table keep their expiry, so it shows within 30 s.";
    assert_eq!(
        effect(41_000),
        format!(
            "If as many flows come as now (50,000 per second, 41,000 of them dropped), they take about 500,000 \
             entries: the limit is 262,144, and the table stays full. {ends}"
        )
    );
    assert_eq!(
        effect(1_000),
        format!(
            "If as many flows come as now (10,000 per second, 1,000 of them dropped), they take about 100,000 of \
             262,144 entries. {ends}"
        )
    );
    // Neither is known of a table that was read once.
    let once = diagnose(None, &saved(after.clone()));
    assert_eq!(
        remedy(&once, RemedyId::Timeout).effect,
        format!(
            "At the same rate such entries take 33 % of the room that they need now; a full table does not show how \
             much that is. {ends}"
        )
    );
    // With room left the table shows what it needs.
    after.namespaces[0].max = known(Entries(400_000));
    let d = judge(&after, &[]);
    assert_eq!(
        remedy(&d, RemedyId::Timeout).effect,
        format!("At the same rate such entries take 33 % of the room. {ends}")
    );
}

#[test]
fn what_two_namespaces_need_is_said_of_both() {
    let mut after = host("6.18.15", 64);
    for (name, inode) in [("red", 7), ("blue", 8)] {
        let owner = Owner::Named(name.into());
        let mut ns = namespace(&after.host.profile, owner, Some(inode), 262_144);
        fill(&mut ns, census(&[(tcp(TcpState::TimeWait), 200_000 + inode)]));
        after.namespaces.push(ns);
    }
    let d = judge(&after, &[]);
    for id in [RemedyId::Timeout, RemedyId::Shed] {
        let commands = &remedy(&d, id).commands;
        assert!(commands[0].starts_with("ip netns exec blue "), "{commands:#?}");
        assert_eq!(commands.last().unwrap(), "# the same in: ip netns red", "{commands:#?}");
    }
    after.namespaces.pop();
    for r in &judge(&after, &[]).remedies {
        assert!(r.commands.iter().all(|c| !c.contains("the same in")), "{r:#?}");
    }
}

#[test]
fn centos_6_untracks_with_the_old_target() {
    let d = dropping(&full("2.6.32-754.el6.x86_64"));
    says(&d, RemedyId::Lifeline, "iptables -t raw -A PLIMSOLL-BYPASS-TCP22 -j NOTRACK");
}

#[test]
fn built_in_tracking_cannot_be_unloaded_from_an_old_kernel() {
    let mut after = full("3.10.0-1160.el7.x86_64");
    after.host.modules = known(vec![loaded("ext4", &[])]);
    let d = dropping(&after);
    let refused = &remedy(&d, RemedyId::Unload).refused;
    assert_eq!(refused, &["nf_conntrack is built into this kernel"]);
    let persist = remedy(&d, RemedyId::Persist);
    assert!(persist.commands[0].contains("nf_conntrack.hashsize="), "{:#?}", persist.commands);
}

#[test]
fn commands_for_another_namespace_go_into_it_and_the_limit_stays_on_the_host() {
    let into = |owner: Owner| {
        let mut after = host("6.18.15", 64);
        let mut ns = namespace(&after.host.profile, owner, Some(4_026_532_246), 262_144);
        fill(&mut ns, idle(census(&[(tcp(TcpState::Established), 200_000)]), 0, 150_000));
        after.namespaces.push(ns);
        remedy(&judge(&after, &[]), RemedyId::Timeout).commands.clone()
    };
    let named = into(Owner::Named("web".into()));
    assert_eq!(named[0], "ip netns exec web nfct add timeout idle443 inet tcp established 7440");
    let held = into(Owner::Named("/run/tenants/web".into()));
    assert!(held[0].starts_with("nsenter --net=/run/tenants/web nfct "), "{held:#?}");
    let process = into(Owner::Process { pid: 812, command: "nginx".into() });
    assert!(process[0].starts_with("nsenter --net=/proc/812/ns/net "));
    let id = "3f2a9bc1d2e4".into();
    let docker = into(Owner::Container { runtime: "docker".into(), id, name: None });
    assert!(
        docker[0].starts_with("nsenter -n -t $(docker inspect -f '{{.State.Pid}}' 3f2a9bc1d2e4) "),
        "{docker:#?}"
    );
}

#[test]
fn a_hostile_name_never_becomes_a_command() {
    for name in ["x; reboot", "-f", "a\nreboot", "a\u{1b}]0;x\u{7}", "$(reboot)", "`reboot`", "'"] {
        let mut after = host("6.18.15", 64);
        after.host.name = known(name.into());
        let mut ns =
            namespace(&after.host.profile, Owner::Named(name.into()), Some(4_026_532_246), 262_144);
        fill(&mut ns, idle(census(&[(tcp(TcpState::Established), 200_000)]), 0, 150_000));
        after.namespaces.push(ns);
        let d = judge(&after, &[]);
        for command in &remedy(&d, RemedyId::Timeout).commands {
            assert!(!command.chars().any(char::is_control), "{command:?}");
            let quoted = match name.contains('\'') {
                true => "''\\'''".to_string(),
                false => format!("'{name}'"),
            };
            let harmless = command.starts_with('#')
                || command.starts_with(&format!("ip netns exec {quoted} "));
            assert!(harmless, "{command:?}");
        }
        assert!(!d.headline.chars().any(char::is_control), "{:?}", d.headline);
    }
}

#[test]
fn each_remedy_answers_a_finding_that_is_there() {
    for release in ["2.6.18-398.el5", "3.10.0-1160.el7.x86_64", "5.15.0", "6.18.15", "7.3.4"] {
        let d = dropping(&full(release));
        let found = ids(&d);
        for r in &d.remedies {
            assert!(!r.findings.is_empty(), "{release} {}", r.id.name());
            assert!(r.findings.iter().all(|id| found.contains(id)), "{release} {r:#?}");
        }
        assert_eq!(remedies(&d)[0], "raise", "{release}");
    }
}
