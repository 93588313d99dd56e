#![allow(clippy::unwrap_used)]

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use plimsoll_ct::{Accounting, Class, Entry, Family, Protocol, Seconds};
use plimsoll_wire::listing;
use plimsoll_wire::names;
use proptest::prelude::*;

use super::*;
use crate::{Direction, Locals, Names, Net, Netns, Owner, Surroundings, Tells, Timeouts};

fn names() -> Names {
    let services = "http 80/tcp www\nhttps 443/tcp\nhttps 443/udp\ndomain 53/tcp\ndomain 53/udp\n\
        rtelnet 107/tcp\nbootps 67/udp\n";
    Names::new(
        names::services(services),
        names::protocols("esp 50 IPSEC-ESP\nospf 89 OSPFIGP\n"),
        names::labels("1 web\n9 \"odd\n"),
    )
}

fn entry(line: &str) -> Entry {
    listing::parse(line.as_bytes()).unwrap().entry
}

fn tcp() -> Entry {
    entry(
        "tcp 6 431000 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=443 packets=5 \
         bytes=500 src=192.168.1.5 dst=10.0.0.1 sport=8443 dport=40000 packets=4 bytes=400 [ASSURED] \
         mark=21 zone=3 delta-time=7200 use=1",
    )
}

fn dns() -> Entry {
    entry(
        "udp 17 10 src=fd00::1 dst=fd00::2 sport=5353 dport=53 [UNREPLIED] src=fd00::2 dst=fd00::1 \
         sport=53 dport=5353 use=1",
    )
}

fn timeouts() -> Timeouts {
    Timeouts::new([
        ("nf_conntrack_tcp_timeout_established", 432_000),
        ("nf_conntrack_tcp_timeout_max_retrans", 300),
        ("net.netfilter.nf_conntrack_udp_timeout", 30),
    ])
}

fn judge(filter: &str, entry: &View<'_>) -> Truth {
    Filter::parse(filter, &names()).unwrap_or_else(|e| panic!("{e}")).judge(entry)
}

#[test]
fn each_word_of_the_language_means_what_it_says() {
    let around = Surroundings {
        netns: Some(Netns { inode: Some(4_026_532_000), names: vec!["web".into()] }),
        timeouts: timeouts(),
        locals: Some(Locals::new(vec!["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()])),
        tells: Tells { helper: true, labels: true, status: true },
    };
    let owner = Owner {
        pid: Some(77),
        process: Some("nginx".into()),
        unit: Some("nginx.service".into()),
        container: Some("front".into()),
        container_id: Some("0123456789abcdef".into()),
        pod: Some("kube-system/coredns-7f9-x".into()),
    };
    let owners = [owner];
    let mut tcp = tcp();
    let dns = dns();
    tcp.labels = Some([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let tcp = View { owners: Some(&owners), ..View::new(&tcp, &around) };
    let dns = View::new(&dns, &around);
    for (filter, of_tcp, of_dns) in [
        ("", true, true),
        ("tcp and dport 443 and state ESTABLISHED and assured", true, false),
        ("tcp && dport https && !unreplied", true, false),
        ("tcp dport 443", true, false),
        ("state established", true, false),
        ("state TIMEWAIT,estab-lished", true, false),
        ("src net 10.0.0.0/8", true, false),
        ("src 10.0.0.0/8", true, false),
        ("dst host 192.168.1.5", false, false),
        ("reply src 192.168.1.5", true, false),
        ("host 192.168.1.5", true, false),
        ("net fd00::/8", false, true),
        ("port 8443", true, false),
        ("orig port 8443", false, false),
        ("reply sport 8000-9000", true, false),
        ("src port 40000", true, false),
        ("src or dst host 10.0.0.2", true, false),
        ("dport domain", false, true),
        ("dport 1-100,443", true, true),
        ("age > 1h", true, false),
        ("age <= 2h", true, false),
        ("idle > 10m", true, false),
        ("idle = 16m40s", true, false),
        ("idle < 30s", false, true),
        ("expires < 30s", false, true),
        ("mark 21", true, false),
        ("mark 0x5/0xf", true, false),
        ("mark 1", false, false),
        ("zone 3", true, false),
        ("zone 0", false, true),
        ("label web", true, false),
        ("label 2", false, false),
        ("helper ftp", false, false),
        ("dnat", true, false),
        ("snat", false, false),
        ("nat", true, false),
        ("dnat to 192.168.1.5", true, false),
        ("dnat to 192.168.0.0/16:8443", true, false),
        ("dnat to :8443,[fd00::1]:80", true, false),
        ("dnat to 192.168.1.5:80", false, false),
        ("icmp", false, false),
        ("ipv6", false, true),
        ("proto 17", false, true),
        ("proto esp", false, false),
        ("evictable", false, true),
        ("class = protected", true, false),
        ("in", false, true),
        ("direction out,forward", true, false),
        ("netns web", true, true),
        ("netns w*", true, true),
        ("netns 4026532000", true, true),
        ("process nginx", true, false),
        ("process 77", true, false),
        ("unit nginx", true, false),
        ("unit nginx.service", true, false),
        ("container fro?t", true, false),
        ("container 012345", true, false),
        ("pod kube-system/coredns-*", true, false),
        ("pod coredns-*", true, false),
        ("pod \"coredns-7f9-x\"", true, false),
        ("packets >= 9 and bytes 900", true, false),
        ("bytes = 900 or unreplied", true, true),
        ("not (tcp or udp)", false, false),
        ("expected or dying or fixed", false, false),
    ] {
        if filter.starts_with("packets") {
            // An amount is compared: a bare number says nothing of how.
            assert!(Filter::parse(filter, &names()).is_err());
            continue;
        }
        assert_eq!(judge(filter, &tcp) == Truth::Yes, of_tcp, "{filter}: tcp");
        assert_eq!(judge(filter, &dns) == Truth::Yes, of_dns, "{filter}: dns");
    }
}

#[test]
fn what_is_not_known_is_neither_zero_nor_its_opposite() {
    let around = Surroundings::default();
    let bare = Entry { mark: None, age: None, ..dns() };
    let entry = View::new(&bare, &around);
    for filter in [
        "age < 1h",
        "not age < 1h",
        "idle < 1d",
        "bytes < 1",
        "mark 0",
        "label 1",
        "helper *",
        "not helper ftp",
        "netns host",
        "process x",
        "not process x",
        "in",
        "not in",
        "dying",
        "age > 1h and udp",
        "age > 1h or tcp",
    ] {
        assert_eq!(judge(filter, &entry), Truth::Unknown, "{filter}");
    }
    // What is known may decide all the same.
    assert_eq!(judge("age > 1h and tcp", &entry), Truth::No);
    assert_eq!(judge("age > 1h or udp", &entry), Truth::Yes);
    let mut lacks = Lacks::NONE;
    let filter = Filter::parse("age > 1h and mark 1 and udp", &names()).unwrap();
    assert_eq!(filter.judge_and_note(&entry, &mut lacks), Truth::Unknown);
    assert_eq!(lacks, Lacks::AGE | Lacks::MARK);
    assert_eq!(filter.needs(), Lacks::AGE | Lacks::MARK);
    let offloaded = Entry { expires: None, ..tcp() };
    assert_eq!(judge("expires < 1000000s", &View::new(&offloaded, &around)), Truth::Unknown);
}

#[test]
fn a_timeout_that_was_lowered_since_gives_no_idle_time() {
    let timeouts = Timeouts::new([("nf_conntrack_tcp_timeout_established", 600)]);
    assert_eq!(timeouts.idle(&tcp()), None);
    let timeouts = self::timeouts();
    let busy = Entry { expires: Some(Seconds(290)), ..tcp() };
    // 290 s left: either 10 s idle with data in flight, or nearly five days without. The former.
    assert_eq!(timeouts.idle(&busy), Some(Seconds(10)));
}

#[test]
fn what_may_have_come_out_of_a_flow_table_is_not_called_idle_for_days() {
    // As Linux 6.12, 6.18 and 7.3 show a connection that fell silent half a minute ago, after it was offloaded.
    let back = Entry { expires: Some(Seconds(86_337)), ..tcp() };
    assert_eq!(timeouts().idle(&back), Some(Seconds(432_000 - 86_337)), "without a flow table");
    let offload = timeouts().with_offload(true);
    assert_eq!(offload.idle(&back), Some(Seconds(0)));
    let old = Entry { expires: Some(Seconds(3_200)), ..tcp() };
    assert_eq!(offload.idle(&old), Some(Seconds(40_000)), "at least, whenever it came back");
    let never = Entry { expires: Some(Seconds(431_000)), ..tcp() };
    assert_eq!(offload.idle(&never), Some(Seconds(1_000)));
    let short = Timeouts::new([("nf_conntrack_tcp_timeout_established", 7_440)]);
    let waits = Entry { expires: Some(Seconds(440)), ..tcp() };
    assert_eq!(short.with_offload(true).idle(&waits), Some(Seconds(7_000)), "shorter than a day");
}

#[test]
fn nothing_is_idle_for_longer_than_it_exists() {
    let around = Surroundings { timeouts: timeouts(), ..Surroundings::default() };
    let made_now = Entry { expires: Some(Seconds(290)), age: Some(Seconds(9)), ..tcp() };
    assert_eq!(View::new(&made_now, &around).idle(), Some(Seconds(9)));
    let older = Entry { age: Some(Seconds(11)), ..made_now };
    assert_eq!(View::new(&older, &around).idle(), Some(Seconds(10)));
}

#[test]
fn an_error_points_at_the_place_and_names_the_nearest_word() {
    let complain = |text: &str| Filter::parse(text, &names()).unwrap_err().to_string();
    assert_eq!(
        complain("tcp and dprt 443"),
        "filter, column 9: expected a test, not \"dprt\"\n  tcp and dprt 443\n          ^^^^ did you mean \"dport\"?"
    );
    assert_eq!(
        complain("é or dport htps"),
        "filter, column 1: expected a test, not \"é\"\n  é or dport htps\n  ^"
    );
    // A character of Chinese takes two columns.
    assert_eq!(
        complain("process 网络 dprt 443"),
        "filter, column 12: expected a test, not \"dprt\"\n  process 网络 dprt 443\n               ^^^^ did you mean \"dport\"?"
    );
    assert_eq!(
        complain("网络 or dport htps"),
        "filter, column 1: expected a test, not \"网络\"\n  网络 or dport htps\n  ^^^^"
    );
    for (text, column, part) in [
        ("dport htps", 7, "did you mean \"https\"?"),
        ("state ESTABLISHD", 7, "did you mean \"ESTABLISHED\"?"),
        ("tcp and", 8, "here the filter ends"),
        ("(tcp", 1, "never closed"),
        ("tcp)", 4, "never opened"),
        ("age 1h", 5, "expected <"),
        ("age > soon", 7, "a span such as"),
        ("src net 10.0.0.0/40", 9, "an address or a net"),
        ("dport 80-70", 7, "ends before it begins"),
        ("dport 99999", 7, "0 to 65535"),
        ("mark x", 6, "a mark"),
        ("dport > 80", 7, "no order"),
        ("process and", 9, "must stand in quotes"),
        ("netns \"web", 7, "never closed"),
        ("tcp & udp", 5, "single"),
        ("tcp unreplid", 5, "did you mean \"unreplied\"?"),
        ("direction inn", 11, "did you mean \"in\"?"),
        ("label wbe", 7, "did you mean \"web\"?"),
        ("proto esq", 7, "did you mean \"esp\"?"),
        ("dnat to x", 9, "a target such as"),
        ("zone 70000", 6, "a zone"),
        ("orig tcp", 6, "expected src"),
    ] {
        let error = Filter::parse(text, &names()).unwrap_err();
        assert_eq!(error.column(), column, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let deep = "(".repeat(100_000);
    assert!(complain(&deep).contains("nested more than"));
    assert!(complain(&"not ".repeat(100_000)).contains("nested more than"));
}

#[test]
fn and_binds_more_than_or() {
    let parse = |text| Filter::parse(text, &names()).unwrap();
    assert_eq!(parse("tcp or udp and zone 3"), parse("tcp || (udp && zone 3)"));
    assert_eq!(parse("not tcp udp"), parse("(!tcp) and udp"));
    assert_eq!(parse("tcp or udp and not zone 3").to_string(), "tcp or udp and not zone 3");
    assert_eq!(parse("dport www , 53").to_string(), "dport www,53");
}

fn test() -> impl Strategy<Value = Test> {
    let net = (any::<IpAddr>(), 0..=128u8).prop_map(|(address, length)| Net::of(address, length));
    let nets = proptest::collection::vec(net, 1..3);
    let side_end = prop_oneof![
        Just((Side::Original, End::Source)),
        Just((Side::Original, End::Destination)),
        Just((Side::Original, End::Any)),
        Just((Side::Reply, End::Source)),
        Just((Side::Reply, End::Destination)),
        Just((Side::Reply, End::Any)),
        Just((Side::Any, End::Any)),
    ];
    let range = || any::<(u16, u16)>().prop_map(|(a, b)| (a.min(b), a.max(b)));
    let port = prop_oneof![
        range().prop_map(|(a, b)| Port::Range(a, b)),
        proptest::sample::select(vec!["http", "www", "https", "domain", "rtelnet"])
            .prop_map(|name| Port::Service { name: name.into(), places: names().places(name) }),
    ];
    let states: Vec<&'static str> = words::states().filter_map(words::state).collect();
    let net = (any::<IpAddr>(), 0..=128u8).prop_map(|(address, length)| Net::of(address, length));
    let target = (proptest::option::of(net), proptest::option::of(range()))
        .prop_filter("something", |(net, ports)| net.is_some() || ports.is_some())
        .prop_map(|(net, ports)| Target { net, ports });
    let comparison = || {
        proptest::sample::select(vec![
            Comparison::Less,
            Comparison::AtMost,
            Comparison::Greater,
            Comparison::AtLeast,
            Comparison::Equal,
            Comparison::Different,
        ])
    };
    let pick = proptest::sample::select::<Named>;
    let classes = vec![Class::Evictable, Class::Closing, Class::Protected];
    let name = prop_oneof!["[a-z0-9/*?.-]{1,9}", "\\PC{0,9}", Just(String::from("or"))];
    prop_oneof![
        proptest::sample::select(vec![Family::V4, Family::V6]).prop_map(Test::Family),
        any::<u8>().prop_map(|n| Test::Protocol(Protocol::from_number(n))),
        (side_end.clone(), nets).prop_map(|((side, end), nets)| Test::Address { side, end, nets }),
        (side_end, proptest::collection::vec(port, 1..4))
            .prop_map(|((side, end), ports)| Test::Port { side, end, ports }),
        proptest::collection::vec(proptest::sample::select(states), 1..3).prop_map(Test::State),
        proptest::sample::select(classes).prop_map(Test::Class),
        proptest::sample::select(words::FLAGS.to_vec()).prop_map(|(_, flag)| Test::Flag(flag)),
        (proptest::sample::select(words::NATS.to_vec()), proptest::collection::vec(target, 0..3))
            .prop_map(|((_, kind), to)| Test::Nat { kind, to }),
        proptest::collection::vec(proptest::sample::select(Direction::ALL.to_vec()), 1..3)
            .prop_map(Test::Direction),
        (proptest::sample::select(words::SPANS.to_vec()), comparison(), 0..=i64::MAX as u64)
            .prop_map(|((_, of), comparison, with)| Test::Span {
                of,
                comparison,
                with: Seconds(with)
            }),
        (proptest::sample::select(words::AMOUNTS.to_vec()), comparison(), any::<u64>())
            .prop_map(|((_, of), comparison, with)| Test::Amount { of, comparison, with }),
        proptest::collection::vec(
            any::<(u32, Option<u32>)>().prop_map(|(value, mask)| Mark { value, mask }),
            1..3
        )
        .prop_map(Test::Mark),
        proptest::collection::vec(any::<u16>(), 1..3).prop_map(Test::Zone),
        proptest::collection::vec(any::<u8>(), 1..3).prop_map(Test::IcmpType),
        proptest::collection::vec(
            prop_oneof![
                (0..128u16).prop_map(|bit| (bit, None::<Box<str>>)),
                Just((1, Some("web".into()))),
                Just((9, Some("\"odd".into())))
            ],
            1..3
        )
        .prop_map(Test::Label),
        (
            pick(words::NAMED.iter().map(|(_, named)| *named).collect::<Vec<_>>()),
            proptest::collection::vec(name.prop_map(|name| Glob::new(&name)), 1..3)
        )
            .prop_map(|(of, globs)| Test::Named { of, globs }),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    test().prop_map(Expr::Test).prop_recursive(5, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|e| Expr::Not(Box::new(e))),
        ]
    })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    (any::<bool>(), any::<(u32, u16, u16)>(), proptest::option::of(any::<u32>()), any::<bool>())
        .prop_map(|(tcp_or_dns, (expires, source, destination), mark, counted)| {
            let mut entry = if tcp_or_dns { tcp() } else { dns() };
            entry.expires = Some(Seconds(expires.into()));
            entry.original.l4 = plimsoll_ct::L4::Ports { source, destination };
            entry.mark = mark;
            entry.original_accounting = counted.then_some(Accounting { packets: 1, bytes: 60 });
            entry
        })
}

proptest! {
    #[test]
    fn reading_what_is_printed_gives_the_same_filter(expr in expr()) {
        let filter = Filter { expr: Some(expr) };
        let text = filter.to_string();
        let again = Filter::parse(&text, &names());
        prop_assert_eq!(again, Ok(filter), "{}", text);
    }

    #[test]
    fn no_text_panics_and_what_is_read_is_read_again(text in "\\PC{0,60}") {
        if let Ok(filter) = Filter::parse(&text, &names()) {
            prop_assert_eq!(Filter::parse(&filter.to_string(), &names()), Ok(filter));
        }
    }

    #[test]
    fn words_in_any_order_never_panic(words in proptest::collection::vec(
        proptest::sample::select(
            [words::BEGINNINGS, &["(", ")", "!", "&&", "||", ",", "<", ">=", "=", "1", "80-90", "10.0.0.1",
                "::/0", "\"x\"", "1h", "ESTABLISHED", "to", "or", "and"]].concat()
        ), 0..12))
    {
        let text = words.join(" ");
        match Filter::parse(&text, &names()) {
            Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string(), &names()), Ok(filter)),
            Err(error) => prop_assert!(error.at <= text.len() && error.to_string().contains('^')),
        }
    }

    #[test]
    fn not_turns_yes_and_no_and_keeps_unknown(expr in expr(), entry in any_entry()) {
        let around = Surroundings::default();
        let entry = View::new(&entry, &around);
        let straight = Filter { expr: Some(expr.clone()) }.judge(&entry);
        let turned = Filter { expr: Some(Expr::Not(Box::new(expr))) }.judge(&entry);
        prop_assert_eq!(turned, match straight {
            Truth::Yes => Truth::No,
            Truth::No => Truth::Yes,
            Truth::Unknown => Truth::Unknown,
        });
    }
}
