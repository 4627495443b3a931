//! A blob on its way here. A client says under which name, sends bytes at offsets, and then what they are to hash to;
//! what has come stays for the next one who writes under that name.

use super::super::Answers;
use super::super::convert::{pairs, timestamp};
use super::{Services, known, length, status};
use crate::bindings::exports::wharf::images::records::{Admission, ContentRecord, Writing};
use crate::content::{self, Ingest};
use crate::hash::{Algorithm, Digest};
use crate::images::Caller;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use std::sync::Arc;
use std::time::SystemTime;
use tonic::{Status, Streaming};
use wharf_containerd_api::Timestamp;
use wharf_containerd_api::content::{WriteAction, WriteContentRequest, WriteContentResponse};
use wharf_containerd_api::happenings::ContentCreate;

/// How many bytes that come again are compared at once.
const COMPARED_BYTES: usize = 256 << 10;

/// Answers each message of a client with one.
pub(super) fn answers(
    services: Services,
    caller: Caller,
    lease: Option<String>,
    messages: Streaming<WriteContentRequest>,
) -> Answers<WriteContentResponse> {
    let writer = Writer { services, caller, lease, state: State::Fresh };
    let answers = stream::try_unfold((writer, messages), |(mut writer, mut messages)| async move {
        let Some(message) = messages.message().await? else { return Ok(None) };
        let answer = writer.hear(message).await?;
        Ok(Some((answer, (writer, messages))))
    });
    answers.boxed()
}

struct Writer {
    services: Services,
    caller: Caller,
    lease: Option<String>,
    state: State,
}

enum State {
    /// Nobody has said yet what is written.
    Fresh,
    /// Bytes come into an ingest.
    Open(Open),
    /// The bytes are in the store already.
    Shared(Shared),
    /// There is a blob.
    Done,
}

/// What is written although it is here: a client may send the bytes again, from the beginning.
struct Shared {
    name: String,
    total: i64,
    there: ContentRecord,
    /// How many have come again, if any has.
    again: Option<i64>,
}

struct Open {
    ingest: Arc<Ingest>,
    writing: Writing,
}

impl Writer {
    async fn hear(&mut self, message: WriteContentRequest) -> Result<WriteContentResponse, Status> {
        let action = WriteAction::try_from(message.action)
            .map_err(|_| Status::invalid_argument(format!("there is no action {}", message.action)))?;
        if let State::Fresh = self.state {
            self.state = self.begin(&message).await?;
        }
        match &mut self.state {
            State::Open(open) => {
                open.agree(&message)?;
                let answer = open.take(action, message.offset, message.data.clone()).await?;
                if action == WriteAction::Commit { self.commit(message).await } else { Ok(answer) }
            }
            State::Shared(shared) => {
                shared.agree(&message)?;
                if action != WriteAction::Stat {
                    shared.take(&self.services.content, message.offset, message.data.clone()).await?;
                }
                let answer = shared.answer(action);
                if action == WriteAction::Commit { self.commit(message).await } else { Ok(answer) }
            }
            State::Fresh | State::Done => Err(Status::failed_precondition("the write is committed already")),
        }
    }

    /// Finds out whether something may be written, and where.
    async fn begin(&self, message: &WriteContentRequest) -> Result<State, Status> {
        let (name, total) = (message.r#ref.clone(), message.total);
        if name.is_empty() {
            return Err(Status::invalid_argument("the first message of a write has no `ref`"));
        }
        let (caller, lease, asked) = (self.caller.clone(), self.lease.clone(), name.clone());
        let expected = Some(message.expected.clone()).filter(|expected| !expected.is_empty());
        let isolated = self.services.isolated;
        let admission = self.services.ask("admit-writing", async |accessor, records| {
            records.call_admit_writing(accessor, caller, asked, expected, total, lease, isolated).await
        });
        match admission.await.map_err(status::making)? {
            Admission::Share(there) => Ok(State::Shared(Shared { name, total, there, again: None })),
            Admission::Proceed(writing) => {
                let (store, ingest) = (self.services.content.clone(), writing.ingest.clone());
                let held = tokio::task::spawn_blocking(move || store.try_ingest(&ingest)).await;
                let held = held.map_err(status::thread)?.map_err(status::content)?;
                let ingest = held.ok_or_else(|| {
                    Status::unavailable(format!(
                        "ref `{}` locked: somebody writes under that name",
                        name.escape_debug()
                    ))
                })?;
                Ok(State::Open(Open { ingest: Arc::new(ingest), writing }))
            }
        }
    }

    /// Makes a blob of what has come, and records it.
    async fn commit(&mut self, message: WriteContentRequest) -> Result<WriteContentResponse, Status> {
        let (name, blob) = match std::mem::replace(&mut self.state, State::Done) {
            State::Open(open) => (open.writing.name.clone(), open.finish(&message).await?),
            State::Shared(shared) => {
                let (here, end) = (shared.offset(), shared.end());
                if here != end {
                    return Err(Status::failed_precondition(format!("unexpected commit size {here}, expected {end}")));
                }
                let (store, digest) = (self.services.content.clone(), known(&shared.there.digest)?);
                let blob = tokio::task::spawn_blocking(move || store.blob(&digest)).await.map_err(status::thread)?;
                (shared.name, blob.map_err(status::content)?)
            }
            State::Fresh | State::Done => return Err(Status::failed_precondition("the write is committed already")),
        };
        let (caller, lease, digest) = (self.caller.clone(), self.lease.clone(), blob.digest().to_string());
        let (size, labels) = (blob.size(), pairs(message.labels));
        let recorded = self.services.ask("wrote", async |accessor, records| {
            records.call_wrote(accessor, caller, name, digest, labels, lease).await
        });
        let recorded = recorded.await.map_err(status::making)?;
        // From here on the record says what becomes of it.
        drop(blob);
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let told = ContentCreate { digest: recorded.digest.clone(), size };
        self.services.exchange.tell(&self.caller.namespace, &told);
        Ok(WriteContentResponse {
            action: WriteAction::Commit.into(),
            started_at: Some(timestamp(recorded.created)),
            updated_at: Some(timestamp(recorded.updated)),
            offset: size,
            total: size,
            digest: recorded.digest,
        })
    }
}

impl Shared {
    fn end(&self) -> i64 {
        i64::try_from(self.there.size).unwrap_or(i64::MAX)
    }

    fn offset(&self) -> i64 {
        self.again.unwrap_or(self.end())
    }

    fn answer(&self, action: WriteAction) -> WriteContentResponse {
        WriteContentResponse {
            action: action.into(),
            started_at: Some(timestamp(self.there.created)),
            updated_at: Some(timestamp(self.there.updated)),
            offset: self.offset(),
            total: if self.total > 0 { self.total } else { self.end() },
            digest: self.there.digest.clone(),
        }
    }

    /// Refuses a message that is about something else than what is here.
    fn agree(&self, message: &WriteContentRequest) -> Result<(), Status> {
        same_total(message, if self.total > 0 { self.total } else { self.end() })?;
        same_digest(message, &self.there.digest)
    }

    /// Compares what a message brings with what is here. At offset 0 everything begins again.
    async fn take(&mut self, store: &content::Content, offset: i64, data: Bytes) -> Result<(), Status> {
        let here = self.offset();
        if offset != here && offset != 0 {
            return Err(Status::out_of_range(format!("write @{offset} must occur at current offset {here}")));
        }
        if data.is_empty() {
            return Ok(());
        }
        let end = i64::try_from(data.len()).ok().and_then(|length| offset.checked_add(length));
        let end = end.filter(|end| *end <= self.end()).ok_or_else(|| {
            Status::out_of_range(format!("all {} bytes are here, and the message has more", self.end()))
        })?;
        let (store, digest) = (store.clone(), known(&self.there.digest)?);
        let start = u64::try_from(offset).map_err(|_| Status::out_of_range("an offset is not negative"))?;
        let compare = move || {
            let (blob, mut at) = (store.blob(&digest)?, start);
            for part in data.chunks(COMPARED_BYTES) {
                if blob.read(at, part.len() as u64)? != part {
                    return Ok(false);
                }
                at += part.len() as u64;
            }
            Ok::<_, content::Error>(true)
        };
        let is_same = tokio::task::spawn_blocking(compare).await.map_err(status::thread)?.map_err(status::content)?;
        if !is_same {
            let digest = &self.there.digest;
            return Err(Status::failed_precondition(format!("these are not the bytes of `{digest}`, which is here")));
        }
        self.again = Some(end);
        Ok(())
    }
}

/// Refuses another total than was said.
fn same_total(message: &WriteContentRequest, said: i64) -> Result<(), Status> {
    if message.total <= 0 || message.total == said {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("provided total differs from status: {} != {said}", message.total)))
}

/// Refuses another digest than was said.
fn same_digest(message: &WriteContentRequest, said: &str) -> Result<(), Status> {
    if message.expected.is_empty() || message.expected == said {
        return Ok(());
    }
    let other = message.expected.escape_debug();
    Err(Status::invalid_argument(format!("provided digest differs from status: {other} != {said}")))
}

impl Open {
    /// Refuses a message that contradicts what was said before, and takes what it adds.
    fn agree(&mut self, message: &WriteContentRequest) -> Result<(), Status> {
        let Writing { total, expected, .. } = &mut self.writing;
        match *total {
            0 => *total = message.total,
            said => same_total(message, said)?,
        }
        match expected {
            Some(said) => same_digest(message, said)?,
            None => *expected = Some(message.expected.clone()).filter(|expected| !expected.is_empty()),
        }
        Ok(())
    }

    /// Appends what a message brings, where it belongs, and says how far it is. At offset 0 everything begins again.
    async fn take(&self, action: WriteAction, offset: i64, data: Bytes) -> Result<WriteContentResponse, Status> {
        let here = length(&self.ingest);
        let is_more = action != WriteAction::Stat;
        if is_more && offset != 0 && offset != here {
            return Err(Status::out_of_range(format!("write @{offset} must occur at current offset {here}")));
        }
        let (ingest, restart) = (self.ingest.clone(), is_more && offset == 0 && here > 0);
        let work = move || {
            if restart {
                ingest.restart()?;
            }
            if is_more && !data.is_empty() {
                ingest.append(&data)?;
            }
            ingest.digest()
        };
        let digest = tokio::task::spawn_blocking(work).await.map_err(status::thread)?.map_err(status::content)?;
        Ok(WriteContentResponse {
            action: action.into(),
            started_at: Some(timestamp(self.writing.started)),
            updated_at: Some(Timestamp::from(SystemTime::now())),
            offset: length(&self.ingest),
            total: self.writing.total,
            digest: digest.to_string(),
        })
    }

    /// Makes it a blob.
    async fn finish(self, message: &WriteContentRequest) -> Result<content::Blob, Status> {
        let size = self.ingest.offset();
        let said = self.writing.total;
        if said > 0 && u64::try_from(said) != Ok(size) {
            // What has come is kept, so that the client can go on.
            return Err(Status::failed_precondition(format!("unexpected commit size {size}, expected {said}")));
        }
        let expected = match self.writing.expected.as_deref().or(Some(message.expected.as_str())) {
            Some(text) if !text.is_empty() => {
                let digest: Digest = text
                    .parse()
                    .map_err(|_| Status::invalid_argument(format!("`{}` is no digest", text.escape_debug())))?;
                Some(digest)
            }
            _ => None,
        };
        let ingest = Arc::into_inner(self.ingest)
            .ok_or_else(|| Status::internal("somebody still works on what is to be committed"))?;
        let work = move || {
            let actual = ingest.digest()?;
            match expected {
                // What has come is kept here too.
                Some(expected) if expected.algorithm() == Algorithm::Sha256 && expected != actual => {
                    Err(content::Error::DigestMismatch { expected: Box::new(expected), actual: Box::new(actual) })
                }
                expected => ingest.commit(&expected.unwrap_or(actual), size),
            }
        };
        tokio::task::spawn_blocking(work).await.map_err(status::thread)?.map_err(status::content)
    }
}
