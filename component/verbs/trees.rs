//! Trees: what the layers of images become. Layers are extracted in any order
//! and at the same time; each is stacked as soon as all below it are.
//!
//! ```text
//! layer 0 ─► extract ─┐
//! layer 1 ─► extract ─┼─► stack 0 ─► stack 0|1 ─► … ─► the snapshot of the image
//! layer 2 ─► extract ─┘
//! ```
//!
//! Which layers they are is in the config, which may come after them: until
//! then a layer is followed that may turn out to be there. It downloads nothing,
//! and records nothing.

use super::{
    failing::{because, fail, try_this},
    listen::Board,
    watched::Watched,
};
use crate::{
    host::{self, Extraction, Host, Layer, Refusal},
    nouns::{
        chain::chain_ids, config::Config, descriptor::Descriptor, digest::Digest, manifest::Manifest, media_type::Kind,
        platform::Platform, problem::ErrorCode,
    },
    planted::{Bug, has},
    registry::{Failure, Phase, Watch},
};
use futures_util::future::{try_join, try_join_all};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// The one system whose images become trees.
const SYSTEM: &str = "linux";
/// So many layers are held while they wait to be stacked. The host's table of
/// handles has room for these beside the blobs of a pull; others are opened
/// again when it is their turn.
const HELD_MAX: usize = 32;
/// So many digits of a digest tell layers apart.
const SHORT_DIGITS: usize = 12;

/// The trees of one call.
pub(super) struct Trees<H: Host> {
    state: Watched<State<H>>,
    /// What to try if one of them cannot be made.
    remedy: Option<String>,
}

struct State<H: Host> {
    trees: Vec<Tree<H::Snapshot>>,
    /// What was extracted by this call, by DiffID, with those of the layers that
    /// are held until they are stacked.
    extracted: BTreeMap<Digest, Option<H::Layer>>,
    /// Whether nobody extracts any more.
    is_over: bool,
}

/// The tree of one image.
struct Tree<S> {
    manifest: Digest,
    /// From the bottom up.
    layers: Vec<Descriptor>,
    /// None until the config is here.
    rungs: Option<Rc<[Rung]>>,
    /// How many layers stand, from the bottom up.
    height: usize,
    /// The snapshot of those that stand.
    top: Option<Rc<S>>,
}

/// One layer, in its place.
struct Rung {
    layer: Descriptor,
    /// Its place, from 1, and how many there are.
    place: (usize, usize),
    diff_id: Digest,
    chain_id: Digest,
    /// Whether it was extracted before, or will not be needed.
    is_there: bool,
}

/// Where a layer is needed.
enum Need {
    /// In this place of a tree, from 0.
    Place(Rc<[Rung]>, usize),
    Nowhere,
}

/// Why an artifact cannot become a tree.
pub(super) const ARTIFACT: &str = "it is an artifact and no image";

/// Says why an image cannot become a tree, as far as its manifest tells.
pub(super) fn obstacle(manifest: &Manifest) -> Option<String> {
    if !manifest.is_image() {
        return Some(ARTIFACT.to_owned());
    }
    let is_ours = |layer: &&Descriptor| matches!(layer.kind(), Kind::Layer { foreign: false, .. });
    let other = manifest.layers.iter().find(|layer| !is_ours(layer))?;
    Some(format!("its layer `{}` is `{}`, which wharf does not extract", other.digest, other.media_type))
}

/// Says why an image for this platform cannot become a tree.
pub(super) fn stranger(platform: &Platform) -> Option<String> {
    (platform.os != SYSTEM).then(|| format!("it is for {}, and wharf extracts images for Linux", platform.format_all()))
}

impl<H: Host> Default for Trees<H> {
    fn default() -> Self {
        let state = State { trees: Vec::new(), extracted: BTreeMap::new(), is_over: false };
        Self { state: Watched::new(state), remedy: None }
    }
}

impl<H: Host> Trees<H> {
    /// Trees of which none is planted yet. `remedy` is what to try if one cannot
    /// be made.
    pub(super) fn with_remedy(remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::default() }
    }

    /// Adds a tree for the image that has this manifest.
    pub(super) fn plant(&self, digest: &Digest, manifest: &Manifest) {
        let bare = |one: &Descriptor| Descriptor::new(one.media_type.clone(), one.digest.clone(), one.size);
        let layers = manifest.layers.iter().map(bare).collect();
        let tree = Tree { manifest: digest.clone(), layers, rungs: None, height: 0, top: None };
        self.state.change(|state| state.trees.push(tree));
    }

    /// Finds out what is there of an image whose config is here now. `platform`
    /// is what that says. Does nothing for one that has no tree.
    ///
    /// The config lists as many layers as the manifest: see
    /// [`Config::check_layers`].
    pub(super) async fn learn(
        &self,
        host: &H,
        manifest: &Digest,
        config: &Config,
        platform: &Platform,
        board: &Board,
    ) -> Result<(), Failure> {
        let Some(layers) = self.state.look(|state| Some(state.tree(manifest)?.layers.clone())) else { return Ok(()) };
        let (mut rungs, mut top) = (Vec::new(), None);
        match stranger(platform) {
            Some(why) => board.note(format!("the image is not extracted: {why}")),
            None => rungs = ladder(layers, &config.rootfs.diff_ids),
        }
        let mut height = rungs.len();
        while let Some(below) = height.checked_sub(1) {
            top = there(host.snapshot(&rungs[below].chain_id).await).map_err(|code| self.unable(code))?;
            if top.is_some() {
                break;
            }
            height = below;
        }
        rungs[..height].iter_mut().for_each(|rung| rung.is_there = true);
        for rung in &mut rungs[height..] {
            let layer = there(host.layer(&rung.diff_id).await).map_err(|code| self.unable(code))?;
            rung.is_there = layer.is_some();
        }
        self.state.change(|state| {
            if let Some(tree) = state.trees.iter_mut().find(|tree| tree.manifest == *manifest) {
                (tree.rungs, tree.height, tree.top) = (Some(rungs.into()), height, top.map(Rc::new));
            }
        });
        Ok(())
    }

    /// Whether every tree is whole.
    pub(super) fn are_whole(&self) -> bool {
        self.state.look(|state| state.trees.iter().all(Tree::is_whole))
    }

    /// Whether there is no tree, or none with a layer.
    pub(super) fn is_empty(&self) -> bool {
        self.state
            .look(|state| state.trees.iter().all(|tree| tree.rungs.as_ref().is_some_and(|rungs| rungs.is_empty())))
    }

    /// How many layers have to be extracted. None if a config is not here.
    pub(super) fn missing(&self) -> Option<u32> {
        self.state.look(|state| {
            let mut missing = BTreeSet::new();
            for tree in &state.trees {
                let rungs = tree.rungs.as_ref()?;
                missing.extend(rungs.iter().filter(|rung| !rung.is_there).map(|rung| &rung.diff_id));
            }
            Some(count(missing.len()))
        })
    }

    /// Returns the layers that have to be extracted, as far as the configs are here.
    pub(super) fn needed(&self) -> Vec<Descriptor> {
        self.state.look(|state| {
            let rungs = state.trees.iter().filter_map(|tree| tree.rungs.as_deref()).flatten();
            let needed: BTreeMap<_, _> =
                rungs.filter(|rung| !rung.is_there).map(|rung| (&rung.diff_id, &rung.layer)).collect();
            needed.into_values().cloned().collect()
        })
    }

    /// Returns the name of the snapshot of an image: its ChainID. None if it has
    /// no layers, or its config is not here.
    pub(super) fn snapshot(&self, manifest: &Digest) -> Option<Digest> {
        self.state.look(|state| Some(state.tree(manifest)?.rungs.as_deref()?.last()?.chain_id.clone()))
    }

    /// How many layers this call has extracted.
    pub(super) fn extracted(&self) -> u32 {
        self.state.look(|state| count(state.extracted.len()))
    }

    /// Begins to extract a layer from an ingest, unless it is certain that nobody
    /// needs it.
    pub(super) fn follow(&self, host: &H, layer: &Digest, ingest: &H::Ingest) -> Option<H::Extraction> {
        let is_wanted = self.state.look(|state| state.trees.iter().any(|tree| tree.may_need(layer)));
        is_wanted.then(|| host.follow(ingest))
    }

    /// Extracts a layer whose blob is here, or waits for the extraction that
    /// followed it. Returns without that as soon as it is certain that nobody
    /// needs it.
    pub(super) async fn extract(
        &self,
        host: &H,
        layer: &Descriptor,
        blob: &H::Blob,
        extraction: Option<H::Extraction>,
        board: &Board,
    ) -> Result<(), Failure> {
        let Need::Place(rungs, at) = self.state.when(|state| state.need(&layer.digest)).await else { return Ok(()) };
        let rung = &rungs[at];
        let watch = board.about(layer);
        watch.progress(Phase::Unpacking, layer.size);
        let extracted = match extraction {
            Some(extraction) => extraction.finish(blob, &rung.diff_id).await,
            None => host.unpack(blob, &rung.diff_id).await,
        };
        let extracted = extracted.map_err(|refusal| self.unpackable(rung, refusal))?;
        for text in extracted.warnings() {
            let digest = layer.digest.encoded();
            board.warn(format!("layer `{}`: {text}", &digest[..SHORT_DIGITS.min(digest.len())]));
        }
        watch.progress(Phase::Unpacked, layer.size);
        self.state.change(|state| {
            let held = state.extracted.values().flatten().count();
            state.extracted.insert(rung.diff_id.clone(), (held < HELD_MAX).then_some(extracted));
        });
        Ok(())
    }

    /// Makes the trees while `work` extracts layers: each is stacked as soon as it
    /// is there, and all below it are.
    pub(super) async fn grow(&self, host: &H, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
        let work = async {
            work.await?;
            self.state.change(|state| state.is_over = true);
            Ok(())
        };
        let trees = self.state.look(|state| state.trees.len());
        try_join(work, try_join_all((0..trees).map(|tree| self.climb(host, tree)))).await.map(drop)
    }

    async fn climb(&self, host: &H, tree: usize) -> Result<(), Failure> {
        let start = |state: &State<H>| {
            let Tree { rungs, height, top, .. } = &state.trees[tree];
            Some((rungs.clone()?, *height, top.clone()))
        };
        let (rungs, height, mut top) = self.state.when(start).await;
        for rung in &rungs[height..] {
            let layer = self.obtain(host, rung).await?;
            let snapshot = host.stack(&rung.chain_id, top.as_deref(), &layer).await;
            top = Some(Rc::new(snapshot.map_err(|refusal| self.unstackable(rung, refusal))?));
        }
        self.state.change(|state| {
            let tree = &mut state.trees[tree];
            (tree.height, tree.top) = (rungs.len(), top.filter(|_| !has(Bug::TreeReleased)));
        });
        Ok(())
    }

    /// Waits until a layer is there, and holds it. One that somebody has removed
    /// meanwhile is extracted again.
    async fn obtain(&self, host: &H, rung: &Rung) -> Result<H::Layer, Failure> {
        if !rung.is_there {
            let is_done =
                |state: &State<H>| (state.is_over || state.extracted.contains_key(&rung.diff_id)).then_some(());
            self.state.when(is_done).await;
            let held = self.state.change(|state| state.extracted.get_mut(&rung.diff_id).and_then(Option::take));
            if let Some(layer) = held {
                return Ok(layer);
            }
        }
        if let Some(layer) = there(host.layer(&rung.diff_id).await).map_err(|code| self.unable(code))? {
            return Ok(layer);
        }
        // Its blob may be still on its way: nobody waited for that.
        self.state.when(|state| state.is_over.then_some(())).await;
        let blob = host.open(&rung.layer.digest).await?;
        host.unpack(&blob, &rung.diff_id).await.map_err(|refusal| self.unpackable(rung, refusal))
    }
}

impl<H: Host> Trees<H> {
    /// Explains why a layer could not be extracted.
    fn unpackable(&self, rung: &Rung, refusal: Refusal) -> Failure {
        self.refused(rung.told("extracted"), refusal)
    }

    /// Explains why a layer could not be put on those below it.
    fn unstackable(&self, rung: &Rung, refusal: Refusal) -> Failure {
        self.refused(rung.told("stacked"), refusal)
    }

    fn refused(&self, told: String, Refusal { code, why }: Refusal) -> Failure {
        match code {
            ErrorCode::DigestMismatch(_) | ErrorCode::Invalid | ErrorCode::TooLarge(_) => {
                self.hint(because(told)(fail(code, why)))
            }
            _ => because(told)(self.unable(code)),
        }
    }

    /// Explains a failure that is no matter of a layer.
    fn unable(&self, code: ErrorCode) -> Failure {
        match code {
            ErrorCode::Unsupported => self.hint(fail(code, "this host cannot extract layers")),
            other => other.into(),
        }
    }

    fn hint(&self, failure: Failure) -> Failure {
        match &self.remedy {
            Some(remedy) => try_this(failure, remedy.as_str()),
            None => failure,
        }
    }
}

impl<H: Host> State<H> {
    fn tree(&self, manifest: &Digest) -> Option<&Tree<H::Snapshot>> {
        self.trees.iter().find(|tree| tree.manifest == *manifest)
    }

    /// Finds where a layer is needed. None as long as that is not certain.
    fn need(&self, layer: &Digest) -> Option<Need> {
        let place = |tree: &Tree<H::Snapshot>| Some(Need::Place(tree.rungs.clone()?, tree.needs(layer)?));
        let nowhere = || (!self.trees.iter().any(|tree| tree.may_need(layer))).then_some(Need::Nowhere);
        self.trees.iter().find_map(place).or_else(nowhere)
    }
}

impl<S> Tree<S> {
    fn is_whole(&self) -> bool {
        self.rungs.as_ref().is_some_and(|rungs| self.height == rungs.len())
    }

    /// Returns the place in which a layer is needed, if that is known.
    fn needs(&self, layer: &Digest) -> Option<usize> {
        self.rungs.as_ref()?.iter().position(|rung| rung.layer.digest == *layer && !rung.is_there)
    }

    fn may_need(&self, layer: &Digest) -> bool {
        match self.rungs {
            Some(_) => self.needs(layer).is_some(),
            None => self.layers.iter().any(|one| one.digest == *layer),
        }
    }
}

impl Rung {
    fn told(&self, what: &str) -> String {
        let (place, all) = self.place;
        format!("layer {place} of {all}, `{}`, cannot be {what}", self.layer.digest)
    }
}

/// Puts each layer in its place.
fn ladder(layers: Vec<Descriptor>, diff_ids: &[Digest]) -> Vec<Rung> {
    let all = layers.len();
    let each = layers.into_iter().zip(diff_ids).zip(chain_ids(diff_ids)).zip(1..);
    each.map(|(((layer, diff_id), chain_id), place)| Rung {
        layer,
        place: (place, all),
        diff_id: diff_id.clone(),
        chain_id,
        is_there: false,
    })
    .collect()
}

/// Tells what is not there from what cannot be looked for.
fn there<T>(found: host::Result<T>) -> host::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(ErrorCode::NotFound) => Ok(None),
        Err(other) => Err(other),
    }
}

fn count(layers: usize) -> u32 {
    layers.try_into().expect("there are at most as many layers as blobs in a plan")
}
