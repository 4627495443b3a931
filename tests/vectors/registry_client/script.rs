//! A host whose registry answers from a list, at once, and whose clock moves
//! when somebody waits. It keeps one blob, and knows no records and no logins.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use wharf_component::host::{
    Blob, Challenge, Claim, Departure, Extraction, Grant, Host, HttpError, Ingest, Layer, Made, NoTop, Origin, Request,
    Response, Result, Snapshot, Transaction, TreeClaim, Unfinished, Visit,
};
use wharf_component::nouns::access::Access;
use wharf_component::nouns::digest::Digest;
use wharf_component::nouns::problem::ErrorCode;
use wharf_component::nouns::reference::Reference;
use wharf_component::registry::Repository;

/// What the registry does with one request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// Answers. The connection may break behind the last byte of the body.
    Answer { status: u16, headers: Vec<(String, String)>, body: Vec<u8>, breaks: bool },
    /// Cannot be reached.
    Broken(HttpError),
}

impl Reply {
    /// An answer without headers or body.
    pub(super) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Vec::new(), breaks: false }
    }

    /// Reads a response as it is on the wire, where the length that it declares
    /// ends it.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("{text:?} is not a response");
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(wrong)?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(wrong)?;
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let length =
            headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
        let body = &body.as_bytes()[..length.unwrap_or(body.len()).min(body.len())];
        Ok(Self::Answer { status, headers, body: body.to_vec(), breaks: false })
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(super) fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Self::Answer { body, .. } = &mut self {
            *body = bytes.into();
        }
        self
    }

    /// Breaks the connection behind the body.
    pub(super) fn broken(mut self) -> Self {
        if let Self::Answer { breaks, .. } = &mut self {
            *breaks = true;
        }
        self
    }
}

/// The host.
#[derive(Debug)]
pub(super) struct Script {
    /// In their order; the last one is the answer to everything else.
    replies: RefCell<VecDeque<Reply>>,
    requests: RefCell<Vec<Request>>,
    challenges: RefCell<Vec<Challenge>>,
    now_ms: Cell<u64>,
    /// What has arrived of the blob.
    arrived: Rc<RefCell<Vec<u8>>>,
}

impl Script {
    pub(super) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            replies: RefCell::new(replies.into_iter().collect()),
            requests: RefCell::default(),
            challenges: RefCell::default(),
            now_ms: Cell::default(),
            arrived: Rc::default(),
        }
    }

    /// Opens the repository `path` of `registry`, which may look like a
    /// namespace of docker.io.
    pub(super) fn repository(
        &self,
        registry: &str,
        path: &str,
        access: &Access,
    ) -> std::result::Result<Repository<'_, Self>, String> {
        let name = format!("{registry}/{path}");
        let reference = Reference::parse_canonical(&name).map_err(|error| format!("`{name}`: {error}"))?;
        Repository::open(self, &reference, access).map_err(|failure| failure.why.join(": "))
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    pub(super) fn challenges(&self) -> Vec<Challenge> {
        self.challenges.borrow().clone()
    }
}

/// Runs a future to its end. Nothing here ever has to be waited for.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("whatever the host does is done at once"),
    }
}

impl Host for Script {
    type Stream = Vec<u8>;
    type Claim = NoClaim;
    type TreeClaim = NoClaim;
    type Ingest = Arriving;
    type Blob = Kept;
    type Layer = NoLayer;
    type Extraction = NoLayer;
    type Snapshot = NoLayer;
    type Top = NoTop<Self::Stream, Self::Blob, Self::Snapshot>;
    type Transaction = NoTransaction;
    type Grant = Anonymous;

    async fn open(&self, _: &Digest) -> Result<Kept> {
        Err(ErrorCode::NotFound)
    }

    async fn sync(&self) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, _: &Digest) -> Result<()> {
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

    async fn ingest(&self, _: &str) -> Result<Arriving> {
        Ok(Arriving(self.arrived.clone()))
    }

    fn stream(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    async fn collect(&self, stream: Vec<u8>, limit: u64) -> Result<Vec<u8>> {
        if stream.len() as u64 > limit { Err(ErrorCode::TooLarge(limit)) } else { Ok(stream) }
    }

    async fn layer(&self, _: &Digest) -> Result<NoLayer> {
        Err(ErrorCode::Unsupported)
    }

    async fn unpack(&self, _: &Kept, _: &Digest) -> Made<NoLayer> {
        Err(ErrorCode::Unsupported.into())
    }

    fn follow(&self, _: &Arriving) -> NoLayer {
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

    async fn authorize(&self, _: &Origin, _: Option<&str>, challenge: &Challenge, _: Visit) -> Result<Anonymous> {
        self.challenges.borrow_mut().push(challenge.clone());
        Ok(Anonymous)
    }

    async fn send(&self, request: Request) -> std::result::Result<Response<Vec<u8>>, HttpError> {
        self.requests.borrow_mut().push(request);
        let mut replies = self.replies.borrow_mut();
        let reply = if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() };
        match reply.expect("a script has a reply") {
            Reply::Answer { status, headers, body, breaks } => {
                let end = if breaks { Err(HttpError::Broken("reset".to_owned())) } else { Ok(()) };
                Ok(Response { status, headers, body, end: Box::pin(std::future::ready(end)) })
            }
            Reply::Broken(error) => Err(error),
        }
    }

    fn depart(&self, blob: &Kept, offset: u64, length: u64) -> Departure<Vec<u8>> {
        let at = |bytes: u64| usize::try_from(bytes).expect("a script has short blobs");
        let body = blob.0[at(offset)..at(offset + length)].to_vec();
        Departure { body, taken: Box::new(move || length), end: Box::pin(std::future::ready(Ok(()))) }
    }

    async fn send_body(&self, request: Request, _: Vec<u8>) -> std::result::Result<Response<Vec<u8>>, HttpError> {
        self.send(request).await
    }

    fn clock(&self) -> (i64, u32) {
        (0, 0)
    }

    fn uptime_ms(&self) -> u64 {
        self.now_ms.get()
    }

    async fn sleep(&self, ms: u64) {
        self.now_ms.set(self.now_ms.get() + ms);
    }

    fn random(&self) -> u64 {
        0
    }
}

/// Whoever asks may.
#[derive(Debug)]
pub(super) struct Anonymous;

impl Grant for Anonymous {
    fn id(&self) -> String {
        "anonymous".to_owned()
    }

    fn anonymous(&self) -> bool {
        true
    }
}

/// The blob on its way.
#[derive(Debug)]
pub(super) struct Arriving(Rc<RefCell<Vec<u8>>>);

impl Ingest for Arriving {
    type Stream = Vec<u8>;
    type Blob = Kept;

    fn offset(&self) -> u64 {
        self.0.borrow().len() as u64
    }

    async fn append(&self, mut data: Vec<u8>, limit: u64) -> Result<(u64, Option<Vec<u8>>)> {
        let taken = data.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        let rest = data.split_off(taken);
        self.0.borrow_mut().extend(data);
        Ok((taken as u64, (!rest.is_empty()).then_some(rest)))
    }

    async fn restart(&self) -> Result<()> {
        self.0.borrow_mut().clear();
        Ok(())
    }

    async fn commit(self, expected: &Digest, _: u64) -> Result<Kept> {
        let bytes = self.0.take();
        match expected.verify(&bytes) {
            true => Ok(Kept(bytes)),
            false => Err(ErrorCode::DigestMismatch(Digest::of(expected.algorithm(), &bytes))),
        }
    }

    async fn discard(self) -> Result<()> {
        self.restart().await
    }
}

/// The blob when it is here.
#[derive(Debug)]
pub(super) struct Kept(Vec<u8>);

impl Blob for Kept {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read(&self, _: u64, _: u64) -> Result<Vec<u8>> {
        Err(ErrorCode::Unsupported)
    }

    async fn verify(&self) -> Result<()> {
        Err(ErrorCode::Unsupported)
    }
}

/// Nothing is extracted, so there is never one of these.
#[derive(Debug)]
pub(super) enum NoLayer {}

impl Layer for NoLayer {
    fn usage(&self) -> (u64, u64) {
        match *self {}
    }

    fn warnings(&self) -> Vec<String> {
        match *self {}
    }

    async fn verify(&self) -> Made<()> {
        match *self {}
    }

    async fn recipe(&self) -> Result<Option<u64>> {
        match *self {}
    }

    async fn rebuild(&self) -> Made<()> {
        match *self {}
    }
}

impl Snapshot for NoLayer {
    fn parent(&self) -> Option<String> {
        match *self {}
    }

    fn layer(&self) -> Option<Digest> {
        match *self {}
    }

    fn usage(&self) -> (u64, u64) {
        match *self {}
    }

    async fn verify(&self) -> Made<()> {
        match *self {}
    }
}

impl Extraction for NoLayer {
    type Blob = Kept;
    type Layer = NoLayer;

    async fn finish(self, _: &Kept, _: &Digest) -> Made<NoLayer> {
        match self {}
    }
}

/// Nothing is collected, so there is never one of these.
#[derive(Debug)]
pub(super) enum NoClaim {}

impl Claim for NoClaim {
    fn digests(&self) -> Vec<Digest> {
        match *self {}
    }

    async fn remove(self, _: &[Digest]) -> Result<u64> {
        match self {}
    }
}

impl TreeClaim for NoClaim {
    fn names(&self) -> (Vec<String>, Vec<Digest>) {
        match *self {}
    }

    async fn remove(self, _: &[String], _: &[Digest]) -> Result<()> {
        match self {}
    }
}

/// There are no records, so there is never one of these.
#[derive(Debug)]
pub(super) enum NoTransaction {}

impl Transaction for NoTransaction {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>> {
        match *self {}
    }

    async fn scan(&self, _: &str, _: &str, _: Option<&str>, _: u32) -> Result<Vec<(String, Vec<u8>)>> {
        match *self {}
    }

    async fn namespaces(&self, _: Option<&str>, _: u32) -> Result<Vec<String>> {
        match *self {}
    }

    fn put(&self, _: &str, _: &str, _: Vec<u8>) {
        match *self {}
    }

    fn delete(&self, _: &str, _: &str) {
        match *self {}
    }

    async fn commit(self) -> Result<()> {
        match self {}
    }
}
