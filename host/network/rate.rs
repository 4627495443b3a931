//! A limit of bytes a second for everything that passes it: who wants to pass bytes on books a time for them.
//!
//! It moves no bytes and does not wait itself. It is a leaky bucket as a meter (the generic cell rate algorithm): one
//! number says when everything that was booked has passed, so that any number of bodies share the rate in the order in
//! which they ask, and none polls for its turn.
//!
//! ```text
//!  booked so far ──────────────┐
//!  time ──┬────────────────────┼──────────► the next piece passes here, and moves the mark by bytes ÷ rate
//!        now                 mark
//! ```

use std::num::NonZeroU64;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// How much of unused time is made up for. A timer that fires late must not cost throughput, and a pause must not be
/// followed by a burst.
const SLACK: Duration = Duration::from_millis(62);

/// A piece is what passes in this part of a second. Every body that was held up may emit one late, on top of the
/// slack, so that it is a small part.
const PIECES_PER_SECOND: u64 = 64;

/// A limit that all bodies of a network share.
#[derive(Debug)]
pub(super) struct Rate {
    bytes_per_second: NonZeroU64,
    /// When everything that was booked has passed.
    mark: Mutex<Instant>,
}

impl Rate {
    pub(super) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, mark: Mutex::new(Instant::now()) }
    }

    /// Returns how many bytes are booked at once at most. At least 1.
    pub(super) fn piece(&self) -> usize {
        usize::try_from((self.bytes_per_second.get() / PIECES_PER_SECOND).max(1)).unwrap_or(usize::MAX)
    }

    /// Books `bytes`, and returns when they may pass.
    pub(super) fn book(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let mut mark = self.mark.lock().expect("nothing panics while it holds the lock");
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let start = (*mark).max(earliest);
        *mark = super::later(start, self.time_of(bytes));
        start.max(now)
    }

    fn time_of(&self, bytes: usize) -> Duration {
        let nanoseconds = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(self.bytes_per_second.get()));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes_per_second: u64) -> Rate {
        Rate::new(NonZeroU64::new(bytes_per_second).expect("a test has a rate"))
    }

    /// Returns how many bytes pass in `seconds` if `bodies` always want more, and the most that passed in any window of
    /// a quarter of a second.
    async fn run(rate: &Rate, bodies: usize, seconds: u64) -> (u64, u64) {
        let begin = Instant::now();
        let end = begin + Duration::from_secs(seconds);
        let mut passed: Vec<(Instant, usize)> = Vec::new();
        let mut waiting: Vec<Instant> = (0..bodies).map(|_| rate.book(rate.piece())).collect();
        loop {
            let (next, at) = waiting.iter().copied().enumerate().min_by_key(|(_, at)| *at).expect("a body");
            if at > end {
                break;
            }
            tokio::time::sleep_until(at).await;
            passed.push((Instant::now(), rate.piece()));
            waiting[next] = rate.book(rate.piece());
        }
        let total = passed.iter().map(|(_, bytes)| *bytes as u64).sum();
        let window = Duration::from_millis(250);
        let most = passed.iter().map(|(from, _)| {
            passed.iter().filter(|(at, _)| at >= from && *at < *from + window).map(|(_, bytes)| *bytes as u64).sum()
        });
        (total, most.max().expect("something passed"))
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_by_one_body_and_by_many() {
        for (bytes_per_second, bodies) in
            [(1, 1), (10, 3), (1_000, 1), (64_000, 1), (64_000, 6), (1_000_000, 40), (1 << 40, 4)]
        {
            let rate = rate(bytes_per_second);
            let (total, most) = run(&rate, bodies, 20).await;
            let due = bytes_per_second * 20;
            let piece = rate.piece() as u64;
            assert!(total <= due + bytes_per_second / 8 + piece, "{bytes_per_second} {bodies}: {total} of {due}");
            assert!(total + piece * bodies as u64 >= due / 4 * 3, "{bytes_per_second} {bodies}: {total} of {due}");
            let most_due = bytes_per_second / 4 + bytes_per_second / 8 + piece;
            assert!(most <= most_due, "{bytes_per_second} {bodies}: {most} in a quarter, of {most_due}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_made_up_for() {
        let rate = rate(64_000);
        run(&rate, 1, 1).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let (total, most) = run(&rate, 1, 1).await;
        assert!(total <= 64_000 + 8_000, "{total}");
        assert!(most <= 24_000, "{most}");
    }

    /// The system wakes nobody to the nanosecond, and sometimes much later.
    #[tokio::test(start_paused = true)]
    async fn a_late_wake_up_costs_no_throughput() {
        let rate = rate(64_000);
        let begin = Instant::now();
        let (mut total, mut pieces) = (0, 0);
        while begin.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep_until(rate.book(rate.piece())).await;
            pieces += 1;
            tokio::time::sleep(Duration::from_millis(if pieces % 5 == 0 { 55 } else { 1 })).await;
            total += rate.piece();
        }
        assert!(total >= 630_000, "{total}");
    }
}
