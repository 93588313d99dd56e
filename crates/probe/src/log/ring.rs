//! syslog(2): the kernel's ring as text, where /dev/kmsg can't be read: on kernels before 3.5, in containers without it.
//!
//! Lines that a program wrote are told by their facility, as in /dev/kmsg; before 3.5 the ring keeps none.

use std::ffi::c_int;
use std::io;

use nix::libc;
use plimsoll_diagnosis::facts::{LogDigestBuilder, LogSource};
use plimsoll_wire::log::{Form, Line};

/// Reads what there is, and takes nothing out.
const READ_ALL: c_int = 3;
const SIZE_BUFFER: c_int = 10;

/// Since 3.5 the text is longer than the ring: stamps and priorities are written as it is read.
const LONGER: usize = 4;
/// No ring that was seen is a tenth of it.
const LARGEST: usize = 64 << 20;

/// The program that shows it.
const NAME: &str = "dmesg";

/// Gives every line to the builder, from the oldest still there to the newest.
pub(super) fn read(builder: &mut LogDigestBuilder) {
    let text = match text() {
        Ok(text) => text,
        Err(error) => return builder.unreadable(NAME, super::explain(&error)),
    };
    builder.begin(NAME);
    let mut source = LogSource { name: NAME.to_owned(), lines: 0, from: None, to: None, cut: None };
    for line in lines(&text) {
        source.lines += 1;
        let at = builder.time(&line);
        (source.from, source.to) = (source.from.or(at), at.or(source.to));
        builder.line(&line, true);
    }
    builder.end(source);
}

/// Each begins with its priority. The first of an old ring may have lost its beginning, and is left out.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"<"))
        .filter_map(|line| Line::parse(line, Form::Dmesg))
}

/// What the ring holds, as `dmesg -r` shows it.
pub(super) fn text() -> io::Result<Vec<u8>> {
    let size = call(SIZE_BUFFER, &mut [])?;
    let mut text = vec![0; size.saturating_mul(LONGER).min(LARGEST)];
    let length = call(READ_ALL, &mut text)?;
    text.truncate(length);
    Ok(text)
}

fn call(action: c_int, buffer: &mut [u8]) -> io::Result<usize> {
    let length = c_int::try_from(buffer.len()).unwrap_or(c_int::MAX);
    // SAFETY: the kernel writes at most `length` bytes behind the pointer, and the buffer is ours and as long.
    let got = unsafe { libc::klogctl(action, buffer.as_mut_ptr().cast(), length) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::time::{Duration, Instant};

    use plimsoll_ct::{Time, TimeRange};
    use plimsoll_wire::log::{Clock, Speaker, Stamp, Zone, record};
    use rustix::process::{PidfdFlags, getpid, pidfd_open};

    use super::*;
    use crate::log::dev_kmsg;

    type Said = (Speaker<'static>, Option<Stamp>, String);

    fn said(line: &Line<'_>, text: &[u8]) -> Said {
        let speaker = match &line.speaker {
            Speaker::Kernel => Speaker::Kernel,
            Speaker::Injected => Speaker::Injected,
            Speaker::Program(tag) => Speaker::Program(tag.to_vec().into()),
        };
        (speaker, line.stamp, String::from_utf8_lossy(text).into_owned())
    }

    fn by_the_call() -> Option<Vec<Said>> {
        let text = text().ok()?;
        Some(lines(&text).map(|line| said(&line, &line.text)).collect())
    }

    /// A record of several lines is one in the file, and as many as that by the call. Blanks at the end mean nothing.
    fn by_the_file() -> Option<Vec<Said>> {
        let mut file =
            File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").ok()?;
        let (mut all, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
        loop {
            let length = match file.read(&mut buffer) {
                Ok(length) => length,
                // The next ones were overwritten.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(all),
                Err(_) => return None,
            };
            let (_, line) = record(&buffer[..length])?;
            let text = String::from_utf8_lossy(&line.text);
            all.extend(text.split("\\x0a").map(|part| said(&line, part.trim_end().as_bytes())));
        }
    }

    #[test]
    fn the_call_tells_what_dev_kmsg_tells() {
        let (Some(before), Some(records), Some(after)) =
            (by_the_call(), by_the_file(), by_the_call())
        else {
            return eprintln!("skipped: the kernel's log can't be read (needs root)");
        };
        // What the ring held all the time: others write meanwhile, and the oldest lines go.
        let kept = |line: &&Said| before.contains(line) && after.contains(line);
        let told: Vec<&Said> = records.iter().filter(kept).collect();
        let lines: Vec<&Said> = before.iter().filter(|line| after.contains(line)).collect();
        assert!(lines.len() > 10, "{}", lines.len());
        assert_eq!(told, lines);
    }

    #[test]
    fn a_dev_kmsg_that_can_only_be_written_leads_to_the_call() {
        if text().is_err() {
            return eprintln!("skipped: the kernel's log can't be read (needs root)");
        }
        // Its file has no method to read either, and answers the same.
        let unread: OwnedFd = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let clock = Clock { now: Time(0), boot: None::<TimeRange>, zone: Zone::utc() };
        let mut builder = LogDigestBuilder::new(clock, None);
        let started = Instant::now();
        dev_kmsg::records(&mut builder, File::from(unread), started + Duration::from_secs(30));
        let sources = builder.finish().sources;
        assert_eq!(sources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), [NAME]);
        assert!(sources[0].lines > 10, "{sources:?}");
    }

    #[test]
    fn a_line_that_lost_its_beginning_is_left_out() {
        let text =
            b"ack: table full, dropping packet.\n<4>nf_conntrack: table full, dropping packet.\n\
                     <12>[    5.250000] nf_conntrack: table full, dropping packet.\n";
        let lines: Vec<Line<'_>> = lines(text).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0].speaker, lines[0].stamp), (&Speaker::Kernel, None));
        assert_eq!(lines[1].speaker, Speaker::Injected);
        assert_eq!(&*lines[0].text, b"nf_conntrack: table full, dropping packet.");
    }
}
