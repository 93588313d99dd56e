//! `plimsoll top`: the table, watched.
//!
//! Knows: the terminal, threads, the clock. Does not know: what is on the screen (`plimsoll-top`).
//! Threads: one reads the table, one checks the host, one hears the terminal, one hears signals; this one draws.

pub mod arguments;
mod guard;
mod input;
mod reader;
mod screen;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_diagnosis::facts::{Fact, Reason, Snapshot};
use plimsoll_diagnosis::{Finding, Said, diagnose, said};
use plimsoll_flows::{Filter, Keys, Names};
use plimsoll_probe::files::Files;
use plimsoll_probe::live::{self as host, NamespaceSelector, Pulse};
use plimsoll_probe::names::name_files;
use plimsoll_report::{self as report, Language, spoken};
use plimsoll_top::{App, Look, Moment, Place, Question, Scope, Step};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

use crate::{exit, terminal};
use arguments::Top;
use input::Input;
use reader::Reader;
use screen::Screen;

pub use guard::stand as stand_guard;

/// What the threads tell.
pub enum News {
    /// A moment.
    Moment(Box<Moment>),
    /// Namespaces.
    Places(Vec<Place>),
    /// What a check found, and the names of the namespaces that they are about.
    Findings(Vec<Finding>, Vec<Said>),
    /// A person did something.
    Input(Input),
    /// A signal to end.
    Signal(i32),
    /// A signal to stop.
    Stop,
    /// Somebody stopped us without asking, and let us go on.
    Continued,
    /// The terminal is gone.
    Hangup,
}

/// Time since the beginning, and how much of a processor this process used in it.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Since the beginning.
    pub fn at(self) -> Duration {
        self.0.elapsed()
    }

    /// Used by all threads.
    pub fn used(self) -> Duration {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec as u32)
    }
}

/// Runs it.
pub fn run(arguments: &Top) -> ExitCode {
    let language = terminal::spoken(arguments.lang, arguments.ascii);
    match prepare(arguments, language) {
        Ok((app, mouse)) => match watch(arguments, app, mouse) {
            Ok(status) => status,
            Err(error) => {
                say!("{}", spoken!(language, "the terminal: {error}", "终端：{error}"));
                exit::failed()
            }
        },
        Err(Refusal::Usage(why)) => {
            say!("{why}");
            exit::usage()
        }
        Err(Refusal::Unable(why)) => {
            say!("{why}");
            exit::failed()
        }
    }
}

/// Why it does not begin.
enum Refusal {
    /// What was asked makes no sense.
    Usage(String),
    /// Something is not there.
    Unable(String),
}

fn prepare(arguments: &Top, language: Language) -> Result<(App, bool), Refusal> {
    let found = name_files(&Files::live());
    let names = Names::new(found.services, found.protocols, found.labels);
    let usage = |error: plimsoll_flows::Complaint| {
        Refusal::Usage(match language {
            Language::English => error.to_string(),
            Language::Chinese => format!("{error:#}"),
        })
    };
    let filter = Filter::parse(&arguments.filter.join(" "), &names).map_err(usage)?;
    let keys = Keys::parse(&arguments.by).map_err(usage)?;
    let (scope, first) =
        scope(arguments).map_err(|why| Refusal::Usage(why.spoken(language).to_owned()))?;
    let unable = |why: &Said| Err(Refusal::Unable(why.spoken(language).to_owned()));
    if !io::stdout().is_terminal() {
        return unable(&Said::of(
            "top needs a terminal; plimsoll flows --by state,service prints the groups once",
            "top 需要终端；plimsoll flows --by state,service 把分组打印一次",
        ));
    }
    if std::env::var("TERM").is_ok_and(|term| term == "dumb") {
        return unable(&Said::of(
            "this terminal is dumb (TERM); plimsoll flows --by state,service prints the groups once",
            "这个终端是 dumb（TERM）；plimsoll flows --by state,service 把分组打印一次",
        ));
    }
    let gone = |count: &Fact<_>| count.gap().is_some_and(|gap| gap.reason == Reason::NotLoaded);
    if let Some(namespace) = first.namespaces.first().filter(|namespace| gone(&namespace.count)) {
        let detail = namespace.count.gap().map(|gap| gap.detail.clone()).unwrap_or_default();
        return unable(&said!(
            "this host tracks no connections: there is no table to watch ({detail})",
            "本机不跟踪连接：没有表可看（{detail:#}）"
        ));
    }
    let clock = if arguments.utc {
        report::Clock::Utc
    } else {
        report::Clock::Offset { minutes: (terminal::zone_offset() / 60) as i16 }
    };
    let look = Look {
        colour: terminal::colour(arguments.color),
        unicode: terminal::shows(arguments.lang, arguments.ascii),
        clock,
        language,
        host: first
            .host
            .name
            .value()
            .cloned()
            .unwrap_or_else(|| spoken!(language, "this host", "本机")),
    };
    let question = Question { scope, filter, keys, order: arguments.sort };
    Ok((App::new(look, names, question, !arguments.no_mouse), !arguments.no_mouse))
}

/// Whose entries, as the command line says; and the first look at them.
fn scope(arguments: &Top) -> Result<(Scope, Snapshot), Said> {
    let own = ["own".to_owned()];
    let asked = match (arguments.all_netns, arguments.netns.is_empty()) {
        (true, _) => &[][..],
        (false, true) => &own[..],
        (false, false) => &arguments.netns,
    };
    let only: Vec<NamespaceSelector> =
        asked.iter().map(|text| NamespaceSelector::parse(text)).collect();
    let (pulse, unmatched) = Pulse::of(&only);
    let missing = asked.iter().zip(&only).filter(|(_, selector)| unmatched.contains(selector));
    let missing: Vec<String> = missing.map(|(text, _)| format!("{text:?}")).collect();
    if !missing.is_empty() {
        return Err(said!(
            "no network namespace answers to {}",
            "没有这样的网络命名空间：{}",
            missing.join(", ")
        ));
    }
    let first = pulse.take();
    if arguments.all_netns {
        return Ok((Scope::All, first));
    }
    let spaces = diagnose(None, &first).namespaces;
    let name = match &spaces[..] {
        [one] => one.name.clone(),
        several => said!("{} namespaces", "{} 个命名空间", several.len()),
    };
    Ok((Scope::Some(spaces.iter().filter_map(|space| space.inode).collect(), name), first))
}

/// Draws until it is told to end.
fn watch(arguments: &Top, mut app: App, mouse: bool) -> io::Result<ExitCode> {
    let (news, heard) = channel();
    let (ask, questions) = channel();
    let clock = Clock(Instant::now());
    let mut signals =
        signal_hook::iterator::Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT])?;
    let mut screen = Screen::take(mouse)?;
    screen.draw(&mut app)?;

    let reader =
        Reader::new(arguments.reader.into(), arguments.interval, clock, app.question().clone());
    let of_reader = news.clone();
    thread::Builder::new()
        .name("reader".into())
        .spawn(move || reader.run(&questions, &of_reader))?;
    let of_check = news.clone();
    thread::Builder::new().name("check".into()).spawn(move || check(&of_check))?;
    let of_signals = news.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let _ = of_signals.send(match signal {
                SIGTSTP => News::Stop,
                SIGCONT => News::Continued,
                signal => News::Signal(signal),
            });
            if signal != SIGTSTP && signal != SIGCONT {
                // Whoever draws may hang on a terminal that takes nothing: then the guard gives it back.
                thread::sleep(Duration::from_secs(2));
                std::process::exit(128 + signal);
            }
        }
    })?;
    thread::Builder::new().name("input".into()).spawn(move || listen(&news))?;
    let status = draw(&mut screen, &mut app, &heard, &ask);
    drop(screen);
    status
}

/// Hears the terminal.
fn listen(news: &Sender<News>) {
    loop {
        let told = match crossterm::event::read() {
            Ok(event) => input::input(&event).map(News::Input),
            Err(_) => Some(News::Hangup),
        };
        let Some(told) = told else { continue };
        let last = matches!(told, News::Hangup);
        if news.send(told).is_err() || last {
            return;
        }
    }
}

/// How often the host is checked, at most.
const CHECK: Duration = Duration::from_secs(30);
/// The share of one core that checks may take.
const CHECK_SHARE: f64 = 0.01;
/// Kernel time that a check may take for reading entries.
const CHECK_BUDGET: Duration = Duration::from_millis(50);

/// Checks the host again and again.
fn check(news: &Sender<News>) {
    let options = host::Options { dump_budget: CHECK_BUDGET, ..host::Options::default() };
    loop {
        let start = Instant::now();
        let observation = host::observe(&options);
        // Beside the interval all of it is work.
        let work = start.elapsed().saturating_sub(options.interval);
        let diagnosis = diagnose(Some(&observation.before), &observation.after);
        let namespaces = diagnosis.namespaces.into_iter().map(|namespace| namespace.name);
        if news.send(News::Findings(diagnosis.findings, namespaces.collect())).is_err() {
            return;
        }
        thread::sleep(CHECK.max(work.div_f64(CHECK_SHARE)));
    }
}

/// Draws what comes; the exit status.
fn draw(
    screen: &mut Screen,
    app: &mut App,
    heard: &Receiver<News>,
    ask: &Sender<Question>,
) -> io::Result<ExitCode> {
    let mut fresh = false;
    loop {
        // What nobody waits for may come together.
        let rest = if fresh { screen.rest() } else { Duration::from_secs(3600) };
        let (mut now, mut next) = match heard.recv_timeout(rest) {
            Ok(news) => (false, Some(news)),
            Err(RecvTimeoutError::Timeout) => (fresh, None),
            Err(RecvTimeoutError::Disconnected) => return Ok(exit::failed()),
        };
        while let Some(news) = next {
            fresh = true;
            match news {
                News::Moment(moment) => app.learn(*moment),
                News::Places(places) => app.learn_places(places),
                News::Findings(findings, namespaces) => app.learn_findings(findings, namespaces),
                News::Stop => screen.suspend()?,
                News::Continued => screen.come_back()?,
                News::Signal(signal) => return Ok(ExitCode::from(128 + signal as u8)),
                News::Hangup => return Ok(exit::failed()),
                News::Input(input) => {
                    now = true;
                    let step = match input {
                        Input::Key(key) => app.key(key),
                        Input::Mouse(mouse) => app.mouse(mouse),
                        Input::Resize => Step::Draw,
                    };
                    match step {
                        Step::Draw => {}
                        Step::Ask => _ = ask.send(app.question().clone()),
                        Step::Mouse(mouse) => screen.hear_mouse(mouse)?,
                        Step::Redraw => screen.forget()?,
                        Step::Suspend => screen.suspend()?,
                        Step::Quit => return Ok(ExitCode::SUCCESS),
                    }
                }
            }
            next = heard.try_recv().ok();
        }
        if fresh && (now || screen.rest().is_zero()) {
            app.learn_slowness(screen.is_slow());
            screen.draw(app)?;
            fresh = false;
        }
    }
}
