//! Manifest: the manifest or the index that a reference names, byte for byte: what is here,
//! or else what the registry has.

use super::{
    compose,
    contract::{Access, Caller},
    failing::{invalid, problem},
    listen::Board,
    resolve,
};
use crate::{
    host::Host,
    nouns::{problem::Problem, reference::DEFAULT_TAG},
    registry::{Failure, Repository},
};

/// See `images.manifest`.
pub async fn manifest<H: Host>(host: &H, caller: &Caller, reference: &str, access: &Access) -> Result<String, Problem> {
    let read = async {
        let bytes = match compose::here(host, caller, reference).await? {
            Some(bytes) => bytes,
            None => asked(host, reference, access).await?,
        };
        String::from_utf8(bytes).map_err(|_| invalid("it is no text"))
    };
    read.await.map_err(problem(format!("cannot show the manifest of `{}`", reference.escape_debug())))
}

async fn asked<H: Host>(host: &H, reference: &str, access: &Access) -> Result<Vec<u8>, Failure> {
    let (typed, _) = resolve::expand(reference, &access.aliases);
    let name = resolve::name(&typed, &Board::deaf())?;
    let repository = Repository::open(host, &name, access)?;
    let which = match name.digest() {
        Some(digest) => digest.to_string(),
        None => name.tag().unwrap_or(DEFAULT_TAG).to_owned(),
    };
    Ok(repository.manifest(&which).await?.bytes)
}
