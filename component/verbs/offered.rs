//! What a name points to in its registry, and for which platforms that is. It
//! changes nothing.

use super::{
    choose,
    contract::{Access, Caller},
    documents,
    failing::{invalid, problem},
    listen::Board,
    resolve,
};
use crate::{
    host::Host,
    nouns::{
        config::Config,
        descriptor::Descriptor,
        manifest::{Document, Manifest},
        platform::Platform,
        problem::{ErrorCode, Problem},
        reference::DEFAULT_TAG,
    },
    registry::{Failure, Repository},
};

/// Returns what `reference` points to now, and the platforms of it: those that an
/// index lists, or that of the config of one image.
pub(crate) async fn offered<H: Host>(
    host: &H,
    caller: &Caller,
    reference: &str,
    access: &Access,
) -> Result<(Descriptor, Vec<Platform>), Problem> {
    let look = async {
        choose::machine(&caller.machine)?;
        let (typed, _) = resolve::expand(reference, &access.aliases);
        let board = Board::deaf();
        let name = resolve::name(&typed, &board)?;
        let repository = Repository::open(host, &name, access)?;
        let which = name.digest().map_or(name.tag().unwrap_or(DEFAULT_TAG), |digest| digest.as_str());
        let fetched = repository.manifest(which).await?;
        let platforms = match &fetched.document {
            Document::Index(index) => index.manifests.iter().filter_map(choose::stated).cloned().collect(),
            Document::Manifest(manifest) => of_config(host, &repository, manifest, &board).await?.into_iter().collect(),
        };
        Ok((fetched.descriptor, platforms))
    };
    look.await.map_err(problem(format!("cannot look up `{}`", reference.escape_debug())))
}

/// Reads the platform of an image from its config, which stays only if it was here.
async fn of_config<H: Host>(
    host: &H,
    repository: &Repository<'_, H>,
    manifest: &Manifest,
    board: &Board,
) -> Result<Option<Platform>, Failure> {
    if !manifest.is_image() {
        return Ok(None);
    }
    let config = &manifest.config;
    let here = documents::find(host, config).await?;
    let is_here = here.is_some();
    let blob = match here {
        Some(blob) => blob,
        None => repository.blob(config, &board.about(config), &|_| {}).await?.0,
    };
    let bytes = documents::bytes(config, &blob).await;
    drop(blob);
    if !is_here {
        match host.remove(&config.digest).await {
            // Somebody else needs it by now, or has removed it.
            Ok(()) | Err(ErrorCode::InUse | ErrorCode::NotFound) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(Some(Config::parse(&bytes?).map_err(invalid)?.platform()))
}
