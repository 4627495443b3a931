//! Whom to ask now, for one thing: the endpoints one after the other, and when
//! all of them have failed, all of them again after a wait. It sends nothing.
//!
//! ```text
//! round 1   mirror ✗ ─► mirror ✗ ─► registry ✗ ─► wait as `retry` says
//! round 2   mirror rests ───────► registry ✓
//! ```
//!
//! With one endpoint a round is an attempt. An endpoint that failed by its own
//! fault rests for a while and is passed over, unless nobody else is left. Plain
//! HTTP after TLS is a last resort: only where the same server could not be
//! reached by TLS, and never once it could.

use super::{
    Failure, Repository,
    failure::{Blame, Fault},
    retry::{Again, Retry},
    server::{Common, Server},
};
use crate::{
    host::Host,
    nouns::{
        access::{AskedFor, Capabilities},
        problem::ErrorCode,
    },
    planted::{Bug, has},
};
use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

/// What an endpoint has to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// To say what a tag points to, or which tags there are.
    Resolve,
    /// To hand out what has a digest.
    Pull,
    /// To take what is pushed.
    Push,
}

impl Need {
    /// Of a manifest by tag or by digest.
    pub(super) fn of(which: &str) -> Self {
        if which.contains(':') { Need::Pull } else { Need::Resolve }
    }

    fn is_met(self, capabilities: Capabilities, asked_for: AskedFor) -> bool {
        match self {
            Need::Resolve => capabilities.resolve && asked_for != AskedFor::Digests,
            Need::Pull => capabilities.pull,
            Need::Push => capabilities.push,
        }
    }
}

/// The endpoints on their way to one thing.
pub(super) struct Rounds<'r, 'h, H: Host> {
    common: &'r Rc<Common<'h, H>>,
    servers: &'r [Server<'h, H>],
    need: Need,
    retry: Retry,
    /// Those that are still to be asked in this round; the first one is asked now.
    queue: VecDeque<usize>,
    /// What each of them failed of last.
    failed: BTreeMap<usize, Fault>,
    /// Those that are known to send something else than what was asked for.
    liars: Vec<usize>,
}

impl<'r, 'h, H: Host> Rounds<'r, 'h, H> {
    /// Without progress there are `attempts_max` rounds.
    ///
    /// Fails if the configuration leaves nobody to ask.
    pub(super) fn new(repository: &'r Repository<'h, H>, need: Need, attempts_max: u32) -> Result<Self, Failure> {
        let Repository { common, servers } = repository;
        if !servers.iter().any(|server| need.is_met(server.endpoint.capabilities, server.endpoint.asked_for)) {
            return Err(nobody(need, &common.name));
        }
        let retry = Retry::new(common.host, attempts_max);
        let (queue, failed, liars) = (VecDeque::new(), BTreeMap::new(), Vec::new());
        let mut rounds = Rounds { common, servers, need, retry, queue, failed, liars };
        rounds.begin();
        if rounds.queue.is_empty() { Err(nobody(need, &common.name)) } else { Ok(rounds) }
    }

    /// Whether there will be another request after this failure, as far as that
    /// is known.
    pub(super) fn goes_on(&self, fault: &Fault) -> bool {
        fault.again != Again::Never || (fault.blame != Blame::Here && self.has_next())
    }

    /// Returns whom to ask now.
    pub(super) fn server(&self) -> &'r Server<'h, H> {
        &self.servers[self.at()]
    }

    /// Something arrived that was not here before.
    pub(super) fn progress(&mut self) {
        self.retry.progress(self.common.host);
    }

    /// The endpoint did what it was asked for.
    pub(super) fn succeeded(&self) {
        self.server().health.recovered();
    }

    /// Returns which of the endpoints is asked now.
    pub(super) fn at(&self) -> usize {
        self.queue.front().copied().unwrap_or(self.servers.len() - 1)
    }

    /// Whether somebody else is asked in this round if this one fails.
    pub(super) fn has_next(&self) -> bool {
        self.queue.len() > 1
    }

    /// What the `senders` sent was not what was asked for, although it seemed to
    /// be. Of several the mirrors among them are to blame, as far as anybody
    /// knows; of none, an earlier run. The others are asked first from now on.
    /// Returns whether that is news, and there are any.
    pub(super) fn distrust(&mut self, senders: &[usize]) -> bool {
        let mirrors = senders.iter().copied().filter(|&at| self.servers[at].endpoint.mirror);
        let mut liars: Vec<usize> = mirrors.filter(|at| !self.liars.contains(at)).collect();
        if !senders.is_empty() && !senders.iter().any(|&at| self.servers[at].endpoint.mirror) {
            liars.extend(Some(self.at()).filter(|at| !self.liars.contains(at)));
        }
        let is_news = !liars.is_empty();
        self.liars.extend(liars);
        let front = self.at();
        self.queue.retain(|at| !self.liars.contains(at));
        if self.queue.is_empty() {
            self.begin();
        }
        is_news && !self.liars.contains(&self.queue.front().copied().unwrap_or(front))
    }

    /// Notes that the endpoint failed. Goes on to the next one at once, or waits
    /// for the next round, or fails with what all of them failed of. A wait that
    /// a person would notice is told to `voice`.
    pub(super) async fn failed(&mut self, voice: &dyn Fn(String), fault: Fault) -> Result<(), Failure> {
        let host = self.common.host;
        let at = self.queue.pop_front().unwrap_or(self.servers.len() - 1);
        let server = &self.servers[at];
        if matches!(fault.blame, Blame::Server | Blame::Tls) {
            let peace_ms = match &fault.again {
                Again::After { ms, .. } => *ms,
                _ => 0,
            };
            server.health.failed(host.uptime_ms(), peace_ms);
        }
        // Once it was reached by TLS, the same server without it may be somebody else.
        server.is_plain.set(fault.blame == Blame::Tls && !server.has_tls.get());
        if !server.is_plain.get() && !has(Bug::PlainAfterTls) {
            self.queue.retain(|&next| !(next == at + 1 && self.servers[next].endpoint.fallback));
        }
        self.failed.insert(at, fault.clone());
        // A full disk or a stopped call is no matter of who sends.
        let is_ours = fault.blame == Blame::Here;
        if !is_ours
            && !has(Bug::MirrorIsFinal)
            && let Some(&next) = self.queue.front()
        {
            // That a mirror lacks something is nothing to be told of.
            if fault.failure.code != ErrorCode::NotFound && !server.is_told.replace(true) {
                let (from, to) = (server.url(), self.servers[next].url());
                self.common.say(format!("`{from}` failed; asking `{to}`: {}", fault.failure.why.join(": ")));
            }
            return Ok(());
        }
        let fault = if is_ours { fault } else { self.verdict(fault) };
        let own_words = fault.failure.why.len();
        if let Err(failure) = self.retry.wait(host, voice, fault).await {
            return Err(if is_ours { failure } else { self.sum_up(failure, own_words) });
        }
        self.begin();
        if self.queue.is_empty() { Err(nobody(self.need, &self.common.name)) } else { Ok(()) }
    }

    /// Lists who is to be asked in a new round.
    fn begin(&mut self) {
        let now_ms = self.common.host.uptime_ms();
        let is_able = |at: &usize| {
            let endpoint = &self.servers[*at].endpoint;
            self.need.is_met(endpoint.capabilities, endpoint.asked_for)
        };
        let able: Vec<usize> = (0..self.servers.len()).filter(is_able).collect();
        let awake = |at: &usize| !self.servers[*at].health.is_resting(now_ms);
        let (honest, liars): (Vec<usize>, Vec<usize>) = able.iter().partition(|at| !self.liars.contains(at));
        // The last one is the registry itself, and is asked in every round.
        let last = honest.last().copied();
        self.queue.clear();
        for at in honest {
            let server = &self.servers[at];
            let is_asked = match server.endpoint.fallback {
                // Behind its TLS twin, which decides whether it is asked, or because there is no TLS.
                true if able.contains(&(at - 1)) => {
                    self.queue.back() == Some(&(at - 1)) || self.servers[at - 1].is_plain.get()
                }
                // The twin is not for this, which makes it no safer once it speaks TLS.
                true => !self.servers[at - 1].has_tls.get(),
                false => awake(&at) || (self.is_last(at, last) && !(server.is_plain.get() && self.has_fallback(at))),
            };
            if is_asked {
                self.queue.push_back(at);
            }
        }
        self.queue.extend(liars);
    }

    /// Whether the endpoint is the registry itself: the last one, or its TLS twin.
    fn is_last(&self, at: usize, last: Option<usize>) -> bool {
        last.is_some_and(|last| last == at || (last == at + 1 && self.servers[last].endpoint.fallback))
    }

    /// Whether the same server may be asked without TLS.
    fn has_fallback(&self, at: usize) -> bool {
        self.servers.get(at + 1).is_some_and(|next| next.endpoint.fallback)
    }

    /// Returns the failure that counts, of a round whose last one was `last`: that
    /// of the registry itself. What it could not answer may be tried again where
    /// that may help.
    fn verdict(&self, last: Fault) -> Fault {
        let own = self.failed.iter().rfind(|(at, _)| !self.servers[**at].endpoint.mirror);
        let mut fault = own.map_or(last, |(_, fault)| fault.clone());
        if fault.again == Again::Never && fault.failure.code == ErrorCode::Unavailable {
            let passing = self.failed.values().find(|fault| fault.again != Again::Never);
            fault.again = passing.map_or(Again::Never, |passing| passing.again.clone());
        }
        fault
    }

    /// Says what every endpoint failed of. What `failure` says beyond its own
    /// words is about all of them.
    fn sum_up(&mut self, failure: Failure, own_words: usize) -> Failure {
        if self.failed.len() < 2 {
            return failure;
        }
        let Failure { code, mut why, fix } = failure;
        let about_all = why.split_off(own_words.min(why.len()));
        let told =
            |(at, fault): (&usize, &Fault)| format!("`{}`: {}", self.servers[*at].url(), fault.failure.why.join(": "));
        Failure { code, why: self.failed.iter().map(told).chain(about_all).collect(), fix }
    }
}

impl<'h, H: Host> Repository<'h, H> {
    /// Acts at one endpoint after the other until it succeeds or patience ends,
    /// which it does after `attempts_max` rounds at the latest.
    pub(super) async fn persist<T>(
        &self,
        need: Need,
        attempts_max: u32,
        mut act: impl AsyncFnMut(&Server<'h, H>) -> Result<T, Fault>,
    ) -> Result<T, Failure> {
        let mut rounds = Rounds::new(self, need, attempts_max)?;
        loop {
            match act(rounds.server()).await {
                Ok(done) => {
                    rounds.succeeded();
                    return Ok(done);
                }
                Err(fault) => rounds.failed(&|text| self.common.say(text), fault).await?,
            }
        }
    }
}

/// Says that the configuration leaves nobody to ask.
fn nobody(need: Need, name: &str) -> Failure {
    let why = match need {
        Need::Resolve => {
            format!("the configuration of this machine names nobody to ask for what a tag points to of `{name}`")
        }
        Need::Pull => format!("the configuration of this machine names nobody to ask for blobs of `{name}`"),
        Need::Push => format!("the configuration of this machine names nobody to push `{name}` to"),
    };
    Failure { fix: Some(format!("wharf explain {name}")), ..Failure::new(ErrorCode::Denied, why) }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod stories;
