//! Looking for a fact in the places where it may have been saved.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;

use plimsoll_diagnosis::facts::{Fact, Reason, Source};
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::sysctl;

use crate::files::Files;
use crate::live::said_of;

/// Keys of a saved `sysctl -a` that are remembered.
const KEYS: usize = 20_000;

/// What was saved of a host.
pub(super) struct Saved<'a> {
    pub(super) files: &'a Files,
    listing: OnceCell<Listing>,
}

/// A saved `sysctl -a`.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) path: String,
    pub(super) values: BTreeMap<String, String>,
}

impl Listing {
    /// Reads the first of these files that is there.
    pub(super) fn read(files: &Files, paths: &[String]) -> Self {
        for path in paths {
            let Ok(text) = files.text(path) else { continue };
            let values = sysctl::read_listing(&text)
                .take(KEYS)
                .map(|(key, value)| (key, value.to_owned()))
                .collect();
            return Self { path: path.clone(), values };
        }
        Self::default()
    }
}

impl<'a> Saved<'a> {
    pub(super) fn new(files: &'a Files) -> Self {
        Self { files, listing: OnceCell::new() }
    }

    /// The initial namespace's `sysctl -a`; empty if none was saved.
    pub(super) fn listing(&self) -> &Listing {
        self.listing.get_or_init(|| {
            let paths =
                ["/sos_commands/kernel/sysctl_-a", "/sos_commands/general/sysctl_-a", "/sysctl-a"];
            Listing::read(self.files, &paths.map(String::from))
        })
    }

    /// A key's value and where it was read: the file under /proc/sys, or the line of `sysctl -a`.
    pub(super) fn sysctl(&self, key: &str) -> Option<(String, String)> {
        let path = sysctl::path(key);
        if let Ok(text) = self.files.text(&path)
            && !text.trim().is_empty()
        {
            return Some((text.trim().to_owned(), path));
        }
        let listing = self.listing();
        let value = listing.values.get(key)?;
        Some((value.clone(), format!("{}, {key}", listing.path)))
    }

    /// A key as a number.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.sysctl(key)?.0.parse().ok()
    }

    /// The first of these keys that holds a number.
    pub(super) fn sysctl_fact(&self, keys: &[&str]) -> Fact<u64> {
        for key in keys {
            let Some((value, source)) = self.sysctl(key) else { continue };
            return match value.parse() {
                Ok(number) => Fact::known(number, Source::name(source)),
                Err(_) => Fact::missing(
                    Reason::Malformed,
                    said!(
                        "{source}: expected a number, saw {}",
                        "{source}：应为数，实为 {}",
                        shown(&value)
                    ),
                ),
            };
        }
        Fact::missing_needs(
            Reason::NotCollected,
            said!(
                "{}: neither in the tree nor in a saved sysctl -a",
                "{}：目录树里没有，保存的 sysctl -a 里也没有",
                keys[0]
            ),
            Said::name(sysctl::path(keys[0])),
        )
    }

    /// The first of these files that is there and that `parse` understands. An empty file is as good as
    /// none: copying straight from /proc leaves such.
    pub(super) fn first<T, E: Into<Said>>(
        &self,
        paths: &[&str],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Fact<T> {
        let mut trouble = None;
        for &path in paths {
            match self.text(path) {
                Ok(text) => match parse(&text) {
                    Ok(value) => return Fact::known(value, Source::name(path)),
                    Err(error) => {
                        let why: Said = error.into();
                        let detail = said!("{path}: {why}", "{path}：{why:#}");
                        trouble.get_or_insert(Fact::missing(Reason::Malformed, detail));
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let detail = said!("{path}: {}", "{path}：{:#}", said_of(&error));
                    trouble.get_or_insert(Fact::missing(Reason::Failed, detail));
                }
            }
        }
        trouble.unwrap_or_else(|| not_collected(paths))
    }

    /// A file's text; an empty one is not found.
    pub(super) fn text(&self, path: &str) -> io::Result<String> {
        let text = self.files.text(path)?;
        if text.trim().is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(text) }
    }

    /// Names in a directory that begin so.
    pub(super) fn names(&self, directory: &str, start: &str) -> Vec<String> {
        let mut names = self.files.list(directory).unwrap_or_default();
        names.retain(|name| name.starts_with(start));
        names
    }
}

/// The gap of a fact that none of these files holds.
pub(super) fn not_collected<T>(paths: &[&str]) -> Fact<T> {
    let detail = match paths {
        [] => {
            return Fact::missing(
                Reason::NotCollected,
                said!("nothing of it was saved", "什么也没有保存"),
            );
        }
        [one] => said!("{one} was not saved", "没有保存 {one}"),
        [first, second] => {
            said!("neither {first} nor {second} was saved", "{first} 和 {second} 都没有保存")
        }
        [first, rest @ ..] => {
            said!(
                "neither {first} nor any of {} other places was saved",
                "{first} 和其他 {} 处都没有保存",
                rest.len()
            )
        }
    };
    Fact::missing_needs(Reason::NotCollected, detail, Said::name(paths[0]))
}

/// The beginning of a foreign text, fit for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A word for the reader of a report: no control characters, not endless.
pub(super) fn word(text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?;
    Some(word.chars().filter(|c| !c.is_control()).take(255).collect())
}
