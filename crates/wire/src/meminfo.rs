//! /proc/meminfo: total and available memory.

use plimsoll_ct::Bytes;

use crate::{Expected, Malformed, Place};

/// Memory of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meminfo {
    /// `MemTotal`.
    pub total: Bytes,
    /// `MemAvailable`; on kernels before 3.14 free and page cache together, which is a little more than
    /// can really be had. `None` if none of these is there.
    pub available: Option<Bytes>,
}

/// Reads the lines by name; without `MemTotal` it is not this file.
pub fn parse(text: &str) -> Result<Meminfo, Malformed> {
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let number = line.strip_prefix(name)?.strip_prefix(':')?.trim();
            let kib: u64 = number.strip_suffix("kB")?.trim_end().parse().ok()?;
            Some(Bytes(kib.checked_mul(1024)?))
        })
    };
    let Some(total) = value("MemTotal") else {
        let first = text.lines().next().unwrap_or_default();
        return Err(Malformed::new(
            Place::Whole,
            Expected::Words(&["a line `MemTotal: N kB`", "`MemTotal: N kB` 一行"]),
            first.as_bytes(),
        ));
    };
    let available = value("MemAvailable").or_else(|| {
        let cached = value("Cached")?.saturating_add(value("Buffers").unwrap_or_default());
        Some(value("MemFree")?.saturating_add(cached))
    });
    Ok(Meminfo { total, available })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modern_kernel_says_what_is_available() {
        let text = "MemTotal:         474020 kB\nMemFree:          399952 kB\nMemAvailable:     394592 kB\n\
                    Buffers:               0 kB\nCached:            26956 kB\n";
        let memory = parse(text).expect("reads");
        assert_eq!(memory.total, Bytes(474_020 * 1024));
        assert_eq!(memory.available, Some(Bytes(394_592 * 1024)));
    }

    #[test]
    fn an_old_kernel_has_free_buffers_and_cache() {
        let text = "MemTotal:         513308 kB\nMemFree:          506360 kB\nBuffers:               8 kB\n\
                    Cached:             3944 kB\nSwapCached:            0 kB\n";
        let memory = parse(text).expect("reads");
        assert_eq!(memory.available, Some(Bytes((506_360 + 8 + 3944) * 1024)));
    }

    #[test]
    fn another_text_or_a_number_too_large_is_refused() {
        let error = parse("MemTotal\nMemFree: 1 kB\n").err().map(|e| alloc::format!("{e}"));
        assert_eq!(error.as_deref(), Some("expected a line `MemTotal: N kB`, saw \"MemTotal\""));
        assert!(parse("MemTotal: 99999999999999999999 kB\n").is_err());
        assert!(parse("MemTotal: 18446744073709551615 kB\n").is_err());
    }
}
