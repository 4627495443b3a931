//! What the published vectors do not say about manifests and indexes. It reads
//! no file: every document is made from text here.

use super::media_type::{DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, EMPTY, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST};
use super::*;

const HEX: &str = "9d3dd9504c685a304985025df4ed0283e47ac9ffa9bd0326fddf4d59513f0827";

fn part(media_type: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{HEX}","size":7}}"#)
}

fn described(media_type: &str) -> Descriptor {
    Descriptor::new(media_type, format!("sha256:{HEX}").parse().expect("a digest"), 7)
}

/// A document with `mediaType`, if there is one, and these further keys.
fn document(media_type: Option<&str>, keys: &[(&str, &str)]) -> String {
    let stated = media_type.map(|stated| format!(r#""mediaType":"{stated}","#)).unwrap_or_default();
    let keys: Vec<String> = keys.iter().map(|(key, value)| format!(r#""{key}":{value}"#)).collect();
    format!(r#"{{"schemaVersion":2,{stated}{}}}"#, keys.join(","))
}

fn manifest(media_type: Option<&str>) -> String {
    document(media_type, &[("config", &part(OCI_CONFIG)), ("layers", &format!("[{}]", part("a/b")))])
}

fn index(media_type: Option<&str>) -> String {
    document(media_type, &[("manifests", &format!("[{}]", part(OCI_MANIFEST)))])
}

fn parse(text: &str, declared: Option<&str>) -> Result<Document, Error> {
    Document::parse(text.as_bytes(), declared)
}

fn parsed_type(text: &str, declared: Option<&str>) -> Result<&'static str, Error> {
    parse(text, declared).map(|document| document.media_type())
}

#[test]
fn an_artifact_with_an_empty_config_keeps_what_it_says() {
    let text = document(
        Some(OCI_MANIFEST),
        &[
            ("artifactType", r#""application/vnd.example+type""#),
            ("config", &part(EMPTY)),
            ("layers", &format!("[{}]", part(EMPTY))),
            ("subject", &part(OCI_MANIFEST)),
            ("annotations", r#"{"k":"v"}"#),
        ],
    );
    let expected = Manifest {
        media_type: OCI_MANIFEST,
        config: described(EMPTY),
        layers: vec![described(EMPTY)],
        artifact_type: Some("application/vnd.example+type".into()),
        subject: Some(described(OCI_MANIFEST)),
        annotations: BTreeMap::from([("k".into(), "v".into())]),
    };
    assert!(!expected.is_image());
    assert_eq!(expected.artifact_type(), Some("application/vnd.example+type"));
    let read = parse(&text, Some(OCI_MANIFEST)).expect("an artifact is a manifest");
    assert_eq!(read.validate(), Ok(()));
    assert_eq!(read, Document::Manifest(expected.clone()));

    let nameless = Document::Manifest(Manifest { artifact_type: None, ..expected });
    let rule = "it has to be there when the config is empty";
    assert_eq!(nameless.validate(), Err(Error::Rule { place: "artifactType".into(), rule }));
}

#[test]
fn an_image_is_no_artifact() {
    for (media_type, config, is_image) in [
        (OCI_MANIFEST, OCI_CONFIG, true),
        (OCI_MANIFEST, DOCKER_CONFIG, true),
        (DOCKER_MANIFEST, DOCKER_CONFIG, true),
        (DOCKER_MANIFEST, "application/octet-stream", true),
        (OCI_MANIFEST, "application/octet-stream", false),
        (DOCKER_MANIFEST, "application/vnd.docker.plugin.v1+json", false),
        (OCI_MANIFEST, "application/vnd.cncf.helm.config.v1+json", false),
    ] {
        let text = document(Some(media_type), &[("config", &part(config)), ("layers", "[]")]);
        let Ok(Document::Manifest(read)) = parse(&text, None) else { panic!("{text}") };
        assert_eq!(read.is_image(), is_image, "{media_type} {config}");
        assert_eq!(read.artifact_type(), (!is_image).then_some(config), "{media_type} {config}");
    }
}

#[test]
fn an_index_may_have_indexes_and_anything_else_as_entries() {
    let entries = [part(OCI_INDEX), part(DOCKER_LIST), part("application/xml"), part(OCI_MANIFEST)];
    let text = document(None, &[("manifests", &format!("[{}]", entries.join(",")))]);
    let expected = Index {
        media_type: OCI_INDEX,
        manifests: [OCI_INDEX, DOCKER_LIST, "application/xml", OCI_MANIFEST].map(described).to_vec(),
        artifact_type: None,
        subject: None,
        annotations: BTreeMap::new(),
    };
    assert_eq!(parse(&text, None), Ok(Document::Index(expected)));
}

#[test]
fn the_type_is_what_the_witnesses_agree_on() {
    let docker = document(None, &[("config", &part(DOCKER_CONFIG)), ("layers", "null")]);
    for (text, declared, expected) in [
        (manifest(None), None, OCI_MANIFEST),
        (manifest(Some("")), Some(""), OCI_MANIFEST),
        (docker.clone(), None, DOCKER_MANIFEST),
        (docker, Some(OCI_MANIFEST), OCI_MANIFEST),
        (manifest(None), Some(DOCKER_MANIFEST), DOCKER_MANIFEST),
        (manifest(Some(DOCKER_MANIFEST)), Some("text/plain; charset=utf-8"), DOCKER_MANIFEST),
        (manifest(Some(OCI_MANIFEST)), Some("application/json"), OCI_MANIFEST),
        (manifest(Some(OCI_MANIFEST)), Some(&format!("{OCI_MANIFEST}; charset=utf-8")), OCI_MANIFEST),
        (index(None), None, OCI_INDEX),
        (index(None), Some("application/octet-stream"), OCI_INDEX),
        (index(None), Some(DOCKER_LIST), DOCKER_LIST),
        (index(Some(DOCKER_LIST)), Some("text/html"), DOCKER_LIST),
        (document(None, &[("manifests", "null")]), None, OCI_INDEX),
    ] {
        assert_eq!(parsed_type(&text, declared), Ok(expected), "{declared:?} {text}");
    }
}

#[test]
fn a_witness_that_contradicts_is_heard() {
    for (body, header) in [
        (DOCKER_MANIFEST, OCI_MANIFEST),
        (DOCKER_LIST, OCI_INDEX),
        (OCI_INDEX, OCI_MANIFEST),
        (OCI_MANIFEST, media_type::DOCKER_SCHEMA1),
        (OCI_MANIFEST, "application/xml"),
    ] {
        for text in [manifest(Some(body)), index(Some(body))] {
            let expected = Error::Declared { declared: header.into(), stated: body.into() };
            assert_eq!(parsed_type(&text, Some(header)), Err(expected), "{text}");
        }
    }
    for (text, declared, media_type, found) in [
        (manifest(Some(OCI_INDEX)), None, OCI_INDEX, "a manifest"),
        (manifest(None), Some(DOCKER_LIST), DOCKER_LIST, "a manifest"),
        (index(Some(DOCKER_MANIFEST)), Some(DOCKER_MANIFEST), DOCKER_MANIFEST, "an index"),
        (index(None), Some(OCI_MANIFEST), OCI_MANIFEST, "an index"),
    ] {
        let expected = Error::Structure { media_type: media_type.into(), found };
        assert_eq!(parsed_type(&text, declared), Err(expected), "{text}");
    }
    for unknown in ["application/xml", OCI_CONFIG, EMPTY, media_type::DOCKER_SCHEMA1] {
        let expected = Err(Error::UnknownType(unknown.into()));
        assert_eq!(parsed_type(&manifest(Some(unknown)), None), expected);
        assert_eq!(parsed_type(&index(None), Some(unknown)), expected);
    }
}

#[test]
fn an_index_and_a_manifest_at_once_is_neither() {
    let (config, list) = (part(OCI_CONFIG), format!("[{}]", part(OCI_MANIFEST)));
    for (keys, pair) in [
        ([("manifests", list.as_str()), ("config", config.as_str())], ("manifests", "config")),
        ([("layers", &list), ("manifests", &list)], ("manifests", "layers")),
        ([("manifests", "[]"), ("layers", "[]")], ("manifests", "layers")),
        ([("manifests", &list), ("config", "null")], ("manifests", "config")),
        ([("manifests", "null"), ("layers", &list)], ("manifests", "layers")),
        ([("fsLayers", "null"), ("manifests", &list)], ("fsLayers", "manifests")),
        ([("fsLayers", "[]"), ("config", &config)], ("fsLayers", "config")),
    ] {
        for declared in [None, Some(OCI_MANIFEST), Some(OCI_INDEX)] {
            let text = document(None, &keys);
            assert_eq!(parsed_type(&text, declared), Err(Error::Ambiguous(pair.0, pair.1)), "{text}");
        }
    }
    assert_eq!(parsed_type(&document(Some(OCI_INDEX), &[("blobs", "[]")]), None), Err(Error::Neither));
    assert_eq!(parsed_type(&document(None, &[("config", &config)]), None), Err(Error::Missing("layers")));
    assert_eq!(parsed_type(&document(None, &[("layers", &list)]), None), Err(Error::Missing("config")));
    let null = document(None, &[("config", "null"), ("layers", "[]")]);
    assert_eq!(parsed_type(&null, None), Err(Error::Missing("config")));
}

#[test]
fn a_key_twice_or_in_other_letters_is_refused_at_every_depth() {
    let text = manifest(Some(OCI_MANIFEST));
    for (from, to) in [
        (r#""config":"#, r#""config":{},"config":"#),
        (r#""layers":"#, r#""layers":[],"layers":"#),
        (r#""size":7"#, r#""size":7,"size":8"#),
    ] {
        let error = parse(&text.replacen(from, to, 1), None).expect_err(to);
        assert!(matches!(error, Error::Json(json::Error::DuplicateKey { .. })), "{to}: {error:?}");
    }
    for (from, to) in [
        ("{\"schema", "{\"Manifests\":[],\"schema"),
        ("{\"schema", "{\"MediaType\":\"\",\"schema"),
        ("{\"schema", "{\"layerſ\":[],\"schema"),
        (r#""size":7"#, r#""size":7,"DIGEST":"""#),
    ] {
        let error = parse(&text.replacen(from, to, 1), None).expect_err(to);
        assert!(matches!(error, Error::Json(json::Error::CaseVariant { .. })), "{to}: {error:?}");
    }
}

#[test]
fn schema_1_is_refused_with_what_to_do_about_it() {
    let message = "the manifest is in Docker's obsolete schema 1 format, which wharf does not read; push the image \
                   again with a current builder, or convert it with `skopeo copy --format v2s2 docker://<image> \
                   docker://<new image>`";
    for text in [
        r#"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[{"blobSum":"x"}],"history":[],"signatures":[]}"#,
        r#"{"schemaVersion":1}"#,
        r#"{"fsLayers":[]}"#,
    ] {
        for declared in [None, Some(media_type::DOCKER_SCHEMA1_SIGNED), Some(DOCKER_MANIFEST)] {
            let error = parse(text, declared).expect_err(text);
            assert_eq!((&error, error.to_string().as_str()), (&Error::Schema1, message), "{text}");
        }
    }
}

#[test]
fn the_schema_version_is_2() {
    for (version, found) in [("0", Some(0)), ("3", Some(3)), ("-2", Some(-2)), ("null", None)] {
        let text = manifest(None).replacen(":2", &format!(":{version}"), 1);
        assert_eq!(parsed_type(&text, None), Err(Error::SchemaVersion(found)));
    }
    assert_eq!(Error::SchemaVersion(None).to_string(), "`schemaVersion` is missing, not 2");
    for wrong in ["\"2\"", "2.0", "[2]"] {
        let error = parse(&manifest(None).replacen(":2", &format!(":{wrong}"), 1), None).expect_err(wrong);
        assert!(matches!(error, Error::Json(json::Error::Mismatch { .. })), "{wrong}: {error:?}");
    }
}

#[test]
fn entries_layers_and_size_are_bounded() {
    let list = |count: usize| format!("[{}]", vec![part(OCI_MANIFEST); count].join(","));
    let index = |count| document(None, &[("manifests", &list(count))]);
    let layers = |count| document(None, &[("config", &part(OCI_CONFIG)), ("layers", &list(count))]);
    let parts = |text: &str| parse(text, None).map(|document| document.parts().count());
    assert_eq!(parts(&index(1_024)), Ok(1_024));
    assert_eq!(parts(&layers(500)), Ok(501));
    for (text, what, limit) in [(index(1_025), "manifests", 1_024), (layers(501), "layers", 500)] {
        match parts(&text) {
            Err(Error::Json(error @ json::Error::TooMany { .. })) => {
                assert!(error.to_string().starts_with(&format!("the document has more than {limit} {what} (byte ")));
            }
            other => panic!("{what}: {other:?}"),
        }
    }

    let padded = |size: usize| index(1) + &" ".repeat(size - index(1).len());
    assert_eq!(parts(&padded(4 * 1024 * 1024)), Ok(1));
    let large = json::Error::TooLarge { size: 4 * 1024 * 1024 + 1, limit: 4 * 1024 * 1024 };
    assert_eq!(parts(&padded(4 * 1024 * 1024 + 1)), Err(Error::Json(large)));
}

#[test]
fn a_descriptor_that_is_wrong_is_named_by_its_place() {
    let bad = part("a/b").replace(HEX, "../../etc");
    let good = part("a/b");
    for (keys, place) in [
        (vec![("config", bad.clone()), ("layers", "[]".into())], "config"),
        (vec![("config", good.clone()), ("layers", format!("[{good},{bad}]"))], "layers[1]"),
        (vec![("config", good.clone()), ("layers", "[]".into()), ("subject", bad.clone())], "subject"),
        (vec![("manifests", format!("[{good},{good},{bad}]"))], "manifests[2]"),
    ] {
        let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let error = parse(&document(None, &keys), None).expect_err(place).to_string();
        let expected = format!("`{place}`: the digest `sha256:../../etc` is refused: ");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn the_specification_asks_for_more_than_registries_keep() {
    let entry = |more: &str| format!("[{}]", part(OCI_MANIFEST).replace("}", &format!(",{more}}}")));
    let platform = "it has to state `os` and `architecture`";
    let artifact = "it has to be a media type, `type/subtype`";
    for (text, place, rule) in [
        (
            document(None, &[("config", &part(OCI_CONFIG)), ("layers", "[]")]),
            "layers",
            "there has to be at least one layer",
        ),
        (
            document(None, &[("manifests", &entry(r#""platform":{"architecture":"","os":"linux"}"#))]),
            "manifests[0].platform",
            platform,
        ),
        (document(None, &[("manifests", &entry(r#""artifactType":"sbom""#))]), "manifests[0].artifactType", artifact),
        (document(None, &[("manifests", "[]"), ("artifactType", r#""sbom""#)]), "artifactType", artifact),
    ] {
        let read = parse(&text, None).expect("registries have such documents");
        assert_eq!(read.validate(), Err(Error::Rule { place: place.into(), rule }), "{text}");
    }
    assert_eq!(parse(&index(None), None).expect("an index").validate(), Ok(()));
}

/// Registries cut documents short, and disks flip bits.
#[test]
fn a_damaged_document_is_an_error_and_never_a_panic() {
    let whole = manifest(Some(OCI_MANIFEST));
    for end in 0..whole.len() {
        let error = parse(&whole[..end], None).expect_err("half a document is none");
        assert!(matches!(error, Error::Json(json::Error::Syntax { .. })), "{end}: {error:?}");
    }
    for at in 0..whole.len() {
        for byte in [b'"', b'{', b']', b'0', 0, 0xff] {
            let mut damaged = whole.clone().into_bytes();
            damaged[at] = byte;
            let read = Document::parse(&damaged, Some(OCI_MANIFEST)).map(|document| document.media_type());
            assert!(read.is_err() || read == Ok(OCI_MANIFEST), "byte {at} as {byte}: {read:?}");
        }
    }
}
