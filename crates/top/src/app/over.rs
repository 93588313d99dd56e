//! What lies over the groups, and what keys do to it.

use plimsoll_flows::Keys;
use plimsoll_report::spoken;

use super::{App, Over, Step, Typed};
use crate::keys::Key;
use crate::line::Line;
use crate::moment::Scope;

/// Lines that a page goes on at once.
const SCROLL: usize = 15;

impl App {
    pub(super) fn on_help(&mut self, key: Key) -> Step {
        match key {
            Key::Char('q') => Step::Quit,
            _ => Step::Draw,
        }
    }

    pub(super) fn prompt(&mut self, what: Typed, text: String) {
        self.over = Over::Prompt { what, line: Line::of(text), complaint: None };
    }

    pub(super) fn on_prompt(&mut self, key: Key, what: Typed, mut line: Line) -> Step {
        if key == Key::Esc {
            return Step::Draw;
        }
        if key != Key::Enter {
            line.key(key);
            self.over = Over::Prompt { what, line, complaint: None };
            return Step::Draw;
        }
        let answer = match what {
            Typed::Filter => self.filter_by(line.text()),
            Typed::Keys => Keys::parse(line.text()).map(|keys| self.group_by(keys)),
        };
        answer.unwrap_or_else(|complaint| {
            self.over = Over::Prompt { what, line, complaint: Some(complaint) };
            Step::Draw
        })
    }

    /// The namespaces, at the one that is shown; where all of them are, at the fullest, which is the first.
    pub(super) fn choose_place(&mut self) {
        let shown = match &self.question.scope {
            Scope::Some(inodes, _) => self.places.iter().position(|p| inodes.contains(&p.inode)),
            Scope::All => (!self.places.is_empty()).then_some(0),
        };
        self.over = Over::Places { selected: shown.map_or(0, |place| place + 1) };
    }

    pub(super) fn on_places(&mut self, key: Key, selected: usize) -> Step {
        // The first stands for all of them.
        let last = self.places.len();
        match key {
            Key::Char('q') => return Step::Quit,
            Key::Enter => {
                self.question.scope = match selected.checked_sub(1).and_then(|n| self.places.get(n))
                {
                    Some(place) => Scope::Some(vec![place.inode], place.name.clone()),
                    None => Scope::All,
                };
                return self.go_live();
            }
            Key::Esc | Key::Backspace | Key::Char('n') => return Step::Draw,
            _ => self.over = Over::Places { selected: moved(key, selected, last, last) },
        }
        Step::Draw
    }

    pub(super) fn on_findings(&mut self, key: Key, selected: usize) -> Step {
        let last = self.findings.as_ref().map_or(0, |found| found.len().saturating_sub(1));
        match key {
            Key::Char('q') => return Step::Quit,
            Key::Enter | Key::Char('e') => {
                self.explain(selected);
                return Step::Draw;
            }
            Key::Esc | Key::Backspace | Key::Char('f') => return Step::Draw,
            _ => self.over = Over::Findings { selected: moved(key, selected, last, last) },
        }
        Step::Draw
    }

    /// The page of a finding.
    pub(super) fn explain(&mut self, index: usize) {
        let id = self.findings.as_ref().and_then(|found| found.get(index)).map(|f| f.id);
        let Some(id) = id else {
            self.notice = Some(spoken!(
                self.look.language,
                "nothing was found that could be explained",
                "没有可以说明的诊断结论"
            ));
            return;
        };
        let page = plimsoll_report::explain(id, self.look.language, &self.look.style(78));
        let lines = page.unwrap_or_default().lines().map(str::to_owned).collect();
        self.over = Over::Page { of: index, lines, top: 0 };
    }

    pub(super) fn on_page(&mut self, key: Key, of: usize, lines: Vec<String>, top: usize) -> Step {
        let last = lines.len().saturating_sub(1);
        match key {
            Key::Char('q') => return Step::Quit,
            Key::Esc | Key::Backspace | Key::Enter | Key::Char('e') => {
                self.over = Over::Findings { selected: of };
                return Step::Draw;
            }
            _ => self.over = Over::Page { of, top: moved(key, top, last, SCROLL), lines },
        }
        Step::Draw
    }
}

/// Where a key leads in a list of which `last` is the last place.
fn moved(key: Key, at: usize, last: usize, page: usize) -> usize {
    match key {
        Key::Up | Key::Char('k') => at.saturating_sub(1),
        Key::Down | Key::Char('j') => (at + 1).min(last),
        Key::PageUp => at.saturating_sub(page),
        Key::PageDown | Key::Char(' ') => (at + page).min(last),
        Key::Home => 0,
        Key::End => last,
        _ => at,
    }
}
