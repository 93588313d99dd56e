//! What the documents tell people to type is understood: every command line of this program in any of them, and every flag
//! that is named alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Command, CommandFactory, Parser};

use crate::arguments::Arguments;

/// Flags of cargo, of `cargo xtask` and of iptables, named alone where it is clear whose they are.
const OF_OTHERS: [&str; 6] = ["bench", "guest", "random-fully", "ctstate", "timeout", "ctevents"];

/// The documents, by their place, with their text.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("docs")];
    let single =
        ["README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md", "e2e/vm/README.md"];
    let mut places: Vec<PathBuf> = single.iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("documents") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|e| e == "md") => places.push(path),
                false => {}
            }
        }
    }
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        (path.strip_prefix(&root).expect("below the root").to_owned(), text)
    };
    places.into_iter().map(read).collect()
}

/// What stands in ticks, and the lines of fenced or indented code.
fn code(markdown: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut spans, mut lines, mut fenced) = (Vec::new(), Vec::new(), false);
    for line in markdown.lines() {
        fenced ^= line.starts_with("```");
        if fenced || line.starts_with("    ") {
            lines.push(line.trim());
        } else {
            spans.extend(line.split('`').skip(1).step_by(2));
        }
    }
    (spans, lines)
}

/// The words behind the program's name, as a shell would have them; without what follows behind `|`, `;`, `>` or `#`.
fn words(line: &str) -> Option<Vec<String>> {
    let (before, rest) = line.split_once("plimsoll")?;
    let start = ["", "$ ", "# ", "sudo ", "cargo "].contains(&before) || before.ends_with('/');
    // An arrow makes it a picture.
    if !start || !(rest.is_empty() || rest.starts_with(' ')) || rest.contains('▶') {
        return None;
    }
    let mut words = vec!["plimsoll".to_owned()];
    // What stands in quotes is one word.
    for (at, piece) in rest.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(piece.to_owned());
            continue;
        }
        for word in piece.split_whitespace() {
            if ["|", "#", ";", ">"].iter().any(|end| word.starts_with(end)) {
                return Some(words);
            }
            let whole = word.trim_end_matches(';');
            words.push(whole.to_owned());
            if whole != word {
                return Some(words);
            }
        }
    }
    Some(words)
}

/// What the words are wrong in. Where they only name a command (`plimsoll replay`) or stand for others (`[--by KEYS]`, `FILE`), the
/// names must be right, and no more.
fn wrong(words: &[String], named: bool) -> Option<clap::Error> {
    let stands = |word: &String| {
        word.contains(['[', ']', '…']) || word.chars().all(|c| c.is_ascii_uppercase())
    };
    let open = named || words.iter().any(stands);
    let plain = |word: &String| word.trim_matches(['[', ']']).to_owned();
    let words = words.iter().filter(|word| *word != "…").map(plain);
    let error = Arguments::try_parse_from(words).err()?;
    let names = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    let lacks = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::InvalidValue
            | ErrorKind::ValueValidation
    );
    let answered = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    (!answered && (names || !(open && lacks))).then_some(error)
}

#[test]
fn every_command_line_in_the_documents_is_understood() {
    let mut bad = Vec::new();
    let mut understood = 0;
    for (place, text) in documents() {
        let (spans, lines) = code(&text);
        let spans = spans.into_iter().map(|span| (span, true));
        let lines = lines.into_iter().map(|line| (line, false));
        for (line, named) in spans.chain(lines) {
            let Some(words) = words(line) else { continue };
            understood += 1;
            if let Some(error) = wrong(&words, named) {
                bad.push(format!("{}: {}: {error}", place.display(), words.join(" ")));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(understood > 150, "{understood}");
}

#[test]
fn every_flag_that_the_documents_name_is_one_of_ours() {
    fn flags(command: &Command, all: &mut BTreeSet<String>) {
        all.extend(command.get_arguments().filter_map(|flag| flag.get_long().map(str::to_owned)));
        command.get_subcommands().for_each(|inner| flags(inner, all));
    }
    let mut whole = Arguments::command();
    whole.build();
    let mut ours = BTreeSet::new();
    flags(&whole, &mut ours);
    let (mut bad, mut known) = (Vec::new(), 0);
    for (place, text) in documents() {
        for span in code(&text).0 {
            let Some(rest) = span.strip_prefix("--") else { continue };
            let name = rest.split([' ', '=']).next().unwrap_or_default();
            known += 1;
            if !ours.contains(name) && !OF_OTHERS.contains(&name) {
                bad.push(format!("{}: {span}", place.display()));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(known > 50, "{known}");
}
