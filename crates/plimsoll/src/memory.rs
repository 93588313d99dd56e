//! Huge pages for big tables, where Linux gives them only to those who ask ("madvise", the default of most systems).
//!
//! A random access to a table of some hundred megabytes costs, beside the miss, a walk through the page tables;
//! with pages of 2 MiB that is spared. Large pieces of memory come straight from the kernel, each at the border of a huge page,
//! so that all of it can lie in such. They are not asked for before there is much of it, so that a small run takes no more than
//! it did.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{copy_nonoverlapping, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{
    Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mremap, munmap,
};

/// A huge page. What is as large as one is a large piece.
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

/// Whether a piece is a large one: known from its layout alone, so that who gives it back knows it too.
const fn is_large(layout: Layout) -> bool {
    layout.size() >= HUGE && layout.align() <= HUGE
}

/// Whole pages, of any size that a machine has.
const fn pages(size: usize) -> usize {
    const PAGE: usize = 64 << 10;
    size.saturating_add(PAGE - 1) / PAGE * PAGE
}

impl Memory {
    pub const fn new() -> Self {
        Self { large: AtomicUsize::new(0) }
    }

    /// Zeroed memory at the border of a huge page; null: there is none.
    fn take(&self, size: usize) -> *mut u8 {
        let length = pages(size);
        let Some(most) = length.checked_add(HUGE) else { return null_mut() };
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a mapping of its own, at a place of the kernel's choice.
        let Ok(start) = (unsafe { mmap_anonymous(null_mut(), most, access, MapFlags::PRIVATE) })
        else {
            return null_mut();
        };
        let start = start.cast::<u8>();
        let skipped = start.addr().next_multiple_of(HUGE) - start.addr();
        // SAFETY: both ends of the mapping, which nobody has seen yet. What stays is `length` long: `skipped` is less
        // than a huge page.
        let piece = unsafe {
            let piece = start.add(skipped);
            if skipped > 0 {
                let _ = munmap(start.cast(), skipped);
            }
            let _ = munmap(piece.add(length).cast(), HUGE - skipped);
            piece
        };
        self.taken(piece, size);
        piece
    }

    fn taken(&self, start: *mut u8, size: usize) {
        let before = self.large.fetch_add(size, Ordering::Relaxed);
        if size < SURELY && before < MUCH {
            return;
        }
        // SAFETY: the pages of a mapping; the advice changes nothing that stands in them. Where the kernel refuses, they are
        // small.
        let _ = unsafe { madvise(start.cast(), pages(size), Advice::LinuxHugepage) };
    }

    fn given_back(&self, size: usize) {
        self.large.fetch_sub(size, Ordering::Relaxed);
    }
}

// SAFETY: a large piece is a mapping of its own, as long as its layout asks, from `take` to `munmap`; for any other
// every call is the system allocator's own, with the caller's arguments.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return self.take(layout.size());
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return self.take(layout.size());
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is one that a layout may have.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: as above.
            (false, false) => unsafe { System.realloc(start, layout, size) },
            // A page's border is enough for whoever asks for less.
            (true, true) if layout.align() <= 4096 => {
                let (was, is) = (pages(layout.size()), pages(size));
                // SAFETY: the piece is a mapping of `was` octets, which from here on is where the kernel has moved it.
                let moved = unsafe { mremap(start.cast(), was, is, MremapFlags::MAYMOVE) };
                let Ok(moved) = moved else { return null_mut() };
                self.given_back(layout.size());
                self.taken(moved.cast(), size);
                moved.cast()
            }
            (_, _) => {
                // SAFETY: both pieces are as long as the smaller of the two sizes, and the new one is nobody else's.
                unsafe {
                    let moved = self.alloc(wanted);
                    if !moved.is_null() {
                        copy_nonoverlapping(start, moved, layout.size().min(size));
                        self.dealloc(start, layout);
                    }
                    moved
                }
            }
        }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if is_large(layout) {
            self.given_back(layout.size());
            // SAFETY: the piece is a mapping of that length, and the caller has done with it.
            let _ = unsafe { munmap(start.cast(), pages(layout.size())) };
            return;
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(start, layout) };
    }
}
