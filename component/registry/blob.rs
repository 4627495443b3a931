//! Blobs: brought into the content store, resumed where an earlier attempt
//! stopped, and believed only when the store has verified them. It does not
//! look into blobs, and does not limit how many are on their way.
//!
//! ```text
//! open ── there ──────────────────────────────────────────────► present
//!   │ not there, or of another size
//! ingest ─► GET from offset ─► append ─► all there? ─► commit ─► complete
//!              ▲                            │ no          │ other digest
//!              └────── wait, retry ◄────────┘             └─► once more, from 0
//! ```
//!
//! RFC 9110 section 14: the server decides whether it honours `Range`. A 200 is
//! the blob from its start, and the ingest begins again with it.

use super::{
    Failure, Repository,
    failure::Fault,
    range,
    refusal::Subject,
    request::{Answer, within},
    rounds::{Need, Rounds},
    sent::Sent,
    server::Server,
};
use crate::{
    host::{Blob, Host, HttpError, Ingest, Method},
    nouns::{descriptor::Descriptor, problem::ErrorCode},
    planted::{Bug, has},
};
use futures_util::future::{Either, select};
use std::pin::pin;

/// Waiting longer for another holder of the ingest is told.
const HELD_MS: u64 = 2_000;
/// How often progress is looked at.
const TICK_MS: u64 = 100;
/// So many bytes a response has to bring in a second on average over the time
/// that it may be silent, or it is dropped: nobody waits for less, but an
/// attacker makes others wait.
const PACE_BYTES_PER_S: u64 = 1024;

/// Where one blob stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The content store does not have it, and nothing has been asked for yet.
    Waiting,
    /// Bytes are arriving.
    Downloading,
    /// All bytes are here and are being hashed and made durable.
    Verifying,
    /// The bytes are here and verified.
    Complete,
    /// The content store had the blob before.
    Present,
    /// The last attempt failed, and the next one will come.
    Retrying,
    /// The bytes are here and verified, and the layer is being extracted. No
    /// download tells this: what becomes of a blob is the verbs' matter.
    Unpacking,
    /// The layer is extracted. No download tells this either.
    Unpacked,
    /// Bytes are on their way to the registry.
    Uploading,
    /// The registry has taken it.
    Uploaded,
    /// The registry had it before.
    There,
    /// The registry has it from another repository of its own.
    Mounted,
}

/// Who is told how a download or an upload goes.
pub trait Watch {
    /// `received` is how many bytes are here, those of earlier runs included, or
    /// there.
    fn progress(&self, phase: Phase, received: u64);
    /// Something worth telling a person. The download goes on.
    fn warning(&self, text: String);
}

impl<H: Host> Repository<'_, H> {
    /// Brings a blob into the content store. Returns it, and how it came.
    ///
    /// After a failure what has arrived is kept, and the next call goes on
    /// there, unless it was refused.
    ///
    /// `arriving` is shown each ingest that is about to be filled, before it is,
    /// so that what arrives can be used already. There is one, and another one
    /// after bytes that turned out to be wrong.
    pub async fn blob(
        &self,
        what: &Descriptor,
        watch: &dyn Watch,
        arriving: &dyn Fn(&H::Ingest),
    ) -> Result<(H::Blob, Sent), Failure> {
        if let Kept::Whole(blob) = self.kept(what).await? {
            watch.progress(Phase::Present, what.size);
            return Ok((blob, Sent::default()));
        }
        watch.progress(Phase::Waiting, 0);
        let mut sent = Sent::default();
        let mut rounds = Rounds::new(self, Need::Pull, self.common.attempts_max)?;
        let mut is_repetition = false;
        loop {
            let ingest = match self.hold(what, watch).await? {
                Held::Ingest(ingest) => ingest,
                Held::Blob(blob) => return Ok((blob, sent)),
            };
            if ingest.offset() > 0 {
                watch.progress(Phase::Waiting, ingest.offset().min(what.size));
            }
            if sent.attempts == 0 {
                sent.resumed_from = Some(ingest.offset()).filter(|&offset| offset <= what.size).unwrap_or(0);
            }
            arriving(&ingest);
            let mut download = Download::new(self, what, &ingest, watch, &mut rounds, &mut sent);
            download.fill().await?;
            let senders = download.senders;
            watch.progress(Phase::Verifying, what.size);
            match ingest.commit(&what.digest, what.size).await {
                Ok(blob) => {
                    rounds.succeeded();
                    watch.progress(Phase::Complete, what.size);
                    return Ok((blob, sent));
                }
                // An earlier run, a line or a cache on the way may have spoiled the bytes once, and a mirror may
                // have others. Each endpoint has one chance, and a single one has two.
                Err(ErrorCode::DigestMismatch(found)) => {
                    let from = rounds.server().endpoint().registry.clone();
                    let has_others = rounds.distrust(&senders);
                    if (is_repetition && !has_others) || has(Bug::MismatchIsFinal) {
                        let why =
                            format!("the bytes from `{from}` hash to `{found}`, and `{}` was asked for", what.digest);
                        return Err(Failure::new(ErrorCode::DigestMismatch(found), why));
                    }
                    watch.warning(format!(
                        "the bytes of `{}` hash to `{found}`; downloading the blob again from the start",
                        what.digest
                    ));
                    is_repetition = true;
                    sent.resumed_from = 0;
                }
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Asks the content store for a blob. One of another size is not held: a
    /// commit could not replace it then.
    async fn kept(&self, what: &Descriptor) -> Result<Kept<H::Blob>, Failure> {
        match self.common.host.open(&what.digest).await {
            Ok(blob) if blob.size() != what.size => Ok(Kept::Damaged(blob.size())),
            Ok(blob) => Ok(Kept::Whole(blob)),
            Err(ErrorCode::NotFound) => Ok(Kept::Absent),
            Err(other) => Err(other.into()),
        }
    }

    /// Holds the ingest of a blob as soon as nobody else does, or the blob if
    /// whoever held the ingest has finished it.
    async fn hold(&self, what: &Descriptor, watch: &dyn Watch) -> Result<Held<H>, Failure> {
        let host = self.common.host;
        let ingest = match select(pin!(host.ingest(what.digest.as_str())), pin!(host.sleep(HELD_MS))).await {
            Either::Left((ingest, _)) => ingest?,
            Either::Right(((), ingest)) => {
                watch.warning(format!("another wharf is downloading `{}`; waiting for it", what.digest));
                ingest.await?
            }
        };
        match self.kept(what).await? {
            Kept::Whole(blob) => {
                ingest.discard().await?;
                watch.progress(Phase::Present, what.size);
                return Ok(Held::Blob(blob));
            }
            Kept::Damaged(size) => watch.warning(format!(
                "the store has {size} bytes of `{}`, and {} were promised; downloading the blob again",
                what.digest, what.size
            )),
            Kept::Absent => {}
        }
        Ok(Held::Ingest(ingest))
    }
}

/// What the content store has under a digest.
enum Kept<B> {
    /// The blob that was promised.
    Whole(B),
    /// Something of this size, which is not the promised one.
    Damaged(u64),
    Absent,
}

/// What came of asking for an ingest.
enum Held<H: Host> {
    Ingest(H::Ingest),
    Blob(H::Blob),
}

/// A blob on its way into an ingest.
struct Download<'a, 'r, 'h, H: Host> {
    host: &'h H,
    silence_ms: u64,
    what: &'a Descriptor,
    ingest: &'a H::Ingest,
    watch: &'a dyn Watch,
    rounds: &'a mut Rounds<'r, 'h, H>,
    /// The most bytes that were here at any time: what counts as progress.
    reached: u64,
    /// Whose bytes the ingest has, those of earlier runs aside.
    senders: Vec<usize>,
    sent: &'a mut Sent,
}

impl<'a, 'r, 'h, H: Host> Download<'a, 'r, 'h, H> {
    fn new(
        repository: &Repository<'h, H>,
        what: &'a Descriptor,
        ingest: &'a H::Ingest,
        watch: &'a dyn Watch,
        rounds: &'a mut Rounds<'r, 'h, H>,
        sent: &'a mut Sent,
    ) -> Self {
        let reached = Some(ingest.offset()).filter(|&offset| offset <= what.size).unwrap_or(0);
        let (host, silence_ms) = (repository.common.host, repository.common.silence_ms);
        Download { host, silence_ms, what, ingest, watch, rounds, reached, senders: Vec::new(), sent }
    }

    /// Requests the blob, as often as it takes, until all its bytes are here.
    async fn fill(&mut self) -> Result<(), Failure> {
        loop {
            let offset = self.ingest.offset();
            if offset == self.what.size {
                return Ok(());
            }
            // An earlier run was stopped between noticing that a body is too long and dropping it, or the last
            // bytes of such a body landed late.
            if offset > self.what.size {
                self.restart().await?;
                continue;
            }
            let server: &'r Server<'h, H> = self.rounds.server();
            self.sent.attempts += 1;
            self.sent.endpoint = Some(server.url());
            if let Err(fault) = self.part(server, offset).await {
                if self.rounds.goes_on(&fault) {
                    self.watch.progress(Phase::Retrying, self.ingest.offset().min(self.what.size));
                }
                let watch = self.watch;
                self.rounds.failed(&|text| watch.warning(text), fault).await?;
            }
        }
    }

    /// Drops what is here.
    async fn restart(&mut self) -> Result<(), ErrorCode> {
        self.senders.clear();
        self.sent.resumed_from = 0;
        self.ingest.restart().await
    }

    /// Requests what is missing from `offset` on once, and appends what comes.
    async fn part(&mut self, server: &Server<'h, H>, offset: u64) -> Result<(), Fault> {
        let mut headers = vec![("accept", "*/*".to_owned())];
        if offset > 0 {
            headers.push(("range", format!("bytes={offset}-")));
        }
        let ask = server.ask(Method::Get, &format!("blobs/{}", self.what.digest), headers);
        let answer = server.exchange(&ask).await?;
        let start = match answer.response.status {
            200 => {
                self.begins(&answer, offset).await?;
                if has(Bug::WholeAppended) { offset } else { 0 }
            }
            206 if offset > 0 => {
                self.continues(server, &answer, offset).await?;
                offset
            }
            416 if offset > 0 => {
                let total = answer.header("content-range").and_then(range::unsatisfied_total).unwrap_or(offset);
                let why = self.promise(&answer, total);
                return Err(self.lacks_part(server, ErrorCode::SizeMismatch(total), why).await);
            }
            206 => {
                let why = format!("`{}` sent a part of the blob, and all of it was asked for", authority(&answer));
                return Err(Fault::last(ErrorCode::Invalid, why));
            }
            _ => return Err(server.refusal(answer, Subject::Blob(&self.what.digest)).await),
        };
        self.take(server, answer, start).await
    }

    /// Accepts a 200: the blob from its start, whatever was asked for.
    async fn begins(&mut self, answer: &Answer<H::Stream>, offset: u64) -> Result<(), Fault> {
        let length = answer.length()?;
        // Stores label compressed layers so without compressing them again; their length is right then.
        if answer.is_encoded() && length != Some(self.what.size) {
            let why = format!("`{}` compressed the blob, although that was not asked for", authority(answer));
            return Err(Fault::last(ErrorCode::Invalid, why));
        }
        if let Some(length) = length.filter(|&length| length != self.what.size && !has(Bug::DeclaredLengthIgnored)) {
            return Err(Fault::last(ErrorCode::SizeMismatch(length), self.promise(answer, length)));
        }
        if offset > 0 && !has(Bug::WholeAppended) {
            let from = authority(answer);
            self.watch.warning(format!("`{from}` cannot resume; downloading `{}` from the start", self.what.digest));
            self.restart().await?;
        }
        Ok(())
    }

    /// Accepts a 206 that continues exactly at `offset`.
    async fn continues(
        &mut self,
        server: &Server<'h, H>,
        answer: &Answer<H::Stream>,
        offset: u64,
    ) -> Result<(), Fault> {
        let size = self.what.size;
        let range = answer.header("content-range").and_then(range::parse);
        if has(Bug::ContentRangeUnchecked) {
            return Ok(());
        }
        if range.is_some_and(|range| {
            range.first == offset && range.last < size && range.total.is_none_or(|total| total == size)
        }) {
            return Ok(());
        }
        let why = format!("`{}` sent another part of the blob than bytes {offset} to {}", authority(answer), size - 1);
        Err(self.lacks_part(server, ErrorCode::Invalid, why).await)
    }

    /// Makes the fault of an endpoint that has not the part that was asked for.
    /// The registry itself is asked for all of it again; what a mirror lacks does
    /// not cost what is here.
    async fn lacks_part(&mut self, server: &Server<'h, H>, code: ErrorCode, why: String) -> Fault {
        if server.endpoint().mirror && self.rounds.has_next() {
            return Fault::last(code, why);
        }
        match self.restart().await {
            Ok(()) => Fault::passing(code, why),
            Err(code) => code.into(),
        }
    }

    /// Appends a body whose first byte belongs at `start`, and finds out
    /// whether it arrived whole.
    async fn take(&mut self, server: &Server<'h, H>, answer: Answer<H::Stream>, start: u64) -> Result<(), Fault> {
        let from = answer.target.origin.clone();
        let offset = self.ingest.offset();
        let missing = self.what.size.checked_sub(start).filter(|_| offset == start);
        let Some(missing) = missing else {
            // The last bytes of an append that was dropped have landed since the request was made.
            self.sent.fetched_bytes += offset.saturating_sub(start);
            self.advance();
            let why = format!("bytes of an earlier response of `{}` arrived late", from.authority);
            return Err(Fault::passing(ErrorCode::Unavailable, why));
        };
        // One byte more than is missing, so that a longer body is noticed.
        let limit = if has(Bug::ExcessTaken) { missing } else { missing.saturating_add(1) };
        let appended = self.append(answer.response.body, limit).await;
        let offset = self.ingest.offset();
        self.sent.fetched_bytes += offset.saturating_sub(start);
        if offset > start && self.senders.last() != Some(&self.rounds.at()) {
            self.senders.push(self.rounds.at());
        }
        let Some((_, rest)) = appended? else {
            let why = format!("`{}` stopped sending, or sends less than 1 KiB a second", from.authority);
            return Err(Fault::passing(ErrorCode::Unavailable, why));
        };
        if !has(Bug::ExcessTaken) && (rest.is_some() || offset > self.what.size) {
            drop(rest);
            self.restart().await?;
            let why = format!("`{}` sent more than the {} bytes that were promised", from.authority, self.what.size);
            let code = ErrorCode::SizeMismatch(offset);
            return Err(if start == 0 { Fault::last(code, why) } else { Fault::passing(code, why) });
        }
        self.advance();
        if has(Bug::EndUnawaited) {
            return Ok(());
        }
        let ended = within(self.host, self.silence_ms, answer.response.end).await;
        ended.unwrap_or(Err(HttpError::Timeout)).map_err(|error| server.fault(&error, &from))?;
        if offset < self.what.size {
            let why = format!("`{}` sent {offset} of {} bytes", from.authority, self.what.size);
            return Err(Fault::passing(ErrorCode::SizeMismatch(offset), why));
        }
        Ok(())
    }

    /// Appends a body and tells how far it is. None if it was dropped because
    /// too little came.
    async fn append(&mut self, body: H::Stream, limit: u64) -> Result<Option<(u64, Option<H::Stream>)>, Fault> {
        let (host, ingest) = (self.host, self.ingest);
        let mut last = (host.uptime_ms(), ingest.offset());
        let mut window = last;
        self.watch.progress(Phase::Downloading, last.1);
        let mut append = pin!(ingest.append(body, limit));
        loop {
            match select(append.as_mut(), pin!(host.sleep(TICK_MS))).await {
                Either::Left((done, _)) => {
                    let done = done?;
                    self.watch.progress(Phase::Downloading, ingest.offset().min(self.what.size));
                    return Ok(Some(done));
                }
                Either::Right(_) => {
                    let now = (host.uptime_ms(), ingest.offset());
                    if now.1 > last.1 {
                        self.watch.progress(Phase::Downloading, now.1.min(self.what.size));
                        last = now;
                    }
                    if now.0 - window.0 >= self.silence_ms {
                        let came = now.1.saturating_sub(window.1);
                        let missing = if came == 0 { Bug::SilenceUnbounded } else { Bug::PaceUnbounded };
                        if came < self.pace_bytes() && !has(missing) {
                            return Ok(None);
                        }
                        self.advance();
                        window = now;
                    }
                    if now.0 - last.0 >= self.silence_ms && !has(Bug::SilenceUnbounded) {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Notes progress, if there is any.
    fn advance(&mut self) {
        let offset = self.ingest.offset();
        if offset > self.reached && offset <= self.what.size {
            self.reached = offset;
            self.rounds.progress();
        }
    }

    /// How many bytes a response has to bring in the time that it may be silent.
    fn pace_bytes(&self) -> u64 {
        self.silence_ms.saturating_mul(PACE_BYTES_PER_S) / 1_000
    }

    /// Says that the blob has another size than was promised.
    fn promise(&self, answer: &Answer<H::Stream>, size: u64) -> String {
        format!("the blob of `{}` has {size} bytes, and {} were promised", authority(answer), self.what.size)
    }
}

fn authority<S>(answer: &Answer<S>) -> &str {
    &answer.target.origin.authority
}

#[cfg(test)]
mod stories;
