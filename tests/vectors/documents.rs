//! Manifests, indexes, configs and descriptors against the verdicts of the OCI
//! image-spec's own schemas, containerd, podman and go-containerregistry.
//!
//! It judges documents only; which bytes a registry sends for which request is
//! judged with the registry client.

use crate::Report;
use serde_json::Value;
use std::collections::BTreeMap;
use wharf_component::nouns::config::Config;
use wharf_component::nouns::descriptor::{self, Descriptor};
use wharf_component::nouns::digest::{self, Algorithm, Digest};
use wharf_component::nouns::json::{self, Shape};
use wharf_component::nouns::manifest::{self, Document};
use wharf_component::nouns::media_type::{self, Kind};

/// What became of one row.
enum Verdict {
    Passed,
    Failed(String),
    Excluded(&'static str),
}

impl Verdict {
    fn of(agrees: bool, why: impl FnOnce() -> String) -> Self {
        if agrees { Self::Passed } else { Self::Failed(why()) }
    }
}

fn report(file: &'static str, rows: impl IntoIterator<Item = (String, Verdict)>) -> Report {
    let mut report = Report::new(file);
    for (id, verdict) in rows {
        match verdict {
            Verdict::Passed => report.count(id, Ok(())),
            Verdict::Failed(why) => report.count(id, Err(why)),
            Verdict::Excluded(reason) => report.exclude(id, reason),
        }
    }
    report
}

fn read(json: &str) -> Value {
    let mut file: Value = serde_json::from_str(json).expect("a vector file is JSON");
    file["vectors"].take()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a table of vectors is a list")
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("the row has no text `{key}`: {row}"))
}

fn truth(row: &Value, key: &str) -> bool {
    row[key].as_bool().unwrap_or_else(|| panic!("the row has no verdict `{key}`: {row}"))
}

const UNCOMPUTABLE: &str =
    "the schema lets any algorithm pass; wharf refuses, by that name, digests that it cannot compute";

/// Every document of the image-spec's schema tests: wharf accepts it and finds
/// no broken rule in it, exactly when its schema does.
pub(crate) fn image_spec_documents(json: &str) -> Report {
    let rows = read(json);
    report("image_spec_documents", list(&rows).iter().map(|row| (text(row, "id").to_owned(), image_spec_document(row))))
}

fn image_spec_document(row: &Value) -> Verdict {
    let document = text(row, "document");
    if let Some(stated) = row.get("digest_of_document")
        && stated != Digest::of(Algorithm::Sha256, document.as_bytes()).as_str()
    {
        return Verdict::Failed("the text is not the one that was judged upstream".into());
    }
    match (truth(row, "valid"), judge(text(row, "schema"), document)) {
        (true, Ok(())) | (false, Err(_)) => Verdict::Passed,
        (true, Err(Refusal::Uncomputable)) => Verdict::Excluded(UNCOMPUTABLE),
        (true, Err(Refusal::Other(error))) => Verdict::Failed(format!("refused: {error}")),
        (false, Ok(())) => Verdict::Failed("accepted".into()),
    }
}

enum Refusal {
    Uncomputable,
    Other(String),
}

impl From<descriptor::Error> for Refusal {
    fn from(error: descriptor::Error) -> Self {
        match error {
            descriptor::Error::Digest { source: digest::Error::Unsupported(_), .. } => Self::Uncomputable,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<manifest::Error> for Refusal {
    fn from(error: manifest::Error) -> Self {
        match error {
            manifest::Error::Descriptor { source, .. } => source.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

fn judge(schema: &str, document: &str) -> Result<(), Refusal> {
    let other = |error: &dyn std::error::Error| Refusal::Other(error.to_string());
    match schema {
        "application/vnd.oci.descriptor.v1+json" => {
            Descriptor::parse(document.as_bytes())?;
        }
        media_type::OCI_CONFIG => {
            let config = Config::parse(document.as_bytes()).map_err(|error| other(&error))?;
            config.validate().map_err(|error| other(&error))?;
        }
        media_type::OCI_INDEX | media_type::OCI_MANIFEST => {
            // Docker's documents are judged by the same schemas, so the kind
            // has to be the same, not the type.
            let read = Document::parse(document.as_bytes(), None)?;
            read.validate()?;
            if media_type::kind(read.media_type()) != media_type::kind(schema) {
                return Err(Refusal::Other(format!("it is `{}`", read.media_type())));
            }
        }
        "application/vnd.oci.layout.header.v1+json" => {
            json::check(document.as_bytes(), &Shape::Any).map_err(|error| other(&error))?;
        }
        unknown => return Err(Refusal::Other(format!("no such schema: `{unknown}`"))),
    }
    Ok(())
}

const FAMILIES: &str = "containerd compares kinds; wharf refuses a body that says it is Docker's where the server \
                        declares OCI's, and the reverse";
const NO_CONTENT: &str = "podman looks at the structure only; wharf refuses a config that has no digest";
const NO_CONVERSION: &str = "a table of podman's conversion between compressions, which wharf does not do";
const UNSIGNED_PAYLOAD: &str = "podman hashes schema 1 without its signature; wharf does not read schema 1";

/// Every row of the tables on media types and document confusion.
pub(crate) fn manifest_media_types(json: &str) -> Report {
    let file = read(json);
    let tables = file.as_object().expect("the tables have names");
    let documents: BTreeMap<&str, &str> = list(&tables["podman_guess_mime"])
        .iter()
        .filter_map(|row| Some((text(row, "path"), row["document"].as_str()?)))
        .collect();
    let rows = tables.iter().flat_map(|(table, rows)| {
        let documents = &documents;
        list(rows).iter().enumerate().map(move |(at, row)| {
            let verdict = match table.as_str() {
                "containerd_doc_media_type_vs_fields" => declared_against_structure(row),
                "containerd_valid_invalid_docs" => declared_against_stated(row),
                "podman_guess_mime" => guessed(row),
                "podman_matches_digest" => manifest_matches(row, documents),
                "podman_is_multi_image" => {
                    Verdict::of((media_type::kind(text(row, "mt")) == Kind::Index) == truth(row, "expected"), || {
                        format!("it is {:?}", media_type::kind(text(row, "mt")))
                    })
                }
                "podman_compression_variant" => Verdict::Excluded(NO_CONVERSION),
                "podman_blob_vs_digest" => {
                    let matches = hashes_to(text(row, "blob"), text(row, "expectedDigest"));
                    Verdict::of(matches != truth(row, "expectError"), || format!("matches: {matches}"))
                }
                "ggcr_raw_manifest_digests" => pulled(row),
                unknown => Verdict::Failed(format!("nobody judges the table `{unknown}`")),
            };
            (format!("{table}[{at}]"), verdict)
        })
    });
    report("manifest_media_types", rows)
}

const DESCRIPTOR: &str = r#"{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#;

fn a_manifest(media_type: &str) -> String {
    format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{DESCRIPTOR},"layers":[{DESCRIPTOR}]}}"#)
}

fn an_index(media_type: &str) -> String {
    format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{DESCRIPTOR}]}}"#)
}

/// containerd makes a manifest and an index that do not say what they are.
fn declared_against_structure(row: &Value) -> Verdict {
    let (declared, index) = (text(row, "mt"), truth(row, "index"));
    let is_taken = |document: String| Document::parse(document.as_bytes(), Some(declared)).is_ok();
    let (manifest_taken, index_taken) = (is_taken(a_manifest("")), is_taken(an_index("")));
    Verdict::of((manifest_taken, index_taken) == (!index, index), || {
        format!("a manifest is taken: {manifest_taken}, an index is taken: {index_taken}")
    })
}

/// containerd makes documents that say what they are and nothing else. Here
/// they have what they say.
fn declared_against_stated(row: &Value) -> Verdict {
    let declared = text(row, "mt");
    let mut across_families = false;
    for (key, expected) in [("valid", true), ("invalid", false)] {
        for stated in list(&row[key]).iter().map(|stated| stated.as_str().expect("a media type is text")) {
            let document = match media_type::kind(stated) {
                Kind::Index => an_index(stated),
                _ => a_manifest(stated),
            };
            match Document::parse(document.as_bytes(), Some(declared)) {
                Ok(read) if expected && read.media_type() == stated => {}
                Err(manifest::Error::Declared { .. }) if expected && stated != declared => across_families = true,
                Err(manifest::Error::Declared { .. }) if !expected => {}
                other => return Verdict::Failed(format!("`{stated}` declared as `{declared}`: {other:?}")),
            }
        }
    }
    if across_families { Verdict::Excluded(FAMILIES) } else { Verdict::Passed }
}

fn guessed(row: &Value) -> Verdict {
    let guess = text(row, "guessed_media_type");
    let document = match row["document"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => decode_base64(text(row, "document_base64")),
    };
    if !hashes_to(&document, &format!("sha256:{}", text(row, "sha256"))) {
        return Verdict::Failed("the bytes are not those that were judged upstream".into());
    }
    match (media_type::kind(guess), Document::parse(&document, None)) {
        (Kind::Index | Kind::Manifest, Ok(read)) => {
            Verdict::of(read.media_type() == guess, || format!("`{}` instead of `{guess}`", read.media_type()))
        }
        (Kind::Schema1, Err(manifest::Error::Schema1)) => Verdict::Passed,
        (Kind::Other, Err(error)) => Verdict::of(guess.is_empty(), || error.to_string()),
        (
            Kind::Manifest,
            Err(manifest::Error::Descriptor { source: descriptor::Error::Digest { text: digest, .. }, .. }),
        ) if digest.is_empty() => Verdict::Excluded(NO_CONTENT),
        (_, other) => Verdict::Failed(format!("{other:?} instead of `{guess}`")),
    }
}

fn manifest_matches(row: &Value, documents: &BTreeMap<&str, &str>) -> Verdict {
    let path = format!("image/{}/{}", text(row, "dir"), text(row, "path"));
    let document = documents[path.as_str()];
    let matches = hashes_to(document, text(row, "expectedDigest"));
    let unsigned = Document::parse(document.as_bytes(), None) == Err(manifest::Error::Schema1);
    match truth(row, "result") {
        expected if expected == matches => Verdict::Passed,
        true if unsigned => Verdict::Excluded(UNSIGNED_PAYLOAD),
        _ => Verdict::Failed(format!("matches: {matches}")),
    }
}

/// go-containerregistry's pulls: a reference that is a digest has to be what
/// the body hashes to, whatever the server says about it.
fn pulled(row: &Value) -> Verdict {
    let (reference, body) = (text(row, "ref"), text(row, "responseBody"));
    let is_document = Document::parse(body.as_bytes(), None).is_ok();
    let is_taken = is_document && (!reference.contains(':') || hashes_to(body, reference));
    Verdict::of(is_taken != truth(row, "wantErr"), || format!("is taken: {is_taken}"))
}

fn hashes_to(bytes: impl AsRef<[u8]>, digest: &str) -> bool {
    digest.parse::<Digest>().is_ok_and(|digest| digest.verify(bytes.as_ref()))
}

/// RFC 4648 section 4. The two rows that need it are checked by their hash, so
/// no crate has to come into the component for them.
fn decode_base64(text: &str) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.trim_end_matches('=').bytes().map(value).collect();
    let group = |four: &[u8]| {
        let bits = four.iter().chain(&[0; 4]).take(4).fold(0, |bits, digit| bits << 6 | u32::from(*digit));
        bits.to_be_bytes().into_iter().skip(1).take(four.len().saturating_sub(1)).collect::<Vec<u8>>()
    };
    digits.chunks(4).flat_map(group).collect()
}
