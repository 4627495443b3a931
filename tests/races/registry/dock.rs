//! The part of the registry that takes what is pushed and copied: repositories of their own, each with what was brought
//! there and nothing else. It refuses what has other bytes than it should, as registries do, and notes where somebody has
//! a tag point to what is not whole, which no client may do.
//!
//! OCI distribution-spec 1.1, “Push”, with uploads in one request, in chunks, and mounts.

use super::super::history::{Moment, Move};
use super::answer;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use std::collections::BTreeMap;
use wharf::hash::{Algorithm, Digest};

/// What one repository has by one digest or tag.
type Place = (String, String);

/// What was brought.
#[derive(Debug)]
pub(super) struct Dock {
    blobs: BTreeMap<Place, Bytes>,
    /// By digest and by tag: media type and bytes.
    manifests: BTreeMap<Place, (String, Bytes)>,
    uploads: BTreeMap<u64, Vec<u8>>,
    begun: u64,
    /// How tags were moved, as in `kept/a:one`.
    pub(super) moves: Vec<Move>,
    /// What nobody may do.
    pub(super) flaws: Vec<String>,
    clock: fn() -> Moment,
}

/// Whether a repository is one of those that are pushed and copied to.
pub(super) fn is_for(path: &str) -> bool {
    path.starts_with("/v2/kept/") || path.starts_with("/v2/copied/")
}

fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    answer(status, "text/plain", None, Bytes::new(), false)
}

/// How far an upload is, and where it goes on.
fn going_on(repository: &str, number: u64, there: usize) -> Response<Full<Bytes>> {
    let mut response = bare(StatusCode::ACCEPTED);
    let mut set = |name, value: String| {
        response.headers_mut().insert(name, value.try_into().expect("it is made of names and numbers"));
    };
    set(header::LOCATION, format!("/v2/{repository}/blobs/uploads/{number}"));
    set(header::RANGE, format!("0-{}", there.saturating_sub(1)));
    response
}

impl Dock {
    pub(super) fn new(clock: fn() -> Moment) -> Self {
        let (blobs, manifests, uploads, moves, flaws) = Default::default();
        Self { blobs, manifests, uploads, begun: 0, moves, flaws, clock }
    }

    /// Answers a request that has brought this much.
    pub(super) fn answer(&mut self, head: &Request<()>, body: &Bytes) -> Response<Full<Bytes>> {
        self.look(head, body).unwrap_or_else(|| bare(StatusCode::NOT_FOUND))
    }

    fn look(&mut self, head: &Request<()>, body: &Bytes) -> Option<Response<Full<Bytes>>> {
        let path = head.uri().path().strip_prefix("/v2/")?;
        let query = head.uri().query().unwrap_or_default();
        if let Some((repository, number)) = path.split_once("/blobs/uploads/") {
            return self.upload(head.method(), repository, number, query, body);
        }
        let is_head = head.method() == Method::HEAD;
        if let Some((repository, digest)) = path.split_once("/blobs/") {
            let bytes = self.blobs.get(&(repository.to_owned(), digest.to_owned()))?;
            return Some(answer(StatusCode::OK, "application/octet-stream", Some(digest), bytes.clone(), is_head));
        }
        let (repository, which) = path.split_once("/manifests/")?;
        if head.method() == Method::PUT {
            let kind = head.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
            return Some(self.publish(repository, which, kind, body));
        }
        let (kind, bytes) = self.manifests.get(&(repository.to_owned(), which.to_owned()))?;
        let digest = Digest::of(Algorithm::Sha256, bytes).to_string();
        Some(answer(StatusCode::OK, kind, Some(&digest), bytes.clone(), is_head))
    }

    fn upload(
        &mut self,
        method: &Method,
        repository: &str,
        number: &str,
        query: &str,
        body: &Bytes,
    ) -> Option<Response<Full<Bytes>>> {
        let value = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            pair.map(|value| value.replace("%3A", ":").replace("%2F", "/"))
        };
        if *method == Method::POST {
            if let Some((from, digest)) = value("from").zip(value("mount"))
                && let Some(bytes) = self.blobs.get(&(from, digest.clone())).cloned()
            {
                self.blobs.insert((repository.to_owned(), digest), bytes);
                return Some(bare(StatusCode::CREATED));
            }
            self.begun += 1;
            self.uploads.insert(self.begun, Vec::new());
            return Some(going_on(repository, self.begun, 0));
        }
        let number = number.parse().ok()?;
        let upload = self.uploads.get_mut(&number)?;
        upload.extend_from_slice(body);
        let there = upload.len();
        if *method == Method::DELETE {
            self.uploads.remove(&number);
            return Some(bare(StatusCode::NO_CONTENT));
        }
        if *method != Method::PUT {
            return Some(going_on(repository, number, there));
        }
        let (bytes, promised) = (self.uploads.remove(&number)?, value("digest")?);
        if Digest::of(Algorithm::Sha256, &bytes).to_string() != promised {
            self.flaws.push(format!("`{repository}` was given other bytes as `{promised}`"));
            return Some(bare(StatusCode::BAD_REQUEST));
        }
        self.blobs.insert((repository.to_owned(), promised), bytes.into());
        Some(bare(StatusCode::CREATED))
    }

    /// Takes a manifest, and what it needs has to be there.
    fn publish(&mut self, repository: &str, which: &str, kind: &str, bytes: &Bytes) -> Response<Full<Bytes>> {
        let digest = Digest::of(Algorithm::Sha256, bytes).to_string();
        let place = |name: &str| (repository.to_owned(), name.to_owned());
        let document: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
        let named = |entry: &serde_json::Value| entry["digest"].as_str().unwrap_or_default().to_owned();
        let list = |key: &str| document[key].as_array().into_iter().flatten().map(named).collect::<Vec<_>>();
        let blobs = list("layers").into_iter().chain(document.get("config").map(named));
        let absent = blobs.filter(|blob| !self.blobs.contains_key(&place(blob)));
        let manifests = list("manifests").into_iter().filter(|one| !self.manifests.contains_key(&place(one)));
        let absent: Vec<String> = absent.chain(manifests).collect();
        for missing in &absent {
            self.flaws.push(format!("`{repository}` was given `{which}` before `{missing}`, which it needs"));
        }
        if !absent.is_empty() {
            return bare(StatusCode::BAD_REQUEST);
        }
        let began = (self.clock)();
        for name in [which, &digest] {
            self.manifests.insert(place(name), (kind.to_owned(), bytes.clone()));
        }
        if which != digest {
            let name = format!("{repository}:{which}");
            self.moves.push(Move { name, digest: digest.clone(), began, ended: (self.clock)() });
        }
        answer(StatusCode::CREATED, "text/plain", Some(&digest), Bytes::new(), false)
    }
}
