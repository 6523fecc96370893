//! Instants and durations as people write them. Records keep whole milliseconds since 1970; texts are RFC 3339 in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::DlqError;

/// Milliseconds since 1970 by the wall clock. Records use it; nothing decides a policy by it.
pub(crate) fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// `2026-11-24T23:34:00.120Z`.
pub(crate) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |instant| format!("{instant:.3}"))
}

/// An RFC 3339 instant with an offset, in milliseconds since 1970.
pub(crate) fn parse_instant(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// A duration such as `250ms`, `1h` or `1m30s`, in milliseconds: at least one part, each a number and a unit.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let mut total: f64 = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let unit = match &tail[..letters] {
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" | "min" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            "w" => 604_800_000.0,
            _ => return None,
        };
        total += number * unit;
        rest = &tail[letters..];
    }
    // Beyond a hundred thousand years somebody slipped, and the sum with an instant would overflow.
    (total <= 3.2e15).then_some(total as i64)
}

/// Either an instant or a duration back from `now`.
pub(crate) fn instant_or_age(place: &str, text: &str, now: i64) -> Result<i64, DlqError> {
    parse_duration(text).map(|age| now.saturating_sub(age)).or_else(|| parse_instant(text)).ok_or_else(|| {
        DlqError::invalid(format!("{place}: '{text}' is neither a duration such as '1h' nor an instant such as '2026-11-24T12:00:00Z'"))
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_parts() {
        assert_eq!(parse_duration("1m30s"), Some(90_000));
        assert_eq!(parse_duration("1.5h"), Some(5_400_000));
        for wrong in ["", "1", "h", "1 h", "1x", "-1s", "1..2s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn instants_keep_milliseconds_both_ways() {
        let text = "2026-11-24T23:34:00.120Z";
        assert_eq!(parse_instant(text).map(rfc3339).as_deref(), Some(text));
        assert_eq!(parse_instant("2026-11-24"), None);
    }

    #[test]
    fn an_age_counts_back_from_now() {
        assert_eq!(instant_or_age("older_than", "10s", 60_000), Ok(50_000));
        let wrong = instant_or_age("filter.older_than", "soon", 0).unwrap_err();
        assert_eq!(wrong.code, "config.invalid");
        assert!(wrong.message.contains("filter.older_than") && wrong.message.contains("soon"));
    }
}
