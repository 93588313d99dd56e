//! What stops a remedy that writes rules: each reason once, in words, and nothing planned.

use std::collections::BTreeMap;

use plimsoll_ct::{Entries, Protocol};
use plimsoll_diagnosis::facts::{Fact, Reason, Snapshot, Tracking, Ways};
use plimsoll_diagnosis::plan::{
    BypassRequest, Change, FileState, Ground, LimitRequest, Plan, SynProxyRequest, TimeoutRequest,
    bypass, lifeline_request, limit, synproxy, timeout,
};
use plimsoll_diagnosis::rules::Role;
use plimsoll_diagnosis::{Language, Said};
use plimsoll_wire::filter::{Backend, Program, TableFamily, read_json, read_save};

use crate::build::*;

/// Rules of iptables of old, for both families.
fn legacy(tables: &str) -> Program {
    let mut program = Program::default();
    for family in [TableFamily::Ip, TableFamily::Ip6] {
        read_save(tables, Backend::Legacy, family, &mut program);
    }
    program
}

/// A table of nft with one chain at `forward`.
fn of_nft(chain: &str, priority: i32, rules: &[&str]) -> Program {
    let mut json = format!(
        r#"{{"nftables":[{{"table":{{"family":"inet","name":"site"}}}},{{"chain":{{"family":"inet","table":"site","name":"{chain}","type":"filter","hook":"forward","prio":{priority},"policy":"accept"}}}}"#
    );
    for expr in rules {
        json += &format!(
            r#",{{"rule":{{"family":"inet","table":"site","chain":"{chain}","handle":9,"expr":[{expr}]}}}}"#
        );
    }
    let mut program = Program::default();
    read_json(format!("{json}]}}").as_bytes(), &mut program).unwrap();
    program
}

fn open() -> Program {
    of_nft("forward", 0, &[])
}

const INVALID_DROP: &str =
    r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":"invalid"}},{"drop":null}"#;

fn ways_of(program: Program) -> Ways {
    Ways { program: known(program), ..ways("", &[]) }
}

fn ground<'a>(after: &'a Snapshot, files: &'a BTreeMap<String, Option<FileState>>) -> Ground<'a> {
    Ground { before: None, now: after, target: 0, files }
}

/// A host with these rules, of which it is read how they are written as well.
fn router(release: &str, program: &Program) -> Snapshot {
    let mut after = host(release, 4);
    let old = program.tables.iter().any(|table| table.backend == Backend::Legacy);
    after.namespaces[0].rules = known(if old { stateful() } else { nft() });
    after.namespaces[0].settings.insert("nf_conntrack_tcp_loose".into(), "1".into());
    after
}

fn proxied(release: &str, program: Program) -> Plan {
    proxy(&router(release, &program), &ways_of(program))
}

fn proxy(after: &Snapshot, ways: &Ways) -> Plan {
    let request = SynProxyRequest { port: 443, wscale: None };
    synproxy(request, ways, &ground(after, &BTreeMap::new()))
}

/// Refused for this reason alone, be it of both families.
#[track_caller]
fn refused(plan: &Plan, why: &str) {
    let alone = !plan.refused.is_empty() && plan.refused.iter().all(|r| r.starts_with(why));
    assert!(alone, "{:#?}", plan.refused);
    assert!(plan.changes.is_empty(), "{:#?}", plan.changes);
}

#[test]
fn a_syn_proxy_that_nothing_stops_is_planned() {
    for (release, program) in [
        ("6.12.117", open()),
        ("5.4.0", open()),
        ("3.12.0", legacy("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n")),
    ] {
        let plan = proxied(release, program);
        assert_eq!((plan.refused.len(), plan.changes.is_empty()), (0, false), "{plan:#?}");
    }
}

#[test]
fn a_kernel_without_a_syn_proxy_has_none() {
    let plan = proxied("5.3.18", open());
    refused(&plan, "this kernel (5.3) has no SYN proxy that nft can use: 5.4 is the first");
    let rules = "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n";
    let plan = proxied("3.10.0-1160.el7", legacy(rules));
    refused(&plan, "this kernel (3.10) has no SYN proxy that iptables can use: 3.12 is the first");
}

#[test]
fn where_nothing_is_tracked_a_syn_proxy_would_cut_off_what_is_open() {
    let mut after = router("6.12.117", &open());
    after.namespaces[0].tracking =
        known(Tracking::Off { because: Said::name("no rule asks for it") });
    refused(&proxy(&after, &ways_of(open())), "nothing is tracked here (no rule asks for it)");
}

#[test]
fn a_port_that_a_proxy_answers_or_that_is_not_tracked_has_no_syn_proxy() {
    let rules = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --dport 443 -m state --state \
                 INVALID,UNTRACKED -j SYNPROXY --mss 1460\nCOMMIT\n";
    let plan = proxied("4.9.0", legacy(rules));
    refused(&plan, "a SYN proxy answers for it already: ");
    let rules = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 443 -j CT --notrack\nCOMMIT\n";
    let plan = proxied("4.9.0", legacy(rules));
    refused(&plan, "it is not tracked, and a proxy needs an entry for each connection: ");
}

#[test]
fn a_port_that_is_shut_has_no_syn_proxy() {
    let rules =
        "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --dport 443 -j DROP\nCOMMIT\n";
    let plan = proxied("4.9.0", legacy(rules));
    refused(&plan, "new connections to it are dropped today: ");
}

#[test]
fn a_chain_whose_name_can_not_be_written_stops_a_syn_proxy() {
    let plan = proxied("6.12.117", of_nft("all that passes", 0, &[INVALID_DROP]));
    refused(&plan, "the name of its chain or table can't be written: nft inet site");
}

#[test]
fn rules_of_nft_and_of_old_iptables_that_decide_together_leave_no_place_for_a_syn_proxy() {
    // So old that the proxy must be iptables': behind its table `security` comes a chain of nft.
    for program in [of_nft("forward", 60, &[]), of_nft("forward", 0, &[INVALID_DROP])] {
        let plan = proxied("4.14.0", program);
        refused(&plan, "rules of nft and of old iptables decide together here");
    }
    // Ahead of it, and of no account, it stops nothing.
    let plan = proxied("4.14.0", open());
    assert!(plan.refused.is_empty(), "{:#?}", plan.refused);
}

#[test]
fn packets_of_unknown_size_or_too_short_have_no_syn_proxy() {
    let (after, mut ways) = (router("6.12.117", &open()), ways_of(open()));
    ways.mtu = known(500);
    refused(&proxy(&after, &ways), "packets of 500 bytes are too short for a proxy");
    ways.mtu = missing(Reason::Failed);
    refused(&proxy(&after, &ways), "the size of packets could not be read");
}

/// All remedies that are planned on rules, on these.
fn all(ways: &Ways) -> Vec<Plan> {
    let mut after = host("6.12.117", 4);
    after.namespaces[0].max = known(Entries(65_536));
    let files = BTreeMap::new();
    let per_source = LimitRequest {
        service: (Protocol::Tcp, 443),
        per_source: 20,
        forwarded: false,
        except: Vec::new(),
    };
    let port = BypassRequest {
        services: vec![(Protocol::Tcp, 443)],
        roles: Vec::new(),
        peers: Vec::new(),
        unsure: true,
    };
    let peer = ("192.0.2.7".parse().unwrap(), 32);
    let lifeline = lifeline_request(vec![peer], vec![22], true, ways).unwrap();
    vec![
        proxy(&after, ways),
        limit(&per_source, &known(Vec::new()), ways, &ground(&after, &files)),
        bypass(&port, ways, &ground(&after, &files)),
        bypass(&lifeline, ways, &ground(&after, &files)),
    ]
}

#[test]
fn rules_that_were_not_read_or_not_whole_stop_every_remedy_that_is_planned_on_them() {
    let mut ways = ways(STATEFUL, &[443]);
    for plan in &all(&ways)[1..] {
        assert!(plan.refused.is_empty(), "{:?}: {:#?}", plan.remedy, plan.refused);
    }
    ways.unread.push(Said::of("nft is not installed", "没有安装 nft"));
    for plan in all(&ways) {
        let why = Said::name("not all rules could be read: nft is not installed");
        let told = plan.refused.iter().find(|told| **told == why);
        let told = told.unwrap_or_else(|| panic!("{:?}: {:#?}", plan.remedy, plan.refused));
        assert_eq!(told.spoken(Language::Chinese), "规则没有读全：没有安装 nft");
        assert!(plan.changes.is_empty(), "{:?}: {:#?}", plan.remedy, plan.changes);
    }
    ways.program = missing(Reason::NotPermitted);
    for plan in all(&ways) {
        refused(&plan, "the rules could not be read: staged");
    }
}

#[test]
fn a_proxy_before_a_port_that_this_host_serves_itself_says_what_it_leaves_out() {
    let told = |listening| {
        let ways = Ways { listening: known(listening), ..ways_of(open()) };
        let plan = proxy(&router("6.12.117", &open()), &ways);
        assert!(plan.refused.is_empty(), "{:#?}", plan.refused);
        plan.warnings.iter().any(|w| w.contains("listens on tcp/443 itself"))
    };
    let at = |address: &str, port| (Protocol::Tcp.number(), address.parse().unwrap(), port);
    assert!(told(vec![at("0.0.0.0", 443)]));
    assert!(!told(vec![at("127.0.0.1", 443), at("0.0.0.0", 80)]));
}

#[test]
fn who_else_would_be_heard_from_the_port_of_a_client_s_service_is_told_before() {
    let plan = |listening: &[(&str, u16)], unsure| {
        let all = "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT";
        let udp = Protocol::Udp.number();
        let listening = listening.iter().map(|(ip, port)| (udp, ip.parse().unwrap(), *port));
        let ways = Ways {
            listening: known(listening.collect()),
            own_ports: known((20_000, 30_000)),
            ..ways(all, &[])
        };
        let request = BypassRequest {
            services: vec![(Protocol::Udp, 53)],
            roles: vec![Role::Client],
            peers: vec![],
            unsure,
        };
        bypass(&request, &ways, &ground(&host("6.12.117", 4), &BTreeMap::new()))
    };
    let other = [("0.0.0.0", 123), ("127.0.0.1", 25_000), ("0.0.0.0", 30_001)];
    let heard = plan(&other, false);
    assert!(heard.refused.is_empty(), "{:#?}", heard.refused);
    for part in ["Answers come in to ports 20000 to 30000", "whoever sends from udp/53 reaches"] {
        assert!(heard.risks.iter().any(|risk| risk.contains(part)), "{:#?}", heard.risks);
    }
    let exposed = [("0.0.0.0", 25_001), ("::", 25_001), ("192.0.2.10", 25_000)];
    let why = "whoever sends from udp/53 would reach udp/25000, udp/25001";
    refused(&plan(&exposed, false), why);
    let unsure = plan(&exposed, true);
    assert!(unsure.refused.is_empty() && unsure.risks.iter().any(|risk| risk.contains(why)));
}

/// The ruleset of firewalld 2.3.1, whose table only its process changes.
#[test]
fn a_lifeline_goes_without_the_rule_for_errors_where_none_can_stand_and_a_bypass_that_needs_others_is_refused()
 {
    const RULES: &str = include_str!("../../../../fixtures/rules/corpus/firewalld-2/nft.json");
    let mut program = Program::default();
    read_json(RULES.as_bytes(), &mut program).expect("JSON");
    let ways = Ways { own: known(vec!["10.9.0.1".parse().unwrap()]), ..ways_of(program) };
    let plan = |port, peers: &[&str]| {
        let request = BypassRequest {
            services: vec![(Protocol::Tcp, port)],
            roles: vec![Role::Server],
            peers: peers.iter().map(|peer| (peer.parse().unwrap(), 32)).collect(),
            unsure: false,
        };
        bypass(&request, &ways, &ground(&host("6.12.117", 4), &BTreeMap::new()))
    };
    let lifeline = plan(22, &["10.9.0.2"]);
    assert!(lifeline.refused.is_empty(), "{:#?}", lifeline.refused);
    let note = "ICMP errors about it, which path MTU discovery needs, may be dropped, and no rule of ours can stand there";
    assert_eq!(lifeline.warnings.iter().filter(|told| told.starts_with(note)).count(), 1);
    assert!(!lifeline.risks.iter().any(|risk| risk.contains("loaded anew")), "{lifeline:#?}");
    let theirs = |change: &Change| matches!(change, Change::Nft(nft) if !nft.rules.is_empty());
    assert!(!lifeline.changes.is_empty() && !lifeline.changes.iter().any(theirs), "{lifeline:#?}");
    refused(
        &plan(443, &[]),
        "it needs a rule of ours in table inet firewalld, which only the process that made it",
    );
}

#[test]
fn a_helper_that_reads_along_by_itself_needs_the_tracking_of_its_port() {
    let refused = |release: &str, module: &str, switch: Option<&str>| {
        let mut after = host(release, 4);
        after.host.modules = known(vec![loaded(module, &[])]);
        let settings = &mut after.namespaces[0].settings;
        settings.extend(switch.map(|on| ("nf_conntrack_helper".to_owned(), on.to_owned())));
        let request = BypassRequest {
            services: vec![(Protocol::Tcp, 21)],
            roles: vec![],
            peers: vec![],
            unsure: false,
        };
        let files = BTreeMap::new();
        let all = "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p tcp --dport 21 -j ACCEPT";
        bypass(&request, &ways(all, &[21]), &ground(&after, &files)).refused
    };
    let old = "3.10.0-1160.el7.x86_64";
    let why = refused(old, "nf_conntrack_ftp", Some("1"));
    assert!(why[0].contains("nf_conntrack_ftp reads along on tcp/21 by itself"), "{why:#?}");
    assert_eq!(refused("2.6.18-398.el5", "ip_conntrack_ftp", None).len(), 1);
    for (release, module, switch) in [
        (old, "nf_conntrack_ftp", Some("0")),
        (old, "nf_conntrack_sip", Some("1")),
        ("5.10.0", "nf_conntrack_ftp", None),
        ("6.12.117", "nf_conntrack_ftp", None),
    ] {
        assert_eq!(refused(release, module, switch), [""; 0], "{release} {module} {switch:?}");
    }
}

#[test]
fn a_service_that_is_named_twice_is_meant_once() {
    let after = host("6.12.117", 4);
    let files = BTreeMap::new();
    let rules = "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p tcp --dport 443 -j ACCEPT";
    let plan = |times: usize| {
        let request = BypassRequest {
            services: vec![(Protocol::Tcp, 443); times],
            roles: vec![plimsoll_diagnosis::rules::Role::Server; times],
            peers: Vec::new(),
            unsure: false,
        };
        bypass(&request, &ways(rules, &[443]), &ground(&after, &files))
    };
    assert!(!plan(1).changes.is_empty(), "{:#?}", plan(1));
    assert_eq!(plan(2), plan(1));
}

#[test]
fn a_timeout_that_the_kernel_does_not_take_or_that_is_given_twice_is_refused_before_it_is_tried() {
    let after = host("6.12.117", 4);
    let refused = |values: &[(&str, u64)], service, hz| {
        let values = values.iter().map(|(key, value)| ((*key).into(), *value)).collect();
        let asked = TimeoutRequest { service, values, allow_short: false, hz };
        let files = BTreeMap::new();
        let ground = Ground { before: None, now: &after, target: 0, files: &files };
        let keepalives = Fact::missing(Reason::NotAsked, Said::of("not asked", "没有问"));
        let plan = timeout(&asked, &keepalives, &ground);
        plan.refused.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let range = |value: String, who: &str, most: u64| {
        format!(
            "nf_conntrack_tcp_timeout_established: {value} is out of range: {who} takes -{most} to {most}"
        )
    };
    let port = Some((Protocol::Tcp, 443));
    for value in [1 << 31, 1 << 32, u64::MAX] {
        let shown = value.min(i64::MAX as u64);
        for service in [None, port] {
            let said = refused(&[("established", value)], service, None);
            assert_eq!(
                said,
                [range(format!("{shown} s"), "even a kernel of 100 ticks in a second", 21_474_836)]
            );
        }
    }
    // What a kernel of fewer ticks would take.
    assert_eq!(
        refused(&[("established", 2_147_484)], None, Some(1000)),
        [range("2147484".to_owned(), "this kernel", 2_147_483)]
    );
    assert_eq!(refused(&[("established", 2_147_484)], None, Some(100)), [""; 0]);

    let twice = [("established", 7440), ("nf_conntrack_tcp_timeout_established", 8000)];
    let said = refused(&twice, None, None);
    assert_eq!(said, ["nf_conntrack_tcp_timeout_established is given twice"]);
    let said = refused(&[("established", 7440), ("established", 7440)], port, None);
    assert_eq!(said, ["established is given twice"]);
}

#[test]
fn a_timeout_where_nothing_of_conntrack_is_there_is_not_called_unknown_to_the_kernel() {
    let asked = TimeoutRequest {
        service: None,
        values: vec![("established".into(), 7440)],
        allow_short: false,
        hz: None,
    };
    let refused = |after: &Snapshot| {
        let files = BTreeMap::new();
        let ground = Ground { before: None, now: after, target: 0, files: &files };
        let keepalives = Fact::missing(Reason::NotAsked, Said::of("not asked", "没有问"));
        let plan = timeout(&asked, &keepalives, &ground);
        plan.refused.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let mut after = host("6.12.117", 4);
    assert_eq!(refused(&after), Vec::<String>::new());
    after.namespaces[0].settings.clear();
    assert_eq!(
        refused(&after),
        ["no setting of conntrack is there: it is not loaded, or they could not be read"]
    );
}
