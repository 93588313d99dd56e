//! /dev/kmsg: the kernel's own ring of records, read without taking anything out of it.

use std::fs::{File, metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::Instant;

use plimsoll_diagnosis::facts::{LogDigestBuilder, LogSource};
use plimsoll_wire::log::record;
use rustix::fs::{OFlags, makedev};
use rustix::io::Errno;

use super::{explain, ring};

/// The kernel's longest record; a shorter buffer would get EINVAL.
const LONGEST: usize = 16 << 10;

const NAME: &str = "/dev/kmsg";

/// Device number of the ring, its two parts.
const RING: (u32, u32) = (1, 11);

/// Gives every record to the builder, from the oldest still there to the newest. Kernels before 3.5 have no such file, or
/// one that can only be written, and containers have /dev/console or /dev/null under that name: there the ring is asked for by the call.
pub(super) fn read(builder: &mut LogDigestBuilder, deadline: Instant) {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    if metadata(NAME).is_ok_and(|file| file.rdev() != makedev(RING.0, RING.1)) {
        return ring::read(builder);
    }
    let opened = File::options().read(true).custom_flags(nonblocking).open(NAME);
    match opened {
        Ok(file) => records(builder, file, deadline),
        Err(error) if error.kind() == io::ErrorKind::NotFound => ring::read(builder),
        Err(error) => builder.unreadable(NAME, explain(&error)),
    }
}

pub(super) fn records(builder: &mut LogDigestBuilder, mut file: File, deadline: Instant) {
    builder.begin(NAME);
    let mut buffer = vec![0; LONGEST];
    let mut source = LogSource { name: NAME.to_owned(), lines: 0, from: None, to: None, cut: None };
    let mut next = None;
    loop {
        if Instant::now() >= deadline {
            source.cut = Some("the time for reading logs ran out".to_owned());
            break;
        }
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                let Some((sequence, line)) = record(&buffer[..length]) else { continue };
                let gap = next.map_or(0, |next| sequence.saturating_sub(next));
                if gap > 0 {
                    builder.overwritten(gap);
                }
                next = Some(sequence + 1);
                source.lines += 1;
                let at = builder.time(&line);
                (source.from, source.to) = (source.from.or(at), at.or(source.to));
                builder.line(&line, true);
            }
            Err(error) => match Errno::from_io_error(&error) {
                // The end of what there is.
                Some(Errno::AGAIN) => break,
                // The record was overwritten meanwhile: the next read gives the oldest there is, and
                // the gap in the sequence tells how many are gone.
                Some(Errno::PIPE | Errno::INTR) => {}
                Some(Errno::INVAL) if source.lines == 0 => return ring::read(builder),
                _ if source.lines == 0 => {
                    builder.unreadable(NAME, explain(&error));
                    return;
                }
                _ => {
                    source.cut = Some(error.to_string());
                    break;
                }
            },
        }
    }
    builder.end(source);
}
