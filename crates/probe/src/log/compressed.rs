//! Rotated logs are compressed: by name, each streamed, none held as a whole.

use std::io::{self, BufReader, Read};

use crate::{gzip, zstd};

/// Whether a file of this name is compressed.
pub(super) fn is_compressed(name: &str) -> bool {
    ["gz", "xz", "zst", "bz2"].iter().any(|end| extension(name) == Some(end))
}

/// The plain text of a file of this name.
pub(super) fn plain(name: &str, file: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    let file = BufReader::with_capacity(64 << 10, file);
    Ok(match extension(name) {
        Some("gz") => Box::new(gzip::Members::new(file)),
        Some("xz") => Box::new(lzma_rust2::XzReader::new(file, true)),
        Some("zst") => Box::new(zstd::Frames::new(file, zstd::WIDEST)),
        Some("bz2") => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
        _ => Box::new(file),
    })
}

fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, end)| end)
}
