//! Manifests and indexes, fetched by tag or digest and believed only when
//! their bytes hash to what was asked for or announced. It does not choose a
//! platform, and stores nothing.

use super::{
    Failure, Repository, failure::Fault, refusal::Subject, request::Answer, rounds::Need, sent::Sent, server::Server,
};
use crate::{
    host::{Host, Method},
    nouns::{
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        json::DOCUMENT_BYTES_MAX,
        manifest::Document,
        media_type::{self, Kind},
        problem::ErrorCode,
        reference,
    },
    planted::{Bug, has},
};

/// The size of the largest manifest or index, in bytes.
pub const MANIFEST_BYTES_MAX: u64 = DOCUMENT_BYTES_MAX as u64;
/// How often a HEAD is sent to a registry that wants fewer requests. Any other
/// failure ends it at once: patience is for the GET that follows.
const HEAD_ATTEMPTS_MAX: u32 = 2;

/// A manifest or an index that has arrived and hashes to its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// What it is: the type that its structure and its headers agree on.
    pub descriptor: Descriptor,
    /// The document as it arrived. Its digest is that of these bytes.
    pub bytes: Vec<u8>,
    /// The same, read.
    pub document: Document,
    /// What the registry declared, parameters included.
    pub content_type: Option<String>,
    /// How it came.
    pub sent: Sent,
}

impl<H: Host> Repository<'_, H> {
    /// Asks what a tag or a digest points to, without the document.
    ///
    /// Returns none when no endpoint answers that usefully, or at all: ask for
    /// the [`manifest`](Self::manifest) then, which finds out why, and has the
    /// patience. Fails if that would only do harm: when the registry wants fewer
    /// requests, or the host refuses one or has no accepted login.
    pub async fn head(&self, which: &str) -> Result<Option<Descriptor>, Failure> {
        let wanted = meant(which)?;
        let attempts_max = self.common.attempts_max.min(HEAD_ATTEMPTS_MAX);
        self.persist(Need::of(which), attempts_max, async |server| {
            let ask = server.ask(Method::Head, &path(which), vec![accept()]);
            let answer = match server.exchange(&ask).await {
                Ok(answer) => answer,
                // The next request would only have the same login rejected a second time.
                Err(fault) if fault.failure.code == ErrorCode::Denied || server.endpoint().mirror => return Err(fault),
                Err(fault) if has(Bug::HeadIsFinal) => return Err(fault),
                Err(_) => return Ok(None),
            };
            match answer.response.status {
                405 if has(Bug::HeadIsFinal) => Err(server.refusal(answer, Subject::Manifest(which)).await),
                200 => {
                    server.note_limit(&answer.response.headers);
                    Ok(described(&answer, wanted.as_ref()))
                }
                429 => Err(server.refusal(answer, Subject::Manifest(which)).await),
                _ if server.endpoint().mirror => Err(server.refusal(answer, Subject::Manifest(which)).await),
                _ => Ok(None),
            }
        })
        .await
    }

    /// Fetches the manifest or index that a tag or a digest points to.
    pub async fn manifest(&self, which: &str) -> Result<Fetched, Failure> {
        let fetched = self.manifest_unless(which, None).await?;
        Ok(fetched.expect("nothing was known, so that nothing could be the same"))
    }

    /// Fetches the manifest or index that a tag points to, unless it is the one
    /// that is `known`: then there is none. RFC 9110 section 13.1.2.
    pub async fn manifest_unless(&self, which: &str, known: Option<&Digest>) -> Result<Option<Fetched>, Failure> {
        self.manifest_of(Need::of(which), which, known).await
    }

    /// The same of endpoints that are good for something else.
    pub(super) async fn manifest_of(
        &self,
        need: Need,
        which: &str,
        known: Option<&Digest>,
    ) -> Result<Option<Fetched>, Failure> {
        let wanted = meant(which)?;
        let mut attempts = 0;
        // Who takes another document for this one is not asked so again.
        let mut condition = known;
        self.persist(need, self.common.attempts_max, async |server| {
            attempts += 1;
            let mut headers = vec![accept()];
            headers.extend(condition.map(|known| ("if-none-match", format!("\"{known}\""))));
            let ask = server.ask(Method::Get, &path(which), headers);
            let answer = server.exchange(&ask).await?;
            if let (304, Some(known)) = (answer.response.status, condition) {
                server.note_limit(&answer.response.headers);
                if announced_digest(&answer)?.is_none_or(|announced| announced == *known) {
                    return Ok(None);
                }
                condition = None;
                let from = &answer.target.origin.authority;
                let why = format!("`{from}` says that nothing has changed, and announces another digest");
                return Err(Fault::passing(ErrorCode::Invalid, why));
            }
            if answer.response.status != 200 {
                return Err(server.refusal(answer, Subject::Manifest(which)).await);
            }
            server.note_limit(&answer.response.headers);
            let mut fetched = server.fetched(answer, wanted.as_ref()).await?;
            fetched.sent.attempts = attempts;
            Ok(Some(fetched))
        })
        .await
    }
}

/// Returns the digest that `which` is, or none if it is a tag.
fn meant(which: &str) -> Result<Option<Digest>, Failure> {
    match which.parse() {
        Ok(digest) => Ok(Some(digest)),
        Err(_) if reference::is_tag(which) => Ok(None),
        Err(_) => Err(Failure::new(ErrorCode::Invalid, format!("`{which}` is neither a tag nor a digest"))),
    }
}

fn path(which: &str) -> String {
    format!("manifests/{which}")
}

fn accept() -> (&'static str, String) {
    ("accept", media_type::ACCEPT.join(", "))
}

impl<H: Host> Server<'_, H> {
    async fn fetched(&self, answer: Answer<H::Stream>, wanted: Option<&Digest>) -> Result<Fetched, Fault> {
        let content_type = answer.header("content-type").map(str::to_owned);
        let encoded = answer.is_encoded();
        let announced = announced_digest(&answer)?;
        let from = answer.target.origin.authority.clone();
        let bytes = self.document(answer, MANIFEST_BYTES_MAX).await?;

        let expected = wanted.or(announced.as_ref());
        let digest = match expected {
            Some(expected) => {
                let found = Digest::of(expected.algorithm(), &bytes);
                if found != *expected && !(wanted.is_some() && has(Bug::WantedDigestIgnored)) {
                    let asked = if wanted.is_some() { "was asked for" } else { "is what the registry announced" };
                    let why = format!("the manifest from `{from}` hashes to `{found}`, and `{expected}` {asked}");
                    return Err(Fault::last(ErrorCode::DigestMismatch(found), why));
                }
                found
            }
            // Compressed on the way, the bytes would get a digest that nobody else knows.
            None if encoded && !has(Bug::EncodingIgnored) => {
                let why = format!("`{from}` compressed the manifest, although that was not asked for");
                return Err(Fault::last(ErrorCode::Invalid, why));
            }
            None => Digest::of(Algorithm::Sha256, &bytes),
        };
        if let Some(announced) = announced.filter(|announced| !announced.verify(&bytes)) {
            let why = format!("the manifest hashes to `{digest}`, and `{from}` announced `{announced}`");
            return Err(Fault::last(ErrorCode::DigestMismatch(digest), why));
        }
        let document = Document::parse(&bytes, content_type.as_deref())
            .map_err(|error| Fault::last(ErrorCode::Invalid, error.to_string()))?;
        let descriptor = Descriptor::new(document.media_type(), digest, bytes.len() as u64);
        let sent = Sent { endpoint: Some(self.url()), attempts: 1, resumed_from: 0, fetched_bytes: bytes.len() as u64 };
        Ok(Fetched { descriptor, bytes, document, content_type, sent })
    }
}

/// Returns the digest that the registry announced. Many registries do not; one
/// that announces something else than a digest is not believed at all.
fn announced_digest<S>(answer: &Answer<S>) -> Result<Option<Digest>, Fault> {
    let header = answer.header("docker-content-digest").filter(|_| !has(Bug::AnnouncedDigestIgnored));
    let Some(announced) = header.filter(|announced| !announced.is_empty()) else {
        return Ok(None);
    };
    announced.parse().map(Some).map_err(|error| {
        let from = &answer.target.origin.authority;
        let announced = super::failure::shown(announced);
        Fault::last(ErrorCode::Invalid, format!("`{from}` announced the digest `{announced}`: {error}"))
    })
}

/// Reads the headers of a HEAD response. None unless they say everything, and
/// nothing else than what was asked for.
fn described<S>(answer: &Answer<S>, wanted: Option<&Digest>) -> Option<Descriptor> {
    let announced = announced_digest(answer).ok()?;
    let digest = match (wanted, announced) {
        (Some(wanted), Some(announced)) if *wanted != announced => return None,
        (Some(wanted), _) => wanted.clone(),
        (None, announced) => announced?,
    };
    let size = answer.length().ok()?.filter(|size| (1..=MANIFEST_BYTES_MAX).contains(size))?;
    let media_type = media_type::essence(answer.header("content-type")?);
    matches!(media_type::kind(media_type), Kind::Index | Kind::Manifest)
        .then(|| Descriptor::new(media_type, digest, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::HttpError,
        registry::script::{MANIFEST, Reply, Script, broken, reply, silent},
    };
    use std::cell::RefCell;

    const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn digest() -> Digest {
        Digest::of(Algorithm::Sha256, MANIFEST.as_bytes())
    }

    fn fetch(reply: Reply, which: &str) -> Result<Fetched, Failure> {
        let host = Script::new([reply]);
        host.run(host.repository("registry.example/a/b").manifest(which))
    }

    fn good() -> Reply {
        reply(200).header("content-type", "application/vnd.oci.image.manifest.v1+json").body(MANIFEST)
    }

    #[test]
    fn a_manifest_is_its_bytes_and_their_digest() {
        let expected = Fetched {
            descriptor: Descriptor::new(media_type::OCI_MANIFEST, digest(), MANIFEST.len() as u64),
            bytes: MANIFEST.as_bytes().to_vec(),
            document: Document::parse(MANIFEST.as_bytes(), None).expect("the test's manifest is one"),
            content_type: Some(media_type::OCI_MANIFEST.to_owned()),
            sent: Sent {
                endpoint: Some("https://registry.example".to_owned()),
                attempts: 1,
                resumed_from: 0,
                fetched_bytes: MANIFEST.len() as u64,
            },
        };
        assert_eq!(fetch(good(), "v1"), Ok(expected.clone()));
        assert_eq!(fetch(good().header("docker-content-digest", digest().as_str()), "v1"), Ok(expected.clone()));
        assert_eq!(fetch(good(), digest().as_str()), Ok(expected));
        for declared in ["text/plain; charset=utf-8", "application/json", "application/octet-stream"] {
            let fetched = fetch(reply(200).header("content-type", declared).body(MANIFEST), "v1")
                .expect("generic types say nothing");
            assert_eq!(fetched.descriptor.media_type, media_type::OCI_MANIFEST);
            assert_eq!(fetched.content_type.as_deref(), Some(declared));
        }
    }

    #[test]
    fn another_digest_algorithm_is_verified_with_itself() {
        let digest = Digest::of(Algorithm::Sha512, MANIFEST.as_bytes());
        assert_eq!(fetch(good(), digest.as_str()).map(|fetched| fetched.descriptor.digest), Ok(digest.clone()));
        let by_tag = fetch(good().header("docker-content-digest", digest.as_str()), "v1");
        assert_eq!(by_tag.map(|fetched| fetched.descriptor.digest), Ok(digest));
    }

    #[test]
    fn a_wrong_digest_is_refused_and_both_are_named() {
        let found = digest();
        for (reply, which, why) in [
            (
                good(),
                OTHER,
                format!("the manifest from `registry.example` hashes to `{found}`, and `{OTHER}` was asked for"),
            ),
            (
                good().header("docker-content-digest", OTHER),
                "v1",
                format!(
                    "the manifest from `registry.example` hashes to `{found}`, and `{OTHER}` is what the registry announced"
                ),
            ),
            (
                good().header("docker-content-digest", OTHER),
                found.as_str(),
                format!("the manifest hashes to `{found}`, and `registry.example` announced `{OTHER}`"),
            ),
        ] {
            assert_eq!(fetch(reply, which), Err(Failure::new(ErrorCode::DigestMismatch(found.clone()), why)));
        }
    }

    #[test]
    fn what_cannot_be_believed_is_refused() {
        let large = vec![b' '; MANIFEST_BYTES_MAX as usize + 1];
        for (reply, code, why) in [
            (
                good().header("docker-content-digest", "md5:0"),
                ErrorCode::Invalid,
                "`registry.example` announced the digest `md5:0`: the digest algorithm `md5` is not supported",
            ),
            (
                good().header("content-encoding", "gzip"),
                ErrorCode::Invalid,
                "`registry.example` compressed the manifest, although that was not asked for",
            ),
            (
                reply(200).body(large),
                ErrorCode::TooLarge(MANIFEST_BYTES_MAX),
                "the document of `registry.example` is larger than the limit of 4194304 bytes",
            ),
            (reply(200).body("{}"), ErrorCode::Invalid, "`schemaVersion` is missing, not 2"),
        ] {
            assert_eq!(fetch(reply, "v1"), Err(Failure::new(code, why)));
        }
        let host = Script::new([]);
        let failure = host.run(host.repository("registry.example/a/b").manifest("../../x"));
        assert_eq!(failure, Err(Failure::new(ErrorCode::Invalid, "`../../x` is neither a tag nor a digest")));
        assert_eq!(host.requests(), []);
    }

    #[test]
    fn a_manifest_that_was_cut_short_is_fetched_again() {
        let host = Script::new([good().cut_at(20), good()]);
        let fetched =
            host.run(host.repository("registry.example/a/b").manifest("v1")).expect("the second one is whole");
        assert_eq!(fetched.descriptor.digest, digest());
        assert_eq!(host.requests().len(), 2);
    }

    #[test]
    fn head_describes_or_says_nothing() {
        let digest = digest();
        let head = |status: u16, headers: &[(&str, &str)]| {
            headers.iter().fold(reply(status), |reply, (name, value)| reply.header(name, value))
        };
        let text = digest.to_string();
        let length = ("content-length", "7");
        let kind = ("content-type", "application/vnd.oci.image.index.v1+json; charset=utf-8");
        let known = ("docker-content-digest", text.as_str());
        let described = Some(Descriptor::new(media_type::OCI_INDEX, digest.clone(), 7));
        for (reply, which, expected) in [
            (head(200, &[length, kind, known]), "v1", described.clone()),
            (head(200, &[length, kind, known]), &text, described.clone()),
            (head(200, &[length, kind]), &text, described),
            (head(200, &[length, kind]), "v1", None),
            (head(200, &[length, kind, ("docker-content-digest", OTHER)]), &text, None),
            (head(200, &[length, kind, ("docker-content-digest", "nonsense")]), "v1", None),
            (head(200, &[length, ("content-type", "text/plain"), known]), "v1", None),
            (head(200, &[length, known]), "v1", None),
            (head(200, &[kind, known]), "v1", None),
            (head(200, &[("content-length", "0"), kind, known]), "v1", None),
            (head(200, &[("content-length", "4194305"), kind, known]), "v1", None),
            (head(405, &[]), "v1", None),
            (head(404, &[]), "v1", None),
            (head(403, &[]), "v1", None),
            (head(500, &[]), "v1", None),
        ] {
            let host = Script::new([reply]);
            assert_eq!(host.run(host.repository("registry.example/a/b").head(which)), Ok(expected));
            assert_eq!(host.requests()[0].method, Method::Head);
        }
    }

    /// HEAD spent all patience with a registry that does not answer it, and
    /// what GET would have answered was never asked for.
    #[test]
    fn head_that_fails_leaves_it_to_get() {
        let elsewhere = || reply(302).header("location", "file:///x");
        for fault in [
            broken(HttpError::Name("no such host".to_owned())),
            broken(HttpError::Connect("refused".to_owned())),
            broken(HttpError::Tls("closed".to_owned())),
            broken(HttpError::Broken("reset".to_owned())),
            silent(),
            reply(503),
            elsewhere(),
        ] {
            let host = Script::new([fault]);
            assert_eq!(host.run(host.repository("registry.example/a/b").head("v1")), Ok(None));
            assert_eq!(host.requests().len(), 1);
        }
    }

    #[test]
    fn head_waits_once_for_a_registry_that_wants_fewer_requests() {
        let limited = || reply(429).header("retry-after", "3");
        let host = Script::new([limited(), limited()]);
        let told = RefCell::new(Vec::new());
        let repository =
            host.repository("registry.example/a/b").with_voice(|text: String| told.borrow_mut().push(text));
        let failure = host.run(repository.head("v1")).expect_err("GET would be one request more");
        assert_eq!((failure.code, host.requests().len()), (ErrorCode::Unavailable, 2));
        assert_eq!(*told.borrow(), ["`registry.example` asks to wait 3 s before the next request"]);
    }

    #[test]
    fn a_login_that_head_saw_rejected_is_not_sent_again() {
        let host = Script::new([reply(401).header("www-authenticate", "Basic realm=\"x\"")]);
        host.deny_logins(ErrorCode::Denied);
        let failure = host.run(host.repository("registry.example/a/b").head("v1")).expect_err("GET would do the same");
        assert_eq!((failure.code, host.challenges().len()), (ErrorCode::Denied, 1));
    }
}
