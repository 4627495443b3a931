//! Moments as people and documents write them: RFC 3339, seconds since 1970,
//! and durations that count back from now.
//!
//! It reads no clock, and it knows no time zone but UTC: a moment without an
//! offset is UTC.
//!
//! ```text
//! moment   = unix | duration | date [ "T" hour [ ":" minute [ ":" second [ "." digits ] ] ] ] [ offset ]
//! unix     = ["-"] digits [ "." digits ]        1136073600
//! duration = ["-"] ( number unit )+             24h, 1h30m, 1.5h; h, m, s, ms
//! offset   = "Z" | ( "+" | "-" ) hour ":" minute
//! ```

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

/// The longest text that is looked at, in bytes.
const TEXT_SIZE_BYTES_MAX: usize = 64;

/// Reads a date and time with an offset, as configs have it, in seconds since
/// 1970. Fractions of a second are cut off. RFC 3339 section 5.6.
pub fn parse(text: &str) -> Option<i64> {
    if text.len() > TEXT_SIZE_BYTES_MAX {
        return None;
    }
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// Reads what a person typed after `until=`, in seconds since 1970.
pub fn parse_moment(text: &str, now: i64) -> Option<i64> {
    if text.len() > TEXT_SIZE_BYTES_MAX {
        return None;
    }
    unix(text)
        .or_else(|| back_from(text, now))
        .or_else(|| parse(text))
        .or_else(|| date_with_offset(text))
        .or_else(|| hour_with_offset(text))
        .or_else(|| civil_in_utc(text))
}

/// Writes a moment, as in `2024-03-01T00:00:00Z`. A moment that no calendar has
/// is written as its number.
pub fn format(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |moment| moment.to_string())
}

fn unix(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole.strip_prefix('-').unwrap_or(whole)) || !digits(fraction) {
        return None;
    }
    whole.parse().ok()
}

fn back_from(text: &str, now: i64) -> Option<i64> {
    // A leading letter would be the ISO 8601 form, which nobody types here.
    if !text.starts_with(|first: char| first.is_ascii_digit() || first == '-') || text.contains(' ') {
        return None;
    }
    let duration: SignedDuration = text.parse().ok()?;
    now.checked_sub(duration.as_secs())
}

fn date_with_offset(text: &str) -> Option<i64> {
    let (date, offset) = text.split_at_checked("2006-01-02".len())?;
    parse(&format!("{date}T00:00:00{offset}"))
}

fn hour_with_offset(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (hour, offset) = rest.split_at_checked(digits).filter(|(hour, _)| (1..=2).contains(&hour.len()))?;
    parse(&format!("{date}T{hour:0>2}:00:00{}", if offset.is_empty() { "Z" } else { offset }))
}

fn civil_in_utc(text: &str) -> Option<i64> {
    let moment: civil::DateTime = text.parse().ok()?;
    moment.to_zoned(TimeZone::UTC).ok().map(|moment| moment.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2020-01-02T03:04:05Z.
    const NOW: i64 = 1_577_934_245;

    #[test]
    fn a_moment_is_read_as_docker_reads_it() {
        let rows = [
            ("2006-01-02T15:04:05.999999999+07:00", "2006-01-02T08:04:05Z"),
            ("2006-01-02T15:04:05.999999999Z", "2006-01-02T15:04:05Z"),
            ("2006-01-02T15:04:05", "2006-01-02T15:04:05Z"),
            ("2006-01-02T15:04Z", "2006-01-02T15:04:00Z"),
            ("2006-01-02T15:04-00:00", "2006-01-02T15:04:00Z"),
            ("2006-01-02T15:04", "2006-01-02T15:04:00Z"),
            ("2006-01-02T15+00:00", "2006-01-02T15:00:00Z"),
            ("2006-01-02T1Z", "2006-01-02T01:00:00Z"),
            ("2006-01-02T1", "2006-01-02T01:00:00Z"),
            ("2006-01-02", "2006-01-02T00:00:00Z"),
            ("2006-01-02Z", "2006-01-02T00:00:00Z"),
            ("2006-01-02+00:00", "2006-01-02T00:00:00Z"),
            ("2006-01-02-00:01", "2006-01-02T00:01:00Z"),
            ("1136073600", "2006-01-01T00:00:00Z"),
            ("1136073600.00000000000000000001", "2006-01-01T00:00:00Z"),
            ("1136073600.", "2006-01-01T00:00:00Z"),
            ("-1m", "2020-01-02T03:05:05Z"),
            ("0m", "2020-01-02T03:04:05Z"),
            ("1.5h", "2020-01-02T01:34:05Z"),
            ("1h30m", "2020-01-02T01:34:05Z"),
            ("24h", "2020-01-01T03:04:05Z"),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_moment(text, NOW).map(format).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        let rows = [
            "",
            " 1136073600 \t",
            "foo.bar",
            "1136073600.bar",
            ".5",
            "invalid",
            "2006-01-02T15:04:0Z",
            "2006-01-02T15:0",
            "2006-01-02T",
            "2006-01-02TZ",
            "2006-01-02T25",
            "2006-13-02",
            "PT1H",
            "99999999999999999999",
            "9223372036854775807h",
        ];
        for text in rows {
            assert_eq!(parse_moment(text, NOW), None, "{text}");
        }
        assert_eq!(parse_moment(&"1".repeat(1000), NOW), None);
    }

    #[test]
    fn a_moment_beyond_the_calendar_is_written_as_a_number() {
        assert_eq!(format(i64::MAX), "9223372036854775807");
        assert_eq!(format(0), "1970-01-01T00:00:00Z");
    }
}
