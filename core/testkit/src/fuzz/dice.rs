//! Chance of the fuzzer: a stream of numbers that the seed and the number of the script alone decide.

use seawall_engine::chance::{philox, share};

/// One script's stream.
pub(super) struct Dice {
    seed: u64,
    script: u64,
    drawn: u32,
}

impl Dice {
    pub(super) fn new(seed: u64, script: u64) -> Self {
        Self { seed, script, drawn: 0 }
    }

    fn next(&mut self) -> u64 {
        self.drawn += 1;
        let block = philox([self.drawn, 0, self.script as u32, (self.script >> 32) as u32], [self.seed as u32, (self.seed >> 32) as u32]);
        (u64::from(block[1]) << 32) | u64::from(block[0])
    }

    /// A number below `sides`, which is at least 1.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        let draw = self.next();
        usize::try_from(share(draw, sides as u64)).unwrap_or(0)
    }

    /// True so many times in a hundred.
    pub(super) fn percent(&mut self, share: usize) -> bool {
        self.roll(100) < share
    }

    /// One of the items, of which there is at least one.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.roll(items.len())]
    }
}
