//! Files as they stand, in the form that a change of them has: what is planned on and what is written over
//! are read alike.

use std::collections::BTreeMap;
use std::path::Path;

use plimsoll_diagnosis::plan::FileState;

use crate::act;

/// Files under a root, by path: `None` where there is none. One that can't be read is left out, and no plan
/// may write it.
pub fn standing(root: &Path, paths: &[&str]) -> BTreeMap<String, Option<FileState>> {
    let read = |path: &&str| Some(((*path).to_owned(), act::standing(root, path).ok()?));
    paths.iter().filter_map(read).collect()
}
