//! A plan as a screen: what will be changed, command by command and file by file, before it is.

mod commands;
mod diff;
mod json;
mod transactions;

pub use json::{PLAN_SCHEMA, plan_json};
pub use transactions::{TRANSACTIONS_SCHEMA, Told, transactions_json};

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::plan::{Change, Plan};

use crate::Style;
use crate::number::bytes;
use crate::paint::{Line, Paint};
use crate::screen::Screen;

const HANG: usize = 11;

/// The screen of a plan. What it shows to be run is what is done, in the same order.
pub fn plan(plan: &Plan, style: &Style) -> String {
    let mut screen = Screen::new(style);
    let word = if plan.refused.is_empty() { Paint::Strong } else { Paint::Warn };
    let mut start = Line::new();
    if !plan.refused.is_empty() {
        start.push(style, Paint::Warn, "NOT HERE ");
    }
    start.push(style, word, plan.remedy.name());
    start.push(style, Paint::Plain, ": ");
    screen.paragraph(start, 2, Paint::Plain, &plan.title);
    let row = |name: &str| Line::new().padded(2).with(style, Paint::Faint, name).padded(HANG);
    for reason in &plan.refused {
        screen.paragraph(row("because"), HANG, Paint::Warn, reason);
    }
    if !plan.target.name.is_empty() && plan.target.name != "host" {
        screen.paragraph(row("in"), HANG, Paint::Plain, &plan.target.name);
    }
    if !plan.effect.is_empty() {
        screen.paragraph(row("effect"), HANG, Paint::Plain, &plan.effect);
    }
    if let Some(price) = plan.price() {
        let text = format!("up to {} of memory over all namespaces", bytes(price));
        screen.paragraph(row("price"), HANG, Paint::Plain, &text);
    }
    for detail in &plan.details {
        screen.paragraph(row("touches"), HANG, Paint::Plain, detail);
    }
    for risk in &plan.risks {
        screen.paragraph(row("risk"), HANG, Paint::Plain, risk);
    }
    for warning in &plan.warnings {
        screen.paragraph(row("note"), HANG, Paint::Plain, warning);
    }
    if plan.refused.is_empty() {
        if !plan.changes.is_empty() {
            let undo = if plan.reversible() { "`plimsoll undo` takes it back" } else { "for good" };
            screen.paragraph(row("undo"), HANG, Paint::Plain, undo);
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
        screen.heading("BY HAND", "not ours to change");
        for command in &plan.by_hand {
            screen.command(command);
        }
    }
    screen.finish()
}

fn show(screen: &mut Screen<'_>, plan: &Plan, change: &Change) {
    if let Change::File(file) = change {
        let (head, lines) = diff::of(file);
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
    let lines: Vec<String> = commands::of(plan, change);
    for line in lines {
        screen.command(&line);
    }
}
