//! Runs several futures in virtual time, and chooses by a seed which of those
//! that can run runs next. It knows nothing of what they do.

use crate::{dice::Dice, memory::clock::Clock};
use futures_util::future::LocalBoxFuture;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// What came of letting somebody run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This one ran, and has more to do.
    Ran(u32),
    /// This one is done.
    Done(u32),
    /// Nobody can run: time has passed.
    Waited,
    /// Nobody can run, and nobody waits for a time.
    Stuck,
    /// Nobody is left.
    Over,
}

/// Futures on their way, each with a number.
#[derive(Default)]
pub struct Schedule {
    tasks: Vec<Task>,
}

struct Task {
    number: u32,
    future: LocalBoxFuture<'static, ()>,
    bell: Arc<Bell>,
    waker: Waker,
}

struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schedule").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

impl Schedule {
    /// Adds a future that can run.
    pub fn add(&mut self, number: u32, future: LocalBoxFuture<'static, ()>) {
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        let waker = Waker::from(bell.clone());
        self.tasks.push(Task { number, future, bell, waker });
    }

    /// Drops a future, wherever it is.
    pub fn drop_task(&mut self, number: u32) {
        self.tasks.retain(|task| task.number != number);
    }

    /// The numbers of those that are not done.
    pub fn numbers(&self) -> Vec<u32> {
        self.tasks.iter().map(|task| task.number).collect()
    }

    /// Lets one of those that can run do so, or time pass.
    pub fn turn(&mut self, clock: &Clock, dice: &mut Dice) -> Turn {
        if self.tasks.is_empty() {
            return Turn::Over;
        }
        let is_ready = |task: &&Task| task.bell.0.load(Ordering::Relaxed);
        let ready = self.tasks.iter().filter(is_ready).count();
        if ready == 0 {
            return if clock.advance() { Turn::Waited } else { Turn::Stuck };
        }
        let chosen = if ready > 1 { dice.below(ready) } else { 0 };
        let at = (0..self.tasks.len()).filter(|&at| is_ready(&&self.tasks[at])).nth(chosen);
        let at = at.expect("so many are ready");
        let task = &mut self.tasks[at];
        task.bell.0.store(false, Ordering::Relaxed);
        let number = task.number;
        match task.future.as_mut().poll(&mut Context::from_waker(&task.waker)) {
            Poll::Pending => Turn::Ran(number),
            Poll::Ready(()) => {
                self.tasks.remove(at);
                Turn::Done(number)
            }
        }
    }
}
