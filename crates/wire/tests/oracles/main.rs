//! Our readers of captures and of headers beside others': pcap-parser's and etherparse's. Over real captures and over
//! spoilt ones what both read is the same, and where only one of them reads on, the reason is named here.
#![allow(clippy::unwrap_used)]

mod captures;
mod headers;

use std::path::{Path, PathBuf};

/// Every capture at hand, in the order of their paths: our own, and the shared ones where they are.
fn every() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for place in ["fixtures/captures", "../shared/captures"] {
        let place = root.join(place);
        if place.is_dir() {
            below(&place, &mut found);
        } else {
            eprintln!("skipped: no captures at {}", place.display());
        }
    }
    found.sort();
    assert!(found.len() > 8);
    found
}

fn below(place: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|end| end.to_str()) {
            _ if path.is_dir() => below(&path, found),
            Some("tsv" | "md" | "sh") => {}
            Some(_) | None => found.push(path),
        }
    }
}
