//! The question, and the groups that answer it.

use plimsoll_diagnosis::{Said, said};
use plimsoll_flows::{Group, Order};
use plimsoll_report::number::count;
use plimsoll_report::{Paint, clean, flows::groups_table, spoken, width};

use super::canvas::cut;
use super::{Canvas, scrolled};
use crate::app::App;
use crate::moment::Table;

/// Draws them between two rows; the row behind them.
pub(super) fn show(canvas: &mut Canvas<'_>, app: &mut App, row: u16, end: u16) -> u16 {
    let language = canvas.language();
    question(canvas, app, row);
    let mut at = row + 1;
    let Some(moment) = app.moment() else { return at };
    let table = match &moment.table {
        Ok(table) => table.clone(),
        Err(why) => {
            // Lines keep apart what they say; none needs to say whose it is.
            let why: Vec<String> = why
                .spoken(language)
                .lines()
                .map(|line| clean(line.strip_prefix("plimsoll: ").unwrap_or(line)).into_owned())
                .collect();
            for line in wrapped(&why.join("\n"), canvas.width().saturating_sub(4).into()) {
                if at < end {
                    canvas.at(2, at, canvas.width(), &line);
                    at += 1;
                }
            }
            return at;
        }
    };
    for remark in table.remarks.iter().chain(unjudged(&table).iter()).take(3) {
        if at + 4 < end {
            canvas.style = canvas.paint(Paint::Warn);
            let room = canvas.width().saturating_sub(4).into();
            canvas.at(2, at, canvas.width(), &cut(remark.spoken(language), room));
            canvas.style = canvas.plain();
            at += 1;
        }
    }
    let style = app.look.style(canvas.width().saturating_sub(2));
    let groups: Vec<Group> = table.groups.iter().map(|group| scaled(group, &table)).collect();
    let all = table.up(table.total.entries);
    let text = groups_table(&table.question.keys, &groups, all, &app.names, &style);
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    canvas.style = canvas.strong();
    canvas.at(2, at, canvas.width(), head);
    canvas.style = canvas.plain();
    at += 1;
    let room = usize::from(end.saturating_sub(at));
    let selected = app.selected();
    app.top = scrolled(app.top, selected, room, groups.len());
    (app.room, app.rows_at) = (room, at);
    for (index, line) in lines.enumerate().skip(app.top).take(room) {
        if index == selected {
            canvas.style = canvas.reversed();
            canvas.row(at, &format!("> {line}"));
            canvas.style = canvas.plain();
        } else {
            canvas.at(2, at, canvas.width(), line);
        }
        at += 1;
    }
    if groups.is_empty() {
        let text = spoken!(language, "no entries", "没有条目");
        canvas.at(2, at.min(end - 1), canvas.width(), &text);
        at = (at + 1).min(end);
    }
    at
}

/// By what, which, in which order, how many.
fn question(canvas: &mut Canvas<'_>, app: &App, row: u16) {
    let asked = app.question();
    // What is shown may be the answer to an earlier one.
    let shown = app.table().map_or(asked, |table| &table.question);
    let language = canvas.language();
    let mut left = spoken!(language, "BY {}", "分组 {}", shown.keys);
    if shown.order != Order::Entries {
        let (name, chinese) = (shown.order.name(), order(shown.order));
        left.push_str(&spoken!(language, ", most {name} first", "，按{chinese}排序"));
    }
    if shown.filter.expr.is_some() {
        left.push_str(&spoken!(language, "  IF {}", "  过滤 {}", shown.filter));
    }
    let right = match app.table() {
        None => String::new(),
        Some(_) if app.is_live() && shown != asked => {
            spoken!(language, "reading", "正在读取")
        }
        Some(table) => {
            let about = if table.share.is_some() { "~" } else { "" };
            let at = app.selected() + 1;
            let groups = if table.all_groups == 0 { 0 } else { at };
            let over = match table.error > 0 {
                true => Said::of("over ", "超过 "),
                false => Said::default(),
            };
            let entries = entries(table.up(table.total.entries));
            let all = count(table.all_groups as u64);
            spoken!(
                language,
                "{groups} of {over}{all}, {about}{entries}",
                "{groups} / {over:#}{all} 组，{about}{entries:#}"
            )
        }
    };
    canvas.style = canvas.paint(Paint::Code).patch(canvas.strong());
    canvas.both(row, &left, &right);
    canvas.style = canvas.plain();
}

fn unjudged(table: &Table) -> Option<Said> {
    (table.unknown > 0).then(|| {
        let words = table.lacks.words();
        let words = words.map(|lack| Said::new(lack.english().into(), lack.chinese().into()));
        let lacking = Said::join(&words.collect::<Vec<_>>(), &Said::of("; ", "；"));
        said!(
            "{} entries could not be judged, for want of: {lacking}",
            "{} 个条目无法判断，因为缺少：{lacking:#}",
            count(table.up(table.unknown))
        )
    })
}

/// `1 entry`, `2 entries`
fn entries(n: u64) -> Said {
    match n {
        1 => Said::of("1 entry", "1 个条目"),
        n => said!("{} entries", "{} 个条目", count(n)),
    }
}

/// What there is most of, in Chinese.
const fn order(order: Order) -> &'static str {
    match order {
        Order::Entries => "条目",
        Order::Unreplied => "未应答",
        Order::Evictable => "可淘汰",
        Order::Closing => "关闭中",
        Order::Protected => "受保护",
        Order::Packets => "包数",
        Order::Bytes => "字节数",
    }
}

/// A group of a part of the table, as one of the whole table.
fn scaled(group: &Group, table: &Table) -> Group {
    let mut group = group.clone();
    if table.share.is_some() {
        let tally = &mut group.tally;
        for part in [
            &mut tally.entries,
            &mut tally.unreplied,
            &mut tally.evictable,
            &mut tally.closing,
            &mut tally.protected,
            &mut tally.packets,
            &mut tally.bytes,
        ] {
            *part = table.up(*part);
        }
        group.error = table.up(group.error);
    }
    group
}

/// Text in lines of at most so many columns.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        if width(paragraph) > paragraph.chars().count() {
            // Chinese has no blanks to break it at.
            lines.extend(plimsoll_report::wrap(paragraph, columns, columns));
            continue;
        }
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > columns {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}
