//! Runs what a person wants to run in a tree.

use super::subordinate;
use crate::watch::COMMAND_RUNS;
use crate::{Failed, problem};
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use wharf::cli::exit;
use wharf::layers::{Entrance, Waiting};
use wharf::render;

/// The exit code if there is no such command, as shells have it.
const NO_PROGRAM: u8 = 127;
/// The exit code if a command cannot be run.
const NOT_TO_BE_RUN: u8 = 126;

/// Runs a command in namespaces of its own, and returns its exit code.
pub(super) async fn run(
    entrance: Entrance,
    waiting: Option<Waiting>,
    at: &Path,
    command: &[OsString],
    what: &str,
) -> Result<u8, Failed> {
    let (program, arguments) = command.split_first().expect("the arguments ask for at least one word");
    let mut child = Command::new(program);
    child.args(arguments).env("WHARF_TREE", at).kill_on_drop(true);
    // SAFETY: `enter` makes system calls alone, as its contract says, and the child has one thread.
    unsafe { child.pre_exec(move || entrance.enter()) };
    // Ctrl-C goes to the whole group, the command included; what is sent to this process alone is passed on.
    COMMAND_RUNS.store(true, Ordering::Relaxed);
    let failed = |error| problem(what, &error);
    let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminates = signal(SignalKind::terminate()).map_err(failed)?;
    // `spawn` returns when the child has become the command, and before that it needs an answer.
    let mapping = waiting.map(|waiting| thread::spawn(|| waiting.answer(subordinate::map)));
    let spawned = child.spawn();
    if spawned.is_err() {
        // Who waits for the child sees its end when nobody has the other side any more.
        drop(child);
    }
    if let Some(Ok(Some(Err(why)))) = mapping.map(thread::JoinHandle::join) {
        tracing::warn!("there is one user in the namespace: {}", render::escape::text(&why));
    }
    let mut running = spawned.map_err(|error| {
        let (why, code) = match error.kind() {
            ErrorKind::NotFound => ("there is no such program".to_owned(), NO_PROGRAM),
            ErrorKind::PermissionDenied => (error.to_string(), NOT_TO_BE_RUN),
            _ => (error.to_string(), exit::FAILED),
        };
        let what = format!("cannot run `{}` in a namespace of its own", program.display());
        Failed { problem: problem(&what, &why), code }
    })?;
    let pid = running.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let status = loop {
        tokio::select! {
            status = running.wait() => break status.map_err(failed)?,
            _ = interrupts.recv() => {}
            _ = terminates.recv() => {
                // It may have ended in this moment.
                let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::TERM));
            }
        }
    };
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(i32::from(exit::FAILED));
    Ok(u8::try_from(code).unwrap_or(exit::FAILED))
}
