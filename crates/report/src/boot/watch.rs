//! A setting that changed: for a person, and as one line of JSON (schema `plimsoll.watch-setting/1`).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::facts::{ChangedBy, SettingChange, Writer};
use serde::Serialize;

use crate::Style;
use crate::civil;
use crate::paint::{Line, Paint};
use crate::screen::Screen;

/// Column of what belongs to a change.
const HANG: usize = 4;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    at: String,
    means: &'a str,
    key: &'a str,
    from: Option<&'a str>,
    to: Option<&'a str>,
    asked: Option<&'a str>,
    by: Option<Process<'a>>,
    candidates: Vec<Process<'a>>,
}

#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    command: &'a str,
    uid: Option<u32>,
    command_line: Option<&'a str>,
    parents: Vec<Parent<'a>>,
    cgroup: Option<&'a str>,
    netns: Option<u64>,
    other_namespace: bool,
}

#[derive(Serialize)]
struct Parent<'a> {
    pid: u32,
    command: &'a str,
}

/// One line of JSON.
pub fn change_json(change: &SettingChange, means: &str) -> String {
    let (by, candidates) = match &change.by {
        ChangedBy::Process(writer) => (Some(process(writer)), Vec::new()),
        ChangedBy::Candidates(all) => (None, all.iter().map(process).collect()),
    };
    let document = Document {
        schema: "plimsoll.watch-setting/1",
        at: civil::rfc3339(change.at),
        means,
        key: &change.key,
        from: change.from.as_deref(),
        to: change.to.as_deref(),
        asked: change.asked.as_deref(),
        by,
        candidates,
    };
    let mut text =
        serde_json::to_string(&document).map_or_else(|_| String::new(), crate::json::escaped);
    text.push('\n');
    text
}

fn process(writer: &Writer) -> Process<'_> {
    Process {
        pid: writer.pid,
        command: &writer.command,
        uid: writer.uid,
        command_line: writer.line.as_deref(),
        parents: writer
            .parents
            .iter()
            .map(|(pid, command)| Parent { pid: *pid, command })
            .collect(),
        cgroup: writer.cgroup.as_deref(),
        netns: writer.netns,
        other_namespace: writer.elsewhere,
    }
}

/// A few lines for a person.
pub fn change_text(change: &SettingChange, style: &Style) -> String {
    let mut screen = Screen::new(style);
    let line = Line::new().with(style, Paint::Faint, &style.clock.show(change.at));
    screen.line(&line);
    let mut line = Line::new().plain(style, "  ").with(style, Paint::Strong, &change.key);
    let language = style.language;
    let shown = |value: &Option<String>| match value {
        Some(value) => value.clone(),
        None => spoken!(language, "no key", "没有这个参数"),
    };
    if change.from == change.to {
        let text = spoken!(language, "  stays {}", "  仍是 {}", shown(&change.to));
        line.push(style, Paint::Plain, &text);
    } else {
        line.push(style, Paint::Plain, &format!("  {} → ", shown(&change.from)));
        line.push(style, Paint::Warn, &shown(&change.to));
    }
    screen.line(&line);
    if let Some(asked) = change.asked.as_ref().filter(|a| Some(*a) != change.to.as_ref()) {
        // Whose process is gone already can't be asked where it was.
        let elsewhere = matches!(&change.by, ChangedBy::Process(writer) if writer.elsewhere);
        let untold = change.from == change.to && !elsewhere;
        let mut text = spoken!(language, "{asked:?} was written", "写入的是 {asked:?}");
        if untold {
            text.push_str(&spoken!(
                language,
                ": refused, or meant for another network namespace",
                "：被拒绝，或者是写给另一个网络命名空间的"
            ));
        }
        screen.paragraph(Line::new().padded(HANG), HANG, Paint::Faint, &text);
    }
    match &change.by {
        ChangedBy::Process(writer) => {
            let start = Line::new().padded(HANG).plain(style, &spoken!(language, "by ", "写入者 "));
            screen.paragraph(start, HANG + 3, Paint::Strong, &told(writer, style));
            if writer.elsewhere {
                let which = writer
                    .netns
                    .map_or(String::new(), |inode| spoken!(language, " ({inode})", "（{inode}）"));
                let text = spoken!(
                    language,
                    "it wrote in another network namespace{which}, where a copy of its own is",
                    "它写在另一个网络命名空间{which}里，那里另有一份这个参数"
                );
                screen.paragraph(Line::new().padded(HANG + 3), HANG + 3, Paint::Plain, &text);
            }
            from_where(&mut screen, writer);
        }
        ChangedBy::Candidates(all) if all.is_empty() => {
            let text = spoken!(
                language,
                "nobody was seen writing it, and nothing began to run shortly before",
                "没有看到是谁写的，此前不久也没有进程启动"
            );
            screen.paragraph(Line::new().padded(HANG), HANG, Paint::Plain, &text);
        }
        ChangedBy::Candidates(all) => {
            let text = spoken!(
                language,
                "nobody was seen writing it; began to run shortly before:",
                "没有看到是谁写的；此前不久启动的进程："
            );
            screen.paragraph(Line::new().padded(HANG), HANG, Paint::Plain, &text);
            for writer in all {
                let start = Line::new().padded(HANG).with(style, Paint::Faint, "- ");
                screen.paragraph(start, HANG + 2, Paint::Plain, &told(writer, style));
            }
        }
    }
    screen.finish()
}

/// `sysctl (pid 812, uid 0): sysctl -p`
fn told(writer: &Writer, style: &Style) -> String {
    let language = style.language;
    if writer.command.is_empty() {
        return spoken!(
            language,
            "process {}, which is gone already",
            "进程 {}，已经不在了",
            writer.pid
        );
    }
    let uid =
        writer.uid.map_or(String::new(), |uid| spoken!(language, ", uid {uid}", "，uid {uid}"));
    let line = writer
        .line
        .as_ref()
        .map_or(String::new(), |line| spoken!(language, ": {line}", "：{line}"));
    let (command, pid) = (&writer.command, writer.pid);
    spoken!(language, "{command} (pid {pid}{uid}){line}", "{command}（pid {pid}{uid}）{line}")
}

fn from_where(screen: &mut Screen<'_>, writer: &Writer) {
    let language = screen.style.language;
    let mut parts = Vec::new();
    if !writer.parents.is_empty() {
        let all: Vec<String> =
            writer.parents.iter().map(|(pid, name)| format!("{name} ({pid})")).collect();
        let between = spoken!(language, ", by ", "，再往上是 ");
        parts.push(spoken!(language, "started by {}", "启动者 {}", all.join(&between)));
    }
    if let Some(cgroup) = &writer.cgroup {
        parts.push(spoken!(language, "in {cgroup}", "位于 {cgroup}"));
    }
    if !parts.is_empty() {
        let text = parts.join(&spoken!(language, "; ", "；"));
        screen.paragraph(Line::new().padded(HANG + 3), HANG + 3, Paint::Faint, &text);
    }
}
