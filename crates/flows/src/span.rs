//! A span of time as people write it: `90`, `90s`, `10m`, `1h30m`, `5d`.

use core::fmt;

use plimsoll_ct::Seconds;

/// Whole seconds, written with units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Seconds);

const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Span {
    /// From text; `None` when it is no span, or longer than 2^63 seconds.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(bare) = text.parse::<u64>() {
            return (bare <= i64::MAX as u64).then_some(Self(Seconds(bare)));
        }
        let mut total = 0_u64;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: u64 = rest[..digits].parse().ok()?;
            let unit = rest[digits..].chars().next()?;
            let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
            total = total.checked_add(number.checked_mul(*seconds)?)?;
            rest = &rest[digits + 1..];
        }
        (!text.is_empty() && total <= i64::MAX as u64).then_some(Self(Seconds(total)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.get();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, seconds) in &UNITS[1..] {
            if rest >= *seconds {
                write!(f, "{}{unit}", rest / seconds)?;
                rest %= seconds;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_span_is_read_in_every_way_that_people_write_it() {
        for (text, seconds) in
            [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5_400), ("5d", 432_000)]
        {
            assert_eq!(Span::parse(text), Some(Span(Seconds(seconds))), "{text}");
        }
        for text in ["", "h", "1x", "1h30", "-1", "1.5h", "99999999999999999999s", "é"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
        assert_eq!(Span(Seconds(5_405)).to_string(), "1h30m5s");
        assert_eq!(Span(Seconds(0)).to_string(), "0s");
    }
}
