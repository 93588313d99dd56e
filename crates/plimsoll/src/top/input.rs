//! What the terminal sends, as keys.

use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use plimsoll_top::{Key, Mouse};

/// What a person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(Key),
    /// The mouse.
    Mouse(Mouse),
    /// The terminal has another size.
    Resize,
}

/// Nothing for what means nothing here.
pub fn input(event: &Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => self::key(key).map(Input::Key),
        Event::Mouse(mouse) => self::mouse(mouse).map(Input::Mouse),
        Event::Resize(..) => Some(Input::Resize),
        _ => None,
    }
}

fn key(event: &KeyEvent) -> Option<Key> {
    Some(match event.code {
        KeyCode::Char(c) if event.modifiers.contains(KeyModifiers::CONTROL) => Key::Ctrl(c),
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        _ => return None,
    })
}

fn mouse(event: &MouseEvent) -> Option<Mouse> {
    Some(match event.kind {
        MouseEventKind::Down(MouseButton::Left) => {
            Mouse::Click { column: event.column, row: event.row }
        }
        MouseEventKind::Down(MouseButton::Right) => Mouse::Back,
        MouseEventKind::ScrollUp => Mouse::Up,
        MouseEventKind::ScrollDown => Mouse::Down,
        _ => return None,
    })
}
