//! `plimsoll replay`: captures through the model.

mod ahead;
mod arguments;
mod captures;
mod listings;
mod moment;
mod plot;
mod search;
mod settings;
mod source;
mod workload;

pub use arguments::{Arguments, setting};
pub use search::{answer_again, answer_for};
pub use source::is_file;

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use plimsoll_ct::Time;
use plimsoll_diagnosis::{Said, said};
use plimsoll_model::{Model, Treatment};
use plimsoll_probe::said_of;
use plimsoll_replay::{Replay, Rules, Tally, is_cut_within_headers};
use plimsoll_report::{self as report, Clock, Language, ReplayDetails, Style};
use plimsoll_wire::listing::Dialect;

use self::arguments::Form;
use self::captures::Faults;
use self::source::Source;
use crate::{exit, terminal};

/// Why it could not be done, and whose fault that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The flags.
    Usage(Said),
    /// The captures, or where the answer was to go.
    Failed(Said),
}

/// What a person who waits is told.
const REPLAYING: Said = Said::of("replaying", "正在回放");

/// Runs it.
pub fn run(arguments: &Arguments) -> ExitCode {
    match show(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(why)) => {
            terminal::tell(language(arguments), &why);
            exit::usage()
        }
        Err(Failure::Failed(why)) => {
            terminal::tell(language(arguments), &why);
            exit::failed()
        }
    }
}

fn show(arguments: &Arguments) -> Result<(), Failure> {
    check_form(arguments).map_err(Failure::Usage)?;
    say_if_unseen(&arguments.profile, language(arguments))?;
    if lists(arguments) {
        return listing(arguments);
    }
    let drawn = arguments.plot.as_deref();
    if let Some(capture) = drawn.and_then(|path| plot::replaced(path, &arguments.captures)) {
        let (path, capture) = (drawn.unwrap_or(capture).display(), capture.display());
        return Err(Failure::Usage(said!(
            "--plot {path}: the drawing would take the place of a capture, {capture}",
            "--plot {path}：图会覆盖抓包文件 {capture}"
        )));
    }
    let nowhere = drawn.and_then(Path::parent).filter(|d| !d.as_os_str().is_empty() && !d.is_dir());
    if let Some(directory) = nowhere {
        let directory = directory.display();
        return Err(Failure::Usage(said!(
            "--plot: no directory {directory}",
            "--plot：没有目录 {directory}"
        )));
    }
    let (answer, details) = answer_for(arguments)?;
    let style = style(arguments, answer.span.map(|(first, _)| first));
    let mut text = if arguments.json {
        report::replay_json(&answer, &details)
    } else {
        report::replay_text(&answer, &style)
    };
    if drawn == Some(Path::new("-")) {
        text = format!("{}\n{text}", report::replay_chart(&answer, &style));
    }
    terminal::print(&text).map_err(Failure::Failed)?;
    // Last, so that a disk that is full does not cost the answer.
    if let Some(path) = drawn.filter(|path| *path != Path::new("-")) {
        plot::save(path, &report::replay_svg(&answer, &style))
            .map_err(|e| Failure::Failed(of_file(path, &e)))?;
    }
    Ok(())
}

/// Says on standard error whose behaviour stands for a kernel that nobody has seen.
pub fn say_if_unseen(kernel: &str, language: Language) -> Result<(), Failure> {
    if let (_, Some(note)) = settings::profile(kernel).map_err(Failure::Usage)? {
        terminal::tell(language, &note);
    }
    Ok(())
}

/// What the system says of a file.
fn of_file(path: &Path, error: &io::Error) -> Said {
    let (path, why) = (path.display(), said_of(error));
    said!("{path}: {why}", "{path}：{why:#}")
}

/// Whether what is printed is one of the kernel's own outputs.
const fn lists(arguments: &Arguments) -> bool {
    let Arguments { dump, expectations, events, stats, log, .. } = arguments;
    *dump || *expectations || *events || *stats || *log
}

/// What clap cannot say.
fn check_form(arguments: &Arguments) -> Result<(), Said> {
    if lists(arguments) && !(arguments.what_if.is_empty() && arguments.plot.is_none()) {
        return Err(Said::of(
            "--dump, --expectations, --events, --stats and --log are of one setting, which --set says; \
             --what-if and --plot are not for them",
            "--dump、--expectations、--events、--stats 和 --log 只对一种设置，由 --set 给出；\
             不能与 --what-if 和 --plot 一起用",
        ));
    }
    if arguments.json && arguments.plot.as_deref() == Some(Path::new("-")) {
        return Err(Said::of(
            "--plot -: --json has standard output for itself; give the drawing a file",
            "--plot -：--json 独占标准输出；请把图写入文件",
        ));
    }
    match arguments.output {
        Some(Form::Proc | Form::Conntrack) if !(arguments.dump || arguments.expectations) => {
            Err(Said::of(
                "-o proc and -o conntrack are forms of --dump and --expectations",
                "-o proc 和 -o conntrack 是 --dump 和 --expectations 的格式",
            ))
        }
        Some(Form::Timestamp) if !arguments.events => {
            Err(Said::of("-o timestamp is a form of --events", "-o timestamp 是 --events 的格式"))
        }
        Some(_) | None => Ok(()),
    }
}

/// What the flags do to packets before conntrack.
pub(super) fn rules(arguments: &Arguments) -> Rules {
    Rules {
        every: Treatment::default(),
        zones: arguments.zone.clone(),
        untracked: arguments.notrack.clone(),
        policies: arguments.timeout_policy.clone(),
        helpers: arguments.helper.clone(),
    }
}

/// With the clock as it went in this host's zone when the capture began.
fn style(arguments: &Arguments, began: Option<Time>) -> Style {
    let clock = if arguments.utc {
        Clock::Utc
    } else {
        let offset = began.map_or_else(terminal::zone_offset, terminal::zone_offset_at);
        let minutes = i16::try_from(offset / 60).unwrap_or(0);
        if minutes == 0 { Clock::Utc } else { Clock::Offset { minutes } }
    };
    Style {
        width: terminal::columns(arguments.width),
        colour: terminal::colour(arguments.color),
        unicode: terminal::shows(arguments.lang, arguments.ascii),
        verbose: false,
        commands: false,
        clock,
        language: language(arguments),
    }
}

/// That of the answer, and of what is wrong: what programs read is English.
pub(super) fn language(arguments: &Arguments) -> Language {
    if arguments.json {
        Language::English
    } else {
        terminal::spoken(arguments.lang, arguments.ascii)
    }
}

/// Faults to standard error; an end where they are not borne, or nothing else is there.
fn complain(arguments: &Arguments, faults: &Faults, tally: &Tally) -> Result<(), Failure> {
    let language = language(arguments);
    for why in &faults.broken {
        terminal::tell(language, why);
    }
    if tally.unknown_link > 0 {
        let n = tally.unknown_link;
        let frames = if n == 1 { "frame" } else { "frames" };
        let link = tally.unread_link.map_or_else(String::new, |link| format!(" (LINKTYPE {link})"));
        let said = said!(
            "{n} {frames} of a link type that is not read{link}",
            "{n} 个帧的链路类型不支持{link}"
        );
        terminal::tell(language, &said);
    }
    // The answer has a sentence for it; the kernel's own outputs have no room.
    if tally.truncated > 0 && (arguments.strict || lists(arguments)) {
        let first = captures::first(&arguments.captures, is_cut_within_headers);
        terminal::tell(language, &cut_within_headers(first, tally.truncated));
    }
    let nothing = tally.unknown_link == tally.frames;
    if nothing && (tally.frames > 0 || !faults.broken.is_empty()) {
        return Err(Failure::Failed(Said::of("no packet could be read", "一个包也没能读出")));
    }
    let unread = tally.unknown_link + tally.truncated;
    if arguments.strict && (unread > 0 || !faults.broken.is_empty()) {
        return Err(Failure::Failed(Said::of(
            "refused, since --strict was given",
            "因为给了 --strict，不予处理",
        )));
    }
    Ok(())
}

/// So many packets, and where the first of them stands, as far as that is known.
fn cut_within_headers(first: Option<Said>, n: u64) -> Said {
    let packets = if n == 1 { "packet was" } else { "packets were" };
    let n = report::number::count(n);
    let (place, chinese) = match first {
        Some(place) => (format!("; the first: {place}"), format!("；第一个：{place:#}")),
        None => (String::new(), String::new()),
    };
    said!(
        "{n} {packets} cut within the headers and left out{place}",
        "{n} 个包在包头之内就被截断，没有计入{chinese}"
    )
}

/// One of the kernel's own outputs, of the host as it is set.
fn listing(arguments: &Arguments) -> Result<(), Failure> {
    let (profile, host) = settings::host(arguments).map_err(Failure::Usage)?;
    let configs = [("as set".to_owned(), settings::config(arguments, profile, &host))];
    let mut replay = Replay::new(configs, rules(arguments));
    replay.name_interface(&arguments.interface);
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    // Once nobody reads any more, nothing more is read: the captures may have no end.
    let mut written = Ok(());
    if arguments.events {
        replay.first_mut().into_iter().for_each(Model::listen);
    }
    let stamped = arguments.output == Some(Form::Timestamp);
    let source = Source::of(arguments).map_err(Failure::Usage)?;
    // What comes through a pipe may come slowly: it is shown at once.
    let live = (arguments.events || arguments.log) && !source.again();
    let mut first = None;
    let faults = source.pass(&REPLAYING, |records| {
        first = first.or_else(|| records.iter().find_map(|record| record.time));
        // Of each packet there may be a line or two of the log, and the model keeps so many.
        let together = if arguments.events { 1 } else { 1024 };
        for some in records.chunks(together) {
            replay.feed(some);
            if arguments.events {
                let now = some.first().and_then(|record| record.time);
                written = events(&mut out, &mut replay, stamped, now);
            } else if arguments.log {
                written = log(&mut out, &mut replay);
            }
            if written.is_err() {
                return ControlFlow::Break(());
            }
        }
        if live {
            written = out.flush();
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let faults = faults.map_err(Failure::Failed)?;
    replay.finish(arguments.at.zip(first).map(|(moment, first)| moment.time(first)));
    if arguments.events && written.is_ok() {
        written = events(&mut out, &mut replay, stamped, None);
    }
    if arguments.log && written.is_ok() {
        written = log(&mut out, &mut replay);
    }
    complain(arguments, &faults, replay.tally())?;
    let cut = replay.tally().log_cut;
    if arguments.log && cut > 0 {
        say!("{}", report::replay_log_cut(cut, language(arguments)));
    }
    let Some(model) = replay.first_mut() else { return Ok(()) };
    let written = written.and_then(|()| {
        let tool = arguments.output == Some(Form::Conntrack);
        let dialect = if tool { Dialect::Tool } else { Dialect::Proc };
        if arguments.dump {
            listings::dump(&mut out, model, dialect)?;
        } else if arguments.expectations {
            for line in listings::expectations(model, dialect) {
                writeln!(out, "{line}")?;
            }
        } else if arguments.stats {
            out.write_all(listings::statistics(model).as_bytes())?;
        }
        out.flush()
    });
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(terminal::unwritten(&error)))
        }
        Err(_) | Ok(()) => Ok(()),
    }
}

/// What was logged since the last call.
fn log(out: &mut impl Write, replay: &mut Replay) -> io::Result<()> {
    let Some(model) = replay.first_mut() else { return Ok(()) };
    for (at, text) in listings::log(model) {
        writeln!(out, "{}", listings::logged(at, &text))?;
    }
    Ok(())
}

/// The events since the last packet.
fn events(
    out: &mut impl Write,
    replay: &mut Replay,
    stamped: bool,
    now: Option<Time>,
) -> io::Result<()> {
    let Some(model) = replay.first_mut() else { return Ok(()) };
    for event in model.take_events() {
        // The collector's work has its own time, that of a packet is the packet's.
        let tick = model.time_of(event.tick);
        let same = now.zip(tick).is_some_and(|(now, tick)| {
            now.0.saturating_sub(tick.0) < 1_000_000_000 / i64::from(model.settings().hz)
        });
        let at = if same { now } else { tick };
        writeln!(out, "{}", listings::event(event, at.filter(|_| stamped)))?;
    }
    Ok(())
}

/// Lines that only JSON shows beside the numbers.
fn details(arguments: &Arguments, replay: &mut Replay) -> ReplayDetails {
    if !arguments.json {
        return ReplayDetails::default();
    }
    match replay.first_mut() {
        Some(model) => ReplayDetails { entries: listings::lines(model), log: listings::log(model) },
        None => ReplayDetails::default(),
    }
}
