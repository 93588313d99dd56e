use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::CATALOGUE;

use super::blocks::{Block, blocks};
use super::{PAGES, PAGES_ZH, explain};
use crate::wrap::width;
use crate::{Language, Style};

const SECTIONS: [&str; 6] = [
    "What it means",
    "What we look at",
    "Why it happens",
    "What to do",
    "How to prove it is cured",
    "What it is not",
];

const SECTIONS_ZH: [&str; 6] =
    ["这是什么意思", "我们看什么", "为什么会这样", "怎么办", "怎样证明已经治好", "它不是什么"];

fn sections(markdown: &str) -> Vec<String> {
    let sections = blocks(markdown).into_iter();
    sections.filter_map(|b| if let Block::Section(s) = b { Some(s) } else { None }).collect()
}

#[test]
fn every_finding_has_its_page_and_every_page_its_finding() {
    let findings: Vec<_> = CATALOGUE.iter().map(|d| (d.id, d.name)).collect();
    for pages in [PAGES, PAGES_ZH] {
        let pages: Vec<_> = pages.iter().map(|p| (p.id, p.name)).collect();
        assert_eq!(pages, findings);
    }
    for (page, finding) in PAGES.iter().zip(CATALOGUE) {
        let title = format!("# {} {}: {}\n", finding.id, finding.name, finding.title);
        assert!(page.markdown.starts_with(&title), "{title}");
    }
}

#[test]
fn every_page_has_all_sections_with_something_in_them() {
    let all = PAGES.iter().map(|p| (p, SECTIONS)).chain(PAGES_ZH.iter().map(|p| (p, SECTIONS_ZH)));
    for (page, wanted) in all {
        assert_eq!(sections(page.markdown), wanted, "{}", page.id);
        let blocks = blocks(page.markdown);
        for pair in blocks.windows(2) {
            let empty = matches!(pair, [Block::Section(_), Block::Section(_)]);
            assert!(!empty, "{}: {pair:?}", page.id);
        }
        assert!(!matches!(blocks.last(), Some(Block::Section(_))), "{}", page.id);
    }
}

#[test]
fn chinese_pages_say_you_as_the_screens_do() {
    for page in PAGES_ZH {
        assert!(!page.markdown.contains('你'), "{}", page.id);
    }
}

#[test]
fn the_index_lists_every_page_with_its_title() {
    let index = include_str!("../../pages/README.md");
    for d in CATALOGUE {
        let line = format!("- [{} {}]({}-{}.md): {}\n", d.id, d.name, d.id, d.name, d.title);
        assert!(index.contains(&line), "{line}");
    }
    assert_eq!(index.matches("](CT").count(), CATALOGUE.len());
    let index = include_str!("../../pages/zh/README.md");
    for page in PAGES_ZH {
        let (id, name) = (page.id, page.name);
        let first = page.markdown.lines().next().unwrap_or_default();
        let title = first.strip_prefix(&format!("# {id} {name}：")).expect("a title");
        let line = format!("- [{id} {name}]({id}-{name}.md)：{title}\n");
        assert!(index.contains(&line), "{line}");
    }
    assert_eq!(index.matches("](CT").count(), CATALOGUE.len());
}

/// What a translation must not change: commands, names in ticks, numbers outside of both.
fn facts(markdown: &str) -> (Vec<String>, BTreeSet<String>, BTreeSet<String>) {
    let (mut commands, mut names, mut numbers) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for block in blocks(markdown) {
        match block {
            Block::Code(code) => commands.push(code),
            Block::Title(text) | Block::Section(text) => numbers.extend(self::numbers(&text)),
            Block::Text(text) | Block::Item { text, .. } => {
                for (i, piece) in text.split('`').enumerate() {
                    if i % 2 == 1 {
                        names.insert(piece.into());
                    } else {
                        numbers.extend(self::numbers(piece));
                    }
                }
            }
        }
    }
    (commands, names, numbers)
}

/// `262,144`, `6.18`, `CT001`'s `001`: digits with single marks between them.
fn numbers(text: &str) -> Vec<String> {
    let pieces = text.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','));
    let bare = pieces.map(|p| p.trim_matches(['.', ',']));
    bare.filter(|p| !p.is_empty()).map(String::from).collect()
}

#[test]
fn a_page_in_chinese_has_the_commands_the_names_and_the_numbers_of_the_english_one() {
    for (english, chinese) in PAGES.iter().zip(PAGES_ZH) {
        assert_eq!(facts(english.markdown), facts(chinese.markdown), "{}", english.id);
    }
}

#[test]
fn one_word_for_one_thing_in_chinese() {
    for page in PAGES_ZH {
        for stray in ["驱逐", "名字空间", "表项", "连接追踪", "逐出"] {
            assert!(!page.markdown.contains(stray), "{}: {stray}", page.id);
        }
    }
}

#[test]
fn a_page_speaks_only_of_findings_that_there_are() {
    for page in PAGES.iter().chain(PAGES_ZH) {
        let pieces = page.markdown.split(|c: char| !c.is_ascii_alphanumeric());
        for id in pieces.filter(|w| w.len() == 5 && w.starts_with("CT")) {
            assert!(CATALOGUE.iter().any(|d| d.id == id), "{} in {}", id, page.id);
        }
    }
}

#[test]
fn code_and_bold_are_closed_where_they_are_opened() {
    for page in PAGES.iter().chain(PAGES_ZH) {
        for block in blocks(page.markdown) {
            if let Block::Text(text) | Block::Item { text, .. } = block {
                assert!(text.matches('`').count() % 2 == 0, "{}: {text}", page.id);
                assert!(text.matches("**").count() % 2 == 0, "{}: {text}", page.id);
            }
        }
    }
}

#[test]
fn a_page_is_found_by_id_in_any_case_and_by_name() {
    let style = Style::default();
    let page = explain("CT001", Language::English, &style).expect("a page");
    assert_eq!(explain("ct001", Language::English, &style).as_ref(), Some(&page));
    assert_eq!(explain("table-full", Language::English, &style).as_ref(), Some(&page));
    assert_eq!(explain("CT999", Language::English, &style), None);
    assert_eq!(explain("", Language::Chinese, &style), None);
}

#[test]
fn every_page_is_shown_in_the_language_that_was_asked_for() {
    let style = Style::default();
    let ideograph = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    for d in CATALOGUE {
        let chinese = explain(d.id, Language::Chinese, &style).expect("a page");
        let english = explain(d.id, Language::English, &style).expect("a page");
        assert!(chinese.chars().any(ideograph), "{}", d.id);
        assert!(!english.chars().any(ideograph), "{}", d.id);
    }
}

#[test]
fn code_stands_at_the_left_edge_unbroken_and_the_rest_within_the_screen() {
    for page in PAGES.iter().chain(PAGES_ZH) {
        let code: String = blocks(page.markdown)
            .into_iter()
            .filter_map(|b| if let Block::Code(code) = b { Some(code) } else { None })
            .collect();
        for columns in [60, 80, 132] {
            let style = Style { width: columns, ..Style::default() };
            let shown = explain(page.id, page.language, &style).expect("a page");
            for line in code.lines().filter(|l| !l.is_empty()) {
                assert!(shown.lines().any(|l| l == line), "{}: {line}", page.id);
            }
            for line in shown.lines().filter(|l| !code.lines().any(|c| c == *l)) {
                assert!(width(line) <= columns, "{}: {line}", page.id);
            }
        }
    }
}

#[test]
fn the_page_of_a_full_table() {
    let style = Style::default();
    insta::assert_snapshot!("page", explain("CT001", Language::English, &style).expect("a page"));
    let colour = Style { colour: true, ..style };
    let page = explain("CT022", Language::English, &colour).expect("a page");
    insta::assert_snapshot!("coloured_page", page.replace('\x1b', "ESC"));
}

#[test]
fn the_page_of_a_full_table_in_chinese() {
    let style = Style::default();
    let page = explain("CT001", Language::Chinese, &style).expect("a page");
    insta::assert_snapshot!("page_zh", page);
}
