//! When to collect: from what happens and when, the time of the next collection.
//! It has no clock, waits for nothing and collects nothing; times are since the
//! scheduler began.
//!
//! The thresholds are those of containerd (docs/garbage-collection.md, "Garbage
//! Collection configuration"):
//!
//! ```text
//! deletion ─────────────────────┐                 pause = length · (1/share - 1),
//! mutations ≥ their threshold ──┴─► wanted ─► not before the last one's end + pause
//! deletions ≥ their threshold ────► urgent ─► after the delay, without the pause
//! ```
//!
//! It differs in three things. Nothing wakes a host where nothing has happened: what
//! comes after a long rest waits for the delay alone. What happens during a
//! collection counts for the next one, because it runs beside the changes. And there
//! is one a day in any case: leases, labels and downloads get old without an event.

use std::time::Duration;

/// The greatest share of the time. More is taken for this much, as in containerd.
pub const PAUSE_SHARE_MAX: f64 = 0.5;
/// The smallest one: a share of nothing would be never.
pub const PAUSE_SHARE_MIN: f64 = 0.000_1;

/// How long nothing may happen before there is a collection nevertheless.
const REST_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// What is waited for after a first failure. It doubles with each that follows.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// And the most that is waited for.
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);

/// When collections run. The defaults are containerd's.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The share of the time that collections may take, from their mean length:
    /// [`PAUSE_SHARE_MIN`] to [`PAUSE_SHARE_MAX`]; others stand for the nearest.
    pub pause_share: f64,
    /// After so many mutations a collection is wanted; 0 is never.
    pub mutations: u32,
    /// After so many deletions a collection runs without a pause; 0 is never.
    pub deletions: u32,
    /// The time between what causes a collection and its begin, for bursts.
    pub delay: Duration,
    /// The time before the first collection. None begins before.
    pub startup_delay: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pause_share: 0.02,
            mutations: 100,
            deletions: 0,
            delay: Duration::ZERO,
            startup_delay: Duration::from_millis(100),
        }
    }
}

/// What happens to a store, as far as it may leave something to collect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something came or is another: what it was before may be left.
    Mutation,
    /// Something went. It is a mutation too.
    Deletion,
}

/// What has happened since the last collection began, and what is known about those
/// before.
#[derive(Clone, Debug)]
pub struct Cadence {
    settings: Settings,
    mutations: u32,
    deletions: u32,
    /// Since when a collection is wanted, with the delay.
    wanted: Option<Duration>,
    /// Since when one is wanted that needs no pause, with the delay.
    urgent: Option<Duration>,
    /// Before this time only what is urgent begins.
    earliest: Duration,
    begun: Duration,
    /// How many collections have ended well, and how long they took in all.
    collections: u32,
    spent: Duration,
    /// How many have failed since the last one that did not.
    failures: u32,
}

impl Cadence {
    /// Begins now, which is the time zero. The first collection needs no cause.
    pub fn new(settings: Settings) -> Self {
        Self {
            earliest: settings.startup_delay,
            settings,
            mutations: 0,
            deletions: 0,
            wanted: Some(Duration::ZERO),
            urgent: None,
            begun: Duration::ZERO,
            collections: 0,
            spent: Duration::ZERO,
            failures: 0,
        }
    }

    /// Counts something that has happened.
    pub fn happened(&mut self, cause: Cause, now: Duration) {
        let Settings { mutations, deletions, delay, .. } = self.settings;
        self.mutations = self.mutations.saturating_add(1);
        if cause == Cause::Deletion {
            self.deletions = self.deletions.saturating_add(1);
        }
        let at = now.saturating_add(delay);
        if self.deletions > 0 || (mutations > 0 && self.mutations >= mutations) {
            self.wanted.get_or_insert(at);
        }
        if deletions > 0 && self.deletions >= deletions {
            self.urgent.get_or_insert(at);
        }
    }

    /// Returns when the next collection is to begin, as far as is known now. That may
    /// be past. It is asked while none runs.
    pub fn due(&self) -> Duration {
        let rest = self.earliest.saturating_add(REST_MAX);
        let paced = self.wanted.unwrap_or(rest).max(self.earliest);
        // Neither the startup delay nor the wait after a failure is a pause that could be left out.
        let is_free = self.collections > 0 && self.failures == 0;
        self.urgent.filter(|_| is_free).map_or(paced, |urgent| urgent.min(paced))
    }

    /// A collection begins: what has happened so far is its business.
    pub fn begin(&mut self, now: Duration) {
        (self.mutations, self.deletions, self.wanted, self.urgent) = (0, 0, None, None);
        self.begun = now;
    }

    /// It has ended well.
    pub fn ended(&mut self, now: Duration) {
        self.collections = self.collections.saturating_add(1);
        self.spent = self.spent.saturating_add(now.saturating_sub(self.begun));
        self.failures = 0;
        self.earliest = now.saturating_add(self.pause());
    }

    /// It has failed, and what it was for is still to be done. Returns how long it is
    /// until the next one.
    pub fn failed(&mut self, now: Duration) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = self.pause().saturating_add(retry(self.failures));
        self.earliest = now.saturating_add(wait);
        self.wanted.get_or_insert(now);
        wait
    }

    /// The pause after a collection of mean length that makes it the share that it may be.
    fn pause(&self) -> Duration {
        let mean = self.spent.checked_div(self.collections).unwrap_or_default().as_secs_f64();
        let share = self.settings.pause_share.clamp(PAUSE_SHARE_MIN, PAUSE_SHARE_MAX);
        // What is no number is no share that anybody has asked for.
        Duration::try_from_secs_f64(mean / share - mean).unwrap_or(REST_MAX)
    }
}

/// Returns how long to wait after so many failures in a row.
pub fn retry(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(u32::BITS - 1);
    RETRY_MIN.saturating_mul(1 << doublings).min(RETRY_MAX)
}

#[cfg(test)]
mod tests {
    use super::Cause::{Deletion, Mutation};
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// One that has collected once, from 100 ms to 120 ms: the pause is 49 times that, to 1 100 ms.
    fn rested(settings: Settings) -> Cadence {
        let mut cadence = Cadence::new(settings);
        assert_eq!(cadence.due(), ms(100));
        cadence.begin(ms(100));
        cadence.ended(ms(120));
        cadence
    }

    const RESTED: Duration = ms(1_100);
    /// The end of a pause, and a day.
    const NEVER: Duration = RESTED.saturating_add(REST_MAX);

    #[test]
    fn what_happens_decides_when_the_next_collection_begins() {
        let with =
            |mutations, deletions, delay| Settings { mutations, deletions, delay: ms(delay), ..Settings::default() };
        type Row<'r> = (&'r str, Settings, &'r [(Cause, u64, u32)], Duration);
        let rows: [Row<'_>; 14] = [
            ("nothing", with(100, 0, 0), &[], NEVER),
            ("too little", with(100, 0, 0), &[(Mutation, 200, 99)], NEVER),
            ("enough mutations wait for the pause", with(100, 0, 0), &[(Mutation, 200, 100)], RESTED),
            ("deletions are mutations", with(2, 0, 0), &[(Mutation, 200, 1), (Deletion, 200, 1)], RESTED),
            ("one deletion waits for the pause", with(100, 0, 0), &[(Deletion, 200, 1)], RESTED),
            ("mutations never", with(0, 0, 0), &[(Mutation, 200, 1_000)], NEVER),
            ("a deletion without a threshold of mutations", with(0, 0, 0), &[(Deletion, 200, 1)], RESTED),
            ("deletions never at once", with(0, 0, 0), &[(Deletion, 200, 1_000)], RESTED),
            ("enough deletions do not wait", with(100, 3, 0), &[(Deletion, 200, 2), (Deletion, 300, 1)], ms(300)),
            ("too few deletions wait", with(100, 3, 0), &[(Deletion, 200, 2)], RESTED),
            ("enough deletions wait for the delay", with(100, 1, 50), &[(Deletion, 200, 1)], ms(250)),
            ("the delay counts from the first", with(100, 1, 50), &[(Deletion, 200, 1), (Deletion, 240, 1)], ms(250)),
            ("after a rest nothing is waited for", with(100, 0, 0), &[(Deletion, 90_000, 1)], ms(90_000)),
            ("but the delay", with(100, 0, 50), &[(Deletion, 90_000, 1), (Deletion, 90_010, 9)], ms(90_050)),
        ];
        for (what, settings, causes, expected) in rows {
            let mut cadence = rested(settings);
            for (cause, at, times) in causes {
                (0..*times).for_each(|_| cadence.happened(*cause, ms(*at)));
            }
            assert_eq!(cadence.due(), expected, "{what}");
        }
    }

    #[test]
    fn the_pause_makes_the_mean_collection_the_share_that_it_may_be() {
        // Lengths of collections, the share, and the pause after the last of them, in milliseconds.
        let rows: [(&[u64], f64, u64); 7] = [
            (&[20], 0.02, 980),
            (&[20, 40], 0.02, 1_470),
            (&[20, 40, 0], 0.02, 980),
            (&[100], 0.5, 100),
            (&[100], 0.9, 100),
            (&[1], 0.0, 9_999),
            (&[1], f64::NAN, 86_400_000),
        ];
        for (lengths, pause_share, pause) in rows {
            let mut cadence = Cadence::new(Settings { pause_share, ..Settings::default() });
            let mut now = ms(100);
            for length in lengths {
                now = now.max(cadence.due());
                cadence.begin(now);
                now += ms(*length);
                cadence.ended(now);
                cadence.happened(Deletion, now);
            }
            let off = cadence.due().abs_diff(now + ms(pause));
            assert!(off < ms(1), "{lengths:?}, {pause_share}: off by {off:?}");
        }
    }

    #[test]
    fn what_happens_during_a_collection_is_for_the_next_one() {
        for (deletions, expected) in [(0, ms(2_000 + 100 + 2_940)), (1, ms(2_050))] {
            let mut cadence = rested(Settings { deletions, ..Settings::default() });
            cadence.happened(Deletion, ms(2_000));
            cadence.begin(ms(2_000));
            cadence.happened(Deletion, ms(2_050));
            cadence.ended(ms(2_100));
            assert!(cadence.due().abs_diff(expected) < ms(1), "{deletions}: {:?}", cadence.due());
            // And once is enough.
            cadence.begin(ms(9_000));
            cadence.ended(ms(9_000));
            assert!(cadence.due() > REST_MAX, "{deletions}: {:?}", cadence.due());
        }
    }

    #[test]
    fn nothing_begins_before_the_startup_delay() {
        for startup_delay in [0, 100, 60_000].map(ms) {
            let mut cadence = Cadence::new(Settings { startup_delay, deletions: 1, ..Settings::default() });
            assert_eq!(cadence.due(), startup_delay);
            cadence.happened(Deletion, Duration::ZERO);
            assert_eq!(cadence.due(), startup_delay);
        }
    }

    #[test]
    fn a_failure_is_tried_again_later_and_later_whatever_happens() {
        let mut cadence = rested(Settings { deletions: 1, ..Settings::default() });
        cadence.happened(Deletion, ms(2_000));
        let mut now = ms(2_000);
        for retry_s in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            cadence.begin(now);
            let wait = cadence.failed(now);
            // What happens meanwhile makes it no sooner.
            cadence.happened(Deletion, now);
            let expected = ms(980 + retry_s * 1_000);
            assert!(wait.abs_diff(expected) < ms(1), "{wait:?} instead of {expected:?}");
            assert_eq!(cadence.due(), now + wait);
            now += wait;
        }
        // One that ends well is followed as if none had failed.
        cadence.begin(now);
        cadence.ended(now + ms(20));
        cadence.happened(Deletion, now + ms(30));
        assert_eq!(cadence.due(), now + ms(30));
        assert_eq!(retry(u32::MAX), RETRY_MAX);
    }

    #[test]
    fn a_first_collection_that_fails_is_tried_again() {
        let mut cadence = Cadence::new(Settings::default());
        cadence.begin(ms(100));
        assert_eq!(cadence.failed(ms(150)), RETRY_MIN);
        assert_eq!(cadence.due(), ms(1_150));
    }
}
