//! The mode of a policy: whether it enforces, only watches, or does nothing.
//!
//! | set by | holds |
//! |---|---|
//! | the policy's own option, in code or in a file | until the next load says something else |
//! | `set_mode` | over the option, until it expires or is set again; judged when it is read |
//! | a function in the language | for the call it was asked for |

use std::sync::atomic::{AtomicU64, Ordering};

use seawall_engine::time::{MS, ceil_ms};

/// The words of the option.
pub(crate) const WORDS: [&str; 3] = ["enforce", "shadow", "disabled"];

/// A mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything holds.
    #[default]
    Enforce,
    /// All is judged and reported, nothing is enforced.
    Shadow,
    /// The callee is called, and nothing else.
    Disabled,
}

impl Mode {
    /// The mode of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "enforce" => Some(Self::Enforce),
            "shadow" => Some(Self::Shadow),
            "disabled" => Some(Self::Disabled),
            _ => None,
        }
    }

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        WORDS[self as usize]
    }
}

const UNTIL_BITS: u32 = 62;
const UNTIL: u64 = (1 << UNTIL_BITS) - 1;

/// What `set_mode` left: `mode + 1:2 | until_ms:62`, 0 for nothing. Relaxed: the word stands for itself.
#[derive(Default)]
pub(crate) struct Override(AtomicU64);

impl Override {
    /// Sets the mode, for so many milliseconds or until it is set again.
    pub(crate) fn set(&self, mode: Mode, expires_in_ms: Option<u64>, now: u64) {
        let until = expires_in_ms.map_or(0, |ms| ceil_ms(now).saturating_add(ms).clamp(1, UNTIL));
        self.0.store(((mode as u64 + 1) << UNTIL_BITS) | until, Ordering::Relaxed);
    }

    /// The mode, unless none was set or it has expired.
    pub(crate) fn get(&self, now: u64) -> Option<Mode> {
        let word = self.0.load(Ordering::Relaxed);
        let until = word & UNTIL;
        if until > 0 && now / MS >= until {
            return None;
        }
        match word >> UNTIL_BITS {
            1 => Some(Mode::Enforce),
            2 => Some(Mode::Shadow),
            3 => Some(Mode::Disabled),
            _ => None,
        }
    }

    /// Forgets it.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_was_set_holds_until_it_expires() {
        let set = Override::default();
        assert_eq!(set.get(0), None);
        set.set(Mode::Shadow, Some(1_000), 5 * MS);
        assert_eq!(set.get(1_004 * MS), Some(Mode::Shadow));
        assert_eq!(set.get(1_005 * MS), None);
        set.set(Mode::Disabled, None, 0);
        assert_eq!(set.get(u64::MAX), Some(Mode::Disabled));
        set.clear();
        assert_eq!(set.get(0), None);
    }

    #[test]
    fn every_word_is_a_mode() {
        for word in WORDS {
            assert_eq!(Mode::parse(word).map(Mode::name), Some(word));
        }
        assert_eq!(Mode::parse("off"), None);
    }
}
