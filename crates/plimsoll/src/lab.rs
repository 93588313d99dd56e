//! `plimsoll lab`: the whole incident, staged, shown, cured, in under a minute.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use plimsoll_ct::{Counter, Entries, Seconds};
use plimsoll_lab::{
    Closing, HostLimit, Kind, Lab, LabError, Options, Pace, Repair, SERVICE_PORT, Sources,
    Visitors, install_signal_cleanup, sweep,
};

use crate::arguments::{self, Screen};
use crate::check;
use crate::exit;

/// How long another lab that has the limit is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Visitors a second: enough to see, too few to matter.
const VISITORS: u32 = 50;
/// SYNs a second of the flood: each wants a new entry.
const FLOOD: u64 = 2000;
/// The fill stops this share short of the limit; the visitors and the flood do the rest.
const SHORT: u64 = 200;

/// Runs the story.
pub fn run(arguments: &arguments::Lab) -> ExitCode {
    let told = if arguments.clean { clean() } else { story(arguments) };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plimsoll lab: {error}");
            exit::failed()
        }
    }
}

fn clean() -> Result<(), LabError> {
    let limit = HostLimit::repair(PATIENCE)?;
    let swept = sweep()?;
    match limit {
        Repair::NothingToDo => println!("The limit was left as it should be."),
        Repair::Restored(limit) => println!("The limit is {limit} again."),
        Repair::ChangedByOthers(limit) => {
            println!("Somebody set the limit to {limit} meanwhile: left alone.");
        }
    }
    println!("Namespaces removed: {}.", swept.len());
    Ok(())
}

fn story(arguments: &arguments::Lab) -> Result<(), LabError> {
    let started = Instant::now();
    install_signal_cleanup()?;
    heading(1, "Two network namespaces: a server behind a stateful firewall, and its clients");
    let lab = Lab::build(&Options {
        limit: arguments.max.map(Entries),
        patience: PATIENCE,
        ..Options::default()
    })?;
    let max = lab.limit().get().get();
    match lab.limit().set() {
        Some(set) => say(&format!(
            "The limit is {set} entries for now; {} comes back whatever happens.",
            lab.limit().was()
        )),
        None => say(&format!("The limit is this host's own: {max} entries.")),
    }
    say(&format!("The server's namespace is {}.", lab.server().name()));
    let visitors = lab.keep_visiting(VISITORS)?;
    watch(&lab, &visitors, 2)?;

    heading(2, "Connections that nobody ever closes");
    let room = (max - max / SHORT).saturating_sub(lab.count()?);
    fill(&lab, room)?;

    heading(3, "And a SYN flood on top: the table is full");
    let flood = lab.flood(Kind::Syn, Sources::Unanswered, Pace::steady(FLOOD))?;
    watch(&lab, &visitors, 3)?;

    heading(4, "What plimsoll check says of it");
    println!();
    let screen = Screen { color: arguments.color, width: None, ascii: false };
    print!("{}", check::screen_of_namespace(lab.server().name(), &screen));

    heading(5, "A cure that touches this namespace only: leave the hot port untracked");
    for step in lab.untrack(SERVICE_PORT)? {
        say(&format!("# {step}"));
    }
    let idle = Seconds(7440);
    lab.set_timeout("tcp_timeout_established", idle)?;
    say(&format!("# sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established={idle}"));
    say(
        "The shorter timeout frees nothing that is there: it is for what comes. Untracked, the port",
    );
    say("needs no entry at all, so the table may stay full. The flood goes on:");
    watch(&lab, &visitors, 3)?;
    let sent = flood.stop()?;
    drop(visitors);

    heading(6, "Gone without a trace");
    lab.cleanup()?;
    say(&format!(
        "Namespaces removed, {} SYNs sent in all, the limit is {}. {} s.",
        sent,
        HostLimit::current()?,
        started.elapsed().as_secs()
    ));
    Ok(())
}

/// Fills with real connections, with the progress on a terminal.
fn fill(lab: &Lab, connections: u64) -> Result<(), LabError> {
    let live = std::io::stderr().is_terminal();
    let shown = Mutex::new(Instant::now());
    let filled = lab.fill_tcp_scattered(connections, Closing::Silent, &|made| {
        if let Ok(mut last) = shown.try_lock()
            && live
            && last.elapsed() > Duration::from_millis(200)
        {
            *last = Instant::now();
            eprint!("\r   {made} of {connections} connections ");
            let _ = std::io::stderr().flush();
        }
    })?;
    if live {
        eprint!("\r{:50}\r", "");
    }
    say(&format!(
        "{} real handshakes in {:.0} s; both ends then fell silent, as a crashed client does.",
        filled.made,
        filled.took.as_secs_f64()
    ));
    say(&format!("{} entries, each ASSURED, each good for five days.", lab.count()?));
    Ok(())
}

/// A line a second: the table, and what the visitors feel.
fn watch(lab: &Lab, visitors: &Visitors, seconds: u32) -> Result<(), LabError> {
    let (mut reading, mut visits) = (lab.reading()?, visitors.visits());
    for _ in 0..seconds {
        std::thread::sleep(Duration::from_secs(1));
        let (now, came) = (lab.reading()?, visitors.visits());
        let between = came.since(visits);
        say(&format!(
            "{:>9} entries   dropped {:>6}   evicted {:>6}   visitors {:>3} served, {:>3} lost",
            now.entries,
            now.grown(Counter::Drop, &reading),
            now.grown(Counter::EarlyDrop, &reading),
            between.served,
            between.lost,
        ));
        (reading, visits) = (now, came);
    }
    Ok(())
}

fn heading(number: u32, text: &str) {
    println!("\n{number}. {text}");
}

fn say(text: &str) {
    println!("   {text}");
}
