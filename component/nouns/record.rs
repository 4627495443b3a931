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
//! lease/…, event/…                        see `lease`, `happening`
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

mod happening;
mod lease;
mod present;
mod provenance;

pub use happening::{Action, EVENT_AGE_S, EVENT_PREFIX, Happening};
pub use lease::{LEASE_PREFIX, LeaseRecord};
pub use present::weight;
pub use provenance::{Arrival, PROVENANCE_PREFIX, Provenance};

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

/// Takes what cannot be read for damaged.
fn unread<T>(read: postcard::Result<T>) -> Result<T, Error> {
    read.map_err(|error| Error::Damaged(error.to_string()))
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
        let (view, rest) =
            postcard::take_from_bytes::<Self>(bytes).map_err(|error| Error::Damaged(error.to_string()))?;
        if !rest.is_empty() {
            return Err(damaged("something comes after its end"));
        }
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
mod tests {
    use super::*;
    use crate::nouns::digest::Algorithm;
    use sha2::Digest as _;

    fn record() -> ImageRecord {
        let digest = |text: &str| Digest::of(Algorithm::Sha256, text.as_bytes());
        ImageRecord {
            target: Descriptor::new(media_type::OCI_INDEX, digest("index"), 1234),
            created: 1_709_251_200,
            updated: 1_709_251_260,
            size: 3_626_897,
            labels: BTreeMap::new(),
            platforms: vec![Present {
                manifest: Descriptor::new(media_type::OCI_MANIFEST, digest("manifest"), 610),
                config: digest("config"),
                platform: Some("linux/amd64".to_owned()),
                created: Some(1_700_000_000),
                size: 3_625_663,
                layers: 1,
                labels: BTreeMap::from([("maintainer".to_owned(), "somebody".to_owned())]),
            }],
        }
    }

    /// What is on disks has to stay readable: these bytes are version 1.
    #[test]
    fn version_1_is_written_like_this() {
        let hash = |text: &str| sha2::Sha256::digest(text.as_bytes());
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        let bytes = [
            &text("application/vnd.oci.image.index.v1+json"),
            &[0, 32][..],
            &hash("index"),
            &[0xd2, 0x09],
            &[0x80, 0xea, 0x88, 0xde, 0x0c],
            &[0xf8, 0xea, 0x88, 0xde, 0x0c],
            &[0x91, 0xaf, 0xdd, 0x01],
            &[0],
            &[1],
            &text("application/vnd.oci.image.manifest.v1+json"),
            &[0, 32],
            &hash("manifest"),
            &[0xe2, 0x04],
            &[0, 32],
            &hash("config"),
            &[1],
            &text("linux/amd64"),
            &[1, 0x80, 0xc4, 0x9f, 0xd5, 0x0c],
            &[0xbf, 0xa5, 0xdd, 0x01],
            &[1],
            &[1],
            &text("maintainer"),
            &text("somebody"),
        ]
        .concat();
        assert_eq!(record().encode(), Ok(bytes.clone()));
        assert_eq!(ImageRecord::decode(&bytes), Ok(record()));
    }

    #[test]
    fn a_record_survives_a_round_trip_with_whatever_may_be_absent() {
        let mut record = record();
        record.labels = BTreeMap::from([("kept".to_owned(), String::new())]);
        record.target.digest = Digest::of(Algorithm::Sha512, b"index");
        record.platforms.push(Present { platform: None, created: None, ..record.platforms[0].clone() });
        (record.created, record.updated, record.size) = (i64::MIN, i64::MAX, u64::MAX);
        assert_eq!(ImageRecord::decode(&record.encode().unwrap()), Ok(record));
    }

    /// A record is short, so every cut and every other bit can be tried.
    #[test]
    fn a_damaged_record_is_refused_or_is_another_record() {
        let whole = record().encode().unwrap();
        for length in 0..whole.len() {
            let found = ImageRecord::decode(&whole[..length]);
            assert!(matches!(found, Err(Error::Damaged(_))), "{length} bytes: {found:?}");
        }
        assert_eq!(
            ImageRecord::decode(&[&whole[..], b"}"].concat()),
            Err(Error::Damaged("something comes after its end".to_owned()))
        );
        for bit in 0..8 * whole.len() {
            let mut other = whole.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            if let Ok(found) = ImageRecord::decode(&other) {
                assert_ne!(found, record(), "bit {bit}");
                assert!(media_type::is_valid(&found.target.media_type), "bit {bit}");
            }
        }
    }

    #[test]
    fn what_a_record_cannot_hold_is_refused() {
        type Change = fn(&mut View<'_>);
        let damaged = |change: Change| {
            let record = record();
            let mut view = View::from(&record);
            change(&mut view);
            ImageRecord::decode(&postcard::to_allocvec(&view).unwrap())
        };
        let rows: [(&str, Change); 3] = [
            ("the media type of a descriptor is none", |view| view.target.media_type = "text"),
            ("the media type of a descriptor is none", |view| view.platforms[0].manifest.media_type = ""),
            ("it has more than 1024 platforms", |view| view.platforms = vec![view.platforms[0].clone(); 1025]),
        ];
        for (why, change) in rows {
            assert_eq!(damaged(change), Err(Error::Damaged(why.to_owned())));
        }
    }

    #[test]
    fn a_sentence_in_place_of_a_record_is_what_is_wrong() {
        let rows = [("no part of it is here", "no part of it is here"), ("", ""), ("\u{1b}[2J", "\\u{1b}[2J")];
        for (why, expected) in rows {
            assert_eq!(ImageRecord::decode(&unusable(why)), Err(Error::Unusable(expected.to_owned())));
        }
    }

    #[test]
    fn a_newer_schema_is_refused_and_an_absent_one_is_new() {
        let rows: [(Option<&[u8]>, _); 7] = [
            (None, Ok(Schema::New)),
            (Some(b"1"), Ok(Schema::Current)),
            (Some(b"2"), Err(Error::Newer(2))),
            (Some(b"4294967295"), Err(Error::Newer(u32::MAX))),
            (Some(b"0"), Err(Error::Schema)),
            (Some(b""), Err(Error::Schema)),
            (Some(b"\xff"), Err(Error::Schema)),
        ];
        for (value, expected) in rows {
            assert_eq!(Schema::read(value), expected, "{value:?}");
        }
        assert_eq!(Schema::read(Some(&Schema::current())), Ok(Schema::Current));
    }

    #[test]
    fn a_label_that_is_a_document_stays_in_the_config() {
        let labels = BTreeMap::from([
            ("a".to_owned(), "x".repeat(LABEL_VALUE_BYTES_MAX)),
            ("b".to_owned(), "x".repeat(LABEL_VALUE_BYTES_MAX + 1)),
        ]);
        assert_eq!(short_labels(&labels).into_keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn labels_together_have_a_limit_too() {
        let large = (0..256).map(|number| (format!("{number:03}"), "x".repeat(1_021))).collect();
        assert_eq!(short_labels(&large).len(), LABELS_BYTES_MAX / 1_024);
        let many = (0..1_000).map(|number| (format!("{number:03}"), String::new())).collect();
        assert_eq!(short_labels(&many).len(), LABELS_MAX);
    }
}
