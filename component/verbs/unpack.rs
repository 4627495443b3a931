//! Unpack: the layers of an image that is here become its tree, as far as they
//! have not yet. It downloads nothing, and the record of the image says nothing
//! of it: a tree is known by the layers that the config lists.

use super::{
    contract::{Caller, Tree},
    documents,
    failing::{fail, invalid, problem, try_this},
    history::{open, present, pull_again},
    library::{Entry, Library},
    listen::{Board, Listener, accompany},
    store,
    trees::{self, Trees},
};
use crate::{
    host::Host,
    nouns::{
        descriptor::Descriptor,
        platform::Platform,
        problem::{ErrorCode, Problem},
        record::Present,
    },
    planted::{Bug, has},
    registry::{Failure, Phase},
};
use futures_util::stream::{self, StreamExt, TryStreamExt};

/// How many layers are extracted at once. The host has more of them take turns on
/// its processors.
const AT_ONCE: usize = 6;

/// Extracts the layers of an image that is here, as far as they are not, and
/// returns what came of it. See `images.unpack`.
///
/// Stops with [`ErrorCode::Cancelled`] when `listener` hears no more; the layers
/// that were extracted by then stay.
pub async fn unpack<H: Host>(
    host: &H,
    caller: &Caller,
    reference: &str,
    platform: Option<&str>,
    listener: &impl Listener,
) -> Result<Tree, Problem> {
    let board = Board::default();
    let work = async {
        let library = Library::load(host, caller).await?;
        let meant = library.find(reference)?;
        let Entry { name, record } = meant.entry;
        let tree = make(host, meant.entry, present(&library, meant, platform)?, &library.machine, &board).await?;
        store::touch(host, caller, name, record.updated).await;
        Ok(tree)
    };
    let stopped = || fail(ErrorCode::Cancelled, "the caller stopped it; layers that are extracted stay");
    let outcome = accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped()));
    outcome.map_err(problem(format!("cannot unpack `{}`", reference.escape_debug())))
}

/// Makes the tree of one platform of an image, as far as it is not there.
pub(super) async fn make<H: Host>(
    host: &H,
    entry: &Entry,
    present: &Present,
    machine: &Platform,
    board: &Board,
) -> Result<Tree, Failure> {
    let opened = open(host, entry, present).await?;
    let obstacle = |why: String| fail(ErrorCode::Unsupported, why);
    let Some(config) = &opened.config else { return Err(obstacle(trees::ARTIFACT.to_owned())) };
    config.check_layers(opened.manifest().layers.len()).map_err(invalid)?;
    let platform = config.platform().completed_on(machine);
    if let Some(why) = trees::obstacle(opened.manifest()).or_else(|| trees::stranger(&platform)) {
        return Err(obstacle(why));
    }
    let (trees, manifest) = (Trees::default(), &present.manifest.digest);
    trees.plant(manifest, opened.manifest());
    trees.learn(host, manifest, config, &platform, board).await?;
    if !trees.are_whole() {
        let extract = async |layer: Descriptor| {
            let blob =
                layer_blob(host, &layer).await.map_err(|failure| try_this(failure, pull_again(entry, present)))?;
            board.about(&layer).announce(Phase::Present, layer.size);
            trees.extract(host, &layer, &blob, None, board).await
        };
        let layers = stream::iter(trees.needed()).map(extract);
        trees.grow(host, layers.buffer_unordered(AT_ONCE).try_collect::<()>()).await?;
    }
    if !(trees.is_empty() || trees.extracted() == 0 && has(Bug::TreeUnsynced)) {
        // Also what was there before: whoever extracted it may not have come to this.
        host.sync_layers().await?;
    }
    Ok(Tree {
        name: entry.name.to_string(),
        manifest: manifest.clone(),
        platform: platform.format_all(),
        snapshot: trees.snapshot(manifest),
        unpacked: trees.extracted(),
    })
}

async fn layer_blob<H: Host>(host: &H, layer: &Descriptor) -> Result<H::Blob, Failure> {
    let lost = || fail(ErrorCode::NotFound, format!("the layer `{}` is gone", layer.digest));
    documents::find(host, layer).await?.ok_or_else(lost)
}
