//! The pieces that answers are made of: escaping, sizes, times and short names.

use super::{DAY, HARMLESS, HOSTILE, NOW, digest};
use std::time::Duration;
use wharf::render::{age, escape, names, size};

#[test]
fn text_from_outside_cannot_act_on_the_terminal() {
    let rows = [
        (HOSTILE, HARMLESS),
        ("plain `text` with \"quotes\", 'more' and \\", "plain `text` with \"quotes\", 'more' and \\"),
        ("tab\tbell\u{7}delete\u{7f}return\r", r"tab\tbell\u{7}delete\u{7f}return\r"),
        ("näher, 近い, قریب, ใกล้, e\u{301}", "näher, 近い, قریب, ใกล้, e\u{301}"),
        ("zero\u{200b}width\u{feff} line\u{2028}", r"zero\u{200b}width\u{feff} line\u{2028}"),
        ("", ""),
    ];
    for (text, expected) in rows {
        assert_eq!(escape::text(text), expected);
    }
    assert_eq!(escape::line(" RUN  a \t&& \n b\u{1b}c "), r"RUN a && b\u{1b}c");
}

/// The expected values are those of go-units' `HumanSizeWithPrecision(…, 3)`,
/// which docker prints, except where it prints an exponent.
#[test]
fn sizes_have_three_digits_and_decimal_units() {
    let rows = [
        (0, "0B"),
        (1, "1B"),
        (999, "999B"),
        (1000, "1kB"),
        (1853, "1.85kB"),
        (9999, "10kB"),
        (10_050, "10.1kB"),
        (99_900, "99.9kB"),
        (999_499, "999kB"),
        (999_500, "1MB"),
        (7_800_000, "7.8MB"),
        (77_812_345, "77.8MB"),
        (1_240_000_000, "1.24GB"),
        (1_000_000_000_000, "1TB"),
        (u64::MAX, "18.4EB"),
    ];
    for (bytes, expected) in rows {
        assert_eq!(size::si(bytes), expected, "{bytes}");
    }
    assert_eq!(size::rate(1_234_567), "1.23MB/s");
}

#[test]
fn times_are_told_in_one_unit() {
    let rows = [
        (0, "now"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (2 * DAY - 1, "47 hours ago"),
        (2 * DAY, "2 days ago"),
        (14 * DAY - 1, "13 days ago"),
        (21 * DAY, "3 weeks ago"),
        (60 * DAY, "2 months ago"),
        (729 * DAY, "24 months ago"),
        (730 * DAY, "2 years ago"),
        (NOW, "56 years ago"),
        (-1, "in 1 second"),
        (-3 * DAY, "in 3 days"),
    ];
    for (seconds, expected) in rows {
        assert_eq!(age::ago(NOW - seconds, NOW), expected, "{seconds}");
    }
    // An image claims what it likes.
    assert_eq!(age::ago(i64::MIN, NOW), "unknown");
    assert_eq!(age::ago(i64::MAX, NOW), "unknown");
    assert_eq!(age::timestamp(NOW).as_deref(), Some("2026-01-31T12:00:00Z"));
    assert_eq!(age::timestamp(i64::MAX), None);
}

#[test]
fn durations_are_short() {
    let rows = [
        (0, "0s"),
        (49, "0s"),
        (50, "0.1s"),
        (1_234, "1.2s"),
        (9_949, "9.9s"),
        (9_950, "10s"),
        (12_499, "12s"),
        (65_000, "1m 5s"),
        (3_723_000, "1h 2m 3s"),
    ];
    for (ms, expected) in rows {
        assert_eq!(age::duration(Duration::from_millis(ms)), expected, "{ms}");
    }
    assert!(age::duration(Duration::MAX).ends_with('s'));
}

#[test]
fn names_are_split_where_docker_splits_them() {
    let digest = digest('a');
    let rows = [
        ("alpine:3.20".to_owned(), (Some("alpine"), Some("3.20"))),
        ("registry.lan:5000/app".to_owned(), (Some("registry.lan:5000/app"), None)),
        ("registry.lan:5000/app:v1".to_owned(), (Some("registry.lan:5000/app"), Some("v1"))),
        (format!("alpine@{digest}"), (Some("alpine"), None)),
        (format!("alpine:3.20@{digest}"), (Some("alpine"), Some("3.20"))),
        (digest.clone(), (None, None)),
        ("sha256:latest".to_owned(), (Some("sha256"), Some("latest"))),
        (String::new(), (None, None)),
        ("alpine:".to_owned(), (Some("alpine"), None)),
    ];
    for (familiar, expected) in &rows {
        assert_eq!(names::repository_and_tag(familiar), *expected, "{familiar}");
    }
}

#[test]
fn digests_are_shortened_to_twelve_digits_whatever_they_are() {
    let rows = [
        (digest('a'), "aaaaaaaaaaaa"),
        ("sha512:0123456789abcdef".to_owned(), "0123456789ab"),
        ("short".to_owned(), "short"),
        ("sha256:äöüäöüäöüäöüäöü".to_owned(), "äöüäöüäöüäöü"),
        ("sha256:\u{1b}[2J".to_owned(), r"\u{1b}[2J"),
        (String::new(), ""),
    ];
    for (digest, expected) in rows {
        assert_eq!(names::short(&digest), expected);
    }
}
