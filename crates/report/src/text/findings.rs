//! The findings with their evidence.

use alloc::format;
use alloc::string::String;

use plimsoll_ct::Bytes;
use plimsoll_diagnosis::{Diagnosis, Evidence, Value};

use crate::Language;
use crate::Style;
use crate::number::{bytes, count, number, share};
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::spoken::span;
use crate::wrap::{cut, width};

/// Lines of evidence shown unless all are asked for.
const SHOWN: usize = 3;
const HANG: usize = 8;

pub(super) fn show(screen: &mut Screen<'_>, d: &Diagnosis) {
    let style = screen.style;
    if d.findings.is_empty() {
        return;
    }
    screen.gap();
    let language = style.language;
    screen.heading(
        &spoken!(language, "FINDINGS", "诊断结论"),
        &spoken!(
            language,
            "plimsoll explain CTnnn tells more",
            "plimsoll explain CTnnn 有详细说明"
        ),
    );
    for finding in &d.findings {
        let (word, paint) = super::severity(language, finding.severity);
        let mut line = Line::new().plain(style, "  ").with(style, Paint::Strong, finding.id);
        line.push(style, Paint::Plain, " ");
        line.push(style, paint, word);
        line.push(style, Paint::Plain, "  ");
        line.push(style, Paint::Strong, finding.name);
        let namespace = finding.namespace.and_then(|i| d.namespaces.get(i));
        if let Some(ns) = namespace.filter(|_| d.namespaces.len() > 1) {
            let room = style.columns().saturating_sub(line.width() + 3);
            let name = cut(&style.show(style.said(&ns.name)), room, style.unicode);
            line.push(style, Paint::Faint, &format!("{}{name}", style.dot()));
        }
        screen.line(&line);
        screen.paragraph(
            Line::new().padded(HANG),
            HANG,
            Paint::Plain,
            style.said(&finding.summary),
        );
        let shown = if style.verbose { finding.evidence.len() } else { SHOWN };
        for evidence in finding.evidence.iter().take(shown) {
            show_evidence(screen, evidence);
        }
        let more = finding.evidence.len().saturating_sub(shown);
        if more > 0 {
            let line = Line::new().padded(HANG + 2);
            screen.line(&line.with(
                style,
                Paint::Faint,
                &spoken!(language, "{more} more with -v", "-v 再显示 {more} 项"),
            ));
        }
    }
}

/// `- drops: 1,240 packets/s  [/proc/net/stat/nf_conntrack]`: the source below where it does not fit beside.
fn show_evidence(screen: &mut Screen<'_>, evidence: &Evidence) {
    let style = screen.style;
    let source = style.show(style.said(&evidence.source.0));
    let source = if source.is_empty() {
        source
    } else {
        format!("[{}]", cut(&source, style.columns() - HANG - 4, style.unicode))
    };
    // "entries: 65,536 entries" says it twice.
    let unit = if evidence.what.ends_with(evidence.unit) { "" } else { evidence.unit };
    let shown = value(&evidence.what, &evidence.value, unit, style);
    let what = style.said(&evidence.what);
    let said = spoken!(style.language, "{what}: {shown}", "{what}：{shown}");
    let start = Line::new().padded(HANG).with(style, Paint::Faint, "- ");
    let fits = HANG + 2 + width(&style.show(&said)) + 2 + width(&source) <= style.columns();
    if fits || source.is_empty() {
        let gap = if source.is_empty() { "" } else { "  " };
        let line = start.plain(style, &said).plain(style, gap).with(style, Paint::Faint, &source);
        if line.width() <= style.columns() {
            screen.line(&line);
            return;
        }
        screen.paragraph(
            Line::new().padded(HANG).plain(style, "- "),
            HANG + 2,
            Paint::Plain,
            &said,
        );
        return;
    }
    screen.paragraph(start, HANG + 2, Paint::Plain, &said);
    screen.line(&Line::new().padded(HANG + 2).with(style, Paint::Faint, &source));
}

/// A value with its unit, as a person says it.
fn value(what: &str, value: &Value, unit: &str, style: &Style) -> String {
    let (size, shown) = match value {
        Value::Count(n) => (*n as f64, count(*n)),
        // A part of one, by its name.
        Value::Number(x) if unit.is_empty() && is_share(what) => return share(*x),
        Value::Number(x) => (*x, number(*x)),
        Value::Text(text) => return with_unit(style.said(text), unit, style.language),
        Value::Time(at) => return style.clock.show_range(*at, style.language),
    };
    match unit {
        "B" if size >= 0.0 => bytes(Bytes(size as u64)),
        "s" if size >= 0.0 => span(style.language, size),
        "%" => share(size / 100.0),
        _ => with_unit(&shown, unit, style.language),
    }
}

/// Shares and chances have no unit; a person reads them in per cent.
fn is_share(what: &str) -> bool {
    what.split(' ').any(|word| word == "share" || word == "chance")
}

/// A value with its unit, where it has one.
pub fn with_unit(shown: &str, unit: &str, language: Language) -> String {
    if unit.is_empty() {
        return shown.into();
    }
    let chinese = match unit {
        "entries" => "个条目",
        "entries/s" => "个条目/秒",
        "packets" => "个包",
        "packets/s" => "个包/秒",
        "lines" => "行",
        "buckets" => "个桶",
        "expectations" => "个期望",
        "rules" => "条规则",
        other => other,
    };
    spoken!(language, "{shown} {unit}", "{shown} {chinese}")
}
