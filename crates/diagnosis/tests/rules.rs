//! What a ruleset makes of untracked traffic, on rules as people write them.
#![allow(clippy::unwrap_used)]

use plimsoll_diagnosis::rules::{Judgement, Role, Traffic, judge};
use plimsoll_wire::filter::{Backend, Program, TableFamily, read_json, read_save};

fn saved(text: &str) -> Program {
    let mut program = Program::default();
    read_save(text, Backend::Legacy, TableFamily::Ip, &mut program);
    program
}

fn served(program: &Program, port: u16) -> Judgement {
    let own = ["192.0.2.10".parse().unwrap()];
    judge(program, [&Traffic::new(6, port, Role::Server).on(&own)])
}

fn rules(judgement: &Judgement) -> Vec<String> {
    let all = judgement.accepts.iter();
    all.map(|a| format!("{} {}: {}", a.chain, a.before, a.rule())).collect()
}

const RHEL5: &str = "*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:RH-Firewall-1-INPUT - [0:0]
-A INPUT -j RH-Firewall-1-INPUT
-A RH-Firewall-1-INPUT -i lo -j ACCEPT
-A RH-Firewall-1-INPUT -p icmp -m icmp --icmp-type any -j ACCEPT
-A RH-Firewall-1-INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A RH-Firewall-1-INPUT -s 10.0.0.0/8 -p tcp -m state --state NEW -m tcp --dport 443 -j ACCEPT
-A RH-Firewall-1-INPUT -j REJECT --reject-with icmp-host-prohibited
COMMIT
";

#[test]
fn a_port_open_to_some_stays_open_to_those_only() {
    let judgement = served(&saved(RHEL5), 443);
    assert_eq!(
        rules(&judgement),
        [
            "RH-Firewall-1-INPUT 3: -p tcp -m tcp --dport 443 -m state --state UNTRACKED -s 10.0.0.0/8 -m comment \
          --comment \"plimsoll: tcp/443\" -j ACCEPT"
        ]
    );
    assert_eq!((judgement.blocked.len(), judgement.needs.len()), (0, 0), "{judgement:?}");
}

#[test]
fn a_port_that_is_closed_stays_closed() {
    let judgement = served(&saved(RHEL5), 80);
    assert!(judgement.accepts.is_empty(), "{judgement:?}");
    assert_eq!(
        judgement.closed,
        ["iptables filter: -A RH-Firewall-1-INPUT -j REJECT --reject-with icmp-host-prohibited"]
    );
}

/// A host that lets in what `rules` say, behind what it knows already.
fn behind_what_is_known(rules: &str) -> Program {
    saved(&format!(
        "*filter\n:INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:logs - [0:0]\n:banned - [0:0]\n\
         -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n{rules}\n\
         -A logs -j LOG --log-prefix \"in: \"\n-A banned -j DROP\nCOMMIT\n"
    ))
}

#[test]
fn a_rule_that_counts_first_packets_today_and_would_count_all_of_them_is_told() {
    let of = |rules: &str| {
        let judgement = served(&behind_what_is_known(rules), 443);
        judgement.blocked.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for rules in [
        "-A INPUT -p tcp -m tcp --dport 443 -m limit --limit 10/min -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 443 -m hashlimit --hashlimit-above 10/sec --hashlimit-name a -j DROP\n\
         -A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 443 -m recent --update --seconds 60 --hitcount 4 -j banned\n\
         -A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
    ] {
        let rule = rules.lines().next().unwrap();
        assert_eq!(
            of(rules),
            [format!(
                "a rule counts what comes to it, today a connection's first packet, then every one: iptables filter: {rule}"
            )]
        );
    }
    let none: [&str; 0] = [];
    for rules in [
        // What is logged now and then.
        "-A INPUT -m limit --limit 3/min -j logs\n-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
        "-A INPUT -m limit --limit 3/min -j LOG\n-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
        // What comes behind it, or is for others.
        "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT\n-A INPUT -m limit --limit 3/min -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 22 -m limit --limit 3/min -j ACCEPT\n\
         -A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
    ] {
        assert_eq!(of(rules), none, "{rules}");
    }
    // Where nothing is known ahead of it, it counts every packet today.
    let all = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 443 -m limit --limit 900/sec -j ACCEPT\nCOMMIT\n";
    assert!(served(&saved(all), 443).blocked.is_empty());
}

#[test]
fn a_rate_over_which_datagrams_are_dropped_counts_all_of_them_once_they_are_untracked() {
    let rules = "-A INPUT -p udp -m udp --dport 53 -m limit --limit 10/min -j ACCEPT";
    let own = ["192.0.2.10".parse().unwrap()];
    let traffic = Traffic::new(17, 53, Role::Server).on(&own);
    let judgement = judge(&behind_what_is_known(rules), [&traffic]);
    assert_eq!(judgement.blocked.len(), 1, "{judgement:?}");
}

#[test]
fn a_port_that_is_sent_to_a_container_is_not_called_closed() {
    let published = "*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT DROP [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
COMMIT
";
    let judgement = served(&saved(published), 8080);
    assert!(judgement.sent_on().is_some(), "{judgement:?}");
    assert_eq!(judgement.closed, Vec::<&str>::new());
    assert_eq!(served(&saved(published), 8081).closed.len(), 1);
    // Of several, only that one.
    for ports in [[8080, 8081], [8081, 8080]] {
        let own = ["192.0.2.10".parse().unwrap()];
        let both = ports.map(|port| Traffic::new(6, port, Role::Server).on(&own));
        assert_eq!(judge(&saved(published), &both).closed.len(), 1, "{ports:?}");
    }
}

/// One rule of nft's JSON in `inet filter`; `handle` is its number.
fn rule(chain: &str, handle: u32, expr: &str) -> String {
    format!(
        r#"{{"rule":{{"family":"inet","table":"filter","chain":"{chain}","handle":{handle},"expr":[{expr}]}}}}"#
    )
}

fn nft(rules: &[String]) -> Program {
    let base = |name: &str| {
        format!(
            r#"{{"chain":{{"family":"inet","table":"filter","name":"{name}","handle":1,"type":"filter","hook":"{name}","prio":0,"policy":"drop"}}}}"#
        )
    };
    let json = format!(
        r#"{{"nftables":[{{"table":{{"family":"inet","name":"filter"}}}},{},{},{{"chain":{{"family":"inet","table":"filter","name":"services"}}}},{}]}}"#,
        base("input"),
        base("output"),
        rules.join(",")
    );
    let mut program = Program::default();
    read_json(json.as_bytes(), &mut program).unwrap();
    program
}

const INVALID_DROP: &str =
    r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":"invalid"}},{"drop":null}"#;
const KNOWN: &str = r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}},{"accept":null}"#;
const NEW: &str = r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":"new"}}"#;
const DPORT: &str = r#"{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":{"set":[80,443]}}}"#;

#[test]
fn that_a_flow_table_no_longer_takes_a_port_is_said_in_the_words_of_nft() {
    let base = r#"{"chain":{"family":"inet","table":"filter","name":"forward","handle":1,"type":"filter","hook":"forward","prio":0,"policy":"accept"}}"#;
    let flow = rule("forward", 2, r#"{"flow":{"op":"add","flowtable":"@f"}}"#);
    let table = r#"{"table":{"family":"inet","name":"filter"}}"#;
    let mut program = Program::default();
    let json = format!(r#"{{"nftables":[{table},{base},{flow}]}}"#);
    read_json(json.as_bytes(), &mut program).unwrap();
    let judgement = judge(&program, [&Traffic::new(6, 443, Role::Forward)]);
    let notes: Vec<String> = judgement.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "its connections are not offloaded any more, so each of their packets goes through the rules: \
             nft inet filter forward: flow add @f"
        ]
    );
    assert!(judgement.needs.is_empty(), "{judgement:?}");
}

#[test]
fn both_directions_and_errors_about_them_are_let_pass_where_they_would_be_dropped() {
    let program = nft(&[
        rule("input", 3, INVALID_DROP),
        rule("input", 4, KNOWN),
        rule("input", 5, &format!(r#"{DPORT},{NEW},{{"accept":null}}"#)),
        rule("output", 6, KNOWN),
    ]);
    let judgement = served(&program, 443);
    assert_eq!(
        rules(&judgement),
        [
            "input 2: tcp dport 443 ct state untracked accept comment \"plimsoll: tcp/443\"",
            "output 0: tcp sport 443 ct state untracked accept comment \"plimsoll: tcp/443\"",
            "input 0: icmp type destination-unreachable icmp code 4 ct state invalid accept comment \"plimsoll: tcp/443 2\"",
            "input 0: icmpv6 type packet-too-big ct state invalid accept comment \"plimsoll: tcp/443 3\"",
        ],
        "{judgement:?}"
    );
    let handles: Vec<_> = judgement.accepts.iter().map(|a| a.handle).collect();
    assert_eq!(handles, [Some(5), Some(6), Some(3), Some(3)]);
}

#[test]
fn a_second_remedy_does_not_lean_on_the_rules_of_the_first_which_may_be_taken_back_alone() {
    let error = |comment: &str| {
        format!(
            r#"{{"rule":{{"family":"inet","table":"filter","chain":"input","handle":9,"comment":"{comment}","expr":[
               {{"match":{{"op":"==","left":{{"payload":{{"protocol":"icmp","field":"type"}}}},"right":"destination-unreachable"}}}},
               {{"match":{{"op":"==","left":{{"payload":{{"protocol":"icmp","field":"code"}}}},"right":4}}}},
               {{"match":{{"op":"in","left":{{"ct":{{"key":"state"}}}},"right":"invalid"}}}},
               {{"accept":null}}]}}}}"#
        )
    };
    let errors = |comment: &str| {
        let program = nft(&[
            error(comment),
            rule("input", 3, INVALID_DROP),
            rule("input", 4, KNOWN),
            rule("input", 5, &format!(r#"{DPORT},{NEW},{{"accept":null}}"#)),
        ]);
        let judgement = served(&program, 443);
        rules(&judgement).iter().filter(|r| r.contains("icmp type")).count()
    };
    assert_eq!(errors("plimsoll: tcp/443 2"), 0, "its own, once more");
    assert_eq!(errors("ours"), 0, "the firewall's own");
    assert_eq!(errors("plimsoll: tcp/80"), 1);
    assert_eq!(errors("plimsoll: tcp/4430"), 1);
}

#[test]
fn a_jump_for_new_connections_is_asked_again_and_the_rules_behind_it_are_too() {
    let program = nft(&[
        rule("input", 3, KNOWN),
        rule("input", 4, &format!(r#"{NEW},{{"jump":{{"target":"services"}}}}"#)),
        rule(
            "services",
            5,
            r#"{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"192.0.2.66"}},{"drop":null}"#,
        ),
        rule("services", 6, &format!(r#"{DPORT},{NEW},{{"accept":null}}"#)),
    ]);
    let judgement = served(&program, 443);
    assert_eq!(
        rules(&judgement)[..2],
        [
            "input 1: tcp dport 443 ct state untracked jump services comment \"plimsoll: tcp/443\"",
            "services 1: tcp dport 443 ct state untracked accept comment \"plimsoll: tcp/443\"",
        ],
        "who is banned stays banned: {judgement:?}"
    );
}

#[test]
fn rules_that_let_untracked_packets_pass_need_nothing() {
    let open = nft(&[
        rule("input", 3, &format!(r#"{DPORT},{{"accept":null}}"#)),
        rule("output", 4, r#"{"accept":null}"#),
    ]);
    let judgement = served(&open, 443);
    assert_eq!(
        (judgement.accepts.len(), judgement.blocked.len(), judgement.closed.len()),
        (0, 0, 0)
    );
}

#[test]
fn a_limit_on_new_connections_can_not_be_asked_again() {
    let limit = r#"{"limit":{"rate":5,"burst":5,"per":"second"}}"#;
    let program = nft(&[
        rule("input", 3, KNOWN),
        rule("input", 4, &format!(r#"{DPORT},{NEW},{limit},{{"accept":null}}"#)),
    ]);
    let judgement = served(&program, 443);
    assert!(
        judgement.blocked[0].starts_with("a rule limits how fast new connections come"),
        "{judgement:?}"
    );
}

#[test]
fn what_needs_the_tracking_is_named_and_how_sure_it_is() {
    let nat = "*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443
-A DOCKER -d 198.51.100.7/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp -m tcp --dport 22 -m connlimit --connlimit-above 5 -j REJECT
-A INPUT -p tcp -m tcp --dport 25 -j ACCEPT
COMMIT
";
    let program = saved(nat);
    let needs = |port| -> Vec<(String, bool)> {
        served(&program, port)
            .needs
            .iter()
            .map(|n| (n.sentence().to_string(), n.is_sure()))
            .collect()
    };
    let docker = "iptables nat: -A DOCKER ! -i docker0 -p tcp -m tcp --dport 443 -j DNAT --to-destination \
                  172.17.0.2:443";
    assert_eq!(
        needs(443),
        [(
            format!(
                "it may come to a rule that rewrites its addresses, which only happens to tracked packets: {docker}"
            ),
            false
        )]
    );
    assert_eq!(needs(80), [], "that address is another host's");
    assert_eq!(needs(25), []);
    assert!(needs(22)[0].0.contains("counts its connections"), "{:?}", needs(22));
}

/// A rule that sends port 80 to 8080 leaves the answers of 8080 to be put right: untracked they would come from the wrong port.
#[test]
fn a_port_that_others_are_sent_to_needs_its_tracking() {
    let of = |rule: &str| {
        saved(&format!("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING {rule}\nCOMMIT\n"))
    };
    let needs = |rule: &str, role| -> Vec<bool> {
        let own = ["192.0.2.10".parse().unwrap()];
        let judgement = judge(&of(rule), [&Traffic::new(6, 8080, role).on(&own)]);
        judgement.needs.iter().map(|need| need.is_sure()).collect()
    };
    let all: &[(&str, &[bool], &[bool])] = &[
        ("-p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080", &[true], &[]),
        ("-p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8081", &[], &[]),
        ("-p udp -m udp --dport 80 -j REDIRECT --to-ports 8080", &[], &[]),
        ("-d 198.51.100.7 -p tcp -j DNAT --to-destination 192.0.2.10:8000-8080", &[true], &[false]),
        ("-d 198.51.100.7 -p tcp -j DNAT --to-destination 10.0.0.9:8080", &[], &[true]),
        (
            "-d 198.51.100.7 -p tcp -j DNAT --to-destination 192.0.2.0-192.0.2.99:8080",
            &[false],
            &[false],
        ),
        // One that keeps the port sends there what was bound for it, to another address.
        (
            "-d 198.51.100.7 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.0.2.10",
            &[true],
            &[false],
        ),
        ("-d 198.51.100.7 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.0.2.10", &[], &[]),
    ];
    for (rule, server, forward) in all {
        assert_eq!(needs(rule, Role::Server), *server, "{rule}, server");
        assert_eq!(needs(rule, Role::Forward), *forward, "{rule}, forward");
    }
    let rule = "-p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080";
    assert_eq!(
        served(&of(rule), 8080).needs[0].sentence(),
        format!(
            "a rule sends other connections to it, and only tracked answers find their way back: iptables nat: -A \
             PREROUTING {rule}"
        )
    );
}

#[test]
fn a_port_that_nft_sends_others_to_needs_its_tracking() {
    const WEB: &str =
        r#"{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},"right":80}}"#;
    let needs = |map: &str, statement: &str| -> Vec<bool> {
        let json = format!(
            r#"{{"nftables":[{{"table":{{"family":"ip","name":"nat"}}}},
            {{"chain":{{"family":"ip","table":"nat","name":"p","type":"nat","hook":"prerouting","prio":-100,"policy":"accept"}}}},
            {{"map":{{"family":"ip","table":"nat","name":"m","type":"inet_service","map":"ipv4_addr . inet_service","elem":[{map}]}}}},
            {{"rule":{{"family":"ip","table":"nat","chain":"p","handle":3,"expr":[{WEB},{statement}]}}}}]}}"#
        );
        let mut program = Program::default();
        read_json(json.as_bytes(), &mut program).unwrap();
        served(&program, 8080).needs.iter().map(|need| need.is_sure()).collect()
    };
    let dnat = |of: &str| format!(r#"{{"dnat":{{"family":"ip","addr":{of}}}}}"#);
    let random = r#"{"map":{"key":{"numgen":{"mode":"random","mod":2,"offset":0}},"data":{"set":[[0,{"concat":["10.0.0.9",80]}],[1,{"concat":["192.0.2.10",8080]}]]}}}"#;
    let named = |name: &str| {
        format!(
            r#"{{"map":{{"key":{{"payload":{{"protocol":"tcp","field":"dport"}}}},"data":"@{name}"}}}}"#
        )
    };
    let element = r#"[80,{"concat":["192.0.2.10",8080]}]"#;
    assert_eq!(needs("", r#"{"redirect":{"port":8080}}"#), [true]);
    assert!(needs("", r#"{"redirect":{"port":{"range":[8000,8079]}}}"#).is_empty());
    assert_eq!(needs("", &dnat(random)), [false], "one of them is another host's");
    assert_eq!(needs(element, &dnat(&named("m"))), [true]);
    assert_eq!(needs("", &dnat(&named("unknown"))), [false]);
    assert!(needs("", r#"{"dnat":{"addr":"10.0.0.9","port":8080}}"#).is_empty());
}

#[test]
fn what_a_client_hears_is_let_in_only_as_an_answer() {
    let program = nft(&[rule("input", 3, KNOWN), rule("output", 4, r#"{"accept":null}"#)]);
    let own = ["192.0.2.10".parse().unwrap()];
    let of = |protocol, port| {
        rules(&judge(&program, [&Traffic::new(protocol, port, Role::Client).on(&own)]))[0].clone()
    };
    assert_eq!(
        of(6, 443),
        "input 0: tcp sport 443 tcp flags & (fin|syn|rst|ack) != syn ct state untracked accept comment \"plimsoll: \
         tcp/443\""
    );
    assert_eq!(
        of(17, 53),
        "input 0: udp sport 53 udp dport 32768-60999 ct state untracked accept comment \"plimsoll: udp/53\""
    );
    // What its own kernel gives out.
    let traffic = Traffic::new(17, 53, Role::Client).on(&own).from_ports((10_000, 30_000));
    let judgement = judge(&program, [&traffic]);
    assert!(rules(&judgement)[0].contains("udp dport 10000-30000 ct state untracked accept"));
    assert_eq!(judgement.accepts[0].heard_at, Some((10_000, 30_000)));
}

#[test]
fn an_error_is_let_pass_ahead_of_a_drop_though_the_accept_stands_in_another_chain() {
    let program = saved(
        "*filter
:INPUT DROP [0:0]
:known - [0:0]
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -j known
-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
-A known -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
",
    );
    let judgement = served(&program, 443);
    assert_eq!(
        rules(&judgement)[0],
        "INPUT 0: -p icmp -m icmp --icmp-type 3/4 -m conntrack --ctstate INVALID -m comment --comment \"plimsoll: \
         tcp/443\" -j ACCEPT",
        "{judgement:?}"
    );
}

#[test]
fn loops_and_depth_end() {
    let mut text = String::from("*filter\n:INPUT DROP [0:0]\n-A INPUT -j c0\n");
    for i in 0..3000 {
        text.push_str(&format!("-A c{i} -j c{}\n", i + 1));
    }
    text.push_str("-A c3000 -j c0\n-A c7 -m state --state NEW -j c7\nCOMMIT\n");
    let judgement = served(&saved(&text), 443);
    assert!(judgement.accepts.len() < 100, "{judgement:?}");
}

#[test]
fn what_is_new_and_banned_stays_banned() {
    let program = nft(&[
        rule(
            "input",
            3,
            &format!(
                r#"{NEW},{{"match":{{"op":"==","left":{{"payload":{{"protocol":"ip","field":"saddr"}}}},"right":"192.0.2.66"}}}},{{"drop":null}}"#
            ),
        ),
        rule("input", 4, r#"{"accept":null}"#),
    ]);
    let judgement = served(&program, 443);
    assert_eq!(
        rules(&judgement),
        [
            "input 0: tcp dport 443 ct state untracked ip saddr 192.0.2.66 drop comment \"plimsoll: tcp/443\""
        ],
        "{judgement:?}"
    );
}

#[test]
fn words_that_could_be_more_than_words_are_not_repeated() {
    let program = saved(
        "*filter\n:INPUT DROP [0:0]\n-A INPUT -m set --match-set a\u{b}b src -p tcp -m state --state NEW -m tcp --dport 443 -j \
         ACCEPT\nCOMMIT\n",
    );
    let judgement = served(&program, 443);
    assert!(judgement.accepts.is_empty());
    assert!(judgement.blocked[0].contains("can't be asked again"), "{judgement:?}");
}

#[test]
fn what_is_shut_for_new_connections_ahead_of_all_stays_shut() {
    let program = saved(
        "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m conntrack --ctstate NEW -j DROP\nCOMMIT\n*filter\n:INPUT \
         ACCEPT [0:0]\nCOMMIT\n",
    );
    let judgement = served(&program, 443);
    assert_eq!(
        rules(&judgement),
        [
            "PREROUTING 0: -p tcp -m tcp --dport 443 -m conntrack --ctstate UNTRACKED -m comment --comment \"plimsoll: \
             tcp/443\" -j DROP"
        ],
        "{judgement:?}"
    );
    assert_eq!(judgement.closed.len(), 1);
}

#[test]
fn a_rule_that_lets_all_pass_that_is_not_tracked_opens_no_narrow_port() {
    let program = |door: &str| {
        saved(&format!(
            "*filter\n:INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED,UNTRACKED -j ACCEPT\n-A INPUT \
             {door} -j ACCEPT\nCOMMIT\n"
        ))
    };
    let narrow = served(&program("-s 10.0.0.0/8 -p tcp -m tcp --dport 443"), 443);
    assert_eq!(
        narrow.blocked,
        [
            "more would come through than today, by iptables filter: -A INPUT -m conntrack --ctstate \
          RELATED,ESTABLISHED,UNTRACKED -j ACCEPT"
        ],
    );
    let wide = served(&program("-p tcp -m tcp --dport 443"), 443);
    assert!(wide.blocked.is_empty(), "{wide:?}");
    assert!(wide.accepts.iter().all(|a| a.conditions.contains("icmp")), "{wide:?}");
}

#[test]
fn a_mark_that_new_connections_get_is_given_to_untracked_packets_as_well() {
    let program = saved(
        "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.0.0.0/8 -m conntrack --ctstate NEW -j MARK --set-xmark \
         0x1/0xffffffff\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A INPUT -m \
         mark --mark 0x1 -j ACCEPT\nCOMMIT\n",
    );
    let judgement = served(&program, 443);
    assert_eq!(
        rules(&judgement)[0],
        "PREROUTING 0: -p tcp -m tcp --dport 443 -m conntrack --ctstate UNTRACKED -s 10.0.0.0/8 -m comment --comment \
         \"plimsoll: tcp/443\" -j MARK --set-xmark 0x1/0xffffffff",
        "{judgement:?}"
    );
    assert!(judgement.blocked.is_empty(), "{judgement:?}");
    let kept = nft(&[
        rule(
            "input",
            3,
            &format!(
                r#"{NEW},{{"mangle":{{"key":{{"meta":{{"key":"mark"}}}},"value":{{"|":[{{"meta":{{"key":"mark"}}}},1]}}}}}}"#
            ),
        ),
        rule("input", 4, &format!(r#"{DPORT},{{"accept":null}}"#)),
        rule("output", 5, r#"{"accept":null}"#),
    ]);
    let judgement = served(&kept, 443);
    assert!(judgement.blocked[0].starts_with("what a rule writes on its packets"), "{judgement:?}");
}
