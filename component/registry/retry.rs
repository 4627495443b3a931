//! When a failed request is sent again. One engine for all requests; it does
//! not send anything, and it does not decide which failures are worth it: see
//! [`Again`], which whoever saw the failure fills in.
//!
//! The wait after the n-th failure in a row is random, from nothing to
//! 1 s · 2ⁿ and never over 30 s, unless the registry named one. Progress starts
//! the count anew, so that a large blob survives a bad line, and a line on
//! which nothing arrives is given up.

use super::{Failure, failure::Fault, range::number};
use crate::host::Host;
use jiff::{civil::DateTime, fmt::rfc2822, fmt::strtime, tz::TimeZone};

/// How often a request is sent without progress.
const ATTEMPTS_MAX: u32 = 5;
/// The wait after the first failure is at most this long.
const WAIT_FIRST_MS: u64 = 1_000;
/// No wait of our own choice is longer.
const WAIT_MS_MAX: u64 = 30_000;
/// A longer `Retry-After` is shortened to this.
const RETRY_AFTER_MS_MAX: u64 = 300_000;
/// After this time without progress nothing is sent again.
const QUIET_MS_MAX: u64 = 300_000;
/// How often one download may break and go on, progress or not.
const BREAKS_MAX: u32 = 1_000;

/// Whether a failed request may be sent again, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It would fail again.
    Never,
    /// After a wait of our own choice.
    Soon,
    /// After a wait of our own choice that is at least a second: the registry
    /// wants fewer requests and did not say when.
    Slower,
    /// After this many milliseconds: the registry said so.
    After(u64),
}

/// Whether a response with this status may be followed by a better one.
pub fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Reads a `Retry-After` header, in milliseconds from `now`, which is in
/// seconds since 1970. RFC 9110 section 10.2.3. At most 5 minutes. None if it
/// makes no sense or names no time to come.
pub fn retry_after_ms(header: &str, now: i64) -> Option<u64> {
    let header = header.trim();
    let seconds = if header.bytes().all(|byte| byte.is_ascii_digit()) && !header.is_empty() {
        number(header).unwrap_or(u64::MAX)
    } else {
        u64::try_from(http_date(header)?.checked_sub(now)?).ok()?
    };
    (seconds > 0).then_some(seconds.saturating_mul(1_000).min(RETRY_AFTER_MS_MAX))
}

/// Reads a date in one of the three forms of RFC 9110 section 5.6.7, in seconds
/// since 1970.
fn http_date(text: &str) -> Option<i64> {
    let in_utc = |moment: DateTime| moment.to_zoned(TimeZone::UTC).ok().map(|moment| moment.timestamp().as_second());
    if let Some(fixed) = text.strip_suffix(" GMT") {
        if let Ok(moment) = rfc2822::DateTimeParser::new().parse_timestamp(text) {
            return Some(moment.as_second());
        }
        return in_utc(strtime::parse("%A, %d-%b-%y %H:%M:%S", fixed).ok()?.to_datetime().ok()?);
    }
    in_utc(strtime::parse("%a %b %e %H:%M:%S %Y", text).ok()?.to_datetime().ok()?)
}

/// Returns a random wait after the `failures`-th failure in a row.
fn back_off_ms(failures: u32, random: u64) -> u64 {
    let ceiling =
        1u64.checked_shl(failures.saturating_sub(1)).map_or(WAIT_MS_MAX, |times| times.saturating_mul(WAIT_FIRST_MS));
    random % (ceiling.min(WAIT_MS_MAX) + 1)
}

/// How much patience is left with one request.
#[derive(Debug)]
pub(super) struct Retry {
    /// Failures since the last progress.
    failures: u32,
    /// Failures ever.
    breaks: u32,
    /// When the last progress was, by [`Host::uptime_ms`].
    progress_at_ms: u64,
}

impl Retry {
    pub(super) fn new(host: &impl Host) -> Self {
        Retry { failures: 0, breaks: 0, progress_at_ms: host.uptime_ms() }
    }

    /// Something arrived that was not here before.
    pub(super) fn progress(&mut self, host: &impl Host) {
        self.failures = 0;
        self.progress_at_ms = host.uptime_ms();
    }

    /// Waits until the request may be sent again, or fails with what `fault`
    /// says when it may not.
    pub(super) async fn wait(&mut self, host: &impl Host, fault: Fault) -> Result<(), Failure> {
        let Fault { mut failure, again } = fault;
        self.failures += 1;
        self.breaks += 1;
        let own_ms = back_off_ms(self.failures, host.random());
        let wait_ms = match again {
            Again::Never => return Err(failure),
            Again::Soon => own_ms,
            Again::Slower => own_ms.max(WAIT_FIRST_MS),
            Again::After(ms) => ms.min(RETRY_AFTER_MS_MAX),
        };
        let quiet_ms = host.uptime_ms().saturating_sub(self.progress_at_ms);
        if self.failures >= ATTEMPTS_MAX || self.breaks >= BREAKS_MAX || quiet_ms >= QUIET_MS_MAX {
            let attempts =
                if self.failures == 1 { "1 attempt".to_owned() } else { format!("{} attempts", self.failures) };
            failure.why.push(format!("gave up after {attempts} in {} s", quiet_ms / 1_000));
            return Err(failure);
        }
        host.sleep(wait_ms).await;
        Ok(())
    }
}

/// Acts until it succeeds or patience ends.
pub(super) async fn persist<T>(host: &impl Host, mut act: impl AsyncFnMut() -> Result<T, Fault>) -> Result<T, Failure> {
    let mut retry = Retry::new(host);
    loop {
        match act().await {
            Ok(done) => return Ok(done),
            Err(fault) => retry.wait(host, fault).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{nouns::problem::ErrorCode, registry::script::Script};

    #[test]
    fn only_statuses_that_pass_are_transient() {
        let transient: Vec<u16> = (100..600).filter(|&status| is_transient(status)).collect();
        assert_eq!(transient, [408, 425, 429, 500, 502, 503, 504]);
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        // Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
        const NOW: i64 = 784_111_777;
        for (header, expected) in [
            ("1", Some(1_000)),
            (" 120 ", Some(120_000)),
            ("300", Some(300_000)),
            ("301", Some(300_000)),
            ("1000000000", Some(300_000)),
            ("99999999999999999999999", Some(300_000)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10_000)),
            ("Sun Nov  6 08:49:47 1994", Some(10_000)),
            ("Tue, 06 Nov 2035 08:49:47 GMT", Some(300_000)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sat, 05 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:47 +0100", None),
            ("Sun, 36 Nov 1994 08:49:47 GMT", None),
            ("0", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            (" GMT", None),
            ("", None),
        ] {
            assert_eq!(retry_after_ms(header, NOW), expected, "{header}");
        }
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:49:47 GMT", i64::MIN), None);
    }

    #[test]
    fn the_wait_doubles_up_to_a_limit_and_is_random_below() {
        for (failures, longest) in
            [(1, 1_000), (2, 2_000), (3, 4_000), (4, 8_000), (5, 16_000), (6, 30_000), (400, 30_000)]
        {
            assert_eq!(back_off_ms(failures, longest), longest, "{failures}");
            assert_eq!(back_off_ms(failures, longest + 1), 0, "{failures}");
            assert_eq!(back_off_ms(failures, 137), 137, "{failures}");
        }
    }

    fn fault(again: Again) -> Fault {
        Fault { failure: Failure { code: ErrorCode::Unavailable, why: vec!["it broke".to_owned()], fix: None }, again }
    }

    #[test]
    fn patience_ends_after_five_attempts() {
        let host = Script::new([]);
        let mut sent = 0;
        let failure = host.run(persist(&host, async || {
            sent += 1;
            Err::<(), _>(fault(Again::After(2_000)))
        }));
        assert_eq!(failure.unwrap_err().why, ["it broke", "gave up after 5 attempts in 8 s"]);
        assert_eq!(sent, 5);
        assert_eq!(host.slept(), [2_000; 4]);
    }

    #[test]
    fn patience_ends_after_five_minutes() {
        let host = Script::new([]);
        let failure = host.run(persist(&host, async || Err::<(), _>(fault(Again::After(u64::MAX)))));
        assert_eq!(failure.unwrap_err().why, ["it broke", "gave up after 2 attempts in 300 s"]);
        assert_eq!(host.slept(), [300_000]);
    }

    #[test]
    fn some_failures_are_final() {
        let host = Script::new([]);
        let failure = host.run(persist(&host, async || Err::<(), _>(fault(Again::Never))));
        assert_eq!(failure.unwrap_err().why, ["it broke"]);
        assert!(host.slept().is_empty());
    }

    #[test]
    fn progress_renews_patience_but_not_for_ever() {
        let host = Script::new([]);
        let breaks = host.run(async {
            let mut retry = Retry::new(&host);
            let mut breaks = 0;
            while retry.wait(&host, fault(Again::After(1))).await.is_ok() {
                retry.progress(&host);
                breaks += 1;
            }
            breaks
        });
        assert_eq!(breaks, BREAKS_MAX - 1);
    }

    #[test]
    fn a_registry_that_wants_fewer_requests_gets_a_second_of_peace() {
        let host = Script::new([]);
        host.run(async { Retry::new(&host).wait(&host, fault(Again::Slower)).await })
            .expect("one failure is not the end");
        assert!(host.slept()[0] >= WAIT_FIRST_MS, "{:?}", host.slept());
    }
}
