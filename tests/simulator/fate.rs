//! What becomes of every call by a seed: how long it takes, which ones fail or
//! never return, and where a process or the whole machine dies. It also writes
//! down what happens: a hash always, and lines where somebody wants to read them.

use crate::{
    dice::Dice,
    memory::process::{Call, Fate, Then, Verdict},
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use wharf_component::nouns::problem::ErrorCode;

/// When something strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At the n-th call of the phase, from 1.
    Call(u64),
    /// At the n-th call of this kind, from 1.
    Kind(Call, u64),
}

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The call fails with an error that its documentation has.
    Error,
    /// The call never returns.
    Hang,
    /// The call takes this many milliseconds.
    Slow(u64),
    /// The process that made it is killed.
    Kill,
    /// The power of the whole machine goes.
    Cut,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// When.
    pub when: When,
    /// What.
    pub what: What,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::Call(number) => write!(f, "{:?} at call {number}", self.what),
            When::Kind(call, number) => write!(f, "{:?} at {call:?} {number}", self.what),
        }
    }
}

/// How a call of this kind may fail, by its documentation.
fn errors(call: Call) -> &'static [fn() -> ErrorCode] {
    const BROKEN: fn() -> ErrorCode = || ErrorCode::Other("input/output error".to_owned());
    match call {
        Call::Remove | Call::DiscardKey => &[BROKEN, || ErrorCode::InUse],
        Call::Ingest | Call::Append | Call::CommitIngest | Call::Synced | Call::Stack | Call::Unpack => {
            &[BROKEN, || ErrorCode::NoSpace]
        }
        Call::Commit => &[BROKEN, || ErrorCode::NoSpace, || ErrorCode::Conflict],
        Call::Begin => &[BROKEN, || ErrorCode::NoSpace],
        Call::Authorize => &[|| ErrorCode::Unavailable, || ErrorCode::Denied, || ErrorCode::NotFound],
        Call::Send => &[BROKEN, || ErrorCode::Unavailable, || ErrorCode::NotFound],
        // A name that could not be made durable is taken away again; the moments after that are no calls.
        Call::Renamed | Call::Named | Call::LayersSynced | Call::Committed | Call::Prepared | Call::Frozen => &[],
        _ => &[BROKEN],
    }
}

/// How a phase goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// A call takes up to so long, in milliseconds.
    pub wait_ms_max: usize,
    /// One call in so many takes up to [`SLOW_MS_MAX`]. None does if it is 0.
    pub slow_one_in: usize,
    /// What goes wrong.
    pub strikes: Vec<Strike>,
}

/// How long a slow call takes, in milliseconds.
pub const SLOW_MS_MAX: usize = 3_000;

/// The fate of one run.
#[derive(Debug)]
pub struct Seeded {
    dice: RefCell<Dice>,
    weather: RefCell<Weather>,
    calls: Cell<u64>,
    kinds: RefCell<BTreeMap<Call, u64>>,
    killed: RefCell<BTreeSet<u32>>,
    is_cut: Cell<bool>,
    has_hung: Cell<bool>,
    sent: RefCell<BTreeMap<u32, u64>>,
    /// The ingests of which a discard was begun and not finished.
    discarding: RefCell<BTreeSet<String>>,
    /// The blobs that could not be read when they were hashed.
    unreadable: RefCell<BTreeSet<String>>,
    hash: Cell<u64>,
    lines: RefCell<Option<Vec<String>>>,
}

impl Seeded {
    /// The fate of a seed. `is_told` says whether lines are written.
    pub fn new(seed: u64, is_told: bool) -> Self {
        Self {
            dice: RefCell::new(Dice::new(seed, 2)),
            weather: RefCell::default(),
            calls: Cell::new(0),
            kinds: RefCell::default(),
            killed: RefCell::default(),
            is_cut: Cell::new(false),
            has_hung: Cell::new(false),
            sent: RefCell::default(),
            discarding: RefCell::default(),
            unreadable: RefCell::default(),
            hash: Cell::new(0xcbf2_9ce4_8422_2325),
            lines: RefCell::new(is_told.then(Vec::new)),
        }
    }

    /// Begins a phase with this weather.
    pub fn begin(&self, weather: Weather) {
        self.weather.replace(weather);
        self.calls.set(0);
        self.kinds.take();
        self.is_cut.set(false);
        self.has_hung.set(false);
    }

    /// The processes that were killed since the last call of this.
    pub fn killed(&self) -> BTreeSet<u32> {
        self.killed.take()
    }

    /// Whether the power is gone.
    pub fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// Whether a call of this phase never returns.
    pub fn has_hung(&self) -> bool {
        self.has_hung.get()
    }

    /// How many requests a process has sent.
    pub fn sent(&self, process: u32) -> u64 {
        self.sent.borrow().get(&process).copied().unwrap_or_default()
    }

    /// The ingests of which a discard was begun and never finished.
    pub fn undiscarded(&self) -> BTreeSet<String> {
        self.discarding.borrow().clone()
    }

    /// The blobs that could not be read when they were hashed, since the last call
    /// of this. Whoever hashed them was right to take them for damaged.
    pub fn unreadable(&self) -> BTreeSet<String> {
        self.unreadable.take()
    }

    /// What stands for everything that happened, in order.
    pub fn hash(&self) -> u64 {
        self.hash.get()
    }

    /// The lines, if they were wanted.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone().unwrap_or_default()
    }

    /// Writes down something that is no call.
    pub fn tell(&self, now_ms: u64, who: &str, what: impl FnOnce() -> String) {
        self.mix(who.as_bytes());
        self.mix(&now_ms.to_le_bytes());
        if let Some(lines) = &mut *self.lines.borrow_mut() {
            lines.push(format!("{now_ms:>9} ms  {who:<10} {}", what()));
        }
    }

    fn mix(&self, bytes: &[u8]) {
        // FNV-1a: the constants are the hash.
        let mix = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash.set(bytes.iter().fold(self.hash.get(), mix));
    }

    /// Counts a call, and finds out what strikes it.
    fn struck(&self, call: Call) -> Option<What> {
        self.calls.set(self.calls.get() + 1);
        let number = {
            let mut kinds = self.kinds.borrow_mut();
            let number = kinds.entry(call).or_default();
            *number += 1;
            *number
        };
        let mut weather = self.weather.borrow_mut();
        let is_now = |strike: &Strike| match strike.when {
            When::Call(at) => at == self.calls.get(),
            When::Kind(kind, at) => kind == call && at == number,
        };
        let position = weather.strikes.iter().position(is_now)?;
        Some(weather.strikes.remove(position).what)
    }
}

impl Fate for Seeded {
    fn at(&self, process: u32, now_ms: u64, call: Call, about: &str) -> Verdict {
        if self.is_cut.get() || self.killed.borrow().contains(&process) {
            return Verdict { wait_ms: 0, then: Then::Stop };
        }
        if call == Call::Discard {
            self.discarding.borrow_mut().insert(about.to_owned());
        }
        if call == Call::Send {
            *self.sent.borrow_mut().entry(process).or_default() += 1;
        }
        let struck = self.struck(call);
        let mut dice = self.dice.borrow_mut();
        let weather = self.weather.borrow();
        let mut wait_ms = if weather.wait_ms_max > 0 { dice.below(weather.wait_ms_max + 1) } else { 0 };
        if weather.slow_one_in > 0 && dice.chance(1, weather.slow_one_in) {
            wait_ms = dice.below(SLOW_MS_MAX);
        }
        let mut wait_ms = wait_ms as u64;
        let then = match struck {
            None => Then::Go,
            Some(What::Error) => match errors(call) {
                [] => Then::Go,
                errors => Then::Fail(dice.pick(errors)()),
            },
            Some(What::Slow(ms)) => {
                wait_ms = ms;
                Then::Go
            }
            Some(What::Hang) => {
                self.has_hung.set(true);
                Then::Stop
            }
            Some(What::Kill) => {
                self.killed.borrow_mut().insert(process);
                Then::Stop
            }
            Some(What::Cut) => {
                self.is_cut.set(true);
                Then::Stop
            }
        };
        if call == Call::Verify && struck == Some(What::Error) {
            self.unreadable.borrow_mut().insert(about.to_owned());
        }
        if let Some(what) = struck {
            self.tell(now_ms, &format!("process {process}"), || format!("{call:?} {about} !! {what:?}"));
        }
        Verdict { wait_ms, then }
    }

    fn ended(&self, process: u32, now_ms: u64, call: Call, about: &str, error: Option<&ErrorCode>) {
        if call == Call::Discard && error.is_none() {
            self.discarding.borrow_mut().remove(about);
        }
        self.mix(&[process as u8, call as u8, u8::from(error.is_some())]);
        self.mix(&now_ms.to_le_bytes());
        self.mix(about.as_bytes());
        if let Some(lines) = &mut *self.lines.borrow_mut() {
            let outcome = error.map(|error| format!(" -> {error}")).unwrap_or_default();
            lines.push(format!("{now_ms:>9} ms  process {process:<2} {call:?} {}{outcome}", short(about)));
        }
    }
}

/// Digests are long, and their first digits tell them apart.
fn short(about: &str) -> String {
    match about.find("sha256:") {
        Some(at) => {
            let end = (at + 19).min(about.len());
            let rest = about.get(at + 71..).unwrap_or_default();
            format!("{}{rest}", &about[..end])
        }
        None => about.to_owned(),
    }
}
