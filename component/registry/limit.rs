//! What a registry says about how often it may be asked, in headers that Docker
//! Hub made known. It does not wait: that is `retry`.
//!
//! ```text
//! ratelimit-limit: 100;w=21600          so many in so many seconds
//! ratelimit-remaining: 97;w=21600
//! ```

use super::range::number;

/// How many more requests a registry allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// As in `docker.io`.
    pub registry: String,
    /// How many there are in all.
    pub limit: u64,
    /// How many are left.
    pub remaining: u64,
    /// The time for which they are, in seconds.
    pub window_s: Option<u64>,
}

impl Limit {
    /// Reads the headers of a response, if they say all of it.
    pub fn read(registry: &str, headers: &[(String, String)]) -> Option<Self> {
        let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let (limit, window_s) = count(header("ratelimit-limit")?)?;
        let (remaining, _) = count(header("ratelimit-remaining")?)?;
        Some(Limit { registry: registry.to_owned(), limit, remaining, window_s })
    }

    /// Whether less than a tenth is left.
    pub(super) fn is_nearly_spent(&self) -> bool {
        self.remaining < self.limit.div_ceil(10)
    }
}

/// Larger numbers of seconds are times since 1970.
const SECONDS_FROM_NOW_MAX: u64 = 500_000_000;

/// Returns in how many seconds a limit ends, as far as a response says.
/// `now` is in seconds since 1970.
pub(super) fn reset_s(headers: &[(String, String)], now: i64) -> Option<u64> {
    let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| number(value));
    let from_now = |at: u64| match at {
        0..=SECONDS_FROM_NOW_MAX => at,
        since_1970 => since_1970.saturating_sub(now.try_into().unwrap_or(0)),
    };
    header("ratelimit-reset").or_else(|| header("retry-after")).map(from_now).filter(|&seconds| seconds > 0)
}

/// Writes a time as a person says it, rounded up.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
    }
}

/// Reads a number with an optional window.
fn count(value: &str) -> Option<(u64, Option<u64>)> {
    let (count, rest) = value.split_once(';').map_or((value, ""), |(count, rest)| (count, rest));
    let window = rest.split(';').find_map(|part| part.trim().strip_prefix("w=").and_then(number));
    Some((number(count.trim())?, window))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_is_left() {
        let read = |pairs: &[(&str, &str)]| {
            let headers: Vec<_> = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
            Limit::read("docker.io", &headers).map(|it| (it.limit, it.remaining, it.window_s, it.is_nearly_spent()))
        };
        for (limit, remaining, expected) in [
            ("100;w=21600", "97;w=21600", Some((100, 97, Some(21_600), false))),
            ("100;w=21600", "9;w=21600", Some((100, 9, Some(21_600), true))),
            ("100;w=21600", "10;w=21600", Some((100, 10, Some(21_600), false))),
            ("200", "0", Some((200, 0, None, true))),
            ("100; w=60 ;x=1", "5", Some((100, 5, Some(60), true))),
            ("many", "5", None),
            ("100", "-1", None),
        ] {
            let headers = [("ratelimit-limit", limit), ("ratelimit-remaining", remaining)];
            assert_eq!(read(&headers), expected, "{limit} {remaining}");
        }
        assert_eq!(read(&[("ratelimit-limit", "100")]), None);
    }
}
