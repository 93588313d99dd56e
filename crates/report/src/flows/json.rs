//! JSON lines: one object for each row. What is missing is left out.

use alloc::vec::Vec;

use plimsoll_wire::is_hidden;
use plimsoll_wire::listing::decimal;

use super::Cell;

/// Appends one object and a line feed.
pub fn json_row<'a>(out: &mut Vec<u8>, cells: impl IntoIterator<Item = (&'a str, Cell<'a>)>) {
    out.push(b'{');
    let start = out.len();
    for (name, cell) in cells {
        if cell == Cell::Missing {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        match cell {
            Cell::Missing => {}
            Cell::Flag(yes) => out.extend_from_slice(if yes { b"true" } else { b"false" }),
            Cell::Number(n) => decimal(out, n),
            Cell::Share(share) => extend(out, format_args!("{share:.6}")),
            Cell::Text(text) => string(out, &text),
            Cell::Address(address) => extend(out, format_args!("\"{address}\"")),
        }
    }
    out.extend_from_slice(b"}\n");
}

pub(super) fn extend(out: &mut Vec<u8>, arguments: core::fmt::Arguments<'_>) {
    struct Bytes<'a>(&'a mut Vec<u8>);
    impl core::fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // Memory never refuses.
    let _ = core::fmt::Write::write_fmt(&mut Bytes(out), arguments);
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\') {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' | '\\' => extend(out, format_args!("\\{c}")),
            // Escaped, so that a terminal sees none of them.
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    extend(out, format_args!("\\u{unit:04x}"));
                }
            }
            c => extend(out, format_args!("{c}")),
        }
    }
    out.push(b'"');
}
