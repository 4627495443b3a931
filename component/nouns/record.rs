//! The record of an image: a name, what it points to, and what of it is here.
//!
//! It is the schema of what the component keeps in `metadata`, and it carries
//! its version: see [`Schema`]. It does not read or write the store. A record
//! is untrusted like any other document, because a disk is not forever.
//!
//! ```text
//! schema                                  1
//! image/docker.io/library/alpine:3.20     {"target": …, "created": 1709251200, "updated": 1709251200, "size": 3626897,
//!                                          "platforms": [{"manifest": …, "config": "sha256:…", "platform": "linux/amd64", …}]}
//! ```

use super::{descriptor::Descriptor, digest::Digest, manifest::INDEX_ENTRIES_MAX, media_type};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{borrow::Cow, collections::BTreeMap};

/// The version that this program writes.
pub const VERSION: u32 = 1;
/// Where the version of a namespace is.
pub const SCHEMA_KEY: &str = "schema";
/// What the keys of image records begin with; the canonical name follows.
pub const IMAGE_PREFIX: &str = "image/";
/// The largest record. It is the host's limit of a value.
pub const RECORD_BYTES_MAX: usize = 4 << 20;
/// A label with a larger value is in the config only: some builders keep
/// whole bills of materials there, and the list reads every record.
pub const LABEL_VALUE_BYTES_MAX: usize = 4 << 10;
/// How many labels of one config are in the record.
pub const LABELS_MAX: usize = 256;

/// Why a record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not what this version writes.
    #[error("the record is damaged: {0}")]
    Damaged(String),
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The manifest or index.
    #[serde(deserialize_with = "pointer")]
    pub target: Descriptor,
    /// When the name came here, in seconds since 1970.
    pub created: i64,
    /// When the record last changed, in seconds since 1970.
    pub updated: i64,
    /// What is here, compressed, in bytes, each blob once.
    pub size: u64,
    /// For wharf's own use; they say nothing about the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What of the target is here. In order of arrival, no manifest twice.
    pub platforms: Vec<Present>,
}

/// A manifest that is here with all its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// The manifest.
    #[serde(deserialize_with = "pointer")]
    pub manifest: Descriptor,
    /// The config's digest: the image's ID.
    #[serde(deserialize_with = "digest")]
    pub config: Digest,
    /// As in `linux/arm64/v8`. Artifacts have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// When the image was built, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// Manifest, config and layers, compressed, in bytes, each blob once.
    pub size: u64,
    /// How many layers there are.
    pub layers: u32,
    /// The config's labels, within [`LABELS_MAX`] and [`LABEL_VALUE_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl ImageRecord {
    /// Reads a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let record: Self = serde_json::from_slice(bytes).map_err(|error| Error::Damaged(error.to_string()))?;
        if record.platforms.len() > INDEX_ENTRIES_MAX {
            return Err(Error::Damaged(format!("it has more than {INDEX_ENTRIES_MAX} platforms")));
        }
        Ok(record)
    }

    /// Writes a record.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let bytes = serde_json::to_vec(self).expect("a record has text for keys, and writing to memory cannot fail");
        if bytes.len() > RECORD_BYTES_MAX { Err(Error::TooLarge(bytes.len())) } else { Ok(bytes) }
    }
}

/// A list reads every record of a namespace, so the texts in them are taken
/// where they stand and copied once.
fn digest<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
    <&str>::deserialize(from)?.parse().map_err(D::Error::custom)
}

fn pointer<'de, D: Deserializer<'de>>(from: D) -> Result<Descriptor, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Pointer<'d> {
        #[serde(borrow)]
        media_type: Cow<'d, str>,
        #[serde(deserialize_with = "digest")]
        digest: Digest,
        size: u64,
    }
    let Pointer { media_type, digest, size } = Pointer::deserialize(from)?;
    if !media_type::is_valid(&media_type) {
        return Err(D::Error::custom("the media type of a descriptor is none"));
    }
    Ok(Descriptor::new(media_type, digest, size))
}

/// Returns those of a config's labels that belong into a record.
pub fn short_labels(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let short = labels.iter().filter(|(key, value)| key.len().max(value.len()) <= LABEL_VALUE_BYTES_MAX);
    short.take(LABELS_MAX).map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::{digest::Algorithm, media_type};

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

    /// What is on disks has to stay readable: this text is version 1.
    #[test]
    fn version_1_is_written_like_this() {
        let text = r#"{"target":{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:TARGET","size":1234},"created":1709251200,"updated":1709251260,"size":3626897,"platforms":[{"manifest":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:MANIFEST","size":610},"config":"sha256:CONFIG","platform":"linux/amd64","created":1700000000,"size":3625663,"layers":1,"labels":{"maintainer":"somebody"}}]}"#;
        let hash = |text: &str| Digest::of(Algorithm::Sha256, text.as_bytes()).encoded().to_owned();
        let text = text
            .replace("TARGET", &hash("index"))
            .replace("MANIFEST", &hash("manifest"))
            .replace("CONFIG", &hash("config"));
        assert_eq!(String::from_utf8(record().encode().unwrap()).unwrap(), text);
        assert_eq!(ImageRecord::decode(text.as_bytes()), Ok(record()));
    }

    #[test]
    fn a_damaged_record_is_refused() {
        let whole = record().encode().unwrap();
        for (place, found) in [
            (0, ImageRecord::decode(b"")),
            (1, ImageRecord::decode(&whole[..whole.len() - 1])),
            (2, ImageRecord::decode(&[&whole[..], b"}"].concat())),
            (3, ImageRecord::decode(b"[]")),
            (4, ImageRecord::decode(&String::from_utf8_lossy(&whole).replace("sha256:", "sha256:0").into_bytes())),
            (
                5,
                ImageRecord::decode(
                    &String::from_utf8_lossy(&whole).replace("\"layers\":1", "\"layers\":-1").into_bytes(),
                ),
            ),
        ] {
            assert!(matches!(found, Err(Error::Damaged(_))), "{place}: {found:?}");
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
}
