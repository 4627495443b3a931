//! `GET /system/df`: how much space everything takes. There are images and nothing
//! else; of other kinds it tells that there are none.

use super::{
    Context,
    client::Answer,
    list::{Details, Summary, shares, summaries},
    query::Query,
    refusal::Refusal,
    version::Version,
};
use crate::{
    host::Host,
    verbs::{self, contract::Usage},
};
use serde::Serialize;

/// The kinds of things that docker has.
const KINDS: &[&str] = &["build-cache", "container", "image", "volume"];

/// A list of what wharf has not.
type Nothing = [(); 0];

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// None are all.
    kinds: Vec<String>,
    /// Whether things are told kind by kind, which is how clients before 1.52 know it.
    lists: bool,
    /// Whether each kind has its sums.
    sums: bool,
    /// Whether things stand beside those.
    items: bool,
}

impl Asked {
    /// What a version does not have says nothing.
    fn read(query: &Query, version: Version) -> Result<Self, Refusal> {
        let kinds = if version.since(42) { query.all("type") } else { Vec::new() };
        if let Some(unknown) = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(Refusal::new(400, format!("unknown object type: {}", unknown.escape_debug())));
        }
        let verbose = query.text("verbose").filter(|_| version.since(52)).map(truth).transpose()?;
        Ok(Self { kinds, lists: verbose.is_none(), sums: version.since(52), items: verbose == Some(true) })
    }

    fn has(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|asked| asked == kind)
    }
}

/// Reads a word that docker takes for true or false here, which are fewer than elsewhere.
fn truth(text: &str) -> Result<bool, Refusal> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err(Refusal::new(400, format!("invalid value for verbose: {}", text.escape_debug()))),
    }
}

/// The order of the fields is docker's. Everything after the build cache is of API 1.52, but for `BuilderSize`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DiskUsage {
    #[serde(skip_serializing_if = "Option::is_none")]
    layers_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<Vec<Summary>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    containers: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_cache: Option<Nothing>,
    /// Gone from API 1.42.
    #[serde(skip_serializing_if = "Option::is_none")]
    builder_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_usage: Option<Sums>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_usage: Option<Sums>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume_usage: Option<Sums>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_cache_usage: Option<Sums>,
}

/// The things of one kind, together.
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sums {
    /// How many are in use.
    active_count: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<Summary>,
    /// In bytes, as the next but one.
    reclaimable: u64,
    total_count: usize,
    total_size: u64,
}

/// Answers.
pub(super) async fn disk_usage<H: Host>(context: &Context<'_, H>) -> Result<Answer, Refusal> {
    let asked = Asked::read(&context.query, context.version)?;
    let images = match asked.has("image") {
        true => {
            let usage = verbs::usage::disk_usage(context.host, &context.settings.caller).await?;
            let images = summaries(context, &[], &details(&usage)).await?;
            Some((usage, images))
        }
        false => None,
    };
    Ok(Answer::json(200, &DiskUsage::new(context.version, &asked, images)))
}

/// Every version tells here what is shared, and that no container runs: clients take images of which that is not told
/// for such that cannot be removed.
fn details(usage: &Usage) -> Details {
    Details { shares: shares(usage), manifests: false, containers: 0 }
}

impl DiskUsage {
    fn new(version: Version, asked: &Asked, images: Option<(Usage, Vec<Summary>)>) -> Self {
        let none = |kind| (asked.lists && asked.has(kind)).then_some([]);
        let no_sums = |kind| (asked.sums && asked.has(kind)).then(Sums::default);
        let mut told = Self {
            layers_size: None,
            images: None,
            containers: none("container"),
            volumes: none("volume"),
            build_cache: none("build-cache"),
            builder_size: (!version.since(42)).then_some(0),
            image_usage: None,
            container_usage: no_sums("container"),
            volume_usage: no_sums("volume"),
            build_cache_usage: no_sums("build-cache"),
        };
        if let Some((usage, images)) = images {
            let mut sums = Sums::of_images(&usage, images.len());
            if asked.lists {
                (told.layers_size, told.images) = (Some(sums.total_size), Some(images));
            } else if asked.items {
                sums.items = images;
            }
            told.image_usage = asked.sums.then_some(sums);
        }
        told
    }
}

impl Sums {
    /// An image is in use that is mounted, or that a lease holds: there are no containers.
    fn of_images(usage: &Usage, total_count: usize) -> Self {
        let sums = [&usage.content, &usage.unpacked];
        let parts = sums.iter().flat_map(|sum| [sum.unique, sum.shared, sum.others, sum.unneeded]);
        Self {
            active_count: usage.images.iter().filter(|image| image.mounted || image.leased).count(),
            items: Vec::new(),
            reclaimable: sums.iter().fold(0, |bytes, sum| bytes.saturating_add(sum.reclaimable)),
            total_count,
            total_size: parts.fold(0, u64::saturating_add),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        docker::list::tests::summary,
        nouns::digest::{Algorithm, Digest},
        verbs::contract::{ImageUsage, Share, Sum},
    };
    use serde_json::{Value, json};

    /// A store with one image, some of which another one needs as well.
    fn usage() -> Usage {
        let image = ImageUsage {
            names: vec!["docker.io/library/app:1".to_owned()],
            target: Digest::of(Algorithm::Sha256, b"app"),
            created: 1,
            used: 1,
            content: Share { shared: 40, unique: 60 },
            unpacked: Share::default(),
            mounted: false,
            leased: false,
        };
        let content = Sum { unique: 60, shared: 40, unneeded: 5, reclaimable: 65, ..Sum::default() };
        Usage { images: vec![image], content, ..Usage::default() }
    }

    pub(in crate::docker) fn ask(version: Version, query: &str) -> Result<Value, Refusal> {
        let asked = Asked::read(&Query::read(query), version)?;
        let images = asked.has("image").then(|| (usage(), vec![summary(version, "app", &details(&usage()))]));
        Ok(serde_json::to_value(DiskUsage::new(version, &asked, images)).unwrap())
    }

    /// Clients before 1.42 had no number in `SharedSize`, and all of them -1 in `Containers`, which docker's program takes
    /// for images in use: nothing could be reclaimed.
    #[test]
    fn every_version_tells_what_is_shared_and_that_nothing_is_in_use() {
        for minor in [24, 41, 42, 50, 51, 52] {
            let answer = ask(Version::of(minor), "").unwrap();
            let image = &answer["Images"][0];
            let found = (&image["Containers"], &image["SharedSize"], &image["Size"], &answer["LayersSize"]);
            assert_eq!(found, (&json!(0), &json!(40), &json!(100), &json!(105)), "1.{minor}");
        }
    }

    #[test]
    fn a_client_says_of_what_it_wants_to_know() {
        let lists = ["Images", "LayersSize"];
        let others = ["BuildCache", "Containers", "Volumes"];
        let sums = ["BuildCacheUsage", "ContainerUsage", "ImageUsage", "VolumeUsage"];
        let rows: [(u32, &str, Vec<&str>); 9] = [
            (41, "type=image&verbose=0", [&lists[..], &others, &["BuilderSize"]].concat()),
            (42, "", [&lists[..], &others].concat()),
            (42, "type=image", lists.to_vec()),
            (51, "type=volume&type=container&verbose=nonsense", vec!["Containers", "Volumes"]),
            (52, "", [&lists[..], &others, &sums].concat()),
            (52, "type=build-cache", vec!["BuildCache", "BuildCacheUsage"]),
            (52, "verbose=false", sums.to_vec()),
            (52, "verbose=1&type=image", vec!["ImageUsage"]),
            (52, "type=image&type=volume", [&lists[..], &["ImageUsage", "Volumes", "VolumeUsage"]].concat()),
        ];
        for (minor, query, mut expected) in rows {
            let answer = ask(Version::of(minor), query).unwrap();
            let mut names: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
            names.sort_unstable();
            expected.sort_unstable();
            assert_eq!(names, expected, "1.{minor} {query}");
        }
        let refused = |minor, query| ask(Version::of(minor), query).unwrap_err();
        assert_eq!(refused(42, "type=network"), Refusal::new(400, "unknown object type: network".to_owned()));
        assert_eq!(refused(52, "verbose=yes"), Refusal::new(400, "invalid value for verbose: yes".to_owned()));
    }

    #[test]
    fn the_sums_of_images_are_what_a_prune_would_free_and_what_there_is() {
        let brief = json!({"ActiveCount": 0, "Reclaimable": 65, "TotalCount": 1, "TotalSize": 105});
        for query in ["", "verbose=0"] {
            assert_eq!(ask(Version::of(52), query).unwrap()["ImageUsage"], brief, "{query}");
        }
        let full = ask(Version::of(52), "verbose=true").unwrap();
        assert_eq!(full["ImageUsage"]["Items"][0]["RepoTags"], json!(["app:1"]));
        let nothing = json!({"ActiveCount": 0, "Reclaimable": 0, "TotalCount": 0, "TotalSize": 0});
        assert_eq!(full["ContainerUsage"], nothing);
    }
}
