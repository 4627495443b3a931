//! The record of an image: a name, what it points to, and what of it is here.
//!
//! It is the schema of what the component keeps in `metadata`, and it carries
//! its version: see [`Schema`]. It does not read or write the store. A record
//! is untrusted like any other document, because a disk is not forever.
//!
//! ```text
//! schema                                  1
//! image/docker.io/library/alpine:3.20     the fields of [`View`] in this order, in postcard's format
//! provenance/…                            see `provenance`
//! used/docker.io/library/alpine:3.20      when the image was last mounted, in seconds since 1970, as a number
//! foreign/sha256:4bcf…                    as `image/`, of a name that is no reference: see `name`
//! lease/…, leased/…, event/…              see `lease`, `leased`, `happening`
//! content/sha256:4bcf…, writing/…         see `content`, `writing`
//! namespace                               see `namespace`
//! prune                                   who prunes, and when it was last seen: see `verbs::change`
//! retain                                  what is kept of names that say nothing when they come: see `retention`
//! ```
//!
//! Postcard (<https://postcard.jamesmunns.com/wire-format>) writes fields without names, numbers as varints and
//! texts with their length. So the list of images, which reads every record, copies only what it shows.
//!
//! No media type is empty, so that no record begins with 0. A host that makes
//! records of something else puts 0 and a sentence where it can make none: see
//! [`unusable`].
//!
//! Fields are never added to a version: another order of fields is another
//! version. Version 2 gets a view of its own beside this one. Where `schema` says
//! 1, it reads with this one, and its first commit that writes also writes every
//! record of the namespace anew and says 2: a namespace is never mixed.

mod content;
mod happening;
mod lease;
mod leased;
mod name;
mod namespace;
mod present;
mod provenance;
mod snapshot;
mod writing;

pub use content::{CONTENT_PREFIX, ContentRecord};
pub use happening::{Action, EVENT_AGE_S, EVENT_PREFIX, Happening};
pub use lease::{EXPIRY_LABEL, FLAT_LABEL, LEASE_PREFIX, LeaseRecord};
pub use leased::{LEASED_PREFIX, LeasedRecord};
pub use name::{FOREIGN_PREFIX, Name};
pub use namespace::{NAMESPACE_KEY, NamespaceRecord};
pub use present::weight;
pub use provenance::{Arrival, PROVENANCE_PREFIX, Provenance};
pub use snapshot::{SNAPSHOT_PREFIX, SnapshotKind, SnapshotRecord};
pub use writing::{WRITING_PREFIX, WritingRecord};

use super::{
    descriptor::Descriptor,
    digest::{Digest, Hash},
    json,
    manifest::INDEX_ENTRIES_MAX,
    media_type,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version that this program writes.
pub const VERSION: u32 = 1;
/// Where the version of a namespace is.
pub const SCHEMA_KEY: &str = "schema";
/// What the keys of image records begin with; the canonical name follows.
pub const IMAGE_PREFIX: &str = "image/";
/// What the keys of times of use begin with; the canonical name follows.
pub const USED_PREFIX: &str = "used/";
/// The largest record. It is the host's limit of a value.
pub const RECORD_BYTES_MAX: usize = 4 << 20;
/// A label with a larger value is in the config only: some builders keep
/// whole bills of materials there, and the list reads every record.
pub const LABEL_VALUE_BYTES_MAX: usize = 4 << 10;
/// How many labels of one config are in the record.
pub const LABELS_MAX: usize = 256;
/// How large the labels of one config may be together. A hostile image would
/// otherwise make every later list of images expensive.
pub const LABELS_BYTES_MAX: usize = 16 << 10;

/// What stands before a sentence where a record would be.
const UNUSABLE: &[u8] = &[0];
/// How much of such a sentence is shown.
const UNUSABLE_CHARS_MAX: usize = 500;

/// Says why there is something of a name and no record can be made of it. It is
/// read as [`Error::Unusable`].
pub fn unusable(why: &str) -> Vec<u8> {
    [UNUSABLE, why.as_bytes()].concat()
}

/// Why a record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not what this version writes.
    #[error("the record is damaged: {0}")]
    Damaged(String),
    /// There is something of this name, and it cannot be used: the host says why.
    #[error("{0}")]
    Unusable(String),
    /// It can be read, and names what is not here.
    #[error("nothing of what it points to is here as a whole")]
    Absent,
    /// It would be larger than [`RECORD_BYTES_MAX`].
    #[error("the record would have {0} bytes; the limit is {RECORD_BYTES_MAX}")]
    TooLarge(usize),
    /// The store has been written by a newer program.
    #[error("the store has schema version {0}, and this program knows version {VERSION}")]
    Newer(u32),
    /// The store's version is not a number.
    #[error("the schema version of the store is damaged")]
    Schema,
}

/// In seconds since 1970, and nanoseconds.
pub type Moment = (i64, u32);

/// Reads a record, which ends where its bytes do. One that ends before would be a list that has become shorter: a lease that
/// holds less, or labels that keep less, and collection would believe it.
fn read<'r, T: Deserialize<'r>>(bytes: &'r [u8]) -> Result<T, Error> {
    let (record, rest) = postcard::take_from_bytes(bytes).map_err(|error| Error::Damaged(error.to_string()))?;
    match rest {
        [] => Ok(record),
        _ => Err(Error::Damaged("something comes after its end".to_owned())),
    }
}

/// How a namespace's records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// There are none yet.
    New,
    /// As this file says.
    Current,
}

impl Schema {
    /// Reads the value at [`SCHEMA_KEY`].
    pub fn read(value: Option<&[u8]>) -> Result<Self, Error> {
        let Some(value) = value else { return Ok(Self::New) };
        let version = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(Error::Schema)?;
        match version {
            0 => Err(Error::Schema),
            VERSION => Ok(Self::Current),
            newer => Err(Error::Newer(newer)),
        }
    }

    /// Returns the value at [`SCHEMA_KEY`] of records that this program writes.
    pub fn current() -> Vec<u8> {
        VERSION.to_string().into_bytes()
    }
}

/// What a name points to, and what of it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// The manifest or index: type, digest and size; nothing else is recorded.
    pub target: Descriptor,
    /// When the name came here, in seconds since 1970.
    pub created: i64,
    /// When the record last changed, in seconds since 1970.
    pub updated: i64,
    /// What is here, compressed, in bytes, each blob once.
    pub size: u64,
    /// For wharf's own use; they say nothing about the image.
    pub labels: BTreeMap<String, String>,
    /// What of the target is here. In order of arrival, no manifest twice.
    pub platforms: Vec<Present>,
}

/// A manifest that is here with all its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The manifest: type, digest and size; nothing else is recorded.
    pub manifest: Descriptor,
    /// The config's digest: the image's ID.
    pub config: Digest,
    /// As in `linux/arm64/v8`. Artifacts have none.
    pub platform: Option<String>,
    /// When the image was built, in seconds since 1970.
    pub created: Option<i64>,
    /// Manifest, config and layers, compressed, in bytes, each blob once.
    pub size: u64,
    /// How many layers there are.
    pub layers: u32,
    /// The config's labels, as [`short_labels`] chose them.
    pub labels: BTreeMap<String, String>,
}

impl ImageRecord {
    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        View::decode(bytes).map(|view| Self::from(&view))
    }

    /// Writes a record.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let view = View::from(self);
        let bytes = postcard::to_allocvec(&view).expect("lengths are known, and writing to memory cannot fail");
        if bytes.len() > RECORD_BYTES_MAX { Err(Error::TooLarge(bytes.len())) } else { Ok(bytes) }
    }
}

/// A record where it stands: [`ImageRecord`] with borrowed texts. The order of
/// the fields is the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View<'r> {
    /// The manifest or index.
    #[serde(borrow)]
    pub target: Pointer<'r>,
    /// When the name came here, in seconds since 1970.
    pub created: i64,
    /// When the record last changed, in seconds since 1970.
    pub updated: i64,
    /// What is here, compressed, in bytes, each blob once.
    pub size: u64,
    /// For wharf's own use.
    pub labels: Labels<'r>,
    /// What of the target is here.
    pub platforms: Vec<PresentView<'r>>,
}

/// [`Present`] where it stands. The order of the fields is the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentView<'r> {
    /// The manifest.
    #[serde(borrow)]
    pub manifest: Pointer<'r>,
    /// The config's digest: the image's ID.
    pub config: Hash<'r>,
    /// As in `linux/arm64/v8`.
    pub platform: Option<&'r str>,
    /// When the image was built, in seconds since 1970.
    pub created: Option<i64>,
    /// Manifest, config and layers, compressed, in bytes, each blob once.
    pub size: u64,
    /// How many layers there are.
    pub layers: u32,
    /// The config's labels.
    pub labels: Labels<'r>,
}

/// A descriptor where it stands. The order of the fields is the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer<'r> {
    /// As in `application/vnd.oci.image.manifest.v1+json`.
    pub media_type: &'r str,
    /// What the content hashes to.
    #[serde(borrow)]
    pub digest: Hash<'r>,
    /// In bytes.
    pub size: u64,
}

/// Labels where they stand.
pub type Labels<'r> = BTreeMap<&'r str, &'r str>;

impl<'r> View<'r> {
    /// Reads a record.
    pub fn decode(bytes: &'r [u8]) -> Result<Self, Error> {
        let damaged = |why: &str| Error::Damaged(why.to_owned());
        if let Some(why) = bytes.strip_prefix(UNUSABLE) {
            return Err(Error::Unusable(json::shown(&String::from_utf8_lossy(why), UNUSABLE_CHARS_MAX)));
        }
        let view: Self = read(bytes)?;
        if view.platforms.len() > INDEX_ENTRIES_MAX {
            return Err(Error::Damaged(format!("it has more than {INDEX_ENTRIES_MAX} platforms")));
        }
        let is_typed = |pointer: &Pointer<'_>| media_type::is_valid(pointer.media_type);
        if !is_typed(&view.target) || !view.platforms.iter().all(|present| is_typed(&present.manifest)) {
            return Err(damaged("the media type of a descriptor is none"));
        }
        Ok(view)
    }
}

impl<'r> From<&'r ImageRecord> for View<'r> {
    fn from(record: &'r ImageRecord) -> Self {
        Self {
            target: (&record.target).into(),
            created: record.created,
            updated: record.updated,
            size: record.size,
            labels: borrowed(&record.labels),
            platforms: record.platforms.iter().map(PresentView::from).collect(),
        }
    }
}

impl From<&View<'_>> for ImageRecord {
    fn from(view: &View<'_>) -> Self {
        Self {
            target: (&view.target).into(),
            created: view.created,
            updated: view.updated,
            size: view.size,
            labels: owned(&view.labels),
            platforms: view.platforms.iter().map(Present::from).collect(),
        }
    }
}

impl<'r> From<&'r Present> for PresentView<'r> {
    fn from(present: &'r Present) -> Self {
        Self {
            manifest: (&present.manifest).into(),
            config: (&present.config).into(),
            platform: present.platform.as_deref(),
            created: present.created,
            size: present.size,
            layers: present.layers,
            labels: borrowed(&present.labels),
        }
    }
}

impl From<&PresentView<'_>> for Present {
    fn from(view: &PresentView<'_>) -> Self {
        Self {
            manifest: (&view.manifest).into(),
            config: (&view.config).into(),
            platform: view.platform.map(str::to_owned),
            created: view.created,
            size: view.size,
            layers: view.layers,
            labels: owned(&view.labels),
        }
    }
}

impl<'r> From<&'r Descriptor> for Pointer<'r> {
    fn from(descriptor: &'r Descriptor) -> Self {
        Self { media_type: &descriptor.media_type, digest: (&descriptor.digest).into(), size: descriptor.size }
    }
}

impl From<&Pointer<'_>> for Descriptor {
    fn from(pointer: &Pointer<'_>) -> Self {
        Self::new(pointer.media_type, (&pointer.digest).into(), pointer.size)
    }
}

fn borrowed(labels: &BTreeMap<String, String>) -> Labels<'_> {
    labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn owned(labels: &Labels<'_>) -> BTreeMap<String, String> {
    labels.iter().map(|(&key, &value)| (key.to_owned(), value.to_owned())).collect()
}

/// Returns those of a config's labels that belong into a record: the first ones
/// by key within [`LABEL_VALUE_BYTES_MAX`], [`LABELS_MAX`] and [`LABELS_BYTES_MAX`].
pub fn short_labels(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut left = LABELS_BYTES_MAX;
    let short = labels.iter().filter(|(key, value)| key.len().max(value.len()) <= LABEL_VALUE_BYTES_MAX);
    let fitting = short.take(LABELS_MAX).take_while(|(key, value)| match left.checked_sub(key.len() + value.len()) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    fitting.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests;
