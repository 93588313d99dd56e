#![allow(clippy::unwrap_used)]
//! Against what the tools print on a real kernel: fixtures/rules/RECIPE.md.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../fixtures/rules/", $name))
    };
}

fn saved(text: &str) -> Ruleset {
    let mut rules = Ruleset::default();
    read_save(text, TableFamily::Ip, &mut rules);
    rules
}

fn nft(text: &str) -> Ruleset {
    let mut rules = Ruleset::default();
    read_nft(text, &mut rules);
    rules
}

fn json(text: &str) -> Ruleset {
    let mut rules = Ruleset::default();
    read_json(text.as_bytes(), &mut rules).unwrap();
    rules
}

/// The rule whose text holds this.
fn rule<'a>(rules: &'a Ruleset, part: &str) -> &'a Rule {
    let mut found = rules.rules.iter().filter(|r| r.text.contains(part));
    let first = found.next().unwrap_or_else(|| panic!("no rule with {part:?}: {rules:#?}"));
    assert_eq!(found.next(), None, "two rules with {part:?}");
    first
}

fn needs(rules: &Ruleset, part: &str) -> Vec<Need> {
    rule(rules, part).needs.clone()
}

const SAVED_NEEDS: &[(&str, &[Need])] = &[
    ("-m state --state RELATED,ESTABLISHED", &[Need::State]),
    ("-m state --state NEW -m tcp --dport 22", &[Need::State]),
    ("--ctstate UNTRACKED -j ACCEPT", &[Need::State]),
    ("-m connlimit", &[Need::Count]),
    ("-m connmark", &[Need::Mark]),
    ("-m connbytes", &[Need::Mark]),
    ("-m helper", &[Need::Helper]),
    ("-m cluster", &[Need::State]),
    ("-j SYNPROXY", &[Need::State, Need::SynProxy]),
    ("-j MASQUERADE", &[Need::Nat]),
    ("-j SNAT", &[Need::Nat]),
    ("-j DNAT", &[Need::Nat]),
    ("-j REDIRECT", &[Need::Nat]),
    ("-j NETMAP", &[Need::Nat]),
    ("-j CONNMARK", &[Need::Mark]),
    ("-j CONNSECMARK", &[Need::Mark]),
    ("-j CT --helper ftp", &[Need::Helper]),
    ("-j CT --zone 5", &[Need::Policy]),
    ("-j CT --timeout", &[Need::Policy]),
    // What does not need it, though its words look like it.
    ("--log-prefix \"ct state \"", &[]),
    ("-m socket", &[]),
    ("-j TPROXY", &[]),
    ("-j CT --notrack", &[]),
    ("-j NOTRACK", &[]),
    ("--reject-with icmp-host-prohibited", &[]),
];

#[test]
fn every_construct_of_both_iptables_is_told_apart() {
    for text in [
        fixture!("iptables-legacy-save"),
        fixture!("iptables-legacy-save_-c"),
        fixture!("iptables-nft-save_-c"),
    ] {
        let rules = saved(text);
        assert_eq!(rules.rules.len(), 30);
        for (part, wanted) in SAVED_NEEDS {
            assert_eq!(needs(&rules, part), *wanted, "{part}");
        }
        assert_eq!(
            rules.needing().count(),
            SAVED_NEEDS.iter().filter(|n| !n.1.is_empty()).count() + 2
        );
    }
}

#[test]
fn the_back_end_and_the_family_are_read_from_the_heading() {
    let backend = |text| saved(text).rules[0].backend;
    assert_eq!(backend(fixture!("iptables-legacy-save")), Backend::Legacy);
    assert_eq!(backend(fixture!("iptables-nft-save_-c")), Backend::IptablesNft);
    let six = saved(fixture!("ip6tables-legacy-save_-c"));
    assert!(six.rules.iter().all(|r| r.family == TableFamily::Ip6));
    assert_eq!(six.read, [(Backend::Legacy, TableFamily::Ip6)]);
}

#[test]
fn a_saved_rule_keeps_its_line_its_chain_its_ports_and_its_count() {
    let rules = saved(fixture!("iptables-legacy-save_-c"));
    let web = rule(&rules, "--dports");
    assert_eq!(web.ports, [80, 443, 8000, 8001, 8002, 8003]);
    assert_eq!(web.verdict, Verdict::Accept, "the DROP stands in a comment");
    assert!(web.text.starts_with("-A RH-Firewall-1-INPUT -p tcp -m multiport"));
    assert_eq!((web.table.as_str(), web.hook, web.packets), ("filter", None, Some(0)));
    assert_eq!(rule(&rules, "-A INPUT").hook, Some(Hook::Input));
    assert_eq!(rule(&rules, "! --dport 23").ports, [0_u16; 0]);
    assert_eq!(rule(&rules, "--sport 53").verdict, Verdict::Untrack);
    assert_eq!(rule(&rules, "CT --notrack").ports, [53]);
    assert_eq!(saved("*filter\n[12:345] -A INPUT -j DROP\n").rules[0].packets, Some(12));
    let forward = rules.chains.iter().find(|c| c.hook == Hook::Forward && c.table == "filter");
    assert_eq!(forward.unwrap().policy, Verdict::Drop);
}

#[test]
fn untracked_is_accepted_only_by_a_rule_that_says_so() {
    let rules = saved(fixture!("iptables-legacy-save"));
    let which: Vec<_> = rules.rules.iter().filter(|r| r.accepts_untracked()).collect();
    assert_eq!(which.len(), 1, "the SYNPROXY rule names UNTRACKED and accepts nothing");
    assert!(nft(fixture!("nft_list_ruleset")).accepts_untracked());
    assert!(
        !saved("-A INPUT -m comment --comment UNTRACKED -j ACCEPT").accepts_untracked()
            || saved("-A INPUT -m comment --comment UNTRACKED -j ACCEPT").rules[0].needs.is_empty()
    );
}

#[test]
fn the_firewall_file_of_centos_5_needs_state_in_each_service_line() {
    let rules = saved(fixture!("centos5-sysconfig-iptables"));
    assert_eq!(rules.needing().count(), 4);
    assert!(rules.needing().all(|r| r.needs == [Need::State]));
    assert_eq!(rule(&rules, "--dport 80").ports, [80]);
    assert!(!rules.has_nat());
}

#[test]
fn a_listing_says_the_same_as_the_save() {
    let mut rules = Ruleset::default();
    for (text, table) in [
        (fixture!("iptables_-vnxL"), "filter"),
        (fixture!("iptables_-t_nat_-nvL"), "nat"),
        (fixture!("iptables_-t_mangle_-nvL"), "mangle"),
        (fixture!("iptables_-t_raw_-nvL"), "raw"),
    ] {
        read_listing(text, Backend::Legacy, TableFamily::Ip, table, &mut rules);
    }
    let wanted = saved(fixture!("iptables-legacy-save_-c"));
    assert_eq!(rules.rules.len(), wanted.rules.len());
    for r in &rules.rules {
        // Within a chain the order is the same.
        let same = |x: &&Rule| x.table == r.table && x.chain == r.chain;
        let at = rules.rules.iter().filter(same).position(|x| x == r).unwrap();
        let w = wanted.rules.iter().filter(same).nth(at).unwrap();
        let sorted = |needs: &[Need]| {
            let mut all = needs.to_vec();
            all.sort_unstable();
            all
        };
        assert_eq!(
            (sorted(&r.needs), r.verdict, &r.ports, r.hook, r.packets),
            (sorted(&w.needs), w.verdict, &w.ports, w.hook, w.packets),
            "{} / {}",
            r.text,
            w.text
        );
    }
    assert_eq!(rules.chains.len(), wanted.chains.len());
}

#[test]
fn a_listing_without_exact_numbers_counts_in_thousands() {
    let mut rules = Ruleset::default();
    let text = "Chain INPUT (policy DROP 12M packets, 3G bytes)\n pkts bytes target prot opt in out source destination\n  15K 1024 DROP all -- * * 0.0.0.0/0 0.0.0.0/0 /* state NEW */\n";
    read_listing(text, Backend::Legacy, TableFamily::Ip, "filter", &mut rules);
    assert_eq!(rules.rules[0].packets, Some(15_000));
    assert_eq!(rules.rules[0].needs, []);
    assert_eq!(
        (rules.chains[0].policy, rules.chains[0].packets),
        (Verdict::Drop, Some(12_000_000))
    );
}

const NFT_NEEDS: &[(&str, &[Need])] = &[
    ("ct state vmap", &[Need::State]),
    ("ct state untracked accept", &[Need::State]),
    ("@services ct state new", &[Need::State]),
    ("ct mark 0x", &[Need::Mark]),
    ("ct label 3", &[Need::Mark]),
    ("ct bytes", &[Need::Mark]),
    ("ct count over 20", &[Need::Count]),
    ("ct count over 100", &[Need::Count]),
    ("ct status dnat accept", &[Need::State]),
    ("ct direction original", &[Need::State]),
    ("ct helper \"ftp\"", &[Need::Helper]),
    ("synproxy mss 1460 wscale 7", &[Need::State, Need::SynProxy]),
    ("synproxy name", &[Need::SynProxy]),
    ("ct mark set", &[Need::Mark]),
    ("ct zone set 5", &[Need::Policy]),
    ("ct helper set", &[Need::Helper]),
    ("ct timeout set", &[Need::Policy]),
    ("ct expectation set", &[Need::Policy]),
    ("dnat to", &[Need::Nat]),
    ("redirect to", &[Need::Nat]),
    ("masquerade", &[Need::Nat]),
    ("snat to", &[Need::Nat]),
    // Objects that need it by being there.
    ("ct helper ftp-standard", &[Need::Helper]),
    ("ct timeout aggressive", &[Need::Policy]),
    ("ct expectation fixed", &[Need::Policy]),
    ("synproxy https", &[Need::SynProxy]),
    // What does not.
    ("udp dport 53 notrack", &[]),
    ("udp sport 53 notrack", &[]),
    ("socket transparent", &[]),
    ("log prefix", &[]),
    ("tcp dport vmap @doors", &[]),
    ("ether type arp", &[]),
];

#[test]
fn every_construct_of_nft_is_told_apart() {
    for text in
        [fixture!("nft_list_ruleset"), fixture!("nft_-a_list_ruleset"), fixture!("constructs.nft")]
    {
        let rules = nft(text);
        for (part, wanted) in NFT_NEEDS {
            assert_eq!(needs(&rules, part), *wanted, "{part}");
        }
    }
}

#[test]
fn nft_with_handles_and_without_reads_the_same() {
    assert_eq!(nft(fixture!("nft_list_ruleset")), nft(fixture!("nft_-a_list_ruleset")));
}

#[test]
fn nft_chains_keep_hook_priority_and_policy() {
    let rules = nft(fixture!("nft_list_ruleset"));
    let about: Vec<_> = rules
        .chains
        .iter()
        .map(|c| (c.table.as_str(), c.chain.as_str(), c.hook, c.priority, c.policy))
        .collect();
    assert_eq!(about[0], ("filter", "input", Hook::Input, Some(0), Verdict::Drop));
    assert_eq!(about[1], ("filter", "forward", Hook::Forward, Some(10), Verdict::Accept));
    assert_eq!(about[2], ("filter", "raw", Hook::Prerouting, Some(-300), Verdict::Accept));
    assert_eq!(about.len(), 9);
    assert_eq!(rule(&rules, "ct mark set").hook, None);
    assert_eq!(rule(&rules, "ct mark set").chain, "custom");
}

#[test]
fn nft_ports_are_found_in_groups_named_sets_and_maps() {
    let rules = nft(fixture!("nft_list_ruleset"));
    assert_eq!(rule(&rules, "@services").ports[..7], [22, 80, 443, 8000, 8001, 8002, 8003]);
    assert_eq!(rule(&rules, "@services").ports.len(), 17);
    assert_eq!(rule(&rules, "2222").ports, [2222, 3333, 3334, 3335]);
    assert_eq!(rule(&rules, "@doors").ports, [25, 587]);
    assert_eq!(rule(&rules, "7001").ports, [7001, 7002, 7003, 7004, 7005, 7006]);
    assert_eq!(rule(&rules, "!= 23").ports, [0_u16; 0]);
}

#[test]
fn nft_s_json_says_the_same_as_its_text() {
    let (text, json) = (nft(fixture!("nft_list_ruleset")), json(fixture!("nft_-j_list_ruleset")));
    let tracked = |rules: &Ruleset| -> Vec<_> {
        rules.chains.iter().filter(|c| c.family != TableFamily::Other).cloned().collect()
    };
    assert_eq!(tracked(&text), tracked(&json));
    assert_eq!(text.chains.len(), json.chains.len());
    let in_chains = |rules: &Ruleset| -> Vec<_> {
        rules
            .rules
            .iter()
            .filter(|r| !r.chain.is_empty())
            .map(|r| {
                (r.chain.clone(), r.needs.clone(), r.verdict, r.ports.clone(), r.packets, r.hook)
            })
            .collect()
    };
    let (mut a, mut b) = (in_chains(&text), in_chains(&json));
    a.sort();
    b.sort();
    assert_eq!(a, b);
    for (part, wanted) in NFT_NEEDS.iter().filter(|(part, _)| !part.contains('"')) {
        let found = json.rules.iter().find(|r| r.text.contains(part));
        assert!(found.is_none_or(|r| r.needs == *wanted), "{part}: {found:?}");
    }
    assert_eq!(
        rule(&json, "ct count over 20").text,
        "ct count over 20 reject with icmpx port-unreachable"
    );
}

#[test]
fn a_rule_of_nft_s_json_is_shown_as_nft_lists_it() {
    let (text, json) =
        (nft(fixture!("expressions.nft_list_ruleset")), json(fixture!("expressions.json")));
    assert_eq!(text.rules.len(), json.rules.len());
    // The JSON has no quotes, and numbers where the text has hexadecimal or spans; of a log the prefix is enough.
    let bare = |rule: &Rule| rule.text.replace('"', "");
    let pairs = text.rules.iter().zip(&json.rules).map(|(a, b)| (bare(a), bare(b)));
    let differing: Vec<_> = pairs.filter(|(a, b)| a != b).collect();
    let known = |text: &str| ["mark", "log prefix", "expiration"].iter().any(|w| text.contains(w));
    assert!(differing.iter().all(|(text, _)| known(text)), "{differing:#?}");
    assert!(json.rules.iter().all(|r| !r.text.contains('{') || r.text.contains("{ ")), "no JSON");
}

#[test]
fn rules_of_iptables_nft_are_known_as_such_in_nft_s_listing() {
    let rules = nft(fixture!("iptables-nft.nft_list_ruleset"));
    assert!(rules.rules.iter().all(|r| r.backend == Backend::IptablesNft));
    let wanted: &[(&str, &[Need], Verdict)] = &[
        ("8000-8003", &[Need::State], Verdict::Accept),
        ("connlimit", &[Need::Count], Verdict::Reject),
        ("xt target NETMAP", &[Need::Nat], Verdict::Other),
        ("xt target CONNSECMARK", &[Need::Mark], Verdict::Other),
        ("ct mark and", &[Need::Mark], Verdict::Accept),
        ("ct packets", &[Need::Mark], Verdict::Accept),
        ("jhash ct original", &[Need::State], Verdict::Accept),
        ("tcp dport 21 counter xt target CT", &[Need::Policy], Verdict::Other),
        ("udp dport 53", &[], Verdict::Untrack),
        ("xt match socket", &[], Verdict::Accept),
    ];
    for (part, needs, verdict) in wanted {
        let r = rule(&rules, part);
        assert_eq!((r.needs.as_slice(), r.verdict), (*needs, *verdict), "{part}");
    }
    let json = json(fixture!("iptables-nft.json"));
    assert_eq!(json.rules.len(), rules.rules.len());
    assert!(json.rules.iter().all(|r| r.backend == Backend::IptablesNft));
}

#[test]
fn an_empty_ruleset_is_known_to_be_empty() {
    for rules in [nft(""), json(r#"{"nftables": [{"metainfo": {"version": "1.0.6"}}]}"#)] {
        assert!(rules.rules.is_empty());
        assert!(rules.read.contains(&(Backend::Nft, TableFamily::Inet)));
        assert!(!rules.complete(), "legacy was not looked at");
    }
}

#[test]
fn scripts_of_a_careless_hand_are_understood() {
    let rules = nft("#!/usr/sbin/nft -f\nflush ruleset\ndefine web = { 80, 443 }\n\
         table inet f { set s { type inet_service; elements = { 22,\n 80 } }\n chain input { type filter hook input priority 0; policy drop; \
         tcp dport @s ct state new accept; # ct mark 1\n ct state \\\n established accept\n } }\n\
         add rule inet f input tcp dport { 25 } ct state new drop\nadd rule f c masquerade\n");
    let about: Vec<_> =
        rules.rules.iter().map(|r| (r.table.as_str(), r.chain.as_str(), r.text.as_str())).collect();
    assert_eq!(
        about,
        [
            ("f", "input", "tcp dport @s ct state new accept"),
            ("f", "input", "ct state established accept"),
            ("f", "input", "tcp dport { 25 } ct state new drop"),
            ("f", "c", "masquerade"),
        ]
    );
    assert_eq!(rules.rules[0].ports, [22, 80]);
    assert_eq!(rules.rules[2].ports, [25]);
    assert_eq!(rules.chains[0].policy, Verdict::Drop);
}

#[test]
fn names_that_look_like_words_of_conntrack_are_names() {
    let rules = nft(
        "table inet dnat {\n chain ct {\n jump snat\n goto masquerade\n iifname \"ct\" accept comment \"ct state\"\n ct status snat,dnat drop\n ct status { snat, dnat } accept\n ct status snat | dnat == dnat counter\n }\n}\n",
    );
    let needs: Vec<_> = rules.rules.iter().map(|r| r.needs.clone()).collect();
    assert_eq!(needs, [&[][..], &[], &[], &[Need::State], &[Need::State], &[Need::State]]);
    assert_eq!(rules.rules[3].verdict, Verdict::Drop);
}

#[test]
fn the_text_of_a_rule_is_the_same_whatever_it_has_counted() {
    let read = |n: u32| {
        let rules = nft(&alloc::format!(
            "table ip t {{\n chain c {{\n counter packets {n} bytes {n}\n tcp dport 1 counter packets {n} bytes {n} drop comment \"counter packets x bytes\"\n }}\n}}\n"
        ));
        (rules.rules[0].text.clone(), rules.rules[1].text.clone(), rules.rules[1].packets)
    };
    let wanted = "tcp dport 1 counter drop comment \"counter packets x bytes\"".to_string();
    assert_eq!(read(7), ("counter".into(), wanted.clone(), Some(7)));
    assert_eq!(read(123), ("counter".into(), wanted, Some(123)));
}

#[test]
fn an_nft_without_the_libraries_of_x_tables_is_understood() {
    let rules = nft(
        "table ip filter {\n chain INPUT {\n type filter hook input priority 0; policy accept;\n # xt_conntrack counter packets 7 bytes 8 accept\n counter packets 1 bytes 2 # xt_MASQUERADE\n }\n}\n",
    );
    assert_eq!(rules.rules[0].needs, [Need::State]);
    assert_eq!((rules.rules[0].packets, rules.rules[0].verdict), (Some(7), Verdict::Accept));
    assert_eq!(rules.rules[1].needs, [Need::Nat]);
}

#[test]
fn a_node_with_a_million_rules_does_not_fill_the_memory() {
    let mut text = "*filter\n".to_string();
    for _ in 0..RULES + 500 {
        text.push_str("-A INPUT -j ACCEPT\n");
    }
    text.push_str("*nat\n-A POSTROUTING -j MASQUERADE\n-A POSTROUTING -j SNAT\n");
    let rules = saved(&text);
    assert_eq!(rules.rules.len(), RULES + 1, "the first rule that rewrites is new");
    assert_eq!(rules.left_out, 501, "the second one is not");
    assert!(rules.has_nat());
}

#[test]
fn no_text_is_so_broken_that_it_costs_the_rest() {
    let rules =
        saved("*\n:\n[\n[1:\n-A\n-A INPUT -m\n-A INPUT -j\n-A INPUT \"\n-A INPUT -m state -j DROP");
    assert_eq!(rules.needing().count(), 1);
    let rules = nft(
        "}}}\ntable\n{ { \"\n}\ntable ip t {\n chain c {\n ct\n xt\n tcp dport\n tcp dport {\n }\n ct state new\n }\n}",
    );
    assert!(rules.needing().count() >= 1);
    let mut rules = Ruleset::default();
    assert!(
        read_json(
            b"{\"nftables\": [{\"rule\": {\"family\": \"ip\", \"expr\": [{\"ct count\": {}}]}}, 3",
            &mut rules
        )
        .is_err()
    );
    assert_eq!(rules.needing().count(), 1, "what came before is kept");
}
