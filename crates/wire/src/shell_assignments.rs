//! Files of settings that a shell reads in: /etc/default/…, /etc/sysconfig/…, ufw.conf, shorewall.conf.

/// An assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShellAssignment<'a> {
    /// Line, from 1.
    pub line: u32,
    /// Name of the variable.
    pub name: &'a str,
    /// Its value without the quotes. Nothing is evaluated.
    pub value: &'a str,
}

/// All of them, in order; as in the shell the last of a name holds. With a blank before the `=` it is none, but a command.
pub fn read(text: &str) -> impl DoubleEndedIterator<Item = ShellAssignment<'_>> {
    let lines: alloc::vec::Vec<(u32, &str)> = (1..).zip(text.lines()).collect();
    lines.into_iter().filter_map(|(line, content)| {
        let content = content.trim();
        let content = content.strip_prefix("export ").unwrap_or(content).trim_start();
        let (name, value) = content.split_once('=')?;
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        is_name.then(|| ShellAssignment { line, name, value: value_of(value) })
    })
}

/// The value that a name has in the end.
pub fn last<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    read(text).rfind(|a| a.name == name).map(|a| a.value)
}

/// The value of an assignment: what stands in its quotes, or the first word.
fn value_of(text: &str) -> &str {
    match text.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => {
            let inner = &text[1..];
            inner.split(char::from(*quote)).next().unwrap_or("")
        }
        Some(_) => text.split([' ', '\t', ';', '#']).next().unwrap_or(""),
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_blanks_and_remarks_are_the_shells() {
        for line in [
            "ENABLED=yes",
            "  ENABLED=yes  ",
            "ENABLED=\"yes\"",
            "ENABLED='yes'  # on",
            "export ENABLED=yes",
            "ENABLED=yes # on",
            "ENABLED=yes;",
            "ENABLED=no\nENABLED=yes",
            "ENABLED=yes\r",
        ] {
            assert_eq!(last(line, "ENABLED"), Some("yes"), "{line:?}");
        }
        assert_eq!(last("#ENABLED=yes\nENABLED = yes\nNOT_ENABLED=yes\n", "ENABLED"), None);
        assert_eq!(last("ENABLED=\n", "ENABLED"), Some(""));
    }
}
