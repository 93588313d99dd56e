//! A number that nobody who fills a table can know.

use std::fs::File;
use std::hash::BuildHasher;
use std::io::Read;

/// Keys hash tables, and chooses where a part of a table begins.
///
/// The kernel's randomness. Where a root has no /dev/urandom, the place that this program was loaded to: kernels before
/// 3.17 have no system call for it, and the standard library panics there.
pub fn seed() -> u64 {
    let mut bytes = [0; 8];
    match File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => foldhash::fast::RandomState::default().hash_one(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_seeds_are_the_same() {
        assert_ne!(seed(), seed());
    }
}
