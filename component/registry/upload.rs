//! Blobs brought to a registry: none that it has, none twice, and on from where an
//! attempt was broken off. It does not look into blobs, and does not limit how many
//! are on their way.
//!
//! ```text
//! HEAD ── 200 ─────────────────────────────────────────────────────► there
//!  │ 404
//! POST ?mount=…&from=… ── 201 ─────────────────────────────────────► mounted
//!  │ 202 Location              ┌─ lost: anew
//!  ├─► PATCH the rest ── ✗ ─► GET Location ── Range: 0-n ─┐
//!  │        ▲                                             │
//!  │        └────────────── from n + 1 ◄──────────────────┘
//!  └─► PUT ?digest=… ── 201 ──────────────────────────────────────► sent
//! ```
//!
//! How much of an upload there is, the registry says; what this end has sent counts
//! for nothing once a request has failed. OCI distribution-spec 1.1, “Push”.
//!
//! - `session`: the requests of one upload, and what their answers mean.

mod session;

use super::{
    Failure, Phase, Repository, Watch,
    failure::{Blame, Fault},
    refusal::Subject,
    request::{Bytes, within},
    retry::Again,
    rounds::{Need, Rounds},
    server::Server,
};
use crate::{
    host::{Host, Method},
    nouns::{descriptor::Descriptor, problem::ErrorCode},
    planted::{Bug, has},
};
use session::Session;
use std::cell::Cell;

/// A blob of this size or less goes in one request with the end of its upload. One
/// that is larger is worth a request that can be resumed.
const WHOLE_BYTES_MAX: u64 = 4 << 20;
/// What a request carries where the registry, or what stands before it, takes no more
/// at once: as much as most allow, and then as much as nearly all do.
const CHUNK_BYTES: [u64; 2] = [64 << 20, 5 << 20];
/// How often one upload may be begun anew because of what the registry made of it.
const ANEW_MAX: u32 = 3;
/// How long the end of an upload that failed may take.
const ABANDON_MS: u64 = 1_000;

/// How a blob came to be in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It was there.
    There,
    /// From this repository of the same registry, as in `library/alpine`.
    Mounted(String),
    /// Over the network.
    Sent,
}

/// What was done so that a blob is in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// How it came there.
    pub way: Way,
    /// How many requests were sent, those of challenges not counted.
    pub attempts: u32,
    /// Bytes that went over the network, those that had to go twice included.
    pub sent_bytes: u64,
}

impl<H: Host> Repository<'_, H> {
    /// Asks whether the repository has a blob.
    pub async fn has_blob(&self, what: &Descriptor) -> Result<bool, Failure> {
        self.persist(Need::Push, self.common.attempts_max, async |server| server.has_blob(what).await).await
    }

    /// Brings a blob to the registry, or mounts it there from the first of
    /// the `sources`: repositories of the same registry that should have it.
    pub async fn upload(
        &self,
        what: &Descriptor,
        bytes: Bytes<'_, '_, H>,
        sources: &[String],
        watch: &dyn Watch,
    ) -> Result<Delivered, Failure> {
        let upload = Upload {
            what,
            bytes: &bytes,
            source: sources.first(),
            watch,
            session: None,
            shape: if what.size <= WHOLE_BYTES_MAX { Shape::Whole } else { Shape::Stream },
            is_known_absent: false,
            anew: 0,
            reached: 0,
            attempts: 0,
            sent_bytes: Cell::new(0),
        };
        upload.run(Rounds::new(self, Need::Push, self.common.attempts_max)?).await
    }
}

impl<H: Host> Server<'_, H> {
    async fn has_blob(&self, what: &Descriptor) -> Result<bool, Fault> {
        let ask = self.ask(Method::Head, &format!("blobs/{}", what.digest), vec![("accept", "*/*".to_owned())]);
        let answer = self.exchange(&ask).await?;
        let at_home = answer.target.origin == self.endpoint.origin;
        match answer.response.status {
            200 => Ok(true),
            // Some registries do not know HEAD. What they lead to elsewhere may be signed for GET alone.
            404 | 405 | 501 => Ok(false),
            _ if !at_home => Ok(false),
            _ => Err(self.refusal(answer, Subject::Upload(&what.digest)).await),
        }
    }
}

/// How the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// In the request that ends the upload.
    Whole,
    /// In one request before that.
    Stream,
    /// In several requests of so many bytes.
    Chunks(u64),
}

/// One blob on its way.
struct Upload<'u, 'h, H: Host> {
    what: &'u Descriptor,
    bytes: &'u Bytes<'u, 'h, H>,
    source: Option<&'u String>,
    watch: &'u dyn Watch,
    session: Option<Session>,
    shape: Shape,
    /// Whether the registry said so, and nothing was sent since that could have
    /// ended well.
    is_known_absent: bool,
    /// How often it was begun anew.
    anew: u32,
    /// The most bytes that the registry ever had: what counts as progress.
    reached: u64,
    attempts: u32,
    sent_bytes: Cell<u64>,
}

impl<H: Host> Upload<'_, '_, H> {
    async fn run(mut self, mut rounds: Rounds<'_, '_, H>) -> Result<Delivered, Failure> {
        self.watch.progress(Phase::Waiting, 0);
        loop {
            let (server, at) = (rounds.server(), rounds.at());
            // An upload is its registry's own.
            self.session.take_if(|session| session.at != at);
            let before = self.reached;
            match self.attempt(server, at).await {
                Ok(way) => {
                    rounds.succeeded();
                    self.watch.progress(phase(&way), self.what.size);
                    return Ok(Delivered { way, attempts: self.attempts, sent_bytes: self.sent_bytes.get() });
                }
                Err(fault) => {
                    if let Some(session) = &mut self.session
                        && !has(Bug::UploadOffsetTrusted)
                    {
                        session.is_sure = false;
                    }
                    if self.reached > before {
                        rounds.progress();
                    }
                    if rounds.goes_on(&fault) {
                        self.watch.progress(Phase::Retrying, self.reached);
                    }
                    let watch = self.watch;
                    if let Err(failure) = rounds.failed(&|text| watch.warning(text), fault).await {
                        self.abandon(server, &failure).await;
                        return Err(failure);
                    }
                }
            }
        }
    }

    /// Does what is left to be done, once.
    async fn attempt(&mut self, server: &Server<'_, H>, at: usize) -> Result<Way, Fault> {
        // What failed may have been the answer alone.
        if !self.is_known_absent {
            self.attempts += 1;
            if server.has_blob(self.what).await? {
                return Ok(if self.sent_bytes.get() > 0 { Way::Sent } else { Way::There });
            }
            self.is_known_absent = true;
        }
        if self.session.as_ref().is_some_and(|session| !session.is_sure) {
            self.resume(server).await?;
        }
        if self.session.is_none()
            && let Some(way) = self.begin(server, at).await?
        {
            return Ok(way);
        }
        self.fill(server).await?;
        self.finish(server).await?;
        Ok(Way::Sent)
    }

    /// Sends what is missing, but for what the last request takes.
    async fn fill(&mut self, server: &Server<'_, H>) -> Result<(), Fault> {
        loop {
            let session = self.session.as_ref().expect("`begin` or `resume` left one");
            let left = self.what.size - session.offset;
            let length = match self.shape {
                Shape::Whole => return Ok(()),
                Shape::Stream => left,
                Shape::Chunks(length) => left.min(length.max(session.chunk_bytes_min)),
            };
            if length == 0 {
                return Ok(());
            }
            self.patch(server, length).await?;
        }
    }

    /// Begins the upload anew in the next attempt, in another shape if that was to
    /// blame. Returns the fault for that.
    fn anew(&mut self, shape: Shape, code: ErrorCode, why: String) -> Fault {
        self.session = None;
        self.shape = shape;
        self.anew += 1;
        let again = if self.anew > ANEW_MAX { Again::Never } else { Again::Soon };
        Fault { failure: Failure::new(code, why), again, blame: Blame::Nobody }
    }

    /// Asks for less at once. None if there is no less.
    fn smaller(&self) -> Option<Shape> {
        let now = match self.shape {
            Shape::Chunks(bytes) => bytes,
            Shape::Whole | Shape::Stream => self.what.size,
        };
        CHUNK_BYTES.into_iter().find(|&bytes| bytes < now).map(Shape::Chunks)
    }

    /// The registry has so many bytes of the blob.
    fn reach(&mut self, offset: u64) {
        self.reached = self.reached.max(offset);
    }

    /// Tells the registry that nothing more comes. It forgets the upload by itself
    /// otherwise, after a week or so.
    async fn abandon(&mut self, server: &Server<'_, H>, failure: &Failure) {
        let Some(session) = self.session.take() else { return };
        if !matches!(failure.code, ErrorCode::Unavailable | ErrorCode::Cancelled) {
            let ask = super::request::Ask { method: Method::Delete, target: session.target, headers: Vec::new() };
            // It is a courtesy, and the failure is what counts.
            let _ = within(server.host(), ABANDON_MS, server.exchange(&ask)).await;
        }
    }
}

fn phase(way: &Way) -> Phase {
    match way {
        Way::There => Phase::There,
        Way::Mounted(_) => Phase::Mounted,
        Way::Sent => Phase::Uploaded,
    }
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod stories;
