//! os-release, redhat-release and their like: which distribution this is.

use alloc::string::String;

/// What an os-release file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsRelease {
    /// `ID`: `debian`, `centos`.
    pub id: Option<String>,
    /// `VERSION_ID`: `12`, `7`.
    pub version_id: Option<String>,
    /// `PRETTY_NAME`.
    pub pretty_name: Option<String>,
}

impl OsRelease {
    /// `debian 12`, or as much of it as is known.
    pub fn short(&self) -> Option<String> {
        match (&self.id, &self.version_id) {
            (Some(id), Some(version)) => Some(alloc::format!("{id} {version}")),
            (Some(id), None) => Some(id.clone()),
            (None, _) => self.pretty_name.clone(),
        }
    }
}

/// Reads assignments as a shell would; other lines are skipped.
pub fn parse(text: &str) -> OsRelease {
    let mut release = OsRelease::default();
    for line in text.lines() {
        let Some((name, value)) = line.trim().split_once('=') else { continue };
        let slot = match name {
            "ID" => &mut release.id,
            "VERSION_ID" => &mut release.version_id,
            "PRETTY_NAME" => &mut release.pretty_name,
            _ => continue,
        };
        *slot = Some(unquoted(value)).filter(|value| !value.is_empty());
    }
    release
}

/// The words of a one-line release file (`CentOS release 5.11 (Final)`).
pub fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(printable(line.chars()))
}

fn unquoted(value: &str) -> String {
    let mut chars = value.trim().chars().peekable();
    let quote = chars.next_if(|c| matches!(c, '"' | '\'')).unwrap_or(' ');
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => break,
            '\\' if quote != '\'' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    printable(out.chars())
}

/// A release name is a short word: nothing in it steers a terminal.
fn printable(chars: impl Iterator<Item = char>) -> String {
    chars.filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_taken_off() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(parse(text).short().as_deref(), Some("debian 12"));
        assert_eq!(parse("ID='rhel'\n").short().as_deref(), Some("rhel"));
        assert_eq!(parse("ID=\"a\\\"b\"\n").id.as_deref(), Some("a\"b"));
    }

    #[test]
    fn what_is_absent_or_empty_is_not_told() {
        assert_eq!(parse("# nothing\nID=\nnonsense\n").short(), None);
        assert_eq!(parse("ID=arch\n").short().as_deref(), Some("arch"));
    }

    #[test]
    fn a_release_line_is_kept_without_control_characters() {
        let line = first_line("\nCentOS release 5.11 \x1b[31m(Final)\n");
        assert_eq!(line.as_deref(), Some("CentOS release 5.11 [31m(Final)"));
        assert_eq!(first_line(" \n"), None);
    }
}
