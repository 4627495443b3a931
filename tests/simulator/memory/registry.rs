//! A registry in memory: manifests, blobs and tags, over the pull half of the
//! distribution specification.
//!
//! It honours `Range`, pages no tags and asks for no login. Troubles are set by
//! path and happen once each.

use super::{
    Memory,
    content::digest_of,
    network::Answer,
    stream::{Fault, Pace},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};
use wharf_component::{host::Request, nouns::digest::Digest};

/// What a path does instead of answering well.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// Answers with this status.
    Status(u16),
    /// Sends a body that breaks.
    Body(Fault),
}

/// One registry. Cloning it gives the same one.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    state: Rc<State>,
}

/// A media type and a document.
type Manifest = (String, Rc<[u8]>);

#[derive(Debug, Default)]
struct State {
    /// By `<repository>/<tag or digest>`.
    manifests: RefCell<BTreeMap<String, Manifest>>,
    blobs: RefCell<BTreeMap<String, Rc<[u8]>>>,
    troubles: RefCell<Vec<(String, Trouble)>>,
    pace: Cell<Pace>,
    headers: RefCell<Vec<(String, String)>>,
}

impl Registry {
    /// Starts a registry at an authority.
    pub fn start(memory: &Memory, authority: &str) -> Self {
        let registry = Self::default();
        let service = registry.clone();
        memory.network().serve(authority, move |request| Ok(service.answer(request)));
        registry
    }

    /// Stores a manifest, and gives it a tag if there is one.
    pub fn manifest(&self, repository: &str, tag: Option<&str>, media_type: &str, document: &str) -> Digest {
        let digest = digest_of(document.as_bytes());
        let mut manifests = self.state.manifests.borrow_mut();
        for reference in [Some(digest.to_string().as_str()), tag].into_iter().flatten() {
            let stored = (media_type.to_owned(), Rc::from(document.as_bytes()));
            manifests.insert(format!("{repository}/{reference}"), stored);
        }
        digest
    }

    /// Gives a manifest that is here one more tag.
    pub fn tag(&self, repository: &str, digest: &Digest, tag: &str) {
        let mut manifests = self.state.manifests.borrow_mut();
        let stored = manifests.get(&format!("{repository}/{digest}")).cloned().expect("the manifest is here");
        manifests.insert(format!("{repository}/{tag}"), stored);
    }

    /// Stores a blob for every repository.
    pub fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = digest_of(bytes);
        self.state.blobs.borrow_mut().insert(digest.to_string(), Rc::from(bytes));
        digest
    }

    /// How many bytes a manifest has.
    pub fn size(&self, manifest: &Digest) -> usize {
        let manifests = self.state.manifests.borrow();
        let found = manifests.iter().find(|(key, _)| key.ends_with(manifest.as_str()));
        found.expect("the manifest is here").1.1.len()
    }

    /// Lets the next request whose path has `part` in it go wrong. Several for
    /// one path are used up one by one.
    pub fn trouble(&self, part: impl Into<String>, trouble: Trouble) {
        self.state.troubles.borrow_mut().push((part.into(), trouble));
    }

    /// Sets how bodies come from now on.
    pub fn pace(&self, pace: Pace) {
        self.state.pace.set(pace);
    }

    /// Has every answer that is none of the troubles say this, too.
    pub fn say(&self, name: &str, value: &str) {
        self.state.headers.borrow_mut().push((name.to_owned(), value.to_owned()));
    }

    /// Answers a request.
    pub fn answer(&self, request: &Request) -> Answer {
        let mut troubles = self.state.troubles.borrow_mut();
        let found = troubles.iter().position(|(part, _)| request.path.contains(part.as_str()));
        let trouble = found.map(|position| troubles.remove(position).1);
        if let Some(Trouble::Status(status)) = trouble {
            return Answer::new(status, "application/json", *b"{\"errors\":[]}");
        }
        let mut answer = self.look_up(request).unwrap_or_else(|| {
            Answer::new(404, "application/json", *br#"{"errors":[{"code":"NOT_FOUND","message":"nothing is here"}]}"#)
        });
        answer.pace = self.state.pace.get();
        answer.headers.extend(self.state.headers.borrow().iter().cloned());
        if let Some(Trouble::Body(fault)) = trouble {
            answer.fault = Some(fault);
        }
        answer
    }

    fn look_up(&self, request: &Request) -> Option<Answer> {
        let path = request.path.strip_prefix("/v2/")?.split('?').next()?;
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return Some(self.tags(repository));
        }
        if let Some((repository, reference)) = path.split_once("/manifests/") {
            let manifests = self.state.manifests.borrow();
            let (media_type, bytes) = manifests.get(&format!("{repository}/{reference}"))?;
            let digest = digest_of(bytes).to_string();
            return Some(Answer::new(200, media_type, bytes.clone()).with("docker-content-digest", digest));
        }
        let (_, digest) = path.split_once("/blobs/")?;
        let bytes = self.state.blobs.borrow().get(digest)?.clone();
        Some(match first_byte(request) {
            0 => Answer::new(200, "application/octet-stream", bytes),
            first => part(&bytes, first),
        })
    }

    fn tags(&self, repository: &str) -> Answer {
        let manifests = self.state.manifests.borrow();
        let prefix = format!("{repository}/");
        let tags: Vec<_> =
            manifests.keys().filter_map(|key| key.strip_prefix(&prefix)).filter(|key| !key.contains(':')).collect();
        let body = serde_json::json!({ "name": repository, "tags": tags }).to_string();
        Answer::new(200, "application/json", body.into_bytes())
    }
}

/// The first byte that a `Range` of the form `bytes=<first>-…` asks for.
fn first_byte(request: &Request) -> usize {
    let range = request.headers.iter().find(|(name, _)| name == "range").map(|(_, value)| value.as_str());
    let first = range.and_then(|range| range.strip_prefix("bytes=")).and_then(|range| range.split('-').next());
    first.map_or(0, |first| first.parse().expect("a range begins with a number"))
}

fn part(bytes: &Rc<[u8]>, first: usize) -> Answer {
    let whole = bytes.len();
    if first >= whole {
        return Answer::new(416, "text/plain", *b"").with("content-range", format!("bytes */{whole}"));
    }
    let range = format!("bytes {first}-{}/{whole}", whole - 1);
    Answer::new(206, "application/octet-stream", bytes[first..].to_vec()).with("content-range", range)
}
