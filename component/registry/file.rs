//! A file at an address, brought into an ingest: what a person has typed, and no registry.
//! Nobody knows its digest, so what is resumed has to be the same by what the server says of
//! it (`if-range`), and is begun anew otherwise. No login is sent, whatever is answered.
//!
//! ```text
//! GET from offset ─► append ─► all there? ─► done
//!       ▲                         │ no
//!       └───── wait, retry ◄──────┘
//! ```
//!
//! RFC 9110 sections 13.1.5 and 14.

use super::{
    endpoint::Endpoint,
    failure::{Failure, Fault},
    location::{self, LocationError, Target},
    range,
    request::{Answer, Ask, Load, within},
    retry::{self, Again, Retry},
    server::{Common, Server},
};
use crate::{
    host::{Host, HttpError, Ingest, Method, Origin},
    nouns::{access::Access, problem::ErrorCode},
};
use futures_util::future::{Either, select};
use std::{pin::pin, rc::Rc};

/// How often progress is looked at.
const TICK_MS: u64 = 100;
/// A longer file is not taken.
const FILE_BYTES_MAX: u64 = 64 << 30;

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(Target);

impl Address {
    /// Reads what a person has typed, as in `https://example.com/root.tar.gz`.
    pub(crate) fn parse(text: &str) -> Result<Self, LocationError> {
        // Only what has a scheme is told from a name without looking at this.
        let nowhere = Origin { secure: false, authority: "invalid".to_owned() };
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http" | "https") => {
                location::resolve(&Target { origin: nowhere, path: "/".to_owned() }, text).map(Self)
            }
            Some(_) | None => Err(LocationError::Scheme),
        }
    }

    /// As it may be shown: without the query, which may hold a signature.
    pub(crate) fn shown(&self) -> String {
        location::without_secrets(&self.0.to_string())
    }
}

/// Who is told how a download goes.
pub(crate) trait Hearer {
    /// So many bytes are here, of so many if the server has said it.
    fn arrived(&self, received: u64, size: Option<u64>);
    /// Something that a person should know. The download goes on.
    fn say(&self, text: String);
}

/// Brings the file into an ingest that is empty.
///
/// Fails with [`ErrorCode::NotFound`] if there is none, with [`ErrorCode::Denied`] if the
/// server wants a login or the host does not allow the address.
pub(crate) async fn fetch<H: Host>(
    host: &H,
    address: &Address,
    access: &Access,
    ingest: &H::Ingest,
    hearer: &dyn Hearer,
) -> Result<(), Failure> {
    let Target { origin, .. } = &address.0;
    let common = Rc::new(Common::new(host, origin.authority.clone(), access, Vec::new()));
    let server = Server::new(&common, Endpoint::of_registry(&origin.authority, origin.clone()));
    let mut retry = Retry::new(host, common.attempts_max);
    let mut file = File { server: &server, address, ingest, hearer, validator: None, size: None, reached: 0 };
    loop {
        let outcome = file.part().await;
        let offset = ingest.offset();
        if offset > file.reached {
            file.reached = offset;
            retry.progress(host);
        }
        match outcome {
            Ok(()) => return Ok(()),
            Err(fault) => retry.wait(host, &|text| hearer.say(text), advised(fault)).await?,
        }
    }
}

/// What to try is for registries elsewhere.
fn advised(mut fault: Fault) -> Fault {
    if fault.failure.fix.is_some() && fault.failure.code == ErrorCode::Unavailable {
        fault.failure.fix = Some("check the address, and that it can be reached from here".to_owned());
    }
    fault
}

struct File<'f, 'h, H: Host> {
    server: &'f Server<'h, H>,
    address: &'f Address,
    ingest: &'f H::Ingest,
    hearer: &'f dyn Hearer,
    /// What the server says of the file whose first bytes are here: a strong `etag`, or
    /// when it was changed.
    validator: Option<String>,
    /// How long it is, if that is known.
    size: Option<u64>,
    /// The most bytes that were here at any time.
    reached: u64,
}

impl<H: Host> File<'_, '_, H> {
    /// Asks for what is missing once, and appends what comes.
    async fn part(&mut self) -> Result<(), Fault> {
        if self.ingest.offset() > 0 && self.validator.is_none() {
            self.ingest.restart().await?;
        }
        let offset = self.ingest.offset();
        let mut headers = vec![("accept", "*/*".to_owned())];
        if let Some(validator) = self.validator.as_ref().filter(|_| offset > 0) {
            headers.push(("range", format!("bytes={offset}-")));
            headers.push(("if-range", validator.clone()));
        }
        let ask = Ask { method: Method::Get, target: self.address.0.clone(), headers };
        let answer = self.server.follow(&ask, &Load::Nothing, None).await?;
        match answer.response.status {
            200 => {
                if offset > 0 {
                    self.ingest.restart().await?;
                }
                self.size = answer.length()?;
                self.validator = validator(&answer);
            }
            206 if offset > 0 => {
                let range = answer.header("content-range").and_then(range::parse);
                let fits =
                    range.filter(|range| range.first == offset && self.size.is_none_or(|size| range.last < size));
                if fits.is_none() {
                    self.validator = None;
                    let why = format!("`{}` sent another part than was asked for", authority(&answer));
                    return Err(Fault::passing(ErrorCode::Unavailable, why));
                }
            }
            416 if offset > 0 => {
                self.validator = None;
                let why = format!("`{}` has not the part that was asked for", authority(&answer));
                return Err(Fault::passing(ErrorCode::Unavailable, why));
            }
            _ => return Err(self.refused(&answer)),
        }
        self.take(answer).await
    }

    /// Appends a body, and finds out whether it arrived whole.
    async fn take(&mut self, answer: Answer<H::Stream>) -> Result<(), Fault> {
        let from = answer.target.origin.clone();
        // One byte more than there may be, so that a longer body is noticed.
        let limit = self.size.unwrap_or(FILE_BYTES_MAX).min(FILE_BYTES_MAX) - self.ingest.offset().min(FILE_BYTES_MAX);
        let appended = self.append(answer.response.body, limit.saturating_add(1)).await?;
        let offset = self.ingest.offset();
        if offset > FILE_BYTES_MAX {
            let why = format!("`{}` sends more than {FILE_BYTES_MAX} bytes", from.authority);
            return Err(Fault::last(ErrorCode::TooLarge(FILE_BYTES_MAX), why));
        }
        let Some((_, rest)) = appended else {
            let why = format!("`{}` stopped sending", from.authority);
            return Err(Fault::passing(ErrorCode::Unavailable, why));
        };
        if let Some(size) = self.size.filter(|&size| rest.is_some() || offset > size) {
            drop(rest);
            self.validator = None;
            let why = format!("`{}` sent more than the {size} bytes that it declares", from.authority);
            return Err(Fault::passing(ErrorCode::SizeMismatch(offset), why));
        }
        let silence_ms = self.server.common.silence_ms;
        let ended = within(self.server.host(), silence_ms, answer.response.end).await;
        ended.unwrap_or(Err(HttpError::Timeout)).map_err(|error| self.server.fault(&error, &from))?;
        match self.size.filter(|&size| size != offset) {
            Some(size) => {
                let why = format!("`{}` sent {offset} of {size} bytes", from.authority);
                Err(Fault::passing(ErrorCode::SizeMismatch(offset), why))
            }
            None => Ok(()),
        }
    }

    /// Appends, and tells how far it is. None if nothing came for too long.
    async fn append(&self, body: H::Stream, limit: u64) -> Result<Option<(u64, Option<H::Stream>)>, Fault> {
        let host = self.server.host();
        let mut last = (host.uptime_ms(), self.ingest.offset());
        self.hearer.arrived(last.1, self.size);
        let mut append = pin!(self.ingest.append(body, limit));
        loop {
            match select(append.as_mut(), pin!(host.sleep(TICK_MS))).await {
                Either::Left((done, _)) => {
                    let done = done?;
                    self.hearer.arrived(self.ingest.offset(), self.size);
                    return Ok(Some(done));
                }
                Either::Right(_) => {
                    let now = (host.uptime_ms(), self.ingest.offset());
                    if now.1 > last.1 {
                        self.hearer.arrived(now.1, self.size);
                        last = now;
                    } else if now.0 - last.0 >= self.server.common.silence_ms {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Says what a status means that is no success.
    fn refused(&self, answer: &Answer<H::Stream>) -> Fault {
        let (status, who) = (answer.response.status, authority(answer));
        let why = format!("`{who}` answered {status} to `{}`", answer.line());
        let fault = |code, again| Fault { again, ..Fault::last(code, why.clone()) };
        let after = answer.header("retry-after");
        match status {
            401 | 403 | 407 => {
                let mut fault = fault(ErrorCode::Denied, Again::Never);
                fault.failure.why.push("no login is sent for an address".to_owned());
                fault.failure.fix = Some("download it with a program that logs in, and import the file".to_owned());
                fault
            }
            404 | 410 => fault(ErrorCode::NotFound, Again::Never),
            status if !retry::is_transient(status) => fault(ErrorCode::Invalid, Again::Never),
            status => match after.and_then(|after| retry::retry_after_ms(after, self.server.host().now())) {
                Some(ms) => fault(ErrorCode::Unavailable, Again::After { ms, who: who.to_owned() }),
                None if status == 429 => fault(ErrorCode::Unavailable, Again::Slower),
                None => fault(ErrorCode::Unavailable, Again::Soon),
            },
        }
    }
}

fn authority<S>(answer: &Answer<S>) -> &str {
    &answer.target.origin.authority
}

/// RFC 9110 section 8.8: a weak `etag` may be that of other bytes.
fn validator<S>(answer: &Answer<S>) -> Option<String> {
    let tag = answer.header("etag").filter(|tag| tag.starts_with('"'));
    tag.or_else(|| answer.header("last-modified")).map(str::to_owned)
}

#[cfg(test)]
mod stories;
