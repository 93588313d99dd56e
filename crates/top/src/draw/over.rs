//! The foot of the screen, and what lies over the groups.

use plimsoll_diagnosis::Said;
use plimsoll_flows::{Complaint, Words};
use plimsoll_report::number::count;
use plimsoll_report::{Language, Paint, clean, severity, spoken, width, with_unit};

use super::canvas::cut;
use super::groups::wrapped;
use super::{Canvas, scrolled};
use crate::app::{App, Typed};
use crate::line::Line;
use crate::presets::PRESETS;

/// The worst finding, or that there is none.
pub(super) fn found(canvas: &mut Canvas<'_>, app: &App, row: u16) {
    if let Some(notice) = &app.notice {
        canvas.style = canvas.strong();
        canvas.row(row, notice);
        canvas.style = canvas.plain();
        return;
    }
    let language = canvas.language();
    let Some(findings) = &app.findings else {
        canvas.style = canvas.paint(Paint::Faint);
        let text =
            spoken!(language, "FINDINGS  this host is being checked", "诊断结论  正在检查本机");
        canvas.row(row, &text);
        canvas.style = canvas.plain();
        return;
    };
    let Some(worst) = findings.first() else {
        canvas.row(row, &spoken!(language, "FINDINGS  none", "诊断结论  无"));
        return;
    };
    let (word, paint) = severity(language, worst.severity);
    canvas.style = canvas.paint(paint);
    let at = canvas.at(0, row, canvas.width(), &format!("{} {word}", worst.id));
    canvas.style = canvas.plain();
    let more = match findings.len() - 1 {
        0 => String::new(),
        more => format!("+{more} "),
    };
    let room = canvas.width().saturating_sub(at + 3 + more.len() as u16);
    let text = cut(&clean(worst.summary.spoken(language)), room.into());
    canvas.at(at + 2, row, room, &text);
    let column = canvas.width() - (more.len() as u16).min(canvas.width());
    canvas.at(column, row, canvas.width(), &more);
}

const BACK: Said = Said::of("Esc back", "Esc 返回");
const PAUSE: Said = Said::of("p pause", "p 暂停");
const GO_ON: Said = Said::of("p go on", "p 继续");

/// What keys there are.
pub(super) fn hints(canvas: &mut Canvas<'_>, app: &App, row: u16) {
    let language = canvas.language();
    let back = if app.depth() > 0 { BACK } else { Said::default() };
    let pause = if app.is_live() { PAUSE } else { GO_ON };
    // With each how soon it is left out where there is no room; all stand in the help.
    let mut hints = vec![
        (Said::of("Enter into", "Enter 深入"), 0),
        (back, 0),
        (Said::of("Tab by", "Tab 分组"), 0),
        (Said::of("/ filter", "/ 过滤"), 0),
        (Said::of("s sort", "s 排序"), 3),
        (Said::of("[ ] time", "[ ] 时间"), 1),
        (pause, 2),
        (Said::of("f findings", "f 诊断"), 0),
        (Said::of("n netns", "n 命名空间"), 4),
        (Said::of("? help", "? 帮助"), 0),
        (Said::of("q quit", "q 退出"), 0),
    ];
    hints.retain(|(hint, _)| !hint.is_empty());
    let wide = |hints: &[(Said, u8)]| {
        hints.iter().map(|(hint, _)| width(hint.spoken(language)) + 2).sum::<usize>() - 2
    };
    while wide(&hints) > canvas.width().into() {
        let first = hints.iter().enumerate().max_by_key(|(place, (_, soon))| (*soon, *place));
        let Some((place, _)) = first.filter(|_| hints.len() > 1) else { break };
        hints.remove(place);
    }
    let text = hints.iter().map(|(hint, _)| hint.spoken(language)).collect::<Vec<_>>().join("  ");
    canvas.style = canvas.paint(Paint::Faint);
    canvas.row(row, &text);
    canvas.style = canvas.plain();
}

/// What is typed; what is wrong with it, with a caret. Where the cursor stands.
pub(super) fn prompt(
    canvas: &mut Canvas<'_>,
    what: Typed,
    line: &Line,
    complaint: Option<&Complaint>,
    row: u16,
) -> (u16, u16) {
    let language = canvas.language();
    let (label, hint) = match what {
        Typed::Filter => (
            "/ ",
            Said::of(
                "FILTER  such as: tcp and dport 443 and not assured. Enter applies, Esc leaves it",
                "过滤  例如：tcp and dport 443 and not assured。Enter 应用，Esc 放弃",
            ),
        ),
        Typed::Keys => (
            "by ",
            Said::of(
                "GROUP BY  keys with commas between: state,dport or src/24. Enter applies",
                "分组  键之间用逗号：state,dport 或 src/24。Enter 应用",
            ),
        ),
    };
    let label_width = label.len() as u16;
    let room = usize::from(canvas.width().saturating_sub(label_width + 1)).max(1);
    let before = width(line.before());
    // The place that matters is on the screen.
    let (place, meant) = complaint.map_or((before, 1), Complaint::columns);
    let wanted = (place + 1).saturating_sub(room);
    let wide = |c: char| width(c.encode_utf8(&mut [0; 4]));
    let mut rest = line.text().chars();
    let mut skipped = 0;
    while skipped < wanted
        && let Some(c) = rest.next()
    {
        skipped += wide(c);
    }
    let mut left = room;
    let fits = |c: &char| left.checked_sub(wide(*c)).map(|now| left = now).is_some();
    let shown: String = rest.take_while(fits).collect();
    canvas.style = canvas.strong();
    match complaint {
        Some(complaint) => {
            canvas.style = canvas.paint(Paint::Bad);
            canvas.row(row, words(&complaint.heading(), language));
        }
        None => canvas.row(row, hint.spoken(language)),
    }
    canvas.style = canvas.plain();
    canvas.row(row + 1, &format!("{label}{shown}"));
    canvas.row(row + 2, "");
    if let Some(complaint) = complaint {
        let carets = "^".repeat(meant.clamp(1, room));
        let column = label_width + place.saturating_sub(skipped) as u16;
        canvas.style = canvas.paint(Paint::Bad);
        let at = canvas.at(column, row + 2, canvas.width(), &carets);
        if let Some(hint) = complaint.hint() {
            let room = canvas.width().saturating_sub(at + 1);
            let hint = cut(&canvas.show(words(&hint, language)), room.into());
            canvas.at(at + 1, row + 2, room, &hint);
        }
        canvas.style = canvas.plain();
    }
    (label_width + (before.saturating_sub(skipped)).min(room) as u16, row + 1)
}

/// What is wrong, in a language.
fn words(words: &Words, language: Language) -> &str {
    match language {
        Language::English => words.english(),
        Language::Chinese => words.chinese(),
    }
}

fn title(canvas: &mut Canvas<'_>, left: &Said, right: &Said) {
    let language = canvas.language();
    canvas.style = canvas.strong();
    canvas.both(0, left.spoken(language), right.spoken(language));
    canvas.style = canvas.plain();
}

/// Rows of a list with one of them chosen, from a row on.
fn list(canvas: &mut Canvas<'_>, rows: &[String], selected: usize, from: u16, end: u16) {
    let room = usize::from(end.saturating_sub(from));
    let top = scrolled(0, selected, room, rows.len());
    for ((index, text), row) in rows.iter().enumerate().skip(top).take(room).zip(from..) {
        if index == selected {
            canvas.style = canvas.reversed();
            canvas.row(row, &format!("> {text}"));
            canvas.style = canvas.plain();
        } else {
            let room = canvas.width().saturating_sub(2);
            let text = cut(&canvas.show(text), room.into());
            canvas.at(2, row, room, &text);
        }
    }
}

/// The namespaces.
pub(super) fn places(canvas: &mut Canvas<'_>, app: &App, selected: usize) {
    let language = canvas.language();
    title(
        canvas,
        &Said::of("NETWORK NAMESPACES", "网络命名空间"),
        &Said::of("Enter chooses, Esc goes back", "Enter 选择，Esc 返回"),
    );
    let mut rows = vec![spoken!(language, "all of them", "全部")];
    rows.extend(app.places.iter().map(|place| {
        let entries = place.entries.map_or_else(|| "?".into(), count);
        format!("{entries:>13}  {}  net:[{}]", clean(place.name.spoken(language)), place.inode)
    }));
    let end = canvas.height();
    list(canvas, &rows, selected, 2, end);
}

/// The findings: each in one line, the chosen one in full below.
pub(super) fn findings(canvas: &mut Canvas<'_>, app: &App, selected: usize) {
    let language = canvas.language();
    title(
        canvas,
        &Said::of("FINDINGS", "诊断结论"),
        &Said::of("Enter explains, Esc goes back", "Enter 说明，Esc 返回"),
    );
    let Some(findings) = &app.findings else {
        let text = spoken!(language, "this host is being checked", "正在检查本机");
        canvas.at(2, 2, canvas.width(), &text);
        return;
    };
    if findings.is_empty() {
        let text = spoken!(
            language,
            "none: nothing is wrong with this host's table",
            "无：本机的连接跟踪表没有问题"
        );
        canvas.at(2, 2, canvas.width(), &text);
        return;
    }
    let dot = canvas.show(" · ");
    let rows: Vec<String> = findings
        .iter()
        .map(|finding| {
            let (word, _) = severity(language, finding.severity);
            let (id, name) = (finding.id, finding.name);
            let mut row = spoken!(language, "{id} {word:<8}  {name}", "{id} {word}  {name}");
            // As on the screen of `check`: where there is but one namespace, it is the one.
            let namespace = finding.namespace.and_then(|at| app.found_in.get(at));
            if let Some(namespace) = namespace.filter(|_| app.found_in.len() > 1) {
                row.push_str(&format!("{dot}{}", clean(namespace.spoken(language))));
            }
            row
        })
        .collect();
    let half = 2 + (rows.len() as u16).min(canvas.height() / 2);
    list(canvas, &rows, selected, 2, half);
    let Some(finding) = findings.get(selected) else { return };
    let summary = clean(finding.summary.spoken(language)).into_owned();
    let width = usize::from(canvas.width().saturating_sub(4)).max(3);
    let mut row = half + 1;
    for line in wrapped(&summary, width) {
        canvas.at(2, row, canvas.width(), &line);
        row += 1;
    }
    row += 1;
    canvas.style = canvas.paint(Paint::Faint);
    for evidence in &finding.evidence {
        let value = match &evidence.value {
            plimsoll_diagnosis::Value::Count(n) => count(*n),
            plimsoll_diagnosis::Value::Number(n) => plimsoll_report::number::number(*n),
            plimsoll_diagnosis::Value::Text(text) => clean(text.spoken(language)).into_owned(),
            plimsoll_diagnosis::Value::Time(range) => app.look.clock.time(range.middle()),
        };
        let what = clean(evidence.what.spoken(language));
        let value = with_unit(&value, evidence.unit, language);
        let text = spoken!(language, "- {what}: {value}", "- {what}：{value}");
        for (n, line) in wrapped(&text, width - 2).iter().enumerate() {
            canvas.at(if n == 0 { 2 } else { 4 }, row, canvas.width(), line);
            row += 1;
        }
    }
    canvas.style = canvas.plain();
}

/// A page of text.
pub(super) fn page(canvas: &mut Canvas<'_>, lines: &[String], top: usize) {
    title(
        canvas,
        &Said::of("EXPLAIN", "说明"),
        &Said::of("arrows scroll, Esc goes back", "方向键滚动，Esc 返回"),
    );
    for (row, line) in (2..canvas.height()).zip(lines.iter().skip(top)) {
        canvas.at(1, row, canvas.width(), line);
    }
}

/// What keys do.
pub(super) fn help(canvas: &mut Canvas<'_>) {
    let language = canvas.language();
    title(canvas, &Said::of("KEYS", "按键"), &Said::of("any key goes back", "按任意键返回"));
    let rows = [
        (
            Said::of("Enter, Esc", "Enter、Esc"),
            Said::of("look into the chosen group; back", "深入所选的分组；返回"),
        ),
        (
            Said::of("Tab, Shift-Tab", "Tab、Shift-Tab"),
            Said::of("group by something else", "换一种分组"),
        ),
        (Said::of("1 to 9, 0", "1 到 9、0"), Said::default()),
        (
            Said::name("g"),
            Said::of(
                "group by keys that you type: state,dport or src/24",
                "按输入的键分组：state,dport 或 src/24",
            ),
        ),
        (
            Said::name("/"),
            Said::of(
                "only entries that a filter lets through (plimsoll flows has the same)",
                "只看过滤器放行的条目（与 plimsoll flows 的相同）",
            ),
        ),
        (
            Said::name("s"),
            Said::of(
                "sort by entries, unreplied, evictable, closing, protected, packets, bytes",
                "按条目、未应答、可淘汰、关闭中、受保护、包数、字节数排序",
            ),
        ),
        (
            Said::of("← → or [ ]", "← → 或 [ ]"),
            Said::of(
                "back and on in time; { } by 60 readings; l is now",
                "回看与前进；{ } 每次 60 次读取；l 回到现在",
            ),
        ),
        (Said::of("p or Space", "p 或空格"), Said::of("pause, go on", "暂停、继续")),
        (
            Said::of("f, e", "f、e"),
            Said::of("the findings; what the worst one means", "诊断结论；最严重一项的说明"),
        ),
        (
            Said::name("n"),
            Said::of("another network namespace, or all of them", "换一个网络命名空间，或全部"),
        ),
        (
            Said::name("m"),
            Said::of(
                "hear the mouse or leave it to the terminal (click, wheel, right button)",
                "接收鼠标，或留给终端（单击、滚轮、右键）",
            ),
        ),
        (Said::name("q"), Said::of("quit", "退出")),
    ];
    let mut row = 2;
    for (keys, text) in rows {
        canvas.style = canvas.strong();
        canvas.at(2, row, 15, keys.spoken(language));
        canvas.style = canvas.plain();
        let text = match text.spoken(language) {
            "" => {
                let named = PRESETS.iter().take(10).zip((1..=9).chain([0]));
                named.map(|(by, key)| format!("{key}={by}")).collect::<Vec<_>>().join(" ")
            }
            text => text.to_owned(),
        };
        for line in wrapped(&text, canvas.width().saturating_sub(19).into()) {
            canvas.at(18, row, canvas.width(), &line);
            row += 1;
        }
    }
    canvas.style = canvas.paint(Paint::Faint);
    let bar = Said::of(
        "The bar: protected entries leave only by their timeout, a full table takes closing ones within a minute, \
         evictable ones at once. A ~ is an estimate: a part of the table was read, so that top stays below 5 % of one \
         processor. ! in the history: packets were lost.",
        "负载条：受保护的条目只在超时后离开；表满时，关闭中的一分钟之内可以淘汰，可淘汰的立刻就可以。\
         ~ 是估计：只读了表的一部分，这样 top 用不到一个处理器的 5 %。历史里的 ! 表示那时丢了包。",
    );
    for line in wrapped(bar.spoken(language), canvas.width().saturating_sub(4).into()) {
        row += u16::from(row == 2);
        canvas.at(2, row + 1, canvas.width(), &line);
        row += 1;
    }
    canvas.style = canvas.plain();
}
