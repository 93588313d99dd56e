//! What the analyser says of a port against what the kernel does with it: rulesets that were made at random, by nft and by
//! both back ends of iptables, and those of the corpus, are loaded; packets are sent as tracked ones; the port is untracked with the rules
//! that the analyser wants; the same packets are sent again. Who came in before comes in now, who did not does not.
//! `PLIMSOLL_RULESETS=1000` judges so many of each kind.

#[path = "../support/mod.rs"]
mod support;

mod corpus;
mod made;
mod stage;

use plimsoll_diagnosis::rules::{Judgement, Role, Traffic, judge};
use plimsoll_wire::filter::Program;

use made::{Kind, Random};
use stage::{PORT, Passed, SOURCES, Stage};
use support::root;

/// Rulesets of each kind where nothing else is asked for.
const FEW: u64 = 12;

/// What became of one ruleset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was untracked, and everybody fared as before; whether somebody came in.
    Same(bool),
    /// The analyser refused it.
    Refused,
}

/// What the analyser says of the port on the stage.
fn judged(stage: &Stage, program: &Program, protocol: u8) -> Judgement {
    let traffic = Traffic::new(protocol, PORT, Role::Server).on(&stage.own());
    judge(program, [&traffic])
}

/// Judges what is loaded on the stage; `what` tells it to the reader of a failure.
fn judge_loaded(stage: &mut Stage, protocol: u8, what: &str) -> End {
    let before = stage.send(protocol, false);
    let program = stage.program();
    let judgement = judged(stage, &program, protocol);
    let in_and_back = |p: &Passed| (p.came_in, p.answered);
    let some = before.iter().any(|p| p.came_in);
    let of_six =
        |rule: &&plimsoll_diagnosis::Said| rule.starts_with("ip6tables") || rule.contains("IPv6");
    let closed = judgement.closed.iter().any(|rule| !of_six(&rule));
    assert!(!closed || !some, "{what}\nsaid to be closed, and yet: {before:?}\n{judgement:?}");
    if !judgement.needs.is_empty() || !judgement.blocked.is_empty() {
        return End::Refused;
    }
    stage.untrack(protocol, &judgement.accepts);
    let after = stage.send(protocol, true);
    for (number, (b, a)) in before.iter().zip(&after).enumerate() {
        let source = SOURCES[number].0;
        assert_eq!(
            in_and_back(b),
            in_and_back(a),
            "{what}\nfrom {source}: (came in, was answered) tracked, then untracked\n{judgement:#?}\n{}",
            stage.rules()
        );
        // What follows the first packet of a connection.
        assert_eq!(
            a.follows.unwrap_or(a.came_in),
            a.came_in,
            "{what}\nfrom {source}: what follows the first packet\n{judgement:#?}\n{}",
            stage.rules()
        );
    }
    End::Same(some)
}

fn many() -> u64 {
    std::env::var("PLIMSOLL_RULESETS").ok().and_then(|n| n.parse().ok()).unwrap_or(FEW)
}

/// Rulesets of a kind, by seeds.
fn random(kind: Kind) {
    let mut stage = Stage::new(kind.name());
    let first = std::env::var("PLIMSOLL_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let (mut open, mut shut, mut refused) = (0, 0, 0);
    for seed in first..first + many() {
        let protocol = if seed % 4 == 0 { 17 } else { 6 };
        let text = made::ruleset(kind, &mut Random::new(seed), protocol);
        stage.load(kind, &text);
        let what = format!("{} ruleset of seed {seed}:\n{text}", kind.name());
        match judge_loaded(&mut stage, protocol, &what) {
            End::Same(true) => open += 1,
            End::Same(false) => shut += 1,
            End::Refused => refused += 1,
        }
    }
    eprintln!("{}: {open} open, {shut} shut, {refused} refused", kind.name());
    assert!(open > 0, "all were shut or refused: that proves nothing");
}

#[test]
fn nft_rulesets_made_at_random_fare_the_same_without_tracking() {
    if root() {
        random(Kind::Nft);
    }
}

#[test]
fn iptables_rulesets_made_at_random_fare_the_same_without_tracking() {
    if root() {
        random(Kind::Legacy);
    }
}

#[test]
fn rulesets_of_iptables_on_nf_tables_made_at_random_fare_the_same_without_tracking() {
    if root() {
        random(Kind::IptablesNft);
    }
}
