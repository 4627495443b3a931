//! What a store promises, whatever happened to it: one function over `Host`,
//! so that machines in memory and real disks are judged by the same.
//!
//! It is not built from the verbs that it judges: records are read with
//! `nouns::record`, documents with `serde_json`, and everything is hashed here
//! or by the host's own `verify`. It changes nothing, and knows nothing of how
//! a store came to be as it is: what is allowed is an [`Expectation`].
//!
//! ```text
//! record ─► target ─► (index ─►) manifest ─► config, layers        blobs, hashed, or of a layer
//!                                    │                             a tree that makes its archive again
//!                                    └─► config ─► DiffIDs ─► layers, snapshot
//! ```

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use wharf_component::{
    host::{Blob, Host, Layer as _, Made, Snapshot as _, Transaction},
    nouns::{
        chain::chain_ids,
        descriptor::Descriptor,
        digest::Digest,
        problem::ErrorCode,
        record::{IMAGE_PREFIX, ImageRecord, Present, SNAPSHOT_PREFIX, SnapshotKind, SnapshotRecord},
    },
};

/// How many records are read at once.
const PAGE_RECORDS: u32 = 1_000;
/// How many bytes of a document are read at once: the host's limit.
const READ_SIZE_BYTES: u64 = 4 << 20;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// G1: a name leads to an old or a new target with everything that it needs, or nowhere.
    Whole,
    /// G2: what was acknowledged is there.
    Kept,
    /// G3: a layer that can be opened has its whole tree.
    Tree,
    /// G4: damage is found, and healed by a pull.
    Healed,
    /// G5: what failures leave behind is bounded.
    Tidy,
    /// G7: nothing is taken or changed that another holds, or that nobody asked for.
    Apart,
    /// A call ends, without a trap.
    Ended,
    /// A call succeeds if nothing happens but what it is made to endure.
    Served,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "G1 whole",
            Self::Kept => "G2 kept",
            Self::Tree => "G3 tree",
            Self::Healed => "G4 healed",
            Self::Tidy => "G5 tidy",
            Self::Apart => "G7 apart",
            Self::Ended => "ended",
            Self::Served => "served",
        })
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// In what way, with the name or the digest that it is about.
    pub what: String,
}

impl Violation {
    /// A promise that is broken in this way.
    pub fn new(promise: Promise, what: impl Into<String>) -> Self {
        Self { promise, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// What one name may look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// What it may point to.
    pub targets: BTreeSet<Digest>,
    /// Whether there may be no record of it.
    pub absent: bool,
    /// Whether nothing of what it points to need be here.
    pub bare: bool,
    /// Manifests that have to be recorded under it, because that was acknowledged.
    pub recorded: BTreeSet<Digest>,
    /// Manifests whose trees have to be there if they are recorded, because that
    /// was acknowledged.
    pub unpacked: BTreeSet<Digest>,
}

/// What a store may look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// As in `default`.
    pub namespace: String,
    /// By canonical name, as in `docker.io/library/alpine:3.20`. There may be no
    /// record of any other name.
    pub names: BTreeMap<String, Expected>,
    /// Blobs that were harmed from outside and that nobody has healed yet: it is no
    /// fault of the store that they are gone or wrong.
    pub harmed: BTreeSet<Digest>,
}

/// Looks at everything that is recorded in a namespace, and returns what is
/// not as it was promised, in no order that matters.
pub async fn check<H: Host>(host: &H, expectation: &Expectation) -> Vec<Violation> {
    let mut checker = Checker { host, expectation, seen: BTreeMap::new(), violations: Vec::new() };
    let records = match records(host, &expectation.namespace).await {
        Ok(records) => records,
        Err(code) => return vec![Violation::new(Promise::Whole, format!("the records cannot be read: {code}"))],
    };
    for (name, expected) in &expectation.names {
        if !expected.absent && !records.contains_key(name) {
            checker.broken(Promise::Kept, format!("`{name}` was acknowledged and is not recorded"));
        }
    }
    for (name, value) in &records {
        checker.name(name, value).await;
    }
    checker.snapshots(&expectation.namespace).await;
    checker.violations
}

/// Reads the records of all names in a namespace as they are, by name.
pub async fn records<H: Host>(host: &H, namespace: &str) -> Result<BTreeMap<String, Vec<u8>>, ErrorCode> {
    rows(host, namespace, IMAGE_PREFIX).await
}

/// Reads all records whose keys begin so, by what follows.
async fn rows<H: Host>(host: &H, namespace: &str, prefix: &str) -> Result<BTreeMap<String, Vec<u8>>, ErrorCode> {
    let transaction = host.begin().await?;
    let (mut records, mut after) = (BTreeMap::new(), None::<String>);
    loop {
        let page = transaction.scan(namespace, prefix, after.as_deref(), PAGE_RECORDS).await?;
        let Some((last, _)) = page.last() else { return Ok(records) };
        after = Some(last.clone());
        records.extend(page.into_iter().map(|(key, value)| (key[prefix.len()..].to_owned(), value)));
    }
}

/// What is known of a blob: its bytes if somebody wanted to read them, or what
/// is wrong.
type Seen = Result<Option<Vec<u8>>, String>;

struct Checker<'c, H: Host> {
    host: &'c H,
    expectation: &'c Expectation,
    /// Each blob is looked at once, and once more if its bytes are wanted.
    seen: BTreeMap<Digest, Seen>,
    violations: Vec<Violation>,
}

impl<H: Host> Checker<'_, H> {
    fn broken(&mut self, promise: Promise, what: String) {
        self.violations.push(Violation { promise, what });
    }

    /// What is recorded as committed is there, and so is what it stands on, recorded or not. Of what is written to the tree
    /// may be still to come, or gone, because who makes or removes it died.
    async fn snapshots(&mut self, namespace: &str) {
        let rows = match rows(self.host, namespace, SNAPSHOT_PREFIX).await {
            Ok(rows) => rows,
            Err(code) => return self.broken(Promise::Whole, format!("the snapshots cannot be read: {code}")),
        };
        let read = |value: &Vec<u8>| SnapshotRecord::decode(value).ok();
        for (key, value) in &rows {
            let Some(record) = read(value) else {
                self.broken(Promise::Whole, format!("the record of the snapshot `{key}` cannot be read"));
                continue;
            };
            if record.kind == SnapshotKind::Committed && self.host.snapshot(&record.tree).await.is_err() {
                self.broken(Promise::Kept, format!("the tree of the snapshot `{key}` is not here"));
            }
            if let Some(parent) = &record.parent {
                let is_here = match rows.get(parent) {
                    Some(below) => read(below).is_some_and(|below| below.kind == SnapshotKind::Committed),
                    // What layers have made is found by its ChainID.
                    None => match parent.parse() {
                        Ok(tree) => self.host.snapshot(&tree).await.is_ok(),
                        Err(_) => false,
                    },
                };
                if !is_here {
                    self.broken(Promise::Kept, format!("`{parent}`, on which `{key}` stands, is not here"));
                }
            }
        }
    }

    async fn name(&mut self, name: &str, value: &[u8]) {
        let record = match ImageRecord::decode(value) {
            Ok(record) => record,
            Err(error) => return self.broken(Promise::Whole, format!("the record of `{name}`: {error}")),
        };
        let Some(expected) = self.expectation.names.get(name) else {
            return self.broken(Promise::Apart, format!("`{name}` is recorded, and nobody asked for it"));
        };
        let target = &record.target.digest;
        if !expected.targets.contains(target) {
            let allowed: Vec<_> = expected.targets.iter().map(Digest::short).collect();
            let what = format!("`{name}` points to `{}`, and may point to {allowed:?}", target.short());
            // Where nothing may be, nothing was acknowledged.
            self.broken(if expected.absent { Promise::Apart } else { Promise::Kept }, what);
        }
        for manifest in &expected.recorded {
            if !record.platforms.iter().any(|present| present.manifest.digest == *manifest) {
                let what = format!("`{}` of `{name}` was acknowledged and is not recorded", manifest.short());
                self.broken(Promise::Kept, what);
            }
        }
        if record.platforms.is_empty() && expected.bare {
            return;
        }
        if record.platforms.is_empty() {
            self.broken(Promise::Whole, format!("the record of `{name}` has no platform"));
        }
        let offered = self.offered(name, &record.target).await;
        for present in &record.platforms {
            let manifest = &present.manifest.digest;
            if offered.as_ref().is_some_and(|offered| !offered.contains(manifest)) {
                let what = format!("`{name}` records `{}`, which its target does not have", manifest.short());
                self.broken(Promise::Whole, what);
            }
            self.manifest(name, present, expected.unpacked.contains(manifest)).await;
        }
    }

    /// Returns the manifests that a target leads to, itself included. None if
    /// that is not known.
    async fn offered(&mut self, name: &str, target: &Descriptor) -> Option<BTreeSet<Digest>> {
        let mut offered = BTreeSet::from([target.digest.clone()]);
        let document = self.document(name, "target", &target.digest, Some(target.size)).await?;
        let mut pending = vec![document];
        while let Some(document) = pending.pop() {
            for entry in document["manifests"].as_array().into_iter().flatten() {
                let Some((digest, _)) = pointer(entry) else { continue };
                // An index in an index is here if something of it was wanted.
                let is_index = entry["mediaType"].as_str().is_some_and(|text| text.contains("index"));
                if is_index
                    && !offered.contains(&digest)
                    && self.host.open(&digest).await.is_ok()
                    && let Some(inner) = self.document(name, "index", &digest, None).await
                {
                    pending.push(inner);
                }
                offered.insert(digest);
            }
        }
        Some(offered)
    }

    async fn manifest(&mut self, name: &str, present: &Present, is_unpacked: bool) {
        let Descriptor { digest, size, .. } = &present.manifest;
        let Some(manifest) = self.document(name, "manifest", digest, Some(*size)).await else { return };
        let Some((config, config_size)) = pointer(&manifest["config"]) else {
            return self.broken(Promise::Whole, format!("the manifest `{}` of `{name}` has no config", digest.short()));
        };
        if config != present.config {
            let what = format!("`{name}` records `{}` as a config, not `{}`", present.config.short(), config.short());
            self.broken(Promise::Whole, what);
        }
        let config = self.document(name, "config", &config, config_size).await;
        let diff_ids = config.as_ref().map(diff_ids);
        for (at, layer) in manifest["layers"].as_array().into_iter().flatten().enumerate() {
            match pointer(layer) {
                Some((layer, _)) if self.is_rebuilt(&layer, diff_ids.as_deref(), at).await => {}
                Some((layer, size)) => {
                    self.blob(name, "layer", &layer, size, false).await;
                }
                None => self.broken(Promise::Whole, format!("a layer of `{}` has no digest", digest.short())),
            }
        }
        let Some(config) = config else { return };
        if is_unpacked {
            self.tree(name, &config).await;
        }
    }

    /// Whether a blob was given up for a tree that makes its archive again. Without a
    /// config, whose lack is told, nobody knows, and it is taken to be so.
    async fn is_rebuilt(&self, blob: &Digest, diff_ids: Option<&[Digest]>, at: usize) -> bool {
        if self.seen.contains_key(blob) || self.host.open(blob).await.is_ok() {
            return false;
        }
        let Some(diff_ids) = diff_ids else { return true };
        let Some(diff_id) = diff_ids.get(at) else { return false };
        match self.host.layer(diff_id).await {
            Ok(layer) => layer.rebuild().await.is_ok(),
            Err(_) => false,
        }
    }

    /// Finds the layers of a config, and the stack of them.
    async fn tree(&mut self, name: &str, config: &Value) {
        let diff_ids = diff_ids(config);
        for diff_id in &diff_ids {
            match self.host.layer(diff_id).await {
                Ok(layer) => self.whole(layer.verify().await, &format!("the layer `{}` of `{name}`", diff_id.short())),
                Err(code) => {
                    let what = format!("the layer `{}` of `{name}` cannot be opened: {code}", diff_id.short());
                    self.broken(Promise::Kept, what);
                }
            }
        }
        let Some(top) = chain_ids(&diff_ids).pop() else { return };
        match self.host.snapshot(&top).await {
            Ok(snapshot) => self.whole(snapshot.verify().await, &format!("the snapshot `{}` of `{name}`", top.short())),
            Err(code) => {
                self.broken(Promise::Kept, format!("the snapshot `{}` of `{name}` is not found: {code}", top.short()));
            }
        }
    }

    fn whole(&mut self, verified: Made<()>, tree: &str) {
        if let Err(refusal) = verified {
            self.broken(Promise::Tree, format!("{tree}: {}", refusal.why));
        }
    }

    /// Reads a blob that is a document. None if that is told already, or the
    /// test has harmed it.
    async fn document(&mut self, name: &str, what: &str, digest: &Digest, size: Option<u64>) -> Option<Value> {
        let bytes = self.blob(name, what, digest, size, true).await?;
        match serde_json::from_slice(&bytes) {
            Ok(document) => Some(document),
            Err(error) => {
                let what = format!("the {what} `{}` of `{name}` is no JSON: {error}", digest.short());
                self.broken(Promise::Whole, what);
                None
            }
        }
    }

    /// Hashes a blob. Returns its bytes if they are wanted and right.
    async fn blob(
        &mut self,
        name: &str,
        what: &str,
        digest: &Digest,
        size: Option<u64>,
        wants_bytes: bool,
    ) -> Option<Vec<u8>> {
        let is_known = self.seen.get(digest).is_some_and(|seen| !wants_bytes || !matches!(seen, Ok(None)));
        if !is_known {
            let seen = self.look(digest, size, wants_bytes).await;
            self.seen.insert(digest.clone(), seen);
        }
        match &self.seen[digest] {
            Ok(bytes) => bytes.clone(),
            Err(_) if self.expectation.harmed.contains(digest) => None,
            Err(why) => {
                let what = format!("the {what} `{}` of `{name}`: {why}", digest.short());
                self.broken(Promise::Whole, what);
                None
            }
        }
    }

    async fn look(&self, digest: &Digest, size: Option<u64>, wants_bytes: bool) -> Seen {
        let blob = match self.host.open(digest).await {
            Ok(blob) => blob,
            Err(ErrorCode::NotFound) => return Err("it is not here".to_owned()),
            Err(code) => return Err(format!("it cannot be opened: {code}")),
        };
        let found = blob.size();
        if let Some(promised) = size.filter(|promised| *promised != found) {
            return Err(format!("it has {found} bytes, and {promised} are promised"));
        }
        if !wants_bytes {
            return blob.verify().await.map(|()| None).map_err(|code| format!("it does not verify: {code}"));
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < found {
            let piece = blob.read(bytes.len() as u64, READ_SIZE_BYTES).await;
            let piece = piece.map_err(|code| format!("it cannot be read: {code}"))?;
            if piece.is_empty() {
                return Err(format!("it ends after {} of {found} bytes", bytes.len()));
            }
            bytes.extend(piece);
        }
        let actual = Digest::of(digest.algorithm(), &bytes);
        if actual == *digest { Ok(Some(bytes)) } else { Err(format!("its bytes hash to `{}`", actual.short())) }
    }
}

/// Reads the DiffIDs of a config.
pub fn diff_ids(config: &Value) -> Vec<Digest> {
    let listed = config["rootfs"]["diff_ids"].as_array().into_iter().flatten();
    listed.filter_map(|id| id.as_str()?.parse().ok()).collect()
}

/// Reads a descriptor of a document.
fn pointer(value: &Value) -> Option<(Digest, Option<u64>)> {
    Some((value["digest"].as_str()?.parse().ok()?, value["size"].as_u64()))
}
