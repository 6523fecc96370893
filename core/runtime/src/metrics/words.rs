//! The layout of a policy's counters: series by series in one run of words, so that reading, adding and forgetting are loops.

/// One metric's series: every combination of its labels' values, the last label fastest.
pub(crate) struct Group {
    pub(crate) metric: &'static str,
    pub(crate) labels: &'static [(&'static str, &'static [&'static str])],
}

/// One series: its metric, and its labels.
pub(crate) type Series = (&'static str, Vec<(&'static str, &'static str)>);

pub(crate) const STATES: &[&str] = &["closed", "open", "half_open", "isolated", "disabled"];
const ENDS: &[&str] = &["success", "failure", "timeout", "cancelled", "ignored", "fallback"];
const REFUSALS: &[&str] = &["breaker_open", "bulkhead_full", "rate_limited"];
const CALL_ENDS: &[&str] = &["success", "failure", "timeout", "cancelled", "ignored", "fallback", "rejected"];
const ATTEMPT_ENDS: &[&str] = &["success", "failure", "timeout", "cancelled", "ignored"];
pub(crate) const RETRY_REASONS: &[&str] = &["failure", "timeout", "rejected"];
/// The engine's reasons in the order of its table, then how a call without one ended.
const LETTER_REASONS: &[&str] = &[
    "attempts_exhausted",
    "not_retryable",
    "retry_after_never",
    "retry_after_too_long",
    "no_time_left",
    "budget_exhausted",
    "breaker_open",
    "cancelled",
    "stream_broken",
    "failure",
    "timeout",
    "rejected",
];

/// Every counter of a policy, in the order of its words.
pub(crate) const GROUPS: &[Group] = &[
    Group { metric: "seawall_calls_total", labels: &[("outcome", ENDS)] },
    Group { metric: "seawall_calls_total", labels: &[("outcome", &["rejected"]), ("reason", REFUSALS)] },
    Group { metric: "seawall_attempts_total", labels: &[("outcome", ATTEMPT_ENDS)] },
    Group { metric: "seawall_retries_total", labels: &[("reason", RETRY_REASONS)] },
    Group { metric: "seawall_breaker_transitions_total", labels: &[("to", STATES), ("from", STATES)] },
    Group { metric: "seawall_hedges_total", labels: &[("winner", &["primary", "hedge", "none"])] },
    Group { metric: "seawall_fallbacks_total", labels: &[("outcome", &["success", "failure"])] },
    Group { metric: "seawall_dlq_written_total", labels: &[("reason", LETTER_REASONS)] },
    Group { metric: "seawall_dlq_lost_total", labels: &[] },
    Group { metric: "seawall_dlq_fallback_total", labels: &[] },
    Group { metric: "seawall_dlq_dropped_total", labels: &[] },
    Group { metric: "seawall_chaos_injections_total", labels: &[("fault", &["fault", "outcome", "latency", "behavior"])] },
    Group { metric: "seawall_keys_overflow_total", labels: &[] },
];

/// The histograms of a policy, laid out likewise.
pub(crate) const HISTOGRAMS: &[Group] = &[
    Group { metric: "seawall_call_duration_seconds", labels: &[("outcome", CALL_ENDS)] },
    Group { metric: "seawall_attempt_duration_seconds", labels: &[("outcome", ATTEMPT_ENDS)] },
    Group { metric: "seawall_retry_wait_seconds", labels: &[("reason", RETRY_REASONS)] },
    Group { metric: "seawall_bulkhead_wait_seconds", labels: &[] },
];

const fn size(group: &Group) -> usize {
    let (mut size, mut label) = (1, 0);
    while label < group.labels.len() {
        size *= group.labels[label].1.len();
        label += 1;
    }
    size
}

/// The first word of the group at a place.
const fn offset(groups: &[Group], place: usize) -> usize {
    let (mut words, mut group) = (0, 0);
    while group < place {
        words += size(&groups[group]);
        group += 1;
    }
    words
}

pub(crate) const CALLS: usize = 0;
pub(crate) const REJECTED: usize = offset(GROUPS, 1);
pub(crate) const ATTEMPTS: usize = offset(GROUPS, 2);
pub(crate) const RETRIES: usize = offset(GROUPS, 3);
pub(crate) const TRANSITIONS: usize = offset(GROUPS, 4);
pub(crate) const HEDGES: usize = offset(GROUPS, 5);
pub(crate) const FALLBACKS: usize = offset(GROUPS, 6);
pub(crate) const LETTERS: usize = offset(GROUPS, 7);
pub(crate) const LOST: usize = offset(GROUPS, 8);
pub(crate) const LETTER_FALLBACKS: usize = offset(GROUPS, 9);
pub(crate) const LETTERS_DROPPED: usize = offset(GROUPS, 10);
pub(crate) const INJECTIONS: usize = offset(GROUPS, 11);
pub(crate) const OVERFLOW: usize = offset(GROUPS, 12);
pub(crate) const WORDS: usize = offset(GROUPS, GROUPS.len());
/// The words that ordinary calls write; those behind them are rarely written, and made apart.
pub(crate) const COMMON: usize = TRANSITIONS;
/// Reasons of rejections.
pub(crate) const REFUSED: usize = REFUSALS.len();

pub(crate) const CALL_TIMES: usize = 0;
pub(crate) const ATTEMPT_TIMES: usize = offset(HISTOGRAMS, 1);
pub(crate) const RETRY_WAITS: usize = offset(HISTOGRAMS, 2);
pub(crate) const BULKHEAD_WAITS: usize = offset(HISTOGRAMS, 3);
pub(crate) const TIMES: usize = offset(HISTOGRAMS, HISTOGRAMS.len());

/// The place of a reason among those of letters.
pub(crate) fn letter_reason(reason: &str) -> usize {
    LETTER_REASONS.iter().position(|known| *known == reason).unwrap_or(LETTER_REASONS.len() - 3)
}

/// The place of a rejection's code among the reasons.
pub(crate) fn refusal(code: &str) -> usize {
    match code {
        "bulkhead.full" => 1,
        "rate.limited" => 2,
        _ => 0,
    }
}

/// Every series of the groups, in the order of the words.
pub(crate) fn series(groups: &'static [Group]) -> impl Iterator<Item = Series> {
    groups.iter().flat_map(|group| {
        (0..size(group)).map(|place| {
            let mut rest = place;
            let mut labels = Vec::new();
            for (name, values) in group.labels.iter().rev() {
                labels.insert(0, (*name, values[rest % values.len()]));
                rest /= values.len();
            }
            (group.metric, labels)
        })
    })
}

#[cfg(test)]
mod tests {
    use seawall_engine::policy::breaker::State;
    use seawall_engine::table::errors::REASONS;
    use seawall_engine::table::metrics::find;

    use super::*;

    #[test]
    fn the_words_are_those_of_the_table() {
        let kinds = GROUPS.iter().map(|group| (group, "counter")).chain(HISTOGRAMS.iter().map(|group| (group, "histogram")));
        for (group, kind) in kinds {
            let row = find(group.metric).unwrap_or_else(|| panic!("{} is not in the table", group.metric));
            assert_eq!(row.kind, kind);
            assert!(group.labels.iter().all(|(name, _)| row.labels.contains(name)), "{}", group.metric);
        }
        assert_eq!(series(GROUPS).count(), WORDS);
        assert_eq!(series(HISTOGRAMS).count(), TIMES);
        assert_eq!(series(GROUPS).nth(TRANSITIONS + 5).map(|(_, labels)| labels), Some(vec![("to", "open"), ("from", "closed")]));
        assert!(REASONS.iter().map(|(reason, _)| *reason).eq(LETTER_REASONS[..REASONS.len()].iter().copied()));
        let states = [State::Closed, State::Open, State::HalfOpen, State::Isolated, State::Disabled];
        assert!(states.iter().enumerate().all(|(place, state)| *state as usize == place && state.name() == STATES[place]));
    }
}
