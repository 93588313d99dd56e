//! gzip streams: one member after the other, as `cat` and compressors of several threads leave them. Zero octets
//! behind the last one are padding (tapes, block devices), as gzip(1) has it.

use std::io::{self, BufRead, Error, ErrorKind, Read};

use flate2::bufread::GzDecoder;
use plimsoll_diagnosis::Said;

/// The magic number of a member.
const MEMBER: [u8; 2] = [0x1f, 0x8b];

/// Whether a stream of this beginning is one.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(&MEMBER)
}

/// What all members of a stream hold.
#[derive(Debug)]
pub struct Members<R> {
    /// `None` where the stream has ended.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    /// At a stream's beginning.
    pub fn new(source: R) -> Self {
        Self { member: Some(GzDecoder::new(source)) }
    }

    /// Goes on behind a member's end.
    fn next(mut source: R) -> io::Result<Option<GzDecoder<R>>> {
        let mut padded = false;
        loop {
            let ahead = source.fill_buf()?;
            match ahead.first() {
                None => return Ok(None),
                Some(0) => {
                    let zeros = ahead.iter().take_while(|octet| **octet == 0).count();
                    source.consume(zeros);
                    padded = true;
                }
                Some(first) if *first == MEMBER[0] && !padded => {
                    return Ok(Some(GzDecoder::new(source)));
                }
                Some(_) => {
                    let why = Said::of(
                        "garbage behind the end of its gzip stream",
                        "gzip 流的末尾之后还有别的数据",
                    );
                    return Err(Error::new(ErrorKind::InvalidData, why));
                }
            }
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let got = member.read(buffer).map_err(told)?;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            if let Some(ended) = self.member.take() {
                self.member = Self::next(ended.into_inner())?;
            }
        }
        Ok(0)
    }
}

/// What the library says of a broken stream helps nobody.
fn told(error: Error) -> Error {
    use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        InvalidData | InvalidInput | UnexpectedEof => Error::new(
            InvalidData,
            Said::of("its gzip stream is cut off or corrupt", "gzip 流不完整或已损坏"),
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{BufReader, Write};

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(text).unwrap();
        gz.finish().unwrap()
    }

    /// Read through a buffer of few octets; what was unpacked, and what was wrong.
    fn unpacked(stream: &[u8]) -> (Vec<u8>, Option<String>) {
        let mut all = Vec::new();
        let end = Members::new(BufReader::with_capacity(7, stream)).read_to_end(&mut all);
        (all, end.err().map(|error| error.to_string()))
    }

    #[test]
    fn members_follow_each_other_and_zeros_behind_the_last_are_padding() {
        let two = [packed(b"one"), packed(b""), packed(b"two")].concat();
        assert_eq!(unpacked(&two), (b"onetwo".to_vec(), None));
        assert_eq!(unpacked(&[&two[..], &[0; 1000]].concat()), (b"onetwo".to_vec(), None));
    }

    #[test]
    fn what_is_no_member_is_told_behind_what_is_one() {
        let garbage = Some("garbage behind the end of its gzip stream".to_owned());
        for behind in [&b"x"[..], b"\0\0x", b"\0\x1f\x8b"] {
            let stream = [&packed(b"one"), behind].concat();
            assert_eq!(unpacked(&stream), (b"one".to_vec(), garbage.clone()), "{behind:?}");
        }
        let cut = [&packed(b"one")[..], &MEMBER].concat();
        let spoilt = Some("its gzip stream is cut off or corrupt".to_owned());
        assert_eq!(unpacked(&cut), (b"one".to_vec(), spoilt.clone()));
        let whole = packed(b"one");
        assert_eq!(unpacked(&whole[..whole.len() - 1]).1, spoilt);
    }
}
