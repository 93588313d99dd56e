//! Changing the host's limit, and getting it back whatever happens.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use plimsoll_ct::Entries;
use plimsoll_lab::*;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(120);
const VICTIM: &str = "PLIMSOLL_LAB_VICTIM";

/// These tests look at the limit itself, so they go one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_limit(limit: u64) -> Options {
    Options { limit: Some(Entries(limit)), patience: WAIT, ..Options::default() }
}

fn limit() -> Entries {
    HostLimit::current().unwrap()
}

#[test]
fn the_limit_comes_back_when_it_is_dropped() {
    let _alone = alone();
    if !root() {
        return;
    }
    let lab = Lab::build(&with_limit(30_000)).unwrap();
    let was = lab.limit().was();
    assert_eq!((limit(), lab.limit().set()), (Entries(30_000), Some(Entries(30_000))));
    for late in [with_limit(40_000), Options::default()] {
        let late = Lab::build(&Options { patience: Duration::ZERO, ..late });
        assert!(matches!(late, Err(LabError::LimitBusy)));
    }
    assert_eq!(limit(), Entries(30_000), "those who came too late changed nothing");
    lab.cleanup().unwrap();
    assert_eq!(limit(), was);
    drop(lab);
    until("the old limit", || limit() == was);
    assert!(!std::path::Path::new("/run/plimsoll-lab.limit").exists());
}

#[test]
fn the_limit_comes_back_after_a_panic() {
    let _alone = alone();
    if !root() {
        return;
    }
    let mut was = None;
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let lab = Lab::build(&with_limit(31_000)).unwrap();
        was = Some(lab.limit().was());
        assert_eq!(limit(), Entries(1), "this is the panic");
    }));
    assert!(panic.is_err());
    until("the old limit", || Some(limit()) == was);
}

#[test]
fn a_limit_that_would_hurt_is_refused() {
    let _alone = alone();
    if !root() {
        return;
    }
    let entries = Some(Entries(0));
    let refused = |limit| match Lab::build(&Options { entries, ..with_limit(limit) }) {
        Err(LabError::LimitRefused { harm, .. }) => harm.to_string(),
        other => panic!("{limit} was not refused: {other:?}"),
    };
    assert_eq!(refused(0), "0 means no limit at all");
    assert!(refused(u64::MAX).starts_with("more than 8 entries for each of "));

    // Somebody's container: a namespace without a name that lives as long as a process in it.
    let lab = Lab::build(&Options { entries, patience: WAIT, ..Options::default() }).unwrap();
    lab.fill_tcp(25_000, Closing::Silent, &|_| {}).unwrap();
    let sleep = || Command::new("sleep").arg("60").spawn();
    let mut container = lab.server().run(sleep).unwrap().unwrap();
    let inode = lab.server().inode();
    drop(lab);
    let reason = refused(20_000);
    container.kill().unwrap();
    container.wait().unwrap();
    assert_eq!(
        reason,
        format!("the namespace net:[{inode}] holds 25000 entries and would lose packets")
    );
}

#[test]
fn a_killed_lab_is_undone_by_its_guard() {
    let _alone = alone();
    if !root() {
        return;
    }
    let mut victim = Victim::start();
    victim.child.kill().unwrap();
    victim.child.wait().unwrap();
    until("the old limit", || limit() == victim.was);
    until("no namespace of the killed", || !victim.names.iter().any(|n| namespace_exists(n)));
    until("no journal", || !std::path::Path::new("/run/plimsoll-lab.limit").exists());
}

#[test]
fn a_lab_killed_with_its_guards_is_repaired_by_the_next() {
    let _alone = alone();
    if !root() {
        return;
    }
    let mut victim = Victim::start();
    let guards = guards_of(victim.child.id());
    assert_eq!(guards.len(), 2, "one for the limit, one for the namespaces");
    for guard in guards {
        output("kill", &["-9", &guard.to_string()]);
    }
    victim.child.kill().unwrap();
    victim.child.wait().unwrap();
    // Nobody is left who could undo, but any lab that starts on this machine now is "the next".
    let repaired = HostLimit::repair(WAIT).unwrap();
    assert!([Repair::Restored(victim.was), Repair::NothingToDo].contains(&repaired));
    until("the old limit", || limit() == victim.was);
    sweep().unwrap();
    assert!(!victim.names.iter().any(|name| namespace_exists(name)));
    assert_eq!(HostLimit::repair(WAIT).unwrap(), Repair::NothingToDo);
}

#[test]
fn a_polite_signal_undoes_everything_before_the_process_ends_with_it() {
    let _alone = alone();
    if !root() {
        return;
    }
    for (name, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        let mut victim = Victim::start();
        output("kill", &[name, &victim.child.id().to_string()]);
        let status = victim.child.wait().unwrap();
        assert_eq!(status.signal(), Some(number));
        assert!(!victim.names.iter().any(|n| namespace_exists(n)), "after {name}");
        until("the old limit", || limit() == victim.was);
    }
}

/// A process of ours with a lab and a changed limit.
struct Victim {
    child: Child,
    names: Vec<String>,
    was: Entries,
}

impl Victim {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "be_the_victim", "--ignored", "--nocapture"])
            .env(VICTIM, "yes")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map(Result::unwrap).find(|l| l.starts_with("ready ")).expect("a victim");
        let mut words = ready.split_whitespace().skip(1).map(str::to_owned);
        let was = Entries(words.next().unwrap().parse().unwrap());
        Self { child, names: words.collect(), was }
    }
}

#[test]
#[ignore = "the victim of the tests that kill; does nothing by itself"]
fn be_the_victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    install_signal_cleanup().unwrap();
    let lab = Lab::build(&with_limit(34_000)).unwrap();
    let _visitors = lab.keep_visiting(20).unwrap();
    let [server, client] = names(&lab);
    println!("\nready {} {server} {client}", lab.limit().was());
    std::thread::sleep(Duration::from_secs(60));
}

/// The guards that a process has posted.
fn guards_of(pid: u32) -> Vec<u32> {
    let children = format!("/proc/{pid}/task");
    let tasks = std::fs::read_dir(children).unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().map(|p| p.parse().unwrap()).collect::<Vec<u32>>())
        .filter(|child| {
            std::fs::read_to_string(format!("/proc/{child}/cmdline"))
                .is_ok_and(|line| line.contains("plimsoll-lab-guard"))
        })
        .collect()
}
