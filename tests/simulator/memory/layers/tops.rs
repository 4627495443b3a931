//! What is written to, in memory: text that layers unpack to, or that somebody writes through a mount. It keeps to
//! `wit/writable.wit` in what callers can see: a top is durable when it is made, what was written when it is committed.

use super::{
    super::{
        Call, Memory,
        content::{Blob, digest_of, literal},
        stream::Stream,
    },
    Kind, Pin, Stacked, unpacked,
};
use std::collections::{BTreeMap, BTreeSet};
use wharf_component::{
    host::{Diff, Made, Refusal, Result, Top},
    nouns::{digest::Digest, problem::ErrorCode},
};

/// A longer name is none.
const NAME_BYTES_MAX: usize = 1_024;

/// What there is of a top on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The snapshot that it stands on.
    pub parent: Option<Digest>,
    /// Whether it is no view.
    pub is_writable: bool,
    /// Everything that was written into it.
    pub text: Vec<u8>,
    /// The layer that it shows, if that is all.
    pub shown: Option<Digest>,
}

/// Who uses which tops. A restart ends all of it.
#[derive(Debug, Default)]
pub(super) struct Users {
    handles: BTreeMap<String, usize>,
    mounted: BTreeSet<String>,
}

impl super::Layers {
    /// Mounts a top.
    pub fn mount_top(&self, name: &str) {
        self.users.borrow_mut().mounted.insert(name.to_owned());
    }

    /// Ends that.
    pub fn unmount_top(&self, name: &str) {
        self.users.borrow_mut().mounted.remove(name);
    }

    /// Writes through a mount of a top.
    pub fn write_top(&self, name: &str, text: &str) {
        let mut trees = self.visible.borrow_mut();
        let top = trees.tops.get_mut(name).expect("what is mounted is there");
        top.text.extend(text.as_bytes());
        top.shown = None;
    }

    /// Writes something here that is durable at once.
    fn settle_top(&self, change: impl Fn(&mut super::Trees)) {
        change(&mut self.visible.borrow_mut());
        change(&mut self.durable.borrow_mut());
    }
}

/// See `writable.top`.
#[derive(Debug)]
pub struct Held {
    memory: Memory,
    name: String,
}

impl Held {
    fn new(memory: &Memory, name: &str) -> Self {
        memory.process.push_handle();
        *memory.inner.layers.users.borrow_mut().handles.entry(name.to_owned()).or_default() += 1;
        Self { memory: memory.clone(), name: name.to_owned() }
    }

    fn written(&self) -> Result<Written> {
        self.memory.inner.layers.visible.borrow().tops.get(&self.name).cloned().ok_or(ErrorCode::NotFound)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.process.drop_handle();
        let mut users = self.memory.inner.layers.users.borrow_mut();
        let count = users.handles.get_mut(&self.name).expect("what is held is counted");
        *count -= 1;
        if *count == 0 {
            users.handles.remove(&self.name);
        }
    }
}

impl Top for Held {
    type Stream = Stream;
    type Blob = Blob;
    type Snapshot = Stacked;

    async fn usage(&self) -> Result<(u64, u64)> {
        self.memory.inner.tally.note("writable.top.usage");
        let text = self.written()?.text;
        Ok((text.len() as u64, u64::from(!text.is_empty())))
    }

    async fn shows(&self) -> Made<Option<Digest>> {
        self.memory.inner.tally.note("writable.top.shows");
        Ok(self.written()?.shown)
    }

    async fn apply(&self, blob: &Blob) -> Made<(Digest, u64)> {
        self.memory.inner.tally.note("writable.top.apply");
        self.memory.step(Call::Apply, &self.name).await?;
        let before = self.written()?;
        let text = unpacked(blob.bytes());
        if !before.is_writable || text.starts_with(b"broken") {
            return Err(Refusal { code: ErrorCode::Invalid, why: "it cannot be written".to_owned() });
        }
        let layers = &self.memory.inner.layers;
        let diff_id = digest_of(text);
        layers.claimed.free(&(Kind::Layer, diff_id.clone())).await;
        let is_mounted = layers.users.borrow().mounted.contains(&self.name);
        let mut trees = layers.visible.borrow_mut();
        let is_first = before.text.is_empty() && before.shown.is_none() && !is_mounted;
        if is_first {
            trees.layers.insert(diff_id.clone());
            trees.sizes.insert(diff_id.clone(), text.len() as u64);
            layers.texts.borrow_mut().insert(diff_id.clone(), text.to_vec());
        }
        let top = trees.tops.get_mut(&self.name).ok_or(ErrorCode::NotFound)?;
        top.text.extend(text);
        top.shown = is_first.then(|| diff_id.clone());
        Ok((diff_id, text.len() as u64))
    }

    fn diff(&self) -> Diff<Stream> {
        self.memory.inner.tally.note("writable.top.diff");
        let text = self.written().map(|written| written.text);
        told(&self.memory, text)
    }

    async fn commit(self, name: &str) -> Made<Stacked> {
        self.memory.inner.tally.note("writable.top.commit");
        let memory = self.memory.clone();
        memory.step(Call::CommitTop, &self.name).await?;
        let layers = &memory.inner.layers;
        let written = self.written()?;
        let tree: Digest = name.parse().map_err(|_| ErrorCode::Invalid)?;
        if !written.is_writable {
            return Err(ErrorCode::Invalid.into());
        }
        if layers.visible.borrow().snapshots.contains_key(&tree) {
            return Err(ErrorCode::Conflict.into());
        }
        if layers.users.borrow().handles.get(&self.name) != Some(&1) {
            return Err(ErrorCode::InUse.into());
        }
        layers.settle_top(|trees| {
            trees.tops.remove(&self.name);
            trees.snapshots.insert(tree.clone(), (written.parent.clone(), tree.clone()));
            trees.written.insert(tree.clone(), written.text.clone());
        });
        memory.step(Call::Frozen, &self.name).await?;
        Ok(Stacked(Pin::new(&memory, Kind::Snapshot, &tree)))
    }
}

/// What an archive has in it, and why it ended.
fn told(memory: &Memory, text: Result<Vec<u8>>) -> Diff<Stream> {
    let (bytes, end) = match text {
        Ok(text) => (text.clone(), Ok(digest_of(&text))),
        Err(code) => (Vec::new(), Err(Refusal::from(code))),
    };
    (literal(&memory.inner.clock, bytes), Box::pin(async { end }))
}

impl Memory {
    pub(in super::super) async fn make_top(
        &self,
        name: &str,
        is_writable: bool,
        parent: Option<&Stacked>,
    ) -> Made<Held> {
        self.step(Call::Prepare, name).await?;
        let layers = &self.inner.layers;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(ErrorCode::Invalid.into());
        }
        if layers.visible.borrow().tops.contains_key(name) {
            return Err(ErrorCode::Conflict.into());
        }
        let parent = parent.map(|parent| parent.0.one.1.clone());
        if parent.as_ref().is_some_and(|parent| !layers.durable.borrow().is_whole(parent)) {
            self.make_durable().await?;
        }
        let written = Written { parent, is_writable, ..Written::default() };
        layers.settle_top(|trees| drop(trees.tops.insert(name.to_owned(), written.clone())));
        let held = Held::new(self, name);
        self.step(Call::Prepared, name).await?;
        Ok(held)
    }

    pub(in super::super) fn find_top(&self, name: &str) -> Result<Held> {
        let trees = self.inner.layers.visible.borrow();
        let written = trees.tops.get(name).ok_or(ErrorCode::NotFound)?;
        let is_whole = written.parent.as_ref().is_none_or(|parent| trees.is_whole(parent))
            && written.shown.as_ref().is_none_or(|layer| trees.layers.contains(layer));
        if is_whole { Ok(Held::new(self, name)) } else { Err(ErrorCode::NotFound) }
    }

    pub(in super::super) fn top_names(&self, after: Option<&str>, limit: u32) -> Vec<String> {
        let trees = self.inner.layers.visible.borrow();
        let later = trees.tops.keys().filter(|name| after.is_none_or(|after| name.as_str() > after));
        later.take(limit as usize).cloned().collect()
    }

    pub(in super::super) fn take_top(&self, name: &str) -> Result<()> {
        let layers = &self.inner.layers;
        let users = layers.users.borrow();
        if users.handles.contains_key(name) || users.mounted.contains(name) {
            return Err(ErrorCode::InUse);
        }
        layers.settle_top(|trees| drop(trees.tops.remove(name)));
        Ok(())
    }

    pub(in super::super) fn diff_of(&self, of: &Stacked) -> Diff<Stream> {
        let (layers, name) = (&self.inner.layers, &of.0.one.1);
        let written = layers.visible.borrow().written.get(name).cloned();
        let layer = layers.visible.borrow().snapshots.get(name).map(|(_, top)| top.clone());
        let shown = || layer.and_then(|layer| layers.texts.borrow().get(&layer).cloned());
        let text = written.or_else(shown).ok_or(ErrorCode::NotFound);
        told(self, text)
    }
}
