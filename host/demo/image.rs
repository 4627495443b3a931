//! OCI images made in memory: real tar layers, configs, manifests and an index, the same bytes in
//! every build.
//!
//! It does not read images, compress layers or touch the disk. The layers are plain tars
//! (`application/vnd.oci.image.layer.v1.tar`), so a layer's digest is also its DiffID.
//!
//! ```
//! let image = wharf::demo::image::demo();
//! assert_eq!(image.root().media_type, wharf::demo::image::INDEX);
//! ```

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Media type of an index. OCI image-spec, image-index.md.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a manifest. OCI image-spec, manifest.md.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of a config. OCI image-spec, config.md.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of an uncompressed layer. OCI image-spec, layer.md.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// When everything here was made, as the configs say it. A clock would change the digests.
const CREATED: &str = "2026-01-02T03:04:05Z";
/// The same instant in seconds since 1970, for the tar headers.
const CREATED_SECONDS: u64 = 1_767_323_045;
/// The size of the demonstration's largest file: enough that a download can be cut in the middle.
const CARGO_BYTES: usize = 1 << 20;

/// A file in a layer.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Relative, without a leading slash, as in `etc/os-release`.
    pub path: &'a str,
    /// Permission bits, as in `0o755`.
    pub mode: u32,
    /// The content.
    pub bytes: &'a [u8],
}

/// A layer: an uncompressed tar, and the history line that tells how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The tar.
    pub bytes: Bytes,
    /// As in `COPY greeting /etc/greeting`.
    pub created_by: String,
}

impl Layer {
    /// Makes a layer of `files`, in the order given, each owned by root.
    ///
    /// # Panics
    ///
    /// If a path does not fit a tar header or leaves its directory. Paths come from code, never from input.
    pub fn new(created_by: &str, files: &[File<'_>]) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        for file in files {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(file.mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(CREATED_SECONDS);
            header.set_size(file.bytes.len() as u64);
            tar.append_data(&mut header, file.path, file.bytes).expect("the path is relative and short");
        }
        let bytes = tar.into_inner().expect("writing to memory does not fail");
        Self { bytes: bytes.into(), created_by: created_by.to_owned() }
    }
}

/// One platform of an image, with its layers from the bottom up.
#[derive(Clone, Debug)]
pub struct Variant<'a> {
    /// As in `linux`.
    pub os: &'a str,
    /// As in `arm`.
    pub architecture: &'a str,
    /// As in `v7`.
    pub variant: Option<&'a str>,
    /// The lowest layer first.
    pub layers: Vec<Layer>,
}

impl Variant<'_> {
    /// The platform object of a descriptor; the same members stand in a config. OCI image-spec, image-index.md.
    fn platform(&self) -> Value {
        let mut platform = json!({ "architecture": self.architecture, "os": self.os });
        if let Some(variant) = self.variant {
            platform["variant"] = variant.into();
        }
        platform
    }
}

/// A manifest or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// [`MANIFEST`] or [`INDEX`].
    pub media_type: &'static str,
    /// As in `sha256:4bcf…`.
    pub digest: String,
    /// The JSON text.
    pub bytes: Bytes,
}

impl Document {
    fn new(media_type: &'static str, value: &Value) -> Self {
        let bytes = Bytes::from(value.to_string());
        Self { media_type, digest: digest(&bytes), bytes }
    }
}

/// A whole image: what a registry has to hold so that it can be pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Manifests, and the index if there is one. Invariant: not empty; a document comes after what it points to.
    pub documents: Vec<Document>,
    /// Configs and layers by digest.
    pub blobs: BTreeMap<String, Bytes>,
}

impl Image {
    /// Makes an image of one platform, without an index.
    pub fn single(variant: &Variant<'_>) -> Self {
        let mut blobs = BTreeMap::new();
        let documents = vec![manifest(variant, &mut blobs)];
        Self { documents, blobs }
    }

    /// Makes an index over `variants`. Blobs that they share are kept once.
    pub fn index(variants: &[Variant<'_>]) -> Self {
        let mut blobs = BTreeMap::new();
        let mut documents: Vec<_> = variants.iter().map(|variant| manifest(variant, &mut blobs)).collect();
        let entries: Vec<_> = std::iter::zip(&documents, variants)
            .map(|(document, variant)| {
                json!({
                    "digest": document.digest,
                    "mediaType": document.media_type,
                    "platform": variant.platform(),
                    "size": document.bytes.len(),
                })
            })
            .collect();
        documents.push(Document::new(INDEX, &json!({ "manifests": entries, "mediaType": INDEX, "schemaVersion": 2 })));
        Self { documents, blobs }
    }

    /// The document that a tag points to.
    pub fn root(&self) -> &Document {
        self.documents.last().expect("an image has at least one document")
    }
}

/// The demonstration's image: Linux on amd64, arm64/v8 and arm/v7, two layers each, the lower one shared.
pub fn demo() -> Image {
    let cargo = noise(0x5eed, CARGO_BYTES);
    let base = Layer::new(
        "COPY etc srv /",
        &[
            File { path: "etc/os-release", mode: 0o644, bytes: b"ID=harbour\nPRETTY_NAME=\"Harbour 1\"\n" },
            File { path: "etc/passwd", mode: 0o644, bytes: b"root:x:0:0:root:/root:/bin/false\n" },
            File { path: "srv/cargo", mode: 0o644, bytes: &cargo },
        ],
    );
    let platforms = [("amd64", None), ("arm64", Some("v8")), ("arm", Some("v7"))];
    let variants: Vec<_> = platforms
        .into_iter()
        .map(|(architecture, variant)| {
            let greeting = format!("hello from {architecture}{}\n", variant.unwrap_or_default());
            let file = File { path: "etc/greeting", mode: 0o644, bytes: greeting.as_bytes() };
            let top = Layer::new("COPY greeting /etc/greeting", &[file]);
            Variant { os: "linux", architecture, variant, layers: vec![base.clone(), top] }
        })
        .collect();
    Image::index(&variants)
}

/// Bytes that do not compress and that every machine makes alike. Two seeds give different bytes.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    // SplitMix64: each word is a finalised counter, so no seed is a bad one.
    let words = (1..=length.div_ceil(8) as u64).flat_map(|n| {
        let mut word = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)).to_le_bytes()
    });
    words.take(length).collect()
}

/// The digest of `bytes`, as in `sha256:4bcf…`.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

// The members of every object below stand in alphabetical order: that is the order serde_json writes
// with and without its feature `preserve_order`, which any crate of the build may switch on.

fn manifest(variant: &Variant<'_>, blobs: &mut BTreeMap<String, Bytes>) -> Document {
    let layers: Vec<_> = variant.layers.iter().map(|layer| descriptor(LAYER, &layer.bytes)).collect();
    let config = Bytes::from(config(variant, &layers).to_string());
    let manifest = json!({
        "config": descriptor(CONFIG, &config),
        "layers": layers,
        "mediaType": MANIFEST,
        "schemaVersion": 2,
    });
    blobs.insert(digest(&config), config);
    for (layer, descriptor) in std::iter::zip(&variant.layers, &layers) {
        let digest = descriptor["digest"].as_str().expect("a descriptor has a digest");
        blobs.insert(digest.to_owned(), layer.bytes.clone());
    }
    Document::new(MANIFEST, &manifest)
}

fn config(variant: &Variant<'_>, layers: &[Value]) -> Value {
    let diff_ids: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
    let history: Vec<_> =
        variant.layers.iter().map(|layer| json!({ "created": CREATED, "created_by": layer.created_by })).collect();
    let mut config = json!({
        "architecture": variant.architecture,
        "config": { "Env": ["PATH=/bin"], "Labels": { "org.opencontainers.image.title": "demo" }, "WorkingDir": "/" },
        "created": CREATED,
        "history": history,
        "os": variant.os,
        "rootfs": { "diff_ids": diff_ids, "type": "layers" },
    });
    if let Some(variant) = variant.variant {
        config["variant"] = variant.into();
    }
    config
}

fn descriptor(media_type: &str, bytes: &Bytes) -> Value {
    json!({ "digest": digest(bytes), "mediaType": media_type, "size": bytes.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("the document is JSON")
    }

    #[test]
    fn the_demo_has_the_same_bytes_on_every_machine() {
        let first = demo();
        assert_eq!(first, demo());
        assert_eq!(first.root().digest, "sha256:f7d851ac720f2878aca10d1f56c59a761aea364489e771531c1f4b943fe48fb6");
    }

    #[test]
    fn every_descriptor_names_content_that_is_there() {
        let image = demo();
        let index = parse(&image.root().bytes);
        let manifests = index["manifests"].as_array().expect("an index lists manifests");
        let platforms: Vec<_> = manifests.iter().map(|entry| entry["platform"].to_string()).collect();
        assert_eq!(
            platforms,
            [
                r#"{"architecture":"amd64","os":"linux"}"#,
                r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#,
                r#"{"architecture":"arm","os":"linux","variant":"v7"}"#,
            ]
        );

        let mut reached = std::collections::BTreeSet::new();
        for (entry, document) in std::iter::zip(manifests, &image.documents) {
            assert_eq!(entry["digest"], digest(&document.bytes));
            assert_eq!(entry["size"], document.bytes.len());
            let manifest = parse(&document.bytes);
            let layers = manifest["layers"].as_array().expect("a manifest lists layers");
            for blob in std::iter::once(&manifest["config"]).chain(layers) {
                let name = blob["digest"].as_str().expect("a descriptor has a digest");
                let bytes = &image.blobs[name];
                assert_eq!((name, &blob["size"]), (digest(bytes).as_str(), &json!(bytes.len())));
                reached.insert(name.to_owned());
            }
            let config = parse(&image.blobs[manifest["config"]["digest"].as_str().expect("a config has a digest")]);
            let diff_ids: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
            assert_eq!(config["rootfs"]["diff_ids"], Value::from(diff_ids));
            assert_eq!(config["architecture"], entry["platform"]["architecture"]);
        }
        // Three configs, three upper layers, one shared lower layer, and nothing else.
        assert_eq!(reached.len(), 7);
        assert!(reached.iter().eq(image.blobs.keys()));
    }

    #[test]
    fn a_layer_is_a_tar_that_holds_the_files() {
        let files = [File { path: "a/b", mode: 0o755, bytes: b"one" }, File { path: "c", mode: 0o600, bytes: b"" }];
        let layer = Layer::new("COPY . /", &files);
        let mut archive = tar::Archive::new(&layer.bytes[..]);
        let found: Vec<_> = archive
            .entries()
            .expect("the tar opens")
            .map(|entry| {
                let mut entry = entry.expect("the entry is whole");
                let mut text = String::new();
                std::io::Read::read_to_string(&mut entry, &mut text).expect("the content is text");
                let path = entry.path().expect("the path is text").to_string_lossy().into_owned();
                (path, entry.header().mode().expect("there is a mode"), text)
            })
            .collect();
        assert_eq!(found, [("a/b".into(), 0o755, "one".into()), ("c".into(), 0o600, String::new())]);
    }

    #[test]
    fn noise_depends_on_its_seed_and_has_the_length_asked_for() {
        for length in [0, 1, 7, 8, 9, 1000] {
            assert_eq!(noise(1, length).len(), length);
        }
        assert_eq!(noise(1, 64), noise(1, 64));
        assert_ne!(noise(1, 64), noise(2, 64));
    }
}
