//! A plan as a screen: what will be changed, command by command and file by file, before it is.

mod commands;
mod diff;
mod json;
mod transactions;

pub use json::{PLAN_SCHEMA, plan_json};
pub use transactions::{TRANSACTIONS_SCHEMA, Told, transactions_json};

use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::Said;
use plimsoll_diagnosis::plan::{Change, Plan};

use crate::Style;
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::spoken;

const HANG: usize = 11;

/// The screen of a plan. What it shows to be run is what is done, in the same order.
pub fn plan(plan: &Plan, style: &Style) -> String {
    let mut screen = Screen::new(style);
    let language = style.language;
    let word = if plan.refused.is_empty() { Paint::Strong } else { Paint::Warn };
    let mut start = Line::new();
    if !plan.refused.is_empty() {
        start.push(style, Paint::Warn, &spoken!(language, "NOT HERE ", "此处不可用 "));
    }
    start.push(style, word, plan.remedy.name());
    start.push(style, Paint::Plain, &spoken!(language, ": ", "："));
    screen.paragraph(start, 2, Paint::Plain, style.said(&plan.title));
    let row = |name: Said| {
        Line::new().padded(2).with(style, Paint::Faint, style.said(&name)).padded(HANG)
    };
    for reason in &plan.refused {
        screen.paragraph(row(Said::of("because", "原因")), HANG, Paint::Warn, style.said(reason));
    }
    if !plan.target.name.is_empty() && plan.target.name != "host" {
        screen.paragraph(row(Said::of("in", "位于")), HANG, Paint::Plain, &plan.target.name);
    }
    if !plan.effect.is_empty() {
        screen.paragraph(
            row(Said::of("effect", "效果")),
            HANG,
            Paint::Plain,
            style.said(&plan.effect),
        );
    }
    if let Some(price) = plan.price() {
        let text = spoken::price(language, price);
        screen.paragraph(row(Said::of("price", "代价")), HANG, Paint::Plain, &text);
    }
    for detail in &plan.details {
        screen.paragraph(row(Said::of("touches", "涉及")), HANG, Paint::Plain, style.said(detail));
    }
    for risk in &plan.risks {
        screen.paragraph(row(Said::of("risk", "风险")), HANG, Paint::Plain, style.said(risk));
    }
    for warning in &plan.warnings {
        screen.paragraph(row(Said::of("note", "注意")), HANG, Paint::Plain, style.said(warning));
    }
    if plan.refused.is_empty() {
        if !plan.changes.is_empty() {
            let undo = match plan.reversible() {
                true => Said::of("`plimsoll undo` takes it back", "`plimsoll undo` 可以撤销"),
                false => {
                    Said::of("not possible: what is deleted is gone", "做不到：删掉的就没有了")
                }
            };
            let name = Said::of("undo", "撤销");
            screen.paragraph(row(name), HANG, Paint::Plain, style.said(&undo));
        }
        let mut single = false;
        for change in &plan.changes {
            // One-line commands stand together.
            let now = matches!(change, Change::Setting(_) | Change::Policy(_));
            if !(single && now) {
                screen.gap();
            }
            single = now;
            show(&mut screen, plan, change);
        }
    }
    if !plan.by_hand.is_empty() {
        screen.gap();
        screen.heading(
            &spoken!(language, "BY HAND", "请手工改"),
            &spoken!(language, "not ours to change", "不归本程序管"),
        );
        for command in &plan.by_hand {
            screen.command(style.said(command));
        }
    }
    screen.finish()
}

fn show(screen: &mut Screen<'_>, plan: &Plan, change: &Change) {
    if let Change::File(file) = change {
        let (head, lines) = diff::of(file, screen.style.language);
        screen.line(&Line::new().with(screen.style, Paint::Strong, &head));
        for line in lines {
            let paint = match line.as_bytes().first() {
                Some(b'+') => Paint::Good,
                Some(b'-') => Paint::Warn,
                Some(_) | None => Paint::Faint,
            };
            let line = screen.style.show(&line);
            screen.line(&Line::new().with(screen.style, paint, &line));
        }
        return;
    }
    let lines: Vec<String> = commands::of(plan, change, screen.style.language);
    for line in lines {
        screen.command(&line);
    }
}
