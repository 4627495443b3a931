//! `DELETE /images/{name}`, `POST /images/{name}/tag` and `POST /images/prune`.

use super::{Context, client::Answer, pull::named, refusal::Refusal};
use crate::{
    host::Host,
    nouns::{digest::Digest, reference::Reference},
    verbs::{
        self,
        change::perform,
        contract::{Caller, Change, Changed, Event, Pruning, Removal, Tagging},
        listen::Listener,
    },
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The filters that docker has for a prune.
const FILTERS: &[&str] = &["dangling", "label", "label!", "until"];
/// Who prunes, for whoever tries the same meanwhile.
const WHO: &str = "a client of the Docker Engine API";

/// One thing that went.
#[derive(Debug, Serialize)]
enum Gone {
    Untagged(String),
    Deleted(String),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Pruned {
    images_deleted: Option<Vec<Gone>>,
    space_reclaimed: u64,
}

/// Nobody hears how a change gets on.
struct Deaf;

impl Listener for Deaf {
    async fn hear(&self, _: Vec<Event>) -> bool {
        true
    }
}

/// Removes a name, or an image.
pub(super) async fn remove<H: Host>(context: &Context<'_, H>, name: &str) -> Result<Answer, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let before = Before::see(*host, &settings.caller).await?;
    let removal = Removal {
        references: vec![name.to_owned()],
        force: query.flag("force"),
        no_prune: query.flag("noprune"),
        platforms: query.platforms_since(50, *version, "platforms")?,
    };
    let changed = perform(*host, &settings.caller, &Change::Remove(removal), &Deaf).await;
    let changed = changed.map_err(Refusal::of_image(name))?;
    if let ([], Some((stayed, why))) = (changed.names.as_slice(), changed.failed.first()) {
        return Err(Refusal::new(409, format!("`{stayed}` stays: {why}")));
    }
    Ok(Answer::json(200, &before.gone(&changed)))
}

/// Gives another name to an image.
pub(super) async fn tag<H: Host>(context: &Context<'_, H>, name: &str) -> Result<Answer, Refusal> {
    let Context { host, settings, query, .. } = context;
    let repository = query.text("repo").ok_or_else(|| Refusal::new(400, "`repo` is needed".to_owned()))?;
    let tagging = Tagging { source: name.to_owned(), names: vec![named(repository, query.text("tag"))] };
    let changed = perform(*host, &settings.caller, &Change::Tag(tagging), &Deaf).await;
    let changed = changed.map_err(Refusal::of_image(name))?;
    match changed.failed.first() {
        Some((stayed, why)) => Err(Refusal::new(409, format!("`{stayed}` stays as it was: {why}"))),
        None => Ok(Answer::empty(201)),
    }
}

/// Removes what nobody needs.
pub(super) async fn prune<H: Host>(context: &Context<'_, H>) -> Result<Answer, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    if !version.since(25) {
        return Err(Refusal::new(400, "a prune is of API 1.25 and later".to_owned()));
    }
    let filters = query.known_filters(FILTERS)?;
    let (dangling, filters): (Vec<_>, Vec<_>) = filters.into_iter().partition(|filter| filter.starts_with("dangling="));
    let all = match dangling.as_slice() {
        [] => false,
        [one] if matches!(one.as_str(), "dangling=true" | "dangling=1") => false,
        [one] if matches!(one.as_str(), "dangling=false" | "dangling=0") => true,
        _ => return Err(Refusal::new(400, "invalid filter 'dangling'".to_owned())),
    };
    let before = Before::see(*host, &settings.caller).await?;
    let pruning = Pruning { all, filters, keep_bytes: None, who: WHO.to_owned() };
    let changed = perform(*host, &settings.caller, &Change::Prune(pruning), &Deaf).await?;
    let removed = &changed.removed;
    let sizes = removed.blobs.iter().map(|(_, size)| size);
    let sizes = sizes.chain(removed.layers.iter().map(|(_, size)| size));
    let sizes = sizes.chain(removed.snapshots.iter().chain(&removed.ingests).map(|(_, size)| size));
    let space_reclaimed = sizes.fold(0, |sum: u64, size| sum.saturating_add(*size));
    let gone = before.gone(&changed);
    Ok(Answer::json(200, &Pruned { images_deleted: Some(gone).filter(|gone| !gone.is_empty()), space_reclaimed }))
}

/// What was here before a change.
#[derive(Debug, Default)]
struct Before {
    /// The ID of each target.
    identities: BTreeMap<Digest, Digest>,
    /// How many names a repository has for a target.
    names: BTreeMap<(String, Digest), usize>,
}

impl Before {
    async fn see<H: Host>(host: &H, caller: &Caller) -> Result<Self, Refusal> {
        let mut before = Self::default();
        for image in verbs::entries(host, caller, &[]).await?.images {
            if let Ok(name) = Reference::parse(&image.name) {
                *before.names.entry((name.familiar_name(), image.target.digest.clone())).or_default() += 1;
            }
            before.identities.insert(image.target.digest, image.id);
        }
        Ok(before)
    }

    /// Tells what went as docker does: names, then images, then layers. With the last name that a repository has for a
    /// target goes its digest.
    fn gone(mut self, changed: &Changed) -> Vec<Gone> {
        let mut told = Vec::new();
        for change in changed.names.iter().filter(|change| change.after.is_none()) {
            let (Ok(name), Some(before)) = (Reference::parse(&change.name), &change.before) else { continue };
            if name.tag().is_some() {
                told.push(Gone::Untagged(name.familiar()));
            }
            let repository = name.familiar_name();
            let digest = format!("{repository}@{before}");
            let left = self.names.entry((repository, before.clone())).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 || name.tag().is_none() {
                told.push(Gone::Untagged(digest));
            }
        }
        let images = changed.gone.iter().map(|target| self.identities.get(target).unwrap_or(target).to_string());
        told.extend(images.chain(changed.removed.snapshots.iter().map(|(name, _)| name.clone())).map(Gone::Deleted));
        told
    }
}
