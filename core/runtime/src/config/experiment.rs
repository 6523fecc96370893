//! What bounds an experiment of chaos, as it is written: `window`, `max_share` and `abort_when`.
//!
//! A window by the calendar is read once, when the policy is built: its moments become those of the monotonic clock, as that of `until`
//! does, and no step of the wall clock moves them afterwards.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use seawall_engine::policy::chaos::{ATTEMPTS, CALLS_JUDGED, Window};
use seawall_engine::time::MS;
use serde_json::Value;

use super::ConfigError;
use super::value::{Checked, in_range, int, parse_duration, ratio, wrong};

/// Days of the calendar that are read ahead. Whoever writes such a window must end the experiment within them.
pub(super) const HORIZON_DAYS: i64 = 366;

const DAY_MINUTES: u32 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const EXAMPLES: &str = "\"2m every 10m\" or \"Mon-Fri 09:00-17:00 Europe/Berlin\" would be right";

/// A window as it is written.
#[derive(Clone, Debug)]
pub(super) enum Hours {
    /// So many milliseconds of every so many.
    Beat(u64, u64),
    /// Hours of these days, Monday first, from and to so many minutes after midnight.
    Calendar { days: [bool; 7], from: u32, to: u32, zone: TimeZone },
}

pub(super) fn window(value: &Value) -> Checked<Hours> {
    let Some(text) = value.as_str() else { return wrong(format!("must be text: {EXAMPLES}")) };
    if let Some((on, every)) = text.split_once(" every ") {
        let (on, every) = (parse_duration(on)?, parse_duration(every)?);
        return if 0 < on && on <= every {
            Ok(Hours::Beat(on, every))
        } else {
            wrong(format!("{on}ms of every {every}ms cannot be; \"2m every 10m\" would be right"))
        };
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let (days, hours, zone) = match words[..] {
        [days, hours, zone] => (days_of(days)?, hours, zone),
        [hours, zone] if hours.contains(':') => ([true; 7], hours, zone),
        [_, hours] | [hours] if hours.contains(':') => {
            return wrong(format!("\"{text}\" lacks a time zone, such as UTC or Europe/Berlin"));
        }
        _ => return wrong(format!("\"{text}\" is not a window; {EXAMPLES}")),
    };
    let ends = hours.split_once('-').and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
    let Some((from, to)) = ends.filter(|(from, to)| from != to && *from < DAY_MINUTES) else {
        return wrong(format!("\"{hours}\" are no hours of a day; \"09:00-17:00\" would be right, and \"00:00-24:00\" for all of it"));
    };
    let Ok(zone) = TimeZone::get(zone) else {
        return wrong(format!("\"{zone}\" is not a time zone that this machine knows; UTC or Europe/Berlin would be right"));
    };
    Ok(Hours::Calendar { days, from, to, zone })
}

/// `Mon-Fri`, `Sat,Sun`, `Sun-Tue,Fri`.
fn days_of(text: &str) -> Checked<[bool; 7]> {
    let place = |day: &str| DAYS.iter().position(|known| known.eq_ignore_ascii_case(day));
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Some(first), Some(last)) = (place(first), place(last)) else {
            return wrong(format!("\"{part}\" names no days; Mon, Mon-Fri or Sat,Sun would be right"));
        };
        (0..=(last + 7 - first) % 7).for_each(|more| days[(first + more) % 7] = true);
    }
    Ok(days)
}

/// Minutes after midnight, up to 24:00.
fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
    let (hours, minutes) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
    (minutes < 60 && hours * 60 + minutes <= DAY_MINUTES).then_some(hours * 60 + minutes)
}

impl Hours {
    /// For the engine; the wall clock is read here, once.
    pub(super) fn compile(&self, now: u64) -> Window {
        match self {
            Self::Beat(on, every) => Window::Beat { on: on.saturating_mul(MS), every: every.saturating_mul(MS) },
            Self::Calendar { .. } => Window::Spans(self.spans(Timestamp::now(), now)),
        }
    }

    /// Whether it is read from the calendar.
    pub(super) fn is_calendar(&self) -> bool {
        matches!(self, Self::Calendar { .. })
    }

    /// The openings from `wall` on, which is the clock's `now`.
    fn spans(&self, wall: Timestamp, now: u64) -> Vec<(u64, u64)> {
        let Self::Calendar { days, from, to, zone } = self else { return Vec::new() };
        let today = wall.to_zoned_datetime(zone.clone()).date();
        let at = |date: Option<Date>, minutes: u32| -> Option<u64> {
            let midnight = date?.at(0, 0, 0, 0);
            let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
            let civil = if minutes == DAY_MINUTES { date?.tomorrow().ok()?.at(0, 0, 0, 0) } else { midnight.date().at(hour, minute, 0, 0) };
            let ms = civil.to_zoned_datetime(zone.clone()).ok()?.timestamp().as_millisecond().saturating_sub(wall.as_millisecond());
            let ns = ms.unsigned_abs().saturating_mul(MS);
            Some(if ms < 0 { now.saturating_sub(ns) } else { now.saturating_add(ns) })
        };
        let mut spans: Vec<(u64, u64)> = Vec::new();
        let mut date = today.yesterday().ok();
        for _ in 0..=HORIZON_DAYS + 1 {
            let next = date.and_then(|date| date.tomorrow().ok());
            let ends = if from < to { date } else { next };
            let opens = date.is_some_and(|date| days[place(date.weekday())]);
            if let (true, Some(first), Some(last)) = (opens, at(date, *from), at(ends, *to)) {
                // Where the clocks are set, one day's hours may reach into the next one's.
                let first = spans.last().map_or(first, |(_, before)| first.max(*before));
                spans.extend((first < last).then_some((first, last)));
            }
            date = next;
        }
        spans
    }
}

fn place(day: Weekday) -> usize {
    day.to_monday_zero_offset().unsigned_abs().into()
}

/// Parts per 10,000, enough for one strike in [`ATTEMPTS`].
pub(super) fn share(value: &Value) -> Checked<u32> {
    let parts = ratio(value, false)?;
    if u64::from(parts) * ATTEMPTS < 10_000 {
        return wrong(format!("{value} is less than one of {ATTEMPTS} attempts, over which the cap holds; at least 0.01 would be right"));
    }
    Ok(parts)
}

/// `abort_when` as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Abort {
    pub(super) opens: bool,
    pub(super) policy: Option<String>,
    /// Parts per 10,000, and the fewest calls judged.
    pub(super) ratio: Option<(u32, u32)>,
}

pub(super) fn abort(value: &Value) -> Checked<Abort> {
    let Value::Object(table) = value else {
        return wrong("must be a table of breaker, policy, failure_ratio and minimum_throughput; { breaker = \"open\" } would be right");
    };
    let mut abort = Abort::default();
    let mut minimum = 20;
    for (name, value) in table {
        let read = match name.as_str() {
            "breaker" if value.as_str() == Some("open") => {
                abort.opens = true;
                Ok(())
            }
            "breaker" => wrong(format!("{value} cannot be watched for; \"open\" would be right")),
            "policy" => match value.as_str().filter(|name| !name.is_empty()) {
                Some(policy) => {
                    abort.policy = Some(policy.to_owned());
                    Ok(())
                }
                None => wrong("must be a policy's name"),
            },
            "failure_ratio" => ratio(value, false).map(|parts| abort.ratio = Some((parts, 0))),
            "minimum_throughput" => {
                int(value).and_then(|given| in_range(given, 1, CALLS_JUDGED.into(), "")).map(|given| minimum = given as u32)
            }
            _ => return wrong(format!("`{name}` is unknown; breaker, policy, failure_ratio and minimum_throughput would be right")),
        };
        read.map_err(|error| error.within(name))?;
    }
    if table.contains_key("policy") && !abort.opens {
        return Err(ConfigError::new("policy", "names whose circuit is watched: give `breaker = \"open\"` too"));
    }
    if table.contains_key("minimum_throughput") && abort.ratio.is_none() {
        return Err(ConfigError::new("minimum_throughput", "is of the failure_ratio: give that too"));
    }
    if !abort.opens && abort.ratio.is_none() {
        return wrong("aborts never: give breaker or failure_ratio");
    }
    abort.ratio = abort.ratio.map(|(parts, _)| (parts, minimum));
    Ok(abort)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOUR: u64 = 3_600_000 * MS;

    fn spans(text: &str, wall: &str) -> Vec<(u64, u64)> {
        let hours = window(&json!(text)).expect("a window");
        hours.spans(wall.parse().expect("an instant"), 100 * HOUR).into_iter().map(|(from, to)| (from / HOUR, to / HOUR)).collect()
    }

    #[test]
    fn hours_of_the_day_become_moments_of_the_clock() {
        // 2030-01-04 is a Friday; noon is hour 100.
        let week = spans("Mon-Fri 09:00-17:00 UTC", "2030-01-04T12:00:00Z");
        assert_eq!(week[..3], [(73, 81), (97, 105), (169, 177)], "Thursday, Friday, Monday");
        let nights = spans("sat,sun 22:00-06:00 UTC", "2030-01-06T03:00:00Z");
        assert_eq!(nights[..3], [(95, 103), (119, 127), (263, 271)], "the night to Sunday is open at its third hour");
        assert_eq!(spans("00:00-24:00 UTC", "2030-01-04T00:00:00Z")[1..3], [(100, 124), (124, 148)]);
        assert_eq!(
            spans("Sun-Mon 00:00-01:00 UTC", "2030-01-04T00:00:00Z")[..2],
            [(148, 149), (172, 173)],
            "a range may go round the week"
        );
    }

    /// The zones of the machine decide; one without them knows UTC alone.
    #[test]
    fn a_zone_sets_its_clocks() {
        if TimeZone::get("Europe/Berlin").is_err() {
            return;
        }
        // On 2030-03-31 the clocks go from 02:00 to 03:00: seven o'clock comes an hour earlier than the day before.
        let mornings = spans("07:00-08:00 Europe/Berlin", "2030-03-30T00:00:00Z");
        assert_eq!(mornings[1..3], [(106, 107), (129, 130)]);
        assert!(spans("03:00-02:30 Europe/Berlin", "2030-03-30T00:00:00Z").windows(2).all(|pair| pair[0].1 <= pair[1].0));
    }
}
