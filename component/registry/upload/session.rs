//! The requests of one upload, from where the registry has it begin to its end, and
//! what their answers mean. Who tries again, and how often, is decided outside.

use super::{Phase, Shape, Upload, Way};
use crate::{
    host::{Host, Method},
    nouns::{digest::Digest, problem::ErrorCode},
    planted::{Bug, has},
    registry::{
        failure::{Blame, Fault},
        location::{self, Target, escaped},
        range::number,
        refusal::Subject,
        request::{Answer, Ask, Bytes, Load, Part, only_location},
        retry::{self, Again},
        server::Server,
    },
};
use std::cell::Cell;

/// No registry wants larger chunks than this. OCI distribution-spec,
/// “Pushing a blob in chunks”: what one says is its claim.
const CHUNK_BYTES_MIN_MAX: u64 = 1 << 30;

/// An upload that the registry has begun.
pub(super) struct Session {
    /// Which endpoint has it.
    pub(super) at: usize,
    /// Where it goes on. It may be elsewhere than the registry, and gets no grant there.
    pub(super) target: Target,
    /// How many bytes the registry has.
    pub(super) offset: u64,
    /// Whether the registry has said so itself since the last failure.
    pub(super) is_sure: bool,
    /// The registry takes no chunk that is smaller, but for the last one.
    pub(super) chunk_bytes_min: u64,
}

impl<H: Host> Upload<'_, '_, H> {
    /// Begins an upload, or mounts the blob.
    pub(super) async fn begin(&mut self, server: &Server<'_, H>, at: usize) -> Result<Option<Way>, Fault> {
        if let Some(source) = self.source.take() {
            let rest = format!("blobs/uploads/?mount={}&from={}", escaped(self.what.digest.as_str()), escaped(source));
            self.attempts += 1;
            let answer = server.exchange(&server.ask(Method::Post, &rest, Vec::new())).await?;
            match answer.response.status {
                200 | 201 | 204 => {
                    self.check_digest(&answer)?;
                    return Ok(Some(Way::Mounted(source.clone())));
                }
                // It has not the blob there, or we may not read it, and has begun an upload instead.
                202 => {
                    self.session = Some(self.session(&answer, at)?);
                    return Ok(None);
                }
                status if retry::is_transient(status) => {
                    return Err(server.refusal(answer, Subject::Upload(&self.what.digest)).await);
                }
                // Registries that know no mounts, or no such repository, may take the bytes all the same.
                _ => {}
            }
        }
        self.attempts += 1;
        let answer = server.exchange(&server.ask(Method::Post, "blobs/uploads/", Vec::new())).await?;
        if answer.response.status != 202 {
            return Err(server.refusal(answer, Subject::Upload(&self.what.digest)).await);
        }
        self.session = Some(self.session(&answer, at)?);
        Ok(None)
    }

    fn session(&self, answer: &Answer<H::Stream>, at: usize) -> Result<Session, Fault> {
        let target = next(answer)?.ok_or_else(|| {
            let why = format!("`{}` began an upload, and does not say where it goes on", authority(answer));
            Fault::last(ErrorCode::Invalid, why)
        })?;
        let chunk_bytes_min = answer.header("oci-chunk-min-length").and_then(number).unwrap_or(0);
        let chunk_bytes_min = chunk_bytes_min.min(CHUNK_BYTES_MIN_MAX);
        Ok(Session { at, target, offset: 0, is_sure: true, chunk_bytes_min })
    }

    /// Asks how much of the upload there is. Forgets it if that is nothing, or if the
    /// registry does not know.
    pub(super) async fn resume(&mut self, server: &Server<'_, H>) -> Result<(), Fault> {
        let Some(mut session) = self.session.take() else { return Ok(()) };
        let ask = Ask { method: Method::Get, target: session.target.clone(), headers: Vec::new() };
        self.attempts += 1;
        let answer = server.exchange(&ask).await?;
        match answer.response.status {
            200 | 202 | 204 => {}
            status if retry::is_transient(status) => {
                // The upload may be there again when the registry is.
                self.session = Some(session);
                return Err(server.refusal(answer, Subject::Upload(&self.what.digest)).await);
            }
            _ => return Ok(()),
        }
        // `0-0` is one byte, or, in distribution, none: there is nothing to win by either.
        let offset = answer.header("range").and_then(end).filter(|&end| end > 1 && end <= self.what.size);
        let Some(offset) = offset else { return Ok(()) };
        if let Some(target) = next(&answer)? {
            session.target = target;
        }
        session.offset = offset;
        session.is_sure = true;
        self.reach(offset);
        self.session = Some(session);
        // The rest of what is here in part is worth a request that can be resumed as well.
        if self.shape == Shape::Whole {
            self.shape = Shape::Stream;
        }
        Ok(())
    }

    /// Sends the next `length` bytes.
    pub(super) async fn patch(&mut self, server: &Server<'_, H>, length: u64) -> Result<(), Fault> {
        let session = self.session.as_ref().expect("whoever sends has an upload");
        let (offset, size) = (session.offset, self.what.size);
        let mut headers = vec![("content-type", "application/octet-stream".to_owned())];
        // A request with everything is no chunk, and old registries know nothing else.
        if offset > 0 || length < size {
            headers.push(("content-range", format!("{offset}-{}", offset + length - 1)));
        }
        let ask = Ask { method: Method::Patch, target: session.target.clone(), headers };
        let answer = self.send(server, &ask, offset, length).await?;
        let from = authority(&answer).to_owned();
        match answer.response.status {
            200..=204 => {}
            404 => {
                let why = format!("`{from}` has forgotten the upload");
                return Err(self.anew(self.shape, ErrorCode::NotFound, why));
            }
            413 => return Err(self.too_large(server, answer).await),
            // The registry has more or less than this end thinks: it is asked, and not believed twice.
            416 if self.anew == 0 => {
                self.anew += 1;
                let why = format!("`{from}` does not go on at byte {offset}");
                return Err(again(ErrorCode::Unavailable, why));
            }
            400 | 405 | 416 | 501 if session_can_be_whole(self.shape) => {
                let why = format!("`{from}` takes no parts of a blob ({})", answer.response.status);
                return Err(self.anew(Shape::Whole, ErrorCode::Unsupported, why));
            }
            // Of a proxy that gave up.
            499 => return Err(again(ErrorCode::Unavailable, format!("`{from}` broke the upload off"))),
            _ => return Err(server.refusal(answer, Subject::Upload(&self.what.digest)).await),
        }
        let has = answer.header("range").and_then(end).unwrap_or(offset + length);
        // `0-0` may be none.
        if (has <= offset.max(1) && has < offset + length) || has > offset + length {
            let why = format!("`{from}` says that it has {has} bytes, and {} were sent", offset + length);
            return Err(self.anew(Shape::Whole, ErrorCode::Invalid, why));
        }
        let target = next(&answer)?;
        let session = self.session.as_mut().expect("whoever sends has an upload");
        session.offset = has;
        if let Some(target) = target {
            session.target = target;
        }
        self.reach(has);
        Ok(())
    }

    /// Ends the upload: what is left goes with it.
    pub(super) async fn finish(&mut self, server: &Server<'_, H>) -> Result<(), Fault> {
        let session = self.session.as_ref().expect("whoever sends has an upload");
        let (offset, mut target) = (session.offset, session.target.clone());
        let sign = if target.path.contains('?') { '&' } else { '?' };
        target.path = format!("{}{sign}digest={}", target.path, escaped(self.what.digest.as_str()));
        let headers = vec![("content-type", "application/octet-stream".to_owned())];
        let ask = Ask { method: Method::Put, target, headers };
        // From here on the registry may have it, whatever this end hears.
        self.is_known_absent = false;
        let answer = self.send(server, &ask, offset, self.what.size - offset).await?;
        let from = authority(&answer).to_owned();
        match answer.response.status {
            200 | 201 | 204 => self.check_digest(&answer),
            // It may be at work still, or not have got all of it.
            202 => {
                Err(again(ErrorCode::Unavailable, format!("`{from}` took the blob, and does not say that it has it")))
            }
            404 => {
                let why = format!("`{from}` has forgotten the upload");
                Err(self.anew(self.shape, ErrorCode::NotFound, why))
            }
            413 => Err(self.too_large(server, answer).await),
            // A line or a proxy on the way may have spoiled the bytes once.
            400 | 416 if self.anew == 0 => {
                let why = format!("`{from}` did not get the bytes that were sent ({})", answer.response.status);
                Err(self.anew(self.shape, ErrorCode::Invalid, why))
            }
            499 => Err(again(ErrorCode::Unavailable, format!("`{from}` broke the upload off"))),
            _ => Err(server.refusal(answer, Subject::Upload(&self.what.digest)).await),
        }
    }

    /// Sends a request with a part of the blob, and tells how far it is.
    async fn send(
        &mut self,
        server: &Server<'_, H>,
        ask: &Ask,
        offset: u64,
        length: u64,
    ) -> Result<Answer<H::Stream>, Fault> {
        self.attempts += 1;
        let (watch, size, before) = (self.watch, self.what.size, self.sent_bytes.get());
        let (sent, most) = (&self.sent_bytes, Cell::new(0));
        watch.progress(Phase::Uploading, offset);
        let tell = |taken: u64| {
            // A challenge has the same bytes sent again.
            most.set(taken.max(most.get()));
            sent.set(before + most.get());
            watch.progress(Phase::Uploading, (offset + taken).min(size));
        };
        let part = Part { bytes: self.bytes, what: self.what, offset, length, watch: &tell };
        let mut answer = server.exchange_with(ask, &Load::Part(part)).await;
        // Who cannot send a part is asked for all of it again.
        if let (Err(fault), Bytes::At(_)) = (&mut answer, self.bytes)
            && fault.failure.code == ErrorCode::Unsupported
            && offset > 0
        {
            self.session = None;
            fault.again = Again::Soon;
        }
        if has(Bug::UploadOffsetTrusted)
            && answer.is_err()
            && let Some(session) = &mut self.session
        {
            session.offset = offset + most.get();
        }
        answer
    }

    async fn too_large(&mut self, server: &Server<'_, H>, answer: Answer<H::Stream>) -> Fault {
        match self.smaller() {
            Some(smaller) => {
                let why = format!("`{}` takes no request as large as this", authority(&answer));
                self.anew(smaller, ErrorCode::Invalid, why)
            }
            None => server.refusal(answer, Subject::Upload(&self.what.digest)).await,
        }
    }

    /// Compares the digest that the registry says, if it says one.
    fn check_digest(&self, answer: &Answer<H::Stream>) -> Result<(), Fault> {
        let said = answer.header("docker-content-digest").and_then(|said| said.parse::<Digest>().ok());
        match said.filter(|said| *said != self.what.digest && said.algorithm() == self.what.digest.algorithm()) {
            None => Ok(()),
            Some(said) => {
                let why = format!("`{}` calls the blob `{said}`, and it is `{}`", authority(answer), self.what.digest);
                Err(Fault::last(ErrorCode::DigestMismatch(said), why))
            }
        }
    }
}

fn session_can_be_whole(shape: Shape) -> bool {
    shape != Shape::Whole
}

/// A failure after which the registry is asked how much it has.
fn again(code: ErrorCode, why: String) -> Fault {
    Fault { again: Again::Soon, blame: Blame::Nobody, ..Fault::last(code, why) }
}

/// Returns where an upload goes on, if the answer says so.
fn next<S>(answer: &Answer<S>) -> Result<Option<Target>, Fault> {
    let Some(said) = only_location(&answer.response) else { return Ok(None) };
    location::resolve(&answer.target, said).map(Some).map_err(|error| {
        let shown = location::without_secrets(said);
        let why = format!("`{}` has the upload go on at `{shown}`, which is not followed: {error}", authority(answer));
        let mut fault = Fault::last(ErrorCode::Invalid, why);
        if error == location::LocationError::Downgrade {
            fault.failure.fix = Some(
                "have the proxy before the registry tell it that it is reached by TLS (`X-Forwarded-Proto`)".into(),
            );
        }
        fault
    })
}

/// Reads how many bytes a `Range` header says that there are, as in `0-1023`, or
/// with the unit of RFC 9110.
fn end(header: &str) -> Option<u64> {
    let header = header.trim();
    let (first, last) = header.strip_prefix("bytes=").unwrap_or(header).split_once('-')?;
    (number(first)? == 0).then(|| number(last)?.checked_add(1)).flatten()
}

fn authority<S>(answer: &Answer<S>) -> &str {
    &answer.target.origin.authority
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_there_is_is_read_strictly() {
        for (header, expected) in [
            ("0-1023", Some(1024)),
            ("bytes=0-1023", Some(1024)),
            ("0-0", Some(1)),
            (" 0-9 ", Some(10)),
            ("1-9", None),
            ("0--1", None),
            ("0-", None),
            ("-5", None),
            ("0-18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(end(header), expected, "{header}");
        }
    }
}
