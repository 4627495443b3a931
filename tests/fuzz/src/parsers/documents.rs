//! The documents of registries: media types, descriptors, manifests, indexes and configs.
//!
//! Another reader (`serde_json` without any rules) has to see the same in whatever is accepted.

use super::{assert_harmless, choice, texts, written};
use serde_json::{Map, Value, json};
use wharf_component::nouns::config::Config;
use wharf_component::nouns::descriptor::Descriptor;
use wharf_component::nouns::json::DOCUMENT_BYTES_MAX;
use wharf_component::nouns::manifest::{Document, INDEX_ENTRIES_MAX, LAYERS_MAX};
use wharf_component::nouns::media_type as types;

/// An error repeats little of a document.
const ERROR_BYTES_MAX: usize = 8 << 10;

fn assert_error(error: &impl ToString) {
    let text = error.to_string();
    assert_harmless(&text);
    assert!(text.len() <= ERROR_BYTES_MAX, "an error of {} bytes", text.len());
}

pub(super) fn media_type(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let essence = types::essence(text);
    assert!(text.contains(essence) && types::essence(essence) == essence);
    assert!(types::same(text, text) && types::same(text, essence));
    assert_eq!(types::kind(text), types::kind(essence));
    assert_eq!(types::kind(text), types::kind(&text.to_ascii_uppercase()));
    _ = types::is_generic(text);
    let is_valid = types::is_valid(text);
    assert!(!is_valid || text.is_ascii() && !text.contains(|c: char| c.is_ascii_control()));
    is_valid
}

pub(super) fn media_types() -> Vec<Vec<u8>> {
    let types = [
        types::OCI_INDEX,
        types::OCI_MANIFEST,
        types::DOCKER_MANIFEST,
        "application/json; charset=utf-8",
        "text/plain;q=\"a\\\"b\"",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "a/b/c",
        "/",
        "application /json",
    ];
    written(&types)
}

/// Writes what was read of a document.
fn write(document: &Document) -> Vec<u8> {
    let mut whole = Map::new();
    let (artifact_type, subject, annotations) = match document {
        Document::Index(index) => {
            whole.insert("manifests".to_owned(), json!(index.manifests));
            (&index.artifact_type, &index.subject, &index.annotations)
        }
        Document::Manifest(manifest) => {
            whole.insert("config".to_owned(), json!(manifest.config));
            whole.insert("layers".to_owned(), json!(manifest.layers));
            (&manifest.artifact_type, &manifest.subject, &manifest.annotations)
        }
    };
    whole.insert("schemaVersion".to_owned(), json!(2));
    whole.insert("mediaType".to_owned(), json!(document.media_type()));
    whole.insert("annotations".to_owned(), json!(annotations));
    whole.extend(artifact_type.iter().map(|kind| ("artifactType".to_owned(), json!(kind))));
    whole.extend(subject.iter().map(|subject| ("subject".to_owned(), json!(subject))));
    Value::Object(whole).to_string().into_bytes()
}

pub(super) fn manifest(bytes: &[u8]) -> bool {
    let (which, bytes) = choice(bytes);
    let declared = [
        None,
        Some(types::OCI_MANIFEST),
        Some(types::OCI_INDEX),
        Some(types::DOCKER_MANIFEST),
        Some(types::DOCKER_LIST),
        Some("application/json"),
        Some("text/html"),
    ][which % 7];
    let read = Document::parse(bytes, declared);
    assert_eq!(read, Document::parse(bytes, declared));
    let document = match read {
        Ok(document) => document,
        Err(error) => {
            assert_error(&error);
            return false;
        }
    };
    assert!(bytes.len() <= DOCUMENT_BYTES_MAX);
    let seen: Value = serde_json::from_slice(bytes).expect("it was read as JSON");
    let digest = |value: &Value| value["digest"].as_str().map(str::to_owned);
    let list = match &document {
        Document::Index(index) => {
            assert!(index.manifests.len() <= INDEX_ENTRIES_MAX);
            (&seen["manifests"], &index.manifests)
        }
        Document::Manifest(manifest) => {
            assert!(manifest.layers.len() <= LAYERS_MAX);
            assert_eq!(digest(&seen["config"]).as_deref(), Some(manifest.config.digest.as_str()));
            _ = (manifest.is_image(), manifest.artifact_type());
            (&seen["layers"], &manifest.layers)
        }
    };
    let others = list.0.as_array().map_or(&[][..], Vec::as_slice);
    assert!(others.iter().filter_map(digest).eq(list.1.iter().map(|part| part.digest.to_string())));
    for part in document.parts() {
        assert!(i64::try_from(part.size).is_ok());
        _ = part.kind();
    }
    if let Err(error) = document.validate() {
        assert_error(&error);
    }
    let written = write(&document);
    if written.len() <= DOCUMENT_BYTES_MAX {
        assert_eq!(Document::parse(&written, Some(document.media_type())).as_ref(), Ok(&document));
    }
    true
}

const HEX: &str = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

pub(super) fn manifests() -> Vec<Vec<u8>> {
    let part = |kind: &str| format!(r#"{{"mediaType":"{kind}","digest":"sha256:{HEX}","size":7}}"#);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{},{}],"annotations":{{"a":"b"}},"subject":{}}}"#,
        types::OCI_MANIFEST,
        part(types::OCI_CONFIG),
        part(types::OCI_LAYER_GZIP),
        part(types::OCI_LAYER_ZSTD),
        part(types::OCI_MANIFEST)
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"sha256:{HEX}","size":7,"platform":{{"os":"linux","architecture":"arm64","variant":"v8"}}}}],"artifactType":"x/y"}}"#,
        types::OCI_MANIFEST
    );
    let mut seeds = texts(include_str!("../../../data/vectors/image_spec_documents.json"));
    seeds.extend(texts(include_str!("../../../data/vectors/manifest_media_types.json")));
    seeds.extend([manifest.into_bytes(), index.into_bytes()]);
    seeds.into_iter().filter(|seed| seed.starts_with(b"{")).map(|seed| [b"0", &seed[..]].concat()).collect()
}

pub(super) fn descriptor(bytes: &[u8]) -> bool {
    match Descriptor::parse(bytes) {
        Ok(descriptor) => {
            let text = serde_json::to_vec(&descriptor).expect("a descriptor can be written");
            assert_eq!(Descriptor::parse(&text).as_ref(), Ok(&descriptor));
            true
        }
        Err(error) => {
            assert_error(&error);
            false
        }
    }
}

pub(super) fn descriptors() -> Vec<Vec<u8>> {
    let whole = format!(
        r#"{{"mediaType":"a/b","digest":"sha256:{HEX}","size":9223372036854775807,"urls":["https://a.example/b"],"annotations":{{"a":"b"}},"data":"eA==","artifactType":"c/d","platform":{{"os":"windows","architecture":"amd64","os.version":"10.0","os.features":["win32k"]}}}}"#
    );
    let variant = whole.replace("mediaType", "MediaType");
    let twice = format!(r#"{{"mediaType":"a/b","digest":"sha256:{HEX}","size":1,"size":2}}"#);
    written(&[&whole, &variant, &twice, r#"{"mediaType":"a/b","digest":"sha256:../../x","size":-1}"#])
}

pub(super) fn config(bytes: &[u8]) -> bool {
    let read = Config::parse(bytes);
    assert_eq!(read, Config::parse(bytes));
    let config = match read {
        Ok(config) => config,
        Err(error) => {
            assert_error(&error);
            return false;
        }
    };
    let seen: Value = serde_json::from_slice(bytes).expect("it was read as JSON");
    let others = seen["rootfs"]["diff_ids"].as_array().map_or(&[][..], Vec::as_slice);
    let own = &config.rootfs.diff_ids;
    assert!(others.iter().map(|id| id.as_str()).eq(own.iter().map(|id| Some(id.as_str()))));
    assert_eq!(config.check_layers(own.len()), Ok(()));
    assert!(config.check_layers(own.len() + 1).is_err());
    let platform = config.platform().normalize();
    assert_eq!(platform, platform.normalize());
    _ = (config.created_seconds(), config.platform().format_all());
    assert!(config.history.iter().filter_map(|step| step.created_seconds()).count() <= config.history.len());
    if let Err(error) = config.validate() {
        assert_error(&error);
    }
    true
}

pub(super) fn configs() -> Vec<Vec<u8>> {
    let whole = format!(
        r#"{{"created":"2015-10-31T22:22:56.015925234Z","author":"ann","architecture":"amd64","os":"linux","config":{{"User":"alice","ExposedPorts":{{"8080/tcp":{{}}}},"Env":["PATH=/bin"],"Entrypoint":["/bin/x"],"Cmd":["--a"],"Volumes":{{"/v":{{}}}},"WorkingDir":"/home","Labels":{{"a":"b"}},"StopSignal":"SIGTERM"}},"rootfs":{{"diff_ids":["sha256:{HEX}"],"type":"layers"}},"history":[{{"created":"2015-10-31T22:22:54.690851953Z","created_by":"/bin/sh","empty_layer":true}}]}}"#
    );
    let null = format!(r#"{{"config":null,"history":null,"rootfs":{{"type":"layers","diff_ids":["sha256:{HEX}"]}}}}"#);
    let mut seeds = texts(include_str!("../../../data/vectors/image_spec_documents.json"));
    seeds.retain(|seed| seed.windows(6).any(|window| window == b"rootfs"));
    seeds.extend(written(&[&whole, &null, r#"{"rootfs":{"type":"other"}}"#, "{}"]));
    seeds
}
