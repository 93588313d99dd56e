//! What to do: refusals, ways into other namespaces, hostile names.

use plimsoll_ct::{Counter, Protocol, TcpState};
use plimsoll_diagnosis::facts::{Manager, ManagerKind, Owner, Service, Snapshot, Top};
use plimsoll_diagnosis::{Diagnosis, RemedyId};
use plimsoll_wire::iptables_config::IptablesConfig;
use plimsoll_wire::ruleset::{BaseChain, Hook, Need, Ruleset, TableFamily, Verdict};

use crate::build::*;

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
    after.boot.iptables_config = known(IptablesConfig {
        modules: vec!["ip_conntrack_netbios_ns".into()],
        modules_line: Some(6),
        unload: Some(true),
        sysctl_load_list: vec![],
    });
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
fn nat_containers_and_firewall_managers_refuse_what_would_break_them() {
    let mut after = full("6.12.117");
    let mut rules = stateful();
    rules.rules.push(rule("-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE", &[Need::Nat]));
    after.namespaces[0].rules = known(rules);
    let manager = |kind, because: &str| Manager { kind, because: because.into() };
    after.boot.managers = known(vec![
        manager(ManagerKind::Docker, "process dockerd (812)"),
        manager(ManagerKind::Kubernetes, "chain KUBE-SERVICES"),
        manager(ManagerKind::Firewalld, "firewalld.service is enabled"),
    ]);
    let d = dropping(&after);
    let unload = remedy(&d, RemedyId::Unload);
    assert_eq!(unload.refused.len(), 4, "{:?}", unload.refused);
    assert_eq!(remedy(&d, RemedyId::Bypass).refused.len(), 3);
    assert!(remedy(&d, RemedyId::Lifeline).refused.is_empty(), "no rule rewrites port 22");
    let refused: Vec<bool> = d.remedies.iter().map(|r| !r.refused.is_empty()).collect();
    assert!(refused.is_sorted(), "what must not be done comes last: {:?}", remedies(&d));
}

#[test]
fn ssh_that_is_rewritten_keeps_no_lifeline() {
    let mut after = full("6.12.117");
    let mut rules = stateful();
    let mut dnat = rule("-A PREROUTING -p tcp --dport 22 -j DNAT --to 10.0.0.2", &[Need::Nat]);
    dnat.ports = vec![22];
    rules.rules.push(dnat);
    after.namespaces[0].rules = known(rules);
    let d = dropping(&after);
    assert!(remedy(&d, RemedyId::Lifeline).refused[0].starts_with("port 22 is rewritten"));
}

#[test]
fn a_lifeline_accepts_ssh_ahead_of_the_chains_that_drop() {
    let mut after = full("6.12.117");
    after.namespaces[0].rules = known(nft());
    let d = dropping(&after);
    says(&d, RemedyId::Lifeline, "nft add rule inet plimsoll prerouting tcp dport 22 notrack");
    says(&d, RemedyId::Lifeline, "nft add rule inet plimsoll output tcp sport 22 notrack");
    says(&d, RemedyId::Lifeline, "nft insert rule inet filter input tcp dport 22 accept");
}

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

/// The same chains for answers too, and for IPv6.
fn both_ways(mut rules: Ruleset) -> Ruleset {
    let mut output = rules.chains[0].clone();
    output.hook = Hook::Output;
    output.chain = if output.family == TableFamily::Inet { "output" } else { "OUTPUT" }.into();
    rules.chains.push(output);
    if rules.chains[0].family == TableFamily::Ip {
        let six = rules.chains.clone().into_iter();
        rules.chains.extend(six.map(|c| BaseChain { family: TableFamily::Ip6, ..c }));
    }
    rules
}

const MYSQL: Service = Service { protocol: Protocol::Tcp, port: 3306 };

#[test]
fn a_bypass_holds_for_client_and_server_in_both_families() {
    let d = judge(&full_of(MYSQL, both_ways(stateful())), &[]);
    let bypass = remedy(&d, RemedyId::Bypass);
    for tool in ["iptables", "ip6tables"] {
        for rule in [
            "-t raw -I PREROUTING -p tcp --dport 3306 -j CT --notrack",
            "-t raw -I PREROUTING -p tcp --sport 3306 -j CT --notrack",
            "-t raw -I OUTPUT -p tcp --dport 3306 -j CT --notrack",
            "-t raw -I OUTPUT -p tcp --sport 3306 -j CT --notrack",
            "-I INPUT -p tcp --dport 3306 -j ACCEPT",
            "-I INPUT -p tcp --sport 3306 ! --syn -j ACCEPT",
            "-I OUTPUT -p tcp --sport 3306 -j ACCEPT",
            "-I OUTPUT -p tcp --dport 3306 -j ACCEPT",
        ] {
            says(&d, RemedyId::Bypass, &format!("{tool} {rule}"));
        }
    }
    assert_eq!(bypass.commands.len(), 16, "{:#?}", bypass.commands);

    let d = judge(&full_of(MYSQL, both_ways(nft())), &[]);
    for rule in [
        "nft add rule inet plimsoll prerouting tcp dport 3306 notrack",
        "nft add rule inet plimsoll prerouting tcp sport 3306 notrack",
        "nft add rule inet plimsoll output tcp dport 3306 notrack",
        "nft add rule inet plimsoll output tcp sport 3306 notrack",
        "nft insert rule inet filter input tcp dport 3306 accept",
        "nft 'insert rule inet filter input tcp sport 3306 tcp flags & (fin|syn|rst|ack) != syn accept'",
        "nft insert rule inet filter output tcp sport 3306 accept",
        "nft insert rule inet filter output tcp dport 3306 accept",
    ] {
        says(&d, RemedyId::Bypass, rule);
    }
}

#[test]
fn a_port_that_is_open_to_some_only_is_not_opened_to_all_in_silence() {
    let warned = |text: &str| {
        let mut rules = stateful();
        let mut accept = rule(text, &[]);
        accept.ports = vec![3306];
        accept.verdict = Verdict::Accept;
        rules.rules.push(accept);
        let d = judge(&full_of(MYSQL, rules), &[]);
        let commands = &remedy(&d, RemedyId::Bypass).commands;
        commands.iter().any(|c| c.starts_with('#') && c.contains(text))
    };
    assert!(warned("-A INPUT -s 10.0.0.0/8 -p tcp --dport 3306 -j ACCEPT"));
    assert!(warned("-A INPUT -i eth1 -p tcp --dport 3306 -j ACCEPT"));
    assert!(!warned("-A INPUT -p tcp --dport 3306 -j ACCEPT"));
}

#[test]
fn answers_over_udp_are_let_in_to_our_own_ports_only() {
    let dns = Service { protocol: Protocol::Udp, port: 53 };
    let d = judge(&full_of(dns, both_ways(stateful())), &[]);
    let answers = "iptables -I INPUT -p udp --sport 53 --dport 32768:60999 -j ACCEPT";
    says(&d, RemedyId::Bypass, answers);
}

#[test]
fn a_chain_that_lets_untracked_packets_pass_already_needs_no_exception() {
    let accepting = |text: &str| {
        let mut rules = stateful();
        rules.rules.insert(0, rule(text, &[Need::State]));
        let d = judge(&full_of(MYSQL, rules), &[]);
        remedy(&d, RemedyId::Bypass).commands.iter().any(|c| c.contains("-I INPUT"))
    };
    assert!(!accepting("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED,UNTRACKED -j ACCEPT"));
    assert!(accepting("-A INPUT -i lo -m conntrack --ctstate UNTRACKED -j ACCEPT"), "only there");
    assert!(accepting("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"));
}

#[test]
fn rules_that_untrack_the_port_already_are_shown() {
    let mut rules = stateful();
    let mut there = rule("-A PREROUTING -p tcp -m tcp --dport 3306 -j CT --notrack", &[]);
    (there.table, there.chain, there.hook) =
        ("raw".into(), "PREROUTING".into(), Some(Hook::Prerouting));
    (there.verdict, there.ports) = (Verdict::Untrack, vec![3306]);
    rules.rules.push(there);
    let d = judge(&full_of(MYSQL, rules), &[]);
    says(
        &d,
        RemedyId::Bypass,
        "# stands there already: -A PREROUTING -p tcp -m tcp --dport 3306 -j CT --notrack",
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
    says(&d, RemedyId::Lifeline, "iptables -t raw -I PREROUTING -p tcp --dport 22 -j NOTRACK");
    says(&d, RemedyId::Lifeline, "iptables -t raw -I OUTPUT -p tcp --sport 22 -j NOTRACK");
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
