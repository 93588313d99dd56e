//! Markdown into blocks: the small part of it that the pages use.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A block of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    /// `# …`
    Title(String),
    /// `## …`
    Section(String),
    /// A paragraph, its lines joined.
    Text(String),
    /// An item of a list; level 0 or 1.
    Item {
        /// Depth.
        level: usize,
        /// Its lines joined.
        text: String,
    },
    /// Fenced code, line by line.
    Code(String),
}

/// The blocks of a page, in order.
pub(super) fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = markdown.lines();
    // Whether the next line of words goes on with the last block.
    let mut open = false;
    while let Some(line) = lines.next() {
        let words = line.trim();
        if words.starts_with("```") {
            let mut code = String::new();
            for line in lines.by_ref().take_while(|l| !l.trim_start().starts_with("```")) {
                code.push_str(line);
                code.push('\n');
            }
            blocks.push(Block::Code(code));
            open = false;
        } else if words.is_empty() {
            open = false;
        } else if let Some(title) = line.strip_prefix("# ") {
            blocks.push(Block::Title(title.trim().to_string()));
            open = false;
        } else if let Some(section) = line.strip_prefix("## ") {
            blocks.push(Block::Section(section.trim().to_string()));
            open = false;
        } else if let Some(item) = words.strip_prefix("- ") {
            let level = usize::from(line.starts_with("  "));
            blocks.push(Block::Item { level, text: item.to_string() });
            open = true;
        } else {
            match blocks.last_mut() {
                Some(Block::Text(text) | Block::Item { text, .. }) if open => join(text, words),
                _ => blocks.push(Block::Text(words.to_string())),
            }
            open = true;
        }
    }
    blocks
}

/// Goes on with the next line: with a blank between words, none between Chinese characters.
fn join(text: &mut String, words: &str) {
    let wide = |c: Option<char>| c.is_some_and(|c| c >= '\u{2e80}');
    let stop = |c: Option<char>| c.is_some_and(|c| "，。；：、！？（）“”".contains(c));
    let (last, next) = (text.chars().last(), words.chars().next());
    if !(wide(last) && wide(next) || stop(last) || stop(next)) {
        text.push(' ');
    }
    text.push_str(words);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_page_falls_into_its_blocks() {
        let page = "# T\n\n## S\none\ntwo\n\n- a\n  b\n  - c\n\n```\n x\n\ny\n```\nend\n";
        let item = |level, text: &str| Block::Item { level, text: text.into() };
        assert_eq!(
            blocks(page),
            vec![
                Block::Title("T".into()),
                Block::Section("S".into()),
                Block::Text("one two".into()),
                item(0, "a b"),
                item(1, "c"),
                Block::Code(" x\n\ny\n".into()),
                Block::Text("end".into()),
            ]
        );
    }

    #[test]
    fn lines_of_chinese_join_without_a_blank() {
        assert_eq!(blocks("表满\n丢包。\na\nb"), vec![Block::Text("表满丢包。a b".into())]);
    }
}
