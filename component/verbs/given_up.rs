//! Blobs of layers that were given up for their trees: what is here in their
//! place, and how they come to be given up. A blob that nothing needs any more goes
//! like any other.

use super::{
    contract::{Caller, Garbage},
    failing::{fail, invalid, try_this},
    history,
    library::{Entry, Library},
    listen::Board,
    reach::{self, Reader},
    sweep::sweep,
    unpack,
};
use crate::{
    host::{Host, Layer, Refusal},
    nouns::{
        config::Config, digest::Digest, manifest::Manifest, platform::Platform, problem::ErrorCode, record::Present,
        retention::Retention,
    },
    registry::Failure,
};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the layers, by the digests of their blobs, that stand for blobs which
/// are not here. Holding one keeps it.
pub(super) async fn instead<H: Host>(
    host: &H,
    retention: Retention,
    manifest: &Manifest,
    config: &Config,
) -> Result<BTreeMap<Digest, H::Layer>, Failure> {
    let mut layers = BTreeMap::new();
    if retention != Retention::Unpacked {
        return Ok(layers);
    }
    for (blob, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        if reach::found(host.open(&blob.digest).await)?.is_none()
            && let Some(layer) = reach::found(host.layer(diff_id).await)?
            && layer.recipe().await?.is_some()
        {
            layers.insert(blob.digest.clone(), layer);
        }
    }
    Ok(layers)
}

/// Fails if the blob of a layer was given up: whoever wants the image as it came
/// cannot have it.
pub(super) async fn refuse<H: Host>(host: &H, entry: &Entry, manifest: &Manifest) -> Result<(), Failure> {
    if Retention::of(&entry.record.labels) != Retention::Unpacked {
        return Ok(());
    }
    for layer in &manifest.layers {
        if reach::found(host.open(&layer.digest).await)?.is_none() {
            let why = format!("it is kept unpacked, and the blob of its layer `{}` was given up", layer.digest);
            return Err(try_this(fail(ErrorCode::NotFound, why), bring_back(entry)));
        }
    }
    Ok(())
}

/// What brings back the blobs that were given up.
pub(super) fn bring_back(entry: &Entry) -> String {
    let name = entry.name.familiar();
    format!("wharf retain both {name} && wharf pull {name}")
}

/// Makes the trees of an image, and the recipes of their layers, so that no blob of
/// a layer is needed any more. Returns sentences about what stays compressed.
pub(super) async fn describe<H: Host>(
    host: &H,
    entry: &Entry,
    machine: &Platform,
    board: &Board,
) -> Result<Vec<String>, Failure> {
    let mut stays = Vec::new();
    for present in &entry.record.platforms {
        match all_of(host, entry, present, machine, board).await {
            Ok(more) => stays.extend(more),
            Err(failure) if is_final(&failure.code) => return Err(failure),
            Err(failure) => {
                let which = present.platform.as_deref().unwrap_or(present.manifest.digest.as_str());
                stays.push(format!(
                    "`{}` for `{which}` stays compressed: {}",
                    entry.name.familiar(),
                    failure.why.join(": ")
                ));
            }
        }
    }
    Ok(stays)
}

/// Refuses what cannot be: trees are kept, and none is made.
pub(super) fn check(asked: Option<Retention>, unpack: bool) -> Result<(), Failure> {
    if asked != Some(Retention::Unpacked) || unpack {
        return Ok(());
    }
    let failure = invalid("what is kept unpacked has to be extracted");
    Err(try_this(failure, "leave out `--no-unpack`, or `--retain unpacked`"))
}

/// Takes away what is not kept of a name, as far as nothing else needs it. Returns
/// sentences about what stays.
pub(super) async fn carry_out<H: Host>(
    host: &H,
    caller: &Caller,
    entry: &Entry,
    machine: &Platform,
    board: &Board,
) -> Result<Vec<String>, Failure> {
    match Retention::of(&entry.record.labels) {
        Retention::Both => Ok(Vec::new()),
        Retention::Unpacked => give_up(host, caller, entry, machine, board).await,
        Retention::Compressed => {
            let reader = Reader::new(host);
            let parts = reader.of_record(&entry.record).await?;
            let rungs: Vec<_> = parts.iter().flat_map(|parts| &parts.rungs).collect();
            let layers: BTreeSet<_> = rungs.iter().map(|rung| (rung.layer.clone(), 0)).collect();
            let snapshots: BTreeSet<_> = rungs.iter().map(|rung| (rung.snapshot.to_string(), 0)).collect();
            let garbage = Garbage {
                layers: layers.into_iter().collect(),
                snapshots: snapshots.into_iter().collect(),
                ..Garbage::default()
            };
            Ok(sweep(host, caller, &reader, &garbage).await?.left)
        }
    }
}

/// Carries out what the names keep that were recorded just now, if `wanted` says so of how
/// they are kept. Returns sentences about what stays: the images are here and whole.
pub(super) async fn settle<H: Host>(
    host: &H,
    caller: &Caller,
    names: BTreeSet<String>,
    wanted: impl Fn(Retention) -> bool,
    board: &Board,
) -> Vec<String> {
    let mut stays = BTreeSet::new();
    let work = async {
        let library = Library::load(host, caller).await?;
        for entry in library.entries.iter().filter(|entry| names.contains(&entry.name.to_string())) {
            if wanted(Retention::of(&entry.record.labels)) {
                stays.extend(carry_out(host, caller, entry, &library.machine, board).await?);
            }
        }
        Ok::<_, Failure>(())
    };
    if let Err(failure) = work.await {
        // A later collection goes on.
        stays.insert(format!("what is not kept stays: {}", failure.why.join(": ")));
    }
    stays.into_iter().collect()
}

/// Makes good for the blobs of a name, and removes those that nothing needs then.
async fn give_up<H: Host>(
    host: &H,
    caller: &Caller,
    entry: &Entry,
    machine: &Platform,
    board: &Board,
) -> Result<Vec<String>, Failure> {
    let mut stays = describe(host, entry, machine, board).await?;
    let reader = Reader::new(host);
    let parts = reader.of_record(&entry.record).await?;
    let blobs = parts.iter().flat_map(|parts| &parts.rungs).map(|rung| rung.blob.clone()).collect();
    let blobs = reach::sizes(host, &blobs).await?.into_iter().collect();
    stays.extend(sweep(host, caller, &reader, &Garbage { blobs, ..Garbage::default() }).await?.left);
    Ok(stays)
}

async fn all_of<H: Host>(
    host: &H,
    entry: &Entry,
    present: &Present,
    machine: &Platform,
    board: &Board,
) -> Result<Vec<String>, Failure> {
    unpack::make(host, entry, present, machine, board).await?;
    let opened = history::open(host, entry, present).await?;
    let Some(config) = &opened.config else { return Ok(Vec::new()) };
    let mut stays = Vec::new();
    for (layer, diff_id) in opened.manifest().layers.iter().zip(&config.rootfs.diff_ids) {
        let Some(blob) = reach::found(host.open(&layer.digest).await)? else { continue };
        // Somebody may have taken it away meanwhile.
        let Some(tree) = reach::found(host.layer(diff_id).await)? else { continue };
        match host.describe(&tree, &blob).await {
            Ok(_) => {}
            Err(Refusal { code, .. }) if is_final(&code) => return Err(code.into()),
            Err(refusal) => {
                stays.push(format!("the layer `{}` stays compressed: {}", layer.digest, why(&refusal)));
            }
        }
    }
    Ok(stays)
}

fn why(refusal: &Refusal) -> String {
    match &refusal.code {
        ErrorCode::TooLarge(_) => "what its tree does not have would take more".to_owned(),
        ErrorCode::DigestMismatch(_) => "its tree does not make the same archive again".to_owned(),
        _ => refusal.why.clone(),
    }
}

/// Whether what one layer failed of is no matter of that layer.
fn is_final(code: &ErrorCode) -> bool {
    matches!(code, ErrorCode::NoSpace | ErrorCode::Cancelled)
}
