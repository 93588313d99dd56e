//! Writes through this mount of /proc, by fanotify.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use plimsoll_diagnosis::facts::Writer;
use plimsoll_diagnosis::{Said, said};
use plimsoll_wire::sysctl;

use super::{Seen, now, process};
use crate::said_of;

/// The marks. The kernel tells which file was written by an open handle of it.
#[derive(Debug)]
pub(super) struct Marks {
    group: Fanotify,
}

impl Marks {
    /// Marks the files of these keys; those that are not there yet are left for later.
    pub(super) fn begin<'a>(keys: impl Iterator<Item = &'a str>) -> Result<Self, Said> {
        let flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_NONBLOCK | InitFlags::FAN_CLOEXEC;
        let group = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_CLOEXEC).map_err(
            |error| {
                let why = said_of(&error.into());
                said!("{error} (root is needed)", "{why:#}（需要 root）")
            },
        )?;
        let mut marks = Self { group };
        keys.for_each(|key| marks.mark(key));
        Ok(marks)
    }

    /// Marks one more.
    pub(super) fn mark(&mut self, key: &str) {
        let path = sysctl::path(key);
        // It may not be there; then nobody writes it either.
        let _ = self.group.mark(
            MarkFlags::FAN_MARK_ADD,
            MaskFlags::FAN_MODIFY,
            rustix::fs::CWD,
            Some(path.as_str()),
        );
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }

    /// What was written since.
    pub(super) fn read(&mut self, seen: &mut Vec<Seen>) {
        let Ok(events) = self.group.read_events() else { return };
        for event in events {
            let Some(file) = event.fd() else { continue };
            let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            let Some(path) =
                std::fs::read_link(own).ok().and_then(|p| p.to_str().map(String::from))
            else {
                continue;
            };
            let Some(key) = path.strip_prefix("/proc/sys/") else { continue };
            let mut writer =
                Writer { pid: u32::try_from(event.pid()).unwrap_or(0), ..Writer::default() };
            process::describe(&mut writer);
            // Through this mount a file is of one namespace.
            writer.elsewhere = false;
            seen.push(Seen { at: now(), key: sysctl::dotted(key), asked: None, writer });
        }
    }
}
