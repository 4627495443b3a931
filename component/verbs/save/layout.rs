//! The documents of an archive, as text. It looks at no blob.
//!
//! ```text
//! oci-layout     {"imageLayoutVersion": "1.0.0"}
//! index.json     an entry for each name of each image
//! manifest.json  [{"Config": path, "RepoTags": [name], "Layers": [path]}], docker's
//! repositories   {repository: {tag: the top layer}}, of docker's oldest readers
//! ```

use super::{Form, Image};
use crate::{
    nouns::{
        descriptor::Descriptor,
        digest::{Algorithm, Digest},
        media_type::OCI_INDEX,
        reference::Reference,
    },
    verbs::documents::Held,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An entry of `index.json`: the tag. image-spec, annotations.md.
const TAG: &str = "org.opencontainers.image.ref.name";
/// An entry of `index.json`: the whole name, as containerd and docker read it.
const NAME: &str = "io.containerd.image.name";

/// Where a blob is. image-spec, image-layout.md, “Blobs”.
pub(super) fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.encoded())
}

/// The documents that say what is in the archive, by path.
pub(super) fn documents(images: &[Image], form: Form) -> Vec<(&'static str, Vec<u8>)> {
    let mut documents =
        vec![("oci-layout", written(&json!({"imageLayoutVersion": "1.0.0"}))), ("index.json", written(&index(images)))];
    if form == Form::DockerArchive {
        documents.push(("manifest.json", written(&manifests(images))));
        documents.push(("repositories", written(&repositories(images))));
    }
    documents
}

fn written(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("texts and numbers can always be written")
}

fn index(images: &[Image]) -> Value {
    let entries = images.iter().flat_map(|image| {
        let mut names: Vec<Option<&Reference>> = image.names.iter().map(Some).collect();
        if names.is_empty() {
            names.push(None);
        }
        names.into_iter().map(|name| {
            let mut entry = image.target.clone();
            entry.annotations.extend(name.map(|name| (NAME.to_owned(), name.to_string())));
            entry.annotations.extend(name.and_then(Reference::tag).map(|tag| (TAG.to_owned(), tag.to_owned())));
            entry
        })
    });
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries.collect::<Vec<Descriptor>>()})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Docker {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

fn manifests(images: &[Image]) -> Vec<Docker> {
    let docker = |image: &Image| {
        let (config, layers) = image.best.as_ref()?;
        let names: Vec<String> = image.names.iter().map(Reference::familiar).collect();
        Some(Docker {
            config: path(&config.digest),
            repo_tags: (!names.is_empty()).then_some(names),
            layers: layers.iter().map(|layer| path(&layer.digest)).collect(),
        })
    };
    images.iter().filter_map(docker).collect()
}

fn repositories(images: &[Image]) -> BTreeMap<String, BTreeMap<&str, &str>> {
    let mut repositories: BTreeMap<String, BTreeMap<&str, &str>> = BTreeMap::new();
    for image in images {
        let Some(top) = image.best.as_ref().and_then(|(_, layers)| layers.last()) else { continue };
        for name in &image.names {
            if let Some(tag) = name.tag() {
                repositories.entry(name.familiar_name()).or_default().insert(tag, top.digest.encoded());
            }
        }
    }
    repositories
}

/// An index of some of the entries, with everything else that it says.
pub(super) fn subset<B>(index: &Held<B>, entries: &[Descriptor]) -> (Descriptor, Vec<u8>) {
    let mut document: Value = serde_json::from_slice(&index.bytes).expect("it was read as an index");
    document["manifests"] = json!(entries);
    let bytes = written(&document);
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    (Descriptor::new(index.descriptor.media_type.clone(), digest, bytes.len() as u64), bytes)
}
