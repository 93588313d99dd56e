//! The program's allocator: what it gives is whole, and stays so when it moves.
#![allow(unsafe_code)]

#[path = "../src/memory.rs"]
mod memory;

use std::alloc::{GlobalAlloc as _, Layout};

use memory::Memory;

/// All of this test's own memory too.
#[global_allocator]
static MEMORY: Memory = Memory::new();

const HUGE: usize = 2 << 20;

#[test]
fn a_piece_keeps_what_stands_in_it_whatever_size_it_had_and_gets() {
    let memory = Memory::new();
    let layout = |size, align| Layout::from_size_align(size, align).expect("a layout");
    let sizes = [100, HUGE - 1, HUGE, 3 * HUGE + 4097, 2 * HUGE + 5];
    for align in [1, 64, 4096, HUGE] {
        for (was, is) in sizes.iter().flat_map(|&was| sizes.map(|is| (was, is))) {
            // SAFETY: each piece is used within its layout, and given back with it.
            unsafe {
                let start = memory.alloc(layout(was, align));
                assert!(!start.is_null() && start.addr().is_multiple_of(align));
                start.write_bytes(7, was);
                let moved = memory.realloc(start, layout(was, align), is);
                assert!(!moved.is_null() && moved.addr().is_multiple_of(align));
                let kept = std::slice::from_raw_parts(moved, was.min(is));
                assert!(kept.iter().all(|&octet| octet == 7), "{was} to {is}, {align}");
                moved.write_bytes(8, is);
                memory.dealloc(moved, layout(is, align));
            }
        }
    }
}

#[test]
fn a_large_piece_begins_at_a_huge_page_and_is_zero_where_that_is_asked() {
    let zeros = vec![0_u8; HUGE + 12_345];
    assert!(zeros.as_ptr().addr().is_multiple_of(HUGE));
    assert!(zeros.iter().all(|&octet| octet == 0));
    // Through growing and shrinking, as a list does it.
    let mut numbers: Vec<u64> = Vec::new();
    for number in 0..1_000_000 {
        numbers.push(number);
    }
    numbers.truncate(300_000);
    numbers.shrink_to_fit();
    assert!(numbers.iter().copied().eq(0..300_000));
}

#[test]
fn what_is_given_back_is_the_kernels_again() {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").expect("/proc is there");
        let pages = text.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok());
        pages.expect("a number of pages") * 4096
    };
    let before = resident();
    for _ in 0..8 {
        assert_eq!(vec![1_u8; 8 * HUGE].last(), Some(&1));
    }
    assert!(resident() < before + 16 * HUGE, "{before} octets have become {}", resident());
}
