//! `plimsoll replay`: captures through the model.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use plimsoll_ct::{Bytes, CpuCounters, Entries, Entry, Protocol, Seconds, Time};
use plimsoll_model::{Config, Model, Settings, Treatment, profile_named};
use plimsoll_replay::{Outcome, Replay, smallest_without_drops};
use plimsoll_wire::listing::{Dialect, Line, write};
use plimsoll_wire::statistics::{Header, Statistics, write_proc};
use serde_json::json;

use crate::arguments::{DumpForm, Replay as Arguments};
use crate::{captures, exit};

/// Runs it.
pub fn run(arguments: &Arguments) -> ExitCode {
    let configs = match configurations(arguments) {
        Ok(configs) => configs,
        Err(why) => {
            eprintln!("plimsoll: {why}");
            return exit::usage();
        }
    };
    let treatment = Treatment { zone: arguments.zone, ..Treatment::default() };
    let mut replay = Replay::new(configs, treatment);
    match captures::each(&arguments.captures, |record| replay.feed(record)) {
        Ok(broken) => {
            for why in &broken {
                eprintln!("plimsoll: {why}");
            }
            if arguments.strict && !broken.is_empty() {
                return exit::failed();
            }
        }
        Err(why) => {
            eprintln!("plimsoll: {why}");
            return exit::failed();
        }
    }
    let text = match replay.runs().first() {
        Some(run) if arguments.dump => dump(&run.model, arguments.output),
        Some(run) if arguments.stats => statistics(&run.model),
        _ if arguments.json => json(&replay),
        _ => summary(&replay),
    };
    let mut out = std::io::stdout().lock();
    // A reader that closed the pipe has what it wanted.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    ExitCode::SUCCESS
}

/// Most combinations of a grid: each is a table of its own.
const MOST: usize = 64;

/// The setting as given, then each combination of the grid.
fn configurations(arguments: &Arguments) -> Result<Vec<(String, Config)>, String> {
    let profile = profile_named(&arguments.profile)
        .ok_or_else(|| format!("no kernel profile {:?}", arguments.profile))?;
    let memory = arguments.memory.checked_mul(1 << 30).ok_or("so much memory is none")?;
    let mut settings = Settings::of(profile, Bytes(memory));
    for (key, value) in &arguments.set {
        settings.set(key, *value).map_err(|e| e.to_string())?;
    }
    let mut all = vec![("as set".to_owned(), settings.clone())];
    let mut combinations = vec![(String::new(), settings)];
    for (key, values) in &arguments.what_if {
        let mut wider = Vec::new();
        for (label, settings) in &combinations {
            for &value in values {
                let mut settings = settings.clone();
                settings.set(key, value).map_err(|e| e.to_string())?;
                let short = key.rsplit(['.', '/']).next().unwrap_or(key);
                wider.push((format!("{label} {short}={value}").trim().to_owned(), settings));
            }
        }
        combinations = wider;
        if combinations.len() > MOST {
            return Err(format!("more than {MOST} combinations"));
        }
    }
    if !arguments.what_if.is_empty() {
        all.extend(combinations);
    }
    Ok(all.into_iter().map(|(label, s)| (label, Config::new(profile, s))).collect())
}

/// The table in the form of the kernel or of conntrack(8).
fn dump(model: &Model, form: DumpForm) -> String {
    let mut text = String::new();
    for entry in model.snapshot() {
        // Writing to a String cannot fail.
        let _ = write(&mut text, &line(model, entry, form), dialect(form));
        text.push('\n');
    }
    text
}

const fn dialect(form: DumpForm) -> Dialect {
    match form {
        DumpForm::Proc => Dialect::Proc,
        DumpForm::Conntrack => Dialect::Tool,
    }
}

/// What a kernel of default configuration shows beside the entry.
fn line(model: &Model, entry: Entry, form: DumpForm) -> Line<'static> {
    // The reader of the proc file holds a reference of its own.
    let references = match form {
        DumpForm::Proc => 2,
        DumpForm::Conntrack => 1,
    };
    let [timeout, stream] = model.settings().gre.map(|s| Seconds(s.into()));
    let gre = (entry.original.protocol == Protocol::Gre).then_some((timeout, stream));
    let entry = Entry { age: None, mark: Some(0), references: Some(references), ..entry };
    let zone_shown = form == DumpForm::Proc || entry.zone.id != 0;
    Line { gre, zone_shown, ..Line::from(entry) }
}

fn statistics(model: &Model) -> String {
    let mut text = String::new();
    let statistics = Statistics {
        entries: Some(Entries(model.counted() as u64)),
        cpus: CpuCounters { rows: vec![*model.counters()] },
    };
    let header = match model.profile().from {
        (2, ..33) => Header::First,
        from if from < (5, 15) => Header::Middle,
        _ => Header::Modern,
    };
    // Writing to a String cannot fail.
    let _ = write_proc(&mut text, &statistics, header);
    text
}

fn stamp(time: Option<Time>) -> Option<String> {
    let time = jiff::Timestamp::from_nanosecond(time?.0.into()).ok()?;
    Some(time.to_string())
}

fn json(replay: &Replay) -> String {
    let tally = replay.tally();
    let span = replay.span();
    let runs: Vec<_> = replay
        .runs()
        .iter()
        .zip(replay.outcomes())
        .map(|(run, outcome)| {
            let counters: serde_json::Map<_, _> =
                outcome.counters.iter().map(|(c, v)| (c.name().to_owned(), v.into())).collect();
            let now = run.model.occupancy();
            let entries: Vec<_> = run
                .model
                .snapshot()
                .into_iter()
                .map(|entry| {
                    let mut text = String::new();
                    let line = line(&run.model, entry, DumpForm::Proc);
                    // Writing to a String cannot fail.
                    let _ = write(&mut text, &line, Dialect::Proc);
                    text
                })
                .collect();
            json!({
                "setting": outcome.label,
                "max": outcome.max,
                "buckets": run.model.settings().buckets,
                "peak_entries": outcome.peak,
                "peak_protected": outcome.peak_protected,
                "packets_lost": outcome.lost,
                "entries_evicted": outcome.evicted,
                "first_drop": stamp(outcome.first_drop),
                "last_drop": stamp(outcome.last_drop),
                "counters": counters,
                "final": {
                    "counted": now.counted, "live": now.live, "evictable": now.evictable,
                    "closing": now.closing, "protected": now.protected,
                },
                "entries": entries,
            })
        })
        .collect();
    let value = json!({
        "schema": "plimsoll.replay/1",
        "profile": replay.runs().first().map(|r| r.model.profile().name),
        "first": stamp(span.map(|s| s.0)),
        "last": stamp(span.map(|s| s.1)),
        "frames": tally.frames,
        "packets": tally.packets,
        "skipped": {
            "not_ip": tally.not_ip, "unknown_link": tally.unknown_link,
            "truncated": tally.truncated, "malformed": tally.malformed,
        },
        "doubts": {
            "untimed": tally.untimed, "backwards": tally.backwards, "merged": tally.merged,
            "sliced": tally.sliced, "picked_up": tally.picked_up,
        },
        "runs": runs,
    });
    format!("{value:#}\n")
}

fn summary(replay: &Replay) -> String {
    let mut text = String::new();
    let tally = replay.tally();
    let span = replay.span().map_or(0, |(first, last)| last.0.saturating_sub(first.0));
    let skipped = tally.not_ip + tally.unknown_link + tally.truncated + tally.malformed;
    let _ = writeln!(
        text,
        "{} packets in {:.1} s, {skipped} frames skipped",
        tally.packets,
        span as f64 / 1e9
    );
    let outcomes = replay.outcomes();
    let width = outcomes.iter().map(|o| o.label.chars().count()).max().unwrap_or(0).max(7);
    let _ = writeln!(
        text,
        "\n{:width$}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}  first drop",
        "setting", "max", "peak", "protected", "lost", "evicted"
    );
    for o in &outcomes {
        let Outcome { label, max, peak, peak_protected, lost, evicted, .. } = o;
        let max = if *max == 0 { "none".to_owned() } else { max.to_string() };
        let first = stamp(o.first_drop).unwrap_or_else(|| "never".into());
        let _ = writeln!(
            text,
            "{label:width$}  {max:>9}  {peak:>9}  {peak_protected:>9}  {lost:>9}  {evicted:>9}  {first}"
        );
    }
    if let [now, grid @ ..] = outcomes.as_slice()
        && now.lost > 0
        && !grid.is_empty()
    {
        let _ = match smallest_without_drops(grid) {
            Some(o) => writeln!(text, "\nThe first that drops nothing: {}", o.label),
            None => writeln!(text, "\nEach of them drops."),
        };
    }
    doubts(replay, &mut text);
    text
}

/// What the capture could not tell.
fn doubts(replay: &Replay, text: &mut String) {
    let tally = replay.tally();
    let mut doubt = |count: u64, what: &str| {
        if count > 0 {
            let _ = writeln!(text, "  {count} {what}");
        }
    };
    doubt(
        tally.picked_up,
        "flows were under way when their first packet was captured: their windows are guesses",
    );
    doubt(tally.merged, "TCP segments are longer than a frame: the network card merged them");
    doubt(tally.sliced, "packets were cut by the capture");
    doubt(tally.backwards, "packets are earlier than the one before: taken at its time");
    doubt(tally.untimed, "packets have no time: taken at that of the one before");
    doubt(tally.unknown_link, "frames are of a link type that is not read");
}
