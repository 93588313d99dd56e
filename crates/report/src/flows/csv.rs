//! Comma-separated values (RFC 4180, lines end in a line feed). What is missing is an empty field.

use alloc::vec::Vec;

use plimsoll_wire::listing::decimal;

use super::Cell;
use super::json::extend;

/// Appends the line of names.
pub fn csv_header<'a>(out: &mut Vec<u8>, names: impl IntoIterator<Item = &'a str>) {
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b'\n');
}

/// Appends one line.
pub fn csv_row<'a>(out: &mut Vec<u8>, cells: impl IntoIterator<Item = Cell<'a>>) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match cell {
            Cell::Missing => {}
            Cell::Flag(yes) => out.extend_from_slice(if yes { b"true" } else { b"false" }),
            Cell::Number(n) => decimal(out, n),
            Cell::Share(share) => extend(out, format_args!("{share:.6}")),
            Cell::Text(text) => field(out, &text),
            Cell::Address(address) => extend(out, format_args!("{address}")),
        }
    }
    out.push(b'\n');
}

fn field(out: &mut Vec<u8>, text: &str) {
    if !text.contains(['"', ',', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
