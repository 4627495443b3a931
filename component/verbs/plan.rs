//! What a pull of one name needs, and what of it is here: the plan that a dry
//! run shows and that [`fetch`](super::fetch) executes. Making it reads
//! manifests from the registry and changes nothing.

use super::{
    choose::{self, Selected, Wishes},
    contract::{Event, PlannedBlob, PullPlan, Transfer},
    documents::{self, Documents, Held},
    expected::Expected,
    failing::{because, fail, invalid, try_this},
    given_up,
    listen::Board,
    resolve, transfers,
    trees::{self, Trees},
};
use crate::{
    host::{Host, Ingest},
    nouns::{
        config::Config,
        descriptor::Descriptor,
        digest::Digest,
        json::DOCUMENT_BYTES_MAX,
        manifest::{Document, Manifest},
        platform::Platform,
        problem::ErrorCode,
        record::{ImageRecord, Present},
        reference::Reference,
        retention::Retention,
    },
    planted::{Bug, has},
    registry::{Failure, Repository},
};
use futures_util::{
    future::{Either, select},
    stream::{self, StreamExt, TryStreamExt},
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    pin::pin,
    rc::Rc,
};

/// How many blobs one name may need: twenty platforms of thirty layers, or one
/// of the most layers there can be.
///
/// Each is held by a handle until the record is written. The host's table takes
/// 3 072 handles, and a full one is a trap; up to 64 downloads need the rest,
/// with an ingest, a request and a response each.
pub(super) const BLOBS_MAX: usize = 640;
/// How many blobs are looked for at once.
const LOOKS_AT_ONCE: usize = 16;
/// How long a dry run waits for an ingest that somebody else holds. What
/// another pull is fetching right now then counts as not here.
const HELD_MS_MAX: u64 = 50;
/// The platform of a manifest whose config is not here yet.
const UNKNOWN: &str = "unknown";

/// What a pull of one name needs.
pub(super) struct Plan<H: Host> {
    pub(super) name: Reference,
    pub(super) target: Descriptor,
    /// The record of the name when the plan was made.
    pub(super) record: Option<ImageRecord>,
    /// What the bytes of that hash to.
    pub(super) mark: Option<Digest>,
    /// What was to be found, and still has to be when the name is recorded.
    pub(super) expected: Option<Expected>,
    /// What is to be kept of the name, if that was asked for.
    pub(super) asked: Option<Retention>,
    /// What is to be kept of it in any case.
    pub(super) retention: Retention,
    /// The digests that the target's indexes list.
    pub(super) offered: Vec<Digest>,
    pub(super) choices: Vec<Chosen<H::Blob>>,
    /// Each blob once: the target, indexes and manifests, then each manifest's
    /// config and layers.
    pub(super) parts: Vec<Part<H::Blob>>,
    /// The layers that are here in the place of blobs that were given up, by the
    /// digests of those.
    pub(super) instead: BTreeMap<Digest, H::Layer>,
    /// What is extracted of it, and how far that is.
    pub(super) trees: Trees<H>,
    /// Bytes of documents that came over the network.
    pub(super) fetched: u64,
}

/// What there was of a name before a plan of it was made.
pub(super) struct Before {
    /// Unless it cannot be read.
    pub(super) record: Option<ImageRecord>,
    /// What its bytes hash to.
    pub(super) mark: Option<Digest>,
    /// What has to be found, if something has to.
    pub(super) expected: Option<Expected>,
    /// Whether what the record points to is wanted, and not what the name does by now.
    pub(super) stays: bool,
    /// What is to be kept of it, if that was asked for.
    pub(super) asked: Option<Retention>,
    /// What is to be kept of it in any case.
    pub(super) retention: Retention,
}

/// A manifest that was chosen.
pub(super) struct Chosen<B> {
    pub(super) selected: Selected<B>,
    /// What is recorded of it. None until its config is here.
    pub(super) present: Option<Present>,
}

/// A blob that is needed.
pub(super) struct Part<B> {
    pub(super) descriptor: Descriptor,
    /// Set if the content store has it. It stays there while this is held.
    pub(super) blob: Option<Rc<B>>,
    /// Whether it is a document, and the content store has something else.
    pub(super) is_damaged: bool,
    /// Set if the part is a document: its bytes are in memory.
    pub(super) held: Option<Rc<Held<B>>>,
    /// How it came, if the network sent it while the plan was made.
    pub(super) sent: Option<Transfer>,
}

impl<B> Part<B> {
    /// How it came, of a part that the making of the plan found or brought.
    pub(super) fn transfer(&self) -> Transfer {
        self.sent.clone().unwrap_or_else(|| transfers::present(&self.descriptor))
    }
}

impl<B> Chosen<B> {
    pub(super) fn manifest(&self) -> &Manifest {
        match &self.selected.held.document {
            Document::Manifest(manifest) => manifest,
            Document::Index(_) => {
                unreachable!("`choose` takes manifests, and `Documents` refuses one that is an index")
            }
        }
    }

    /// As the index says it, or else the config.
    fn platform(&self) -> String {
        let stated = self.selected.platform.as_ref().map(Platform::format_all);
        let settled = || self.present.as_ref().and_then(|present| present.platform.clone());
        stated.or_else(settled).unwrap_or_else(|| UNKNOWN.to_owned())
    }

    fn tell(&self, board: &Board) {
        board.tell(Event::Selected(self.platform(), self.selected.held.descriptor.clone()));
    }

    /// Reads the config, which is here now, and tells the platform if nobody
    /// has said it before. Returns the config unless it is an artifact's.
    pub(super) fn settle(&mut self, config: &[u8], wishes: &Wishes, board: &Board) -> Result<Option<Config>, Failure> {
        let manifest = self.manifest();
        let digest = &manifest.config.digest;
        let said = if manifest.is_image() {
            let broken = |error| because(format!("the config `{digest}` is not usable"))(invalid(error));
            let config = Config::parse(config).map_err(broken)?;
            config.check_layers(manifest.layers.len()).map_err(broken)?;
            Some(config)
        } else {
            None
        };
        let platform = match (&self.selected.platform, &said) {
            (Some(stated), _) => Some(stated.clone()),
            (None, Some(config)) => {
                let platform = wishes.platform(config);
                wishes.check(&platform, &self.selected.wishes, board)?;
                Some(platform)
            }
            (None, None) => None,
        };
        let descriptor = &self.selected.held.descriptor;
        self.present = Some(Present::new(descriptor, manifest, said.as_ref(), platform.as_ref()));
        if self.selected.platform.is_none() {
            self.tell(board);
        }
        Ok(said)
    }
}

/// Finds out what a name needs now, with its layers extracted if `unpack` says
/// so. Fails with [`ErrorCode::Conflict`] if something else was expected.
pub(super) async fn make<'h, H: Host>(
    host: &'h H,
    repository: &Repository<'h, H>,
    name: Reference,
    before: Before,
    wishes: &Wishes,
    unpack: bool,
    board: &Board,
) -> Result<Plan<H>, Failure> {
    let documents = Documents::new(host, repository, board);
    let Before { record, mark, expected, stays, asked, retention } = before;
    let target = match &record {
        Some(record) if stays => documents.get(&record.target).await?,
        record => resolve::target(repository, &documents, &name, record.as_ref()).await?,
    };
    expected.iter().try_for_each(|expected| expected.check_target(&target.descriptor.digest))?;
    board.tell(Event::Resolved(name.to_string(), target.descriptor.clone()));
    let descriptor = target.descriptor.clone();
    let choice = choose::choose(&documents, target, wishes, board).await?;
    let chosen = || choice.selected.iter().map(|selected| &selected.held.descriptor.digest);
    expected.iter().try_for_each(|expected| expected.check_manifests(chosen()))?;
    let mut plan = Plan {
        name,
        target: descriptor,
        record,
        mark,
        expected,
        asked,
        retention,
        offered: choice.indexes.iter().flat_map(|held| held.document.parts()).map(|part| part.digest.clone()).collect(),
        choices: Vec::new(),
        parts: Vec::new(),
        instead: BTreeMap::new(),
        trees: Trees::default(),
        fetched: documents.transfers().values().map(|transfer| transfer.fetched_bytes).sum(),
    };
    let mut parts = Parts { sizes: BTreeMap::new(), in_order: Vec::new() };
    for held in choice.indexes.iter().chain(choice.selected.iter().map(|selected| &selected.held)) {
        parts.add(&held.descriptor, Some(held))?;
    }
    for selected in choice.selected {
        let chosen = Chosen { selected, present: None };
        let config = &chosen.manifest().config;
        if config.size > DOCUMENT_BYTES_MAX as u64 {
            let why = format!("the config has {} bytes; a document has at most {DOCUMENT_BYTES_MAX}", config.size);
            return Err(fail(ErrorCode::TooLarge(DOCUMENT_BYTES_MAX as u64), why));
        }
        if chosen.selected.platform.is_some() {
            chosen.tell(board);
        }
        for part in chosen.selected.held.document.parts() {
            parts.add(part, None)?;
        }
        plan.choices.push(chosen);
    }
    plan.parts = look(&documents, host, parts.in_order).await?;
    // What is kept compressed is extracted when it is wanted.
    if unpack && plan.retention != Retention::Compressed {
        plan.plant(wishes, board);
    }
    plan.settle(host, wishes, board).await?;
    Ok(plan)
}

/// A blob, and the document that it is, if it is one.
type Needed<B> = (Descriptor, Option<Rc<Held<B>>>);

/// Blobs in the order of their coming, each digest once.
struct Parts<B> {
    sizes: BTreeMap<Digest, u64>,
    in_order: Vec<Needed<B>>,
}

impl<B> Parts<B> {
    fn add(&mut self, what: &Descriptor, held: Option<&Rc<Held<B>>>) -> Result<(), Failure> {
        match self.sizes.entry(what.digest.clone()) {
            Entry::Occupied(known) if *known.get() == what.size => {}
            Entry::Occupied(known) => {
                let sizes = format!("{} and {}", known.get(), what.size);
                return Err(invalid(format!("the manifests promise two sizes of `{}`: {sizes} bytes", what.digest)));
            }
            Entry::Vacant(place) => {
                place.insert(what.size);
                // The parts of a document would be kept with every entry of an index.
                let bare = Descriptor::new(what.media_type.clone(), what.digest.clone(), what.size);
                self.in_order.push((bare, held.cloned()));
            }
        }
        if self.in_order.len() > BLOBS_MAX {
            let why = format!("more than {BLOBS_MAX} blobs are needed; choose fewer platforms");
            let failure = fail(ErrorCode::TooLarge(BLOBS_MAX as u64), why);
            let fix = "name fewer with `--platform`; a manifest that is pulled by its digest has a name of its own";
            return Err(try_this(failure, fix));
        }
        Ok(())
    }
}

/// Looks for each part in the content store, and holds what is there whole.
/// Documents have been looked for already.
async fn look<H: Host>(
    documents: &Documents<'_, '_, H>,
    host: &H,
    parts: Vec<Needed<H::Blob>>,
) -> Result<Vec<Part<H::Blob>>, Failure> {
    let sent = &documents.transfers();
    stream::iter(parts)
        .map(async |(descriptor, held)| {
            let sent = sent.get(&descriptor.digest).cloned();
            if let Some(held) = held {
                let (blob, is_damaged) = (held.blob.clone(), documents.is_damaged(&descriptor.digest));
                return Ok(Part { descriptor, blob, is_damaged, held: Some(held), sent });
            }
            let blob = match documents::find(host, &descriptor).await {
                Ok(found) => found.map(Rc::new),
                // The download tells it, and replaces it.
                Err(failure) if documents::is_damage(&failure) => None,
                Err(other) => return Err(other),
            };
            Ok(Part { descriptor, blob, is_damaged: false, held, sent })
        })
        .buffered(LOOKS_AT_ONCE)
        .try_collect()
        .await
}

impl<H: Host> Plan<H> {
    /// Whether a part is here, or needs not be.
    pub(super) fn has(&self, part: &Part<H::Blob>) -> bool {
        part.blob.is_some() || self.instead.contains_key(&part.descriptor.digest)
    }

    /// Decides which of the images that were chosen are extracted.
    fn plant(&mut self, wishes: &Wishes, board: &Board) {
        let name = self.name.familiar();
        self.trees = Trees::with_remedy(format!("to keep it without extracting it: `wharf pull --no-unpack {name}`"));
        let platforms: Vec<_> = self.choices.iter().map(|chosen| chosen.selected.platform.as_ref()).collect();
        for at in wishes.extracts(&platforms) {
            let (chosen, manifest) = (&self.choices[at], self.choices[at].manifest());
            match platforms[at].and_then(trees::stranger).or_else(|| trees::obstacle(manifest)) {
                Some(why) => board.note(format!("`{name}` is not extracted: {why}")),
                None => self.trees.plant(&chosen.selected.held.descriptor.digest, manifest),
            }
        }
    }

    /// Reads the configs that are here.
    async fn settle(&mut self, host: &H, wishes: &Wishes, board: &Board) -> Result<(), Failure> {
        let retention = self.retention;
        for chosen in &mut self.choices {
            let config = &chosen.manifest().config;
            let part = self.parts.iter_mut().find(|part| part.descriptor.digest == config.digest);
            let part = part.expect("`make` adds the parts of each choice");
            let Some(blob) = &part.blob else { continue };
            match documents::bytes(&part.descriptor, &**blob).await {
                Ok(config) => {
                    if let Some(config) = chosen.settle(&config, wishes, board)? {
                        let manifest = &chosen.selected.held.descriptor.digest;
                        self.trees.learn(host, manifest, &config, &wishes.platform(&config), board).await?;
                        self.instead.extend(given_up::instead(host, retention, chosen.manifest(), &config).await?);
                    }
                }
                Err(failure) if documents::is_damage(&failure) => {
                    documents::warn(board, &failure);
                    (part.blob, part.is_damaged) = (None, true);
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Whether the name points to the target already and says what is to be kept,
    /// all that is wanted is recorded, every blob is here, and what is to be
    /// extracted is.
    pub(super) fn is_up_to_date(&self) -> bool {
        let recorded = |chosen: &Chosen<H::Blob>| {
            let present = self.record.iter().flat_map(|record| &record.platforms);
            present.into_iter().any(|present| present.manifest.digest == chosen.selected.held.descriptor.digest)
        };
        let is_said = |record: &ImageRecord| Retention::of(&record.labels) == self.retention;
        self.record.as_ref().is_some_and(|record| record.target == self.target && is_said(record))
            && (self.parts.iter().all(|part| self.has(part)) || has(Bug::BlobsBelieved))
            && self.choices.iter().all(recorded)
            && self.trees.are_whole()
    }

    /// Tells a person what would be done. Leaves no trace.
    pub(super) async fn show(&self, host: &H) -> Result<PullPlan, Failure> {
        let blobs: Vec<PlannedBlob> = stream::iter(&self.parts)
            .map(async |part| {
                let blob = part.descriptor.clone();
                let received = match self.has(part) {
                    true => blob.size,
                    false => leftover(host, &blob.digest).await?.min(blob.size),
                };
                Ok::<_, Failure>(PlannedBlob { blob, received, present: self.has(part) })
            })
            .buffered(LOOKS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(PullPlan {
            name: self.name.to_string(),
            target: self.target.clone(),
            manifests: self
                .choices
                .iter()
                .map(|chosen| (chosen.platform(), chosen.selected.held.descriptor.clone()))
                .collect(),
            fetch_bytes: blobs
                .iter()
                .fold(0, |sum: u64, planned| sum.saturating_add(planned.blob.size - planned.received)),
            blobs,
            unpack_layers: self.trees.missing(),
            up_to_date: self.is_up_to_date(),
        })
    }
}

/// How many bytes of a blob an earlier run left.
async fn leftover<H: Host>(host: &H, digest: &Digest) -> Result<u64, Failure> {
    match select(pin!(host.ingest(digest.as_str())), pin!(host.sleep(HELD_MS_MAX))).await {
        Either::Left((ingest, _)) => {
            let ingest = ingest?;
            let offset = ingest.offset();
            if offset == 0 {
                ingest.discard().await?;
            }
            Ok(offset)
        }
        Either::Right(_) => Ok(0),
    }
}
