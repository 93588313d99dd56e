//! Screens, and what keys do to them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use plimsoll_ct::{Entries, Entry, Time};
use plimsoll_diagnosis::facts::Source;
use plimsoll_diagnosis::{Evidence, Finding, Load, Said, Severity, Value};
use plimsoll_flows::{
    Filter, Groups, Keys, Lacks, Limits, Names, Order, Surroundings, Tally, Truth, View,
};
use plimsoll_report::{Clock, Language};
use plimsoll_wire::listing;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::{App, Key, Look, Moment, Mouse, Place, Question, Scope, Space, Split, Step, Table};

const fn look(colour: bool, unicode: bool) -> Look {
    Look { colour, unicode, clock: Clock::Utc, language: Language::English, host: String::new() }
}

fn app_with(look: Look) -> App {
    let question = Question {
        scope: Scope::Some(vec![1], Said::name("host")),
        filter: Filter::default(),
        keys: Keys::parse("state,service").unwrap(),
        order: Order::Entries,
    };
    App::new(Look { host: "web1".into(), ..look }, Names::default(), question, true)
}

fn app() -> App {
    app_with(look(false, true))
}

fn entry(line: &str) -> Entry {
    listing::parse(line.as_bytes()).unwrap().entry
}

/// A table that grows: connections to port 443, half-open ones to port 80, questions for names.
fn entries(second: u32) -> Vec<Entry> {
    let mut entries = Vec::new();
    for n in 0..900 + 20 * second {
        let (a, b) = (n / 250, n % 250);
        entries.push(entry(&format!(
            "tcp 6 431990 ESTABLISHED src=10.0.{a}.{b} dst=192.0.2.1 sport=4000 dport=443 src=192.0.2.1 \
             dst=10.0.{a}.{b} sport=443 dport=4000 [ASSURED] mark=0 use=1"
        )));
    }
    for n in 0..100 {
        entries.push(entry(&format!(
            "tcp 6 100 SYN_SENT src=198.51.100.7 dst=192.0.2.1 sport={} dport=80 [UNREPLIED] \
             src=192.0.2.1 dst=198.51.100.7 sport=80 dport={} mark=0 use=1",
            5000 + n,
            5000 + n
        )));
        if n % 4 == 0 {
            entries.push(entry(&format!(
                "tcp 6 10 TIME_WAIT src=10.0.9.{n} dst=192.0.2.1 sport=4 dport=443 src=192.0.2.1 dst=10.0.9.{n} \
                 sport=443 dport=4 [ASSURED] mark=0 use=1"
            )));
        }
    }
    entries.push(entry(
        "udp 17 20 src=10.0.0.3 dst=10.0.0.53 sport=5353 dport=53 src=10.0.0.53 dst=10.0.0.3 sport=53 \
         dport=5353 mark=0 use=1",
    ));
    entries
}

/// Answers a question as the shell does: of every `one_of` entries one is read.
fn answer(question: &Question, second: u32, one_of: usize) -> Moment {
    let around = Surroundings::default();
    let mut groups = Groups::new(question.keys.clone(), Limits::default(), 1);
    let (mut all, mut seen) = (Tally::default(), 0);
    let entries = entries(second);
    for entry in entries.iter().step_by(one_of) {
        seen += 1;
        all.count(entry);
        let view = View::new(entry, &around);
        if question.filter.judge(&view) == Truth::Yes {
            groups.add(&view);
        }
    }
    let at = Time::from_secs(1_700_000_000 + i64::from(second));
    let share = (one_of > 1).then(|| 1.0 / one_of as f64);
    let table = Table {
        at,
        question: question.clone(),
        groups: groups.rows(question.order, Some(200)).collect(),
        all_groups: groups.len(),
        error: groups.error(),
        total: groups.total(),
        seen,
        unknown: 0,
        lacks: Lacks::NONE,
        share,
        reader: if one_of > 1 { "netlink" } else { "bpf" },
        remarks: Vec::new(),
        accounting: false,
        every: Duration::from_secs(if one_of > 1 { 5 } else { 1 }),
    };
    let count = entries.len() as u64;
    let load = Load { count: Some(Entries(count)), max: Some(Entries(2_000)), ..Load::default() };
    let split = Split { count, tally: all, complete: one_of == 1 };
    let rates = plimsoll_diagnosis::Rates {
        new: Ok(0.0),
        new_source: Said::name(String::new()),
        expired: Ok(0.0),
        drop: Ok(if second == 7 { 3.0 } else { 0.0 }),
        early_drop: Ok(0.0),
        insert_failed: Ok(0.0),
        invalid: Ok(0.0),
        growth: Ok(20.0),
    };
    Moment {
        at,
        spaces: vec![Space::new(
            &Said::name("host"),
            Some(1),
            load,
            &rates,
            Some(45.0),
            Some(&split),
        )],
        namespaces: 1,
        entries: count,
        table: Ok(Arc::new(table)),
    }
}

/// Ten seconds of it.
fn watched(mut app: App) -> App {
    for second in 0..10 {
        let moment = answer(app.question(), second, 1);
        app.learn(moment);
    }
    app.learn_places(vec![Place { name: Said::name("host"), inode: 1, entries: Some(1_206) }]);
    let found = vec![finding("CT012", "idle-established", Severity::Warning)];
    app.learn_findings(found, vec![Said::name("host")]);
    app
}

fn finding(id: &'static str, name: &'static str, severity: Severity) -> Finding {
    Finding {
        id,
        name,
        severity,
        namespace: Some(0),
        summary: Said::name(
            "2,600 ESTABLISHED connections to port 80 have been idle for over an hour",
        ),
        evidence: Vec::new(),
    }
}

fn draw(app: &mut App, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    terminal
}

fn screen_of(app: &mut App, width: u16, height: u16) -> String {
    let terminal = draw(app, width, height);
    let buffer = terminal.backend().buffer();
    let lines = buffer.content.chunks(width.into()).map(|cells| {
        // A wide character stands in two cells.
        let (mut line, mut at) = (String::new(), 0);
        while let Some(cell) = cells.get(at) {
            line.push_str(cell.symbol());
            at += plimsoll_report::width(cell.symbol()).max(1);
        }
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn screen(app: &mut App) -> String {
    screen_of(app, 80, 24)
}

/// Presses keys; whenever something else is asked, it is answered.
fn press(app: &mut App, keys: &[Key]) {
    for key in keys {
        if app.key(*key) == Step::Ask {
            let moment = answer(app.question(), 10, 1);
            app.learn(moment);
        }
    }
}

fn typed(app: &mut App, text: &str) {
    for c in text.chars() {
        app.key(Key::Char(c));
    }
}

#[test]
fn the_first_screen_says_that_nothing_is_known_yet() {
    insta::assert_snapshot!(screen(&mut app()));
}

#[test]
fn load_rates_history_groups_findings_and_keys_fit_on_eighty_by_twenty_four() {
    insta::assert_snapshot!(screen(&mut watched(app())));
}

#[test]
fn a_rescue_shell_gets_ascii() {
    let shown = screen(&mut watched(app_with(look(false, false))));
    assert!(shown.is_ascii(), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_wide_screen_shows_more() {
    insta::assert_snapshot!(screen_of(&mut watched(app()), 140, 40));
}

#[test]
fn nothing_is_said_by_colour_alone() {
    let plain = draw(&mut watched(app()), 80, 24);
    let coloured = draw(&mut watched(app_with(look(true, true))), 80, 24);
    let symbols = |terminal: &Terminal<TestBackend>| {
        terminal
            .backend()
            .buffer()
            .content
            .iter()
            .map(|c| c.symbol().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(symbols(&plain), symbols(&coloured));
    let is_coloured = |terminal: &Terminal<TestBackend>| {
        let cells = &terminal.backend().buffer().content;
        cells.iter().any(|cell| cell.fg != ratatui::style::Color::Reset)
    };
    assert!(is_coloured(&coloured) && !is_coloured(&plain));
}

#[test]
fn enter_looks_into_a_group_and_escape_leads_back_to_it() {
    let mut app = watched(app());
    let before = screen(&mut app);
    press(&mut app, &[Key::Down, Key::Enter]);
    assert_eq!(app.question().filter.to_string(), "tcp and state SYN_SENT and dport 80");
    assert_eq!(app.question().keys.to_string(), "src");
    insta::assert_snapshot!("into", screen(&mut app));
    press(&mut app, &[Key::Enter]);
    assert_eq!(app.question().keys.to_string(), "dst");
    press(&mut app, &[Key::Enter, Key::Char('0'), Key::Down]);
    insta::assert_snapshot!("single_entries", screen(&mut app));
    press(&mut app, &[Key::Esc, Key::Esc, Key::Backspace]);
    assert_eq!(app.question().filter.expr, None);
    assert_eq!(app.question().keys.to_string(), "state,service");
    let after = screen(&mut app);
    // The chosen group is chosen again, one moment later.
    assert!(after.contains("> "), "{after}");
    let chosen = |text: &str| text.lines().find(|l| l.starts_with("> ")).unwrap().to_owned();
    assert!(chosen(&after).contains("SYN_SENT") && chosen(&before).contains("ESTABLISHED"));
}

#[test]
fn a_wrong_filter_is_shown_with_a_caret_and_can_be_mended() {
    let mut app = watched(app());
    app.key(Key::Char('/'));
    typed(&mut app, "tcp and dprt 443");
    press(&mut app, &[Key::Enter]);
    insta::assert_snapshot!(screen(&mut app));
    for _ in 0..6 {
        app.key(Key::Backspace);
    }
    typed(&mut app, "ort 443");
    press(&mut app, &[Key::Enter]);
    assert_eq!(app.question().filter.to_string(), "tcp and dport 443");
    let shown = screen(&mut app);
    assert!(shown.contains("IF tcp and dport 443") && !shown.contains("SYN_SENT"), "{shown}");
    // Escape leads back to no filter.
    press(&mut app, &[Key::Esc]);
    assert_eq!(app.question().filter.expr, None);
}

#[test]
fn a_caret_stands_under_its_word_behind_characters_of_two_columns() {
    let mut app = watched(app());
    app.key(Key::Char('/'));
    let long = "process 网络网络网络网络网络网络网络网络网络网络网络网络网络网络网络 dprt";
    for filter in ["process 网络 dprt", long] {
        app.key(Key::Ctrl('u'));
        typed(&mut app, filter);
        press(&mut app, &[Key::Enter]);
        let shown = screen_of(&mut app, 60, 24);
        let lines: Vec<&str> = shown.lines().collect();
        let row = lines.iter().position(|line| line.starts_with("/ ")).unwrap();
        let column =
            |line: &str, what: &str| line.find(what).map(|at| plimsoll_report::width(&line[..at]));
        assert_eq!(
            column(lines[row], "dp").unwrap(),
            column(lines[row + 1], "^").unwrap(),
            "{shown}"
        );
    }
}

#[test]
fn keys_group_by_something_else() {
    let mut app = watched(app());
    press(&mut app, &[Key::Char('5')]);
    assert_eq!(app.question().keys.to_string(), "src/24");
    insta::assert_snapshot!(screen(&mut app));
    press(&mut app, &[Key::Tab]);
    assert_eq!(app.question().keys.to_string(), "dst");
    press(&mut app, &[Key::BackTab, Key::BackTab]);
    assert_eq!(app.question().keys.to_string(), "src");
    app.key(Key::Char('g'));
    app.key(Key::Ctrl('u'));
    typed(&mut app, "clas");
    press(&mut app, &[Key::Enter]);
    let shown = screen(&mut app);
    assert!(shown.contains("did you mean \"class\"?"), "{shown}");
    typed(&mut app, "s");
    press(&mut app, &[Key::Enter]);
    assert_eq!(app.question().keys.to_string(), "class");
}

#[test]
fn the_first_groups_are_those_that_are_asked_for() {
    let mut app = watched(app());
    press(&mut app, &[Key::Char('s')]);
    let shown = screen(&mut app);
    let chosen = shown.lines().find(|line| line.starts_with("> ")).unwrap();
    assert!(shown.contains("most unreplied first") && chosen.contains("SYN_SENT"), "{shown}");
}

#[test]
fn time_stands_still_and_goes_back_and_on() {
    let mut app = watched(app());
    app.key(Key::Char('p'));
    let paused = screen(&mut app);
    assert!(paused.contains("PAUSED, 0 s ago"), "{paused}");
    let moment = answer(app.question(), 10, 1);
    app.learn(moment);
    // What comes meanwhile changes only how long ago it is.
    let later = screen(&mut app).replace("PAUSED, 1 s ago", "PAUSED, 0 s ago");
    assert_eq!(later, paused);
    for _ in 0..3 {
        app.key(Key::Left);
    }
    insta::assert_snapshot!(screen(&mut app));
    app.key(Key::Char('{'));
    assert!(screen(&mut app).contains("22:13:20"));
    for _ in 0..10 {
        app.key(Key::Right);
    }
    let live = screen(&mut app);
    assert!(live.contains("live, by bpf") && live.contains("22:13:30"), "{live}");
}

#[test]
fn a_part_of_a_table_stands_for_all_of_it_and_says_so() {
    let mut app = app();
    let moment = answer(app.question(), 0, 5);
    app.learn(moment);
    insta::assert_snapshot!(screen(&mut app));
}

#[test]
fn the_mouse_chooses_looks_into_and_goes_back() {
    let mut app = watched(app());
    screen(&mut app);
    let row = app.rows_at + 1;
    assert_eq!(app.mouse(Mouse::Click { column: 10, row }), Step::Draw);
    assert_eq!(app.selected(), 1);
    assert_eq!(app.mouse(Mouse::Click { column: 10, row }), Step::Ask);
    assert_eq!(app.question().keys.to_string(), "src");
    assert_eq!(app.mouse(Mouse::Back), Step::Ask);
    assert_eq!(app.question().filter.expr, None);
    // Where there is no group there is nothing to choose.
    assert_eq!(app.mouse(Mouse::Click { column: 10, row: 0 }), Step::Draw);
    assert_eq!(app.mouse(Mouse::Click { column: 10, row: 23 }), Step::Draw);
    assert_eq!(app.key(Key::Char('m')), Step::Mouse(false));
}

#[test]
fn findings_are_explained_namespaces_chosen_and_keys_told() {
    let mut app = watched(app());
    app.key(Key::Char('f'));
    insta::assert_snapshot!("findings", screen(&mut app));
    app.key(Key::Enter);
    let page = screen(&mut app);
    assert!(page.contains("EXPLAIN") && page.contains("CT012"), "{page}");
    press(&mut app, &[Key::PageDown, Key::Esc, Key::Esc, Key::Char('n')]);
    insta::assert_snapshot!("namespaces", screen(&mut app));
    assert_eq!(app.key(Key::Enter), Step::Ask);
    assert_eq!(app.question().scope, Scope::Some(vec![1], Said::name("host")));
    // Once more: on the one that is shown; all of them are above it.
    press(&mut app, &[Key::Char('n'), Key::Up]);
    assert_eq!(app.key(Key::Enter), Step::Ask);
    assert_eq!(app.question().scope, Scope::All);
    app.key(Key::Char('?'));
    insta::assert_snapshot!("help", screen(&mut app));
    app.key(Key::Char('x'));
    assert_eq!(app.key(Key::Char('q')), Step::Quit);
}

#[test]
fn findings_of_one_kind_name_their_namespaces_where_there_are_several() {
    let mut app = watched(app());
    let of = |namespace| {
        let found = finding("CT002", "table-was-full", Severity::Warning);
        Finding { namespace, ..found }
    };
    let names = ["host", "ip netns web"].map(Said::name);
    app.learn_findings(vec![of(Some(0)), of(Some(1)), of(None)], names.to_vec());
    app.key(Key::Char('f'));
    let shown = screen(&mut app);
    for row in ["table-was-full · host", "table-was-full · ip netns web"] {
        assert!(shown.contains(row), "{shown}");
    }
    app.learn_findings(vec![of(Some(0))], names[..1].to_vec());
    let shown = screen(&mut app);
    assert!(shown.contains("table-was-full") && !shown.contains(" · host"), "{shown}");
}

#[test]
fn what_is_wrong_with_a_long_filter_is_cut_with_a_mark() {
    let mut app = watched(app());
    app.key(Key::Char('/'));
    for c in "dport ".chars().chain(['x'; 90]) {
        app.key(Key::Char(c));
    }
    app.key(Key::Enter);
    let shown = screen(&mut app);
    let wrong = shown.lines().find(|line| line.starts_with("filter, column 7: expected a port"));
    assert!(wrong.is_some_and(|line| line.ends_with("...")), "{shown}");
}

#[test]
fn evidence_that_is_longer_than_a_line_is_told_to_its_end() {
    let mut app = watched(app());
    let mut long = finding("CT040", "lost-at-boot", Severity::Warning);
    let text = "/etc/sysctl.d/60-ct.conf line 1 says 524288, but the key does not exist yet when \
                systemd-sysctl writes it; nf_conntrack is loaded later";
    long.evidence.push(Evidence {
        what: Said::name("net.netfilter.nf_conntrack_max: why"),
        value: Value::Text(Said::name(text)),
        unit: "",
        source: Source::name("/etc"),
    });
    app.learn_findings(vec![long], Vec::new());
    app.key(Key::Char('f'));
    let shown = screen(&mut app);
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(text), "{shown}");
}

#[test]
fn a_table_that_cannot_be_read_still_has_a_load() {
    let mut app = app();
    let mut moment = answer(app.question(), 0, 1);
    moment.table = Err(Arc::new(Said::name(
        "the table can't be read: bpf: needs CAP_BPF\nplimsoll: missing: root",
    )));
    app.learn(moment);
    let shown = screen(&mut app);
    assert!(shown.contains("the table can't be read") && shown.contains("/ 2,000"), "{shown}");
}

/// Keys in every state, on screens of every size: nothing panics, and the foot is where it belongs.
#[test]
fn no_key_and_no_size_is_too_odd() {
    let mut app = watched(app());
    let keys = "jjk/x\r\u{1b}g,\r\u{1b}?xf\r\u{1b}\u{1b}n\r19s[[{]p}lm 0\r\re\u{1b}";
    for (n, c) in keys.chars().cycle().take(160).enumerate() {
        let key = match c {
            '\r' => Key::Enter,
            '\u{1b}' => Key::Esc,
            c => Key::Char(c),
        };
        if app.key(key) == Step::Ask {
            let moment = answer(app.question(), n as u32 % 20, 1 + n % 3);
            app.learn(moment);
        }
        let sizes = [(80, 24), (1, 1), (40, 10), (41, 11), (200, 60), (60, 12), (39, 50)];
        let (width, height) = sizes[n % sizes.len()];
        screen_of(&mut app, width, height);
    }
}

#[test]
fn an_old_moment_keeps_its_load_and_loses_its_groups() {
    let mut app = app();
    app.question.keys = Keys::parse("sport").unwrap();
    let moment = answer(app.question(), 0, 1);
    let groups = moment.table.as_ref().unwrap().groups.len();
    let table = |moment: &Moment| Arc::new(Table::clone(moment.table.as_ref().unwrap()));
    for second in 0..4_000 {
        let mut next = moment.clone();
        next.at = Time::from_secs(1_700_000_000 + second);
        // Each reading is shown for two seconds.
        next.table = match app.history.last() {
            Some(last) if second % 2 == 1 => last.table.clone(),
            _ => Ok(table(&moment)),
        };
        app.learn(next);
    }
    let history = &app.history;
    assert_eq!((history.first(), history.end()), (400, 4_000));
    let kept: Vec<u64> = (400..4_000).filter(|n| history.get(*n).unwrap().table.is_ok()).collect();
    assert_eq!(kept.last(), Some(&3_999));
    // Readings are kept as long as there is room: all of the last ones, none before.
    assert_eq!(kept.len() as u64, 4_000 - kept[0]);
    let readings = kept.len().div_ceil(2);
    assert!(
        readings * groups <= 40_000 && (readings + 1) * groups > 40_000,
        "{readings} of {groups}"
    );
    press(&mut app, &[Key::Char('p')]);
    for _ in 0..60 {
        app.key(Key::Char('{'));
    }
    let shown = screen(&mut app);
    assert!(shown.contains("the groups of this moment are forgotten"), "{shown}");
    assert!(shown.contains("1,026 / 2,000"), "{shown}");
}

#[test]
fn a_slow_line_is_said_beside_how_often_the_table_is_read() {
    let mut app = watched(app());
    assert!(!screen(&mut app).contains("slow line"));
    app.learn_slowness(true);
    assert!(screen(&mut app).contains("slow line, live, "));
    app.learn_slowness(false);
    assert!(!screen(&mut app).contains("slow line"));
}

#[test]
fn every_screen_is_there_in_chinese_and_fits_on_eighty_columns() {
    let mut app = watched(app_with(Look { language: Language::Chinese, ..look(false, true) }));
    let mut screens = vec![screen(&mut app)];
    press(&mut app, &[Key::Enter, Key::Char('s'), Key::Left, Key::Left]);
    screens.push(screen(&mut app));
    for key in ['?', 'f', 'n', 'm', 'g', '/'] {
        app.key(Key::Char(key));
        screens.push(screen(&mut app));
        app.key(Key::Esc);
    }
    app.key(Key::Char('/'));
    typed(&mut app, " dprot 443");
    app.key(Key::Enter);
    screens.push(screen(&mut app));
    for line in screens.iter().flat_map(|screen| screen.lines()) {
        assert!(plimsoll_report::width(line) <= 80, "{line}");
    }
    insta::assert_snapshot!(screens.join("\n--------\n"));
}

#[test]
fn no_number_of_the_load_is_cut_in_two_however_narrow_the_screen_is() {
    let mut app = watched(app_with(look(false, true)));
    let mut moment = answer(app.question(), 11, 1);
    let space = &mut moment.spaces[0];
    space.name = Said::name("docker 7f3a9c517f3a");
    space.load.count = Some(Entries(249_990));
    space.load.max = Some(Entries(262_144));
    space.load.protected = Some(Entries(150_000));
    space.load.closing = Some(Entries(49_000));
    space.load.evictable = Some(Entries(41_000));
    (space.drop, space.early_drop) = (Ok(1_234.0), Ok(4_321.0));
    app.learn(moment);
    for language in [Language::English, Language::Chinese] {
        app.look.language = language;
        for (width, height) in [(40, 24), (60, 24), (80, 24), (100, 24), (200, 60)] {
            let screen = screen_of(&mut app, width, height);
            assert!(screen.contains(" 249,990 / 262,144  95 %"), "{width}: {screen}");
            for part in ["150,000", "49,000", "41,000", "9,990"] {
                let whole = |c: char| !(c.is_ascii_digit() || c == ',');
                assert!(width == 40 || screen.split(whole).any(|n| n == part), "{part}: {screen}");
            }
            let rates = screen.lines().find(|line| line.contains("20/")).unwrap();
            let words = ["/s", "/秒", "45 s", "45 秒后满"];
            assert!(words.iter().any(|end| rates.ends_with(end)), "{width}: {screen}");
        }
    }
}

#[test]
fn sixty_columns_hold_both_ends_of_an_entry_whatever_the_language() {
    let mut app = app_with(look(false, true));
    app.question.keys = Keys::parse("proto,src,sport,dst,dport").unwrap();
    let moment = answer(app.question(), 11, 1);
    app.learn(moment);
    for (language, ports) in
        [(Language::English, ["SPORT", "DPORT"]), (Language::Chinese, ["源端口", "目的端口"])]
    {
        app.look.language = language;
        let screen = screen_of(&mut app, 60, 24);
        for port in ports {
            assert!(screen.contains(port), "{screen}");
        }
        assert!(screen.lines().any(|line| line.trim_end().ends_with("  443")), "{screen}");
    }
}

#[test]
fn a_character_of_two_columns_is_never_half_on_the_screen() {
    let mut app = watched(app_with(Look { language: Language::Chinese, ..look(false, true) }));
    app.learn_places(vec![Place {
        name: Said::name("ip netns 测试用的网络命名空间"),
        inode: 1,
        entries: Some(1_206),
    }]);
    let check = |app: &mut App, width: u16, height: u16| {
        let terminal = draw(app, width, height);
        for cells in terminal.backend().buffer().content.chunks(width.into()) {
            let mut at = 0;
            while let Some(cell) = cells.get(at) {
                at += plimsoll_report::width(cell.symbol()).max(1);
            }
            assert_eq!(at, usize::from(width), "{}", screen_of(app, width, height));
        }
    };
    for width in (1..90).step_by(3) {
        for height in [10, 24] {
            check(&mut app, width, height);
        }
        for key in ['?', 'f', 'n', 'e', 'g', '/'] {
            app.key(Key::Char(key));
            if key == '/' {
                typed(&mut app, " 未应答的条目，以及别的 443");
                check(&mut app, width, 24);
                app.key(Key::Enter);
            }
            check(&mut app, width, 24);
            app.key(Key::Esc);
        }
    }
}
