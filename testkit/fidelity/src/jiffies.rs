//! The kernel's own tick counter, as a program of BPF reads it: what conntrack's timeouts are counted in.
//!
//! The coarse clock steps with it, but now and then a step later; who compares at the very tick needs the counter itself.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A field of `union bpf_attr`: its place, its octets.
type Field<'a> = (usize, &'a [u8]);

/// bpf(2) with these fields; the rest is 0. What it returns, and the fields as they are behind it.
fn bpf(command: libc::c_int, fields: &[Field<'_>]) -> io::Result<(libc::c_long, [u8; 128])> {
    let mut attributes = [0; 128];
    for (at, octets) in fields {
        attributes[*at..at + octets.len()].copy_from_slice(octets);
    }
    // SAFETY: the attributes outlive the call, with their length; what they point to is the callers', who hold it.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), attributes.len()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok((result, attributes)) }
}

/// The counter.
#[derive(Debug)]
pub struct Jiffies {
    program: OwnedFd,
    /// The lower half and the whole of what was read last.
    last: (u32, u64),
}

impl Jiffies {
    /// Needs root, and Linux 5.6.
    pub fn new() -> io::Result<Self> {
        const PROG_LOAD: libc::c_int = 5;
        const SOCKET_FILTER: u32 = 1;
        // r0 = bpf_jiffies64(); exit
        let program: [u8; 16] = [0x85, 0, 0, 0, 118, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
        let licence = c"GPL";
        let (fd, _) = bpf(
            PROG_LOAD,
            &[
                (0, &SOCKET_FILTER.to_ne_bytes()),
                (4, &2u32.to_ne_bytes()),
                (8, &(program.as_ptr() as u64).to_ne_bytes()),
                (16, &(licence.as_ptr() as u64).to_ne_bytes()),
            ],
        )?;
        // SAFETY: the descriptor is new and nobody else's.
        let program = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let mut this = Self { program, last: (0, 0) };
        let first = this.read()?;
        this.last = (first, first.into());
        Ok(this)
    }

    /// The lower half, which is what conntrack looks at.
    fn read(&self) -> io::Result<u32> {
        const PROG_TEST_RUN: libc::c_int = 10;
        const RESULT: usize = 4;
        let frame = [0u8; 14];
        let (_, attributes) = bpf(
            PROG_TEST_RUN,
            &[
                (0, &self.program.as_raw_fd().to_ne_bytes()),
                (8, &(frame.len() as u32).to_ne_bytes()),
                (16, &(frame.as_ptr() as u64).to_ne_bytes()),
            ],
        )?;
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| attributes[RESULT + i]);
        Ok(u32::from_ne_bytes([a, b, c, d]))
    }

    /// Now. To be asked for again within half of 2^32 ticks.
    pub fn now(&mut self) -> io::Result<u64> {
        let low = self.read()?;
        let (last, all) = self.last;
        self.last = (low, all + u64::from(low.wrapping_sub(last)));
        Ok(self.last.1)
    }
}
