//! Chance without state: Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw: "Parallel random numbers:
//! as easy as 1, 2, 3", SC 2011). The same place always gives the same number, so a call's draws depend on no other call.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// What a draw is for. Part of its place, so that two draws of one attempt never share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The jitter of a back-off.
    Backoff = 1,
    /// The jitter of a break.
    Break = 2,
    /// Whether chaos strikes.
    Chaos = 3,
    /// How long an injected latency is.
    Latency = 4,
    /// Which of several weighted faults is injected.
    Fault = 5,
    /// Whether a throttling circuit breaker turns an attempt away.
    Throttle = 6,
    /// Whether a circuit breaker that closed a moment ago turns an attempt away.
    Ramp = 7,
}

/// A seed and a name: where the draws of one policy object come from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    seed: u64,
    policy: u32,
}

impl Source {
    /// The draws of the policy called `name` (empty for an unnamed one) under `seed`.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        let hash = fnv1a(name.as_bytes());
        Self { seed, policy: (hash ^ (hash >> 32)) as u32 }
    }

    /// The draw of call number `ordinal`, attempt number `attempt`: uniform over all of `u64`.
    #[must_use]
    pub fn draw(&self, purpose: Purpose, ordinal: u64, attempt: u32) -> u64 {
        let place = (attempt & 0x00FF_FFFF) | ((purpose as u32) << 24);
        let out = philox([ordinal as u32, (ordinal >> 32) as u32, place, self.policy], [self.seed as u32, (self.seed >> 32) as u32]);
        (u64::from(out[1]) << 32) | u64::from(out[0])
    }
}

/// `draw` as a share of `whole`: floor(u x whole) with u in [0, 1), in integers.
#[must_use]
pub fn share(draw: u64, whole: u64) -> u64 {
    ((u128::from(draw) * u128::from(whole)) >> 64) as u64
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo): a stable hash of names and keys, never used against an adversary.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// One block of Philox4x32-10.
#[must_use]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let a = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with the generator's reference implementation.
    #[test]
    fn philox_gives_its_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]);
        assert_eq!(
            philox([0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344], [0xA409_3822, 0x299F_31D0]),
            [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]
        );
    }

    #[test]
    fn a_draw_depends_on_its_place_alone() {
        let source = Source::new(7, "payments");
        assert_eq!(source.draw(Purpose::Backoff, 3, 1), Source::new(7, "payments").draw(Purpose::Backoff, 3, 1));
        assert_ne!(source.draw(Purpose::Backoff, 3, 1), source.draw(Purpose::Backoff, 3, 2));
        assert_ne!(source.draw(Purpose::Backoff, 3, 1), source.draw(Purpose::Chaos, 3, 1));
        assert_ne!(source.draw(Purpose::Backoff, 3, 1), Source::new(7, "other").draw(Purpose::Backoff, 3, 1));
    }

    #[test]
    fn a_share_stays_below_the_whole() {
        assert_eq!(share(0, 1_000), 0);
        assert_eq!(share(u64::MAX, 1_000), 999);
    }
}
