//! One image as a JSON object in docker's shape.
//!
//! | key | what |
//! | --- | --- |
//! | `Id` | the config's digest |
//! | `RepoTags`, `RepoDigests` | every name here of the same target, and each repository with its digest |
//! | `Comment`, `Created`, `Author` | of the last step, and of the config as it says them |
//! | `Config` | the key `config` of the config, as it is there |
//! | `Architecture`, `Variant`, `Os`, `OsVersion` | of the config |
//! | `Size` | of this platform: manifest, config and layers as they are stored, in bytes |
//! | `RootFS` | `Type`, and the DiffIDs as `Layers` |
//! | `Metadata` | `LastTagTime`: when the name last changed here |
//! | `Descriptor` | of the target; `platform` is the one that is shown |
//! | `Platforms` | what is here |
//! | `Retention` | what is kept of it: `both`, `unpacked` or `compressed` |
//! | `Manifests` | on request: what the target offers, in its order: `ID`, `Descriptor`, `Kind` (`image`, `attestation` or `unknown`), and whether all of it is `Available` here |
//! | `Provenance` | on request: how each blob came here, in the order of arrival; `endpoint` is null for one that was here |
//! | `Manifest`, `OCIConfig` | both documents, as they are in the registry but for the order of keys |
//!
//! An artifact has no `Config` and no `RootFS`, and an `OCIConfig` only if that
//! is JSON; its `ArtifactType` is there instead. It does not know layers on disk (`GraphDriver`).

use super::{
    choose,
    contract::Caller,
    documents::{self, INDEX},
    failing::{because, invalid, problem, try_this},
    history::{self, Opened},
    library::{Entry, Library},
    reach::Reader,
    store::Records,
    usage,
};
use crate::{
    host::Host,
    nouns::{
        config::Config,
        descriptor::Descriptor,
        digest::Digest,
        manifest::Document,
        media_type::Kind,
        platform::Platform,
        problem::Problem,
        record::{Arrival, Present},
        reference::Reference,
        retention::Retention,
        time,
    },
    registry::Failure,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many documents are read for `Manifests`.
const DOCUMENTS_MAX: usize = 2_048;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inspection<'i> {
    id: &'i Digest,
    repo_tags: BTreeSet<String>,
    repo_digests: BTreeSet<String>,
    comment: &'i str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'i str>,
    author: &'i str,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'i str>,
    architecture: &'i str,
    #[serde(skip_serializing_if = "str::is_empty")]
    variant: &'i str,
    os: &'i str,
    #[serde(skip_serializing_if = "str::is_empty")]
    os_version: &'i str,
    size: u64,
    #[serde(rename = "RootFS", skip_serializing_if = "Option::is_none")]
    root_fs: Option<RootFs<'i>>,
    metadata: Metadata,
    descriptor: Descriptor,
    platforms: Vec<&'i str>,
    retention: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<Vec<Offer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provenance: Option<Vec<Source>>,
    manifest: Value,
    #[serde(rename = "OCIConfig", skip_serializing_if = "Option::is_none")]
    oci_config: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs<'i> {
    #[serde(rename = "Type")]
    kind: &'static str,
    layers: &'i [Digest],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    last_tag_time: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Offer {
    #[serde(rename = "ID")]
    pub(crate) id: Digest,
    pub(crate) descriptor: Descriptor,
    pub(crate) available: bool,
    pub(crate) kind: &'static str,
    /// The bytes of the manifest and its parts, as they say themselves.
    #[serde(skip)]
    pub(crate) content: u64,
    /// The bytes of those of its trees that are here.
    #[serde(skip)]
    pub(crate) unpacked: u64,
}

/// How one blob came here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    digest: Digest,
    size: u64,
    endpoint: Option<String>,
    attempts: u32,
    resumed_from: u64,
    fetched_bytes: u64,
    duration_ms: u64,
    pulled_at: String,
}

impl From<Arrival> for Source {
    fn from(arrival: Arrival) -> Self {
        let Arrival { digest, size, endpoint, attempts, resumed_from, fetched_bytes, duration_ms, pulled } = arrival;
        let pulled_at = time::format(pulled);
        Self { digest, size, endpoint, attempts, resumed_from, fetched_bytes, duration_ms, pulled_at }
    }
}

/// Returns one image as JSON. See `images.inspect`.
pub async fn inspect<H: Host>(
    host: &H,
    caller: &Caller,
    reference: &str,
    platform: Option<&str>,
    manifests: bool,
    provenance: bool,
) -> Result<String, Problem> {
    let inspection = async {
        let library = Library::load(host, caller).await?;
        let meant = library.find(reference)?;
        let entry = meant.entry;
        let present = history::present(&library, meant, platform)?;
        let opened = history::open(host, entry, present).await?;
        let again = |failure| match documents::is_damage(&failure) {
            true => try_this(failure, format!("wharf pull {}", entry.name.familiar())),
            false => failure,
        };
        let offers = if manifests { Some(offers(host, &entry.record.target).await.map_err(again)?) } else { None };
        let sources = if provenance { Some(sources(host, caller, &entry.name).await?) } else { None };
        write(&library, entry, present, &opened, (offers, sources))
    };
    inspection.await.map_err(problem(format!("cannot inspect `{}`", reference.escape_debug())))
}

fn write<B>(
    library: &Library,
    entry: &Entry,
    present: &Present,
    opened: &Opened<B>,
    (manifests, provenance): (Option<Vec<Offer>>, Option<Vec<Source>>),
) -> Result<String, Failure> {
    let config = opened.config.as_ref();
    let target = &entry.record.target;
    let same = || library.entries.iter().filter(|other| other.record.target.digest == target.digest);
    let shown = Platform::parse(present.platform.as_deref().unwrap_or_default(), &library.machine).ok();
    let mut oci_config: Option<Value> = serde_json::from_slice(&opened.config_bytes).ok();
    let execution = oci_config.as_ref().and_then(|config| config.get("config")).filter(|config| config.is_object());
    let inspection = Inspection {
        id: &present.config,
        repo_tags: same().filter(|other| other.name.tag().is_some()).map(|other| other.name.familiar()).collect(),
        repo_digests: same().map(|other| format!("{}@{}", other.name.familiar_name(), target.digest)).collect(),
        comment: config.and_then(|config| config.history.last()).map_or("", |step| &step.comment),
        created: config.and_then(|config| config.created.as_deref()),
        author: config.and_then(|config| config.author.as_deref()).unwrap_or_default(),
        config: config.map(|_| execution.cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()))),
        artifact_type: opened.manifest().artifact_type(),
        architecture: config.map_or("", |config| &config.architecture),
        variant: config.map_or("", |config| &config.variant),
        os: config.map_or("", |config| &config.os),
        os_version: config.map_or("", |config| &config.os_version),
        size: present.size,
        root_fs: config.map(|Config { rootfs, .. }| RootFs { kind: "layers", layers: &rootfs.diff_ids }),
        metadata: Metadata { last_tag_time: time::format(entry.record.updated) },
        descriptor: Descriptor { platform: shown, ..target.clone() },
        platforms: entry.record.platforms.iter().filter_map(|present| present.platform.as_deref()).collect(),
        retention: Retention::of(&entry.record.labels).word(),
        manifests,
        provenance,
        manifest: serde_json::from_slice(&opened.held.bytes).map_err(invalid)?,
        oci_config: oci_config.take(),
    };
    serde_json::to_string(&inspection).map_err(invalid)
}

/// Reads how the blobs of a name came here. There is no record of what was
/// pulled before there were such records.
async fn sources<H: Host>(host: &H, caller: &Caller, name: &Reference) -> Result<Vec<Source>, Failure> {
    match Records::begin(host, caller).await?.provenance(name).await? {
        Some(Ok(provenance)) => Ok(provenance.arrivals.into_iter().map(Source::from).collect()),
        Some(Err(error)) => Err(because("how the blobs came here cannot be read")(invalid(error))),
        None => Ok(Vec::new()),
    }
}

/// Lists what `target` offers. See `Manifests` above.
pub(crate) async fn manifests<H: Host>(host: &H, target: &Descriptor) -> Result<Vec<Offer>, Problem> {
    offers(host, target).await.map_err(problem(format!("cannot list what `{}` offers", target.digest)))
}

/// Lists what the target offers, and looks which of it is here. An index that
/// is not here is listed itself. What is damaged is not here, but the target
/// has to be.
async fn offers<H: Host>(host: &H, target: &Descriptor) -> Result<Vec<Offer>, Failure> {
    let (mut offers, reader) = (Vec::new(), Reader::new(host));
    let mut read = 0;
    let mut seen = BTreeSet::new();
    let mut ahead = vec![target.clone()];
    while let Some(entry) = ahead.pop() {
        if !seen.insert(entry.digest.clone()) {
            continue;
        }
        read += 1;
        if read > DOCUMENTS_MAX {
            return Err(invalid(format!("the target offers more than {DOCUMENTS_MAX} manifests")));
        }
        let document = match document(host, &entry).await {
            Err(failure) if documents::is_damage(&failure) && entry.digest != target.digest => None,
            other => other?,
        };
        let mut is_image = entry.kind() == Kind::Manifest && choose::stated(&entry).is_some();
        let available = match &document {
            Some(Document::Index(index)) => {
                ahead.extend(index.manifests.iter().rev().cloned());
                continue;
            }
            Some(Document::Manifest(manifest)) => {
                is_image = manifest.is_image();
                is_all_here(host, document.iter().flat_map(Document::parts)).await?
            }
            None => false,
        };
        let kind = match is_image {
            _ if choose::is_attestation(&entry) => "attestation",
            true => "image",
            false => "unknown",
        };
        let parts = document.iter().flat_map(Document::parts).map(|part| part.size);
        let content = parts.fold(entry.size, u64::saturating_add);
        let unpacked = match available && kind == "image" {
            true => usage::unpacked(host, &reader, &entry.digest).await?,
            false => 0,
        };
        offers.push(Offer { id: entry.digest.clone(), descriptor: entry, available, kind, content, unpacked });
    }
    Ok(offers)
}

/// Reads what an entry points to, if it is a document that is here.
async fn document<H: Host>(host: &H, entry: &Descriptor) -> Result<Option<Document>, Failure> {
    match documents::find(host, entry).await? {
        Some(blob) if matches!(entry.kind(), Kind::Index | Kind::Manifest) => {
            Ok(Some(documents::read(entry, blob, INDEX).await?.document))
        }
        _ => Ok(None),
    }
}

async fn is_all_here<H: Host>(host: &H, parts: impl Iterator<Item = &Descriptor>) -> Result<bool, Failure> {
    for part in parts {
        match documents::find(host, part).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(false),
            Err(failure) if documents::is_damage(&failure) => return Ok(false),
            Err(other) => return Err(other),
        }
    }
    Ok(true)
}
