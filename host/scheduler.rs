//! Collects again and again, for hosts that run for long: when is the business of
//! [`cadence`], what goes is decided by the component. It takes no authority and
//! prints nothing.
//!
//! What happens comes from `images.watch`, so that the changes of other processes
//! count too, in the namespace of the caller. Schedulers of several processes do no
//! harm to one another: a collection runs beside everything else.
//!
//! ```no_run
//! # async fn example(wharf: wharf::images::Wharf, caller: wharf::images::Caller) {
//! use wharf::images::Collecting;
//! use wharf::scheduler::{self, Settings, Told};
//!
//! let stop = tokio_util::sync::CancellationToken::new();
//! let collecting = Collecting { ingest_age_s: 7 * 86_400 };
//! let mut tell = |told: Told| match told {
//!     Told::Collected(changed) => println!("{} blobs", changed.removed.blobs.len()),
//!     Told::Failed { failure, wait } => eprintln!("{failure}; again in {wait:?}"),
//!     Told::Event(_) => {}
//! };
//! scheduler::run(&wharf, &caller, &collecting, Settings::default(), &stop, &mut tell).await;
//! # }
//! ```

pub mod cadence;

pub use cadence::{Cause, Settings};

use crate::images::{Action, Caller, Change, Changed, Collecting, ErrorCode, Event, Failure, Problem, Wharf};
use cadence::{Cadence, retry};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How long one call listens. It remembers what it has told, and that is for one call.
const LISTEN_MAX: Duration = Duration::from_secs(60 * 60);
/// How far the next call goes back: a change is recorded with the time before its commit. What is heard twice costs a
/// collection, and what is missed costs space.
const OVERLAP_S: i64 = 30;

/// What a scheduler tells.
#[derive(Debug)]
pub enum Told {
    /// A collection has ended, and this is what it did.
    Collected(Changed),
    /// Something that a collection says meanwhile, as a warning.
    Event(Event),
    /// A collection, or listening to what happens, has failed. It is tried again.
    Failed {
        /// Why.
        failure: Failure,
        /// How long it is until then.
        wait: Duration,
    },
}

/// Collects by these settings until `stop` is cancelled, and tells what comes of it. Nothing else ends it: what fails is
/// told and tried again.
///
/// A collection that is under way is given up by `stop`; what is gone by then stays gone.
pub async fn run(
    wharf: &Wharf,
    caller: &Caller,
    collecting: &Collecting,
    settings: Settings,
    stop: &CancellationToken,
    tell: &mut (dyn FnMut(Told) + Send),
) {
    let (_nobody, mut causes) = mpsc::unbounded_channel();
    run_hearing(wharf, caller, collecting, settings, &mut causes, stop, tell).await;
}

/// The same, for a host that itself knows of more causes than the records of what happens tell, as a server does of the
/// requests about blobs, leases and other namespaces.
pub async fn run_hearing(
    wharf: &Wharf,
    caller: &Caller,
    collecting: &Collecting,
    settings: Settings,
    causes: &mut UnboundedReceiver<Cause>,
    stop: &CancellationToken,
    tell: &mut (dyn FnMut(Told) + Send),
) {
    let cadence = Mutex::new(Cadence::new(settings));
    let scheduler =
        Scheduler { wharf, caller, stop, begun: Instant::now(), cadence, news: Notify::new(), tell: Mutex::new(tell) };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        never = scheduler.collect(Change::Collect(*collecting)) => match never {},
        never = scheduler.listen() => match never {},
        never = scheduler.hear(causes) => match never {},
    }
}

struct Scheduler<'a> {
    wharf: &'a Wharf,
    caller: &'a Caller,
    stop: &'a CancellationToken,
    begun: Instant,
    cadence: Mutex<Cadence>,
    /// Something has happened that the cadence has counted.
    news: Notify,
    tell: Mutex<&'a mut (dyn FnMut(Told) + Send)>,
}

impl Scheduler<'_> {
    /// Collects whenever it is time.
    async fn collect(&self, change: Change) -> Infallible {
        loop {
            self.wait().await;
            self.cadence().begin(self.now());
            let mut tell = |event| self.tell(Told::Event(event));
            match self.wharf.perform(self.caller, &change, self.stop, &mut tell).await {
                Ok(changed) => {
                    self.cadence().ended(self.now());
                    self.tell(Told::Collected(changed));
                }
                Err(failure) => {
                    let wait = self.cadence().failed(self.now());
                    self.tell(Told::Failed { failure, wait });
                }
            }
        }
    }

    /// Waits until a collection is due.
    async fn wait(&self) {
        loop {
            let due = self.cadence().due();
            if due <= self.now() {
                return;
            }
            tokio::select! {
                () = sleep_until(self.begun + due) => (),
                () = self.news.notified() => (),
            }
        }
    }

    /// Hears what happens.
    async fn listen(&self) -> Infallible {
        let (mut since, mut failures) = (clock(), 0);
        loop {
            let mut heard = since;
            let (begun, text) = (Instant::now(), since.to_string());
            let mut hear = |event| {
                if let Event::Happened(happening) = event {
                    heard = heard.max(happening.time.0);
                    self.count(happening.action);
                }
            };
            let told = self.wharf.watch(self.caller, Some(&text), None, &[], self.stop, &mut hear);
            let failure = match timeout(LISTEN_MAX, told).await {
                Err(_) => {
                    since = clock() - OVERLAP_S;
                    continue;
                }
                Ok(Ok(())) => Failure::Problem(ended()),
                Ok(Err(failure)) => failure,
            };
            since = since.max(heard - OVERLAP_S);
            failures = if begun.elapsed() > retry(u32::MAX) { 1 } else { failures + 1 };
            let wait = retry(failures);
            self.tell(Told::Failed { failure, wait });
            tokio::time::sleep(wait).await;
        }
    }

    /// Hears what the host tells.
    async fn hear(&self, causes: &mut UnboundedReceiver<Cause>) -> Infallible {
        while let Some(cause) = causes.recv().await {
            self.caused(cause);
        }
        // Nobody will ever tell anything.
        std::future::pending().await
    }

    fn count(&self, action: Action) {
        let cause = match action {
            Action::Pull | Action::Tag | Action::Label | Action::Load | Action::Import => Cause::Mutation,
            Action::Untag | Action::Delete | Action::Release => Cause::Deletion,
            // What a prune took away is told by itself, and who takes a lease away collects what it held.
            Action::Prune | Action::Push | Action::Lease | Action::Expire => return,
        };
        self.caused(cause);
    }

    fn caused(&self, cause: Cause) {
        self.cadence().happened(cause, self.now());
        self.news.notify_one();
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn cadence(&self) -> MutexGuard<'_, Cadence> {
        self.cadence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, told: Told) {
        let mut tell = self.tell.lock().unwrap_or_else(PoisonError::into_inner);
        (*tell)(told);
    }
}

/// What stands for an end that nobody has asked for.
fn ended() -> Problem {
    let why = vec!["the list ended by itself".to_owned()];
    Problem { code: ErrorCode::Unavailable, what: "cannot tell what happens".to_owned(), why, fix: None }
}

/// In seconds since 1970, as the component takes them.
fn clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
