//! Virtual time, and the loop that runs one future in it.
//!
//! Time stands still while anything can run and jumps to the next timer when
//! nothing can, so a test that waits a minute takes no time and the same test
//! always sees the same order of events. It knows no thread but its own.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// The wall clock's reading when a machine is made: 2024-03-01T00:00:00Z.
pub const DAWN: i64 = 1_709_251_200;

/// Virtual time after which a test is taken to wait for something that never comes.
const PATIENCE_MS: u64 = 24 * 60 * 60 * 1000;

/// One machine's time. Cloning it gives the same clock.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    now_ms: Cell<u64>,
    serial: Cell<u64>,
    /// By deadline, then by age: timers of one moment fire in the order of their making.
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
}

impl Clock {
    /// Milliseconds since the machine was made.
    pub fn now_ms(&self) -> u64 {
        self.state.now_ms.get()
    }

    /// Lets time pass while nothing runs.
    pub fn pass(&self, ms: u64) {
        self.state.now_ms.set(self.now_ms() + ms);
    }

    /// Waits.
    pub fn sleep(&self, ms: u64) -> Sleep {
        let serial = self.state.serial.get();
        self.state.serial.set(serial + 1);
        Sleep { clock: self.clone(), timer: (self.now_ms().saturating_add(ms), serial) }
    }

    /// Runs `future` to its end.
    ///
    /// Panics if it waits for something that can never come.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let bell = Arc::new(Bell(AtomicBool::new(false)));
        let waker = Waker::from(bell.clone());
        let mut context = Context::from_waker(&waker);
        let patience_end = self.now_ms().saturating_add(PATIENCE_MS);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            while !bell.0.swap(false, Ordering::Relaxed) {
                self.jump();
                assert!(self.now_ms() < patience_end, "a day went by and the call has not returned");
            }
        }
    }

    /// Moves to the next timer and fires it.
    fn jump(&self) {
        assert!(self.advance(), "a pending future waits for a timer, else it waits forever");
    }

    /// Moves to the next timer and fires it, if there is one.
    pub fn advance(&self) -> bool {
        let next = self.state.timers.borrow_mut().pop_first();
        let Some(((deadline, _), waker)) = next else { return false };
        self.state.now_ms.set(self.now_ms().max(deadline));
        waker.wake();
        true
    }
}

/// See [`Clock::sleep`].
#[derive(Debug)]
pub struct Sleep {
    clock: Clock,
    timer: (u64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now_ms() >= self.timer.0 {
            return Poll::Ready(());
        }
        self.clock.state.timers.borrow_mut().insert(self.timer, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.state.timers.borrow_mut().remove(&self.timer);
    }
}

struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
