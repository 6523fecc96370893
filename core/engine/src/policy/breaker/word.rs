//! The fields inside a breaker's words.

use crate::fault::{Fault, seeded};
use crate::sync::{AtomicU64, Ordering};

/// A breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Calls pass.
    Closed = 0,
    /// Calls are rejected.
    Open = 1,
    /// Trial calls pass.
    HalfOpen = 2,
    /// Held open.
    Isolated = 3,
    /// Everything passes.
    Disabled = 4,
}

impl State {
    /// The state's name on every surface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Isolated => "isolated",
            Self::Disabled => "disabled",
        }
    }
}

const UNTIL_BITS: u32 = 40;
const GENERATION_BITS: u32 = 21;

/// `state:3 | generation:21 | until_ms:40`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateWord(pub(super) u64);

impl StateWord {
    #[inline]
    pub(super) fn new(state: State, generation: u32, until_ms: u64) -> Self {
        let generation = u64::from(generation) & ((1 << GENERATION_BITS) - 1);
        let until = until_ms.min((1 << UNTIL_BITS) - 1);
        Self(((state as u64) << (UNTIL_BITS + GENERATION_BITS)) | (generation << UNTIL_BITS) | until)
    }

    #[inline]
    pub(super) fn state(self) -> State {
        match self.0 >> (UNTIL_BITS + GENERATION_BITS) {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            3 => State::Isolated,
            _ => State::Disabled,
        }
    }

    #[inline]
    pub(super) fn generation(self) -> u32 {
        ((self.0 >> UNTIL_BITS) & ((1 << GENERATION_BITS) - 1)) as u32
    }

    #[inline]
    pub(super) fn until_ms(self) -> u64 {
        self.0 & ((1 << UNTIL_BITS) - 1)
    }
}

/// `opens:8 | lapses:8 | closed_at_ms:40`. Written by whoever won a transition.
#[derive(Clone, Copy, Debug)]
pub(super) struct History {
    pub(super) opens: u32,
    pub(super) lapses: u32,
    pub(super) closed_at_ms: u64,
}

impl History {
    pub(super) fn read(word: &AtomicU64) -> Self {
        let word = word.load(Ordering::SeqCst);
        Self { opens: (word >> 48) as u32 & 0xFF, lapses: (word >> 40) as u32 & 0xFF, closed_at_ms: word & ((1 << 40) - 1) }
    }

    pub(super) fn write(self, word: &AtomicU64) {
        let opens = u64::from(self.opens.min(0xFF));
        let lapses = u64::from(self.lapses.min(0xFF));
        word.store((opens << 48) | (lapses << 40) | (self.closed_at_ms & ((1 << 40) - 1)), Ordering::SeqCst);
    }
}

const TAG_SHIFT: u32 = 48;
const TAG: u64 = 0xFFFF;
/// Values are smaller.
const VALUES: u64 = 1 << TAG_SHIFT;

#[inline]
pub(super) fn tag(generation: u32) -> u64 {
    u64::from(generation) & TAG
}

/// A generation, and the word that says whether it is the present one. Nobody writes a later generation's tag before that word tells of it. So
/// whoever has seen a word with another tag, and then finds the generation still present, has seen an older one, however long ago that was:
/// tags wrap, and between two uses of one word they may have wrapped more than once.
#[derive(Clone, Copy)]
pub(super) struct Era<'a> {
    pub(super) generation: u32,
    pub(super) state: &'a AtomicU64,
}

impl Era<'_> {
    /// SeqCst: see `Cell::state_word`.
    pub(super) fn is_present(self) -> bool {
        StateWord(self.state.load(Ordering::SeqCst)).generation() == self.generation
    }
}

/// The value of a `generation:16 | value:48` word, 0 in any other generation.
#[inline]
pub(super) fn tagged(word: u64, generation: u32) -> u64 {
    let value = word ^ (tag(generation) << TAG_SHIFT);
    if value < VALUES { value } else { 0 }
}

/// Applies `change` to the value of a `generation:16 | value:48` word and gives the value before; a word of an older generation starts at
/// 0, and once the generation is over another's word stays and gives none.
#[inline]
pub(super) fn update_tagged(word: &AtomicU64, era: Era<'_>, change: impl Fn(u64) -> u64) -> Option<u64> {
    exchange_tagged(word, era, change).map(|before| tagged(before, era.generation))
}

/// The same, but gives the whole word before.
#[inline]
pub(super) fn exchange_tagged(word: &AtomicU64, era: Era<'_>, change: impl Fn(u64) -> u64) -> Option<u64> {
    let tagged = tag(era.generation) << TAG_SHIFT;
    let exchanged = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
        // The value alone is left where the tag is this one.
        let value = match word ^ tagged {
            value if value < VALUES => value,
            _ if era.is_present() || seeded(Fault::TagOfAnyGeneration) => 0,
            _ => return None,
        };
        if seeded(Fault::TagOfAnyGeneration) {
            return Some((word & !(VALUES - 1)) | change(word & (VALUES - 1)));
        }
        Some(tagged | change(value).min(VALUES - 1))
    });
    exchanged.ok()
}

/// `generation:16 | every attempt:24 | first attempts:24`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streak {
    pub(super) every: u32,
    pub(super) first: u32,
}

impl Streak {
    const MAX: u64 = (1 << 24) - 1;

    pub(super) fn read(word: &AtomicU64, generation: u32) -> Self {
        let value = tagged(word.load(Ordering::SeqCst), generation);
        Self { every: (value >> 24) as u32, first: (value & Self::MAX) as u32 }
    }

    pub(super) fn lengthen(word: &AtomicU64, era: Era<'_>, is_first: bool) -> Self {
        update_tagged(word, era, |value| {
            let every = ((value >> 24) + 1).min(Self::MAX);
            let first = ((value & Self::MAX) + u64::from(is_first)).min(Self::MAX);
            (every << 24) | first
        });
        Self::read(word, era.generation)
    }

    /// Reads first: a healthy service writes nothing here.
    #[inline]
    pub(super) fn end(word: &AtomicU64, era: Era<'_>) {
        if tagged(word.load(Ordering::SeqCst), era.generation) != 0 {
            update_tagged(word, era, |_| 0);
        }
    }
}
