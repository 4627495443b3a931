//! Blobs: brought into the content store, resumed where an earlier attempt
//! stopped, and believed only when the store has verified them. It does not
//! look into blobs, and does not limit how many are on their way.
//!
//! ```text
//! open ── there ──────────────────────────────────────────────► present
//!   │ not there
//! ingest ─► GET from offset ─► append ─► all there? ─► commit ─► complete
//!              ▲                            │ no          │ other digest, and the bytes came in pieces
//!              └────── wait, retry ◄────────┘             └─► once more, from 0
//! ```
//!
//! RFC 9110 section 14: the server decides whether it honours `Range`. A 200 is
//! the blob from its start, and the ingest begins again with it.

use super::{
    Failure, Repository,
    failure::Fault,
    range::{self, number},
    refusal::Subject,
    request::{Answer, within},
    retry::{Again, Retry},
};
use crate::{
    host::{Blob, Host, HttpError, Ingest, Method},
    nouns::{descriptor::Descriptor, problem::ErrorCode},
};
use futures_util::future::{Either, select};
use std::pin::pin;

/// How often progress is looked at.
const TICK_MS: u64 = 100;
/// A response from which nothing arrives for this long is dropped.
const SILENCE_MS_MAX: u64 = 60_000;
/// Over this time a response has to bring [`PACE_BYTES_MIN`], or it is dropped.
const PACE_MS: u64 = 60_000;
/// 1 KiB a second: nobody waits for less, but an attacker makes others wait.
const PACE_BYTES_MIN: u64 = 60 * 1024;

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
}

/// Who is told how a download goes.
pub trait Watch {
    /// `received` is how many bytes are here, those of earlier runs included.
    fn progress(&self, phase: Phase, received: u64);
    /// Something worth telling a person. The download goes on.
    fn warning(&self, text: String);
}

impl<H: Host> Repository<'_, H> {
    /// Brings a blob into the content store. Returns it, and how many bytes
    /// came over the network for it.
    ///
    /// After a failure what has arrived is kept, and the next call goes on
    /// there, unless it was refused.
    pub async fn blob(&self, what: &Descriptor, watch: &dyn Watch) -> Result<(H::Blob, u64), Failure> {
        if let Some(blob) = self.present(what, watch).await? {
            return Ok((blob, 0));
        }
        watch.progress(Phase::Waiting, 0);
        let mut ingest = self.host.ingest(what.digest.as_str()).await?;
        // Whoever held the ingest before may have finished it.
        if let Some(blob) = self.present(what, watch).await? {
            ingest.discard().await?;
            return Ok((blob, 0));
        }
        let mut arrived = 0;
        let mut is_repetition = false;
        loop {
            let mut download = Download::new(self, what, &ingest, watch);
            let filled = download.fill().await;
            arrived += download.arrived;
            let in_pieces = download.in_pieces;
            filled?;
            watch.progress(Phase::Verifying, what.size);
            match ingest.commit(&what.digest, what.size).await {
                Ok(blob) => {
                    watch.progress(Phase::Complete, what.size);
                    return Ok((blob, arrived));
                }
                Err(ErrorCode::DigestMismatch(found)) if in_pieces && !is_repetition => {
                    watch.warning(format!(
                        "the pieces of `{}` hash to `{found}`; downloading the blob again from the start",
                        what.digest
                    ));
                    is_repetition = true;
                    ingest = self.host.ingest(what.digest.as_str()).await?;
                }
                Err(ErrorCode::DigestMismatch(found)) => {
                    let why = format!(
                        "the bytes from `{}` hash to `{found}`, and `{}` was asked for",
                        self.endpoint.registry, what.digest
                    );
                    return Err(Failure::new(ErrorCode::DigestMismatch(found), why));
                }
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Returns the blob if the content store has it.
    async fn present(&self, what: &Descriptor, watch: &dyn Watch) -> Result<Option<H::Blob>, Failure> {
        match self.host.open(&what.digest).await {
            Ok(blob) if blob.size() != what.size => {
                let why = format!("`{}` has {} bytes, and {} were promised", what.digest, blob.size(), what.size);
                Err(Failure::new(ErrorCode::SizeMismatch(blob.size()), why))
            }
            Ok(blob) => {
                watch.progress(Phase::Present, what.size);
                Ok(Some(blob))
            }
            Err(ErrorCode::NotFound) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }
}

/// A blob on its way into an ingest.
struct Download<'a, 'h, H: Host> {
    repository: &'a Repository<'h, H>,
    what: &'a Descriptor,
    ingest: &'a H::Ingest,
    watch: &'a dyn Watch,
    retry: Retry,
    /// The most bytes that were here at any time: what counts as progress.
    reached: u64,
    /// Bytes over the network.
    arrived: u64,
    /// Whether the ingest holds bytes of more than one response.
    in_pieces: bool,
}

impl<'a, 'h, H: Host> Download<'a, 'h, H> {
    fn new(
        repository: &'a Repository<'h, H>,
        what: &'a Descriptor,
        ingest: &'a H::Ingest,
        watch: &'a dyn Watch,
    ) -> Self {
        let retry = Retry::new(repository.host);
        Download { repository, what, ingest, watch, retry, reached: ingest.offset(), arrived: 0, in_pieces: false }
    }

    /// Requests the blob, as often as it takes, until all its bytes are here.
    async fn fill(&mut self) -> Result<(), Failure> {
        // An earlier run was stopped between noticing that a body is too long and dropping it.
        if self.ingest.offset() > self.what.size {
            self.restart().await?;
            self.reached = 0;
        }
        while self.ingest.offset() < self.what.size {
            if let Err(fault) = self.part().await {
                if fault.again != Again::Never {
                    self.watch.progress(Phase::Retrying, self.ingest.offset());
                }
                self.retry.wait(self.repository.host, fault).await?;
            }
        }
        // The bytes of an earlier run: nobody knows whether one response brought them.
        self.in_pieces |= self.arrived == 0 && self.what.size > 0;
        Ok(())
    }

    /// Requests what is missing once, and appends what comes.
    async fn part(&mut self) -> Result<(), Fault> {
        let offset = self.ingest.offset();
        let mut headers = vec![("accept", "*/*".to_owned())];
        if offset > 0 {
            headers.push(("range", format!("bytes={offset}-")));
        }
        let ask = self.repository.ask(Method::Get, &format!("blobs/{}", self.what.digest), headers);
        let answer = self.repository.exchange(&ask).await?;
        match answer.response.status {
            200 => self.begins(&answer, offset).await?,
            206 if offset > 0 => self.continues(&answer, offset).await?,
            416 if offset > 0 => {
                self.restart().await?;
                let total = answer.header("content-range").and_then(range::unsatisfied_total).unwrap_or(offset);
                return Err(Fault::passing(ErrorCode::SizeMismatch(total), self.promise(&answer, total)));
            }
            206 => {
                let why = format!("`{}` sent a part of the blob, and all of it was asked for", authority(&answer));
                return Err(Fault::last(ErrorCode::Invalid, why));
            }
            _ => return Err(self.repository.refusal(answer, Subject::Blob(&self.what.digest)).await),
        }
        self.take(answer).await
    }

    /// Accepts a 200: the blob from its start, whatever was asked for.
    async fn begins(&mut self, answer: &Answer<H::Stream>, offset: u64) -> Result<(), Fault> {
        if let Some(length) =
            answer.header("content-length").and_then(number).filter(|&length| length != self.what.size)
        {
            return Err(Fault::last(ErrorCode::SizeMismatch(length), self.promise(answer, length)));
        }
        if offset > 0 {
            let from = authority(answer);
            self.watch.warning(format!("`{from}` cannot resume; downloading `{}` from the start", self.what.digest));
            self.restart().await?;
        }
        Ok(())
    }

    /// Accepts a 206 that continues exactly at `offset`.
    async fn continues(&mut self, answer: &Answer<H::Stream>, offset: u64) -> Result<(), Fault> {
        let size = self.what.size;
        let range = answer.header("content-range").and_then(range::parse);
        if range.is_some_and(|range| {
            range.first == offset && range.last < size && range.total.is_none_or(|total| total == size)
        }) {
            self.in_pieces = true;
            return Ok(());
        }
        self.restart().await?;
        let why = format!("`{}` sent another part of the blob than bytes {offset} to {}", authority(answer), size - 1);
        Err(Fault::passing(ErrorCode::Invalid, why))
    }

    /// Appends a body, and finds out whether it arrived whole.
    async fn take(&mut self, answer: Answer<H::Stream>) -> Result<(), Fault> {
        let start = self.ingest.offset();
        let from = answer.target.origin.clone();
        let endpoint = &self.repository.endpoint;
        // One byte more than is missing, so that a longer body is noticed.
        let limit = (self.what.size - start).saturating_add(1);
        let appended = self.append(answer.response.body, limit).await;
        let offset = self.ingest.offset();
        self.arrived += offset.saturating_sub(start);
        let Some((_, rest)) = appended? else {
            let why = format!("`{}` stopped sending, or sends less than 1 KiB a second", from.authority);
            return Err(Fault::passing(ErrorCode::Unavailable, why));
        };
        if rest.is_some() || offset > self.what.size {
            drop(rest);
            self.restart().await?;
            let why = format!("`{}` sent more than the {} bytes that were promised", from.authority, self.what.size);
            let code = ErrorCode::SizeMismatch(offset);
            return Err(if start == 0 { Fault::last(code, why) } else { Fault::passing(code, why) });
        }
        self.advance();
        let ended = within(self.repository.host, SILENCE_MS_MAX, answer.response.end).await;
        ended.unwrap_or(Err(HttpError::Timeout)).map_err(|error| Fault::of_http(&error, &from, endpoint))?;
        if offset < self.what.size {
            let why = format!("`{}` sent {offset} of {} bytes", from.authority, self.what.size);
            return Err(Fault::passing(ErrorCode::SizeMismatch(offset), why));
        }
        Ok(())
    }

    /// Appends a body and tells how far it is. None if it was dropped because
    /// too little came.
    async fn append(&mut self, body: H::Stream, limit: u64) -> Result<Option<(u64, Option<H::Stream>)>, Fault> {
        let (host, ingest) = (self.repository.host, self.ingest);
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
                    if now.0 - window.0 >= PACE_MS {
                        if now.1.saturating_sub(window.1) < PACE_BYTES_MIN {
                            return Ok(None);
                        }
                        self.advance();
                        window = now;
                    }
                    if now.0 - last.0 >= SILENCE_MS_MAX {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Notes progress, if there is any.
    fn advance(&mut self) {
        if self.ingest.offset() > self.reached {
            self.reached = self.ingest.offset();
            self.retry.progress(self.repository.host);
        }
    }

    async fn restart(&mut self) -> Result<(), ErrorCode> {
        self.in_pieces = false;
        self.ingest.restart().await
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
