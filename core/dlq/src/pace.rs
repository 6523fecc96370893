//! The spacing of a redrive: a GCRA of burst one, on whatever clock the caller passes.

use crate::DlqError;

/// Deliveries at least so far apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    interval_ns: u64,
    /// The next delivery's earliest time, in nanoseconds.
    next_ns: u64,
}

impl Pace {
    /// `10/s`, `100/m`, `5000/h`; also `10/2s`.
    pub(crate) fn parse(text: &str) -> Result<Self, DlqError> {
        let wrong = || DlqError::invalid(format!("rate: '{text}' is no rate such as '10/s' or '600/m'"));
        let (count, period) = text.split_once('/').ok_or_else(wrong)?;
        let count: u64 = count.trim().parse().map_err(|_| wrong())?;
        let period = period.trim();
        let period = if period.starts_with(|c: char| c.is_ascii_digit()) { period.to_owned() } else { format!("1{period}") };
        let period_ms = crate::time::parse_duration(&period).and_then(|ms| u64::try_from(ms).ok()).ok_or_else(wrong)?;
        if count == 0 || period_ms == 0 {
            return Err(wrong());
        }
        Ok(Self { interval_ns: (period_ms.saturating_mul(1_000_000) / count).max(1), next_ns: 0 })
    }

    /// How many whole milliseconds until the next delivery may begin.
    pub(crate) fn wait_ms(&self, now_ms: u64) -> u64 {
        self.next_ns.saturating_sub(now_ms.saturating_mul(1_000_000)).div_ceil(1_000_000)
    }

    /// A delivery begins now. Time that nobody used is not made up for, except what rounding a wait up to a millisecond cost.
    pub(crate) fn begin(&mut self, now_ms: u64) {
        let now_ns = now_ms.saturating_mul(1_000_000);
        let begun = if now_ns.saturating_sub(self.next_ns) < 1_000_000 { self.next_ns } else { now_ns };
        self.next_ns = begun.saturating_add(self.interval_ns);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_spaced_evenly_and_late_ones_do_not_bunch() {
        let mut pace = Pace::parse("3/s").unwrap();
        let mut now = 0;
        for _ in 0..3 {
            now += pace.wait_ms(now);
            pace.begin(now);
        }
        // 0, 333.3 and 666.6 ms, each rounded up.
        assert_eq!(now, 667);
        assert_eq!(pace.wait_ms(now), 333);
        pace.begin(5_000);
        assert_eq!(pace.wait_ms(5_000), 334);
    }

    #[test]
    fn a_rate_has_a_count_and_a_period() {
        assert_eq!(Pace::parse("10/2s"), Pace::parse("5/s"));
        for wrong in ["10", "0/s", "x/s", "10/x", "10/", "-1/s", "1/0s"] {
            assert_eq!(Pace::parse(wrong).unwrap_err().code, "config.invalid", "{wrong}");
        }
    }
}
