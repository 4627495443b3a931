//! When a failed request is sent again. One engine for all requests; it does
//! not send anything, and it does not decide which failures are worth it: see
//! [`Again`], which whoever saw the failure fills in.
//!
//! The wait after the n-th failure in a row is random, from nothing to
//! 1 s · 2ⁿ and never over 30 s, unless the registry named one. Progress starts
//! the count anew, so that a large blob survives a bad line, and a line on
//! which nothing arrives is given up.

use super::{Failure, failure::Fault, range::number};
use crate::{
    host::Host,
    planted::{Bug, has},
};
use jiff::{civil::DateTime, fmt::rfc2822, fmt::strtime, tz::TimeZone};

/// The wait after the first failure is at most this long.
const WAIT_FIRST_MS: u64 = 1_000;
/// No wait of our own choice is longer.
const WAIT_MS_MAX: u64 = 30_000;
/// A longer `Retry-After` is shortened to this.
const RETRY_AFTER_MS_MAX: u64 = 300_000;
/// A longer wait is told: a person would think that wharf hangs.
const SILENT_WAIT_MS_MAX: u64 = 2_000;
/// After this time without progress nothing is sent again.
const QUIET_MS_MAX: u64 = 300_000;
/// How often one download may break and go on, progress or not.
const BREAKS_MAX: u32 = 1_000;

/// Whether a failed request may be sent again, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// It would fail again.
    Never,
    /// After a wait of our own choice, but without progress there is no second
    /// time: hardly any such failure passes.
    Once,
    /// After a wait of our own choice.
    Soon,
    /// After a wait of our own choice that is at least a second: the registry
    /// wants fewer requests and did not say when.
    Slower,
    /// When the other end said.
    After {
        /// The wait.
        ms: u64,
        /// Who asks for it, as in `docker.io`.
        who: String,
    },
}

/// Whether a response with this status may be followed by a better one.
pub fn is_transient(status: u16) -> bool {
    // Behind many registries is a network that has statuses of its own, as in 520 to 526.
    matches!(status, 408 | 425 | 429 | 500..=599) && !matches!(status, 501 | 505)
}

/// Reads a `Retry-After` header, in milliseconds from `now`, which is in
/// seconds since 1970. RFC 9110 section 10.2.3. At most 5 minutes. None if it
/// makes no sense or names no time to come.
pub fn retry_after_ms(header: &str, now: i64) -> Option<u64> {
    let header = header.trim();
    if has(Bug::RetryAfterIgnored) {
        return None;
    }
    let seconds = if header.bytes().all(|byte| byte.is_ascii_digit()) && !header.is_empty() {
        number(header).unwrap_or(u64::MAX)
    } else {
        u64::try_from(http_date(header)?.checked_sub(now)?).ok()?
    };
    let ms_max = if has(Bug::RetryAfterUnbounded) { u64::MAX } else { RETRY_AFTER_MS_MAX };
    (seconds > 0).then_some(seconds.saturating_mul(1_000).min(ms_max))
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
    attempts_max: u32,
    /// Failures since the last progress.
    failures: u32,
    /// Whether one of them was [`Again::Once`].
    is_last_chance: bool,
    /// Failures ever.
    breaks: u32,
    /// When the last progress was, by [`Host::uptime_ms`].
    progress_at_ms: u64,
}

impl Retry {
    /// Without progress there are `attempts_max` attempts, the first one included.
    pub(super) fn new(host: &impl Host, attempts_max: u32) -> Self {
        Retry { attempts_max, failures: 0, is_last_chance: false, breaks: 0, progress_at_ms: host.uptime_ms() }
    }

    /// Something arrived that was not here before.
    pub(super) fn progress(&mut self, host: &impl Host) {
        self.failures = 0;
        self.is_last_chance = false;
        self.progress_at_ms = host.uptime_ms();
    }

    /// Waits until the request may be sent again, or fails with what `fault`
    /// says when it may not. A wait that a person would notice is told to `voice`.
    pub(super) async fn wait(&mut self, host: &impl Host, voice: &dyn Fn(String), fault: Fault) -> Result<(), Failure> {
        let Fault { mut failure, again, .. } = fault;
        self.failures += 1;
        self.breaks += 1;
        let own_ms = back_off_ms(self.failures, host.random());
        let wait_ms = match &again {
            Again::Never if !has(Bug::FinalIsTransient) => return Err(failure),
            _ if has(Bug::TransientIsFinal) => return Err(failure),
            _ if has(Bug::NoBackOff) => 0,
            Again::Never | Again::Once | Again::Soon => own_ms,
            Again::Slower => own_ms.max(WAIT_FIRST_MS),
            Again::After { ms, .. } if has(Bug::RetryAfterUnbounded) => *ms,
            Again::After { ms, .. } => (*ms).min(RETRY_AFTER_MS_MAX),
        };
        let had_its_chance = again == Again::Once && std::mem::replace(&mut self.is_last_chance, true);
        let quiet_ms = host.uptime_ms().saturating_sub(self.progress_at_ms);
        let is_spent = self.failures >= self.attempts_max || self.breaks >= BREAKS_MAX || quiet_ms >= QUIET_MS_MAX;
        if is_spent || had_its_chance {
            let attempts =
                if self.failures == 1 { "1 attempt".to_owned() } else { format!("{} attempts", self.failures) };
            failure.why.push(format!("gave up after {attempts} in {} s", quiet_ms / 1_000));
            return Err(failure);
        }
        if wait_ms > SILENT_WAIT_MS_MAX {
            let seconds = wait_ms.div_ceil(1_000);
            voice(match again {
                Again::After { who, .. } => format!("`{who}` asks to wait {seconds} s before the next request"),
                _ => {
                    let why = failure.why.first().map_or("a request failed", String::as_str);
                    let (next, of) = (self.failures + 1, self.attempts_max);
                    format!("{why}; trying again in {seconds} s ({next} of {of})")
                }
            });
        }
        host.sleep(wait_ms).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        nouns::problem::ErrorCode,
        registry::{failure::Blame, rounds::Need, script::Script},
    };
    use std::cell::RefCell;

    const ATTEMPTS_MAX: u32 = 5;

    #[test]
    fn only_statuses_that_pass_are_transient() {
        let transient: Vec<u16> = (100..600).filter(|&status| is_transient(status)).collect();
        let failures_of_servers = (500..600).filter(|status| ![501, 505].contains(status));
        assert_eq!(transient, [408, 425, 429].into_iter().chain(failures_of_servers).collect::<Vec<u16>>());
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
        let failure = Failure { code: ErrorCode::Unavailable, why: vec!["it broke".to_owned()], fix: None };
        Fault { failure, again, blame: Blame::Server }
    }

    fn after(ms: u64) -> Again {
        Again::After { ms, who: "docker.io".to_owned() }
    }

    /// Fails with each of these, as long as there is patience. Returns why it
    /// ended, how often it was tried, and what was told.
    fn endure(
        host: &Script,
        attempts_max: u32,
        faults: impl IntoIterator<Item = Again>,
    ) -> (Vec<String>, usize, Vec<String>) {
        let told = RefCell::new(Vec::new());
        let mut faults = faults.into_iter();
        let mut sent = 0;
        let repository = host.repository("docker.io/a/b").with_voice(|text| told.borrow_mut().push(text));
        let failure = host.run(repository.persist(Need::Pull, attempts_max, async |_| {
            sent += 1;
            Err::<(), _>(fault(faults.next().expect("patience ends before the test does")))
        }));
        drop(repository);
        (failure.unwrap_err().why, sent, told.into_inner())
    }

    #[test]
    fn patience_ends_after_five_attempts() {
        let host = Script::new([]);
        let (why, sent, told) = endure(&host, ATTEMPTS_MAX, std::iter::repeat_with(|| after(2_000)));
        assert_eq!(why, ["it broke", "gave up after 5 attempts in 8 s"]);
        assert_eq!(sent, 5);
        assert_eq!(host.slept(), [2_000; 4]);
        assert!(told.is_empty(), "2 s are not worth a word: {told:?}");
    }

    #[test]
    fn patience_can_be_shorter() {
        let host = Script::new([]);
        let (why, sent, _) = endure(&host, 2, [after(1_000), after(1_000)]);
        assert_eq!((why[1].as_str(), sent), ("gave up after 2 attempts in 1 s", 2));
    }

    #[test]
    fn patience_ends_after_five_minutes() {
        let host = Script::new([]);
        let (why, _, told) = endure(&host, ATTEMPTS_MAX, [after(u64::MAX), after(u64::MAX)]);
        assert_eq!(why, ["it broke", "gave up after 2 attempts in 300 s"]);
        assert_eq!(host.slept(), [300_000]);
        assert_eq!(told, ["`docker.io` asks to wait 300 s before the next request"]);
    }

    #[test]
    fn some_failures_are_final() {
        let host = Script::new([]);
        let (why, sent, _) = endure(&host, ATTEMPTS_MAX, [Again::Never]);
        assert_eq!((why, sent), (vec!["it broke".to_owned()], 1));
        assert!(host.slept().is_empty());
    }

    #[test]
    fn some_failures_have_one_more_chance_until_there_is_progress() {
        let host = Script::new([]);
        let (why, sent, _) = endure(&host, ATTEMPTS_MAX, [Again::Soon, Again::Once, Again::Soon, Again::Once]);
        assert!(why[1].starts_with("gave up after 4 attempts in "), "{why:?}");
        assert_eq!(sent, 4);

        let chances = host.run(async {
            let mut retry = Retry::new(&host, ATTEMPTS_MAX);
            let first = retry.wait(&host, &|_| {}, fault(Again::Once)).await.is_ok();
            retry.progress(&host);
            let second = retry.wait(&host, &|_| {}, fault(Again::Once)).await.is_ok();
            [first, second, retry.wait(&host, &|_| {}, fault(Again::Once)).await.is_ok()]
        });
        assert_eq!(chances, [true, true, false]);
    }

    /// A pull that waited for half a minute said nothing, and was taken for one
    /// that hangs.
    #[test]
    fn a_long_wait_is_told_with_its_reason() {
        let host = Script::new([]);
        let (_, _, told) = endure(&host, 12, std::iter::repeat_n(Again::Soon, 12));
        let slept = host.slept();
        let expected: Vec<String> = (2..)
            .zip(&slept)
            .filter(|(_, ms)| **ms > 2_000)
            .map(|(next, ms)| format!("it broke; trying again in {} s ({next} of 12)", ms.div_ceil(1_000)))
            .collect();
        assert_eq!(told, expected);
        assert!((5..slept.len()).contains(&told.len()), "some waits are long, the first ones are not: {slept:?}");
    }

    #[test]
    fn progress_renews_patience_but_not_for_ever() {
        let host = Script::new([]);
        let breaks = host.run(async {
            let mut retry = Retry::new(&host, ATTEMPTS_MAX);
            let mut breaks = 0;
            while retry.wait(&host, &|_| {}, fault(after(1))).await.is_ok() {
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
        host.run(async { Retry::new(&host, ATTEMPTS_MAX).wait(&host, &|_| {}, fault(Again::Slower)).await })
            .expect("one failure is not the end");
        assert!(host.slept()[0] >= WAIT_FIRST_MS, "{:?}", host.slept());
    }
}
