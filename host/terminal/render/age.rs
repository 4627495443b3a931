//! Times as people read them: `3 weeks ago`, and durations as in `1m 5s`.
//!
//! It does not know calendars: a month has 30 days here, a year 365. Exact
//! times are for JSON ([`timestamp`]).

use jiff::fmt::friendly::{Designator, Direction, FractionalUnit, Spacing, SpanPrinter};
use jiff::{Span, Timestamp};
use std::time::Duration;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
const MONTH: i64 = 30 * DAY;
const YEAR: i64 = 365 * DAY;

/// Below this, a duration is told in tenths of a second. More would round to
/// ten seconds.
const TENTHS_BELOW_MS: u64 = 9_950;

const DISTANCE: SpanPrinter = SpanPrinter::new()
    .designator(Designator::Verbose)
    .spacing(Spacing::BetweenUnitsAndDesignators)
    .direction(Direction::Suffix);
const SECONDS: SpanPrinter = SpanPrinter::new();
const TENTHS: SpanPrinter = SpanPrinter::new().fractional(Some(FractionalUnit::Second));

/// Returns how long before `now` something was, both in seconds since 1970.
///
/// A unit is used from two of it on, as docker does: `47 hours ago`, but `2 days
/// ago`. What an image claims to be its future is told as `in 2 days`.
pub fn ago(then: i64, now: i64) -> String {
    let seconds = i64::try_from(now.abs_diff(then)).unwrap_or(i64::MAX);
    let span = match seconds {
        0 => return "now".to_owned(),
        _ if seconds < MINUTE => Span::new().try_seconds(-seconds),
        _ if seconds < HOUR => Span::new().try_minutes(-(seconds / MINUTE)),
        _ if seconds < 2 * DAY => Span::new().try_hours(-(seconds / HOUR)),
        _ if seconds < 2 * WEEK => Span::new().try_days(-(seconds / DAY)),
        _ if seconds < 2 * MONTH => Span::new().try_weeks(-(seconds / WEEK)),
        _ if seconds < 2 * YEAR => Span::new().try_months(-(seconds / MONTH)),
        _ => Span::new().try_years(-(seconds / YEAR)),
    };
    // Only years can leave the range of a span: 19 998 of them.
    let Ok(span) = span else { return "unknown".to_owned() };
    if then <= now { DISTANCE.span_to_string(&span) } else { format!("in {}", DISTANCE.span_to_string(&span.negate())) }
}

/// Returns a duration, as in `0.4s`, `12s` or `1h 2m 3s`.
pub fn duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms < TENTHS_BELOW_MS {
        let tenths = Duration::from_millis(ms.saturating_add(50) / 100 * 100);
        return TENTHS.unsigned_duration_to_string(&tenths);
    }
    SECONDS.unsigned_duration_to_string(&Duration::from_secs(ms.saturating_add(500) / 1000))
}

/// Returns a time as in `2026-01-31T12:00:00Z` (RFC 3339), unless it is outside
/// the years -9999 to 9999.
pub fn timestamp(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// Returns a time as in `2026-01-31T12:00:00.000000000Z`, unless it is outside the years -9999 to 9999. `nanoseconds`
/// come after `seconds`.
pub fn nanoseconds(seconds: i64, nanoseconds: u32) -> Option<String> {
    let nanoseconds = i32::try_from(nanoseconds).ok()?;
    Timestamp::new(seconds, nanoseconds).ok().map(|time| format!("{time:.9}"))
}
