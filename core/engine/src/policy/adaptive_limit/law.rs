//! The control law, a function of numbers alone.

/// Samples from which on the gradient is believed; below it is AIMD.
const MANY: u64 = 50;
/// Windows without which nothing is said about how load, latency and throughput go together.
const TELLING: usize = 8;

/// One window's sums.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// Attempts that succeeded.
    pub(super) samples: u64,
    /// Attempts that were cut, or told that the server is overloaded.
    pub(super) drops: u64,
    /// How long the samples took together, in microseconds.
    pub(super) sum_us: u64,
    /// The attempts in flight at each sample's end, added up.
    pub(super) load: u64,
    /// The most in flight.
    pub(super) peak: u64,
    /// How long the window was, in milliseconds, at least one.
    pub(super) elapsed_ms: u64,
}

/// A window as the correlations see it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    /// Attempts in flight, on average, in thousandths.
    pub(super) load_milli: u32,
    /// How long they took, on average, in microseconds.
    pub(super) took_us: u32,
    /// Samples per thousand seconds.
    pub(super) throughput: u64,
}

impl Window {
    pub(super) fn point(&self) -> Option<Point> {
        let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Some(Point {
            load_milli: narrow(self.load.saturating_mul(1_000).checked_div(self.samples)?),
            took_us: narrow(self.sum_us.checked_div(self.samples)?.max(1)),
            throughput: self.samples.saturating_mul(1_000_000) / self.elapsed_ms,
        })
    }
}

/// Why the limit moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Attempts were cut, or told that the server is overloaded.
    Drops,
    /// Attempts took longer than they should.
    Latency,
    /// More in flight brought latency and no throughput.
    Throughput,
    /// There is room.
    Room,
}

impl Reason {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drops => "drops",
            Self::Latency => "latency",
            Self::Throughput => "throughput",
            Self::Room => "room",
        }
    }
}

/// What follows from a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) limit: u32,
    pub(super) baseline_us: u64,
    pub(super) reason: Reason,
}

/// Judges a window, whose own point is among `points`. A baseline of zero is none.
pub(super) fn judge(limit: u32, baseline_us: u64, points: &[Point], window: &Window) -> Verdict {
    let took_us = window.sum_us.checked_div(window.samples).unwrap_or(0).max(1);
    let stays = |baseline_us| Verdict { limit, baseline_us, reason: Reason::Room };
    if window.drops > 0 && window.drops * 10 >= window.samples + window.drops {
        row!(AdaptiveDrops);
        return Verdict { limit: nine_tenths(limit), baseline_us, reason: Reason::Drops };
    }
    if window.samples == 0 {
        return stays(baseline_us);
    }
    let learned = learn(baseline_us, took_us, u64::from(limit), window.peak);
    if window.peak * 2 <= u64::from(limit) {
        row!(AdaptiveIdle);
        return stays(learned);
    }
    let latency = correlation(points, |point| u64::from(point.took_us));
    let throughput = correlation(points, |point| point.throughput);
    let in_vain = latency == Together::Rise && throughput != Together::Rise;
    if in_vain && window.peak >= u64::from(limit) && points.len() >= TELLING {
        row!(AdaptiveVain);
        return Verdict { limit: limit.saturating_sub(step(limit)).max(1), baseline_us: learned, reason: Reason::Throughput };
    }
    if window.samples < MANY {
        return few(limit, learned, took_us);
    }
    gradient(limit, learned, took_us, points.len() >= TELLING && latency == Together::Oppose)
}

/// Additive increase, multiplicative decrease.
fn few(limit: u32, baseline_us: u64, took_us: u64) -> Verdict {
    if took_us > 2 * baseline_us {
        row!(AdaptiveFewSlow);
        return Verdict { limit: nine_tenths(limit), baseline_us, reason: Reason::Latency };
    }
    row!(AdaptiveFewGrow);
    Verdict { limit: limit.saturating_add(1), baseline_us, reason: Reason::Room }
}

/// `not_ours`: latency runs against the number in flight.
fn gradient(limit: u32, baseline_us: u64, took_us: u64, not_ours: bool) -> Verdict {
    let (step, slots) = (step(limit), u64::from(limit));
    // Of the slots, those that attempts only wait in: limit x (1 - baseline/took).
    let waiting = slots - (slots * baseline_us).div_ceil(took_us).min(slots);
    if waiting > 6 * u64::from(step) {
        if not_ours {
            row!(AdaptiveNotOurs);
            let baseline_us = baseline_us + took_us.saturating_sub(baseline_us).div_ceil(8);
            return Verdict { limit, baseline_us, reason: Reason::Room };
        }
        row!(AdaptiveWaits);
        return Verdict { limit: towards(limit, step, baseline_us, took_us), baseline_us, reason: Reason::Latency };
    }
    if waiting >= 3 * u64::from(step) {
        row!(AdaptiveHolds);
        return Verdict { limit, baseline_us, reason: Reason::Room };
    }
    row!(AdaptiveGrows);
    let up = if waiting < u64::from(step) { 3 * step } else { step };
    Verdict { limit: limit.saturating_add(up), baseline_us, reason: Reason::Room }
}

/// A quarter of the way to where the gradient points, limit x baseline/took and room for a few that wait, and at least a step.
fn towards(limit: u32, step: u32, baseline_us: u64, took_us: u64) -> u32 {
    let share = (u64::from(limit) * baseline_us / took_us).max(u64::from(limit) / 2);
    let target = u32::try_from(share).unwrap_or(u32::MAX).saturating_add(3 * step);
    limit.saturating_sub((limit.saturating_sub(target) / 4).max(step)).max(1)
}

/// Down at once by half the way: somebody who waited for nothing has seen it. Up only while few are in flight, who do not wait for each other.
fn learn(baseline_us: u64, took_us: u64, limit: u64, peak: u64) -> u64 {
    match baseline_us {
        0 => took_us,
        _ if took_us < baseline_us => baseline_us - (baseline_us - took_us).div_ceil(2),
        _ if peak * 2 <= limit => baseline_us + (took_us - baseline_us) / 8,
        _ => baseline_us,
    }
}

fn nine_tenths(limit: u32) -> u32 {
    (limit - limit.div_ceil(10)).max(1)
}

/// About the decimal logarithm, at least one.
fn step(limit: u32) -> u32 {
    match limit {
        0..=31 => 1,
        32..=316 => 2,
        _ => 3,
    }
}

/// How a quantity goes with the number in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Together {
    Rise,
    Neither,
    Oppose,
}

/// Pearson's correlation with the load, at thresholds of a half and minus three tenths.
fn correlation(points: &[Point], of: impl Fn(&Point) -> u64) -> Together {
    let count = points.len() as i128;
    let load = |point: &Point| i128::from(point.load_milli);
    let value = |point: &Point| i128::from(of(point));
    let (sum_x, sum_y): (i128, i128) = (points.iter().map(load).sum(), points.iter().map(value).sum());
    // Deviations from the mean, times the count, so that nothing is divided.
    let (mut xy, mut xx, mut yy) = (0_i128, 0_i128, 0_i128);
    for point in points {
        let (x, y) = (load(point) * count - sum_x, value(point) * count - sum_y);
        xy = xy.saturating_add(x.saturating_mul(y));
        xx = xx.saturating_add(x.saturating_mul(x));
        yy = yy.saturating_add(y.saturating_mul(y));
    }
    // r >= 1/2 is 4 xy^2 >= xx yy, and r <= -3/10 is 100 xy^2 >= 9 xx yy. Scaled down first, so that the squares fit.
    let scale = xx.max(yy).max(xy.abs()).max(1);
    let shift = (128 - scale.leading_zeros()).saturating_sub(60);
    let (xy, xx, yy) = (xy >> shift, xx >> shift, yy >> shift);
    if xx == 0 || yy == 0 {
        return Together::Neither;
    }
    match xy {
        _ if xy > 0 && 4 * xy * xy >= xx * yy => Together::Rise,
        _ if xy < 0 && 100 * xy * xy >= 9 * xx * yy => Together::Oppose,
        _ => Together::Neither,
    }
}

#[cfg(test)]
mod tests;
