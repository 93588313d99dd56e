//! A screen: lines from top to bottom, none wider than asked but the commands.

use alloc::string::String;

use crate::Style;
use crate::clean::is_clean;
use crate::paint::{Line, Paint};
use crate::wrap::{cut, width, wrap};

/// Lines a paragraph may take; a longer one is cut with an ellipsis.
const LONGEST_PARAGRAPH: usize = 8;

/// A screen in the making.
pub(crate) struct Screen<'a> {
    pub(crate) style: &'a Style,
    out: String,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(style: &'a Style) -> Self {
        Self { style, out: String::new() }
    }

    /// What was written.
    pub(crate) fn finish(self) -> String {
        self.out
    }

    /// An empty line, unless there is one already.
    pub(crate) fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// One line, cut where it is too wide.
    pub(crate) fn line(&mut self, line: &Line) {
        let columns = self.style.columns();
        if line.width() > columns {
            line.clone().cut(self.style, columns).write(self.style, &mut self.out);
        } else {
            line.write(self.style, &mut self.out);
        }
        self.out.push('\n');
    }

    /// The heading of a section, with something beside it.
    pub(crate) fn heading(&mut self, title: &str, beside: &str) {
        let mut line = Line::new().with(self.style, Paint::Strong, title);
        if !beside.is_empty() {
            let room = self.style.columns().saturating_sub(width(title) + 2);
            let beside = cut(&self.style.show(beside), room, self.style.unicode);
            line.push(self.style, Paint::Faint, "  ");
            line.push(self.style, Paint::Faint, &beside);
        }
        self.line(&line);
    }

    /// Text that begins after `start` and goes on below at column `hang`.
    pub(crate) fn paragraph(&mut self, start: Line, hang: usize, paint: Paint, text: &str) {
        let columns = self.style.columns();
        let text = self.style.show(text);
        let mut lines =
            wrap(&text, columns.saturating_sub(start.width()), columns.saturating_sub(hang));
        if lines.len() > LONGEST_PARAGRAPH {
            lines.truncate(LONGEST_PARAGRAPH);
            if let Some(last) = lines.last_mut() {
                last.push('x');
                *last = cut(last, width(last).saturating_sub(1).max(1), self.style.unicode);
            }
        }
        let mut start = Some(start);
        for line in lines {
            let whole = start.take().unwrap_or_else(|| Line::new().padded(hang));
            self.line(&whole.with(self.style, paint, &line));
        }
    }

    /// Items that are kept whole, `between` them, going on below at column `hang`.
    pub(crate) fn flow(&mut self, start: Line, hang: usize, between: &str, items: &[Line]) {
        let between = self.style.show(between);
        let columns = self.style.columns();
        let mut line = start;
        let mut empty = true;
        for item in items {
            let item = item.clone().cut(self.style, columns.saturating_sub(hang));
            if !empty && line.width() + width(&between) + item.width() > columns {
                self.line(&line);
                line = Line::new().padded(hang);
                empty = true;
            }
            if !empty {
                line.push(self.style, Paint::Faint, &between);
            }
            line.append(item);
            empty = false;
        }
        self.line(&line);
    }

    /// A command as it is to be pasted: at the left edge, never broken. What holds hidden characters
    /// is not shown at all: cleaned it would be another command, uncleaned it would lie.
    pub(crate) fn command(&mut self, command: &str) {
        if command.lines().any(|line| !is_clean(line)) {
            let text = spoken!(
                self.style.language,
                "# not shown: this command holds hidden characters",
                "# 不显示：这条命令里有隐藏字符"
            );
            self.line(&Line::new().with(self.style, Paint::Warn, &text));
            return;
        }
        for line in command.lines() {
            if let Some(remark) = line.strip_prefix('#') {
                let start = Line::new().with(self.style, Paint::Faint, "# ");
                let columns = self.style.columns() - 2;
                let mut start = Some(start);
                for piece in wrap(&self.style.show(remark), columns, columns) {
                    let whole = start
                        .take()
                        .unwrap_or_else(|| Line::new().with(self.style, Paint::Faint, "# "));
                    self.line(&whole.with(self.style, Paint::Faint, &piece));
                }
            } else if self.style.colour {
                // As it is, beyond ASCII too: a folded file name would be another file.
                self.out.push_str("\x1b[36m");
                self.out.push_str(line);
                self.out.push_str("\x1b[0m\n");
            } else {
                self.out.push_str(line);
                self.out.push('\n');
            }
        }
    }
}
