//! A host for tests: a registry that answers by a script, with a content store
//! and a clock of its own. It knows neither records nor real logins.

mod clock;
mod reply;
mod store;
mod stream;

use super::{Phase, Repository, Watch};
use crate::{
    host::{Challenge, Departure, Grant, Host, HttpError, Made, Origin, Request, Response, Result, Unfinished, Visit},
    nouns::{
        access::Access,
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        problem::ErrorCode,
        reference::Reference,
    },
};
use clock::Clock;
use futures_util::future::LocalBoxFuture;
pub(crate) use reply::{Reply, broken, reply, silent};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{pending, poll_fn},
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use store::{NoClaim, NoLayer, NoTransaction, ScriptBlob, ScriptIngest, Store};
pub(crate) use stream::{Fate, ScriptStream};

/// A manifest without layers.
pub(crate) const MANIFEST: &str = concat!(
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
    r#""config":{"mediaType":"application/vnd.oci.image.config.v1+json","#,
    r#""digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#
);

/// How long each step of the network takes.
const STEP_MS: u64 = 1;
/// The period of progress reports, which [`Script::slept`] leaves out.
const TICK_MS: u64 = 100;

/// The host.
#[derive(Debug)]
pub(crate) struct Script {
    replies: RefCell<VecDeque<Reply>>,
    requests: RefCell<Vec<Request>>,
    bodies: RefCell<Vec<Vec<u8>>>,
    challenges: RefCell<Vec<(Origin, Challenge)>>,
    visits: RefCell<Vec<Visit>>,
    login_error: RefCell<Option<ErrorCode>>,
    is_logged_in: Cell<bool>,
    slept: RefCell<Vec<u64>>,
    late: RefCell<Option<(usize, String, Vec<u8>)>>,
    unreadable: Cell<bool>,
    dice: Cell<u64>,
    clock: Rc<Clock>,
    store: Rc<Store>,
}

impl Script {
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Script {
            replies: RefCell::new(replies.into_iter().collect()),
            requests: RefCell::default(),
            bodies: RefCell::default(),
            challenges: RefCell::default(),
            visits: RefCell::default(),
            login_error: RefCell::default(),
            is_logged_in: Cell::default(),
            slept: RefCell::default(),
            late: RefCell::default(),
            unreadable: Cell::default(),
            dice: Cell::new(0x9e37_79b9_7f4a_7c15),
            clock: Rc::default(),
            store: Rc::default(),
        }
    }

    /// Runs a future to its end. Time passes when nothing else can happen.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return done;
            }
            if !woken.0.swap(false, Ordering::Relaxed) {
                self.clock.step();
            }
        }
    }

    pub(crate) fn repository(&self, name: &str) -> Repository<'_, Self> {
        self.by(name, &Access::default())
    }

    /// The same, to push to.
    pub(crate) fn home(&self, name: &str, sources: &[&str]) -> Repository<'_, Self> {
        let reference = Reference::parse(name).expect("the test names a repository");
        let sources = sources.iter().map(|&source| source.to_owned()).collect();
        Repository::open_home(self, &reference, &Access::default(), &sources).expect("nothing blocks it")
    }

    /// The same, spoken to in another way.
    pub(crate) fn by(&self, name: &str, access: &Access) -> Repository<'_, Self> {
        let reference = Reference::parse(name).expect("the test names a repository");
        Repository::open(self, &reference, access).expect("nothing blocks it")
    }

    /// Makes every call of `authorize` fail.
    pub(crate) fn deny_logins(&self, code: ErrorCode) {
        self.login_error.replace(Some(code));
    }

    /// Has a login, which anonymous visits do without.
    pub(crate) fn log_in(&self) {
        self.is_logged_in.set(true);
    }

    pub(crate) fn visits(&self) -> Vec<Visit> {
        self.visits.borrow().clone()
    }

    /// Leaves no space in the store.
    pub(crate) fn fill_disk(&self) {
        self.store.is_full.set(true);
    }

    /// Puts a verified blob into the store.
    pub(crate) fn keep(&self, bytes: &[u8]) {
        self.store.blobs.borrow_mut().insert(Digest::of(Algorithm::Sha256, bytes).to_string(), bytes.to_vec());
    }

    /// Lets no part of a blob be read that is to go out.
    pub(crate) fn forget_bytes(&self) {
        self.unreadable.set(true);
    }

    /// Puts what an earlier run received into an ingest.
    pub(crate) fn keep_part(&self, what: &Descriptor, bytes: &[u8]) {
        self.store.ingests.borrow_mut().insert(what.digest.to_string(), bytes.to_vec());
    }

    /// Lets somebody else finish a blob while the next call waits for its ingest.
    pub(crate) fn finish_meanwhile(&self, bytes: &[u8]) {
        self.store.finished_meanwhile.borrow_mut().push_front(Some(bytes.to_vec()));
    }

    /// Lets somebody else finish a blob between the next call of `ingest` and
    /// the one after it.
    pub(crate) fn finish_before_repetition(&self, bytes: &[u8]) {
        self.store.finished_meanwhile.borrow_mut().extend([None, Some(bytes.to_vec())]);
    }

    /// Damages a blob in the store: it has these bytes from now on.
    pub(crate) fn damage(&self, what: &Descriptor, bytes: &[u8]) {
        self.store.blobs.borrow_mut().insert(what.digest.to_string(), bytes.to_vec());
    }

    /// Lets somebody else hold the ingest that the next call asks for.
    pub(crate) fn hold_meanwhile(&self, ms: u64) {
        self.store.held_ms.set(ms);
    }

    /// Lets bytes of an append that was dropped land while the request of this
    /// number, counted from 0, is on its way.
    pub(crate) fn land_late(&self, request: usize, what: &Descriptor, bytes: &[u8]) {
        self.late.replace(Some((request, what.digest.to_string(), bytes.to_vec())));
    }

    /// The bytes of a blob, if the store has it.
    pub(crate) fn kept(&self, what: &Descriptor) -> Option<Vec<u8>> {
        self.store.blobs.borrow().get(what.digest.as_str()).cloned()
    }

    /// The bytes of an ingest, if there is one.
    pub(crate) fn part(&self, what: &Descriptor) -> Option<Vec<u8>> {
        self.store.ingests.borrow().get(what.digest.as_str()).cloned()
    }

    /// What happened to ingests, but for appends.
    pub(crate) fn log(&self) -> Vec<String> {
        self.store.log.borrow().clone()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    /// What each request carried, as far as it was taken.
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        self.bodies.borrow().clone()
    }

    /// The values of one header, request by request.
    pub(crate) fn sent(&self, name: &str) -> Vec<Option<String>> {
        let value = |request: &Request| Some(request.headers.iter().find(|(key, _)| key == name)?.1.clone());
        self.requests.borrow().iter().map(value).collect()
    }

    pub(crate) fn grants_sent(&self) -> Vec<Option<String>> {
        self.sent("wharf-grant")
    }

    pub(crate) fn challenges(&self) -> Vec<(Origin, Challenge)> {
        self.challenges.borrow().clone()
    }

    /// The waits that ran to their end, in milliseconds, without the ticks of progress.
    pub(crate) fn slept(&self) -> Vec<u64> {
        self.slept.borrow().clone()
    }

    fn step(&self) -> impl Future<Output = ()> + use<> {
        self.clock.clone().wait(STEP_MS)
    }
}

impl Host for Script {
    type Stream = ScriptStream;
    type Claim = NoClaim;
    type TreeClaim = NoClaim;
    type Ingest = ScriptIngest;
    type Blob = ScriptBlob;
    type Layer = NoLayer;
    type Extraction = NoLayer;
    type Snapshot = NoLayer;
    type Top = crate::host::NoTop<Self::Stream, Self::Blob, Self::Snapshot>;
    type Transaction = NoTransaction;
    type Grant = ScriptGrant;

    async fn open(&self, digest: &Digest) -> Result<ScriptBlob> {
        let blobs = self.store.blobs.borrow();
        blobs.get(digest.as_str()).map(|bytes| ScriptBlob(bytes.clone())).ok_or(ErrorCode::NotFound)
    }

    async fn sync(&self) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, digest: &Digest) -> Result<()> {
        self.store.blobs.borrow_mut().remove(digest.as_str());
        Ok(())
    }

    async fn claim(&self, _: &[Digest]) -> Result<NoClaim> {
        Err(ErrorCode::Unsupported)
    }

    async fn ingests(&self, _: Option<&str>, _: u32) -> Result<Vec<Unfinished>> {
        Err(ErrorCode::Unsupported)
    }

    async fn discard(&self, _: &str) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn blobs(&self, _: Option<&Digest>, _: u32) -> Result<Vec<(Digest, u64)>> {
        Err(ErrorCode::Unsupported)
    }

    async fn ingest(&self, name: &str) -> Result<ScriptIngest> {
        self.clock.clone().wait(self.store.held_ms.take()).await;
        if let Some(bytes) = self.store.finished_meanwhile.borrow_mut().pop_front().flatten() {
            self.keep(&bytes);
            self.store.ingests.borrow_mut().remove(name);
        }
        self.store.ingests.borrow_mut().entry(name.to_owned()).or_default();
        Ok(ScriptIngest {
            name: name.to_owned(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            busy: Cell::new(false),
        })
    }

    fn stream(&self, bytes: Vec<u8>) -> ScriptStream {
        ScriptStream::new(bytes, Fate::Whole)
    }

    async fn collect(&self, mut stream: ScriptStream, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(some) = stream.next(&self.clock, usize::MAX).await {
            bytes.extend(some);
            if bytes.len() as u64 > limit {
                return Err(ErrorCode::TooLarge(limit));
            }
        }
        Ok(bytes)
    }

    async fn layer(&self, _: &Digest) -> Result<NoLayer> {
        Err(ErrorCode::Unsupported)
    }

    async fn unpack(&self, _: &ScriptBlob, _: &Digest) -> Made<NoLayer> {
        Err(ErrorCode::Unsupported.into())
    }

    fn follow(&self, _: &ScriptIngest) -> NoLayer {
        unreachable!("downloads show an ingest and do not follow it")
    }

    async fn stack(&self, _: &Digest, _: Option<&NoLayer>, _: &NoLayer) -> Made<NoLayer> {
        Err(ErrorCode::Unsupported.into())
    }

    async fn snapshot(&self, _: &Digest) -> Result<NoLayer> {
        Err(ErrorCode::Unsupported)
    }

    async fn sync_layers(&self) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn snapshots(&self, _: Option<&str>, _: u32) -> Result<Vec<String>> {
        Err(ErrorCode::Unsupported)
    }

    async fn layers(&self, _: Option<&Digest>, _: u32) -> Result<Vec<Digest>> {
        Err(ErrorCode::Unsupported)
    }

    async fn remove_snapshot(&self, _: &str) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn remove_layer(&self, _: &Digest) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn claim_trees(&self, _: &[String], _: &[Digest]) -> Result<NoClaim> {
        Err(ErrorCode::Unsupported)
    }

    async fn mounted(&self) -> Result<Vec<String>> {
        Err(ErrorCode::Unsupported)
    }

    async fn revoke_snapshot(&self, _: &str) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn revoke_layer(&self, _: &Digest) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }

    async fn begin(&self) -> Result<NoTransaction> {
        Err(ErrorCode::Unsupported)
    }

    async fn authorize(
        &self,
        registry: &Origin,
        _repository: Option<&str>,
        challenge: &Challenge,
        visit: Visit,
    ) -> Result<ScriptGrant> {
        self.step().await;
        self.challenges.borrow_mut().push((registry.clone(), challenge.clone()));
        self.visits.borrow_mut().push(visit);
        let is_logged_in = self.is_logged_in.get() && visit == Visit::WithLogin;
        match self.login_error.borrow().clone() {
            Some(code) if visit == Visit::WithLogin || !self.is_logged_in.get() => Err(code),
            _ => Ok(ScriptGrant { id: format!("grant-{}", self.challenges.borrow().len()), anonymous: !is_logged_in }),
        }
    }

    async fn send(&self, request: Request) -> std::result::Result<Response<ScriptStream>, HttpError> {
        self.send_body(request, ScriptStream::new(Vec::new(), Fate::Whole)).await
    }

    fn depart(&self, blob: &ScriptBlob, offset: u64, length: u64) -> Departure<ScriptStream> {
        let body = ScriptStream::new(blob.0[offset as usize..][..length as usize].to_vec(), Fate::Whole);
        let taken = body.passed.clone();
        let is_damaged = self.unreadable.get();
        let end = async move { if is_damaged { Err(ErrorCode::SizeMismatch(0)) } else { Ok(()) } };
        Departure { body, taken: Box::new(move || taken.get() as u64), end: Box::pin(end) }
    }

    async fn send_body(
        &self,
        request: Request,
        mut body: ScriptStream,
    ) -> std::result::Result<Response<ScriptStream>, HttpError> {
        let asked = format!("{} {}", request.origin.authority, request.path);
        self.requests.borrow_mut().push(request);
        self.bodies.borrow_mut().push(Vec::new());
        let number = self.requests.borrow().len() - 1;
        let reply = self.replies.borrow_mut().pop_front();
        self.step().await;
        if let Some((_, name, bytes)) = self.late.borrow_mut().take_if(|(request, ..)| *request == number) {
            self.store.ingests.borrow_mut().entry(name).or_default().extend(bytes);
        }
        let mut reply = reply.unwrap_or_else(|| panic!("nobody expected `{asked}`"));
        let mut most = usize::MAX;
        if let Reply::After(bytes, then) = reply {
            (most, reply) = (bytes, *then);
        }
        while most > 0
            && let Some(bytes) = body.next(&self.clock, most).await
        {
            most -= bytes.len();
            self.bodies.borrow_mut()[number].extend(bytes);
        }
        let (status, headers, bytes, fate) = match reply {
            Reply::Answer { status, headers, body, fate } => (status, headers, body, fate),
            Reply::Broken(error) => return Err(error),
            Reply::Silent | Reply::After(..) => return pending().await,
        };
        let body = ScriptStream::new(bytes, fate);
        let over = body.over.clone();
        let end: LocalBoxFuture<'static, _> = Box::pin(poll_fn(move |_| match (over.get(), fate) {
            (false, _) => Poll::Pending,
            (true, Fate::Cut(_)) => Poll::Ready(Err(HttpError::Broken("reset".to_owned()))),
            (true, _) => Poll::Ready(Ok(())),
        }));
        Ok(Response { status, headers, body, end })
    }

    fn clock(&self) -> (i64, u32) {
        // Sun, 06 Nov 1994 08:49:37 GMT.
        (784_111_777 + (self.uptime_ms() / 1_000) as i64, 0)
    }

    fn uptime_ms(&self) -> u64 {
        self.clock.now_ms.get()
    }

    async fn sleep(&self, ms: u64) {
        self.clock.clone().wait(ms).await;
        if ms != TICK_MS {
            self.slept.borrow_mut().push(ms);
        }
    }

    fn random(&self) -> u64 {
        // SplitMix64's step is random enough for jitter.
        self.dice.set(self.dice.get().wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(1));
        self.dice.get() >> 17
    }
}

/// A grant, with a login or without.
#[derive(Debug)]
pub(crate) struct ScriptGrant {
    id: String,
    anonymous: bool,
}

impl Grant for ScriptGrant {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn anonymous(&self) -> bool {
        self.anonymous
    }
}

/// A watch that remembers.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    pub(crate) phases: RefCell<Vec<(Phase, u64)>>,
    pub(crate) warnings: RefCell<Vec<String>>,
}

impl Witness {
    /// The phases, each once in a row.
    pub(crate) fn story(&self) -> Vec<Phase> {
        let mut story: Vec<Phase> = self.phases.borrow().iter().map(|&(phase, _)| phase).collect();
        story.dedup();
        story
    }
}

impl Watch for Witness {
    fn progress(&self, phase: Phase, received: u64) {
        self.phases.borrow_mut().push((phase, received));
    }

    fn warning(&self, text: String) {
        self.warnings.borrow_mut().push(text);
    }
}
