//! A sequence that grows without moving what it holds: piece by piece.

use alloc::vec::Vec;

use super::machine::prefetch_at;

/// Octets of a piece: several huge pages of memory, none of which is touched before it is needed.
pub(super) const PIECE: usize = 4 << 20;

/// A sequence that grows without moving what it holds.
#[derive(Debug)]
pub(super) struct Pieces<T> {
    /// All but the last one full.
    pieces: Vec<Vec<T>>,
    /// Where each piece begins: addresses only, for asking for memory.
    pub(super) starts: Vec<usize>,
    pub(super) length: usize,
}

impl<T: Copy> Clone for Pieces<T> {
    fn clone(&self) -> Self {
        // Each with the room that it had.
        let copy = |piece: &Vec<T>| {
            let mut copy = Vec::with_capacity(Self::THINGS);
            copy.extend_from_slice(piece);
            copy
        };
        let pieces: Vec<Vec<T>> = self.pieces.iter().map(copy).collect();
        let starts = pieces.iter().map(|piece| piece.as_ptr().addr()).collect();
        Self { pieces, starts, length: self.length }
    }
}

impl<T> Pieces<T> {
    /// Of a piece.
    pub(super) const THINGS: usize = PIECE / size_of::<T>();
}

impl<T: Copy> Pieces<T> {
    pub(super) const fn new() -> Self {
        Self { pieces: Vec::new(), starts: Vec::new(), length: 0 }
    }

    #[inline(always)]
    pub(super) fn get(&self, at: usize) -> &T {
        &self.pieces[at / Self::THINGS][at % Self::THINGS]
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, at: usize) -> &mut T {
        &mut self.pieces[at / Self::THINGS][at % Self::THINGS]
    }

    /// So many from one on, which must stand in one piece.
    pub(super) fn part(&self, from: usize, length: usize) -> &[T] {
        &self.pieces[from / Self::THINGS][from % Self::THINGS..][..length]
    }

    /// All of it, piece by piece.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[T]> {
        self.pieces.iter().map(Vec::as_slice)
    }

    #[inline]
    pub(super) fn push(&mut self, value: T) {
        if self.length == self.pieces.len() * Self::THINGS {
            let piece: Vec<T> = Vec::with_capacity(Self::THINGS);
            self.starts.push(piece.as_ptr().addr());
            self.pieces.push(piece);
        }
        if let Some(last) = self.pieces.last_mut() {
            last.push(value);
            self.length += 1;
        }
    }

    /// Asks for the place of the next one.
    #[inline(always)]
    pub(super) fn approach_next(&self) {
        if let Some(start) = self.starts.last() {
            prefetch_at(start + self.length % Self::THINGS * size_of::<T>());
        }
    }
}
