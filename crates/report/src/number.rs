//! Numbers as a person reads them.

use alloc::format;
use alloc::string::{String, ToString};

pub use plimsoll_diagnosis::{bytes, count, counted};

/// A measured number: whole and grouped from 100 on, one decimal to 10, two below; no needless zeros.
/// `–` for what is no number.
pub fn number(x: f64) -> String {
    if !x.is_finite() {
        return "–".into();
    }
    let size = x.abs();
    let shown = if size >= 99.95 {
        count((size + 0.5) as u64)
    } else {
        let decimals = if size >= 9.995 { 1 } else { 2 };
        let text = format!("{size:.decimals$}");
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    };
    if x < 0.0 && shown != "0" { format!("-{shown}") } else { shown }
}

/// A rate without its unit: as [`number`], but what is above zero never reads as zero.
pub fn rate(x: f64) -> String {
    if x > 0.0 && x < 0.005 { "<0.01".into() } else { number(x) }
}

/// `93 %`, in six columns at most; never `100 %` for less than all, never `0 %` for more than nothing.
pub fn share(x: f64) -> String {
    if !x.is_finite() {
        return "–".into();
    }
    if x > 0.0 && x < 0.01 {
        return "<1 %".into();
    }
    if x >= 9.995 {
        return ">999 %".into();
    }
    let percent = if x > 0.99 && x < 1.0 { 99 } else { (x * 100.0 + 0.5) as u64 };
    format!("{percent} %")
}

/// Share of `part` in `whole`; nothing when there is no whole.
pub fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_as_many_digits_as_it_deserves() {
        assert_eq!(number(1240.4), "1,240");
        assert_eq!(number(99.96), "100");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(1.25), "1.25");
        assert_eq!(number(3.0), "3");
        assert_eq!(number(-120.0), "-120");
        assert_eq!(number(-0.001), "0");
        assert_eq!(number(f64::NAN), "–");
        assert_eq!(number(f64::INFINITY), "–");
    }

    #[test]
    fn a_rate_above_zero_never_reads_as_zero() {
        assert_eq!(rate(0.0001), "<0.01");
        assert_eq!(rate(0.0), "0");
    }

    #[test]
    fn only_all_is_100_percent_and_only_nothing_is_0() {
        assert_eq!(share(0.9996), "99 %");
        assert_eq!(share(1.0), "100 %");
        assert_eq!(share(0.0004), "<1 %");
        assert_eq!(share(0.0), "0 %");
        assert_eq!(share(0.925), "93 %");
        assert_eq!(share(1.38), "138 %");
        assert_eq!(share(12.0), ">999 %");
    }
}
