//! Load: the images of an archive are here. The archive is read once, from its beginning
//! to its end, in whatever order it is.
//!
//! ```text
//! source ──────────► shelf ─────────────► image, docker ─► trees ─────► record
//! headers, entries   documents and blobs  what is whole    extracted    all names in
//!                                                                       one transaction
//! ```
//!
//! - `source`: the entries. `shelf`: what came out. `image`: image layouts.
//! - `docker`: archives without manifests.
//!
//! What fails leaves nothing: what the call has brought, and what no image of it needs,
//! is swept at its end, beside whatever else happens on the machine.

mod docker;
pub(super) mod image;
pub(super) mod record;
pub(super) mod shelf;
mod source;

use super::{
    brought::Brought,
    choose,
    contract::{Caller, LoadOptions, Loaded},
    failing::{because, fail, invalid, problem, try_this},
    given_up, library,
    listen::{Board, Listener, accompany},
    store::Records,
    trees::{self, Trees},
};
use crate::{
    host::Host,
    nouns::{
        chain::chain_ids,
        descriptor::Descriptor,
        json,
        platform::Platform,
        problem::{ErrorCode, Problem},
        record::{Action, Present},
        reference::{LOADED, Reference},
        retention::Retention,
    },
    planted::{Bug, has},
    registry::{Failure, Phase, Watch},
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use image::{Image, Whole};
use shelf::{INDEX, Shelf};
use source::Source;
use std::collections::BTreeSet;

/// How many layers are extracted at once. The host has more of them take turns on
/// its processors.
const AT_ONCE: usize = 6;

/// Brings the images of an archive here, and records their names. See `images.load`.
///
/// Stops with [`ErrorCode::Cancelled`] when `listener` hears no more.
pub async fn load<H: Host>(
    host: &H,
    caller: &Caller,
    archive: H::Stream,
    options: &LoadOptions,
    listener: &impl Listener,
) -> Result<Loaded, Problem> {
    let (board, brought) = (Board::default(), Brought::default());
    let work = async { Load { host, caller, options, board: &board, brought: &brought }.all(archive).await };
    let stopped = || fail(ErrorCode::Cancelled, "the caller stopped it; nothing is left of it");
    let mut outcome = accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped()));
    // What is left over costs space and nothing else, and a collection finds it as well.
    let _ = brought.tidy(host, caller).await;
    if let Ok(loaded) = &mut outcome {
        // It is recorded: who hears no more keeps it, and more of it than was asked for.
        let board = Board::default();
        let names = loaded.images.iter().flat_map(|image| image.names.iter().cloned()).collect();
        let is_asked = options.retention.is_some();
        let wanted = |kept| is_asked || options.unpack && kept == Retention::Unpacked;
        let work = given_up::settle(host, caller, names, wanted, &board);
        loaded.notes.extend(accompany(host, listener, &board, work).await.into_iter().flatten());
    }
    outcome.map_err(problem("cannot load the archive"))
}

/// One call.
struct Load<'l, H: Host> {
    host: &'l H,
    caller: &'l Caller,
    options: &'l LoadOptions,
    board: &'l Board,
    brought: &'l Brought,
}

impl<H: Host> Load<'_, H> {
    async fn all(&self, archive: H::Stream) -> Result<Loaded, Failure> {
        let machine = choose::machine(&self.caller.machine)?;
        given_up::check(self.options.retention, self.options.unpack)?;
        let asked: Vec<Reference> =
            self.options.names.iter().map(|text| image::name(text)).collect::<Result<_, _>>()?;
        let wishes = choose::wishes(&self.options.platforms, &machine)?;
        let mut shelf = Shelf::new(self.host, self.board, self.brought);
        shelf.fill(Source::open(self.host, archive)).await?;
        let mut images = match shelf.documents.contains_key(INDEX) {
            true => {
                let mut images = image::images(&mut shelf, &machine).await?;
                docker::name_nameless(&shelf, &mut images)?;
                images
            }
            false => docker::images(&mut shelf, &machine).await?,
        };
        for image in images.iter_mut().filter(|_| !wishes.is_empty()) {
            let what = image.names.first().map_or_else(|| image.target.digest.to_string(), Reference::familiar);
            image.narrow(&wishes).map_err(because(format!("`{what}` has not every platform that is wanted")))?;
        }
        name(&mut images, asked, self.board)?;
        let trees = Trees::default();
        if self.options.unpack {
            let grown = self.grown(&images).await?;
            self.grow(&trees, &mut shelf, &grown, &machine).await?;
        }
        if !has(Bug::LoadUnsynced) {
            self.host.sync().await?;
        }
        if !trees.is_empty() && !has(Bug::LoadUnsynced) {
            self.host.sync_layers().await?;
        }
        let (action, retention) = (Action::Load, self.options.retention);
        let loaded = record::record(self.host, self.caller, &images, &machine, action, retention).await?;
        self.keep(&images);
        Ok(loaded)
    }

    /// Returns the images of which a tree is kept.
    async fn grown<'i>(&self, images: &'i [Image]) -> Result<Vec<&'i Image>, Failure> {
        let records = Records::begin(self.host, self.caller).await?;
        let mut grown = Vec::new();
        for image in images {
            for name in &image.names {
                let there = records.get(name).await?.and_then(Result::ok);
                if records.retention_of(self.options.retention, there.as_ref()).await? != Retention::Compressed {
                    grown.push(image);
                    break;
                }
            }
        }
        Ok(grown)
    }

    /// Extracts what runs on the machine, of each image.
    async fn grow(
        &self,
        trees: &Trees<H>,
        shelf: &mut Shelf<'_, H>,
        images: &[&Image],
        machine: &Platform,
    ) -> Result<(), Failure> {
        for image in images {
            let here: Vec<Present> = image.wholes.iter().map(|whole| whole.present.clone()).collect();
            let best = library::best_present(&here, machine).map(|best| &best.manifest.digest);
            let best = image.wholes.iter().find(|whole| Some(&whole.present.manifest.digest) == best);
            let Some(Whole { present, manifest, config: Some(config), platform }) = best else { continue };
            if let Some(why) = trees::obstacle(manifest) {
                self.board.note(format!("the image is not extracted: {why}"));
                continue;
            }
            let platform = platform.clone().unwrap_or_else(|| config.platform().completed_on(machine));
            trees.plant(&present.manifest.digest, manifest);
            trees.learn(self.host, &present.manifest.digest, config, &platform, self.board).await?;
            self.brought.trees(&config.rootfs.diff_ids, chain_ids(&config.rootfs.diff_ids));
        }
        let mut work = Vec::new();
        for layer in trees.needed() {
            let lost = || fail(ErrorCode::NotFound, format!("`{}` is gone", layer.digest));
            let blob = shelf.find(&layer).await?.ok_or_else(lost)?;
            work.push((layer, blob));
        }
        let extract = async |(layer, blob): (Descriptor, std::rc::Rc<H::Blob>)| {
            self.board.about(&layer).progress(Phase::Present, layer.size);
            trees.extract(self.host, &layer, &blob, None, self.board).await
        };
        let layers = stream::iter(work).map(extract);
        trees.grow(self.host, layers.buffer_unordered(AT_ONCE).try_collect::<()>()).await
    }

    /// Leaves what images need out of what is swept: it is recorded.
    fn keep(&self, images: &[Image]) {
        self.brought.keep(images.iter().flat_map(|image| &image.blobs).map(|blob| &blob.digest));
    }
}

/// Sees to it that each image has a name, and none has that of another.
fn name(images: &mut [Image], asked: Vec<Reference>, board: &Board) -> Result<(), Failure> {
    match images {
        [] => return Err(fail(ErrorCode::NotFound, "there is no image in it")),
        [one] if !asked.is_empty() => one.names = asked,
        [..] if !asked.is_empty() => {
            let why = format!("it has {} images, and `--tag` is for one", images.len());
            return Err(try_this(invalid(why), "load them by their own names, and then `wharf tag`"));
        }
        [..] => {}
    }
    let mut taken = BTreeSet::new();
    for image in images {
        if image.names.is_empty() {
            if let Some(tag) = &image.tag {
                let tag = json::shown(tag, 128);
                let target = &image.target.digest;
                board.note(format!("`{target}` has the tag `{tag}` and no repository; `--tag` gives it a name"));
            }
            let name = Reference::parse_canonical(&format!("{LOADED}@{}", image.target.digest));
            image.names.push(name.expect("a repository and a digest are a name"));
        }
        image.names.sort_by_key(ToString::to_string);
        for name in &image.names {
            if !taken.insert(name.to_string()) {
                return Err(invalid(format!("two images in it are called `{name}`")));
            }
        }
    }
    Ok(())
}
