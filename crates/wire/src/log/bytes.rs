//! Small steps through a line of bytes.

/// The decimal number a text starts with, and the rest. `None` without a digit or above 2^64.
pub(super) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut value = 0u64;
    for digit in &text[..digits] {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (digits > 0).then_some((value, &text[digits..]))
}

/// A number of exactly `digits` digits.
pub(super) fn fixed(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let head = text.get(..digits)?;
    let (value, left) = number(head)?;
    left.is_empty().then_some((value, &text[digits..]))
}

/// What follows the first occurrence of `needle`.
pub(super) fn after<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    find(text, needle).map(|at| &text[at + needle.len()..])
}

/// Where `needle` first stands. Lines are short; the fast search over whole files is the reader's.
pub(super) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

/// Whether `needle` stands anywhere.
pub(super) fn contains(text: &[u8], needle: &[u8]) -> bool {
    find(text, needle).is_some()
}

/// The first word and what follows the blank after it (empty at the end).
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|&b| b == b' ') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

/// Decimal digits after a point as nanoseconds, how fine they are in nanoseconds, and the rest.
pub(super) fn fraction(text: &[u8]) -> Option<(u64, u64, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let (mut nanos, mut unit) = (0u64, 1_000_000_000u64);
    for digit in &text[..digits.min(9)] {
        unit /= 10;
        nanos += u64::from(digit - b'0') * unit;
    }
    Some((nanos, unit, &text[digits..]))
}
