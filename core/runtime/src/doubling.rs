//! A list that grows without moving what it holds: whoever has a place in it may keep a reference while others add to it.
//!
//! Block `k` holds `2^k` places and is made by the first who asks for one of them, so an owner of one place pays for one.

use std::sync::OnceLock;

/// Places 0 to `2^BLOCKS - 2`, each empty ([`Default`]) until somebody fills it.
#[derive(Debug)]
pub struct Doubling<T, const BLOCKS: usize>([OnceLock<Box<[T]>>; BLOCKS]);

impl<T, const BLOCKS: usize> Default for Doubling<T, BLOCKS> {
    fn default() -> Self {
        Self([const { OnceLock::new() }; BLOCKS])
    }
}

impl<T: Default, const BLOCKS: usize> Doubling<T, BLOCKS> {
    /// How many places there are.
    pub const LEN: usize = (1 << BLOCKS) - 1;

    /// The block of a place, and where in it: place 0 is number 1, and the highest bit of a number names its block.
    #[inline]
    fn split(place: usize) -> (usize, usize) {
        let number = place.wrapping_add(1);
        let block = number.checked_ilog2().unwrap_or(usize::BITS) as usize;
        (block, number ^ 1usize.wrapping_shl(block as u32))
    }

    /// A place, if its block was made.
    #[inline]
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&T> {
        let (block, at) = Self::split(place);
        self.0.get(block)?.get()?.get(at)
    }

    /// A place, whose block is made now if need be. None beyond the last.
    #[inline]
    #[must_use]
    pub fn make(&self, place: usize) -> Option<&T> {
        let (block, at) = Self::split(place);
        let block_of = self.0.get(block)?;
        let places = match block_of.get() {
            Some(places) => places,
            None => Self::build(block_of, block),
        };
        places.get(at)
    }

    #[cold]
    fn build(cell: &OnceLock<Box<[T]>>, block: usize) -> &[T] {
        cell.get_or_init(|| (0..1usize << block).map(|_| T::default()).collect())
    }

    /// Every place that was made.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn each_place_is_one_and_stays_where_it_is() {
        let list: Doubling<AtomicUsize, 4> = Doubling::default();
        assert_eq!(Doubling::<AtomicUsize, 4>::LEN, 15);
        assert!(list.get(0).is_none());
        let first: *const AtomicUsize = list.make(0).expect("a place");
        for place in 0..15 {
            list.make(place).expect("a place").fetch_add(place + 1, Ordering::Relaxed);
        }
        assert!((0..15).all(|place| list.get(place).is_some_and(|word| word.load(Ordering::Relaxed) == place + 1)));
        assert!(std::ptr::eq(first, list.get(0).expect("made")));
        assert_eq!(list.iter().count(), 15);
        assert!(list.make(15).is_none() && list.get(15).is_none() && list.make(usize::MAX).is_none());
    }

    #[test]
    fn only_the_block_that_is_asked_for_is_made() {
        let list: Doubling<AtomicUsize, 6> = Doubling::default();
        let _ = list.make(0);
        assert_eq!(list.iter().count(), 1);
        let _ = list.make(5);
        assert_eq!(list.iter().count(), 5);
    }
}
