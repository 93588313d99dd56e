//! Huge pages for big tables, where Linux gives them only to those who ask ("madvise", the default of most systems).
//!
//! A random access to a table of some hundred megabytes costs, beside the miss, a walk through the page tables;
//! with pages of 2 MiB that is spared. Asked for large pieces of memory only, and not before there is much of it, so
//! that a small run takes no more than it did.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{Advice, madvise};

/// A huge page.
const HUGE: usize = 2 << 20;
/// A piece so large is hardly there to be used in part.
const SURELY: usize = 6 << 20;
/// Octets in large pieces from which on huge pages are asked for each of them.
const MUCH: usize = 16 << 20;

/// The system's allocator, with huge pages for what is large.
pub struct Memory {
    /// Octets in large pieces.
    large: AtomicUsize,
}

impl Memory {
    pub const fn new() -> Self {
        Self { large: AtomicUsize::new(0) }
    }

    fn taken(&self, start: *mut u8, size: usize) {
        if size < HUGE || start.is_null() {
            return;
        }
        let before = self.large.fetch_add(size, Ordering::Relaxed);
        if size < SURELY && before < MUCH {
            return;
        }
        const PAGE: usize = 4096;
        let skipped = start.addr().next_multiple_of(PAGE) - start.addr();
        let whole = (size - skipped) / PAGE * PAGE;
        // SAFETY: the range lies within what was just allocated, and the advice changes nothing that stands in it.
        // Where the kernel refuses, the pages are small.
        let _ = unsafe { madvise(start.add(skipped).cast(), whole, Advice::LinuxHugepage) };
    }

    fn given_back(&self, size: usize) {
        if size >= HUGE {
            self.large.fetch_sub(size, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call is the system allocator's own, with the caller's arguments.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        let start = unsafe { System.alloc(layout) };
        self.taken(start, layout.size());
        start
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let start = unsafe { System.alloc_zeroed(layout) };
        self.taken(start, layout.size());
        start
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { System.realloc(start, layout, size) };
        if !moved.is_null() {
            self.given_back(layout.size());
            self.taken(moved, size);
        }
        moved
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        self.given_back(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) };
    }
}
