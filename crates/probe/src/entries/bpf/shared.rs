//! What the programs leave in memory that both sides see, as bpf/census.bpf.c lays it out.

use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::{Map, MapData};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Workers that the object has room for.
pub(super) const WORKERS: usize = 4;
/// Buckets that a worker takes at once, at most.
pub(super) const LANES: u64 = 64;
/// Rows that fit into a worker's buffer.
const ROWS: usize = 4096;

/// `struct row`. Integers of any value: whatever the kernel left here is one.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct RawRow {
    pub original: [[u64; 2]; 2],
    pub reply: [[u64; 2]; 2],
    pub original_ports: [u16; 2],
    pub reply_ports: [u16; 2],
    pub status: u32,
    pub expires: u32,
    pub mark: u32,
    pub netns: u32,
    pub zone: u16,
    pub zone_direction: u8,
    pub state: u8,
    pub family: u8,
    pub protocol: u8,
    pub bucket: u16,
}

/// `struct more`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct RawMore {
    pub counters: [u64; 4],
    pub started: u64,
    pub stopped: u64,
    pub labels: [u64; 2],
    pub helper: [u64; 2],
    pub references: u32,
    pub secmark: u32,
    pub tags: [u32; 2],
    pub has: u32,
    pub unused: u32,
}

/// What to ask for beside the rows, and what of it an entry has.
pub(super) mod has {
    pub const ACCOUNTING: u32 = 1;
    pub const TIMES: u32 = 2;
    pub const LABELS: u32 = 4;
    pub const HELPER: u32 = 8;
    /// The entry lived while it was looked at, so that what is not there is nothing.
    pub const TOLD: u32 = 16;
}

/// Words at the beginning of `struct worker`.
const CURSOR: usize = 0;
const ROWS_MADE: usize = 1;
const NANOS: usize = 2;
const REDONE: usize = 6;
const CROWDED: usize = 8;
const UNREADABLE: usize = 9;
const RESULTS: usize = 10;
const SCRATCH: usize = 7 + 9 + 7 * LANES as usize + 40;
/// Where its rows begin, and what is told beside them, and how long it is.
const FIRST_ROW: usize = (RESULTS + SCRATCH) * 8;
const FIRST_MORE: usize = FIRST_ROW + ROWS * size_of::<RawRow>();
const WORKER: usize = FIRST_MORE + ROWS * size_of::<RawMore>();

const _: () = assert!(size_of::<RawRow>() == 96 && size_of::<RawMore>() == 104);
const _: () = assert!(WORKER.is_multiple_of(8));

/// What one run of `walk` left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The first bucket that was not read.
    pub cursor: u64,
    pub rows: usize,
    /// Time in the program.
    pub nanos: u64,
    pub redone: u64,
    /// Not 0: so many buckets together hold more than fits.
    pub crowded: u64,
    /// The table's memory could not be read.
    pub unreadable: bool,
}

/// `struct found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub table: u64,
    pub buckets: u64,
    pub jiffies: u64,
    pub nanos: u64,
}

/// A map's memory.
#[derive(Debug)]
pub(super) struct Shared {
    memory: NonNull<u8>,
    length: usize,
}

// SAFETY: it is plain memory that no thread is bound to; who may read what is the business of the methods.
unsafe impl Send for Shared {}
// SAFETY: words are read by atomic loads, rows through `rows`, which demands that nobody writes them.
unsafe impl Sync for Shared {}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: this is what `map` got, and no reference into it outlives `self`.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.length) };
    }
}

impl Shared {
    /// The memory of the workers' map.
    pub fn workers(map: &Map) -> std::io::Result<Self> {
        Self::map(map, WORKERS * WORKER)
    }

    /// The memory of what `find` leaves.
    pub fn found(map: &Map) -> std::io::Result<Self> {
        Self::map(map, 32)
    }

    fn map(map: &Map, length: usize) -> std::io::Result<Self> {
        let Map::Array(data) = map else {
            return Err(std::io::Error::other("expected an array"));
        };
        let data: &MapData = data;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing. Beyond the map's end the
        // kernel refuses it.
        let memory = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::SHARED,
                data.fd().as_fd(),
                0,
            )
        }?;
        let memory = NonNull::new(memory.cast()).ok_or_else(|| std::io::Error::other("mmap: 0"))?;
        Ok(Self { memory, length })
    }

    fn word(&self, at: usize) -> u64 {
        assert!(at * 8 + 8 <= self.length);
        // SAFETY: within the mapping, which begins at a page and lasts as long as `self`; only the kernel writes
        // it, and atomic loads stand that.
        unsafe { self.memory.cast::<AtomicU64>().add(at).as_ref() }.load(Ordering::Relaxed)
    }

    /// What `find` left.
    pub fn place(&self) -> Place {
        Place {
            table: self.word(0),
            buckets: self.word(1),
            jiffies: self.word(2),
            nanos: self.word(3),
        }
    }

    /// What this worker's last run left.
    pub fn run(&self, worker: usize) -> Run {
        let word = |at| self.word(worker * WORKER / 8 + at);
        Run {
            cursor: word(CURSOR),
            rows: usize::try_from(word(ROWS_MADE)).unwrap_or(ROWS).min(ROWS),
            nanos: word(NANOS),
            redone: word(REDONE),
            crowded: word(CROWDED),
            unreadable: word(UNREADABLE) != 0,
        }
    }

    /// The first rows of a worker.
    ///
    /// # Safety
    ///
    /// While the slice lives, nobody may run `walk` as this worker.
    pub unsafe fn rows(&self, worker: usize, rows: usize) -> &[RawRow] {
        assert!(worker < WORKERS && rows <= ROWS && (worker + 1) * WORKER <= self.length);
        let at = worker * WORKER + FIRST_ROW;
        // SAFETY: within the mapping and aligned to 8, since the mapping begins at a page; every value of the
        // bytes is a row; by the caller's word nobody writes them.
        unsafe { std::slice::from_raw_parts(self.memory.add(at).cast().as_ptr(), rows) }
    }

    /// What is told beside them, where it was asked for.
    ///
    /// # Safety
    ///
    /// As for [`Self::rows`].
    pub unsafe fn more(&self, worker: usize, rows: usize) -> &[RawMore] {
        assert!(worker < WORKERS && rows <= ROWS && (worker + 1) * WORKER <= self.length);
        let at = worker * WORKER + FIRST_MORE;
        // SAFETY: as for `rows`; every value of the bytes is a `RawMore`.
        unsafe { std::slice::from_raw_parts(self.memory.add(at).cast().as_ptr(), rows) }
    }
}
