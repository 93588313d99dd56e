//! zstd streams: one frame after the other, as compressors of several threads and `cat` leave them.

use std::io::{self, BufRead, Error, ErrorKind, Read};

use plimsoll_diagnosis::{Said, said};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The magic numbers of a frame, and of one that holds something for other programs (its last four bits are free).
const FRAME: u32 = 0xfd2f_b528;
const SKIPPED: u32 = 0x184d_2a50;

/// Whether a stream of this beginning is one.
pub fn begins(bytes: &[u8]) -> bool {
    let magic = bytes.first_chunk::<4>().map(|magic| u32::from_le_bytes(*magic));
    magic.is_some_and(|magic| magic == FRAME || magic & !0xf == SKIPPED)
}

/// The window that `zstd --ultra -22` asks for, in octets: who asks for more wants `--long`.
pub const WIDEST: u64 = 128 << 20;

/// What all frames of a stream hold. The memory is that of one frame's window.
#[allow(missing_debug_implementations, reason = "the decoder has none")]
pub struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    /// Inside of a frame.
    inside: bool,
}

impl<R: BufRead> Frames<R> {
    /// At a stream's beginning; a frame may ask for so many octets of memory.
    pub fn new(source: R, most: u64) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(most);
        Self { source, decoder, inside: false }
    }

    /// Goes on to the next frame; `false`: there is none.
    fn next(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => {
                    self.inside = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = (&mut self.source).take(length.into());
                    if io::copy(&mut { skipped }, &mut io::sink())? < length.into() {
                        return Err(spoilt());
                    }
                }
                Err(FrameDecoderError::WindowSizeTooBig { requested, max }) => {
                    let (wanted, most) = (requested >> 20, max >> 20);
                    let why = said!(
                        "its zstd stream wants {wanted} MiB of memory, more than the {most} it may have: \
                         unpack it first (zstd -d --long=31)",
                        "zstd 流需要 {wanted} MiB 内存，超过允许的 {most} MiB：请先解压（zstd -d --long=31）"
                    );
                    return Err(Error::new(ErrorKind::InvalidData, why));
                }
                Err(_) => return Err(spoilt()),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if !self.inside {
                if self.next()? {
                    continue;
                }
                return Ok(0);
            }
            if self.decoder.is_finished() {
                self.inside = false;
                let told = self.decoder.get_checksum_from_data();
                if told.is_some() && told != self.decoder.get_calculated_checksum() {
                    return Err(spoilt());
                }
                continue;
            }
            let some = BlockDecodingStrategy::UptoBlocks(1);
            self.decoder.decode_blocks(&mut self.source, some).map_err(|_| spoilt())?;
        }
    }
}

/// What the library says of it helps nobody.
fn spoilt() -> Error {
    let why = Said::of("its zstd stream is cut off or corrupt", "zstd 流不完整或已损坏");
    Error::new(ErrorKind::InvalidData, why)
}
