//! Every remedy with real traffic: drops before, none after; what was established goes on; undo brings all back.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use plimsoll_ct::{Counter, Entries};
use plimsoll_lab::{Closing, Kind, Lab, Options, Pace, SERVICE_PORT, Sources, WEB};

use crate::support::{plimsoll, root, text, turn, until};

/// A smaller limit than the host's makes a full table quick to stage.
pub const SMALL: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(10);
/// The lab's firewall lets new connections to this port in.
pub const PORT: u16 = SERVICE_PORT;

/// A lab under a small limit, with one connection that must outlive whatever is done.
pub struct Staged {
    state: PathBuf,
    pub talk: Talk,
    pub lab: Lab,
}

/// Both ends of a connection.
pub struct Talk {
    client: TcpStream,
    server: TcpStream,
}

impl Talk {
    pub fn new(lab: &Lab) -> Self {
        let address = SocketAddrV4::new(WEB, PORT);
        let listener =
            lab.server().run(|| TcpListener::bind(address)).expect("inside").expect("bound");
        let client = lab
            .client()
            .run(|| TcpStream::connect_timeout(&address.into(), PATIENCE))
            .expect("inside")
            .expect("connected");
        let (server, _) = listener.accept().expect("accepted");
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        }
        let mut talk = Self { client, server };
        talk.goes_on();
        talk
    }

    pub fn goes_on(&mut self) {
        let mut byte = [0];
        self.client.write_all(b"a").expect("the client speaks");
        self.server.read_exact(&mut byte).expect("the server hears");
        self.server.write_all(b"b").expect("the server answers");
        self.client.read_exact(&mut byte).expect("the client hears");
    }
}

impl Staged {
    pub fn new(name: &str) -> Self {
        let lab = Lab::build(&Options {
            limit: Some(Entries(SMALL)),
            patience: Duration::from_secs(300),
            ..Options::default()
        })
        .expect("the lab stands");
        let state =
            std::env::temp_dir().join(format!("plimsoll-test-{}-{name}", std::process::id()));
        Self { state, talk: Talk::new(&lab), lab }
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let state = self.state.to_str().expect("a path of text");
        plimsoll(&[arguments, &["--state-dir", state]].concat())
    }

    pub fn ok(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        let said = text(&out.stdout);
        assert!(out.status.success(), "{arguments:?}: {said}{}", text(&out.stderr));
        said
    }

    /// `fix` in the server's namespace.
    pub fn fix(&self, arguments: &[&str]) -> String {
        let server = self.lab.server().name().to_owned();
        self.ok(&[&["fix"], arguments, &["--netns", &server, "--yes", "--watch", "2"]].concat())
    }

    /// Drops over a span.
    pub fn drops(&self, span: Duration) -> u64 {
        let before = self.lab.reading().expect("a reading");
        std::thread::sleep(span);
        self.lab.reading().expect("a reading").grown(Counter::Drop, &before)
    }

    pub fn wait_for_drops(&self) {
        until("a drop", || self.drops(Duration::from_millis(200)) > 0);
    }

    pub fn everything(&self) -> String {
        let rules = self.in_server("nft", &["list", "ruleset"]);
        let settings = "cd /proc/sys/net/netfilter; for f in nf_conntrack_*; do case $f in \
                        *_count) ;; *) echo $f $(cat $f);; esac; done";
        rules + &self.in_server("sh", &["-c", settings])
    }

    pub fn in_server(&self, program: &str, arguments: &[&str]) -> String {
        let name = self.lab.server().name();
        crate::support::run("ip", &[&["netns", "exec", name, program], arguments].concat())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // The limit is the whole machine's: whatever a test did to it goes back before the lab does.
        let _ = self.run(&["undo", "--allow-lower"]);
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

#[test]
fn a_raised_limit_ends_the_drops_and_comes_back() {
    if !root() {
        return;
    }
    let _turn = turn();
    let mut staged = Staged::new("raise");
    let old = staged.everything();
    let free = SMALL - staged.lab.count().expect("a count");
    staged.lab.fill_tcp(free, Closing::Silent, &|_| {}).expect("it is filled");
    let flood =
        staged.lab.flood(Kind::Syn, Sources::Unanswered, Pace::steady(1000)).expect("a flood");
    staged.wait_for_drops();
    // The host's own namespace holds the limit; the drops are the server's, so they are counted there.
    staged.ok(&["fix", "raise", "--max", "60000", "--yes", "--watch", "0"]);
    assert_eq!(staged.drops(Duration::from_secs(2)), 0, "none after");
    assert!(flood.sent() > 2000, "the flood goes on");
    staged.talk.goes_on();
    // The server's table has grown beyond the old limit, which was raised in several steps: to lower it would drop packets.
    let server = staged.lab.server().name().to_owned();
    until("more than the old limit", || staged.lab.count().expect("a count") > SMALL + 2000);
    let out = staged.run(&["undo"]);
    let said = text(&out.stderr);
    assert!(said.contains(&format!("ip netns {server} holds ")), "{said}");
    assert!(said.contains("20,000 would drop packets: only with --allow-lower"), "{said}");
    let said = staged.ok(&["undo", "--allow-lower"]);
    assert!(said.contains(&format!("Overfull: ip netns {server} holds ")), "{said}");
    // Nobody is asked where no confirmation comes; what that did is in the history.
    staged.ok(&["fix", "raise", "--max", "60000", "--yes", "--watch", "0", "--confirm", "1s"]);
    let overfull = format!("taken back (was not confirmed in time; ip netns {server} holds ");
    until("it was taken back", || staged.ok(&["fix", "--list"]).contains(&overfull));
    let said = staged.ok(&["fix", "--list", "--lang", "zh"]);
    assert!(said.contains("个条目，而上限又是 20,000：会丢包"), "{said}");
    drop(flood);
    assert_eq!(staged.everything(), old);
    staged.talk.goes_on();
}

#[test]
fn a_shorter_timeout_ends_the_drops() {
    if !root() {
        return;
    }
    let _turn = turn();
    let mut staged = Staged::new("timeout");
    staged.lab.server().set("net.netfilter.nf_conntrack_udp_timeout", 10).expect("it is set");
    let old = staged.everything();
    // Ten seconds of it do not fit, two do.
    let pace = Pace::steady(2500);
    let flood = staged.lab.flood(Kind::Udp, Sources::Unanswered, pace).expect("a flood");
    staged.wait_for_drops();
    let said = staged.fix(&["timeout", "udp=2"]);
    assert!(said.contains("nf_conntrack_udp_timeout of 2 s: an answer that comes later"), "{said}");
    assert!(said.contains("nf_conntrack_udp_timeout reads 2."), "{said}");
    // `persist` writes the host's files, from which no other namespace takes its values.
    assert!(said.contains("gone with this namespace"), "{said}");
    assert!(!said.contains("`plimsoll fix persist` makes it stay"), "{said}");
    // What is in the table keeps its ten seconds, and the collector may take a minute to come by.
    until("two seconds without a drop", || staged.drops(Duration::from_secs(2)) == 0);
    staged.talk.goes_on();
    drop(flood);
    staged.ok(&["undo"]);
    assert_eq!(staged.everything(), old);
}

#[test]
fn shedding_the_unanswered_ends_the_drops_and_spares_the_answered() {
    if !root() {
        return;
    }
    let _turn = turn();
    let mut staged = Staged::new("shed");
    let burst = Pace::burst(SMALL * 2);
    staged
        .lab
        .flood(Kind::Udp, Sources::Unanswered, burst)
        .expect("a flood")
        .finish()
        .expect("it ends");
    let flood =
        staged.lab.flood(Kind::Udp, Sources::Unanswered, Pace::steady(1000)).expect("a flood");
    staged.wait_for_drops();
    let server = staged.lab.server().name().to_owned();
    let dry = staged.ok(&["fix", "shed", "--unreplied", "--netns", &server, "--dry-run"]);
    assert!(dry.contains("by state: ") && dry.contains(" udp"), "{dry}");
    assert!(staged.drops(Duration::from_millis(500)) > 0, "shown only");
    let said = staged.fix(&["shed", "--unreplied"]);
    assert!(said.contains("No drop in 2 s, while "), "{said}");
    assert!(said.contains("entries deleted."), "{said}");
    assert!(staged.lab.count().expect("a count") < SMALL / 2);
    staged.talk.goes_on();
    let port = PORT.to_string();
    let entry = staged.in_server("conntrack", &["-L", "-p", "tcp", "--dport", &port]);
    assert!(entry.contains("[ASSURED]"), "the answered are spared: {entry}");
    drop(flood);
}

#[test]
fn a_policy_is_given_to_new_connections_of_its_port_only() {
    if !root() {
        return;
    }
    let _turn = turn();
    let mut staged = Staged::new("policy");
    let old = staged.everything();
    let service = format!("tcp/{PORT}");
    let said = staged.fix(&["timeout", "--port", &service, "established=250"]);
    assert!(said.contains("of local processes send no keepalives"), "{said}");
    staged.talk.goes_on();
    let mut new = Talk::new(&staged.lab);
    new.goes_on();
    let port = PORT.to_string();
    let listed = staged.in_server("conntrack", &["-L", "-p", "tcp", "--dport", &port]);
    let seconds = |line: &str| line.split_whitespace().nth(2).and_then(|s| s.parse::<u64>().ok());
    let mut left: Vec<u64> = listed.lines().filter_map(seconds).collect();
    left.sort_unstable();
    assert_eq!(left.len(), 2, "{listed}");
    assert!((200..=250).contains(&left[0]), "the new one has the policy: {listed}");
    assert!(left[1] > 400_000, "the old one keeps its own: {listed}");
    staged.ok(&["undo"]);
    assert_eq!(staged.everything(), old);
    staged.talk.goes_on();
    new.goes_on();
}

#[test]
fn what_check_names_is_carried_out_as_it_stands_and_ends_the_drops() {
    if !root() {
        return;
    }
    let _turn = turn();
    let mut staged = Staged::new("named");
    let old = staged.everything();
    let burst = Pace::burst(SMALL * 2);
    let filling = staged.lab.flood(Kind::Udp, Sources::Unanswered, burst).expect("a flood");
    filling.finish().expect("it ends");
    let flood =
        staged.lab.flood(Kind::Udp, Sources::Unanswered, Pace::steady(1000)).expect("a flood");
    staged.wait_for_drops();
    let server = staged.lab.server().name().to_owned();
    let (check, _) = crate::support::check(&["--netns", &server]);
    let named = |id: &str| -> String {
        let remedies = check["remedies"].as_array().expect("remedies");
        let found = remedies.iter().find(|r| r["id"] == id);
        let line = found.and_then(|r| r["fix"][0].as_str());
        line.unwrap_or_else(|| panic!("no {id} in {remedies:#?}")).to_owned()
    };
    let run = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        staged.ok(&[&words[..], &["--yes", "--watch", "0"]].concat())
    };
    // In the namespace that is full, not in the one that check runs in.
    let shed = named("shed");
    assert!(shed.starts_with("plimsoll fix shed --unreplied --protocol udp"), "{shed}");
    assert!(shed.ends_with(&format!(" --netns {server}")), "{shed}");
    run(&shed);
    assert!(staged.lab.count().expect("a count") < SMALL / 2);
    run(&named("timeout"));
    assert_ne!(staged.everything(), old, "the timeout is the server's");
    assert_eq!(staged.drops(Duration::from_secs(2)), 0, "none after");
    staged.ok(&["undo"]);
    // The limit is raised in the machine's own namespace.
    run(&named("raise"));
    assert_eq!(staged.drops(Duration::from_secs(1)), 0);
    staged.ok(&["undo", "--allow-lower"]);
    drop(flood);
    assert_eq!(staged.everything(), old);
    staged.talk.goes_on();
}
