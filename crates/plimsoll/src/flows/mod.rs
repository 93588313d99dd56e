//! `plimsoll flows`: which entries, and how many of each kind.
//!
//! Knows: where entries come from and where they go. Does not know: what a filter means (`plimsoll-flows`), how an
//! entry looks (`plimsoll-report`).

pub mod arguments;
mod around;
pub mod form;
mod groups;
pub mod live;
mod narrow;
pub mod owners;
mod parquet;
mod pipe;
mod print;
mod saved;
mod watch;

use std::io;
use std::process::ExitCode;

use plimsoll_diagnosis::facts::Gap;
use plimsoll_diagnosis::{Said, said};
use plimsoll_flows::{Complaint, Filter, Groups, Keys, Lacks, Limits, Names};
use plimsoll_probe::entries::{Outcome, Scope, Wants};
use plimsoll_probe::files::Files;
use plimsoll_probe::names::name_files;
use plimsoll_probe::seed;
use plimsoll_report::number::{count, counted};
use plimsoll_report::{Language, clean, spoken};

use crate::{check, exit};
use arguments::{Flows, ReaderChoice};
use form::{Form, Output, Tool};
use owners::Owners;
use pipe::{Counts, End, Pipe};
use print::Printer;

/// Runs it.
pub fn run(arguments: &Flows) -> ExitCode {
    match prepare(arguments) {
        Ok(prepared) => act(arguments, &prepared),
        Err(why) => {
            say!("{why}");
            exit::usage()
        }
    }
}

/// Says something on standard error.
fn tell(language: Language, what: &Said) {
    say!("{}", what.spoken(language));
}

/// What was understood of the command line.
struct Prepared {
    files: Files,
    names: Names,
    filter: Filter,
    keys: Option<Keys>,
    output: Output,
}

fn prepare(arguments: &Flows) -> Result<Prepared, String> {
    let language = arguments.language();
    let complaint = |error: Complaint| match language {
        Language::English => error.to_string(),
        Language::Chinese => format!("{error:#}"),
    };
    let files = match (&arguments.root, &arguments.bundle) {
        (Some(path), _) | (None, Some(path)) => {
            check::open(path, arguments.root.is_some())
                .map_err(|why| why.spoken(language).to_owned())?
                .0
        }
        (None, None) => Files::live(),
    };
    let found = name_files(&files);
    let names = Names::new(found.services, found.protocols, found.labels);
    let text = arguments.filter.join(" ");
    let filter = Filter::parse(&text, &names).map_err(complaint)?;
    let keys = arguments.by.as_deref().map(Keys::parse).transpose();
    let keys = keys.map_err(complaint)?;
    let output = match arguments.json {
        true => Form::Json.into(),
        false => arguments.output.unwrap_or(Form::Table.into()),
    };
    let form = output.form;
    if keys.is_some() && matches!(form, Form::Conntrack(_) | Form::Proc) {
        return Err(spoken!(
            language,
            "--by adds entries up: it prints table, json, csv or parquet",
            "--by 把条目汇总：它输出 table、json、csv 或 parquet"
        ));
    }
    if arguments.watch
        && matches!(form, Form::Parquet | Form::Proc | Form::Conntrack(Tool { save: true, .. }))
    {
        return Err(spoken!(
            language,
            "--watch prints table, json, csv or conntrack (not save)",
            "--watch 输出 table、json、csv 或 conntrack（save 除外）"
        ));
    }
    if form == Form::Parquet && io::IsTerminal::is_terminal(&io::stdout()) {
        return Err(spoken!(
            language,
            "parquet is no text: redirect it to a file",
            "parquet 不是文本：请重定向到文件"
        ));
    }
    Ok(Prepared { files, names, filter, keys, output })
}

fn act(arguments: &Flows, prepared: &Prepared) -> ExitCode {
    let Prepared { files, names, filter, keys, output } = prepared;
    let form = output.form;
    let (style, language) = (pipe::style(arguments), arguments.language());
    let dead = arguments.root.is_some() || arguments.bundle.is_some() || arguments.from.is_some();
    let places = match dead {
        true => None,
        false => match live::Places::choose(arguments.all_netns, &arguments.netns) {
            Ok(places) => Some(places),
            Err(why) => {
                tell(language, &why);
                return exit::usage();
            }
        },
    };
    if arguments.watch
        && let Some(places) = places
    {
        return watch::run(arguments, prepared, places);
    }
    let several = places.as_ref().is_none_or(live::Places::are_several) && arguments.from.is_none();
    let end = match keys {
        Some(keys) => End::Group(Box::new(Groups::new(keys.clone(), Limits::default(), seed()))),
        None => match Printer::new(form, names, &style, several) {
            Ok(printer) => End::Print(Box::new(printer)),
            Err(error) => return written(Err(error), language),
        },
    };
    let mut pipe = Pipe {
        filter,
        end,
        owners: None,
        limit: arguments.limit,
        counts: Counts::default(),
        lacks: Lacks::NONE,
        failed: None,
    };
    let read = match &places {
        None => read_saved(arguments, files, &mut pipe),
        Some(places) => read_live(arguments, prepared, places, &mut pipe),
    };
    let Read { told, way, remarks } = match read {
        Ok(read) => read,
        Err(why) => {
            tell(language, &why);
            return exit::failed();
        }
    };
    let done = match pipe.finish() {
        Ok(()) => match &pipe.end {
            End::Group(grouped) => groups::print(arguments, form, grouped, names, &style),
            End::Print(_) => Ok(()),
        },
        Err(error) => Err(error),
    };
    if !arguments.quiet {
        talk(&pipe, told, &way, &remarks, language);
    }
    written(done, language)
}

/// What is said of a reading.
struct Read {
    /// Entries that a reader told of; some it leaves out by itself, where the filter allows.
    told: u64,
    way: Said,
    remarks: Vec<Said>,
}

/// What was saved, through the pipe.
fn read_saved(arguments: &Flows, files: &Files, pipe: &mut Pipe<'_>) -> Result<Read, Said> {
    let read = match &arguments.from {
        Some(path) => saved::listing(path, pipe, arguments.language()),
        None => saved::host(files, &arguments.netns, pipe, arguments.language()),
    };
    let source = read.map_err(|why| live::shown(&why))?;
    let source = clean(&source);
    let way = said!("read from {source}", "读自 {source}");
    Ok(Read { told: 0, way, remarks: Vec::new() })
}

/// The running host, through the pipe.
fn read_live(
    arguments: &Flows,
    prepared: &Prepared,
    places: &live::Places,
    pipe: &mut Pipe<'_>,
) -> Result<Read, Said> {
    let Prepared { filter, keys, output, .. } = prepared;
    let needs = keys.as_ref().map_or(Lacks::NONE, Keys::needs) | filter.needs();
    let wants = match keys {
        Some(_) => live::wants(needs, places.accounting),
        None => live::shows(*output),
    };
    let details = matches!(output.form, Form::Conntrack(_) | Form::Proc);
    // Entries one by one are shown with their owners, where the form has a place for them.
    if needs.contains(Lacks::OWNER) || keys.is_none() && !details {
        pipe.owners = Some(Owners::look());
    }
    let mut read = match keys {
        Some(keys) => grouped(arguments, places, wants, keys, pipe),
        None => live::read(arguments, places, wants, details, std::slice::from_mut(pipe)),
    };
    if read.is_err() && keys.is_none() && arguments.reader == ReaderChoice::Auto {
        // Not all that could be shown: what the filter needs.
        let least = live::wants(needs, false);
        read = live::read(arguments, places, least, details, std::slice::from_mut(pipe));
    }
    let outcome = read.map_err(|gap| live::refusal(&gap, &places.scope))?;
    let full = pipe.limit.is_some_and(|limit| pipe.counts.matched >= limit);
    let mut remarks = live::remarks(&outcome, full);
    if needs.contains(Lacks::OWNER)
        && let Some(owners) = &pipe.owners
    {
        remarks.extend(owners.remarks());
    }
    if places.scope == Scope::Here && outcome.read == 0 {
        remarks.extend(live::elsewhere());
    }
    Ok(Read { told: outcome.read, way: live::way(&outcome), remarks })
}

/// Threads that add up at most: beyond a few, reading is what takes the time.
const THREADS: usize = 4;

/// Adds up in several threads, each with its share of the memory, where the reader can use them.
fn grouped(
    arguments: &Flows,
    places: &live::Places,
    wants: Wants,
    keys: &Keys,
    pipe: &mut Pipe<'_>,
) -> Result<Outcome, Gap> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let limits = Limits { bytes: Limits::default().bytes / threads };
    let part = || Groups::new(keys.clone(), limits, seed());
    let mut pipes: Vec<Pipe<'_>> = (0..threads)
        .map(|_| Pipe {
            filter: pipe.filter,
            end: End::Group(Box::new(part())),
            owners: pipe.owners.as_ref().map(Owners::share),
            limit: None,
            counts: Counts::default(),
            lacks: Lacks::NONE,
            failed: None,
        })
        .collect();
    let outcome = live::read(arguments, places, wants, false, &mut pipes)?;
    for part in pipes {
        pipe.counts.add(part.counts);
        pipe.lacks |= part.lacks;
        match (&mut pipe.end, part.end) {
            (End::Group(all), End::Group(groups)) if all.is_empty() => *all = groups,
            (End::Group(all), End::Group(groups)) => all.merge(&groups),
            (End::Group(_) | End::Print(_), _) => {}
        }
    }
    Ok(outcome)
}

/// Says on standard error what was done.
fn talk(pipe: &Pipe<'_>, told: u64, way: &Said, remarks: &[Said], language: Language) {
    let Counts { seen, matched, unknown, malformed } = pipe.counts;
    let seen = seen.max(told);
    // Where the kernel left out all others, nobody knows how many they were.
    let of = match seen > matched {
        true => said!(" of {}", "（共 {} 个）", count(seen)),
        false => Said::default(),
    };
    let what = match &pipe.end {
        End::Group(_) => Said::of("counted", "统计了"),
        End::Print(_) => Said::of("shown", "显示了"),
    };
    let entries = if of.is_empty() && matched == 1 { "entry" } else { "entries" };
    let matched = count(matched);
    say!(
        "{}",
        spoken!(
            language,
            "{matched}{of} {entries} {what}, {way}",
            "{what:#} {matched} 个条目{of:#}，{way:#}"
        )
    );
    if unknown > 0 {
        tell(language, &unjudged(unknown, pipe.lacks));
    }
    if malformed > 0 {
        let what = counted(malformed, "line or message", "lines or messages");
        let malformed = count(malformed);
        say!(
            "{}",
            spoken!(language, "{what} could not be understood", "{malformed} 行（或消息）看不懂")
        );
    }
    if let End::Group(groups) = &pipe.end
        && groups.error() > 0
    {
        tell(
            language,
            &said!(
                "more groups than there is room for: a count may be too small by {} at most",
                "分组太多，放不下：计数最多可能少 {}",
                count(groups.error())
            ),
        );
    }
    for remark in remarks {
        tell(language, remark);
    }
}

/// How many a filter could not judge, and what was lacking.
pub fn unjudged(unknown: u64, lacks: Lacks) -> Said {
    let words = lacks.words().map(|lack| Said::new(lack.english().into(), lack.chinese().into()));
    let lacking = Said::join(&words.collect::<Vec<_>>(), &Said::of("; ", "；"));
    said!(
        "{} could not be judged, for want of: {lacking}",
        "{} 个无法判断，因为缺少：{lacking:#}",
        count(unknown)
    )
}

/// A reader that closed the pipe has what it wanted.
fn written(result: io::Result<()>, language: Language) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            tell(language, &crate::terminal::unwritten(&error));
            exit::failed()
        }
    }
}
