//! The screen of `plimsoll boot`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_diagnosis::Severity;
use plimsoll_diagnosis::boot::{After, Attempt, Boot, Fate, Lint, Outcome, Stage};

use super::stage;
use crate::number::count;
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::text::severity;
use crate::wrap::left;
use crate::{Language, Style};

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
    let language = style.language;
    let title = spoken!(language, "NEXT BOOT", "下次启动");
    let mut line = Line::new().with(style, Paint::Strong, &title);
    line.push(style, Paint::Faint, &format!("  {}", style.said(&boot.kernel)));
    line.push(style, Paint::Faint, &format!("{}{}", style.dot(), boot.loader.name()));
    screen.line(&line);
    let text = spoken!(
        language,
        "{} applies the sysctl files: {}",
        "由 {} 应用 sysctl 文件：{}",
        boot.loader.name(),
        style.said(&boot.loader_because)
    );
    screen.paragraph(Line::new().padded(2), 2, Paint::Plain, &text);
    screen.paragraph(Line::new().padded(2), 2, Paint::Plain, style.said(&boot.module));
}

fn order(screen: &mut Screen<'_>, boot: &Boot) {
    let style = screen.style;
    let language = style.language;
    screen.gap();
    screen.heading(&spoken!(language, "IN THIS ORDER", "按此次序"), "");
    for step in &boot.steps {
        let word = left(stage_in(language, step.stage), STEP - 2, style.unicode);
        let start = Line::new().plain(style, "  ").with(style, Paint::Faint, &word);
        let text = format!("{} {}", style.said(&step.by), style.said(&step.what));
        screen.paragraph(start, STEP, Paint::Plain, &text);
    }
}

/// The word for a moment of the boot, in the language of the screen.
const fn stage_in(language: Language, of: Stage) -> &'static str {
    match (language, of) {
        (Language::Chinese, Stage::Kernel) => "内核",
        (Language::Chinese, Stage::Modules) => "模块",
        (Language::Chinese, Stage::Firewall) => "防火墙",
        (Language::Chinese, Stage::Network) => "网络",
        (Language::Chinese, Stage::Containers) => "容器",
        (Language::English | Language::Chinese, _) => stage(of),
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
    let language = style.language;
    screen.heading(
        &spoken!(language, "AFTER IT", "启动之后"),
        &spoken!(language, "setting, value now and then", "设置，现在和届时的值"),
    );
    for outcome in &shown {
        setting(screen, outcome, changes(outcome));
    }
    let rest = boot.outcomes.len() - shown.len();
    if asked.is_empty() && rest > 0 {
        let text = spoken!(
            language,
            "{rest} more, which nothing sets, keep the kernel's own values (-v shows them)",
            "另有 {rest} 个无人设置，保持内核自己的值（-v 显示）"
        );
        screen.paragraph(Line::new().plain(style, "  "), 2, Paint::Faint, &text);
    }
}

/// Settings that are shown in any case.
const LIMITS: &[&str] = &["nf_conntrack_max", "nf_conntrack_buckets"];

fn setting(screen: &mut Screen<'_>, o: &Outcome, changes: bool) {
    let style = screen.style;
    let mut line = Line::new().plain(style, "  ").with(style, Paint::Strong, &o.key);
    let language = style.language;
    let after = value(&o.after, language);
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
        let text = spoken!(language, " or {}", " 或 {}", value(or, language));
        line.push(style, Paint::Warn, &text);
    }
    screen.line(&line);
    let start = || Line::new().padded(4).with(style, Paint::Faint, "= ");
    screen.paragraph(start(), HANG, Paint::Faint, style.said(&o.because));
    if let Some((or, why)) = &o.or {
        let text = spoken!(
            language,
            "{} if the steps come in the other order: {}",
            "如果先后相反，则是 {}：{}",
            value(or, language),
            style.said(why)
        );
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
        screen.paragraph(start, HANG, Paint::Faint, &loser(attempt, style));
    }
    if losers.len() > most {
        let text = spoken!(language, "{} more with -v", "-v 再显示 {} 行", losers.len() - most);
        screen.line(&Line::new().padded(HANG).with(style, Paint::Faint, &text));
    }
}

fn value(after: &After, language: Language) -> String {
    let number = |n: i64| match u64::try_from(n) {
        Ok(n) => count(n),
        Err(_) => n.to_string(),
    };
    match after {
        After::Value(n) => number(*n),
        After::About(n) => spoken!(language, "about {}", "约 {}", number(*n)),
        After::Unknown(_) => spoken!(language, "not known", "未知"),
        After::Absent(_, Some(n)) => spoken!(
            language,
            "no key ({} once it is loaded)",
            "没有这个参数（加载之后为 {}）",
            number(*n)
        ),
        After::Absent(_, None) => spoken!(language, "no key", "没有这个参数"),
    }
}

/// `262144 in /etc/sysctl.d/50-x.conf line 3: overridden by …`
fn loser(attempt: &Attempt, style: &Style) -> String {
    let language = style.language;
    let a = &attempt.assignment;
    let by = style.said(&attempt.by);
    let place = match a.line {
        0 => spoken!(language, "{}", "{} ", a.file),
        line => spoken!(language, "{} line {}", "{} 第 {} 行", a.file, line),
    };
    let why = match &attempt.fate {
        Fate::Wins(_) => String::new(),
        Fate::Unclear => spoken!(language, "a variable", "是变量"),
        Fate::Untold => {
            spoken!(language, "not every kernel takes {}", "不是每个内核都接受 {}", a.key)
        }
        Fate::Overridden(_, by) => {
            spoken!(language, "then {}", "随后被改写：{}", style.said(by))
        }
        Fate::NotYet => spoken!(
            language,
            "written by {by} before the key exists",
            "由 {by} 写入，那时还没有这个参数"
        ),
        Fate::Never(why) => style.said(why).to_string(),
        Fate::Refused(why) => {
            spoken!(language, "refused: {}", "被内核拒绝：{}", style.said(why))
        }
        Fate::ReadOnly => spoken!(language, "the key only shows", "这个参数只读"),
        Fate::Dead { .. } => {
            spoken!(language, "{} is no key of this kernel", "本内核没有参数 {}", a.key)
        }
        Fate::Unknown { .. } => {
            spoken!(language, "{} is no key of any kernel", "任何内核都没有参数 {}", a.key)
        }
        Fate::Replaced(kept) => {
            spoken!(language, "{} keeps {}", "{} 留下的是 {}", by, style.said(kept))
        }
        Fate::NotRead(why) => spoken!(language, "not read: {}", "没有被读：{}", style.said(why)),
    };
    if a.value.is_empty() {
        return spoken!(language, "nothing in {place}: {why}", "{place}的空值：{why}");
    }
    spoken!(language, "{} in {place}: {why}", "{place}的 {}：{why}", a.value)
}

fn wrong(screen: &mut Screen<'_>, lints: &[&Lint]) {
    let style = screen.style;
    screen.gap();
    let language = style.language;
    let harm = lints.iter().filter(|l| !l.harmless).count();
    if lints.is_empty() {
        let title = spoken!(language, "NOTHING IS WRONG WITH THE FILES", "文件没有错误");
        screen.heading(&title, "");
        return;
    }
    let s = if lints.len() - harm == 1 { "s" } else { "" };
    let beside = match (harm, lints.len() - harm) {
        (0, rest) => spoken!(language, "{rest} that cost{s} nothing", "{rest} 处无害"),
        (_, 0) => String::new(),
        (_, rest) => spoken!(language, "and {rest} that cost{s} nothing", "另有 {rest} 处无害"),
    };
    screen.heading(&spoken!(language, "WHAT IS WRONG", "错在哪里"), &beside);
    let most = if style.verbose { lints.len() } else { LINTS.max(harm.min(LINTS * 2)) };
    for lint in lints.iter().take(most) {
        let how = if lint.harmless { Severity::Info } else { Severity::Warning };
        let (word, paint) = severity(language, how);
        let mut line =
            Line::new().plain(style, "  ").with(style, Paint::Strong, lint.kind.finding());
        line.push(style, Paint::Plain, " ");
        line.push(style, paint, word);
        line.push(style, Paint::Plain, "  ");
        line.push(style, Paint::Strong, lint.kind.name());
        screen.line(&line);
        if let Some(file) = &lint.file {
            let mut at = match lint.line {
                Some(line) if line > 0 => {
                    spoken!(language, "{file} line {line}", "{file} 第 {line} 行")
                }
                Some(_) | None => file.clone(),
            };
            if let Some(key) = &lint.key {
                at.push_str(&spoken!(language, ": {key}", "：{key}"));
                if let Some(value) = &lint.value {
                    at.push_str(&format!(" = {value}"));
                }
            }
            screen.paragraph(Line::new().padded(HANG), HANG, Paint::Plain, &at);
        }
        screen.paragraph(Line::new().padded(HANG), HANG, Paint::Plain, style.said(&lint.what));
        let mend = spoken!(language, "mend: ", "修正：");
        let start = Line::new().padded(HANG).with(style, Paint::Code, &mend);
        screen.paragraph(start, HANG + 6, Paint::Plain, style.said(&lint.mend));
    }
    if lints.len() > most {
        let text = spoken!(language, "  {} more with -v", "  -v 再显示 {} 处", lints.len() - most);
        screen.line(&Line::new().with(style, Paint::Faint, &text));
    }
}

fn unseen(screen: &mut Screen<'_>, boot: &Boot) {
    let style = screen.style;
    if boot.assumed.is_empty() && boot.unread.is_empty() {
        return;
    }
    screen.gap();
    screen.heading(&spoken!(style.language, "NOT SEEN", "没有看到"), "");
    for text in boot.unread.iter().chain(&boot.assumed) {
        screen.paragraph(
            Line::new().padded(2).with(style, Paint::Faint, "- "),
            4,
            Paint::Plain,
            style.said(text),
        );
    }
}
