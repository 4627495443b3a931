//! Archives that have no manifests: those that docker wrote before version 25, podman,
//! skopeo, kaniko and others. A manifest is made for each image, an OCI one, so that the
//! same archive makes the same image everywhere.
//!
//! ```text
//! manifest.json  [{"Config": path, "RepoTags": [name], "Layers": [path]}]
//! repositories   {repository: {tag: id}}, and <id>/json, <id>/layer.tar   before docker 1.10
//! ```
//!
//! Docker image spec v1.2, “Combined Image JSON + Filesystem Changeset Format”, and
//! v1.0 for the older ones. Layers stay as they are; one that is not compressed is
//! called by its DiffID.

use super::{
    image::{Image, Whole, name, whole},
    shelf::{MANIFEST, REPOSITORIES, Shelf, V1},
};
use crate::{
    host::{Blob, Host},
    nouns::{
        config::Config,
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        json::{self, Shape},
        manifest::LAYERS_MAX,
        media_type::{self, OCI_CONFIG, OCI_MANIFEST},
        platform::Platform,
        problem::ErrorCode,
        reference::Reference,
    },
    registry::Failure,
    verbs::failing::{because, fail, invalid},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many images an archive may have.
const IMAGES_MAX: usize = 1_000;
/// How many bytes tell how a layer is compressed.
const MAGIC_BYTES: u64 = 4;
/// What a v1 document says about its place in the chain, and not about the image.
const OF_THE_CHAIN: [&str; 7] = ["id", "parent", "parent_id", "layer_id", "Size", "throwaway", "checksum"];

const ITEMS: Shape = Shape::List {
    name: "images",
    items: &Shape::Object(&[("Config", &Shape::Any), ("RepoTags", &Shape::Any), ("Layers", &Shape::Any)]),
    limit: IMAGES_MAX,
};

/// An image, as `manifest.json` says it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default, deserialize_with = "json::null_is_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "json::null_is_default")]
    layers: Vec<String>,
}

/// Reads the images that `manifest.json` lists, or else `repositories`.
pub(super) async fn images<H: Host>(shelf: &mut Shelf<'_, H>, machine: &Platform) -> Result<Vec<Image>, Failure> {
    let Some(bytes) = shelf.documents.get(MANIFEST) else { return first_images(shelf, machine).await };
    let mut images: Vec<Image> = Vec::new();
    for item in items(bytes)? {
        let told = because(format!("the image of `{}` cannot be taken in", item.config.escape_debug()));
        let made = async {
            let (_, digest, size) = shelf.at(&item.config)?;
            let config = Descriptor::new(OCI_CONFIG, digest, size);
            make(shelf, config, &item.layers, machine).await
        };
        let made = made.await.map_err(told)?;
        add(&mut images, made, &names(&item.repo_tags)?);
    }
    Ok(images)
}

/// Gives images of `index.json` that have no name those of `manifest.json`.
pub(super) fn name_nameless<H: Host>(shelf: &Shelf<'_, H>, images: &mut [Image]) -> Result<(), Failure> {
    let Some(bytes) = shelf.documents.get(MANIFEST) else { return Ok(()) };
    for item in items(bytes)? {
        let Ok((_, config, _)) = shelf.at(&item.config) else { continue };
        let has = |image: &&mut Image| image.wholes.iter().any(|whole| whole.present.config == config);
        if let Some(image) = images.iter_mut().filter(|image| image.names.is_empty()).find(has) {
            image.names = names(&item.repo_tags)?;
        }
    }
    Ok(())
}

fn items(bytes: &[u8]) -> Result<Vec<Item>, Failure> {
    json::parse(bytes, &ITEMS).map_err(invalid).map_err(because(format!("`{MANIFEST}` is not usable")))
}

fn names(texts: &[String]) -> Result<Vec<Reference>, Failure> {
    let mut names = Vec::new();
    for text in texts {
        let name = name(text)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Adds an image, or only its names if it is there.
fn add(images: &mut Vec<Image>, made: Whole, names: &[Reference]) {
    let target = made.present.manifest.clone();
    let at = images.iter().position(|image| image.target.digest == target.digest).unwrap_or_else(|| {
        images.push(Image { target, names: Vec::new(), tag: None, wholes: Vec::new(), blobs: Vec::new() });
        images.len() - 1
    });
    images[at].add(made);
    for name in names {
        if !images[at].names.contains(name) {
            images[at].names.push(name.clone());
        }
    }
}

/// Makes the manifest of an image, from its config and the paths of its layers.
async fn make<H: Host>(
    shelf: &mut Shelf<'_, H>,
    what: Descriptor,
    paths: &[String],
    machine: &Platform,
) -> Result<Whole, Failure> {
    let absent = || fail(ErrorCode::NotFound, "its config is not in the archive");
    let bytes = shelf.read(&what).await?.ok_or_else(absent)?;
    let config = Config::parse(&bytes).map_err(invalid).map_err(because("its config is not usable"))?;
    config.check_layers(paths.len()).map_err(invalid)?;
    let mut layers = Vec::new();
    for (path, diff_id) in paths.iter().zip(&config.rootfs.diff_ids) {
        let (blob, digest, size) = shelf.at(path)?;
        let media_type = layer_type(&*blob).await?;
        if media_type == media_type::OCI_LAYER && digest != *diff_id && diff_id.algorithm() == Algorithm::Sha256 {
            let why = format!("`{}` hashes to `{digest}`, and the config says `{diff_id}`", path.escape_debug());
            return Err(fail(ErrorCode::DigestMismatch(digest), why));
        }
        layers.push(Descriptor::new(media_type, digest, size));
    }
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": what, "layers": layers});
    let bytes = serde_json::to_vec(&manifest).expect("texts and numbers can always be written");
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    shelf.write(&digest, &bytes).await?;
    Ok(whole(shelf, &Descriptor::new(OCI_MANIFEST, digest, bytes.len() as u64), machine).await?)
}

/// By what a layer begins with: names of files are not always honest.
async fn layer_type(blob: &impl Blob) -> Result<&'static str, Failure> {
    Ok(match &*blob.read(0, MAGIC_BYTES).await? {
        [0x1f, 0x8b, ..] => media_type::OCI_LAYER_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => media_type::OCI_LAYER_ZSTD,
        _ => media_type::OCI_LAYER,
    })
}

/// Reads the images of the first format: chains of layers, each with a document.
async fn first_images<H: Host>(shelf: &mut Shelf<'_, H>, machine: &Platform) -> Result<Vec<Image>, Failure> {
    let Some(bytes) = shelf.documents.get(REPOSITORIES) else {
        return Err(invalid(
            "it has no `index.json`, no `manifest.json` and no `repositories`: it is no archive of images",
        ));
    };
    let repositories: BTreeMap<String, BTreeMap<String, String>> =
        json::parse(bytes, &Shape::Any).map_err(invalid).map_err(because(format!("`{REPOSITORIES}` is not usable")))?;
    let mut images = Vec::new();
    for (repository, tags) in repositories {
        for (tag, id) in tags {
            let names = names(&[format!("{repository}:{tag}")])?;
            let told = because(format!("the image of `{}` cannot be taken in", json::shown(&id, 80)));
            add(&mut images, first_image(shelf, &id, machine).await.map_err(told)?, &names);
        }
    }
    Ok(images)
}

async fn first_image<H: Host>(shelf: &mut Shelf<'_, H>, id: &str, machine: &Platform) -> Result<Whole, Failure> {
    // From the top down.
    let mut chain: Vec<(String, Map<String, Value>)> = Vec::new();
    let mut next = Some(id.to_owned());
    while let Some(id) = next {
        let absent = || fail(ErrorCode::NotFound, format!("`{}{V1}` is not in the archive", json::shown(&id, 80)));
        let bytes = shelf.documents.get(&format!("{id}{V1}")).ok_or_else(absent)?;
        let said: Map<String, Value> = json::parse(bytes, &Shape::Any).map_err(invalid)?;
        next = said.get("parent").and_then(Value::as_str).filter(|parent| !parent.is_empty()).map(str::to_owned);
        chain.push((id, said));
        if chain.len() > LAYERS_MAX {
            let why = format!("its chain of parents has more than {LAYERS_MAX} layers, or no end");
            return Err(fail(ErrorCode::TooLarge(LAYERS_MAX as u64), why));
        }
    }
    chain.reverse();
    let (mut paths, mut diff_ids, mut history) = (Vec::new(), Vec::new(), Vec::new());
    for (id, said) in &chain {
        let path = format!("{id}/layer.tar");
        let (blob, digest, _) = shelf.at(&path)?;
        if layer_type(&*blob).await? != media_type::OCI_LAYER {
            let why = format!("`{}` is compressed, and nothing says what it is without that", path.escape_debug());
            return Err(fail(ErrorCode::Unsupported, why));
        }
        diff_ids.push(digest);
        paths.push(path);
        history.push(step(said));
    }
    let mut config = chain.pop().map(|(_, said)| said).unwrap_or_default();
    config.retain(|key, _| !OF_THE_CHAIN.contains(&key.as_str()));
    config.insert("rootfs".to_owned(), json!({"type": "layers", "diff_ids": diff_ids}));
    config.insert("history".to_owned(), Value::Array(history));
    let bytes = serde_json::to_vec(&config).expect("what was read can be written");
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    shelf.write(&digest, &bytes).await?;
    make(shelf, Descriptor::new(OCI_CONFIG, digest, bytes.len() as u64), &paths, machine).await
}

/// What made a layer, as the history of a config says it.
fn step(said: &Map<String, Value>) -> Value {
    let mut step = Map::new();
    for key in ["created", "author", "comment"] {
        if let Some(text) = said.get(key).filter(|text| text.is_string()) {
            step.insert(key.to_owned(), text.clone());
        }
    }
    let command = said.get("container_config").and_then(|config| config.get("Cmd")?.as_array());
    if let Some(words) = command {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        step.insert("created_by".to_owned(), Value::String(words.join(" ")));
    }
    Value::Object(step)
}
