//! What records and leases reach: blobs, and the layers and snapshots of trees.
//! It reads manifests and configs, each once, because a digest says the same for
//! ever. It judges nothing.
//!
//! What a name is retained as takes something off again: the blob of a layer
//! that can make its archive again, or a tree whose blobs are here.
//!
//! ```text
//! record ─► target ─► (an index in the index)
//!    └────► each manifest that is here ─► config ─► DiffIDs, ChainIDs
//!                              └────────► layers
//! blob ─► what its labels say
//! snapshot of a client ─► its tree, and what that stands on
//! ```
//!
//! - `shots`: the snapshots of clients.

mod shots;

use super::{
    contract::Caller,
    documents::{self, RECORD},
    roots::{Root, Roots},
    trees,
};
use crate::{
    host::{Blob, Host, Layer},
    nouns::{
        chain::chain_ids,
        config::Config,
        descriptor::Descriptor,
        digest::Digest,
        json::DOCUMENT_BYTES_MAX,
        manifest::{Document, Manifest},
        media_type::Kind,
        problem::ErrorCode,
        record::ImageRecord,
        retention::Retention,
    },
    planted::{Bug, has},
    registry::Failure,
};
pub(super) use shots::Place;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

/// How deep indexes are in each other at most.
const DEPTH_MAX: usize = 4;
/// How often the records are read again because they have changed.
const ROUNDS_MAX: usize = 64;

/// What one manifest needs, itself included, or one index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) blobs: Vec<Digest>,
    /// DiffIDs.
    pub(super) layers: Vec<Digest>,
    /// ChainIDs, from the bottom up.
    pub(super) snapshots: Vec<Digest>,
    /// Its layers from the bottom up, if it can have a tree.
    pub(super) rungs: Vec<Rung>,
    /// The manifests that an index lists.
    children: Vec<Descriptor>,
    /// The config, if it is not here.
    missing: Option<Digest>,
    /// Why it does not say what it needs.
    pub(super) unreadable: Option<String>,
}

/// One layer of what can have a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    pub(super) blob: Digest,
    /// Its DiffID.
    pub(super) layer: Digest,
    /// The ChainID of it and those below.
    pub(super) snapshot: Digest,
}

/// Which layers can make their archives again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recipes {
    /// Those that have a recipe.
    Here,
    /// All: they are about to be written.
    Promised,
}

/// What things need together, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    pub(super) blobs: BTreeSet<Digest>,
    pub(super) layers: BTreeSet<Digest>,
    pub(super) snapshots: BTreeSet<Digest>,
    /// The snapshots of clients, by namespace and key.
    pub(super) kept: BTreeSet<Place>,
    /// Sentences about what does not say what it needs.
    pub(super) unreadable: Vec<String>,
}

/// Reads documents, and remembers what they said.
pub(super) struct Reader<'h, H: Host> {
    host: &'h H,
    known: RefCell<HashMap<Digest, Rc<Parts>>>,
    /// Whether snapshots of clients are needed only if something holds them.
    is_collecting: bool,
    /// Those that are needed all the same, because somebody uses them.
    used: RefCell<BTreeSet<Place>>,
}

impl Reach {
    pub(super) fn add(&mut self, parts: &Parts) {
        self.blobs.extend(parts.blobs.iter().cloned());
        self.layers.extend(parts.layers.iter().cloned());
        self.snapshots.extend(parts.snapshots.iter().cloned());
        self.unreadable.extend(parts.unreadable.clone());
    }
}

impl<'h, H: Host> Reader<'h, H> {
    pub(super) fn new(host: &'h H) -> Self {
        Self { host, known: RefCell::default(), is_collecting: false, used: RefCell::default() }
    }

    /// One for those who collect: what clients have recorded of snapshots, and nothing holds, is not needed.
    pub(super) fn collecting(host: &'h H) -> Self {
        Self { is_collecting: true, ..Self::new(host) }
    }

    /// Has it that a snapshot is needed.
    pub(super) fn uses(&self, place: Place) {
        self.used.borrow_mut().insert(place);
    }

    /// Reads what is recorded now, and what that needs. That a document is gone
    /// together with its record is no reason not to know.
    pub(super) async fn survey(&self, caller: &Caller) -> Result<(Roots, Reach), Failure> {
        let mut rounds = 0;
        loop {
            let roots = Roots::load(self.host, caller).await?;
            let reach = self.all(&roots, |_| false).await?;
            rounds += 1;
            let is_known = reach.unreadable.is_empty() || rounds == ROUNDS_MAX;
            if is_known || Roots::load(self.host, caller).await?.hold_the_same(&roots) {
                return Ok((roots, reach));
            }
        }
    }

    /// Returns what everything needs that is recorded, but for the names of which
    /// `is_left_out` is true.
    pub(super) async fn all(&self, roots: &Roots, is_left_out: impl Fn(&Root) -> bool) -> Result<Reach, Failure> {
        let mut reach = Reach { unreadable: roots.unreadable.clone(), ..Reach::default() };
        for root in roots.images.iter().filter(|root| !is_left_out(root)) {
            for parts in self.of_root(root).await? {
                reach.add(&parts);
            }
        }
        self.add_rest(roots, &mut reach).await?;
        Ok(reach)
    }

    /// Adds what everything else needs that is recorded: leases, names that are no references, and the labels of blobs.
    pub(super) async fn add_rest(&self, roots: &Roots, reach: &mut Reach) -> Result<(), Failure> {
        for root in &roots.foreign {
            for parts in self.of_root(root).await? {
                reach.add(&parts);
            }
        }
        let deep = roots.leases.iter().filter(|lease| !lease.is_flat).flat_map(|lease| &lease.holds);
        for digest in deep.chain(roots.marks.pins.keys()) {
            for parts in self.of_digest(digest).await? {
                reach.add(&parts);
            }
        }
        self.follow(roots, reach).await?;
        while self.shots(roots, reach).await? {
            self.follow(roots, reach).await?;
        }
        // What nothing else of this needs leads nowhere.
        for lease in &roots.leases {
            reach.blobs.extend(lease.holds.iter().filter(|_| lease.is_flat).cloned());
        }
        Ok(())
    }

    /// Adds what the labels of blobs say that are needed, until that adds nothing.
    async fn follow(&self, roots: &Roots, reach: &mut Reach) -> Result<(), Failure> {
        let links = &roots.marks.blobs;
        let mut followed = BTreeSet::new();
        loop {
            let is_new = |digest: &&Digest| reach.blobs.contains(*digest) && !followed.contains(*digest);
            let next: Vec<&Digest> = links.keys().filter(is_new).collect();
            if next.is_empty() {
                break;
            }
            followed.extend(next.iter().copied());
            for other in next.iter().filter_map(|digest| links.get(digest)).flatten() {
                for parts in self.of_digest(other).await? {
                    reach.add(&parts);
                }
                // It may be on its way.
                reach.blobs.insert(other.clone());
            }
        }
        Ok(())
    }

    /// Returns what a name needs, with what its labels hold.
    pub(super) async fn of_root<N>(&self, root: &Root<N>) -> Result<Vec<Rc<Parts>>, Failure> {
        self.of_root_with(root, Recipes::Here).await
    }

    /// The same, once there are these recipes.
    pub(super) async fn of_root_with<N>(&self, root: &Root<N>, recipes: Recipes) -> Result<Vec<Rc<Parts>>, Failure> {
        let mut all = self.of_record(&root.record).await?;
        for parts in &mut all {
            if let Some(less) = self.retained(parts, Retention::of(&root.record.labels), recipes).await? {
                *parts = Rc::new(less);
            }
        }
        for digest in root.labelled() {
            all.extend(self.of_digest(&digest).await?);
        }
        Ok(all)
    }

    /// Takes off what is not retained. None if that is nothing.
    async fn retained(&self, parts: &Parts, retention: Retention, recipes: Recipes) -> Result<Option<Parts>, Failure> {
        if parts.rungs.is_empty() || retention == Retention::Both {
            return Ok(None);
        }
        let mut less = parts.clone();
        if retention == Retention::Compressed {
            less.snapshots.clear();
            for rung in &parts.rungs {
                if found(self.host.open(&rung.blob).await)?.is_some() {
                    less.layers.retain(|layer| *layer != rung.layer);
                }
            }
            return Ok(Some(less));
        }
        for rung in &parts.rungs {
            // What is a layer and something else as well is needed as that.
            let is_all = |digest: &Digest| parts.rungs.iter().all(|one| one.blob != *digest || one.layer == rung.layer);
            let listed = parts.blobs.iter().filter(|blob| **blob == rung.blob).count();
            let is_layer = listed == parts.rungs.iter().filter(|one| one.blob == rung.blob).count();
            if is_all(&rung.blob)
                && is_layer
                && (recipes == Recipes::Promised || is_described(self.host, &rung.layer).await?)
            {
                less.blobs.retain(|blob| *blob != rung.blob);
            }
        }
        Ok(Some(less))
    }

    /// Returns what a record needs: the target, the indexes in it, and the
    /// manifests that are here with all that they list.
    pub(super) async fn of_record(&self, record: &ImageRecord) -> Result<Vec<Rc<Parts>>, Failure> {
        // Of what nothing is known to be whole everything is needed that is here, which may be nothing.
        if record.platforms.is_empty() {
            return self.of_digest(&record.target.digest).await;
        }
        let mut all = Vec::new();
        // A manifest comes among the platforms.
        if record.target.kind() == Kind::Index {
            self.indexes(&record.target, &mut all).await?;
        } else if !record.platforms.iter().any(|present| present.manifest.digest == record.target.digest) {
            all.push(Rc::new(Parts { blobs: vec![record.target.digest.clone()], ..Parts::default() }));
        }
        for present in &record.platforms {
            let mut parts = self.parts(&present.manifest, true).await?;
            // The config is said twice, and a manifest that is lost cannot say it.
            if !parts.blobs.contains(&present.config) {
                let mut more = Parts::clone(&parts);
                more.blobs.push(present.config.clone());
                parts = Rc::new(more);
            }
            all.push(parts);
        }
        Ok(all)
    }

    /// Adds an index and those in it.
    async fn indexes(&self, index: &Descriptor, all: &mut Vec<Rc<Parts>>) -> Result<(), Failure> {
        let mut level = vec![index.clone()];
        for _ in 0..DEPTH_MAX {
            let mut next = Vec::new();
            for index in &level {
                let parts = self.parts(index, index.digest == level[0].digest && all.is_empty()).await?;
                next.extend(parts.children.iter().filter(|child| child.kind() == Kind::Index).cloned());
                all.push(parts);
            }
            if next.is_empty() {
                break;
            }
            level = next;
        }
        Ok(())
    }

    /// Returns what a digest needs that may be anything: of an index all that is
    /// here.
    pub(super) async fn of_digest(&self, digest: &Digest) -> Result<Vec<Rc<Parts>>, Failure> {
        let size = match self.host.open(digest).await {
            Ok(blob) => blob.size(),
            Err(ErrorCode::NotFound) => return Ok(Vec::new()),
            Err(other) => return Err(other.into()),
        };
        let mut level = vec![Descriptor::new("", digest.clone(), size)];
        let mut all = Vec::new();
        for _ in 0..DEPTH_MAX {
            let mut next = Vec::new();
            for what in &level {
                let parts = self.parts(what, false).await?;
                next.extend(parts.children.iter().cloned());
                all.push(parts);
            }
            if next.is_empty() {
                break;
            }
            level = next;
        }
        Ok(all)
    }

    /// Reads a document once. `is_needed` says that it is not enough if it is not
    /// here.
    async fn parts(&self, what: &Descriptor, is_needed: bool) -> Result<Rc<Parts>, Failure> {
        if let Some(known) = self.known.borrow().get(&what.digest) {
            return Ok(Rc::clone(known));
        }
        let mut parts = match self.read(what).await {
            Ok(Some(parts)) => parts,
            Ok(None) if !is_needed => {
                return Ok(Rc::new(Parts { blobs: vec![what.digest.clone()], ..Parts::default() }));
            }
            Ok(None) => Parts::unreadable(format!("`{}` is not here", what.digest)),
            Err(failure) if is_about_it(&failure) => {
                Parts::unreadable(format!("`{}`: {}", what.digest, failure.why.join(": ")))
            }
            Err(failure) => return Err(failure),
        };
        parts.blobs.push(what.digest.clone());
        // What is held by an index alone may be still on its way.
        if let Some(config) = parts.missing.as_ref().filter(|_| is_needed) {
            parts.unreadable = Some(format!("the config `{config}` is not here"));
        }
        let parts = Rc::new(parts);
        // What cannot be read may have gone with its record, and may come back.
        if parts.unreadable.is_none() && parts.missing.is_none() {
            self.known.borrow_mut().insert(what.digest.clone(), Rc::clone(&parts));
        }
        Ok(parts)
    }

    async fn read(&self, what: &Descriptor) -> Result<Option<Parts>, Failure> {
        let Some(blob) = documents::find(self.host, what).await? else { return Ok(None) };
        let is_said = !what.media_type.is_empty();
        // What nobody says to be a document may be a layer.
        if !is_said && what.size > DOCUMENT_BYTES_MAX as u64 {
            return Ok(Some(Parts::default()));
        }
        let document = match is_said {
            true => documents::read(what, blob, RECORD).await?.document,
            // It is hashed first: what is damaged may have been a document.
            false => match Document::parse(&documents::bytes(what, &blob).await?, None) {
                Ok(document) => document,
                Err(_) => return Ok(Some(Parts::default())),
            },
        };
        match document {
            Document::Index(index) => {
                let bare =
                    |child: &Descriptor| Descriptor::new(child.media_type.clone(), child.digest.clone(), child.size);
                Ok(Some(Parts { children: index.manifests.iter().map(bare).collect(), ..Parts::default() }))
            }
            Document::Manifest(manifest) => self.manifest(&manifest).await.map(Some),
        }
    }

    async fn manifest(&self, manifest: &Manifest) -> Result<Parts, Failure> {
        let listed = manifest.layers.iter().chain([&manifest.config]);
        let mut parts = Parts { blobs: listed.map(|part| part.digest.clone()).collect(), ..Parts::default() };
        if trees::obstacle(manifest).is_some() {
            return Ok(parts);
        }
        let Some(blob) = documents::find(self.host, &manifest.config).await? else {
            parts.missing = Some(manifest.config.digest.clone());
            return Ok(parts);
        };
        // Of what is no config of an image nobody can have made a tree.
        let Ok(config) = Config::parse(&documents::bytes(&manifest.config, &blob).await?) else { return Ok(parts) };
        if config.check_layers(manifest.layers.len()).is_ok() && trees::stranger(&config.platform()).is_none() {
            parts.snapshots = chain_ids(&config.rootfs.diff_ids);
            parts.layers = config.rootfs.diff_ids;
            let rungs = manifest.layers.iter().zip(&parts.layers).zip(&parts.snapshots);
            parts.rungs = rungs
                .map(|((blob, layer), snapshot)| Rung {
                    blob: blob.digest.clone(),
                    layer: layer.clone(),
                    snapshot: snapshot.clone(),
                })
                .collect();
        }
        Ok(parts)
    }
}

impl Parts {
    /// Whether the tree of this manifest is mounted, and not only one that stands
    /// on it.
    pub(super) fn is_mounted(&self, mounted: &BTreeSet<String>) -> bool {
        self.rungs.last().is_some_and(|top| mounted.contains(top.snapshot.as_str()))
    }

    fn unreadable(why: String) -> Self {
        Self { unreadable: Some(why), ..Self::default() }
    }
}

/// Whether a document is to blame, and not the store.
fn is_about_it(failure: &Failure) -> bool {
    documents::is_damage(failure)
        || matches!(
            failure.code,
            ErrorCode::Invalid | ErrorCode::TooLarge(_) | ErrorCode::NotFound | ErrorCode::Other(_)
        )
}

/// Whether a layer is here that can make its archive again.
pub(super) async fn is_described<H: Host>(host: &H, diff_id: &Digest) -> Result<bool, Failure> {
    match found(host.layer(diff_id).await)? {
        Some(_) if has(Bug::RecipeUnwritten) => Ok(true),
        Some(layer) => Ok(layer.recipe().await?.is_some()),
        None => Ok(false),
    }
}

/// What a layer takes on the disk: its files, and its recipe.
pub(super) async fn weight<L: Layer>(layer: &L) -> Result<u64, Failure> {
    Ok(layer.usage().0.saturating_add(layer.recipe().await?.unwrap_or_default()))
}

/// What is not here is none. A host without trees has none.
pub(super) fn found<T>(found: Result<T, ErrorCode>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(ErrorCode::NotFound | ErrorCode::Unsupported) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// How many bytes each of these blobs has, of those that are here.
pub(super) async fn sizes<H: Host>(host: &H, digests: &BTreeSet<Digest>) -> Result<BTreeMap<Digest, u64>, Failure> {
    let mut sizes = BTreeMap::new();
    for digest in digests {
        match host.open(digest).await {
            Ok(blob) => drop(sizes.insert(digest.clone(), blob.size())),
            Err(ErrorCode::NotFound) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(sizes)
}
