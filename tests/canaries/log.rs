//! Everything that one test logs, at the finest level, from every thread that works for it and from no other.
//!
//! It is not the log of the program, whose lines are looked at in `program`.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tokio::runtime::{Builder, Runtime};
use tracing::Dispatch;
use tracing::dispatcher::{DefaultGuard, set_default};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

thread_local! {
    /// What makes the thread log for its test.
    static GUARD: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// What was logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<u8>>>,
}

impl Log {
    /// Returns a runtime whose threads log here, and makes this thread do so until the guard is dropped.
    pub(crate) fn runtime(&self) -> (Runtime, DefaultGuard) {
        // What speaks to the crate `log` is heard as well, once any subscriber was set by this trait.
        drop(tracing_subscriber::registry().set_default());
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_writer(self.clone())
            .with_ansi(false)
            .finish();
        let dispatch = Dispatch::new(subscriber);
        let guard = set_default(&dispatch);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .on_thread_start(move || GUARD.with_borrow_mut(|guard| *guard = Some(set_default(&dispatch))))
            .build();
        (runtime.expect("the machine gives threads"), guard)
    }

    /// Returns what was logged so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lines.lock().expect("no writer panics").clone()
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
