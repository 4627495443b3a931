//! `GET /images/json`: what is here, an entry an image with all its names.
//!
//! It reads records only, unless sizes or manifests are asked for. `Size` is what
//! is stored of the image, compressed; docker's older store tells the size of its
//! trees there.

use super::{Context, client::Answer, manifests::Manifest, refusal::Refusal};
use crate::{
    host::Host,
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        platform::Platform,
        record::{PresentView, View},
        reference::Reference,
    },
    verbs::{self, contract::Caller, images},
};
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// The filters that docker has.
const FILTERS: &[&str] = &["before", "dangling", "label", "reference", "since", "until"];

/// One entry. The order of the fields is docker's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Summary {
    containers: i64,
    created: i64,
    id: Digest,
    labels: Option<BTreeMap<String, String>>,
    parent_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptor: Option<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<Vec<Manifest>>,
    repo_digests: Vec<String>,
    repo_tags: Vec<String>,
    pub(super) shared_size: i64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
}

/// An image: what has one ID.
struct Image {
    created: Option<i64>,
    labels: BTreeMap<String, String>,
    tags: BTreeSet<String>,
    digests: BTreeSet<String>,
    target: Descriptor,
    platform: Option<Platform>,
    size: u64,
}

/// Answers.
pub(super) async fn list<H: Host>(context: &Context<'_, H>) -> Result<Answer, Refusal> {
    let filters = context.query.known_filters(FILTERS)?;
    Ok(Answer::json(200, &summaries(context, &filters, context.query.flag("shared-size")).await?))
}

/// Returns the images that pass the filters, newest first.
pub(super) async fn summaries<H: Host>(
    context: &Context<'_, H>,
    filters: &[String],
    shared: bool,
) -> Result<Vec<Summary>, Refusal> {
    let Context { host, settings, query, version } = context;
    let images = found(*host, &settings.caller, filters).await?;
    let shares = if shared && version.since(42) { shares(*host, &settings.caller).await? } else { BTreeMap::new() };
    let mut images: Vec<_> = images.into_iter().collect();
    images.sort_by(|(one, a), (other, b)| (Reverse(a.created), one).cmp(&(Reverse(b.created), other)));
    let mut summaries = Vec::with_capacity(images.len());
    for (id, image) in images {
        let Image { created, labels, tags, digests, target, platform, size } = image;
        let is_nameless = tags.is_empty() && !version.since(43);
        let manifests = match query.flag("manifests") && version.since(47) {
            true => {
                let offers = verbs::manifests(*host, &target).await?.into_iter();
                Some(offers.map(|offer| Manifest::new(offer, platform.as_ref())).collect())
            }
            false => None,
        };
        summaries.push(Summary {
            // Nobody has counted them: wharf has none.
            containers: -1,
            created: created.unwrap_or(0),
            labels: Some(labels).filter(|labels| !labels.is_empty()),
            parent_id: "",
            manifests,
            repo_digests: if is_nameless && digests.is_empty() {
                vec!["<none>@<none>".to_owned()]
            } else {
                digests.into_iter().collect()
            },
            repo_tags: if is_nameless { vec!["<none>:<none>".to_owned()] } else { tags.into_iter().collect() },
            shared_size: shares.get(&target.digest).map_or(-1, |bytes| i64::try_from(*bytes).unwrap_or(i64::MAX)),
            descriptor: version.since(48).then_some(target),
            id,
            size,
            virtual_size: (!version.since(44)).then_some(size),
        });
    }
    Ok(summaries)
}

/// Returns the images by ID.
async fn found<H: Host>(host: &H, caller: &Caller, filters: &[String]) -> Result<BTreeMap<Digest, Image>, Refusal> {
    let mut images: BTreeMap<Digest, Image> = BTreeMap::new();
    let see = |name: &Reference, record: &View<'_>, present: &PresentView<'_>| {
        let target = Descriptor::from(&record.target);
        let digest = format!("{}@{}", name.familiar_name(), target.digest);
        let image = images.entry((&present.config).into()).or_insert_with(|| Image {
            created: present.created,
            labels: present.labels.iter().map(|(&key, &value)| (key.to_owned(), value.to_owned())).collect(),
            tags: BTreeSet::new(),
            digests: BTreeSet::new(),
            target,
            platform: present.platform.and_then(|platform| Platform::parse(platform, &Platform::default()).ok()),
            size: record.size,
        });
        image.tags.extend(name.tag().map(|_| name.familiar()));
        image.digests.insert(digest);
    };
    images::each(host, caller, filters, see).await?;
    Ok(images)
}

/// Returns what each target shares with others, in bytes.
async fn shares<H: Host>(host: &H, caller: &Caller) -> Result<BTreeMap<Digest, u64>, Refusal> {
    let usage = verbs::usage::disk_usage(host, caller).await?;
    Ok(usage.images.into_iter().map(|image| (image.target, image.content.shared)).collect())
}

/// Returns the ID of each target that is here.
pub(super) async fn identities<H: Host>(host: &H, caller: &Caller) -> Result<BTreeMap<Digest, Digest>, Refusal> {
    let images = verbs::entries(host, caller, &[]).await?.images;
    Ok(images.into_iter().map(|image| (image.target.digest, image.id)).collect())
}
