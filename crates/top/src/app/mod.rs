//! The state of the screen, and what keys do to it.

mod over;

use std::sync::Arc;

use plimsoll_diagnosis::{Finding, Said};
use plimsoll_flows::{Complaint, Filter, Group, Key as By, Keys, Names, Order, Value};
use plimsoll_report::{Clock, Language, Style, spoken};

use crate::history::History;
use crate::keys::{Key, Mouse};
use crate::line::Line;
use crate::moment::{Moment, Place, Question, Table};
use crate::presets::{self, PRESETS};

/// What the terminal can show.
#[derive(Debug, Clone)]
pub struct Look {
    /// Whether to colour.
    pub colour: bool,
    /// Whether it shows more than ASCII.
    pub unicode: bool,
    /// Which clock times are shown by.
    pub clock: Clock,
    /// The language of the screen.
    pub language: Language,
    /// Name of the host.
    pub host: String,
}

impl Look {
    pub(crate) fn style(&self, width: u16) -> Style {
        Style {
            width: width.into(),
            colour: false,
            unicode: self.unicode,
            verbose: false,
            commands: false,
            clock: self.clock,
            language: self.language,
        }
    }
}

/// What is to be done after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Draw.
    Draw,
    /// Draw all of it anew: something else wrote on the terminal.
    Redraw,
    /// Draw, and read the table: something else is asked of it.
    Ask,
    /// Hear the mouse, or do not.
    Mouse(bool),
    /// Let the shell have the terminal.
    Suspend,
    /// End.
    Quit,
}

/// What lies over the groups.
#[derive(Debug)]
pub(crate) enum Over {
    Nothing,
    Prompt { what: Typed, line: Line, complaint: Option<Complaint> },
    Help,
    Places { selected: usize },
    Findings { selected: usize },
    Page { of: usize, lines: Vec<String>, top: usize },
}

/// What is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Typed {
    Filter,
    Keys,
}

/// A place one can come back to.
#[derive(Debug, Clone)]
struct Visit {
    filter: Filter,
    keys: Keys,
    known: Vec<By>,
    chosen: Option<Vec<Value>>,
}

/// The whole screen.
#[derive(Debug)]
pub struct App {
    pub(crate) look: Look,
    pub(crate) names: Names,
    pub(crate) question: Question,
    /// By what was looked into to come here.
    known: Vec<By>,
    trail: Vec<Visit>,
    pub(crate) history: History,
    /// Which moment is looked at; `None`: the latest.
    cursor: Option<u64>,
    /// The group that is chosen; `None`: the first.
    chosen: Option<Vec<Value>>,
    /// The first group on the screen.
    pub(crate) top: usize,
    /// How many groups the screen has room for, and where they and their heading begin.
    pub(crate) room: usize,
    pub(crate) rows_at: u16,
    pub(crate) over: Over,
    pub(crate) places: Vec<Place>,
    pub(crate) findings: Option<Vec<Finding>>,
    /// The names of the namespaces that they are about, by index.
    pub(crate) found_in: Vec<Said>,
    pub(crate) notice: Option<String>,
    pub(crate) mouse: bool,
    /// Drawing was slow, so that the screen is drawn less often.
    pub(crate) slow_line: bool,
}

/// Moments to go at once with the keys for far.
const FAR: u64 = 60;

impl App {
    /// Nothing known yet.
    pub fn new(look: Look, names: Names, question: Question, mouse: bool) -> Self {
        Self {
            look,
            names,
            question,
            known: Vec::new(),
            trail: Vec::new(),
            history: History::default(),
            cursor: None,
            chosen: None,
            top: 0,
            room: 10,
            rows_at: 0,
            over: Over::Nothing,
            places: Vec::new(),
            findings: None,
            found_in: Vec::new(),
            notice: None,
            mouse,
            slow_line: false,
        }
    }

    /// What is asked of the table now.
    pub const fn question(&self) -> &Question {
        &self.question
    }

    /// A moment has come.
    pub fn learn(&mut self, moment: Moment) {
        self.history.push(moment);
        let first = self.history.first();
        self.cursor = self.cursor.map(|cursor| cursor.max(first));
    }

    /// The namespaces there are to choose.
    pub fn learn_places(&mut self, places: Vec<Place>) {
        self.places = places;
    }

    /// What a diagnosis of the host found, the worst first, and the names of the namespaces that it looked at.
    pub fn learn_findings(&mut self, findings: Vec<Finding>, namespaces: Vec<Said>) {
        self.findings = Some(findings);
        self.found_in = namespaces;
    }

    /// Whether drawing takes so long that it is done less often.
    pub const fn learn_slowness(&mut self, slow: bool) {
        self.slow_line = slow;
    }

    /// The number of the moment that is looked at.
    pub(crate) fn now(&self) -> u64 {
        self.cursor.unwrap_or_else(|| self.history.end().saturating_sub(1))
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.cursor.is_none()
    }

    /// The moment that is looked at.
    pub(crate) fn moment(&self) -> Option<&Moment> {
        self.history.get(self.now())
    }

    pub(crate) fn table(&self) -> Option<&Arc<Table>> {
        self.moment()?.table.as_ref().ok()
    }

    /// The place of the chosen group among those shown.
    pub(crate) fn selected(&self) -> usize {
        let Some(table) = self.table() else { return 0 };
        let wanted = self.chosen.as_ref();
        let found = wanted.and_then(|values| table.groups.iter().position(|g| g.values == *values));
        found.unwrap_or(0)
    }

    pub(crate) fn depth(&self) -> usize {
        self.trail.len()
    }

    /// A key was pressed.
    pub fn key(&mut self, key: Key) -> Step {
        self.notice = None;
        if key == Key::Ctrl('c') {
            return Step::Quit;
        }
        if key == Key::Ctrl('z') {
            return Step::Suspend;
        }
        if key == Key::Ctrl('l') {
            return Step::Redraw;
        }
        match std::mem::replace(&mut self.over, Over::Nothing) {
            Over::Nothing => self.on_groups(key),
            Over::Prompt { what, line, .. } => self.on_prompt(key, what, line),
            Over::Help => self.on_help(key),
            Over::Places { selected } => self.on_places(key, selected),
            Over::Findings { selected } => self.on_findings(key, selected),
            Over::Page { of, lines, top } => self.on_page(key, of, lines, top),
        }
    }

    /// The mouse did something.
    pub fn mouse(&mut self, mouse: Mouse) -> Step {
        match (mouse, &self.over) {
            (Mouse::Up, _) => self.key(Key::Up),
            (Mouse::Down, _) => self.key(Key::Down),
            (Mouse::Back, _) => self.key(Key::Esc),
            (Mouse::Click { row, .. }, Over::Nothing) => {
                let index = usize::from(row.saturating_sub(self.rows_at)) + self.top;
                let there = row >= self.rows_at
                    && usize::from(row - self.rows_at) < self.room
                    && self.table().is_some_and(|table| index < table.groups.len());
                if !there {
                    return Step::Draw;
                }
                if index == self.selected() {
                    return self.key(Key::Enter);
                }
                self.choose(index);
                Step::Draw
            }
            (Mouse::Click { .. }, _) => Step::Draw,
        }
    }

    fn on_groups(&mut self, key: Key) -> Step {
        let last = self.table().map_or(0, |table| table.groups.len().saturating_sub(1));
        let (at, page) = (self.selected(), self.room.max(1));
        match key {
            Key::Char('q') => return Step::Quit,
            Key::Up | Key::Char('k') => self.choose(at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.choose((at + 1).min(last)),
            Key::PageUp => self.choose(at.saturating_sub(page)),
            Key::PageDown => self.choose((at + page).min(last)),
            Key::Home => self.choose(0),
            Key::End => self.choose(last),
            Key::Enter => return self.look_into(),
            Key::Esc | Key::Backspace => return self.go_back(),
            Key::Left | Key::Char('[') => self.travel(-1),
            Key::Right | Key::Char(']') => self.travel(1),
            Key::Char('{') => self.travel(-(FAR as i64)),
            Key::Char('}') => self.travel(FAR as i64),
            Key::Char('p' | ' ') => {
                self.cursor =
                    if self.is_live() && self.history.end() > 0 { Some(self.now()) } else { None };
            }
            Key::Char('l') => self.cursor = None,
            Key::Tab => return self.next_preset(1),
            Key::BackTab => return self.next_preset(PRESETS.len() - 1),
            Key::Char(digit @ '0'..='9') => {
                let place = (digit as usize + 9 - '0' as usize) % 10;
                if let Some(keys) = PRESETS.get(place).and_then(|text| Keys::parse(text).ok()) {
                    return self.group_by(keys);
                }
            }
            Key::Char('s') => return self.sort(),
            Key::Char('/') => self.prompt(Typed::Filter, self.question.filter.to_string()),
            Key::Char('g' | 'b') => self.prompt(Typed::Keys, self.question.keys.to_string()),
            Key::Char('f') => self.over = Over::Findings { selected: 0 },
            Key::Char('e') => self.explain(0),
            Key::Char('n') => self.choose_place(),
            Key::Char('?' | 'h') => self.over = Over::Help,
            Key::Char('m') => {
                self.mouse = !self.mouse;
                let language = self.look.language;
                self.notice = Some(match self.mouse {
                    true => spoken!(language, "the mouse is heard", "接收鼠标"),
                    false => spoken!(language, "the mouse is the terminal's", "鼠标留给终端"),
                });
                return Step::Mouse(self.mouse);
            }
            Key::Char(_) | Key::Ctrl(_) | Key::Delete => {}
        }
        Step::Draw
    }

    /// Chooses a group by its place.
    fn choose(&mut self, index: usize) {
        let values =
            self.table().and_then(|table| table.groups.get(index)).map(|g| g.values.clone());
        self.chosen = if index == 0 { None } else { values };
    }

    /// The group that is chosen.
    fn group(&self) -> Option<(&Table, &Group)> {
        let table = self.table()?;
        Some((table, table.groups.get(self.selected())?))
    }

    fn look_into(&mut self) -> Step {
        let Some((table, group)) = self.group() else { return Step::Draw };
        let by = table.question.keys.clone();
        let Some(narrower) = group.filter(&by) else {
            self.notice = Some(spoken!(
                self.look.language,
                "the filter language has no words for this group",
                "过滤语言说不出这个分组"
            ));
            return Step::Draw;
        };
        let filter = match narrower.expr {
            Some(expr) => table.question.filter.clone().and(expr),
            None => table.question.filter.clone(),
        };
        if filter == table.question.filter {
            self.notice = Some(spoken!(
                self.look.language,
                "this is all there is to look into",
                "已经到底了"
            ));
            return Step::Draw;
        }
        self.trail.push(Visit {
            filter: table.question.filter.clone(),
            keys: by.clone(),
            known: self.known.clone(),
            chosen: Some(group.values.clone()),
        });
        self.known.extend(by.list().iter().copied());
        self.question.filter = filter;
        self.question.keys = presets::into(&self.known);
        self.go_live()
    }

    fn go_back(&mut self) -> Step {
        let Some(visit) = self.trail.pop() else {
            if !self.is_live() {
                self.cursor = None;
            }
            return Step::Draw;
        };
        (self.question.filter, self.question.keys) = (visit.filter, visit.keys);
        self.known = visit.known;
        self.go_live();
        self.chosen = visit.chosen;
        Step::Ask
    }

    /// Something else is asked: of the table as it is now.
    fn go_live(&mut self) -> Step {
        (self.cursor, self.chosen, self.top) = (None, None, 0);
        Step::Ask
    }

    fn group_by(&mut self, keys: Keys) -> Step {
        if keys == self.question.keys {
            return Step::Draw;
        }
        self.question.keys = keys;
        self.go_live()
    }

    fn next_preset(&mut self, by: usize) -> Step {
        let now = self.question.keys.to_string();
        let at = PRESETS.iter().position(|text| *text == now);
        let next = at.map_or(0, |at| (at + by) % PRESETS.len());
        match Keys::parse(PRESETS[next]) {
            Ok(keys) => self.group_by(keys),
            Err(_) => Step::Draw,
        }
    }

    fn sort(&mut self) -> Step {
        let all = Order::ALL;
        let at = all.iter().position(|order| *order == self.question.order).unwrap_or(0);
        // Without counters there is nothing to sort by.
        let counted = self.table().is_some_and(|table| table.accounting);
        let after = (1..=all.len()).map(|n| all[(at + n) % all.len()]);
        let next = after
            .into_iter()
            .find(|order| counted || !matches!(order, Order::Bytes | Order::Packets));
        self.question.order = next.unwrap_or(Order::Entries);
        self.go_live()
    }

    /// Goes back or on in time; beyond the latest moment it is live again.
    fn travel(&mut self, by: i64) {
        let end = self.history.end();
        if end == 0 {
            return;
        }
        let to = self.now().saturating_add_signed(by).max(self.history.first());
        self.cursor = (to < end - 1 || by < 0 && to < end).then_some(to);
    }

    fn filter_by(&mut self, text: &str) -> Result<Step, Complaint> {
        let filter = Filter::parse(text, &self.names)?;
        if filter == self.question.filter {
            return Ok(Step::Draw);
        }
        // One way leads back.
        self.trail.push(Visit {
            filter: std::mem::replace(&mut self.question.filter, filter),
            keys: self.question.keys.clone(),
            known: self.known.clone(),
            chosen: self.chosen.clone(),
        });
        Ok(self.go_live())
    }
}
