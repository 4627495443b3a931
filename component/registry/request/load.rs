//! What a request carries to the registry, and sending it: a document from memory, or a
//! part of a blob, from the content store or from another registry, which the host moves.
//! It looks at how far that is, and at no byte.

use super::within;
use crate::{
    host::{Departure, Host, HttpError, Origin, Request, Response},
    nouns::{descriptor::Descriptor, digest::Digest, problem::ErrorCode},
    registry::{
        Repository,
        failure::{Blame, Failure, Fault},
        retry::Again,
        server::Server,
    },
};
use futures_util::future::{Either, LocalBoxFuture, select};
use std::pin::pin;

/// How often it is looked how far an upload is.
const TICK_MS: u64 = 100;
/// A registry that has every byte may think about them for so many times the silence
/// that a request may have: it hashes them, and some copy them to another store.
const THOUGHT_SILENCES: u64 = 5;
/// What goes on from elsewhere is given up if it is slower than this on average.
const BYTES_A_MS_MIN: u64 = 1;
/// How long the reason is waited for why a body has ended.
const REASON_MS: u64 = 500;

/// What a request carries.
pub(in crate::registry) enum Load<'l, 'h, H: Host> {
    Nothing,
    /// A document.
    Document(&'l [u8]),
    Part(Part<'l, 'h, H>),
}

/// Where the bytes of a blob are.
#[allow(missing_debug_implementations, reason = "a host's blobs need not have one")]
pub enum Bytes<'b, 'h, H: Host> {
    /// In the content store.
    Here(&'b H::Blob),
    /// In another repository, from which they go on as they come.
    At(&'b Repository<'h, H>),
}

/// A part of a blob.
pub(in crate::registry) struct Part<'l, 'h, H: Host> {
    pub(in crate::registry) bytes: &'l Bytes<'l, 'h, H>,
    pub(in crate::registry) what: &'l Descriptor,
    pub(in crate::registry) offset: u64,
    pub(in crate::registry) length: u64,
    /// Is told how many bytes of the part are on their way.
    pub(in crate::registry) watch: &'l dyn Fn(u64),
}

impl<H: Host> Load<'_, '_, H> {
    /// In bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Document(bytes) => bytes.len() as u64,
            Self::Part(part) => part.length,
        }
    }
}

impl<H: Host> Server<'_, H> {
    /// Sends one request to `origin` with what it carries.
    pub(super) async fn send(
        &self,
        request: Request,
        load: &Load<'_, '_, H>,
        origin: &Origin,
    ) -> Result<Response<H::Stream>, Fault> {
        let host = self.host();
        let response = match load {
            Load::Part(part) if part.length > 0 => return self.send_part(request, part, origin).await,
            Load::Document(bytes) => {
                let sending = host.send_body(request, host.stream(bytes.to_vec()));
                within(host, self.patience_ms(THOUGHT_SILENCES), sending).await
            }
            Load::Nothing | Load::Part(_) => {
                let silences = if request.method.tells_length() { THOUGHT_SILENCES } else { 1 };
                within(host, self.patience_ms(silences), host.send(request)).await
            }
        };
        response.unwrap_or(Err(HttpError::Timeout)).map_err(|error| self.fault(&error, origin))
    }

    async fn send_part(
        &self,
        request: Request,
        part: &Part<'_, '_, H>,
        origin: &Origin,
    ) -> Result<Response<H::Stream>, Fault> {
        let host = self.host();
        let Leaving { body, taken, end } = leave(host, part).await?;
        let error = {
            let mut sending = pin!(host.send_body(request, body));
            let mut last = (host.uptime_ms(), 0);
            loop {
                match select(sending.as_mut(), pin!(host.sleep(TICK_MS))).await {
                    Either::Left((Ok(response), _)) => {
                        (part.watch)(taken.as_ref().map_or(part.length, |taken| taken()));
                        return Ok(response);
                    }
                    Either::Left((Err(error), _)) => break error,
                    Either::Right(_) => {
                        let now = (host.uptime_ms(), taken.as_ref().map_or(0, |taken| taken()));
                        if now.1 > last.1 {
                            (part.watch)(now.1);
                            last = now;
                        }
                        // Of what goes on from elsewhere nobody here knows how far it is.
                        let is_blind_ms = if taken.is_none() { part.length / BYTES_A_MS_MIN } else { 0 };
                        let silences = if now.1 >= part.length || taken.is_none() { THOUGHT_SILENCES } else { 1 };
                        if now.0 - last.0 >= self.patience_ms(silences).saturating_add(is_blind_ms) {
                            break HttpError::Timeout;
                        }
                    }
                }
            }
        };
        if let Some(taken) = taken {
            (part.watch)(taken());
        }
        // A body that ends too early breaks the connection, whoever is to blame.
        match within(host, REASON_MS, end).await {
            Some(Err(fault)) => Err(fault),
            _ => Err(self.fault(&error, origin)),
        }
    }
}

/// A part of a blob on its way out.
struct Leaving<S> {
    body: S,
    /// How many bytes have been taken so far, if that is known.
    taken: Option<Box<dyn Fn() -> u64>>,
    /// Why it has ended too early, if it has.
    end: LocalBoxFuture<'static, Result<(), Fault>>,
}

async fn leave<H: Host>(host: &H, part: &Part<'_, '_, H>) -> Result<Leaving<H::Stream>, Fault> {
    match part.bytes {
        Bytes::Here(blob) => {
            let Departure { body, taken, end } = host.depart(blob, part.offset, part.length);
            let digest = part.what.digest.clone();
            let end = async move { end.await.map_err(|code| unreadable(&digest, code)) };
            Ok(Leaving { body, taken: Some(taken), end: Box::pin(end) })
        }
        Bytes::At(repository) => {
            // In a box, because that is a request as well.
            let rest: LocalBoxFuture<'_, _> = Box::pin(repository.rest(part.what, part.offset));
            let (body, end, from) = rest.await?;
            let end = async move {
                end.await.map_err(|error| {
                    Fault::passing(ErrorCode::Unavailable, format!("`{from}` did not send all of the blob: {error}"))
                })
            };
            Ok(Leaving { body, taken: None, end: Box::pin(end) })
        }
    }
}

/// The content store has not what it should have.
fn unreadable(digest: &Digest, code: ErrorCode) -> Fault {
    let why = match &code {
        ErrorCode::DigestMismatch(found) => format!("`{digest}` is damaged: its bytes here hash to `{found}`"),
        ErrorCode::SizeMismatch(size) => format!("`{digest}` is damaged: {size} bytes of it are here"),
        other => format!("`{digest}` cannot be read here: {other}"),
    };
    let fix = Some("`wharf fsck --repair` fetches damaged blobs again".to_owned());
    Fault { failure: Failure { code, why: vec![why], fix }, again: Again::Never, blame: Blame::Here }
}
