//! The screen, from the top down: what is watched, the load, rates, history, the question, groups, findings, keys.

mod canvas;
mod groups;
mod load;
mod over;

use plimsoll_report::{span, spoken};
use ratatui::Frame;
use ratatui::style::Modifier;

use crate::app::{App, Over};
use canvas::Canvas;

/// Rows and columns below which nothing useful fits.
const LEAST: (u16, u16) = (40, 10);

impl App {
    /// Draws it.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let look = self.look.clone();
        let mut canvas = Canvas::new(frame.buffer_mut(), area, &look);
        if area.width < LEAST.0 || area.height < LEAST.1 {
            canvas.row(
                0,
                &spoken!(
                    look.language,
                    "{} x {} is too small: {} x {} at least",
                    "{} x {} 太小：至少 {} x {}",
                    area.width,
                    area.height,
                    LEAST.0,
                    LEAST.1
                ),
            );
            return;
        }
        let cursor = match &self.over {
            Over::Page { lines, top, .. } => {
                over::page(&mut canvas, lines, *top);
                None
            }
            Over::Help => {
                over::help(&mut canvas);
                None
            }
            Over::Places { selected } => {
                over::places(&mut canvas, self, *selected);
                None
            }
            Over::Findings { selected } => {
                over::findings(&mut canvas, self, *selected);
                None
            }
            Over::Nothing | Over::Prompt { .. } => self.draw_main(&mut canvas),
        };
        if let Some((column, row)) = cursor {
            frame.set_cursor_position((column, row));
        }
    }

    fn draw_main(&mut self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        self.draw_head(canvas);
        let mut row = load::show(canvas, self, 1);
        let foot = match &self.over {
            Over::Prompt { .. } => 3,
            _ => 2,
        };
        let end = canvas.height().saturating_sub(foot);
        row = groups::show(canvas, self, row, end);
        debug_assert!(row <= end, "the foot is not drawn over");
        if let Over::Prompt { what, line, complaint } = &self.over {
            return Some(over::prompt(canvas, *what, line, complaint.as_ref(), end));
        }
        over::found(canvas, self, end);
        over::hints(canvas, self, end + 1);
        None
    }

    /// What is watched, and how.
    fn draw_head(&self, canvas: &mut Canvas<'_>) {
        let language = self.look.language;
        let scope = match &self.question.scope {
            crate::Scope::All => spoken!(language, "all namespaces", "所有命名空间"),
            crate::Scope::Some(_, name) => name.spoken(language).to_owned(),
        };
        let dot = canvas.show(" · ");
        let at = self.moment().map(|moment| self.look.clock.time(moment.at));
        let mut left = format!("plimsoll top{dot}{}{dot}{scope}", self.look.host);
        if let Some(at) = &at {
            left.push_str(&format!("{dot}{at}"));
        }
        let state = match (self.is_live(), self.moment()) {
            (_, None) => spoken!(language, "reading", "正在读取"),
            (true, Some(_)) => self.way(),
            (false, Some(moment)) => {
                let last = self.history.last().map_or(moment.at, |last| last.at);
                let ago = (last.0 - moment.at.0).max(0) as f64 / 1e9;
                let ago = span(language, ago);
                spoken!(language, "PAUSED, {ago} ago", "已暂停，{ago}之前")
            }
        };
        canvas.style = canvas.strong();
        if !self.is_live() {
            canvas.style = canvas.style.add_modifier(Modifier::REVERSED);
        }
        canvas.both(0, &left, &state);
        canvas.style = canvas.plain();
    }

    /// How the table is read, and how often: said when it is not as was asked.
    fn way(&self) -> String {
        let language = self.look.language;
        let Some(table) = self.table() else { return spoken!(language, "live", "实时") };
        let every = span(language, table.every.as_secs_f64());
        let part = match table.share.map(plimsoll_report::number::share) {
            Some(share) => spoken!(language, "{share} of it ", "读 {share}，"),
            None => String::new(),
        };
        let slow = match self.slow_line {
            true => spoken!(language, "slow line, ", "线路慢，"),
            false => String::new(),
        };
        let reader = table.reader;
        spoken!(
            language,
            "{slow}live, {part}by {reader}, every {every}",
            "{slow}实时，{part}用 {reader}，每 {every}"
        )
    }
}

/// What a list shows when there is more of it than room: the first item on the screen.
fn scrolled(top: usize, selected: usize, room: usize, all: usize) -> usize {
    let room = room.max(1);
    let top = top.min(selected).max((selected + 1).saturating_sub(room));
    top.min(all.saturating_sub(room))
}
