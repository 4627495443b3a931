//! A registry in memory that takes what is pushed: the other half of
//! [`super::registry`]. It believes what it is told: which bytes hash to which digest
//! is for a client to care about, and for [`Dock::flaws`] to find. Only in repositories
//! below `copied/` it looks itself, as real ones do: a client that passes bytes on does
//! not see them.

use super::{
    Memory,
    clock::Clock,
    content::{Blob, digest_of},
    network::Answer,
    stream::{Pace, Stream},
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use wharf_component::{
    host::{Departure, Method, Request},
    nouns::{digest::Digest, media_type::OCI_INDEX, problem::ErrorCode},
};

/// What one repository has under one name.
type Place = (String, String);
/// A media type, and what has it.
type Document = (String, Rc<[u8]>);

/// One registry. Cloning it gives the same one.
#[derive(Clone, Debug, Default)]
pub struct Dock {
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    blobs: RefCell<BTreeMap<Place, Rc<[u8]>>>,
    /// By tag and by digest.
    manifests: RefCell<BTreeMap<Place, Document>>,
    uploads: RefCell<BTreeMap<u64, Vec<u8>>>,
    begun: Cell<u64>,
    /// Whether it lists what refers to a manifest.
    lists: Cell<bool>,
}

impl Dock {
    /// Starts a registry at an authority.
    pub fn start(memory: &Memory, authority: &str) -> Self {
        let dock = Self::default();
        let taker = dock.clone();
        memory.network().take(authority, move |request, carried| Ok(taker.answer(request, carried)));
        dock
    }

    /// Has it list what refers to a manifest from now on.
    pub fn list_referrers(&self) {
        self.state.lists.set(true);
    }

    /// Stores a blob in a repository.
    pub fn keep(&self, repository: &str, bytes: &[u8]) {
        let place = (repository.to_owned(), digest_of(bytes).to_string());
        self.state.blobs.borrow_mut().insert(place, bytes.into());
    }

    /// The tags, as in `app:1`, and what each of them points to.
    pub fn tags(&self) -> BTreeMap<String, Digest> {
        let manifests = self.state.manifests.borrow();
        let tags = manifests.iter().filter(|((_, which), _)| !which.contains(':'));
        tags.map(|((repository, tag), (_, bytes))| (format!("{repository}:{tag}"), digest_of(bytes))).collect()
    }

    /// How many uploads were begun and not ended.
    pub fn unfinished(&self) -> usize {
        self.state.uploads.borrow().len()
    }

    /// What a tag points to that is not there, or not with the bytes that it should
    /// have.
    pub fn flaws(&self) -> Vec<String> {
        let (manifests, blobs) = (self.state.manifests.borrow(), self.state.blobs.borrow());
        let (mut flaws, mut seen) = (Vec::new(), BTreeSet::new());
        let tags = manifests.keys().filter(|(_, which)| !which.contains(':'));
        let mut pending: Vec<Place> = tags.cloned().collect();
        while let Some(place) = pending.pop() {
            if !seen.insert(place.clone()) {
                continue;
            }
            let (repository, which) = &place;
            let Some((_, bytes)) = manifests.get(&place) else {
                flaws.push(format!("`{repository}` has no manifest `{which}`, and a tag needs it"));
                continue;
            };
            let document: serde_json::Value = serde_json::from_slice(bytes).expect("manifests are JSON");
            let digests = |list: &serde_json::Value| -> Vec<String> {
                let digest = |entry: &serde_json::Value| entry["digest"].as_str().unwrap_or_default().to_owned();
                list.as_array().into_iter().flatten().map(digest).collect()
            };
            pending.extend(digests(&document["manifests"]).into_iter().map(|digest| (repository.clone(), digest)));
            let config = document["config"]["digest"].as_str().map(str::to_owned);
            for digest in digests(&document["layers"]).into_iter().chain(config) {
                let known: Digest = digest.parse().expect("manifests have digests");
                match blobs.get(&(repository.clone(), digest.clone())) {
                    None => flaws.push(format!("`{repository}` has no blob `{digest}`, and a tag needs it")),
                    Some(bytes) if !known.verify(bytes) => {
                        flaws.push(format!("`{repository}` has other bytes as `{digest}`, which a tag needs"));
                    }
                    Some(_) => {}
                }
            }
        }
        flaws
    }

    /// Answers a request that has carried this much so far.
    pub fn answer(&self, request: &Request, carried: &[u8]) -> Answer {
        let absent = || Answer::new(404, "application/json", *br#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#);
        self.look_up(request, carried).unwrap_or_else(absent)
    }

    fn look_up(&self, request: &Request, carried: &[u8]) -> Option<Answer> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let path = path.strip_prefix("/v2/")?;
        if let Some((repository, rest)) = path.split_once("/blobs/uploads/") {
            return self.upload(request, repository, rest, query, carried);
        }
        if let Some((repository, digest)) = path.split_once("/blobs/") {
            let bytes = self.state.blobs.borrow().get(&(repository.to_owned(), digest.to_owned()))?.clone();
            return Some(Answer::new(200, "application/octet-stream", bytes));
        }
        if let Some((repository, subject)) = path.split_once("/referrers/") {
            return self.state.lists.get().then(|| self.referrers(repository, subject));
        }
        let (repository, which) = path.split_once("/manifests/")?;
        if request.method == Method::Put {
            if !is_all(request, carried) {
                return None;
            }
            let digest = digest_of(carried).to_string();
            let media_type = header(request, "content-type").unwrap_or_default().to_owned();
            for name in [which, &digest] {
                let stored = (media_type.clone(), Rc::from(carried));
                self.state.manifests.borrow_mut().insert((repository.to_owned(), name.to_owned()), stored);
            }
            let answer = Answer::new(201, "text/plain", *b"").with("docker-content-digest", digest);
            return Some(match subject(carried) {
                Some(subject) if self.state.lists.get() => answer.with("oci-subject", subject),
                _ => answer,
            });
        }
        let (media_type, bytes) =
            self.state.manifests.borrow().get(&(repository.to_owned(), which.to_owned()))?.clone();
        let digest = digest_of(&bytes).to_string();
        Some(Answer::new(200, &media_type, bytes).with("docker-content-digest", digest))
    }

    /// Lists what refers to a manifest.
    fn referrers(&self, repository: &str, wanted: &str) -> Answer {
        let manifests = self.state.manifests.borrow();
        let own = manifests.iter().filter(|((own, which), _)| own == repository && which.contains(':'));
        let referring = own.filter(|(_, (_, bytes))| subject(bytes).as_deref() == Some(wanted));
        let entries = referring.map(|((_, digest), (media_type, bytes))| {
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, bytes.len())
        });
        let entries = entries.collect::<Vec<_>>().join(",");
        let index = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{entries}]}}"#);
        Answer::new(200, OCI_INDEX, index.into_bytes())
    }

    fn upload(&self, request: &Request, repository: &str, rest: &str, query: &str, carried: &[u8]) -> Option<Answer> {
        let value = |name: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            pair.map(|value| value.replace("%3A", ":").replace("%2F", "/"))
        };
        let mut uploads = self.state.uploads.borrow_mut();
        if request.method == Method::Post {
            let from = value("from").zip(value("mount"));
            let mounted = from.and_then(|place| self.state.blobs.borrow().get(&place).cloned().zip(Some(place.1)));
            if let Some((bytes, digest)) = mounted {
                self.state.blobs.borrow_mut().insert((repository.to_owned(), digest), bytes);
                return Some(Answer::new(201, "text/plain", *b""));
            }
            let number = self.state.begun.replace(self.state.begun.get() + 1);
            uploads.insert(number, Vec::new());
            return Some(going_on(repository, number, 0));
        }
        let number = rest.parse().ok()?;
        let upload = uploads.get_mut(&number)?;
        upload.extend(carried);
        let there = upload.len();
        match request.method {
            Method::Delete => _ = uploads.remove(&number),
            Method::Put if is_all(request, carried) => {
                let bytes = uploads.remove(&number)?;
                let promised: Digest = value("digest")?.parse().ok()?;
                if repository.starts_with("copied/") && !promised.verify(&bytes) {
                    return Some(Answer::new(400, "application/json", *br#"{"errors":[{"code":"DIGEST_INVALID"}]}"#));
                }
                self.state.blobs.borrow_mut().insert((repository.to_owned(), value("digest")?), bytes.into());
                return Some(Answer::new(201, "text/plain", *b""));
            }
            _ => {}
        }
        Some(going_on(repository, number, there))
    }
}

/// What a document says something about.
fn subject(bytes: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    document["subject"]["digest"].as_str().map(str::to_owned)
}

fn going_on(repository: &str, number: u64, there: usize) -> Answer {
    let answer = Answer::new(202, "text/plain", *b"");
    let answer = answer.with("location", format!("/v2/{repository}/blobs/uploads/{number}"));
    answer.with("range", format!("0-{}", there.saturating_sub(1)))
}

fn header<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    request.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Whether a request has carried all that it said.
fn is_all(request: &Request, carried: &[u8]) -> bool {
    header(request, "content-length").and_then(|length| length.parse().ok()) == Some(carried.len())
}

/// See `content.depart`.
pub(super) fn depart(clock: &Clock, blob: &Blob, offset: u64, length: u64) -> Departure<Stream> {
    let at = |bytes: u64| usize::try_from(bytes).expect("blobs are in memory");
    let (bytes, whole) = (blob.bytes(), at(offset) == 0 && at(length) == blob.bytes().len());
    let part = bytes.get(at(offset)..at(offset + length));
    let known: Digest = blob.name().parse().expect("blobs have digests");
    let (part, end) = match part {
        None => (&bytes[..0], Err(ErrorCode::SizeMismatch(bytes.len() as u64))),
        // The host looks before the last bytes are gone.
        Some(part) if whole && !known.verify(bytes) => {
            (&part[..part.len() - 1], Err(ErrorCode::DigestMismatch(Digest::of(known.algorithm(), bytes))))
        }
        Some(part) => (part, Ok(())),
    };
    let body = Stream::new(clock, part.into(), Pace { chunk: 64, wait_ms: 1 }, None);
    let taken = body.taken();
    Departure { body, taken: Box::new(move || taken.get()), end: Box::pin(std::future::ready(end)) }
}
