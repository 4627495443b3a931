//! Runs a program under `ptrace`, counts the calls of all its threads that change the store, in one order, and strikes at
//! one of them: kills everything, or lets the call fail.
//!
//! A filter of the kernel (`SECCOMP_RET_TRACE`) stops a thread before the calls of `calls` and before no other. Threads
//! run as they like, so the n-th call of one run need not be that of another: a point is a number and no call.

use crate::calls::{self, Call, Deed};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How long a run may take. It bounds a hang.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// Everything is killed, and the call is not made.
    Kill,
    /// Everything is killed as soon as the call is made.
    KillAfter,
    /// The call is not made, and fails.
    Fail(Errno),
    /// The call writes half of what it should. It strikes the next call that writes at least two bytes.
    Short,
}

/// Where a blow falls: at the call of this number, from 1 on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    pub(crate) point: usize,
    pub(crate) blow: Blow,
}

/// What a run did.
#[derive(Debug)]
pub(crate) struct Run {
    /// Every call that changed the store, in order, up to the end.
    pub(crate) calls: Vec<Call>,
    /// Which of them was struck, from 0 on.
    pub(crate) struck: Option<usize>,
    /// The exit code; none if it was killed.
    pub(crate) code: Option<i32>,
    /// Whether it had to be killed because it did not end.
    pub(crate) is_hung: bool,
    pub(crate) stderr: String,
}

impl Run {
    /// What was struck, in words.
    pub(crate) fn victim(&self) -> String {
        self.struck.and_then(|at| self.calls.get(at)).map_or("nothing".to_owned(), ToString::to_string)
    }
}

/// Runs a command to its end on the calling thread.
pub(crate) fn run(mut command: Command, store: &Path, strike: Option<Strike>) -> Run {
    let mut stderr = tempfile::tempfile().expect("there is a temporary directory");
    let copy = stderr.try_clone().expect("a descriptor can be copied");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(copy);
    let filter = filter();
    // SAFETY: the closure makes system calls alone; what it needs was allocated before.
    unsafe {
        command.pre_exec(move || {
            install(&filter)?;
            ptrace::traceme().map_err(std::io::Error::from)
        })
    };
    #[allow(clippy::zombie_processes, reason = "the tracer waits for it with its threads")]
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let process = Pid::from_raw(i32::try_from(child.id()).expect("process ids are small"));
    let mut tracer = Tracer { process, store, strike, calls: Vec::new(), struck: None, code: None };
    let (done, over) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let is_hung = over.recv_timeout(TIMEOUT) == Err(RecvTimeoutError::Timeout);
        if is_hung {
            let _ = kill(process, Signal::SIGKILL);
        }
        is_hung
    });
    tracer.follow();
    drop(done);
    let is_hung = watchdog.join().expect("waiting does not panic");
    let Tracer { calls, struck, code, .. } = tracer;
    let stderr = text(&mut stderr);
    Run { calls, struck, code, is_hung, stderr }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a temporary file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Tracer<'a> {
    process: Pid,
    store: &'a Path,
    strike: Option<Strike>,
    calls: Vec<Call>,
    struck: Option<usize>,
    code: Option<i32>,
}

impl Tracer<'_> {
    fn follow(&mut self) {
        let flags = Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD);
        let mut known = HashSet::new();
        loop {
            // Nobody of this thread is left when there is nobody to wait for.
            let Ok(status) = waitpid(None, flags) else { return };
            match status {
                WaitStatus::PtraceEvent(thread, _, libc::PTRACE_EVENT_SECCOMP) => self.meet(thread),
                WaitStatus::PtraceSyscall(thread) => {
                    // The end of the one call that everything is killed after.
                    self.kill();
                    resume(thread, None);
                }
                WaitStatus::Stopped(thread, Signal::SIGTRAP) if known.insert(thread) && thread == self.process => {
                    let options = Options::PTRACE_O_EXITKILL
                        | Options::PTRACE_O_TRACESYSGOOD
                        | Options::PTRACE_O_TRACESECCOMP
                        | Options::PTRACE_O_TRACECLONE
                        | Options::PTRACE_O_TRACEFORK
                        | Options::PTRACE_O_TRACEVFORK;
                    ptrace::setoptions(thread, options).expect("a stopped child takes options");
                    resume(thread, None);
                }
                // How a new thread begins.
                WaitStatus::Stopped(thread, Signal::SIGSTOP) if known.insert(thread) => resume(thread, None),
                WaitStatus::Stopped(thread, signal) => resume(thread, Some(signal)),
                WaitStatus::PtraceEvent(thread, ..) => resume(thread, None),
                WaitStatus::Exited(process, code) if process == self.process => self.code = Some(code),
                _ => {}
            }
        }
    }

    /// A thread stands before a call that may be one of those that count.
    fn meet(&mut self, thread: Pid) {
        // A thread of a process that was killed is gone by now.
        let Ok(mut registers) = ptrace::getregs(thread) else { return };
        let Some(call) = calls::read(thread, &registers, self.store) else { return resume(thread, None) };
        let deed = call.deed;
        self.calls.push(call);
        let Some(Strike { point, blow }) = self.strike else { return resume(thread, None) };
        let is_here = match blow {
            Blow::Short => self.calls.len() >= point && deed == Deed::Write && registers.rdx >= 2,
            _ => self.calls.len() == point,
        };
        if !is_here || self.struck.is_some() {
            return resume(thread, None);
        }
        self.struck = Some(self.calls.len() - 1);
        match blow {
            Blow::Kill => self.kill(),
            Blow::KillAfter => {
                let _ = ptrace::syscall(thread, None);
                return;
            }
            Blow::Fail(errno) => {
                registers.orig_rax = u64::MAX;
                registers.rax = -i64::from(errno as i32) as u64;
                let _ = ptrace::setregs(thread, registers);
            }
            Blow::Short => {
                // For the calls with vectors the argument counts vectors: one of two is written.
                registers.rdx /= 2;
                let _ = ptrace::setregs(thread, registers);
            }
        }
        resume(thread, None);
    }

    fn kill(&self) {
        // It may have ended by itself.
        let _ = kill(self.process, Signal::SIGKILL);
    }
}

/// Lets a thread go on. One that was killed meanwhile needs nobody.
fn resume(thread: Pid, signal: Option<Signal>) {
    let _ = ptrace::cont(thread, signal);
}

/// A program for the kernel: stop before one of these calls, let all others pass.
fn filter() -> Vec<libc::sock_filter> {
    let statement = |code: u32, k| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let numbers: Vec<_> = calls::numbers().collect();
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for (at, number) in numbers.iter().enumerate() {
        let (code, to_the_last) = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, numbers.len() - at);
        let jt = u8::try_from(to_the_last).expect("there are fewer than 256 calls");
        program.push(libc::sock_filter { code: code as u16, jt, jf: 0, k: *number });
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_TRACE));
    program
}

/// Puts the calling process under a filter.
fn install(filter: &[libc::sock_filter]) -> std::io::Result<()> {
    let len = filter.len().try_into().expect("a filter is short");
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: both calls take numbers and a pointer to `program`, which lives until they return.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
    };
    if refused { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
