//! A screen to write lines on. What enters is cleaned, and cut where it is too long.

use plimsoll_report::{Language, Line, Paint, width};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::app::Look;

/// The screen.
pub(super) struct Canvas<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    look: &'a Look,
    /// How the next text looks.
    pub style: Style,
}

impl<'a> Canvas<'a> {
    pub fn new(buffer: &'a mut Buffer, area: Rect, look: &'a Look) -> Self {
        Self { buffer, area, look, style: Style::new() }
    }

    pub const fn width(&self) -> u16 {
        self.area.width
    }

    pub const fn height(&self) -> u16 {
        self.area.height
    }

    pub const fn look(&self) -> &Look {
        self.look
    }

    pub const fn language(&self) -> Language {
        self.look.language
    }

    pub const fn plain(&self) -> Style {
        Style::new()
    }

    pub const fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub fn reversed(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The style of a paint.
    pub fn paint(&self, paint: Paint) -> Style {
        let colour = |colour: Color| {
            if self.look.colour { Style::new().fg(colour) } else { Style::new() }
        };
        match paint {
            Paint::Plain => Style::new(),
            Paint::Strong => self.strong(),
            Paint::Faint => Style::new().add_modifier(Modifier::DIM),
            Paint::Good => colour(Color::Green),
            Paint::Warn => colour(Color::Yellow),
            Paint::Bad => colour(Color::Red).add_modifier(Modifier::BOLD),
            Paint::Unsure => colour(Color::Magenta),
            Paint::Code | Paint::Closing => colour(Color::Cyan),
            Paint::Evictable => colour(Color::LightBlue),
        }
    }

    /// Text as this terminal may be sent it.
    pub fn show(&self, text: &str) -> String {
        self.look.style(self.area.width).show(text)
    }

    /// Writes at a place, at most so many columns; the column behind it.
    pub fn at(&mut self, column: u16, row: u16, most: u16, text: &str) -> u16 {
        if row >= self.area.height || column >= self.area.width {
            return column;
        }
        let most = most.min(self.area.width - column);
        let text = self.show(text);
        let (end, _) = self.buffer.set_stringn(
            self.area.x + column,
            self.area.y + row,
            &text,
            most.into(),
            self.style,
        );
        end - self.area.x
    }

    /// Writes a whole row, to its end; what is too long is cut, with a sign of it.
    pub fn row(&mut self, row: u16, text: &str) {
        let text = cut(&self.show(text), self.area.width.into());
        let end = self.at(0, row, self.area.width, &text);
        let blanks = " ".repeat((self.area.width - end).into());
        self.at(end, row, self.area.width, &blanks);
    }

    /// Writes one text at the left and one at the right; the left one gives way.
    pub fn both(&mut self, row: u16, left: &str, right: &str) {
        let right = self.show(right);
        let wide = (width(&right) as u16).min(self.area.width);
        let left = cut(&self.show(left), (self.area.width - wide).saturating_sub(2).into());
        self.row(row, &left);
        self.at(self.area.width - wide, row, wide, &right);
    }

    /// Writes a line of the report; the column behind it.
    pub fn line(&mut self, column: u16, row: u16, line: &Line) -> u16 {
        let before = self.style;
        let mut at = column;
        for (text, paint) in line.pieces() {
            self.style = self.paint(paint);
            at = self.at(at, row, self.area.width, text);
        }
        self.style = before;
        at
    }
}

/// Text cut to so many columns, with a sign that it is cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if width(&kept) > most.saturating_sub(3) {
            kept.pop();
            break;
        }
    }
    format!("{}...", kept.trim_end())
}
