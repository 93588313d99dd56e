//! The other namespaces of the machine, as far as a change of the limit touches them.

use crate::attempt::Attempt;
use crate::{LabError, Namespace, Reading, namespace};
use plimsoll_ct::Entries;
use std::collections::BTreeSet;
use std::path::Path;

/// The namespace that holds the most entries now, by its name, with its count.
///
/// Looks at the namespace of every process and at every named one. Processes that end meanwhile are
/// passed over.
pub(crate) fn fullest() -> Result<Option<(String, Entries)>, LabError> {
    let mut seen = BTreeSet::new();
    let mut fullest: Option<(String, Entries)> = None;
    let mut consider = |name: String, count: u64| {
        if fullest.as_ref().is_none_or(|(_, most)| count > most.get()) {
            fullest = Some((name, Entries(count)));
        }
    };
    let processes = std::fs::read_dir("/proc").map_err(LabError::system(Attempt::list("/proc")))?;
    for process in processes.filter_map(Result::ok) {
        let path = process.path();
        if !process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let Ok(link) = std::fs::read_link(path.join("ns/net")) else { continue };
        if seen.insert(link.clone())
            && let Some(count) = count_of(&path)
        {
            consider(link.display().to_string(), count);
        }
    }
    for name in namespace::names()? {
        if let Ok(count) = Namespace::open(&name).and_then(|n| n.count()) {
            consider(name, count);
        }
    }
    Ok(fullest)
}

/// The count of a process's namespace, read without entering it.
fn count_of(process: &Path) -> Option<u64> {
    let text = std::fs::read(process.join("net/stat/nf_conntrack")).ok()?;
    Reading::parse(&text).ok().map(|reading| reading.entries)
}
