//! Ports that are not tracked any more, with real traffic: a hot port for everybody, and the way in for those who mend
//! the host.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use plimsoll_lab::{CLIENT, Closing, Kind, Pace, Sources, WEB};

use crate::host::Host;
use crate::remedies::{PORT, SMALL, Staged};
use crate::support::{root, text, turn, until};

/// What a strict firewall has beside the lab's own rules: packets of no state dropped first, and answers let out only
/// as answers.
const STRICT: &[&str] = &[
    "insert rule ip lab input ct state invalid drop",
    "add chain ip lab out { type filter hook output priority 0 ; policy drop ; }",
    "add rule ip lab out ct state established,related accept",
    "add rule ip lab out oif lo accept",
];

fn full_and_dropping(staged: &Staged) -> plimsoll_lab::Flood {
    let free = SMALL - staged.lab.count().expect("a count");
    staged.lab.fill_tcp(free, Closing::Silent, &|_| {}).expect("it is filled");
    let flood =
        staged.lab.flood(Kind::Syn, Sources::Unanswered, Pace::steady(1000)).expect("a flood");
    staged.wait_for_drops();
    flood
}

#[test]
fn a_bypassed_port_drops_no_more_and_what_is_established_goes_on() {
    if !root() {
        return;
    }
    let _turn = turn();
    let mut staged = Staged::new("bypass");
    for rule in STRICT {
        staged.in_server("nft", &[rule]);
    }
    let visitors = staged.lab.keep_visiting(50).expect("visitors");
    let flood = full_and_dropping(&staged);
    let old = staged.everything();

    let service = format!("tcp/{PORT}");
    let said = staged.fix(&["bypass", &service]);
    assert!(said.contains("No drop in 2 s, while "), "{said}");
    assert!(said.contains("No entry in the table is tcp, to port 80"), "{said}");
    let (sent, visits) = (flood.sent(), visitors.visits());
    assert_eq!(staged.drops(Duration::from_secs(2)), 0, "none after");
    let served = visitors.visits().since(visits);
    assert!(flood.sent() > sent + 1000, "the flood goes on");
    assert!(served.served > 20 && served.lost == 0, "{served:?}");
    assert!(staged.lab.count().expect("a count") < 100, "and makes no entries");
    staged.talk.goes_on();

    drop(flood);
    let said = staged.ok(&["undo"]);
    assert!(!said.contains("Left as it is"), "{said}");
    assert_eq!(staged.everything(), old);
    staged.talk.goes_on();
    let visits = visitors.visits();
    until("somebody is served", || visitors.visits().since(visits).served > 0);
}

/// Whether a connection from the client to a port of the server comes about and carries a byte.
fn can_talk(staged: &Staged, listener: &TcpListener, port: u16) -> bool {
    let address = SocketAddrV4::new(WEB, port);
    let patience = Duration::from_millis(1500);
    let client = staged
        .lab
        .client()
        .run(|| TcpStream::connect_timeout(&address.into(), patience))
        .expect("inside");
    let Ok(mut client) = client else { return false };
    let (mut server, _) = listener.accept().expect("accepted");
    client.write_all(b"a").expect("the client speaks");
    let mut byte = [0];
    server.read_exact(&mut byte).expect("the server hears");
    byte == *b"a"
}

#[test]
fn a_lifeline_lets_its_peer_in_though_the_table_is_full() {
    const DOOR: u16 = 2222;
    if !root() {
        return;
    }
    let _turn = turn();
    let mut staged = Staged::new("lifeline");
    for port in [DOOR, DOOR + 1] {
        let rule = format!("add rule ip lab input tcp dport {port} ct state new accept");
        staged.in_server("nft", &[&rule]);
    }
    let old = staged.everything();
    let listen = |port| {
        let bound = staged.lab.server().run(|| TcpListener::bind(SocketAddrV4::new(WEB, port)));
        bound.expect("inside").expect("bound")
    };
    let (door, other) = (listen(DOOR), listen(DOOR + 1));
    let peer = CLIENT.to_string();
    let said = staged.fix(&["lifeline", "--peer", &peer, "--port", &DOOR.to_string()]);
    assert!(said.contains("a full table does not lock them out"), "{said}");
    let flood = full_and_dropping(&staged);
    assert!(can_talk(&staged, &door, DOOR), "the peer comes in");
    assert!(!can_talk(&staged, &other, DOOR + 1), "every other new connection fails");
    assert!(can_talk(&staged, &door, DOOR), "and again");
    staged.talk.goes_on();
    drop(flood);
    staged.ok(&["undo"]);
    assert_eq!(staged.everything(), old);
}

#[test]
fn what_needs_the_tracking_or_shuts_the_port_is_named_and_nothing_is_done() {
    if !root() {
        return;
    }
    let host = Host::new("refused").with_strict_nft();
    let old = host.everything();
    let refused = |arguments: &[&str]| {
        let out = host.run(&[&["fix"], arguments, &["--yes", "--watch", "0"]].concat());
        assert_eq!(out.status.code(), Some(1), "{arguments:?}: {}", text(&out.stderr));
        // Joined again where the screen has broken the lines.
        text(&out.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let nobody = refused(&["bypass", "tcp/443"]);
    assert!(nobody.contains("nobody listens on tcp/443 here"), "{nobody}");
    let closed = refused(&["lifeline", "--peer", "192.0.2.7", "--port", "22"]);
    assert!(
        closed.contains(
            "are dropped today, and stay so: over IPv4, by nft inet site input: policy drop"
        ),
        "{closed}"
    );
    assert_eq!(host.everything(), old);

    let nat = "table ip nat { chain prerouting { type nat hook prerouting priority -100; fib daddr type local tcp \
               dport 443 dnat to 10.9.0.5:443; }; }";
    host.netns.run("nft", &[nat]);
    let old = host.everything();
    let needed = refused(&["bypass", "tcp/443", "--role", "server"]);
    assert!(
        needed.contains("a rule rewrites its addresses, which only happens to tracked packets: nft ip nat prerouting"),
        "{needed}"
    );
    assert_eq!(host.everything(), old);
}

/// Connections that come about when so many are tried at once.
fn opened(staged: &Staged, listener: &TcpListener, tried: usize) -> usize {
    let address = listener.local_addr().expect("an address");
    let clients: Vec<TcpStream> = staged
        .lab
        .client()
        .run(|| {
            let patience = Duration::from_secs(5);
            (0..tried).filter_map(|_| TcpStream::connect_timeout(&address, patience).ok()).collect()
        })
        .expect("inside");
    clients.len()
}

#[test]
fn one_source_has_so_many_connections_and_no_more() {
    if !root() {
        return;
    }
    let _turn = turn();
    let mut staged = Staged::new("limit");
    let old = staged.everything();
    let listener = staged.lab.server().run(|| TcpListener::bind(SocketAddrV4::new(WEB, PORT)));
    let listener = listener.expect("inside").expect("bound");
    let service = format!("tcp/{PORT}");
    let said = staged.fix(&["limit", &service, "--per-source", "5"]);
    assert!(said.contains("Who has 5 connections to tcp/80 is answered with a reset"), "{said}");
    // The one that is open since before it began is not counted.
    let open = opened(&staged, &listener, 12);
    assert_eq!(open, 5);
    staged.ok(&["undo"]);
    assert_eq!(staged.everything(), old);
    assert_eq!(opened(&staged, &listener, 12), 12, "without it all come in");
    let except = CLIENT.to_string();
    staged.fix(&["limit", &service, "--per-source", "5", "--except", &except]);
    assert_eq!(opened(&staged, &listener, 12), 12, "an exception has no limit");
    staged.ok(&["undo"]);
    assert_eq!(staged.everything(), old);
    staged.talk.goes_on();
}
