//! Extracted layers in memory, and stacks of them.
//!
//! It keeps to `wit/layers.wit` in what callers can see: an extraction is
//! private until it is finished, bytes have to hash to the DiffID, and what was
//! not synced is gone after a restart. A layer is known by its bytes alone, and
//! nothing is removed by itself.
//!
//! In place of archives there is text: `squeezed|text` unpacks to `text`, and
//! what has no `|` unpacks to itself. Text that begins with `broken` is no
//! archive, and text that begins with `odd` is worth a warning.

mod removal;
mod tops;
mod trees;

use super::{
    Call, Memory,
    content::{Blob, Ingest, digest_of},
    locks::Locks,
};
use crate::dice::Dice;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};
use wharf_component::{
    host::{self, Made, Refusal, Result},
    nouns::{digest::Digest, problem::ErrorCode},
};

pub use tops::{Held, Written};
pub use trees::{Kind, Trees};

/// How long it takes to extract a layer that is here.
const UNPACK_MS: u64 = 400;
/// How long it takes to extract the rest of a layer that was followed.
const FINISH_MS: u64 = 50;
/// What every recipe takes.
const RECIPE_BYTES: u64 = 1;
/// So many extractions run at once. One more is a trap.
const EXTRACTIONS_MAX: usize = 128;
/// So many directories of dead processes one process removes.
const DEBRIS_MAX: usize = 16;

/// The service of one machine that runs.
#[derive(Debug, Default)]
pub struct Layers {
    visible: RefCell<Trees>,
    durable: RefCell<Trees>,
    /// How many handles there are on what.
    pins: RefCell<BTreeMap<(Kind, Digest), usize>>,
    /// What somebody has for himself. Nobody holds it.
    pub(super) claimed: Locks<(Kind, Digest)>,
    /// The snapshots that are mounted, each as often as it is.
    mounted: RefCell<Vec<Digest>>,
    /// What layers unpack to that were extracted since the machine was started.
    texts: RefCell<BTreeMap<Digest, Vec<u8>>>,
    /// Who uses what is written to.
    users: RefCell<tops::Users>,
    running: Cell<usize>,
    /// Private directories by number, and whether who made each is dead.
    private: RefCell<BTreeMap<u64, bool>>,
    serial: Cell<u64>,
}

impl Layers {
    pub(super) fn new(trees: Trees) -> Self {
        Self { visible: RefCell::new(trees.clone()), durable: RefCell::new(trees), ..Self::default() }
    }

    /// How many private directories there are, and how many of them are of dead
    /// processes.
    pub fn private(&self) -> (usize, usize) {
        let private = self.private.borrow();
        (private.len(), private.values().filter(|&&is_debris| is_debris).count())
    }

    /// Removes what dead processes left, up to `count`.
    pub(super) fn clear_debris(&self, count: usize) {
        let mut left = count;
        self.private.borrow_mut().retain(|_, is_debris| {
            let goes = *is_debris && left > 0;
            left -= usize::from(goes);
            !goes
        });
    }

    /// What is there after a power cut.
    pub(super) fn durable(&self) -> Trees {
        self.durable.borrow().clone()
    }

    /// Makes those of `seen` durable that are still there, and forgets what is
    /// not there any more.
    fn settle(&self, seen: Trees) {
        let (visible, mut durable) = (self.visible.borrow(), self.durable.borrow_mut());
        durable.layers.extend(seen.layers);
        durable.sizes.extend(seen.sizes);
        durable.layers.retain(|layer| visible.layers.contains(layer));
        durable.snapshots.extend(seen.snapshots);
        durable.snapshots.retain(|name, _| visible.snapshots.contains_key(name));
    }

    /// Loses what is not durable, as a power cut does. What was removed and not
    /// durably so may be there again.
    pub(super) fn cut(&self, dice: &mut Dice) {
        let mut trees = self.durable();
        let snapshots = trees.snapshots.keys().map(|name| (Kind::Snapshot, name.clone()));
        let layers = trees.layers.iter().map(|name| (Kind::Layer, name.clone()));
        for (kind, name) in snapshots.chain(layers).collect::<Vec<_>>() {
            if !self.visible.borrow().has(kind, &name) && dice.chance(1, 2) {
                trees.take(kind, &name);
            }
        }
        self.durable.replace(trees.clone());
        self.visible.replace(trees);
        self.mounted.take();
        self.users.take();
        self.private.borrow_mut().values_mut().for_each(|is_debris| *is_debris = true);
    }

    /// What is there now.
    pub fn visible(&self) -> Trees {
        self.visible.borrow().clone()
    }

    /// How many extractions run.
    pub fn running(&self) -> usize {
        self.running.get()
    }

    /// Makes the tree of a layer or of a snapshot another one than it was, as a
    /// disk does.
    pub fn damage(&self, kind: Kind, name: &Digest) {
        self.visible.borrow_mut().damaged.insert((kind, name.clone()));
        self.durable.borrow_mut().damaged.insert((kind, name.clone()));
    }

    /// Loses a layer or a snapshot, whatever stands on it.
    pub fn lose(&self, kind: Kind, name: &Digest) {
        for trees in [&self.visible, &self.durable] {
            trees.borrow_mut().take(kind, name);
        }
    }

    pub(super) fn layer_entries(&self, after: Option<&Digest>, limit: u32) -> Vec<Digest> {
        let trees = self.visible.borrow();
        let later = trees.layers.iter().filter(|name| after.is_none_or(|after| *name > after));
        later.take(limit as usize).cloned().collect()
    }

    pub(super) fn entries(&self, after: Option<&str>, limit: u32) -> Vec<String> {
        let trees = self.visible.borrow();
        let names = trees.snapshots.keys().map(Digest::to_string);
        names.filter(|name| after.is_none_or(|after| name.as_str() > after)).take(limit as usize).collect()
    }
}

/// Says whether a tree is what it was.
fn verified(pin: &Pin) -> Made<()> {
    match pin.memory.inner.layers.visible.borrow().damaged.contains(&pin.one) {
        true => Err(Refusal { code: ErrorCode::Invalid, why: "`a` is not what was extracted".to_owned() }),
        false => Ok(()),
    }
}

/// Says whether what was extracted makes the archive again.
fn rebuilt(pin: &Pin) -> Made<()> {
    verified(pin).map_err(|_| ErrorCode::DigestMismatch(digest_of(b"another archive")).into())
}

/// A handle on a layer or a snapshot. Counted, so that a removal can refuse.
#[derive(Debug)]
struct Pin {
    memory: Memory,
    one: (Kind, Digest),
}

impl Pin {
    fn new(memory: &Memory, kind: Kind, name: &Digest) -> Self {
        memory.process.push_handle();
        let one = (kind, name.clone());
        *memory.inner.layers.pins.borrow_mut().entry(one.clone()).or_default() += 1;
        Self { memory: memory.clone(), one }
    }

    /// The size of this layer, or of the layer on top of this snapshot.
    fn size(&self) -> u64 {
        let trees = self.memory.inner.layers.visible.borrow();
        let (kind, name) = &self.one;
        let layer = match kind {
            Kind::Layer => Some(name),
            Kind::Snapshot => trees.snapshots.get(name).map(|(_, top)| top),
        };
        layer.and_then(|layer| trees.sizes.get(layer).copied()).unwrap_or_default()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.memory.process.drop_handle();
        let mut pins = self.memory.inner.layers.pins.borrow_mut();
        let count = pins.get_mut(&self.one).expect("what is held is counted");
        *count -= 1;
        if *count == 0 {
            pins.remove(&self.one);
        }
    }
}

/// See `layers.layer`.
#[derive(Debug)]
pub struct Layer {
    pin: Pin,
    warnings: Vec<String>,
}

impl host::Layer for Layer {
    fn usage(&self) -> (u64, u64) {
        // Its root, and one file.
        (self.pin.size(), 2)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    async fn verify(&self) -> Made<()> {
        self.pin.memory.inner.tally.note("layers.layer.verify");
        verified(&self.pin)
    }

    async fn recipe(&self) -> Result<Option<u64>> {
        self.pin.memory.inner.tally.note("layers.layer.recipe");
        Ok(self.pin.memory.inner.layers.visible.borrow().recipes.get(&self.pin.one.1).copied())
    }

    async fn rebuild(&self) -> Made<()> {
        self.pin.memory.inner.tally.note("layers.layer.rebuild");
        match self.recipe().await? {
            Some(_) => rebuilt(&self.pin),
            None => Err(ErrorCode::NotFound.into()),
        }
    }
}

/// See `layers.snapshot`.
#[derive(Debug)]
pub struct Stacked(Pin);

impl Stacked {
    /// What is below, and the layer on top unless it was written.
    fn placed(&self) -> Option<(Option<Digest>, Option<Digest>)> {
        let trees = self.0.memory.inner.layers.visible.borrow();
        let (below, top) = trees.snapshots.get(&self.0.one.1)?.clone();
        let is_written = trees.written.contains_key(&self.0.one.1);
        Some((below, (!is_written).then_some(top)))
    }
}

impl host::Snapshot for Stacked {
    fn parent(&self) -> Option<String> {
        self.placed()?.0.map(|below| below.to_string())
    }

    fn layer(&self) -> Option<Digest> {
        self.placed()?.1
    }

    fn usage(&self) -> (u64, u64) {
        // Most show their layer's tree.
        let trees = self.0.memory.inner.layers.visible.borrow();
        match trees.written.get(&self.0.one.1) {
            Some(text) => (text.len() as u64, 1),
            None => (0, 0),
        }
    }

    async fn verify(&self) -> Made<()> {
        self.0.memory.inner.tally.note("layers.snapshot.verify");
        verified(&self.0)
    }
}

/// See `layers.extraction`.
#[derive(Debug)]
pub struct Extraction {
    memory: Memory,
    private: Private,
    /// Of the ingest, and how often that had been begun again.
    name: String,
    began: Rc<Cell<u64>>,
    restarts: u64,
}

impl Extraction {
    pub(super) fn new(memory: &Memory, ingest: &Ingest) -> Self {
        let (running, own) = (&memory.inner.layers.running, &memory.process.extractions);
        running.set(running.get() + 1);
        own.set(own.get() + 1);
        assert!(own.get() <= EXTRACTIONS_MAX, "trap: more than {EXTRACTIONS_MAX} extractions");
        memory.process.push_handle();
        let (name, began) = ingest.followed();
        Self { memory: memory.clone(), private: Private::new(memory), name, restarts: began.get(), began }
    }
}

impl Drop for Extraction {
    fn drop(&mut self) {
        self.memory.process.drop_handle();
        for count in [&self.memory.inner.layers.running, &self.memory.process.extractions] {
            count.set(count.get() - 1);
        }
    }
}

impl host::Extraction for Extraction {
    type Blob = Blob;
    type Layer = Layer;

    async fn finish(self, blob: &Blob, diff_id: &Digest) -> Made<Layer> {
        self.memory.inner.tally.note("layers.extraction.finish");
        let is_ours = self.began.get() == self.restarts && self.name == blob.name();
        let _until_it_is_a_layer = &self.private;
        extract(&self.memory, blob, diff_id, if is_ours { FINISH_MS } else { UNPACK_MS }).await
    }
}

impl Memory {
    pub(super) async fn unpack_blob(&self, blob: &Blob, diff_id: &Digest) -> Made<Layer> {
        self.inner.tally.note("layers.unpack");
        let _until_it_is_a_layer = Private::new(self);
        extract(self, blob, diff_id, UNPACK_MS).await
    }

    pub(super) async fn open_layer(&self, diff_id: &Digest) -> Result<Layer> {
        self.wait(&self.inner.layers.claimed, &(Kind::Layer, diff_id.clone())).await;
        match self.inner.layers.visible.borrow().layers.contains(diff_id) {
            true => Ok(Layer { pin: Pin::new(self, Kind::Layer, diff_id), warnings: Vec::new() }),
            false => Err(ErrorCode::NotFound),
        }
    }

    pub(super) async fn find_snapshot(&self, name: &Digest) -> Result<Stacked> {
        self.wait(&self.inner.layers.claimed, &(Kind::Snapshot, name.clone())).await;
        match self.inner.layers.visible.borrow().is_whole(name) {
            true => Ok(Stacked(Pin::new(self, Kind::Snapshot, name))),
            false => Err(ErrorCode::NotFound),
        }
    }

    pub(super) async fn put_on(&self, name: &Digest, parent: Option<&Stacked>, top: &Layer) -> Stacked {
        self.inner.layers.claimed.free(&(Kind::Snapshot, name.clone())).await;
        let below = parent.map(|parent| parent.0.one.1.clone());
        let placed = (below, top.pin.one.1.clone());
        self.inner.layers.visible.borrow_mut().snapshots.entry(name.clone()).or_insert(placed);
        Stacked(Pin::new(self, Kind::Snapshot, name))
    }

    /// Writes the recipe of a layer: durably, and the layer before it.
    pub(super) async fn write_recipe(&self, layer: &Layer, blob: &Blob) -> Made<u64> {
        let layers = &self.inner.layers;
        let one = &layer.pin.one.1;
        let _until_it_is_written = Private::new(self);
        self.inner.clock.sleep(UNPACK_MS).await;
        let visible = layers.visible();
        self.step(Call::Describe, one.as_str()).await?;
        let text = unpacked(blob.bytes());
        let found = digest_of(text);
        if found != *one {
            return Err(ErrorCode::DigestMismatch(found).into());
        }
        if text.starts_with(b"odd") {
            return Err(Refusal {
                code: ErrorCode::TooLarge(blob.bytes().len() as u64),
                why: "little of it is in its tree".to_owned(),
            });
        }
        rebuilt(&layer.pin)?;
        layers.settle(visible);
        for trees in [&layers.visible, &layers.durable] {
            let mut trees = trees.borrow_mut();
            if trees.layers.contains(one) {
                trees.recipes.insert(one.clone(), RECIPE_BYTES);
            }
        }
        self.step(Call::Described, one.as_str()).await?;
        Ok(RECIPE_BYTES)
    }

    pub(super) async fn make_durable(&self) -> Result<()> {
        // What appears later is left to the next call.
        let visible = self.inner.layers.visible();
        self.step(Call::SyncLayers, "").await?;
        self.inner.layers.settle(visible);
        self.step(Call::LayersSynced, "").await
    }
}

/// A directory in which something is extracted. Whoever dies leaves it behind.
#[derive(Debug)]
struct Private {
    memory: Memory,
    number: u64,
}

impl Private {
    /// Makes one. The first one of a process also removes what dead ones left.
    fn new(memory: &Memory) -> Self {
        let layers = &memory.inner.layers;
        if !memory.process.has_swept.replace(true) {
            layers.clear_debris(DEBRIS_MAX);
        }
        layers.serial.set(layers.serial.get() + 1);
        layers.private.borrow_mut().insert(layers.serial.get(), false);
        Self { memory: memory.clone(), number: layers.serial.get() }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let mut private = self.memory.inner.layers.private.borrow_mut();
        match self.memory.process.is_dead.get() {
            true => private.insert(self.number, true),
            false => private.remove(&self.number),
        };
    }
}

async fn extract(memory: &Memory, blob: &Blob, diff_id: &Digest, ms: u64) -> Made<Layer> {
    if let Ok(layer) = memory.open_layer(diff_id).await {
        return Ok(layer);
    }
    memory.inner.clock.sleep(ms).await;
    memory.step(Call::Unpack, diff_id.as_str()).await?;
    let text = unpacked(blob.bytes());
    if text.starts_with(b"broken") {
        return Err(Refusal { code: ErrorCode::Invalid, why: "it begins with `broken`".to_owned() });
    }
    let found = digest_of(text);
    if found != *diff_id {
        return Err(ErrorCode::DigestMismatch(found).into());
    }
    // Somebody may have made it meanwhile, and somebody else may have that for himself.
    memory.inner.layers.claimed.free(&(Kind::Layer, found.clone())).await;
    {
        let mut trees = memory.inner.layers.visible.borrow_mut();
        trees.sizes.insert(found.clone(), text.len() as u64);
        memory.inner.layers.texts.borrow_mut().insert(found.clone(), text.to_vec());
        trees.layers.insert(found);
    }
    let warnings = if text.starts_with(b"odd") { vec!["it is odd".to_owned()] } else { Vec::new() };
    Ok(Layer { pin: Pin::new(memory, Kind::Layer, diff_id), warnings })
}

/// What is said not to be compressed of `gzip:6|text`, and everything else as it is.
pub(super) fn plain(bytes: &[u8]) -> Vec<u8> {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b':';
    let word = bytes.iter().take_while(|byte| is_word(byte)).count();
    if bytes.get(word) == Some(&b'|') { bytes[word + 1..].to_vec() } else { bytes.to_vec() }
}

/// What a layer's bytes unpack to.
pub fn unpacked(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|&byte| byte == b'|').map_or(bytes, |at| &bytes[at + 1..])
}
