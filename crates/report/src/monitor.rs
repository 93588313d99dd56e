//! One line and an exit status for monitors: Nagios and the node-problem-detector.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use plimsoll_diagnosis::{Diagnosis, Verdict};

use crate::clean;
use crate::text::load_order;

/// Bytes that the node-problem-detector takes of a plug-in's line.
const NPD_BYTES: usize = 80;
/// Bytes of a Nagios line's text: with the figures it stays under the 1 KiB that old NRPE passes on.
const NAGIOS_BYTES: usize = 300;
/// Namespaces with figures of their own.
const MEASURED: usize = 8;

/// What a plug-in prints and exits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One line, without a line break.
    pub line: String,
    /// Exit status.
    pub status: u8,
}

/// Exit status of `check`, and of a Nagios plug-in: 0 healthy, 1 warning, 2 critical, 3 could not tell.
pub const fn exit_status(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ok => 0,
        Verdict::Warning => 1,
        Verdict::Critical => 2,
        Verdict::Unknown => 3,
    }
}

/// A Nagios plug-in's line, with performance data.
///
/// Form: "Performance data" of the monitoring plug-ins' development guidelines,
/// `'label'=value[unit];[warn];[crit];[min];[max]`; a value that could not be had is `U`. The verdict does
/// not come from thresholds on single figures, so none are given.
pub fn nagios(d: &Diagnosis) -> Answer {
    let word = crate::text::verdict_word(d.verdict);
    let headline = cut_bytes(&clean(&d.headline).replace('|', "/"), NAGIOS_BYTES);
    let mut line = format!("PLIMSOLL {word} - {headline} |");
    for figure in figures(d) {
        line.push(' ');
        line.push_str(&figure);
    }
    Answer { line, status: exit_status(d.verdict) }
}

/// A node-problem-detector plug-in's line, at most 80 bytes; exit status 0 healthy, 1 a problem,
/// 2 could not tell.
pub fn npd(d: &Diagnosis) -> Answer {
    let status = match d.verdict {
        Verdict::Ok => 0,
        Verdict::Warning | Verdict::Critical => 1,
        Verdict::Unknown => 2,
    };
    let worst = d.findings.first().filter(|_| status == 1);
    let line = match worst {
        Some(finding) => format!("{} {}: {}", finding.id, finding.name, clean(&d.headline)),
        None => clean(&d.headline).into_owned(),
    };
    Answer { line: cut_bytes(&line, NPD_BYTES), status }
}

/// At most so many bytes; what is cut ends in dots.
fn cut_bytes(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.into();
    }
    let mut end = most.saturating_sub(3);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", text[..end].trim_end())
}

fn figures(d: &Diagnosis) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    let mut out = Vec::new();
    for i in load_order(d).into_iter().take(MEASURED) {
        let ns = &d.namespaces[i];
        let mut name = label(&ns.name);
        if labels.contains(&name) {
            name = format!("{name}_{}", ns.inode.unwrap_or(i as u64));
        }
        while labels.contains(&name) {
            name.push('_');
        }
        let max = ns.load.max.filter(|m| m.get() > 0).map(|m| m.to_string()).unwrap_or_default();
        for (what, value) in [
            ("count", ns.load.count),
            ("protected", ns.load.protected),
            ("closing", ns.load.closing),
            ("evictable", ns.load.evictable),
        ] {
            let value = value.map_or_else(|| "U".into(), |v| v.to_string());
            out.push(format!("'{name}_{what}'={value};;;0;{max}"));
        }
        for (counter, total) in &ns.totals {
            if ["drop", "early_drop", "insert_failed"].contains(counter) {
                out.push(format!("'{name}_{counter}'={total}c;;;0;"));
            }
        }
        if let Some(full_in) = ns.full_in.filter(|s| s.is_finite() && *s >= 0.0) {
            out.push(format!("'{name}_full_in'={full_in:.0}s;;;0;"));
        }
        labels.push(name);
    }
    let now = d.drops.now.filter(|n| n.is_finite());
    out.push(format!("'drops_per_second'={};;;0;", now.map_or("U".into(), |n| format!("{n:.2}"))));
    out
}

/// A namespace's name as a label: no quote, no equals sign, no blank, short.
fn label(name: &str) -> String {
    let mut label = String::new();
    for c in clean(name).chars() {
        let c = if c.is_alphanumeric() || "-_./:".contains(c) { c } else { '_' };
        if !(c == '_' && label.ends_with('_')) {
            label.push(c);
        }
        if label.chars().count() >= 40 {
            break;
        }
    }
    let label = label.trim_matches('_');
    if label.is_empty() { "netns".into() } else { label.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::cases;
    use plimsoll_diagnosis::Said;

    #[test]
    fn every_verdict_has_its_status() {
        let all = [Verdict::Ok, Verdict::Warning, Verdict::Critical, Verdict::Unknown];
        assert_eq!(all.map(exit_status), [0, 1, 2, 3]);
        let npd_status = all.map(|verdict| npd(&Diagnosis { verdict, ..cases::healthy() }).status);
        assert_eq!(npd_status, [0, 1, 1, 2]);
    }

    #[test]
    fn a_nagios_line_has_one_bar_and_figures_of_the_guidelines_form() {
        for d in cases::all() {
            let line = nagios(&d).line;
            let (text, figures) = line.split_once('|').expect("a bar");
            assert!(text.starts_with("PLIMSOLL "), "{line}");
            assert!(!figures.contains('|') && !line.contains('\n'), "{line}");
            let mut labels = Vec::new();
            for figure in figures.split_whitespace() {
                let (name, value) = figure.split_once('=').expect("an equals sign");
                let name = name.strip_prefix('\'').and_then(|n| n.strip_suffix('\''));
                let name = name.expect("a quoted label");
                assert!(!name.is_empty() && !name.contains(['\'', '=']), "{figure}");
                assert!(!labels.contains(&name), "twice: {figure}");
                labels.push(name);
                let parts: Vec<&str> = value.split(';').collect();
                assert_eq!(parts.len(), 5, "{figure}");
                // What Nagios calls a unit.
                let number = parts[0].trim_end_matches(['c', 's']);
                assert!(number == "U" || number.parse::<f64>().is_ok(), "{figure}");
            }
        }
    }

    #[test]
    fn an_npd_line_has_at_most_80_bytes_whatever_the_headline() {
        for d in cases::all() {
            let line = npd(&d).line;
            assert!(line.len() <= 80 && !line.contains('\n'), "{line}");
        }
        let long = Diagnosis { headline: Said::name("表".repeat(100)), ..cases::healthy() };
        assert!(npd(&long).line.len() <= 80);
        assert!(npd(&long).line.ends_with("..."));
    }

    #[test]
    fn the_lines_of_a_full_host_read_well() {
        let d = cases::full();
        insta::assert_snapshot!("nagios", nagios(&d).line);
        insta::assert_snapshot!("npd", npd(&d).line);
    }

    #[test]
    fn what_is_not_known_is_u_and_not_zero() {
        let line = nagios(&cases::unprivileged()).line;
        assert!(line.contains("'host_protected'=U;;;0;"), "{line}");
    }
}
