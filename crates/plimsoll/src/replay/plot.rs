//! A drawing as a file: the whole of it, or what stood there before.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The capture whose place a drawing would take, under whatever name.
pub fn replaced<'a>(place: &Path, captures: &'a [PathBuf]) -> Option<&'a Path> {
    let there = fs::metadata(place).ok().filter(|_| place != Path::new("-"))?;
    let same = |path: &&PathBuf| {
        let about = if path.as_path() == Path::new("-") {
            let input = io::stdin().as_fd().try_clone_to_owned();
            input.and_then(|input| File::from(input).metadata())
        } else {
            fs::metadata(path)
        };
        about.is_ok_and(|about| (about.dev(), about.ino()) == (there.dev(), there.ino()))
    };
    captures.iter().filter(|_| there.is_file()).find(same).map(PathBuf::as_path)
}

/// Writes it beside its place and renames it, so that a disk that is full costs no earlier drawing. What is no file
/// (a device, a pipe) is written straight; a link goes on leading where it led.
pub fn save(path: &Path, drawing: &str) -> io::Result<()> {
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&place).ok();
    if old.as_ref().is_some_and(|about| !about.is_file()) {
        return fs::write(&place, drawing);
    }
    let beside = place.with_file_name(format!(".plimsoll-{}.svg", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(drawing.as_bytes())?;
        if let Some(old) = old {
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&beside, &place)
    });
    if written.is_err() {
        // It may never have come to be.
        let _ = fs::remove_file(&beside);
    }
    written
}
