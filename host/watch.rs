//! Runs a call that takes a while: shows how it gets on, and stops it at Ctrl-C. It is a part of `main`, and as such
//! takes ambient authority: standard error and signals.

use crate::{Failed, log, variable};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wharf::cli::{self, exit};
use wharf::images::{ErrorCode, Event, Failure, Problem};
use wharf::render::palette::Palette;
use wharf::render::progress::{End, Lines, Plain, Reporter, Silent, TICK, Terminal};

/// After Ctrl-C, how long the component may take to stop by itself.
const STOP_MAX: Duration = Duration::from_millis(600);
/// How long the program may take to say goodbye after that: standard error may
/// be a pipe that nobody reads.
const FAREWELL_MAX: Duration = Duration::from_millis(250);

/// Whether signals are for a command that this process waits for.
pub(crate) static COMMAND_RUNS: AtomicBool = AtomicBool::new(false);

/// Runs `call`, which tells its events and ends soon after the token is cancelled. `what` is what Ctrl-C interrupts, as
/// in ``the pull of `alpine` ``.
pub(crate) async fn watch<R>(
    reporter: Box<dyn Reporter + Send>,
    what: &str,
    call: impl AsyncFnOnce(&CancellationToken, &mut (dyn FnMut(Event) + Send)) -> Result<R, Failure>,
) -> Result<R, Failed> {
    let (stop, over) = (CancellationToken::new(), CancellationToken::new());
    let begin = Instant::now();
    let reporter = Mutex::new(reporter);
    let report = |what: &dyn Fn(&mut dyn Reporter, Duration) -> std::io::Result<()>| {
        let mut reporter = reporter.lock().unwrap_or_else(PoisonError::into_inner);
        // Progress that cannot be shown is no reason to end a call.
        let _ = what(reporter.as_mut(), begin.elapsed());
    };
    let mut tell = |event: Event| report(&|reporter, now| reporter.event(&event, now));
    let outcome = {
        let mut calling = std::pin::pin!(call(&stop, &mut tell));
        tokio::spawn(stop_when_interrupted(stop.clone(), over.clone()));
        let mut tick = tokio::time::interval(TICK);
        let mut deadline = std::pin::pin!(stopped_for_long(&stop));
        loop {
            tokio::select! {
                outcome = &mut calling => break outcome.map_err(Failed::from),
                () = &mut deadline => break Err(interrupted(what).into()),
                _ = tick.tick() => report(&|reporter, now| reporter.tick(now)),
            }
        }
    };
    let end = match &outcome {
        Ok(_) => End::Done,
        Err(_) if stop.is_cancelled() => End::Interrupted,
        Err(_) => End::Failed,
    };
    report(&|reporter, now| reporter.finish(end, now));
    over.cancel();
    outcome
}

/// Returns who shows progress on standard error.
pub(crate) fn reporter(
    progress: cli::Progress,
    quiet: bool,
    palette: Palette,
    screen: log::Screen,
) -> Box<dyn Reporter + Send> {
    let stderr = std::io::stderr();
    match progress.resolve(stderr.is_terminal(), variable("TERM").as_deref()) {
        _ if quiet => Box::new(Silent::new(stderr, palette)),
        cli::Progress::None => Box::new(Silent::new(stderr, palette)),
        cli::Progress::Json => Box::new(Lines::new(stderr)),
        cli::Progress::Tty => {
            let terminal = Terminal::new(palette);
            screen.share(terminal.screen());
            Box::new(terminal)
        }
        cli::Progress::Plain | cli::Progress::Auto => Box::new(Plain::new(stderr, palette)),
    }
}

/// Waits for Ctrl-C and its like, and stops the call. It has a task of its own, because the one that calls may be
/// blocked in a write to the terminal; then it ends the process, which loses nothing either.
///
/// Once `over` is cancelled there is nothing left to stop, and the signal ends the process as if nobody listened.
async fn stop_when_interrupted(stop: CancellationToken, over: CancellationToken) {
    let Ok(mut interrupts) = Interrupts::listen() else { return };
    interrupts.next().await;
    stop.cancel();
    if over.is_cancelled() && COMMAND_RUNS.load(Ordering::Relaxed) {
        return;
    }
    if !over.is_cancelled() {
        tokio::select! {
            () = interrupts.next() => (),
            () = tokio::time::sleep(STOP_MAX + FAREWELL_MAX) => (),
        }
    }
    std::process::exit(i32::from(exit::INTERRUPTED));
}

/// The signals by which people end a program.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => (), _ = self.terminate.recv() => () }
    }
}

async fn stopped_for_long(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_MAX).await;
}

/// The component did not say it in time, so it is said for it.
fn interrupted(what: &str) -> Problem {
    let fix = "nothing is lost, and the same command can be given again".to_owned();
    Problem { fix: Some(fix), ..cancelled(&format!("{what} was interrupted")) }
}

pub(crate) fn cancelled(what: &str) -> Problem {
    Problem { code: ErrorCode::Cancelled, what: what.to_owned(), why: Vec::new(), fix: None }
}
