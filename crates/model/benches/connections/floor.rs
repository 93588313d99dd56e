//! What the machine takes for no more than touching two lines of memory for each packet, picked at random and asked for
//! 32 packets ahead.

use std::hint::black_box;

/// Memory laid out as the least that a table needs: lines that hold the numbers of entries, and the entries.
pub struct Floor {
    lines: Vec<[u32; 16]>,
    entries: Vec<[u64; 8]>,
    chance: u64,
}

impl Floor {
    pub fn of(connections: u32, chance: &mut u64) -> Self {
        let mut lines = vec![[0; 16]; connections.div_ceil(9) as usize];
        for id in lines.iter_mut().flatten() {
            *id = draw(chance, connections.into()) as u32;
        }
        Self { lines, entries: vec![[0; 8]; connections as usize], chance: *chance }
    }

    /// For so many packets a line, the entry that it names, and a change there.
    pub fn touch(&mut self, packets: usize) -> usize {
        let Self { lines, entries, chance } = self;
        let mut places = [0; 32];
        for _ in 0..packets / 32 {
            for place in &mut places {
                *place = draw(chance, lines.len() as u64) as usize;
                prefetch(&lines[*place]);
            }
            for place in &mut places {
                *place = lines[*place][*place % 16] as usize;
                prefetch(&entries[*place]);
            }
            for place in places {
                let entry = &mut entries[place];
                entry[7] = entry[7].wrapping_add(entry[0] ^ 1);
            }
        }
        black_box(entries.len()) - entries.len()
    }
}

fn draw(chance: &mut u64, below: u64) -> u64 {
    *chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    ((*chance >> 32) * below) >> 32
}

#[inline(always)]
fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of every x86-64, and a prefetch of a reference's address can't fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
