//! A script of nft and what it includes, as one text.
//!
//! Seen with nft 1.0.6: a name is looked for under /etc unless it begins with `/` or `./` (a service's own directory is `/`); `*`, `?` and
//! `[]` may find nothing, another name may not; 16 files inside each other, then nft refuses all of them.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::sysctl::{fits, is_pattern};

/// Files inside each other, the first among them.
const DEPTH: usize = 16;
/// Most files that are put together, and bytes: the same may be included many times.
const FILES: usize = 1000;
const BYTES: usize = 16 << 20;

/// A script with what it includes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// All of it, each `include` replaced by what it includes.
    pub text: String,
    /// Paths of what was included, in order, each as often as it was.
    pub included: Vec<String>,
    /// Paths of what was asked for and is not in the text.
    pub lacking: Vec<String>,
}

/// Puts a script together. `list` gives the names in a folder, `text` that of a file.
pub fn read_script(
    path: &str,
    list: &dyn Fn(&str) -> Vec<String>,
    text: &dyn Fn(&str) -> Option<String>,
) -> Option<Script> {
    let first = text(path)?;
    let mut joiner = Joiner { list, text, script: Script::default() };
    joiner.add(&first, 1);
    Some(joiner.script)
}

struct Joiner<'a> {
    list: &'a dyn Fn(&str) -> Vec<String>,
    text: &'a dyn Fn(&str) -> Option<String>,
    script: Script,
}

impl Joiner<'_> {
    /// Adds the text of a file, `depth` deep.
    fn add(&mut self, text: &str, depth: usize) {
        let mut rest = text;
        let mut begins = true;
        while let Some(c) = rest.chars().next() {
            if begins && let Some((name, behind)) = include(rest) {
                self.include(name, depth);
                rest = behind;
                begins = false;
                continue;
            }
            // Remarks and what is quoted are passed over whole.
            let length = match c {
                '#' => rest.find('\n').unwrap_or(rest.len()),
                '"' => rest[1..].find(['"', '\n']).map_or(rest.len(), |at| at + 2),
                '\\' if rest[1..].starts_with('\n') => 2,
                c => c.len_utf8(),
            };
            begins = match c {
                '\n' | ';' | '{' | '}' => true,
                '#' | '\\' => begins,
                c => begins && c.is_whitespace(),
            };
            if self.script.text.len() + length <= BYTES {
                self.script.text.push_str(&rest[..length]);
            }
            rest = &rest[length..];
        }
    }

    fn include(&mut self, name: &str, depth: usize) {
        let path = place(name);
        let pattern = is_pattern(&path);
        let found = if pattern { self.found(&path) } else { vec![path.clone()] };
        for path in found {
            let full = self.script.included.len() >= FILES || self.script.text.len() >= BYTES;
            let text = if full || depth >= DEPTH { None } else { (self.text)(&path) };
            match text {
                Some(text) => {
                    self.script.included.push(path);
                    self.add(&text, depth + 1);
                    self.script.text.push('\n');
                }
                // A pattern finds folders, too, and nft passes them over.
                None if pattern && !full && depth < DEPTH && !(self.list)(&path).is_empty() => {}
                None if self.script.lacking.len() < FILES => self.script.lacking.push(path),
                None => {}
            }
        }
    }

    /// What a pattern names, sorted.
    fn found(&self, pattern: &str) -> Vec<String> {
        let mut paths = vec![String::new()];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            if !is_pattern(part) {
                paths.iter_mut().for_each(|path| *path = format!("{path}/{part}"));
                continue;
            }
            let below = |folder: &String| {
                let names = (self.list)(if folder.is_empty() { "/" } else { folder });
                let shown = |name: &&String| !name.starts_with('.') || part.starts_with('.');
                let fitting = names.iter().filter(shown).filter(|name| fits(part, name));
                fitting.map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
            };
            paths = paths.iter().flat_map(below).take(FILES).collect();
        }
        paths.sort();
        paths
    }
}

/// The name that a text begins to include, and what stands behind it.
fn include(text: &str) -> Option<(&str, &str)> {
    let mut rest = text.strip_prefix("include")?;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        match rest.strip_prefix("\\\n") {
            Some(next) => rest = next,
            None => break,
        }
    }
    let (name, behind) = rest.strip_prefix('"')?.split_once('"')?;
    (!name.contains('\n')).then_some((name, behind))
}

/// Where a name is looked for.
fn place(name: &str) -> String {
    if name.starts_with('/') {
        name.to_owned()
    } else if name.starts_with("./") || name.starts_with("../") {
        format!("/{}", name.trim_start_matches("./"))
    } else {
        format!("/etc/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(files: &[(&str, &str)]) -> Script {
        let list = |folder: &str| {
            let folder = format!("{}/", folder.trim_end_matches('/'));
            let below = files.iter().filter_map(|(path, _)| path.strip_prefix(&folder));
            let mut names: Vec<String> =
                below.map(|name| name.split('/').next().unwrap_or(name).to_owned()).collect();
            names.dedup();
            names
        };
        let text =
            |path: &str| files.iter().find(|(p, _)| *p == path).map(|(_, text)| (*text).to_owned());
        read_script("/etc/nftables.conf", &list, &text).expect("the first is there")
    }

    #[test]
    fn what_is_included_stands_where_it_was_asked_for() {
        let script = joined(&[
            (
                "/etc/nftables.conf",
                "a\ninclude \"/srv/x.nft\"\n\ttable t { include \"in.nft\"; }\nb",
            ),
            ("/srv/x.nft", "x; include \\\n \"./srv/y.nft\"; z"),
            ("/srv/y.nft", "y"),
            ("/etc/in.nft", "chain c { }"),
        ]);
        assert_eq!(script.text, "a\nx; y\n; z\n\n\ttable t { chain c { }\n; }\nb");
        assert_eq!(script.included, ["/srv/x.nft", "/srv/y.nft", "/etc/in.nft"]);
        assert!(script.lacking.is_empty());
    }

    #[test]
    fn remarks_quotations_and_other_words_include_nothing() {
        let text = "# include \"/x\"\nlog prefix \"a;include\"\nincludes \"/x\"\nx include \"/x\"\n\"; include \"/x\"\ninclude \"/x\ninclude $x\ninclude /x";
        let script = joined(&[("/etc/nftables.conf", text), ("/x", "X")]);
        assert_eq!(script.text, text);
        assert!(script.included.is_empty() && script.lacking.is_empty());
    }

    #[test]
    fn patterns_find_in_order_what_is_shown_and_may_find_nothing() {
        let script = joined(&[
            (
                "/etc/nftables.conf",
                "include \"/n/*.nft\"\ninclude \"/n/[z]*\"\ninclude \"/n*/?.nft\"\ninclude \"/none/*\"",
            ),
            ("/n/b.nft", "B"),
            ("/n/a.nft", "A"),
            ("/n/.h.nft", "H"),
            ("/n/d.nft/deep", "D"),
        ]);
        assert_eq!(script.included, ["/n/a.nft", "/n/b.nft", "/n/a.nft", "/n/b.nft"]);
        assert!(script.lacking.is_empty(), "{:?}", script.lacking);
    }

    #[test]
    fn what_is_not_there_is_lacking() {
        let script = joined(&[("/etc/nftables.conf", "include \"/none.nft\"\nrest")]);
        assert_eq!(
            (script.text.as_str(), script.lacking),
            ("\nrest", vec!["/none.nft".to_owned()])
        );
    }

    #[test]
    fn sixteen_files_inside_each_other_and_no_more_and_none_is_endless() {
        let names: Vec<(String, String)> =
            (1..=17).map(|n| (format!("/{n}"), format!("include \"/{}\"\n.", n + 1))).collect();
        let mut files: Vec<(&str, &str)> =
            names.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        files.push(("/etc/nftables.conf", "include \"/3\"")); // 3 to 17: 15 below the first
        assert_eq!(joined(&files).included.len(), 15);
        assert_eq!(joined(&files).lacking, ["/18"]);
        let twice = "include \"/etc/nftables.conf\"\ninclude \"/etc/nftables.conf\"\n";
        let script = joined(&[("/etc/nftables.conf", twice)]);
        assert_eq!((script.included.len(), script.lacking.len()), (FILES, FILES));
    }
}
