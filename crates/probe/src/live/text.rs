//! Small files of the running kernel, each to a value or to the gap that says why not.

use std::fs::File;
use std::io::{self, ErrorKind, Read};

use plimsoll_diagnosis::facts::{Fact, Gap, Reason, Source};
use plimsoll_diagnosis::{Language, Said, said, system};

/// The largest file that is read whole: slabinfo and stack counters stay far below.
const LIMIT: u64 = 4 << 20;

/// Reads a file as text; bytes that are not UTF-8 are replaced.
pub(crate) fn read(path: &str) -> io::Result<String> {
    // Most are shorter: one read, and one that finds the end.
    let mut bytes = Vec::with_capacity(4096);
    File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Why a file could not be read. `NotFound` becomes `absent`: what absence means depends on the file.
pub(super) fn gap(path: &str, error: &io::Error, absent: Reason) -> Gap {
    let (reason, needs) = match error.kind() {
        ErrorKind::PermissionDenied => (Reason::NotPermitted, Some(right(path))),
        ErrorKind::NotFound => (absent, None),
        _ => (Reason::Failed, None),
    };
    let detail = said!("{path}: {}", "{path}：{:#}", plain(error));
    Gap { reason, detail, needs }
}

/// An error in words, without the number that Rust adds.
pub(super) fn plain(error: &io::Error) -> Said {
    let text = error.to_string();
    let words = match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    };
    system(words)
}

/// An error as it is: what we said ourselves in both languages, what the system says in its words.
pub fn said_of(error: &io::Error) -> Said {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Said>());
    let system = || Said::new(error.to_string(), plain(error).spoken(Language::Chinese).to_owned());
    ours.cloned().unwrap_or_else(system)
}

/// The right that opens a file.
fn right(path: &str) -> Said {
    if path.contains("/ns/") { PTRACE } else { Said::name("root") }
}

/// The right to see what other processes hold open.
pub(super) const PTRACE: Said = Said::of("CAP_SYS_PTRACE (root)", "CAP_SYS_PTRACE（root）");

/// Reads a file and turns its text into a value.
pub(crate) fn fact<T>(
    path: &str,
    absent: Reason,
    parse: impl FnOnce(&str) -> Result<T, Said>,
) -> Fact<T> {
    match read(path) {
        Err(error) => Fact::Missing(gap(path, &error, absent)),
        Ok(text) => match parse(&text) {
            Ok(value) => Fact::known(value, Source::name(path)),
            Err(why) => Fact::missing(Reason::Malformed, said!("{path}: {why}", "{path}：{why:#}")),
        },
    }
}

/// A number alone in its file. Old kernels print negative limits for "none": that is no number of ours.
pub(super) fn number(text: &str) -> Result<u64, Said> {
    let text = text.trim();
    text.parse().map_err(|_| said!("expected a number, saw {:?}", "应为数字，实为 {:?}", cut(text)))
}

/// The first characters of a text, for a message.
pub(crate) fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// A number alone in its file, if all goes well.
pub(super) fn number_in(path: &str) -> Option<u64> {
    number(&read(path).ok()?).ok()
}
