//! Manifests and indexes, fetched by tag or digest and believed only when
//! their bytes hash to what was asked for or announced. It does not choose a
//! platform, and stores nothing.

use super::{
    Failure, Repository,
    failure::Fault,
    range::number,
    refusal::Subject,
    request::{Answer, Ask},
    retry::ATTEMPTS_MAX,
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
}

impl<H: Host> Repository<'_, H> {
    /// Asks what a tag or a digest points to, without the document.
    ///
    /// Returns none when the registry does not answer that usefully, or at all:
    /// ask for the [`manifest`](Self::manifest) then, which finds out why, and
    /// has the patience. Fails if that would only do harm: when the registry
    /// wants fewer requests, or the host refuses one or has no accepted login.
    pub async fn head(&self, which: &str) -> Result<Option<Descriptor>, Failure> {
        let ask = self.ask_manifest(Method::Head, which)?;
        let wanted: Option<Digest> = which.parse().ok();
        self.persist(HEAD_ATTEMPTS_MAX, async || {
            let answer = match self.exchange(&ask).await {
                Ok(answer) => answer,
                // The next request would only have the same login rejected a second time.
                Err(fault) if fault.failure.code == ErrorCode::Denied => return Err(fault),
                Err(_) => return Ok(None),
            };
            match answer.response.status {
                200 => Ok(described(&answer, wanted.as_ref())),
                429 => Err(self.refusal(answer, Subject::Manifest(which)).await),
                _ => Ok(None),
            }
        })
        .await
    }

    /// Fetches the manifest or index that a tag or a digest points to.
    pub async fn manifest(&self, which: &str) -> Result<Fetched, Failure> {
        let ask = self.ask_manifest(Method::Get, which)?;
        let wanted: Option<Digest> = which.parse().ok();
        self.persist(ATTEMPTS_MAX, async || {
            let answer = self.exchange(&ask).await?;
            if answer.response.status != 200 {
                return Err(self.refusal(answer, Subject::Manifest(which)).await);
            }
            self.fetched(answer, wanted.as_ref()).await
        })
        .await
    }

    fn ask_manifest(&self, method: Method, which: &str) -> Result<Ask, Failure> {
        if which.parse::<Digest>().is_err() && !reference::is_tag(which) {
            return Err(Failure::new(ErrorCode::Invalid, format!("`{which}` is neither a tag nor a digest")));
        }
        Ok(self.ask(method, &format!("manifests/{which}"), vec![("accept", media_type::ACCEPT.join(", "))]))
    }

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
                if found != *expected {
                    let asked = if wanted.is_some() { "was asked for" } else { "is what the registry announced" };
                    let why = format!("the manifest from `{from}` hashes to `{found}`, and `{expected}` {asked}");
                    return Err(Fault::last(ErrorCode::DigestMismatch(found), why));
                }
                found
            }
            // Compressed on the way, the bytes would get a digest that nobody else knows.
            None if encoded => {
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
        Ok(Fetched { descriptor, bytes, document, content_type })
    }
}

/// Returns the digest that the registry announced. Many registries do not; one
/// that announces something else than a digest is not believed at all.
fn announced_digest<S>(answer: &Answer<S>) -> Result<Option<Digest>, Fault> {
    let Some(announced) = answer.header("docker-content-digest").filter(|announced| !announced.is_empty()) else {
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
    let size = number(answer.header("content-length")?).filter(|size| (1..=MANIFEST_BYTES_MAX).contains(size))?;
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
