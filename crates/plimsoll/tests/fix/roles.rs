//! A port that is not tracked any more, by what the host is to it: server, client or router; TCP and UDP, both families,
//! rules of nft, of iptables on nf_tables, of iptables of old. The table is full of others' entries, so whoever needs one
//! is dropped.

use std::net::SocketAddr;
use std::time::Duration;

use plimsoll_ct::Entries;
use plimsoll_lab::HostLimit;

use crate::middle::{By, Middle, Service, goes_on};
use crate::remedies::SMALL;
use crate::support::{root, turn, until};

/// New connections that must come about.
const VISITORS: usize = 20;

/// The whole course: full, dropped; cured, served; taken back.
fn cured(middle: &Middle, service: &Service<'_>, arguments: &[&str]) {
    // Neighbours find each other first.
    until("somebody is served", || service.serves());
    let mut talk = service.connect();
    let old = middle.everything();
    middle.fill();
    let dropped = middle.drops(|| assert!(!service.serves(), "nobody new is served"));
    assert!(dropped > 0, "it is the table");
    let said = middle.fix(arguments);
    assert!(said.contains("get no entry, in both directions"), "{said}");
    let dropped = middle.drops(|| {
        let served = (0..VISITORS).filter(|_| service.serves()).count();
        assert_eq!(served, VISITORS, "{said}\n{}", middle.everything());
        if let Some(talk) = &mut talk {
            goes_on(talk);
        }
    });
    assert_eq!(dropped, 0, "none after");
    // There is room again, so what is open can be tracked again.
    middle.host.run("conntrack", &["-F"]);
    middle.undo();
    assert_eq!(middle.everything(), old);
    if let Some(talk) = &mut talk {
        goes_on(talk);
    }
    assert!(service.serves(), "and after");
}

/// A small table is quick to fill; where somebody on the machine holds more, it is the machine's own.
fn limited() -> HostLimit {
    let patience = Duration::from_secs(300);
    let small = HostLimit::claim(Some(Entries(SMALL)), patience);
    small.or_else(|_| HostLimit::claim(None, patience)).expect("the limit is had")
}

#[test]
fn a_router_passes_a_port_on_without_entries() {
    if !root() {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for (by, six) in [(By::Nft, false), (By::Legacy, true)] {
        let rule = match by {
            By::Nft => "iifname m1 tcp dport 8080".to_owned(),
            By::IptablesNft | By::Legacy => "-i m1 -p tcp -m tcp --dport 8080".to_owned(),
        };
        let middle = Middle::new("through", six, by, &[("forward", rule)]);
        let at = SocketAddr::new(middle.address(2, 2), 8080);
        let service = Service::new(&middle.client, &middle.server, at, false);
        cured(&middle, &service, &["bypass", "tcp/8080", "--role", "forward"]);
    }
}

#[test]
fn a_proxy_asks_its_backend_without_entries() {
    if !root() {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for (by, six) in [(By::Nft, true), (By::IptablesNft, false)] {
        let rule = match by {
            By::Nft => "tcp dport 9000".to_owned(),
            By::IptablesNft | By::Legacy => "-p tcp -m tcp --dport 9000".to_owned(),
        };
        let middle = Middle::new("asks", six, by, &[("output", rule)]);
        let at = SocketAddr::new(middle.address(2, 2), 9000);
        let service = Service::new(&middle.host, &middle.server, at, false);
        cured(&middle, &service, &["bypass", "tcp/9000", "--role", "client"]);
    }
}

#[test]
fn a_name_server_answers_without_entries() {
    if !root() {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for (by, six) in [(By::Nft, false), (By::Legacy, false)] {
        let rule = match by {
            By::Nft => "ip saddr 10.77.0.0/16 udp dport 53".to_owned(),
            By::IptablesNft | By::Legacy => "-s 10.77.0.0/16 -p udp -m udp --dport 53".to_owned(),
        };
        let middle = Middle::new("names", six, by, &[("input", rule)]);
        let at = SocketAddr::new(middle.address(1, 1), 53);
        let service = Service::new(&middle.client, &middle.host, at, true);
        cured(&middle, &service, &["bypass", "udp/53"]);
    }
}

#[test]
fn a_server_of_the_younger_family_serves_without_entries() {
    if !root() {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for by in [By::Nft, By::IptablesNft, By::Legacy] {
        let rule = match by {
            By::Nft => "ip6 saddr fd77::/16 tcp dport 443".to_owned(),
            By::IptablesNft => "-s fd77::/16 -p tcp -m tcp --dport 443".to_owned(),
            By::Legacy => "-p tcp -m multiport --dports 80,443".to_owned(),
        };
        let middle = Middle::new("six", true, by, &[("input", rule)]);
        let at = SocketAddr::new(middle.address(1, 1), 443);
        let service = Service::new(&middle.client, &middle.host, at, false);
        cured(&middle, &service, &["bypass", "tcp/443"]);
    }
}

/// Datagrams: asked of others, and passed on.
#[test]
fn name_servers_are_asked_and_reached_without_entries() {
    if !root() {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for (by, six, role) in [
        (By::Legacy, true, "client"),
        (By::IptablesNft, false, "forward"),
        (By::Nft, true, "forward"),
    ] {
        let (hook, asks) = if role == "client" { ("output", 0) } else { ("forward", 1) };
        let rule = match by {
            By::Nft => "udp dport 53".to_owned(),
            By::IptablesNft | By::Legacy => "-p udp -m udp --dport 53".to_owned(),
        };
        let middle = Middle::new("asked", six, by, &[(hook, rule)]);
        let at = SocketAddr::new(middle.address(2, 2), 53);
        let service = Service::new([&middle.host, &middle.client][asks], &middle.server, at, true);
        cured(&middle, &service, &["bypass", "udp/53", "--role", role]);
    }
}

#[test]
fn a_peer_of_either_family_comes_in_by_its_lifeline_whatever_the_rules_are_written_by() {
    if !root() {
        return;
    }
    let _turn = turn();
    let _limit = limited();
    for (by, six) in [(By::Legacy, false), (By::IptablesNft, true), (By::Nft, true)] {
        let rule = match by {
            By::Nft => "tcp dport 22".to_owned(),
            By::IptablesNft | By::Legacy => "-p tcp -m tcp --dport 22".to_owned(),
        };
        let middle = Middle::new("line", six, by, &[("input", rule)]);
        let at = SocketAddr::new(middle.address(1, 1), 22);
        let service = Service::new(&middle.client, &middle.host, at, false);
        let peer = middle.address(1, 2).to_string();
        cured(&middle, &service, &["lifeline", "--peer", &peer, "--port", "22"]);
    }
}

/// Seconds that the entries of a port have left, the least first.
fn left(middle: &Middle, protocol: &str, port: &str) -> Vec<u64> {
    let family = if middle.six { "ipv6" } else { "ipv4" };
    let listed = ["-L", "-f", family, "-p", protocol, "--dport", port];
    let listed = middle.host.run("conntrack", &listed);
    let mut left: Vec<u64> =
        listed.lines().filter_map(|l| l.split_whitespace().nth(2)?.parse().ok()).collect();
    left.sort_unstable();
    left
}

/// A policy reaches new connections of its port and no others, in both families and by both ways of writing it.
#[test]
fn a_policy_is_given_to_what_begins_after_it_by_nft_and_by_xtables() {
    if !root() {
        return;
    }
    let _turn = turn();
    for (by, six) in [(By::Nft, true), (By::Legacy, false), (By::Legacy, true)] {
        let rules = match by {
            By::Nft => ["tcp dport 443", "udp dport 53"],
            By::IptablesNft | By::Legacy => {
                ["-p tcp -m tcp --dport 443", "-p udp -m udp --dport 53"]
            }
        };
        let middle = Middle::new("policy", six, by, &rules.map(|rule| ("input", rule.to_owned())));
        let at = |port| SocketAddr::new(middle.address(1, 1), port);
        let web = Service::new(&middle.client, &middle.host, at(443), false);
        let names = Service::new(&middle.client, &middle.host, at(53), true);
        until("a name is served", || names.serves());
        let mut before = web.connect().expect("it is served");
        middle.host.run("conntrack", &["-D", "-p", "udp"]);
        let old = middle.everything();
        middle.fix(&["timeout", "--port", "tcp/443", "established=8888"]);
        middle.fix(&["timeout", "--port", "udp/53", "unreplied=777"]);
        let mut after = web.connect().expect("it is served");
        goes_on(&mut before);
        goes_on(&mut after);
        assert!(names.serves());
        let (tcp, udp) = (left(&middle, "tcp", "443"), left(&middle, "udp", "53"));
        assert!(matches!(tcp[..], [8000..=8888, 400_000..=432_000]), "{by:?} {six}: {tcp:?}");
        assert!(matches!(udp[..], [600..=777]), "{by:?} {six}: {udp:?}");
        middle.undo();
        middle.undo();
        assert_eq!(middle.everything(), old);
        goes_on(&mut before);
        goes_on(&mut after);
    }
}

/// New datagram flows of one source beyond its number are dropped; those it has go on.
#[test]
fn one_source_asks_a_name_server_so_often_at_once_and_no_more() {
    if !root() {
        return;
    }
    let _turn = turn();
    for (by, six) in [(By::Nft, false), (By::Legacy, true)] {
        let rule = match by {
            By::Nft => "udp dport 53".to_owned(),
            By::IptablesNft | By::Legacy => "-p udp -m udp --dport 53".to_owned(),
        };
        let middle = Middle::new("many", six, by, &[("input", rule)]);
        let at = SocketAddr::new(middle.address(1, 1), 53);
        let service = Service::new(&middle.client, &middle.host, at, true);
        until("somebody is served", || service.serves());
        middle.host.run("conntrack", &["-D", "-p", "udp"]);
        let old = middle.everything();
        middle.fix(&["limit", "udp/53", "--per-source", "3"]);
        let served = (0..6).filter(|_| service.serves()).count();
        assert_eq!(served, 3, "{by:?} {six}");
        middle.undo();
        assert_eq!(middle.everything(), old);
        assert_eq!((0..6).filter(|_| service.serves()).count(), 6, "without it all are answered");
    }
}
