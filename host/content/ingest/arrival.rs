//! How far an ingest has come, and those who read its bytes while they arrive.
//!
//! A follower believes nothing: what it has read is the blob only if the ingest was verified afterwards and has not
//! begun again since.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::hash::Digest;

/// How often a follower that waits looks whether it was stopped.
const STOP_POLL: Duration = Duration::from_millis(100);

/// A run of appends that belong together and can be interrupted together. See [`Ingest::append_in`].
///
/// [`Ingest::append_in`]: super::Ingest::append_in
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run(u64);

/// How far an ingest has come. Shared by its holder and its followers.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    state: Mutex<State>,
    changed: Condvar,
}

/// Which bytes count, and who may add to them.
#[derive(Debug, Default)]
struct State {
    /// How many bytes of the file count.
    offset: u64,
    /// How often appends were interrupted.
    run: u64,
    /// How often bytes that counted were given up.
    beginning: u64,
    /// Set by what ends the ingest; nothing arrives after that.
    end: Option<End>,
}

/// What became of an ingest.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// All of its bytes hash to this.
    Verified(Digest),
    /// They do not, or nobody holds it any more.
    Left,
}

impl Arrival {
    pub(super) fn at(offset: u64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { offset, ..State::default() }), changed: Condvar::new() })
    }

    pub(super) fn offset(&self) -> u64 {
        self.state().offset
    }

    pub(super) fn run(&self) -> Run {
        Run(self.state().run)
    }

    /// Returns the offset if `run` has not been interrupted.
    pub(super) fn offset_in(&self, run: Run) -> Option<u64> {
        let state = self.state();
        (state.run == run.0).then_some(state.offset)
    }

    pub(super) fn interrupt(&self) {
        self.state().run += 1;
    }

    /// Makes `end` the offset unless `run` was interrupted, and says whether it did.
    pub(super) fn advance(&self, run: Run, end: u64) -> bool {
        let mut state = self.state();
        let counts = state.run == run.0;
        if counts {
            state.move_to(end);
            self.changed.notify_all();
        }
        counts
    }

    /// Gives all bytes up.
    pub(super) fn restart(&self) {
        self.state().move_to(0);
        self.changed.notify_all();
    }

    /// Says that all bytes are there and hash to `digest`.
    pub(super) fn verified(&self, digest: Digest) {
        self.state().end = Some(End::Verified(digest));
        self.changed.notify_all();
    }

    /// Says that nothing arrives any more. What was verified stays so.
    pub(super) fn leave(&self) {
        self.state().end.get_or_insert(End::Left);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state of an arrival")
    }
}

impl State {
    fn move_to(&mut self, offset: u64) {
        if offset < self.offset {
            self.beginning += 1;
        }
        self.offset = offset;
    }
}

/// Reads what arrives in an ingest, from its first byte on, and waits where nothing has arrived yet.
///
/// A read fails for good when the ingest is left before it was verified, when it begins again, and when `stop` is set.
#[derive(Debug)]
pub struct Follower {
    arrival: Arc<Arrival>,
    file: File,
    beginning: u64,
    read: u64,
    stop: Arc<AtomicBool>,
}

/// Tells whether what a [`Follower`] has read was verified.
#[derive(Clone, Debug)]
pub struct Outcome {
    arrival: Arc<Arrival>,
    beginning: u64,
}

impl Outcome {
    /// Whether the bytes that were read since the follower was made are the beginning of the blob `digest`.
    pub fn is(&self, digest: &Digest) -> bool {
        let state = self.arrival.state();
        state.beginning == self.beginning && state.end == Some(End::Verified(*digest))
    }
}

impl Follower {
    pub(super) fn new(arrival: Arc<Arrival>, file: File, stop: Arc<AtomicBool>) -> Self {
        let beginning = arrival.state().beginning;
        Self { arrival, file, beginning, read: 0, stop }
    }

    /// Returns what will tell whether the bytes are what they seem to be.
    pub fn outcome(&self) -> Outcome {
        Outcome { arrival: self.arrival.clone(), beginning: self.beginning }
    }

    /// Waits until there is more than was read. Returns how much more, 0 at the end.
    fn more(&self) -> io::Result<u64> {
        let mut state = self.arrival.state();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("the reader was stopped"));
            }
            if state.beginning != self.beginning {
                return Err(io::Error::other("the ingest began again"));
            }
            if state.offset > self.read {
                return Ok(state.offset - self.read);
            }
            match state.end {
                Some(End::Verified(_)) => return Ok(0),
                Some(End::Left) => return Err(io::Error::other("the ingest was left before it was whole")),
                None => {}
            }
            let waited = self.arrival.changed.wait_timeout(state, STOP_POLL);
            state = waited.expect("nothing panics while it holds the state of an arrival").0;
        }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let more = usize::try_from(self.more()?).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(more);
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..wanted], self.read)?;
        // What was cut off while it was read was perhaps read in part.
        if count == 0 || self.arrival.state().beginning != self.beginning {
            return Err(io::Error::other("the ingest began again"));
        }
        self.read += count as u64;
        Ok(count)
    }
}
