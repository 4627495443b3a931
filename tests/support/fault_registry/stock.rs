//! What the fault registry has: one small image, its tags, and whatever a test adds.

use super::fault::Object;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use wharf::demo::image::{self, File, Image, Layer, Variant};

/// The size of the file in the large layer: enough to be cut in the middle, and more than one chunk of anything.
const CARGO_BYTES: usize = 300 << 10;

/// The only repository.
pub(crate) const REPOSITORY: &str = "harbour/demo";
/// The tag that points to the manifest itself.
pub(crate) const SINGLE: &str = "single";
/// The tags that are listed. They point to the index.
pub(crate) const TAGS: [&str; 3] = ["latest", "one", "two"];

/// A manifest or an index.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) on: Object,
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) bytes: Bytes,
}

/// Everything that can be asked for.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    /// By tag and by digest.
    documents: BTreeMap<String, Document>,
    /// By digest.
    blobs: BTreeMap<String, (Object, Bytes)>,
}

static USUAL: LazyLock<Arc<Stock>> = LazyLock::new(|| Arc::new(Stock::make()));

impl Stock {
    /// An index of two platforms; what belongs to linux/amd64 is there.
    pub(crate) fn usual() -> Arc<Self> {
        USUAL.clone()
    }

    fn make() -> Self {
        let cargo = image::noise(0xfa01, CARGO_BYTES);
        let large = Layer::new("COPY cargo /srv", &[File { path: "srv/cargo", mode: 0o644, bytes: &cargo }]);
        let small = Layer::new("COPY name /etc", &[File { path: "etc/name", mode: 0o644, bytes: b"harbour\n" }]);
        let of = |architecture, layers| Variant { os: "linux", architecture, variant: None, layers };
        let image = Image::index(&[of("amd64", vec![large.clone(), small.clone()]), of("s390x", vec![small.clone()])]);
        let mut stock = Self { documents: BTreeMap::new(), blobs: BTreeMap::new() };
        for document in &image.documents {
            stock.add(None, document.media_type, document.bytes.clone());
        }
        for tag in TAGS {
            stock.add(Some(tag), image.root().media_type, image.root().bytes.clone());
        }
        stock.add(Some(SINGLE), image::MANIFEST, image.documents[0].bytes.clone());
        for (digest, bytes) in &image.blobs {
            let on = match bytes {
                bytes if *bytes == large.bytes => Object::Layer,
                bytes if *bytes == small.bytes => Object::Small,
                _ => Object::Config,
            };
            // The config of the platform that nobody pulls is not here.
            if on != Object::Config || bytes.windows(5).any(|window| window == b"amd64") {
                stock.blobs.insert(digest.clone(), (on, bytes.clone()));
            }
        }
        stock
    }

    /// Adds a document, under its digest and under a tag if there is one. Returns its digest.
    pub(crate) fn add(&mut self, tag: Option<&str>, media_type: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let on = if media_type.contains("index") { Object::Index } else { Object::Manifest };
        let digest = image::digest(&bytes);
        let document = Document { on, media_type: media_type.to_owned(), digest: digest.clone(), bytes };
        for name in [Some(digest.as_str()), tag].into_iter().flatten() {
            self.documents.insert(name.to_owned(), document.clone());
        }
        digest
    }

    /// Returns what a tag or a digest points to.
    pub(crate) fn document(&self, reference: &str) -> Option<&Document> {
        self.documents.get(reference)
    }

    /// Returns the index that the listed tags point to.
    pub(crate) fn index(&self) -> &Document {
        &self.documents[TAGS[0]]
    }

    /// Returns the manifest for linux/amd64.
    pub(crate) fn manifest(&self) -> &Document {
        &self.documents[SINGLE]
    }

    /// Returns a blob by its digest.
    pub(crate) fn blob(&self, digest: &str) -> Option<&(Object, Bytes)> {
        self.blobs.get(digest)
    }

    /// Returns the digest and the bytes of a blob.
    pub(crate) fn of(&self, object: Object) -> (&str, &Bytes) {
        let object = if object == Object::Stored { Object::Layer } else { object };
        let found = self.blobs.iter().find(|(_, (on, _))| *on == object);
        found.map(|(digest, (_, bytes))| (digest.as_str(), bytes)).expect("the object is a blob")
    }

    /// Returns the size of whatever stands for this object.
    pub(crate) fn size(&self, object: Object) -> u64 {
        let bytes = match object {
            Object::Index => &self.index().bytes,
            Object::Manifest => &self.manifest().bytes,
            blob => self.of(blob).1,
        };
        bytes.len() as u64
    }
}
