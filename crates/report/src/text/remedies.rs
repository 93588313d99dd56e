//! What to do, best first, with commands to be pasted.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::{Diagnosis, Remedy, RemedyId, Said};

use super::is_quiet;
use crate::paint::{Line, Paint};
use crate::screen::Screen;
use crate::spoken;

const HANG: usize = 12;

pub(super) fn show(screen: &mut Screen<'_>, d: &Diagnosis) {
    // That a healthy host needs nothing is in its headline.
    let says_something =
        |r: &&Remedy| !(is_quiet(d) && r.id == RemedyId::NoneNeeded && r.commands.is_empty());
    let remedies: Vec<&Remedy> = d.remedies.iter().filter(says_something).collect();
    if remedies.is_empty() {
        return;
    }
    screen.gap();
    let language = screen.style.language;
    let any = remedies.iter().any(|r| r.refused.is_empty() && !r.commands.is_empty());
    let beside = match (any, screen.style.commands) {
        (false, _) => String::new(),
        (true, true) => spoken!(
            language,
            "best first; the commands are for a root shell of this host",
            "最好的在前；命令用于本机的 root shell"
        ),
        (true, false) => spoken!(
            language,
            "best first; fix shows and asks first; --commands: without plimsoll",
            "最好的在前；fix 先显示并询问；--commands：不用 plimsoll"
        ),
    };
    screen.heading(&spoken!(language, "REMEDIES", "处置办法"), &beside);
    let (open, refused): (Vec<&Remedy>, Vec<&Remedy>) =
        remedies.into_iter().partition(|r| r.refused.is_empty());
    for (i, remedy) in open.into_iter().enumerate() {
        if i > 0 {
            screen.gap();
        }
        show_remedy(screen, remedy, Some(i + 1));
    }
    for remedy in refused {
        screen.gap();
        show_remedy(screen, remedy, None);
    }
}

fn show_remedy(screen: &mut Screen<'_>, remedy: &Remedy, rank: Option<usize>) {
    let style = screen.style;
    let language = style.language;
    let mut start = Line::new().plain(style, "  ");
    match rank {
        Some(rank) => start.push(style, Paint::Strong, &format!("{rank} ")),
        None => start.push(style, Paint::Warn, &spoken!(language, "NOT HERE ", "此处不可用 ")),
    }
    start.push(style, Paint::Strong, remedy.id.name());
    start.push(style, Paint::Plain, &spoken!(language, ": ", "："));
    let answers = if remedy.findings.is_empty() {
        String::new()
    } else {
        spoken!(language, " ({})", "（{}）", remedy.findings.join(&spoken!(language, ", ", "、")))
    };
    screen.paragraph(start, 4, Paint::Plain, &format!("{}{answers}", style.said(&remedy.title)));
    let row = |name: Said| {
        Line::new().padded(4).with(style, Paint::Faint, style.said(&name)).padded(HANG)
    };
    for reason in &remedy.refused {
        screen.paragraph(row(Said::of("because", "原因")), HANG, Paint::Warn, style.said(reason));
    }
    if remedy.refused.is_empty() || style.verbose {
        if !remedy.effect.is_empty() {
            screen.paragraph(
                row(Said::of("effect", "效果")),
                HANG,
                Paint::Plain,
                style.said(&remedy.effect),
            );
        }
        if let Some(memory) = remedy.memory {
            let text = spoken::price(language, memory);
            screen.paragraph(row(Said::of("price", "代价")), HANG, Paint::Plain, &text);
        }
        if !remedy.risk.is_empty() {
            screen.paragraph(
                row(Said::of("risk", "风险")),
                HANG,
                Paint::Plain,
                style.said(&remedy.risk),
            );
        }
    }
    let plain = style.commands || remedy.fix.is_empty();
    let commands = if plain { &remedy.commands } else { &remedy.fix };
    if commands.is_empty() {
        return;
    }
    if remedy.refused.is_empty() {
        screen.gap();
        for command in commands {
            screen.command(style.said(command));
        }
        if style.verbose && !plain {
            screen.gap();
            screen.command(&spoken!(language, "# without plimsoll:", "# 不用 plimsoll："));
            for command in &remedy.commands {
                screen.command(style.said(command));
            }
        }
    } else if style.verbose {
        // Behind remark signs: what must not be done here must not be pasted by mistake either.
        screen.gap();
        for line in remedy.commands.iter().flat_map(|c| style.said(c).lines()) {
            screen.command(&format!("# {line}"));
        }
    }
}
