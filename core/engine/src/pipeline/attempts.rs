//! The attempts of one call. The first lies in the call itself, so that a call that needs no other allocates nothing.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use super::Attempt;

/// Attempts in their order; read and changed as a slice.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    first: Option<Attempt>,
    /// All of them, once there are two.
    all: Vec<Attempt>,
}

impl Attempts {
    pub(super) fn push(&mut self, attempt: Attempt) {
        match self.first.take() {
            None if self.all.is_empty() => self.first = Some(attempt),
            first => {
                self.all.extend(first);
                self.all.push(attempt);
            }
        }
    }
}

impl Deref for Attempts {
    type Target = [Attempt];

    fn deref(&self) -> &[Attempt] {
        if self.all.is_empty() { self.first.as_slice() } else { &self.all }
    }
}

impl DerefMut for Attempts {
    fn deref_mut(&mut self) -> &mut [Attempt] {
        if self.all.is_empty() { self.first.as_mut_slice() } else { &mut self.all }
    }
}

#[cfg(test)]
mod tests {
    use super::super::AttemptState;
    use super::*;

    fn attempt(number: u32) -> Attempt {
        Attempt {
            number,
            started: 0,
            ended: None,
            state: AttemptState::Running,
            delay_ms: None,
            permit: None,
            slot: false,
            lent: 0,
            deadline: None,
        }
    }

    #[test]
    fn attempts_keep_their_order_from_the_first_on() {
        let mut attempts = Attempts::default();
        assert!(attempts.is_empty());
        for number in 1..=5 {
            attempts.push(attempt(number));
            if let Some(last) = attempts.last_mut() {
                last.delay_ms = Some(number.into());
            }
            assert_eq!(attempts.len(), number as usize);
        }
        assert!(attempts.iter().zip(1u32..).all(|(attempt, number)| attempt.number == number && attempt.delay_ms == Some(number.into())));
    }
}
