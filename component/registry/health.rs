//! Whether an endpoint needs a rest: one that keeps failing is left alone for a
//! while, so that no blob waits for it in vain, and so that it can recover. It
//! does not say what a failure is.

use std::cell::Cell;

/// The first rest.
const REST_FIRST_MS: u64 = 30_000;
/// No rest is longer.
const REST_MS_MAX: u64 = 300_000;

/// How an endpoint is. Times are by [`Host::uptime_ms`](crate::host::Host::uptime_ms).
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Failures since the last success.
    failures: Cell<u32>,
    rests_until_ms: Cell<u64>,
}

impl Health {
    pub(super) fn is_resting(&self, now_ms: u64) -> bool {
        now_ms < self.rests_until_ms.get()
    }

    /// It did what it was asked for.
    pub(super) fn recovered(&self) {
        self.failures.set(0);
        self.rests_until_ms.set(0);
    }

    /// It failed by its own fault, and asked for so much peace. Failures of calls
    /// that began before its rest did are one failure.
    pub(super) fn failed(&self, now_ms: u64, peace_ms: u64) {
        let peace_until_ms = now_ms.saturating_add(peace_ms);
        if self.is_resting(now_ms) {
            self.rests_until_ms.set(self.rests_until_ms.get().max(peace_until_ms));
            return;
        }
        let rest_ms =
            1u64.checked_shl(self.failures.get()).map_or(REST_MS_MAX, |times| times.saturating_mul(REST_FIRST_MS));
        self.failures.set(self.failures.get().saturating_add(1));
        self.rests_until_ms.set(now_ms.saturating_add(rest_ms.min(REST_MS_MAX)).max(peace_until_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_doubles_until_there_is_a_success() {
        let health = Health::default();
        let mut now = 1_000;
        for rest in [30_000, 60_000, 120_000, 240_000, 300_000, 300_000] {
            assert!(!health.is_resting(now));
            health.failed(now, 0);
            // Another call that had begun before.
            health.failed(now + 1, 0);
            assert!(health.is_resting(now + rest - 1));
            now += rest;
        }
        health.failed(now, 0);
        health.recovered();
        assert!(!health.is_resting(now));
        health.failed(now, 0);
        assert!(!health.is_resting(now + 30_000));
    }

    #[test]
    fn who_asks_for_peace_rests_at_least_so_long() {
        let health = Health::default();
        health.failed(0, 100_000);
        assert!(health.is_resting(99_999) && !health.is_resting(100_000));
        health.failed(100_000, 1_000);
        assert!(health.is_resting(159_999));
        health.failed(100_001, 200_000);
        assert!(health.is_resting(300_000), "also if it says so while it rests");
    }
}
