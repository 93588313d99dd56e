//! From a bundle's bytes to the bytes of its tar archive, with an eye on the clock and on the amount.

use std::io::{self, BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader;

use crate::{gzip, zstd};
use plimsoll_diagnosis::said;

/// Memory that an xz stream's dictionary may ask for, in KiB: `xz -9` asks for 64 MiB.
const XZ_KIB: u32 = 96 << 10;

/// Window that a zstd frame may ask for: `zstd -19` asks for 8 MiB, `--ultra -22` for 128 MiB.
const ZSTD_WINDOW: u64 = 32 << 20;

/// Undoes a bundle's compression, which its first bytes tell.
pub(crate) fn decompress<'a>(bundle: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut bundle = BufReader::with_capacity(64 << 10, bundle);
    let start = bundle.fill_buf()?;
    Ok(match start {
        _ if gzip::begins(start) => Box::new(gzip::Members::new(bundle)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(XzReader::new_mem_limit(bundle, true, XZ_KIB))
        }
        [b'B', b'Z', b'h', ..] => Box::new(MultiBzDecoder::new(bundle)),
        _ if zstd::begins(start) => Box::new(zstd::Frames::new(bundle, ZSTD_WINDOW)),
        [] => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                said!("the file is empty", "文件是空的"),
            ));
        }
        [b'P', b'K', 3, 4, ..] => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                said!(
                    "a zip archive: expected tar, plain or compressed with gzip, xz, bzip2 or zstd",
                    "zip 归档：应为 tar，不压缩，或用 gzip、xz、bzip2、zstd 压缩"
                ),
            ));
        }
        _ => Box::new(bundle),
    })
}

/// A reader that stops with an error when its time or its amount is used up.
pub(super) struct Metered<R> {
    inner: R,
    started: Instant,
    time: Duration,
    left: u64,
}

impl<R: Read> Metered<R> {
    pub(super) fn new(inner: R, time: Duration, amount: u64) -> Self {
        Self { inner, started: Instant::now(), time, left: amount }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other(said!(
                "it unpacks to more than the bound",
                "解压后超过限度"
            )));
        }
        if self.started.elapsed() > self.time {
            return Err(io::Error::other(said!(
                "unpacking took longer than {} s",
                "解压超过 {} 秒",
                self.time.as_secs()
            )));
        }
        let read = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}
