//! `nf_conntrack` in user space: packets in, entries, counters and log lines out.
//!
//! Knows: what the kernel does with each packet, generation by generation. Does not know: where packets
//! come from, wall clocks, files. Time, settings, profile and hash key are arguments; the same input gives
//! the same output in the same order.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod tcp;
mod ticks;
