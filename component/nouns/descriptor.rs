//! Descriptors: a type, a digest and a size that point to content.
//! OCI image-spec, descriptor.md.
//!
//! A descriptor is a claim of whoever wrote the document. A value of
//! [`Descriptor`] is well-formed, no more: the content is believed only after
//! it was hashed. `data` and `urls` are carried along and not looked at.
//!
//! ```text
//! {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:b5b2…", "size": 7023}
//! ```

use super::digest::{self, Digest};
use super::json::{self, Shape};
use super::media_type;
use super::platform::Platform;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The keys of a descriptor.
pub const SHAPE: Shape = Shape::Object(&[
    ("mediaType", &Shape::Any),
    ("digest", &Shape::Any),
    ("size", &Shape::Any),
    ("urls", &Shape::Any),
    ("annotations", &Shape::Any),
    ("data", &Shape::Any),
    ("artifactType", &Shape::Any),
    ("platform", &PLATFORM),
]);

const PLATFORM: Shape = Shape::Object(&[
    ("architecture", &Shape::Any),
    ("os", &Shape::Any),
    ("os.version", &Shape::Any),
    ("os.features", &Shape::Any),
    ("variant", &Shape::Any),
]);

/// A typed and sized pointer to content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", rename_all = "camelCase")]
pub struct Descriptor {
    /// As in `application/vnd.oci.image.manifest.v1+json`, perhaps with
    /// parameters.
    pub media_type: String,
    /// What the content hashes to.
    pub digest: Digest,
    /// In bytes, at most 2^63 - 1.
    pub size: u64,
    /// Where else the content is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Anything that somebody wanted to say.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The content itself, in base64, as the document claims it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What runs an image needs, in an entry of an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What the artifact is, if the content is the manifest of one. Any text:
    /// tools write some that are no media types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// Why a descriptor is not well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not a document, or has values of other types.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// A required key is absent.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// The media type does not fit the grammar of RFC 6838.
    #[error("`{0}` is not a media type: it has to read `type/subtype`")]
    MediaType(String),
    /// The digest is none, or nobody here can compute it.
    #[error("the digest `{text}` is refused: {source}")]
    Digest {
        /// What the document has.
        text: String,
        /// Why it is none.
        source: digest::Error,
    },
    /// The size is negative.
    #[error("the size {0} is negative")]
    Size(i64),
}

/// A descriptor as a document has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unchecked {
    media_type: Option<String>,
    digest: Option<String>,
    size: Option<i64>,
    #[serde(default, deserialize_with = "json::null_is_default")]
    urls: Vec<String>,
    #[serde(default, deserialize_with = "json::null_is_default")]
    annotations: BTreeMap<String, String>,
    data: Option<String>,
    platform: Option<Platform>,
    artifact_type: Option<String>,
}

impl Unchecked {
    /// The media type that the document has, whatever it is.
    pub(crate) fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }
}

impl TryFrom<Unchecked> for Descriptor {
    type Error = Error;

    fn try_from(raw: Unchecked) -> Result<Self, Error> {
        let media_type = raw.media_type.ok_or(Error::Missing("mediaType"))?;
        if !media_type::is_valid(&media_type) {
            return Err(Error::MediaType(json::excerpt(&media_type)));
        }
        let digest = raw.digest.ok_or(Error::Missing("digest"))?;
        let size = raw.size.ok_or(Error::Missing("size"))?;
        Ok(Self {
            media_type,
            digest: digest.parse().map_err(|source| Error::Digest { text: json::excerpt(&digest), source })?,
            size: u64::try_from(size).map_err(|_| Error::Size(size))?,
            urls: raw.urls,
            annotations: raw.annotations,
            data: raw.data.filter(|data| !data.is_empty()),
            platform: raw.platform,
            artifact_type: raw.artifact_type.filter(|kind| !kind.is_empty()),
        })
    }
}

impl Descriptor {
    /// Points to content of this type, digest and size, and says nothing else.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// Reads a document that is one descriptor.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        json::parse::<Unchecked>(bytes, &SHAPE)?.try_into()
    }

    /// What the media type stands for.
    pub fn kind(&self) -> media_type::Kind {
        media_type::kind(&self.media_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "5b0bcabd1ed22e9fb1310cf6c2dec7cdef19f0ad69efa1f392e94a4333501270";

    fn with(digest: &str, size: &str) -> String {
        format!(r#"{{"mediaType":"text/plain","digest":"{digest}","size":{size}}}"#)
    }

    #[test]
    fn every_key_is_kept() {
        let text = format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{HEX}","size":7682,
            "urls":["https://example.com/m"],"annotations":{{"a":"1","A":"2"}},"data":"aGk=",
            "platform":{{"architecture":"amd64","os":"linux"}},"artifactType":"sbom/example","future":[1,2]}}"#
        );
        let read = Descriptor::parse(text.as_bytes()).expect("the descriptor is well-formed");
        let expected = Descriptor {
            urls: vec!["https://example.com/m".into()],
            annotations: BTreeMap::from([("a".into(), "1".into()), ("A".into(), "2".into())]),
            data: Some("aGk=".into()),
            platform: read.platform.clone(),
            artifact_type: Some("sbom/example".into()),
            ..Descriptor::new(media_type::OCI_MANIFEST, format!("sha256:{HEX}").parse().expect("a digest"), 7682)
        };
        assert_eq!(read, expected);
        assert_eq!(
            read.platform.as_ref().map(|it| (it.os.as_str(), it.architecture.as_str())),
            Some(("linux", "amd64"))
        );
        assert_eq!(read.kind(), media_type::Kind::Manifest);

        let written = serde_json::to_vec(&read).expect("a descriptor can be written");
        assert_eq!(Descriptor::parse(&written), Ok(read));
        let plain = with(&format!("sha256:{HEX}"), "3");
        let read = Descriptor::parse(plain.as_bytes()).expect("the descriptor is well-formed");
        assert_eq!(serde_json::to_string(&read).expect("a descriptor can be written"), plain);
    }

    #[test]
    fn null_is_absent_as_it_is_to_go() {
        let text = format!(
            r#"{{"mediaType":"text/plain","digest":"sha256:{HEX}","size":1,"urls":null,"annotations":null,"data":null,
            "platform":null,"artifactType":""}}"#
        );
        let expected = Descriptor::new("text/plain", format!("sha256:{HEX}").parse().expect("a digest"), 1);
        assert_eq!(Descriptor::parse(text.as_bytes()), Ok(expected));
    }

    #[test]
    fn the_size_is_a_whole_number_from_0_to_2_63_less_1() {
        let size = |text: &str| Descriptor::parse(with(&format!("sha256:{HEX}"), text).as_bytes()).map(|it| it.size);
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("9223372036854775807"), Ok(9_223_372_036_854_775_807));
        assert_eq!(size("-1"), Err(Error::Size(-1)));
        for wrong in ["9223372036854775808", "18446744073709551616", "1.0", "1e3", "\"7682\"", "true"] {
            assert!(matches!(size(wrong), Err(Error::Json(json::Error::Mismatch { .. }))), "{wrong}");
        }
        assert_eq!(size("null"), Err(Error::Missing("size")));
    }

    #[test]
    fn a_digest_that_could_leave_its_place_is_refused() {
        for digest in
            ["sha256:../../../etc/passwd", "", "sha256", "sha256:", "sha256:5B", "md5:2872f31c5c1f62a694fbd20c1e85257c"]
        {
            match Descriptor::parse(with(digest, "1").as_bytes()) {
                Err(Error::Digest { text, .. }) => assert_eq!(text, digest),
                other => panic!("{digest}: {other:?}"),
            }
        }
    }

    #[test]
    fn annotations_are_text() {
        for annotations in [r#"{"a":1}"#, r#"{"a":null}"#, r#"["a"]"#, r#"{"a":{}}"#] {
            let text = with(&format!("sha256:{HEX}"), &format!(r#"1,"annotations":{annotations}"#));
            let error = Descriptor::parse(text.as_bytes()).expect_err(annotations);
            assert!(matches!(error, Error::Json(json::Error::Mismatch { .. })), "{annotations}: {error:?}");
        }
    }

    #[test]
    fn keys_in_other_letters_are_refused_also_in_the_platform() {
        for key in
            [r#""MediaType":"a/b""#, r#""DIGEST":"""#, r#""platform":{"OS":""}"#, r#""platform":{"Os.Version":""}"#]
        {
            let text = with(&format!("sha256:{HEX}"), &format!("1,{key}"));
            let error = Descriptor::parse(text.as_bytes()).expect_err(key);
            assert!(matches!(error, Error::Json(json::Error::CaseVariant { .. })), "{key}: {error:?}");
        }
    }
}
