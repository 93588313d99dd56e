//! The screen, from the top down: what is watched, the load, rates, history, the question, groups, findings, keys.

mod canvas;
mod groups;
mod load;
mod over;

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
                &format!(
                    "{} x {} is too small: {} x {} at least",
                    area.width, area.height, LEAST.0, LEAST.1
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
        let scope = match &self.question.scope {
            crate::Scope::All => "all namespaces".to_owned(),
            crate::Scope::Some(_, name) => name.clone(),
        };
        let dot = canvas.show(" · ");
        let at = self.moment().map(|moment| self.look.clock.time(moment.at));
        let mut left = format!("plimsoll top{dot}{}{dot}{scope}", self.look.host);
        if let Some(at) = &at {
            left.push_str(&format!("{dot}{at}"));
        }
        let state = match (self.is_live(), self.moment()) {
            (_, None) => "reading".to_owned(),
            (true, Some(_)) => self.way(),
            (false, Some(moment)) => {
                let last = self.history.last().map_or(moment.at, |last| last.at);
                let ago = (last.0 - moment.at.0).max(0) as f64 / 1e9;
                format!("PAUSED, {} ago", plimsoll_report::number::duration(ago))
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
        let Some(table) = self.table() else { return "live".into() };
        let every = plimsoll_report::number::duration(table.every.as_secs_f64());
        let part = match table.share {
            Some(share) => format!("{} of it ", plimsoll_report::number::share(share)),
            None => String::new(),
        };
        let slow = if self.slow_line { "slow line, " } else { "" };
        format!("{slow}live, {part}by {}, every {every}", table.reader)
    }
}

/// What a list shows when there is more of it than room: the first item on the screen.
fn scrolled(top: usize, selected: usize, room: usize, all: usize) -> usize {
    let room = room.max(1);
    let top = top.min(selected).max((selected + 1).saturating_sub(room));
    top.min(all.saturating_sub(room))
}
