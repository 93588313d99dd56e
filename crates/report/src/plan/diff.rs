//! A file before and after, as lines that go and lines that come.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use plimsoll_diagnosis::plan::FileChange;

use crate::Language;

/// Unchanged lines shown on either side.
const CONTEXT: usize = 2;

/// What happens to the file, and its lines: ` ` stays, `-` goes, `+` comes.
pub(super) fn of(file: &FileChange, language: Language) -> (String, Vec<String>) {
    let text = |state: &Option<plimsoll_diagnosis::plan::FileState>| {
        state.as_ref().map(|s| s.content.text()).unwrap_or_default()
    };
    let (before, after) = (text(&file.before), text(&file.after));
    let what = match (&file.before, &file.after) {
        (None, Some(_)) => spoken!(language, "new file", "新文件"),
        (Some(_), None) => spoken!(language, "remove file", "删除文件"),
        (Some(_), Some(_)) | (None, None) => spoken!(language, "change file", "修改文件"),
    };
    let mode = match &file.after {
        Some(after) if file.before.as_ref().is_none_or(|b| b.mode != after.mode) => {
            spoken!(language, "  (mode {:04o})", "（权限 {:04o}）", after.mode)
        }
        Some(_) | None => String::new(),
    };
    (format!("{what} {}{mode}", file.path), lines(&before, &after))
}

/// One block: what is the same at both ends is left out but for a little.
fn lines(before: &str, after: &str) -> Vec<String> {
    let old: Vec<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().collect();
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - head;
    let tail =
        old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let mut out: Vec<String> = Vec::new();
    let stays = |l: &&str| format!("  {l}");
    out.extend(old[head.saturating_sub(CONTEXT)..head].iter().map(stays));
    out.extend(old[head..old.len() - tail].iter().map(|l| format!("- {l}")));
    out.extend(new[head..new.len() - tail].iter().map(|l| format!("+ {l}")));
    let end = old.len() - tail;
    out.extend(old[end..(end + CONTEXT).min(old.len())].iter().map(stays));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_shown_with_a_little_around_it() {
        let found = lines("a\nb\nc\nd\ne\n", "a\nb\nC\nd\ne\n");
        assert_eq!(found, ["  a", "  b", "- c", "+ C", "  d", "  e"]);
        assert_eq!(lines("", "x\n"), ["+ x"]);
        assert_eq!(lines("x\nx\n", "x\n"), ["  x", "- x"]);
        assert!(lines("", "").is_empty());
    }
}
