//! Manifests and indexes: the documents that a name or a digest points to.
//! OCI image-spec, manifest.md and image-index.md; Docker schema 2 and lists.
//!
//! A document could be taken for a manifest by one reader and for an index by
//! another (CVE-2021-41190). So three witnesses have to agree: what the server
//! declared, what the document says of itself, and what it has in it. A witness
//! may be silent; none may contradict.
//!
//! ```text
//!             declared (Content-Type)   mediaType            structure
//! silent      none, text/plain, …       none                 —
//! index       …index.v1, …list.v2       …index.v1, …list.v2  manifests
//! manifest    …manifest.v1, .v2         …manifest.v1, .v2    config and layers
//! ```
//!
//! It keeps no unknown keys and writes nothing: the bytes that arrived are what
//! is stored and passed on. [`Document::parse`] accepts what registries really
//! have; [`Document::validate`] holds a document to the specification.

use super::descriptor::{self, Descriptor};
use super::json::{self, Shape};
use super::media_type::{self, Kind};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// How many entries an index may have.
pub const INDEX_ENTRIES_MAX: usize = 1_024;
/// How deep indexes may stand in indexes, the first one included.
pub const INDEX_DEPTH_MAX: usize = 3;
/// How many layers a manifest may have: as many as an overlay mount takes.
pub const LAYERS_MAX: usize = 500;

/// The one `schemaVersion` there is, in OCI's documents and Docker's.
const SCHEMA_VERSION: i64 = 2;

const SHAPE: Shape = Shape::Object(&[
    ("schemaVersion", &Shape::Any),
    ("mediaType", &Shape::Any),
    ("artifactType", &Shape::Any),
    ("manifests", &Shape::List { name: "manifests", items: &descriptor::SHAPE, limit: INDEX_ENTRIES_MAX }),
    ("config", &descriptor::SHAPE),
    ("layers", &Shape::List { name: "layers", items: &descriptor::SHAPE, limit: LAYERS_MAX }),
    ("subject", &descriptor::SHAPE),
    ("annotations", &Shape::Any),
    ("fsLayers", &Shape::Any),
]);

/// Why a document is not one that wharf takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not a document, are out of bounds, or can be read in two
    /// ways.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// It is in Docker's first format.
    #[error(
        "the manifest is in Docker's obsolete schema 1 format, which wharf does not read; push the image again with a \
         current builder, or convert it with `skopeo copy --format v2s2 docker://<image> docker://<new image>`"
    )]
    Schema1,
    /// `schemaVersion` is absent or is not 2.
    #[error("`schemaVersion` is {}, not 2", .0.map_or_else(|| "missing".into(), |found| found.to_string()))]
    SchemaVersion(Option<i64>),
    /// It is an index and a manifest at once.
    #[error("the document has both `{0}` and `{1}`, so that it can be read in two ways")]
    Ambiguous(&'static str, &'static str),
    /// It is neither an index nor a manifest.
    #[error("the document has neither `manifests` nor `config` and `layers`")]
    Neither,
    /// A required key is absent.
    #[error("the manifest has no `{0}`")]
    Missing(&'static str),
    /// The server declared one type, and the document says another.
    #[error("the server declares `{declared}`, but the document says `{stated}`")]
    Declared {
        /// The `Content-Type`.
        declared: String,
        /// The document's `mediaType`.
        stated: String,
    },
    /// The type that was declared or stated is not what the document has in it.
    #[error("the type is `{media_type}`, but the document has the keys of {found}")]
    Structure {
        /// The declared or stated type.
        media_type: String,
        /// `an index` or `a manifest`.
        found: &'static str,
    },
    /// The type that was declared or stated is that of no index and no manifest.
    #[error("`{0}` is not a type of a manifest or an index")]
    UnknownType(String),
    /// A descriptor in it is not well-formed.
    #[error("`{place}`: {source}")]
    Descriptor {
        /// As in `layers[3]`.
        place: String,
        /// What is wrong with it.
        source: descriptor::Error,
    },
    /// It is usable, but breaks a rule of the specification.
    #[error("`{place}`: {rule}")]
    Rule {
        /// As in `layers` or `manifests[1].platform`.
        place: String,
        /// The rule.
        rule: &'static str,
    },
}

/// What a name or a digest points to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a document is one value that stays where it is; a box would be in the way. On wasm32 it is small enough"
)]
pub enum Document {
    /// A list of manifests or of further indexes.
    Index(Index),
    /// One image or artifact.
    Manifest(Manifest),
}

/// A list of manifests, for platforms or for anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// [`media_type::OCI_INDEX`] or [`media_type::DOCKER_LIST`].
    pub media_type: &'static str,
    /// In the order of preference. Entries may be indexes themselves.
    pub manifests: Vec<Descriptor>,
    /// What it is, if it is an artifact.
    pub artifact_type: Option<String>,
    /// What it says something about.
    pub subject: Option<Descriptor>,
    /// Anything that somebody wanted to say.
    pub annotations: BTreeMap<String, String>,
}

/// One image, or one artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// [`media_type::OCI_MANIFEST`] or [`media_type::DOCKER_MANIFEST`].
    pub media_type: &'static str,
    /// The image's config, or what an artifact has in its place.
    pub config: Descriptor,
    /// From the bottom to the top.
    pub layers: Vec<Descriptor>,
    /// What it is, if it is an artifact and its config does not say so.
    pub artifact_type: Option<String>,
    /// What it says something about.
    pub subject: Option<Descriptor>,
    /// Anything that somebody wanted to say.
    pub annotations: BTreeMap<String, String>,
}

impl Document {
    /// Reads a document. `declared` is the `Content-Type` that came with it, or
    /// the media type of the descriptor that led to it.
    pub fn parse(bytes: &[u8], declared: Option<&str>) -> Result<Self, Error> {
        let raw: Raw = json::parse(bytes, &SHAPE)?;
        let found = raw.structure()?;
        let media_type = effective_type(found, &raw, declared)?;
        Ok(match found {
            Structure::Index => Self::Index(Index {
                media_type,
                manifests: descriptors("manifests", raw.manifests.unwrap_or_default())?,
                artifact_type: raw.artifact_type.filter(|kind| !kind.is_empty()),
                subject: raw.subject.map(|raw| descriptor("subject", raw)).transpose()?,
                annotations: raw.annotations,
            }),
            Structure::Manifest => Self::Manifest(Manifest {
                media_type,
                config: descriptor("config", raw.config.flatten().ok_or(Error::Missing("config"))?)?,
                layers: descriptors("layers", raw.layers.ok_or(Error::Missing("layers"))?)?,
                artifact_type: raw.artifact_type.filter(|kind| !kind.is_empty()),
                subject: raw.subject.map(|raw| descriptor("subject", raw)).transpose()?,
                annotations: raw.annotations,
            }),
        })
    }

    /// Returns what the document is, declared or not.
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Index(index) => index.media_type,
            Self::Manifest(manifest) => manifest.media_type,
        }
    }

    /// Returns every descriptor in it that points to a part of the image: the
    /// entries, or the config and the layers. The subject is no part.
    pub fn parts(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, list) = match self {
            Self::Index(index) => (None, &index.manifests),
            Self::Manifest(manifest) => (Some(&manifest.config), &manifest.layers),
        };
        config.into_iter().chain(list)
    }

    /// Returns what it says something about.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Index(index) => index.subject.as_ref(),
            Self::Manifest(manifest) => manifest.subject.as_ref(),
        }
    }

    /// Checks what [`Document::parse`] lets pass because registries have it:
    /// that there is a layer, and that every type and platform is stated.
    /// OCI image-spec, `schema/`.
    pub fn validate(&self) -> Result<(), Error> {
        let (subject, artifact_type) = match self {
            Self::Index(index) => {
                for (at, entry) in index.manifests.iter().enumerate() {
                    validate_descriptor(|| format!("manifests[{at}]"), entry)?;
                }
                (&index.subject, &index.artifact_type)
            }
            Self::Manifest(manifest) => {
                validate_descriptor(|| "config".into(), &manifest.config)?;
                for (at, layer) in manifest.layers.iter().enumerate() {
                    validate_descriptor(|| format!("layers[{at}]"), layer)?;
                }
                if manifest.layers.is_empty() {
                    return Err(Error::Rule { place: "layers".into(), rule: "there has to be at least one layer" });
                }
                if manifest.config.media_type == media_type::EMPTY && manifest.artifact_type.is_none() {
                    let rule = "it has to be there when the config is empty";
                    return Err(Error::Rule { place: "artifactType".into(), rule });
                }
                (&manifest.subject, &manifest.artifact_type)
            }
        };
        if let Some(subject) = subject {
            validate_descriptor(|| "subject".into(), subject)?;
        }
        validate_artifact_type(String::new, artifact_type.as_deref())
    }
}

impl Manifest {
    /// Returns whether this is an image with a config and a file system, and
    /// not an artifact.
    ///
    /// Docker's builders once called the config `application/octet-stream`.
    pub fn is_image(&self) -> bool {
        self.config.kind() == Kind::Config
            || self.media_type == media_type::DOCKER_MANIFEST
                && media_type::same(&self.config.media_type, "application/octet-stream")
    }

    /// Returns what the artifact is: `artifactType`, or else the config's type.
    /// Images have none. OCI image-spec, manifest.md, “Guidelines for Artifact
    /// Usage”.
    pub fn artifact_type(&self) -> Option<&str> {
        let config = || (!self.is_image()).then_some(self.config.media_type.as_str());
        self.artifact_type.as_deref().or_else(config)
    }
}

/// What a document has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Structure {
    Index,
    Manifest,
}

impl Structure {
    fn kind(self) -> Kind {
        match self {
            Self::Index => Kind::Index,
            Self::Manifest => Kind::Manifest,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Index => "an index",
            Self::Manifest => "a manifest",
        }
    }
}

/// Every key of every kind of document. The outer `Option`s say whether the key
/// is there: `null` is a value to those who look for keys only.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<i64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    #[serde(default, deserialize_with = "present")]
    manifests: Option<Vec<descriptor::Unchecked>>,
    #[serde(default, deserialize_with = "present")]
    config: Option<Option<descriptor::Unchecked>>,
    #[serde(default, deserialize_with = "present")]
    layers: Option<Vec<descriptor::Unchecked>>,
    subject: Option<descriptor::Unchecked>,
    #[serde(default, deserialize_with = "json::null_is_default")]
    annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "present")]
    fs_layers: Option<Option<serde::de::IgnoredAny>>,
}

fn present<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    json::null_is_default(from).map(Some)
}

impl Raw {
    fn structure(&self) -> Result<Structure, Error> {
        let keys = [
            ("manifests", self.manifests.is_some()),
            ("config", self.config.is_some()),
            ("layers", self.layers.is_some()),
        ];
        let has = |wanted: &str| keys.iter().any(|(key, is_there)| *key == wanted && *is_there);
        let first = keys.iter().find(|(_, is_there)| *is_there).map(|(key, _)| *key);
        if self.fs_layers.is_some()
            && let Some(first) = first
        {
            return Err(Error::Ambiguous("fsLayers", first));
        }
        for part in ["config", "layers"] {
            if has("manifests") && has(part) {
                return Err(Error::Ambiguous("manifests", part));
            }
        }
        if self.fs_layers.is_some() || self.schema_version == Some(1) {
            return Err(Error::Schema1);
        }
        if self.schema_version != Some(SCHEMA_VERSION) {
            return Err(Error::SchemaVersion(self.schema_version));
        }
        match first {
            Some("manifests") => Ok(Structure::Index),
            Some(_) => Ok(Structure::Manifest),
            None => Err(Error::Neither),
        }
    }
}

/// Hears the three witnesses.
fn effective_type(found: Structure, raw: &Raw, declared: Option<&str>) -> Result<&'static str, Error> {
    let declared = declared.filter(|declared| !media_type::is_generic(declared));
    // Go writes an absent type as an empty one.
    let stated = raw.media_type.as_deref().filter(|stated| !stated.is_empty());
    if let (Some(declared), Some(stated)) = (declared, stated)
        && !media_type::same(declared, stated)
    {
        return Err(Error::Declared { declared: json::excerpt(declared), stated: json::excerpt(stated) });
    }
    let Some(told) = stated.or(declared) else {
        return Ok(default_type(found, raw));
    };
    match media_type::canonical(told) {
        Some(known) if media_type::kind(known) == found.kind() => Ok(known),
        Some(known) if matches!(media_type::kind(known), Kind::Index | Kind::Manifest) => {
            Err(Error::Structure { media_type: known.into(), found: found.name() })
        }
        _ => Err(Error::UnknownType(json::excerpt(told))),
    }
}

/// What a document is when nobody says it: OCI made the key optional, so OCI's,
/// unless the config is Docker's.
fn default_type(found: Structure, raw: &Raw) -> &'static str {
    let config = raw.config.as_ref().and_then(Option::as_ref).and_then(|config| config.media_type());
    match found {
        Structure::Index => media_type::OCI_INDEX,
        Structure::Manifest if config.is_some_and(|it| media_type::same(it, media_type::DOCKER_CONFIG)) => {
            media_type::DOCKER_MANIFEST
        }
        Structure::Manifest => media_type::OCI_MANIFEST,
    }
}

fn descriptor(place: &str, raw: descriptor::Unchecked) -> Result<Descriptor, Error> {
    raw.try_into().map_err(|source| Error::Descriptor { place: place.into(), source })
}

fn descriptors(list: &str, raw: Vec<descriptor::Unchecked>) -> Result<Vec<Descriptor>, Error> {
    let checked = |(at, raw): (usize, descriptor::Unchecked)| {
        raw.try_into().map_err(|source| Error::Descriptor { place: format!("{list}[{at}]"), source })
    };
    raw.into_iter().enumerate().map(checked).collect()
}

fn validate_descriptor(place: impl Fn() -> String, checked: &Descriptor) -> Result<(), Error> {
    if let Some(platform) = &checked.platform
        && (platform.os.is_empty() || platform.architecture.is_empty())
    {
        let rule = "it has to state `os` and `architecture`";
        return Err(Error::Rule { place: format!("{}.platform", place()), rule });
    }
    validate_artifact_type(|| format!("{}.", place()), checked.artifact_type.as_deref())
}

fn validate_artifact_type(prefix: impl Fn() -> String, artifact_type: Option<&str>) -> Result<(), Error> {
    match artifact_type {
        Some(text) if !media_type::is_valid(text) => {
            let place = format!("{}artifactType", prefix());
            Err(Error::Rule { place, rule: "it has to be a media type, `type/subtype`" })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
