//! `GET /images/json`: what is here, an entry an image with all its names.
//!
//! It reads records only, unless sizes or manifests are asked for. `Size` is what
//! is stored of the image, compressed; docker's older store tells the size of its
//! trees there.

use super::{Context, client::Answer, manifests::Manifest, query::Query, refusal::Refusal, version::Version};
use crate::{
    host::Host,
    nouns::{
        descriptor::Descriptor,
        digest::Digest,
        platform::Platform,
        record::{PresentView, View},
        reference::Reference,
    },
    verbs::{
        self,
        contract::{Caller, Usage},
        images,
    },
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
    shared_size: i64,
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

/// What a list is to have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    filters: Vec<String>,
    pub(super) shared_size: bool,
    pub(super) manifests: bool,
}

impl Asked {
    /// What a version does not have says nothing.
    pub(super) fn read(query: &Query, version: Version) -> Result<Self, Refusal> {
        let mut filters = query.known_filters(FILTERS)?;
        // A pattern of names, as old clients write it.
        filters.extend(query.text("filter").filter(|_| !version.since(41)).map(|name| format!("reference={name}")));
        Ok(Self {
            filters,
            shared_size: version.since(42) && query.flag("shared-size"),
            manifests: version.since(47) && query.flag("manifests"),
        })
    }
}

/// What is told of images besides their records.
#[derive(Debug, Default)]
pub(super) struct Details {
    /// What each target shares with others, in bytes.
    pub(super) shares: BTreeMap<Digest, u64>,
    pub(super) manifests: bool,
    /// How many containers each has, which is -1 where nobody has counted.
    pub(super) containers: i64,
}

/// Answers.
pub(super) async fn list<H: Host>(context: &Context<'_, H>) -> Result<Answer, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let Asked { filters, shared_size, manifests } = Asked::read(query, *version)?;
    let usage = match shared_size {
        true => verbs::usage::disk_usage(*host, &settings.caller).await?,
        false => Usage::default(),
    };
    let details = Details { shares: shares(&usage), manifests, containers: containers(*version) };
    Ok(Answer::json(200, &summaries(context, &filters, &details).await?))
}

/// Returns how many containers an image in a list has: wharf has none, and older versions do not count.
pub(super) fn containers(version: Version) -> i64 {
    if version.since(51) { 0 } else { -1 }
}

/// Returns the images that pass the filters, newest first.
pub(super) async fn summaries<H: Host>(
    context: &Context<'_, H>,
    filters: &[String],
    details: &Details,
) -> Result<Vec<Summary>, Refusal> {
    let Context { host, settings, version, .. } = context;
    let images = found(*host, &settings.caller, filters).await?;
    let mut images: Vec<_> = images.into_iter().collect();
    images.sort_by(|(one, a), (other, b)| (Reverse(a.created), one).cmp(&(Reverse(b.created), other)));
    let mut summaries = Vec::with_capacity(images.len());
    for (id, image) in images {
        let manifests = match details.manifests {
            true => {
                let offers = verbs::manifests(*host, &image.target).await?.into_iter();
                Some(offers.map(|offer| Manifest::new(offer, image.platform.as_ref())).collect())
            }
            false => None,
        };
        summaries.push(Summary::new(*version, id, image, manifests, details));
    }
    Ok(summaries)
}

impl Summary {
    fn new(version: Version, id: Digest, image: Image, manifests: Option<Vec<Manifest>>, details: &Details) -> Self {
        let Image { created, labels, tags, digests, target, platform: _, size } = image;
        let is_nameless = tags.is_empty() && !version.since(43);
        let shared = details.shares.get(&target.digest);
        Self {
            containers: details.containers,
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
            shared_size: shared.map_or(-1, |bytes| i64::try_from(*bytes).unwrap_or(i64::MAX)),
            descriptor: version.since(48).then_some(target),
            id,
            size,
            virtual_size: (!version.since(44)).then_some(size),
        }
    }
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
pub(super) fn shares(usage: &Usage) -> BTreeMap<Digest, u64> {
    usage.images.iter().map(|image| (image.target.clone(), image.content.shared)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::nouns::{digest::Algorithm, media_type};

    /// What is told of an image whose target has the digest of `target`.
    pub(in crate::docker) fn summary(version: Version, target: &str, details: &Details) -> Summary {
        let digest = Digest::of(Algorithm::Sha256, target.as_bytes());
        let image = Image {
            created: Some(1),
            labels: BTreeMap::new(),
            tags: BTreeSet::from(["app:1".to_owned()]),
            digests: BTreeSet::new(),
            target: Descriptor::new(media_type::OCI_MANIFEST, digest, 2),
            platform: None,
            size: 100,
        };
        Summary::new(version, Digest::of(Algorithm::Sha256, b"config"), image, None, details)
    }

    #[test]
    fn what_a_version_does_not_have_is_not_asked_for() {
        let query = Query::read("shared-size=1&manifests=true");
        let asked = |minor| Asked::read(&query, Version::of(minor)).map(|asked| (asked.shared_size, asked.manifests));
        let found = [41, 42, 46, 47, 52].map(asked);
        let expected = [(false, false), (true, false), (true, false), (true, true), (true, true)];
        assert_eq!(found, expected.map(Ok));
    }

    #[test]
    fn the_filter_of_old_clients_is_a_pattern_of_names() {
        let filters =
            |text: &str, minor| Asked::read(&Query::read(text), Version::of(minor)).map(|asked| asked.filters);
        let filter = || "reference=app*".to_owned();
        assert_eq!(filters("filter=app*", 24), Ok(vec![filter()]));
        assert_eq!(filters("filter=app*", 40), Ok(vec![filter()]));
        assert_eq!(filters("filter=app*", 41), Ok(Vec::new()));
        let both = "filter=app*&filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D";
        assert_eq!(filters(both, 24), Ok(vec!["dangling=true".to_owned(), filter()]));
    }
}
