//! What a listener of events is told.

use std::ops::Range;
use std::time::{Duration, Instant};

use plimsoll_ct::{State, TcpState};
use plimsoll_model::{EventKind, Fate, Treatment};

use super::{ACK, SYN, Story, ms, secs, tcp, udp};

/// The kinds of the events since the last call, with their states.
fn told(s: &mut Story) -> Vec<(EventKind, State)> {
    s.0.take_events().into_iter().map(|event| (event.kind, event.entry.state)).collect()
}

#[test]
fn what_dropped_packets_changed_is_told_once_with_the_next_one_that_passes() {
    let dropped = Treatment { fate: Fate::Dropped, ..Treatment::default() };
    // The long way.
    let mut s = complaining();
    s.0.listen();
    s.at(ms(0), &tcp(false, SYN, 100, 0));
    s.with(ms(1), &tcp(true, SYN | ACK, 500, 101), dropped);
    s.with(ms(2), &tcp(false, ACK, 101, 501), dropped);
    assert_eq!(told(&mut s), [(EventKind::New, State::Tcp(TcpState::SynSent))]);
    // It changes nothing itself.
    s.at(ms(3), &tcp(false, ACK, 101, 501));
    assert_eq!(told(&mut s), [(EventKind::Update, State::Tcp(TcpState::Established))]);
    s.at(ms(4), &tcp(false, ACK, 101, 501));
    assert_eq!(told(&mut s), []);
}

#[test]
fn what_an_entry_owed_goes_with_it() {
    let dropped = Treatment { fate: Fate::Dropped, ..Treatment::default() };
    let mut s = complaining();
    s.0.listen();
    let gone = s.at(secs(0), &udp(false, 9)).entry;
    s.with(secs(1), &udp(true, 9), dropped);
    s.0.advance(secs(900));
    let next = s.at(secs(901), &udp(false, 8)).entry;
    assert_eq!(gone, next, "the name is used again");
    s.at(secs(902), &udp(false, 8));
    let kinds: Vec<_> = told(&mut s).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [EventKind::New, EventKind::Destroy, EventKind::New]);
}

/// How long 5000 flows, and then the end of all, take beside 25,000 whose answers met this fate.
fn time_beside(answers: Fate) -> Duration {
    let mut s = Story::modern();
    s.0.listen();
    let mut answered = |ports: Range<u16>, fate| {
        for port in ports {
            s.at(ms(0), &udp(false, port));
            s.with(ms(0), &udp(true, port), Treatment { fate, ..Treatment::default() });
        }
    };
    answered(1..25_001, answers);
    let began = Instant::now();
    answered(25_001..30_001, Fate::Accepted);
    s.0.advance(secs(900));
    let took = began.elapsed();
    assert_eq!(s.0.counted(), 0);
    took
}

/// It was forty times the other when each flow was looked for among all that owed something.
#[test]
fn many_entries_that_owe_an_update_cost_the_others_nothing() {
    let best = |fate| (0..2).map(|_| time_beside(fate)).min().unwrap();
    let (told, owed) = (best(Fate::Accepted), best(Fate::Dropped));
    assert!(owed < 10 * told, "{owed:?}, {told:?}");
}

fn complaining() -> Story {
    Story::on("6.18", |settings| settings.log_invalid = 255)
}
