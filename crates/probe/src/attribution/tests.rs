#![allow(clippy::unwrap_used)]
use super::*;
use plimsoll_ct::{Entry, L4, Protocol, State, Status, Tuple};
use plimsoll_wire::rtnetlink::Link;
use plimsoll_wire::sock_diag::Socket;

const HOST: u64 = 1;
const WEB: u64 = 2;
const SHOP: u64 = 3;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tuple(source: (&str, u16), destination: (&str, u16)) -> Tuple {
    Tuple {
        source: address(source.0),
        destination: address(destination.0),
        protocol: Protocol::Tcp,
        l4: L4::Ports { source: source.1, destination: destination.1 },
    }
}

fn entry(netns: u64, original: Tuple, reply: Tuple) -> Entry {
    let mut entry = Entry::new(original, reply, State::Stateless, Status::empty());
    entry.netns = Some(netns);
    entry
}

fn plain(netns: u64, source: (&str, u16), destination: (&str, u16)) -> Entry {
    entry(netns, tuple(source, destination), tuple(destination, source))
}

/// A host, and two namespaces that both have 10.1.0.2; `web` is at the other end of the host's interface 8, `shop` at that of
/// an interface of `web`.
fn host() -> Attribution {
    let places = [(HOST, 0), (WEB, 1), (SHOP, 2)].into_iter().collect();
    let mut a = Attribution { places, ..Attribution::default() };
    let pair = |index, other| Link {
        index,
        other: Some(other),
        elsewhere: Some(0),
        mtu: None,
        carries: true,
    };
    a.addresses.add(0, vec![pair(8, 2)], vec![address("192.0.2.1"), address("10.1.0.1")]);
    a.addresses.add(
        1,
        vec![pair(2, 8), pair(9, 2)],
        vec![address("10.1.0.2"), address("10.1.0.3")],
    );
    a.addresses.add(2, vec![pair(2, 9)], vec![address("10.1.0.2"), address("10.1.0.9")]);
    a.addresses.settle();
    let socket = |local: (&str, u16), remote: (&str, u16), inode| {
        let at = |(a, p): (&str, u16)| (address(a), p);
        (6, Socket { local: at(local), remote: at(remote), inode })
    };
    a.sockets.add(
        0,
        vec![
            socket(("192.0.2.1", 40_000), ("198.51.100.1", 443), 11),
            socket(("::", 22), ("::", 0), 12),
            socket(("192.0.2.1", 41_000), ("198.51.100.1", 443), 0),
        ],
    );
    a.sockets.add(1, vec![socket(("0.0.0.0", 8080), ("0.0.0.0", 0), 21)]);
    for (inode, pid) in [(11, 100), (12, 200), (21, 300)] {
        let owner = a.owners.of_process(pid);
        a.sockets.own(inode, owner);
    }
    a.of_namespace = ["", "web", "shop"].map(|name| a.owners.named(name)).to_vec();
    a
}

type Told = (Option<u32>, Option<String>, End, Through);

fn told(a: &Attribution, entry: &Entry) -> Option<Told> {
    let found = a.lookup(entry)?;
    let pid = found.owner.process.as_ref().map(|p| p.pid);
    let netns = found.owner.netns.as_deref().map(String::from);
    Some((pid, netns, found.end, found.through))
}

fn process(pid: u32, end: End, through: Through) -> Option<Told> {
    Some((Some(pid), None, end, through))
}

fn namespace(name: &str, end: End) -> Option<Told> {
    Some((None, Some(name.into()), end, Through::Namespace))
}

#[test]
fn a_connection_is_its_sockets_and_one_to_a_listener_the_listeners() {
    let a = host();
    let out = plain(HOST, ("192.0.2.1", 40_000), ("198.51.100.1", 443));
    assert_eq!(told(&a, &out), process(100, End::Source, Through::Socket));
    let to_ssh = plain(HOST, ("203.0.113.7", 5), ("192.0.2.1", 22));
    assert_eq!(told(&a, &to_ssh), process(200, End::Destination, Through::Port));
}

#[test]
fn what_passes_the_host_to_another_machine_is_nobodys() {
    let a = host();
    let through = plain(HOST, ("203.0.113.7", 5), ("198.51.100.9", 22));
    assert_eq!(told(&a, &through), None);
    let closed = plain(HOST, ("192.0.2.1", 41_000), ("198.51.100.1", 443));
    assert_eq!(told(&a, &closed), None, "no process holds it any more");
}

#[test]
fn a_published_port_is_the_process_behind_the_translation() {
    let a = host();
    let published = entry(
        HOST,
        tuple(("203.0.113.7", 5), ("192.0.2.1", 80)),
        tuple(("10.1.0.3", 8080), ("203.0.113.7", 5)),
    );
    assert_eq!(told(&a, &published), process(300, End::Destination, Through::Port));
}

#[test]
fn a_masqueraded_flow_is_the_namespaces_that_has_its_source() {
    let a = host();
    let out = |source| {
        entry(
            HOST,
            tuple((source, 5), ("198.51.100.1", 443)),
            tuple(("198.51.100.1", 443), ("192.0.2.1", 5)),
        )
    };
    assert_eq!(told(&a, &out("10.1.0.9")), namespace("shop", End::Source));
    assert_eq!(told(&a, &out("10.1.0.3")), namespace("web", End::Source));
}

#[test]
fn of_two_namespaces_with_one_address_the_one_at_the_end_of_the_pair_is_meant() {
    let a = host();
    let out = plain(HOST, ("10.1.0.2", 5), ("198.51.100.1", 443));
    assert_eq!(told(&a, &out), namespace("web", End::Source));
    // Seen from a third one, neither is nearer.
    let mut elsewhere = host();
    elsewhere.places.insert(9, 3);
    elsewhere.of_namespace.push(None);
    let out = plain(9, ("10.1.0.2", 5), ("198.51.100.1", 443));
    assert_eq!(told(&elsewhere, &out), None);
}

#[test]
fn a_lone_namespace_with_an_address_of_somebody_outside_is_not_the_owner() {
    let mut a = host();
    a.places.insert(7, 3);
    let lone = a.owners.named("lone");
    a.of_namespace.push(lone);
    a.addresses.add(3, Vec::new(), vec![address("198.51.100.1"), address("203.0.113.7")]);
    a.addresses.settle();
    let out = plain(HOST, ("10.1.0.3", 5), ("198.51.100.1", 443));
    assert_eq!(told(&a, &out), namespace("web", End::Source));
    let through = plain(HOST, ("203.0.113.7", 5), ("198.51.100.1", 22));
    assert_eq!(told(&a, &through), None);
    let own = plain(7, ("203.0.113.7", 5), ("198.51.100.9", 22));
    assert_eq!(told(&a, &own), namespace("lone", End::Source));
}

#[test]
fn within_a_namespace_of_somebody_all_is_theirs_but_what_only_passes() {
    let a = host();
    let own = plain(SHOP, ("10.1.0.9", 5), ("198.51.100.1", 443));
    assert_eq!(told(&a, &own), namespace("shop", End::Source));
    let local = plain(SHOP, ("127.0.0.1", 5), ("127.0.0.1", 443));
    assert_eq!(told(&a, &local), namespace("shop", End::Source));
    let passing = plain(SHOP, ("203.0.113.7", 5), ("198.51.100.1", 443));
    assert_eq!(told(&a, &passing), None);
}
