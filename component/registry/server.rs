//! One endpoint of a repository, with what is known of it: the grant for it, and
//! how it is. It sends nothing by itself: see `request`.

use super::{
    endpoint::Endpoint,
    failure::{Fault, shown},
    health::Health,
    limit::Limit,
    retry::Retry,
    warning,
};
use crate::{
    host::{Challenge, Host, HttpError, Origin},
    nouns::access::Access,
};
use futures_util::lock::Mutex;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
};

/// So many origins that have answered are remembered. More are only reached by
/// redirects, and cost patience with their names.
const ORIGINS_MAX: usize = 64;
/// No silence that is asked for is longer, in milliseconds: one day.
pub(super) const SILENCE_MS_MAX: u64 = 86_400_000;
/// So many different warnings are passed on.
const WARNINGS_MAX: usize = 16;

/// What the endpoints of a repository share.
pub(super) struct Common<'h, H> {
    pub(super) host: &'h H,
    /// The repository as people know it, as in `docker.io/library/alpine`.
    pub(super) name: String,
    /// How often something is tried without progress.
    pub(super) attempts_max: u32,
    /// After so long without a byte a request is given up.
    pub(super) silence_ms: u64,
    /// Who has answered so far, as far as it is remembered: their names are
    /// spelled right.
    answered: RefCell<Vec<Origin>>,
    warned: RefCell<BTreeSet<String>>,
    limit: RefCell<Option<Limit>>,
    /// What a push needs, as scopes of tokens; none if nothing is pushed.
    pub(super) rights: Vec<String>,
    /// Is held by whoever reads a list that clients keep, and writes it again.
    pub(super) lists: Mutex<()>,
    voice: RefCell<Box<dyn Fn(String) + 'h>>,
}

impl<'h, H> Common<'h, H> {
    pub(super) fn new(host: &'h H, name: String, access: &Access, rights: Vec<String>) -> Self {
        Common {
            rights,
            host,
            name,
            attempts_max: access.retries.saturating_add(1),
            silence_ms: access.silence_ms.clamp(1, SILENCE_MS_MAX),
            answered: RefCell::default(),
            warned: RefCell::default(),
            limit: RefCell::default(),
            lists: Mutex::new(()),
            voice: RefCell::new(Box::new(|_| {})),
        }
    }

    pub(super) fn hear(&self, voice: impl Fn(String) + 'h) {
        *self.voice.borrow_mut() = Box::new(voice);
    }

    /// Whether it is about more than reading.
    pub(super) fn is_push(&self) -> bool {
        !self.rights.is_empty()
    }

    /// Tells a person a sentence.
    pub(super) fn say(&self, text: String) {
        (self.voice.borrow())(text);
    }

    /// Tells a sentence, unless it was told before.
    pub(super) fn say_once(&self, text: String) {
        let is_news = {
            let mut warned = self.warned.borrow_mut();
            warned.len() < WARNINGS_MAX && warned.insert(text.clone())
        };
        if is_news {
            self.say(text);
        }
    }

    pub(super) fn limit(&self) -> Option<Limit> {
        self.limit.borrow().clone()
    }

    pub(super) fn has_answered(&self, origin: &Origin) -> bool {
        self.answered.borrow().contains(origin)
    }

    pub(super) fn note_answer(&self, origin: &Origin) {
        let mut answered = self.answered.borrow_mut();
        if answered.len() < ORIGINS_MAX && !answered.contains(origin) {
            answered.push(origin.clone());
        }
    }
}

/// One endpoint.
pub(super) struct Server<'h, H: Host> {
    pub(super) common: Rc<Common<'h, H>>,
    pub(super) endpoint: Endpoint,
    pub(super) grant: RefCell<Option<Rc<H::Grant>>>,
    /// The challenge that the grant answers.
    pub(super) challenge: RefCell<Option<Challenge>>,
    /// Whether the login was refused, and going on without it helped.
    pub(super) is_anonymous: Cell<bool>,
    /// Whether that was of no use, so that the login is what counts.
    pub(super) needs_login: Cell<bool>,
    /// Whether it was tried by TLS, and never answered.
    pub(super) is_plain: Cell<bool>,
    /// Whether it was heard by TLS, if only to be refused. That is never
    /// forgotten.
    pub(super) has_tls: Cell<bool>,
    /// Whether a person knows that it failed.
    pub(super) is_told: Cell<bool>,
    /// Held by the call that answers a challenge.
    pub(super) renewal: Mutex<()>,
    pub(super) health: Health,
}

impl<'h, H: Host> Server<'h, H> {
    pub(super) fn new(common: &Rc<Common<'h, H>>, endpoint: Endpoint) -> Self {
        Server {
            common: common.clone(),
            endpoint,
            grant: RefCell::default(),
            challenge: RefCell::default(),
            is_anonymous: Cell::default(),
            needs_login: Cell::default(),
            is_plain: Cell::default(),
            has_tls: Cell::default(),
            is_told: Cell::default(),
            renewal: Mutex::new(()),
            health: Health::default(),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn host(&self) -> &'h H {
        self.common.host
    }

    /// Returns where requests go, as in `https://registry.lan`.
    pub(super) fn url(&self) -> String {
        let Origin { secure, authority } = &self.endpoint.origin;
        format!("{}://{authority}", if *secure { "https" } else { "http" })
    }

    /// Acts until it succeeds or patience with this endpoint ends.
    pub(super) async fn patiently<T>(
        &self,
        attempts_max: u32,
        mut act: impl AsyncFnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut retry = Retry::new(self.host(), attempts_max);
        loop {
            match act().await {
                Ok(done) => return Ok(done),
                Err(fault) => retry.wait(self.host(), &|text| self.common.say(text), fault).await?,
            }
        }
    }

    /// Says what it means that no whole response came from `origin`.
    pub(super) fn fault(&self, error: &HttpError, origin: &Origin) -> Fault {
        if matches!(error, HttpError::Certificate(..) | HttpError::Client(_)) && *origin == self.endpoint.origin {
            self.has_tls.set(true);
        }
        Fault::of_http(error, origin, &self.endpoint, self.common.has_answered(origin))
    }

    /// Tells the warnings of a response. RFC 7234 section 5.5: 299 is what a
    /// registry has to say to people.
    pub(super) fn pass_on(&self, headers: &[(String, String)]) {
        for (_, value) in headers.iter().filter(|(name, _)| name == "warning") {
            for text in warning::texts(value).iter().map(|text| shown(text)).filter(|text| !text.is_empty()) {
                self.common.say_once(format!("`{}` says: {text}", self.endpoint.registry));
            }
        }
    }

    /// Remembers what a response says about how often the registry may be asked,
    /// and tells it when hardly anything is left.
    pub(super) fn note_limit(&self, headers: &[(String, String)]) {
        let Some(limit) = Limit::read(&self.endpoint.registry, headers) else { return };
        if limit.is_nearly_spent() {
            self.common.say_once(format!(
                "`{}` allows {} pulls, and few are left; it refuses more for a while",
                limit.registry, limit.limit
            ));
        }
        *self.common.limit.borrow_mut() = Some(limit);
    }
}
