//! What the terminal can show: colour, columns, characters, the zone of its clock.

use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plimsoll_ct::Time;
use plimsoll_diagnosis::{Said, said};
use plimsoll_probe::said_of;
use plimsoll_report::{Clock, Language, Style, clean, span, spoken};

use crate::arguments::{Lang, Screen, When};

/// Says something on standard error. Names of files and words that were typed may come from strangers: what a terminal
/// would obey is shown, not sent. That nobody can be told stops nothing.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let text = $crate::terminal::cleaned(&format!($($words)*));
        let _ = writeln!(std::io::stderr(), "plimsoll: {text}");
    }};
}

/// Says something on standard error, in a language.
pub fn tell(language: Language, what: &Said) {
    say!("{}", in_language(language, what));
}

/// What is told to a person, in a language. That nobody has put it into Chinese is found out wherever a test makes us say it.
pub fn in_language(language: Language, what: &Said) -> &str {
    let chinese = what.spoken(Language::Chinese);
    let has_chinese = chinese.chars().any(|c| c >= '\u{2e80}');
    debug_assert!(has_chinese || chinese.is_empty(), "not said in Chinese: {chinese}");
    what.spoken(language)
}

/// Text of several lines, each fit for a terminal.
pub fn cleaned(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// The look that was asked for, of what this terminal can show, with the times of this host's zone.
pub fn style(screen: &Screen) -> Style {
    Style {
        width: columns(screen.width),
        colour: colour(screen.color),
        unicode: !screen.ascii && unicode(),
        clock: Clock::Offset { minutes: (zone_offset() / 60) as i16 },
        ..Style::default()
    }
}

/// As [`style`], in the language that was asked for, or that of the locale.
pub fn spoken_style(screen: &Screen, asked: Option<Lang>) -> Style {
    Style {
        unicode: shows(asked, screen.ascii),
        language: spoken(asked, screen.ascii),
        ..style(screen)
    }
}

/// Whether to colour standard output.
pub fn colour(when: When) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
                && std::env::var("TERM").is_ok_and(|t| t != "dumb")
        }
    }
}

/// Columns: what was asked for, else the terminal's between 60 and 100, else 80.
pub fn columns(asked: Option<u16>) -> usize {
    columns_up_to(100, asked)
}

/// Columns of a table that can use them: what was asked for, else the terminal's between 60 and 240, else 80.
pub fn wide(asked: Option<u16>) -> usize {
    columns_up_to(240, asked)
}

fn columns_up_to(most: usize, asked: Option<u16>) -> usize {
    if let Some(columns) = asked {
        return columns.into();
    }
    if !std::io::stdout().is_terminal() {
        return 80;
    }
    terminal_size::terminal_size()
        .map_or(80, |(terminal_size::Width(w), _)| usize::from(w).clamp(60, most))
}

/// Whether the locale's characters are UTF-8; the empty locale of a rescue shell is not.
pub fn unicode() -> bool {
    first_set(&["LC_ALL", "LC_CTYPE", "LANG"]).is_some_and(|l| {
        let l = l.to_ascii_lowercase();
        l.contains("utf-8") || l.contains("utf8")
    })
}

/// Whether characters beyond ASCII are shown: also where a language was asked for by name that needs them.
pub fn shows(asked: Option<Lang>, ascii: bool) -> bool {
    !ascii && (asked == Some(Lang::Zh) || unicode())
}

/// The language that was asked for, else that of the locale, if its characters can be shown.
pub fn spoken(asked: Option<Lang>, ascii: bool) -> Language {
    match asked {
        Some(Lang::En) => Language::English,
        Some(Lang::Zh) => Language::Chinese,
        None if shows(None, ascii) => language(),
        None => Language::English,
    }
}

/// The language that the locale asks for.
pub fn language() -> Language {
    let asked = first_set(&["LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"]);
    asked.map_or(Language::English, |locale| Language::of_locale(&locale))
}

/// Spans of measuring that nobody wonders about.
const SHORT: Duration = Duration::from_secs(2);

/// Does what takes an interval; on a terminal it is said meanwhile, and taken away again.
pub fn measuring<T>(
    interval: Duration,
    language: Language,
    unicode: bool,
    work: impl FnOnce() -> T,
) -> T {
    if interval < SHORT || !std::io::stderr().is_terminal() {
        return work();
    }
    let of = span(language, interval.as_secs_f64());
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    let form = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
    let style = form.unwrap_or(ProgressStyle::default_spinner());
    bar.set_style(if unicode { style } else { style.tick_chars(r"|/-\ ") });
    bar.set_message(spoken!(language, "measuring rates over {of}", "正在测量 {of}内的速率"));
    bar.enable_steady_tick(Duration::from_millis(200));
    let done = work();
    bar.finish_and_clear();
    done
}

/// Prints an answer. A reader that closed the pipe has what it wanted; a disk that is full has not.
pub fn print(text: &str) -> Result<(), Said> {
    match write(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritten(&error)),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Writes a part of an answer, so that it is seen at once.
pub fn write(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Why an answer could not be written.
pub fn unwritten(error: &std::io::Error) -> Said {
    let why = said_of(error);
    said!("standard output: {why}", "标准输出：{why:#}")
}

/// Seconds east of UTC of this host's clock, now.
pub fn zone_offset() -> i32 {
    jiff::Zoned::now().offset().seconds()
}

/// The same at another moment: clocks go back and forth with the seasons.
pub fn zone_offset_at(moment: Time) -> i32 {
    let moment = jiff::Timestamp::from_nanosecond(moment.0.into()).unwrap_or_default();
    jiff::tz::TimeZone::system().to_offset(moment).seconds()
}

fn first_set(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
}
