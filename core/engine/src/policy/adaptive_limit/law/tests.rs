//! Every row of the table at its two edges.

use super::*;

/// A second in which all of `peak` slots were in use.
fn window(samples: u64, took_us: u64, peak: u64) -> Window {
    Window { samples, drops: 0, sum_us: samples * took_us, load: samples * peak, peak, elapsed_ms: 1_000 }
}

fn points<const N: usize>(of: impl Fn(u32) -> (u32, u32, u64)) -> [Point; N] {
    core::array::from_fn(|at| {
        let (load_milli, took_us, throughput) = of(at as u32);
        Point { load_milli, took_us, throughput }
    })
}

/// The limit that follows and why, where nothing is known of windows before.
fn moved(limit: u32, baseline_us: u64, window: Window) -> (u32, Reason) {
    let verdict = judge(limit, baseline_us, &[], &window);
    (verdict.limit, verdict.reason)
}

#[test]
fn a_tenth_of_drops_costs_a_tenth_rounded_up() {
    let dropped = |limit, samples, drops| moved(limit, 100, Window { drops, ..window(samples, 100, u64::from(limit)) });
    assert_eq!(dropped(100, 9, 1), (90, Reason::Drops));
    assert_eq!(dropped(100, 10, 1), (101, Reason::Room));
    assert_eq!(dropped(100, 0, 10), (90, Reason::Drops));
    assert_eq!([1, 2, 10, 11, 20].map(nine_tenths), [1, 1, 9, 9, 18]);
}

#[test]
fn an_empty_window_says_nothing() {
    assert_eq!(
        judge(10, 7, &[], &Window { elapsed_ms: 1, ..Window::default() }),
        Verdict { limit: 10, baseline_us: 7, reason: Reason::Room }
    );
}

#[test]
fn a_limit_of_which_half_was_in_use_stays() {
    assert_eq!(moved(16, 100, window(10, 100, 8)), (16, Reason::Room));
    assert_eq!(moved(16, 100, window(10, 100, 9)), (17, Reason::Room));
}

#[test]
fn the_baseline_falls_half_the_way_and_rises_only_while_few_are_in_flight() {
    assert_eq!(learn(0, 300, 16, 16), 300);
    assert_eq!([100, 51, 50, 1].map(|took_us| learn(100, took_us, 16, 16)), [100, 75, 75, 50]);
    assert_eq!([8, 9].map(|peak| learn(100, 187, 16, peak)), [110, 100]);
    // What was learned is kept where the limit stays, and judged by where it moves.
    assert_eq!(judge(16, 100, &[], &window(10, 180, 8)).baseline_us, 110);
    assert_eq!(judge(16, 0, &[], &window(10, 180, 16)), Verdict { limit: 17, baseline_us: 180, reason: Reason::Room });
}

#[test]
fn more_in_flight_that_brings_latency_alone_costs_a_step() {
    let in_vain = |at: u32| (1_000 + at, 1_000 + at, 500);
    let told = |points: &[Point], limit, peak| {
        let verdict = judge(limit, 100, points, &window(10, 100, peak));
        (verdict.limit, verdict.reason)
    };
    assert_eq!(told(&points::<8>(in_vain), 40, 40), (38, Reason::Throughput));
    assert_eq!(told(&points::<8>(in_vain), 1, 1), (1, Reason::Throughput));
    assert_eq!(told(&points::<7>(in_vain), 40, 40), (41, Reason::Room), "seven windows tell nothing");
    assert_eq!(told(&points::<8>(in_vain), 40, 39), (41, Reason::Room), "a slot was free");
    assert_eq!(told(&points::<8>(|at| (1_000 + at, 1_000 + at, 500 + u64::from(at))), 40, 40), (41, Reason::Room), "throughput rose");
    assert_eq!(told(&points::<8>(|at| (1_000 + at, 1_000, 500)), 40, 40), (41, Reason::Room), "latency did not");
}

#[test]
fn few_samples_gain_one_or_lose_a_tenth() {
    assert_eq!(moved(40, 100, window(49, 200, 40)), (41, Reason::Room));
    assert_eq!(moved(40, 100, window(49, 201, 40)), (36, Reason::Latency));
    assert_eq!(moved(u32::MAX, 100, window(49, 100, u64::from(u32::MAX))), (u32::MAX, Reason::Room));
}

#[test]
fn many_samples_follow_how_many_slots_only_wait() {
    // A step of a hundred is two. In a comment: the slots that wait.
    let cases = [
        (100, (106, Reason::Room)),   // 0
        (102, (106, Reason::Room)),   // 1
        (103, (102, Reason::Room)),   // 2
        (106, (102, Reason::Room)),   // 5
        (107, (100, Reason::Room)),   // 6
        (114, (100, Reason::Room)),   // 12
        (115, (98, Reason::Latency)), // 13: a step at least
        (150, (93, Reason::Latency)), // 33: a quarter of the way to 66 + 6
        (200, (89, Reason::Latency)), // 50: to 50 + 6
        (400, (89, Reason::Latency)), // 75: to no less than half
    ];
    for (took_us, expected) in cases {
        assert_eq!(moved(100, 100, window(50, took_us, 100)), expected, "{took_us}");
    }
    assert_eq!(moved(400, 100, window(50, 200, 400)), (353, Reason::Latency), "to 200 and three steps of three");
    assert_eq!(moved(100, 200, window(50, 100, 100)), (106, Reason::Room), "quicker than ever");
    assert_eq!(moved(100, 100, window(49, 115, 100)), (101, Reason::Room), "too few for that");
    assert_eq!([31, 32, 316, 317].map(step), [1, 2, 2, 3]);
}

#[test]
fn latency_that_runs_against_the_load_is_not_ours() {
    let alone = |at: u32| (1_000 - at, 1_000 + at, 500);
    let told = |points: &[Point], took_us| judge(100, 100, points, &window(50, took_us, 100));
    assert_eq!(told(&points::<8>(alone), 180), Verdict { limit: 100, baseline_us: 110, reason: Reason::Room });
    assert_eq!(told(&points::<8>(alone), 181), Verdict { limit: 100, baseline_us: 111, reason: Reason::Room });
    assert_eq!(told(&points::<7>(alone), 200), Verdict { limit: 89, baseline_us: 100, reason: Reason::Latency }, "seven tell nothing");
    assert_eq!(told(&points::<8>(|at| (1_000 + at, 1_000 + at, 500 + u64::from(at))), 200).limit, 89, "it rises with the load");
}

#[test]
fn correlation_has_thresholds_of_a_half_and_minus_three_tenths() {
    let of = |loads: &[u32], values: &[u32]| {
        let mut points = [Point::default(); 4];
        for (point, (load, value)) in points.iter_mut().zip(loads.iter().zip(values)) {
            *point = Point { load_milli: *load, took_us: *value, throughput: 0 };
        }
        correlation(&points[..loads.len()], |point| u64::from(point.took_us))
    };
    assert_eq!(of(&[2, 0, 1], &[2, 1, 0]), Together::Rise, "a half");
    assert_eq!(of(&[2, 0, 1], &[20, 11, 0]), Together::Neither, "0.449");
    assert_eq!(of(&[3, 1, 4, 0], &[0, 1, 3, 4]), Together::Oppose, "minus three tenths");
    assert_eq!(of(&[3, 1, 4, 0], &[1, 9, 30, 40]), Together::Neither, "minus 0.283");
    assert_eq!(of(&[5, 5], &[1, 2]), Together::Neither);
    assert_eq!(of(&[1, 2], &[5, 5]), Together::Neither);
    assert_eq!(of(&[0, u32::MAX], &[0, u32::MAX]), Together::Rise, "the squares fit");
    assert_eq!(of(&[0, u32::MAX], &[u32::MAX, 0]), Together::Oppose);
    let enormous = points::<2>(|at| (at, 1, u64::MAX * u64::from(at)));
    assert_eq!(correlation(&enormous, |point| point.throughput), Together::Neither, "a load that differs by nothing beside it");
}

#[test]
fn a_point_is_the_window_s_means() {
    let window = Window { samples: 4, drops: 3, sum_us: 10, load: 7, peak: 9, elapsed_ms: 2_000 };
    let point = window.point().expect("there are samples");
    assert_eq!((point.load_milli, point.took_us, point.throughput), (1_750, 2, 2_000));
    assert!(Window { samples: 0, ..window }.point().is_none());
}

#[test]
fn reasons_have_their_words_in_events() {
    let reasons = [Reason::Drops, Reason::Latency, Reason::Throughput, Reason::Room];
    assert_eq!(reasons.map(Reason::name), ["drops", "latency", "throughput", "room"]);
}
