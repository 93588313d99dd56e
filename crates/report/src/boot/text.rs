//! The screen of `plimsoll boot`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_diagnosis::boot::{After, Attempt, Boot, Fate, Lint, Outcome};

use super::stage;
use crate::Style;
use crate::number::count;
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::wrap::left;

/// Column at which what a step does begins.
const STEP: usize = 13;
/// Column of the reasons below a setting.
const HANG: usize = 6;
/// Lines that lose shown for a setting unless all are asked for.
const LOSERS: usize = 4;
/// Mistakes shown unless all are asked for.
const LINTS: usize = 12;

/// The screen. `asked`: the settings that were named, by bare name; empty for all that anything sets.
pub fn boot_text(boot: &Boot, asked: &[&str], style: &Style) -> String {
    let mut screen = Screen::new(style);
    head(&mut screen, boot);
    if asked.is_empty() || style.verbose {
        order(&mut screen, boot);
    }
    settings(&mut screen, boot, asked);
    let lints: Vec<&Lint> = boot.lints.iter().filter(|l| concerns(l, asked)).collect();
    wrong(&mut screen, &lints);
    unseen(&mut screen, boot);
    screen.finish()
}

/// Whether a mistake belongs to the settings that were named.
fn concerns(lint: &Lint, asked: &[&str]) -> bool {
    let Some(key) = &lint.key else { return true };
    asked.is_empty() || plimsoll_ct::Setting::find(key).is_none_or(|s| asked.contains(&s.name))
}

fn head(screen: &mut Screen<'_>, boot: &Boot) {
    let style = screen.style;
    let mut line = Line::new().with(style, Paint::Strong, "NEXT BOOT");
    line.push(style, Paint::Faint, &format!("  {}", boot.kernel));
    line.push(style, Paint::Faint, &format!("{}{}", style.dot(), boot.loader.name()));
    screen.line(&line);
    let text = format!("{} applies the sysctl files: {}", boot.loader.name(), boot.loader_because);
    screen.paragraph(Line::new().padded(2), 2, Paint::Plain, &text);
    screen.paragraph(Line::new().padded(2), 2, Paint::Plain, &boot.module);
}

fn order(screen: &mut Screen<'_>, boot: &Boot) {
    let style = screen.style;
    screen.gap();
    screen.heading("IN THIS ORDER", "");
    for step in &boot.steps {
        let word = left(stage(step.stage), STEP - 2, style.unicode);
        let start = Line::new().plain(style, "  ").with(style, Paint::Faint, &word);
        screen.paragraph(start, STEP, Paint::Plain, &format!("{} {}", step.by, step.what));
    }
}

fn settings(screen: &mut Screen<'_>, boot: &Boot, asked: &[&str]) {
    let style = screen.style;
    let changes = |o: &Outcome| {
        let after = o.after.number().and_then(|n| u64::try_from(n).ok());
        matches!(o.after, After::Value(_)) && o.now.is_some() && after.is_some() && after != o.now
    };
    let shown: Vec<&Outcome> = boot
        .outcomes
        .iter()
        .filter(|o| match asked {
            [] => style.verbose || o.is_set() || changes(o) || LIMITS.contains(&o.setting.name),
            asked => asked.contains(&o.setting.name),
        })
        .collect();
    screen.gap();
    screen.heading("AFTER IT", "setting, value now and then");
    for outcome in &shown {
        setting(screen, outcome, changes(outcome));
    }
    let rest = boot.outcomes.len() - shown.len();
    if asked.is_empty() && rest > 0 {
        let text = format!(
            "  {rest} more, which nothing sets, keep the kernel's own values (-v shows them)"
        );
        screen.line(&Line::new().with(style, Paint::Faint, &text));
    }
}

/// Settings that are shown in any case.
const LIMITS: &[&str] = &["nf_conntrack_max", "nf_conntrack_buckets"];

fn setting(screen: &mut Screen<'_>, o: &Outcome, changes: bool) {
    let style = screen.style;
    let mut line = Line::new().plain(style, "  ").with(style, Paint::Strong, &o.key);
    let after = value(&o.after);
    let paint = match &o.after {
        After::Value(_) if changes => Paint::Warn,
        After::Value(_) => Paint::Good,
        After::About(_) => Paint::Plain,
        After::Unknown(_) | After::Absent(..) => Paint::Unsure,
    };
    line.push(style, Paint::Plain, "  ");
    match o.now {
        Some(now) if changes || matches!(o.after, After::Unknown(_) | After::Absent(..)) => {
            line.push(style, Paint::Plain, &format!("{} → ", count(now)));
        }
        Some(_) | None => {}
    }
    line.push(style, paint, &after);
    if let Some((or, _)) = &o.or {
        line.push(style, Paint::Warn, &format!(" or {}", value(or)));
    }
    screen.line(&line);
    let start = || Line::new().padded(4).with(style, Paint::Faint, "= ");
    screen.paragraph(start(), HANG, Paint::Faint, &o.because);
    if let Some((or, why)) = &o.or {
        let text = format!("{} if the steps come in the other order: {why}", value(or));
        screen.paragraph(
            Line::new().padded(4).with(style, Paint::Warn, "? "),
            HANG,
            Paint::Faint,
            &text,
        );
    }
    let losers: Vec<&Attempt> = o.losers().collect();
    let most = if style.verbose { losers.len() } else { LOSERS };
    for attempt in losers.iter().take(most) {
        let start = Line::new().padded(4).with(style, Paint::Faint, "x ");
        screen.paragraph(start, HANG, Paint::Faint, &loser(attempt));
    }
    if losers.len() > most {
        let text = format!("{} more with -v", losers.len() - most);
        screen.line(&Line::new().padded(HANG).with(style, Paint::Faint, &text));
    }
}

fn value(after: &After) -> String {
    let number = |n: i64| match u64::try_from(n) {
        Ok(n) => count(n),
        Err(_) => n.to_string(),
    };
    match after {
        After::Value(n) => number(*n),
        After::About(n) => format!("about {}", number(*n)),
        After::Unknown(_) => "not known".to_string(),
        After::Absent(_, Some(n)) => format!("no key ({} once it is loaded)", number(*n)),
        After::Absent(_, None) => "no key".to_string(),
    }
}

/// `262144 in /etc/sysctl.d/50-x.conf line 3: overridden by …`
fn loser(attempt: &Attempt) -> String {
    let a = &attempt.assignment;
    let place = if a.line == 0 { a.file.clone() } else { format!("{} line {}", a.file, a.line) };
    let why = match &attempt.fate {
        Fate::Wins(_) | Fate::Unclear => String::new(),
        Fate::Overridden(_, by) => format!("then {by}"),
        Fate::NotYet => format!("written by {} before the key exists", attempt.by),
        Fate::Never(why) => why.to_string(),
        Fate::Refused(why) => format!("refused: {why}"),
        Fate::ReadOnly => "the key only shows".to_string(),
        Fate::Dead { .. } => format!("{} is no key of this kernel", a.key),
        Fate::Unknown { .. } => format!("{} is no key of any kernel", a.key),
        Fate::Replaced(by) => format!("{} keeps {by}", attempt.by),
        Fate::NotRead(why) => format!("not read: {why}"),
    };
    format!("{} in {place}: {why}", a.value)
}

fn wrong(screen: &mut Screen<'_>, lints: &[&Lint]) {
    let style = screen.style;
    screen.gap();
    let harm = lints.iter().filter(|l| !l.harmless).count();
    if lints.is_empty() {
        screen.heading("NOTHING IS WRONG WITH THE FILES", "");
        return;
    }
    let beside = match (harm, lints.len() - harm) {
        (0, rest) => format!("{rest} that cost nothing"),
        (_, 0) => String::new(),
        (_, rest) => format!("and {rest} that cost nothing"),
    };
    screen.heading("WHAT IS WRONG", &beside);
    let most = if style.verbose { lints.len() } else { LINTS.max(harm.min(LINTS * 2)) };
    for lint in lints.iter().take(most) {
        let (word, paint) =
            if lint.harmless { ("INFO", Paint::Good) } else { ("WARNING", Paint::Warn) };
        let mut line =
            Line::new().plain(style, "  ").with(style, Paint::Strong, lint.kind.finding());
        line.push(style, Paint::Plain, " ");
        line.push(style, paint, word);
        line.push(style, Paint::Plain, "  ");
        line.push(style, Paint::Strong, lint.kind.name());
        screen.line(&line);
        if let Some(file) = &lint.file {
            let mut at = match lint.line {
                Some(line) if line > 0 => format!("{file} line {line}"),
                Some(_) | None => file.clone(),
            };
            if let Some(key) = &lint.key {
                at.push_str(&match &lint.value {
                    Some(value) => format!(": {key} = {value}"),
                    None => format!(": {key}"),
                });
            }
            screen.paragraph(Line::new().padded(HANG), HANG, Paint::Plain, &at);
        }
        screen.paragraph(Line::new().padded(HANG), HANG, Paint::Plain, &lint.what);
        let start = Line::new().padded(HANG).with(style, Paint::Code, "mend: ");
        screen.paragraph(start, HANG + 6, Paint::Plain, &lint.mend);
    }
    if lints.len() > most {
        let text = format!("  {} more with -v", lints.len() - most);
        screen.line(&Line::new().with(style, Paint::Faint, &text));
    }
}

fn unseen(screen: &mut Screen<'_>, boot: &Boot) {
    let style = screen.style;
    if boot.assumed.is_empty() && boot.unread.is_empty() {
        return;
    }
    screen.gap();
    screen.heading("NOT SEEN", "");
    for text in boot.unread.iter().chain(&boot.assumed) {
        screen.paragraph(
            Line::new().padded(2).with(style, Paint::Faint, "- "),
            4,
            Paint::Plain,
            text,
        );
    }
}
