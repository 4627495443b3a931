//! The registry of a run: a few repositories whose tags move, whose layers are
//! shared, and that misbehaves as a seed says. It wants a login whose tokens
//! expire. What it holds is right: only how it answers goes wrong.

use crate::{
    dice::Dice,
    memory::{
        Memory,
        clock::Clock,
        content::digest_of,
        layers::unpacked,
        network::{Answer, Grant},
        registry::Registry,
        stream::{Fault, Pace},
        uploads::Dock,
    },
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};
use wharf_component::{
    host::{Method, Request},
    nouns::{
        digest::Digest,
        media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST},
    },
};

/// Where it answers.
pub const AUTHORITY: &str = "hub.test";
/// Where files are, and no images: nothing goes wrong there.
pub const FILES: &str = "files.test";
/// The lengths of the files, in words.
pub const FILE_WORDS: [usize; 3] = [1, 2_001, 4_001];
/// Where what is pushed goes to.
pub const DOCK: &str = "dock.test";
/// The platforms that an image may have, the machine's first.
pub const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// The bytes of a file.
pub fn file(words: usize) -> Vec<u8> {
    b"files ".repeat(words)
}

/// Where a file is.
pub fn address(words: usize) -> String {
    format!("https://{FILES}/v2/files/blobs/{}", digest_of(&file(words)))
}

const LAYERS: usize = 6;
const LOGIN: &str = r#"Bearer realm="https://hub.test/token",service="hub""#;

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Version {
    /// What a tag that is this version points to.
    pub target: Digest,
    /// The manifests, each with its platform.
    pub manifests: Vec<(&'static str, Digest)>,
    /// Everything that is needed for all of them.
    pub blobs: Vec<Digest>,
}

/// How answers go wrong from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mood {
    /// One answer in so many goes wrong; none if it is 0.
    pub wrong_one_in: usize,
    /// How many may go wrong.
    pub wrong_max: u32,
    /// How many bodies of blobs may have wrong bytes.
    pub spoilt_max: u32,
    /// Whether it ignores `Range`.
    pub ignores_range: bool,
    /// Whether it wants a token, and how long one is good for.
    pub token_ms: Option<u64>,
    /// A blob whose bodies break at once, each time.
    pub broken: Option<Digest>,
}

/// A registry. Cloning it gives the same one.
#[derive(Clone, Debug)]
pub struct Hub {
    state: Rc<State>,
}

#[derive(Debug)]
struct State {
    registry: Registry,
    dock: Dock,
    clock: Clock,
    dice: RefCell<Dice>,
    mood: RefCell<Mood>,
    wrong: Cell<u32>,
    spoilt: Cell<u32>,
    grants: RefCell<BTreeMap<String, u64>>,
    /// By `<repository>:<tag>`: when it came to point where.
    moves: RefCell<BTreeMap<String, Vec<(u64, Digest)>>>,
    versions: RefCell<BTreeMap<String, Vec<Version>>>,
    /// By manifest: what it needs, itself included.
    parts: RefCell<BTreeMap<Digest, Vec<Digest>>>,
    /// By manifest.
    diff_ids: RefCell<BTreeMap<Digest, Vec<Digest>>>,
}

impl Hub {
    /// Starts one that has what the seed says.
    pub fn start(machine: &Memory, dice: &mut Dice) -> Self {
        let state = State {
            registry: Registry::default(),
            dock: Dock::default(),
            clock: machine.clock().clone(),
            dice: RefCell::new(Dice::new(dice.number(), 3)),
            mood: RefCell::default(),
            wrong: Cell::new(0),
            spoilt: Cell::new(0),
            grants: RefCell::default(),
            moves: RefCell::default(),
            versions: RefCell::default(),
            parts: RefCell::default(),
            diff_ids: RefCell::default(),
        };
        let hub = Self { state: Rc::new(state) };
        let files = Registry::start(machine, FILES);
        for words in FILE_WORDS {
            files.blob(&file(words));
        }
        let layers: Vec<Vec<u8>> = (0..LAYERS).map(|at| layer(at, 20 + dice.below(200))).collect();
        for (repository, tags) in [("app", &["1", "2"][..]), ("tool", &["1"])] {
            for tag in tags {
                for _ in 0..=dice.below(3) {
                    let version = hub.version(repository, &layers, dice);
                    hub.state.versions.borrow_mut().entry(format!("{repository}:{tag}")).or_default().push(version);
                }
                hub.turn_to(repository, tag, 0);
            }
        }
        hub.state.registry.pace(Pace { chunk: 1 + dice.below(120), wait_ms: 1 + dice.below(20) as u64 });
        let (service, issuer) = (hub.clone(), hub.clone());
        machine.network().serve(AUTHORITY, move |request| Ok(service.answer(request)));
        machine.network().issue(move |_| Ok(issuer.grant()));
        let (dock, breaker, guard) = (hub.clone(), hub.clone(), hub.clone());
        machine.network().take(DOCK, move |request, carried| Ok(dock.take(request, carried)));
        machine.network().guard(move |request| guard.refused(request));
        machine.network().break_off(move |request| breaker.breaks_off(request));
        hub
    }

    /// Makes an image of some of the layers.
    fn version(&self, repository: &str, layers: &[Vec<u8>], dice: &mut Dice) -> Version {
        let registry = &self.state.registry;
        let is_index = dice.chance(2, 3);
        let count = if is_index { 1 + dice.below(PLATFORMS.len()) } else { 1 };
        let (mut manifests, mut blobs, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for platform in &PLATFORMS[..count] {
            let height = 1 + dice.below(3);
            let first = dice.below(layers.len() - height + 1);
            let chosen = &layers[first..first + height];
            let (os, architecture) = platform.split_once('/').expect("a platform has two parts");
            let diff_ids: Vec<_> = chosen.iter().map(|bytes| digest_of(unpacked(bytes))).collect();
            let config = serde_json::json!({
                "os": os, "architecture": architecture, "author": format!("{:x}", dice.number()), "config": {},
                "rootfs": { "type": "layers", "diff_ids": diff_ids.iter().map(Digest::as_str).collect::<Vec<_>>() },
            });
            let config = config.to_string();
            let descriptor = |kind: &str, digest: &Digest, size: usize| serde_json::json!({ "mediaType": kind, "digest": digest.as_str(), "size": size });
            let config_digest = registry.blob(config.as_bytes());
            let before = blobs.len();
            let listed: Vec<_> = chosen
                .iter()
                .map(|bytes| {
                    let digest = registry.blob(bytes);
                    blobs.push(digest.clone());
                    descriptor(OCI_LAYER_GZIP, &digest, bytes.len())
                })
                .collect();
            let manifest = serde_json::json!({
                "schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "config": descriptor(OCI_CONFIG, &config_digest, config.len()), "layers": listed,
            });
            let manifest = manifest.to_string();
            let digest = registry.manifest(repository, None, OCI_MANIFEST, &manifest);
            let mut entry = descriptor(OCI_MANIFEST, &digest, manifest.len());
            entry["platform"] = serde_json::json!({ "os": os, "architecture": architecture });
            entries.push(entry);
            self.state.diff_ids.borrow_mut().insert(digest.clone(), diff_ids);
            blobs.extend([config_digest, digest.clone()]);
            self.state.parts.borrow_mut().insert(digest.clone(), blobs[before..].to_vec());
            manifests.push((*platform, digest));
        }
        let target = if is_index {
            let index = serde_json::json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
            let target = registry.manifest(repository, None, OCI_INDEX, &index.to_string());
            blobs.push(target.clone());
            target
        } else {
            manifests[0].1.clone()
        };
        Version { target, manifests, blobs }
    }

    /// Makes a tag point to one of its versions.
    pub fn turn_to(&self, repository: &str, tag: &str, at: usize) {
        let key = format!("{repository}:{tag}");
        let versions = self.state.versions.borrow();
        let version = &versions[&key][at % versions[&key].len()];
        self.state.registry.tag(repository, &version.target, tag);
        let (now, mut moves) = (self.state.clock.now_ms(), self.state.moves.borrow_mut());
        let moves = moves.entry(key).or_default();
        if moves.last().is_none_or(|(_, target)| *target != version.target) {
            moves.push((now, version.target.clone()));
        }
    }

    /// The tags, as in `app:1`.
    pub fn tags(&self) -> Vec<String> {
        self.state.versions.borrow().keys().cloned().collect()
    }

    /// All versions of a tag, in the order of their numbers.
    pub fn versions(&self, tag: &str) -> Vec<Version> {
        self.state.versions.borrow()[tag].clone()
    }

    /// The version that has this target.
    pub fn version_of(&self, target: &Digest) -> Option<Version> {
        let versions = self.state.versions.borrow();
        versions.values().flatten().find(|version| version.target == *target).cloned()
    }

    /// The DiffIDs of a manifest's layers.
    pub fn diff_ids(&self, manifest: &Digest) -> Option<Vec<Digest>> {
        self.state.diff_ids.borrow().get(manifest).cloned()
    }

    /// Whether a tag points to something since then that it pointed to before.
    pub fn has_returned(&self, tag: &str, then_ms: u64) -> bool {
        let since = self.since(tag, then_ms);
        let before = self.since(tag, 0);
        let before = &before[..before.len() - since.len()];
        let is_again = |at: usize| since[..at].contains(&since[at]) || before.contains(&since[at]);
        (0..since.len()).any(is_again)
    }

    /// What a manifest needs, itself included.
    pub fn parts(&self, manifest: &Digest) -> Vec<Digest> {
        self.state.parts.borrow().get(manifest).cloned().unwrap_or_default()
    }

    /// What a tag pointed to at any moment since then, the last one last.
    pub fn since(&self, tag: &str, then_ms: u64) -> Vec<Digest> {
        let moves = self.state.moves.borrow();
        let moves = moves.get(tag).map_or(&[][..], Vec::as_slice);
        let first = moves.iter().rposition(|(at, _)| *at <= then_ms).unwrap_or(0);
        moves[first..].iter().map(|(_, target)| target.clone()).collect()
    }

    /// Sets how answers go wrong from now on.
    pub fn be(&self, mood: Mood) {
        self.state.wrong.set(0);
        self.state.spoilt.set(0);
        self.state.mood.replace(mood);
    }

    /// The registry that takes what is pushed.
    pub fn dock(&self) -> &Dock {
        &self.state.dock
    }

    fn take(&self, request: &Request, carried: &[u8]) -> Answer {
        let mood = self.state.mood.borrow();
        let may = self.state.wrong.get() < mood.wrong_max && mood.wrong_one_in > 0;
        if may && self.state.dice.borrow_mut().chance(1, mood.wrong_one_in) {
            self.state.wrong.set(self.state.wrong.get() + 1);
            // What was asked for may be done all the same.
            if self.state.dice.borrow_mut().chance(1, 2) {
                self.state.dock.answer(request, carried);
            }
            return refusal(503);
        }
        self.state.dock.answer(request, carried)
    }

    /// After how many bytes of what it carries the connection of a request breaks.
    fn breaks_off(&self, request: &Request) -> Option<usize> {
        let mood = self.state.mood.borrow();
        let mut dice = self.state.dice.borrow_mut();
        let may = self.state.wrong.get() < mood.wrong_max && mood.wrong_one_in > 0;
        if !may || !dice.chance(1, mood.wrong_one_in) {
            return None;
        }
        self.state.wrong.set(self.state.wrong.get() + 1);
        let length = request.headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0);
        Some(dice.below(length + 1))
    }

    fn grant(&self) -> Grant {
        let mut grants = self.state.grants.borrow_mut();
        let id = format!("grant-{}", grants.len());
        let until = self.state.clock.now_ms() + self.state.mood.borrow().token_ms.unwrap_or(u64::MAX / 2);
        grants.insert(id.clone(), until);
        Grant { id, anonymous: false }
    }

    /// What is answered to who has no token that is good now.
    fn refused(&self, request: &Request) -> Option<Answer> {
        let is_open = self.state.mood.borrow().token_ms.is_none() || self.is_granted(request);
        (!is_open).then(|| refusal(401).with("www-authenticate", LOGIN))
    }

    fn is_granted(&self, request: &Request) -> bool {
        let id = request.headers.iter().find(|(name, _)| name == "wharf-grant").map(|(_, id)| id.as_str());
        let until = id.and_then(|id| self.state.grants.borrow().get(id).copied());
        until.is_some_and(|until| self.state.clock.now_ms() < until)
    }

    fn answer(&self, request: &Request) -> Answer {
        if let Some(refusal) = self.refused(request) {
            return refusal;
        }
        let mood = self.state.mood.borrow();
        if request.path.starts_with("/v2/_catalog") {
            return Answer::new(200, "application/json", *br#"{"repositories":["app","tool"]}"#);
        }
        if request.path == "/v2/" {
            return Answer::new(200, "application/json", *b"{}");
        }
        let mut request = request.clone();
        if mood.ignores_range {
            request.headers.retain(|(name, _)| name != "range");
        }
        let mut answer = self.state.registry.answer(&request);
        let is_blob = request.path.contains("/blobs/");
        if mood.broken.as_ref().is_some_and(|broken| is_blob && request.path.ends_with(broken.as_str())) {
            answer.fault = Some(Fault::Cut(0));
            return answer;
        }
        let mut dice = self.state.dice.borrow_mut();
        let may = self.state.wrong.get() < mood.wrong_max && mood.wrong_one_in > 0;
        if !may || !dice.chance(1, mood.wrong_one_in) || answer.status >= 300 {
            return answer;
        }
        let length = answer.body.len();
        let is_head = request.method == Method::Head;
        let kind = dice.below(if is_blob { 6 } else { 4 });
        match kind {
            0 => answer = refusal(503),
            1 if !is_head => answer = refusal(429).with("retry-after", "2"),
            2 if !is_head => answer.fault = Some(Fault::Cut(dice.below(length.max(1)))),
            3 if !is_head => answer.fault = Some(Fault::Stall(dice.below(length.max(1)))),
            // All bytes came, and then the connection broke: they are believed by their hash alone.
            4 => answer.fault = Some(Fault::Cut(length)),
            5 if self.state.spoilt.get() < mood.spoilt_max && length > 0 => {
                self.state.spoilt.set(self.state.spoilt.get() + 1);
                let mut bytes = answer.body.to_vec();
                bytes[dice.below(length)] ^= 1;
                answer.body = bytes.into();
            }
            _ => return answer,
        }
        self.state.wrong.set(self.state.wrong.get() + 1);
        answer
    }
}

fn refusal(status: u16) -> Answer {
    Answer::new(status, "application/json", *b"{\"errors\":[]}")
}

/// The bytes of a layer; what stands before a `|` is how it is compressed.
fn layer(at: usize, length: usize) -> Vec<u8> {
    let text: Vec<u8> = format!("layer {at} ").bytes().cycle().take(length).collect();
    [b"squeezed|", &text[..]].concat()
}
