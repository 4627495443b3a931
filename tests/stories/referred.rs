//! What refers to an image, on its way between registries that keep no lists of it, as Debian's does not: each client
//! keeps them under a tag.

use super::{json, open_registry, wharf};
use crate::support::docker_registry::DockerRegistry;
use crate::support::skopeo::skopeo;
use bytes::Bytes;
use serde_json::{Value, json as object};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use wharf::demo::image::{Document, Image, demo};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn hash(bytes: &[u8]) -> String {
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}")
}

fn document(media_type: &'static str, value: &Value) -> Document {
    let bytes = Bytes::from(value.to_string());
    Document { media_type, digest: hash(&bytes), bytes }
}

/// A signature of a document, as other tools push it: listed under the tag of its subject.
fn signed(subject: &Document, text: &str) -> (Image, String) {
    let mut blobs = BTreeMap::new();
    let mut blob = |kind: &str, text: &str| {
        let bytes = Bytes::from(text.to_owned());
        let descriptor = object!({ "mediaType": kind, "digest": hash(&bytes), "size": bytes.len() });
        blobs.insert(hash(&bytes), bytes);
        descriptor
    };
    let signature = object!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x.sig",
        "config": blob("application/vnd.oci.empty.v1+json", "{}"), "layers": [blob("text/plain", text)],
        "subject": { "mediaType": subject.media_type, "digest": subject.digest, "size": subject.bytes.len() },
    });
    let signature = document(MANIFEST, &signature);
    let entry = object!({
        "mediaType": MANIFEST, "digest": signature.digest, "size": signature.bytes.len(),
        "artifactType": "application/x.sig",
    });
    let list = object!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
    let digest = signature.digest.clone();
    (Image { documents: vec![signature, document(INDEX, &list)], blobs }, digest)
}

/// The tag of the list of a document.
fn tag(subject: &Document) -> String {
    subject.digest.replace(':', "-")
}

/// What skopeo finds listed under the tag of a document.
#[track_caller]
fn listed(registry: &DockerRegistry, path: &str, subject: &Document) -> Vec<String> {
    let name = format!("docker://{}/{path}:{}", registry.address(), tag(subject));
    let (is_found, text) = skopeo(&["inspect", "--raw", &name], None);
    assert!(is_found, "{text}");
    let list: Value = serde_json::from_str(&text).expect("a list is JSON");
    let entries = list["manifests"].as_array().expect("a list has entries");
    entries.iter().map(|entry| entry["digest"].as_str().expect("a digest").to_owned()).collect()
}

#[test]
fn signatures_go_with_an_image_and_nobodys_are_lost() {
    let (source, target) = (open_registry(), open_registry());
    let image = demo();
    let root = image.root();
    source.push("app", "1", &image);
    let (signature, own) = signed(root, "mine");
    source.push("app", &tag(root), &signature);
    // Somebody else's is there already.
    let (signature, theirs) = signed(root, "theirs");
    target.push("team/app", &tag(root), &signature);

    let (_directory, wharf) = wharf();
    let (from, to) = (format!("{}/app:1", source.address()), format!("{}/team/app:1", target.address()));
    wharf.run(&["pull", "-q", "--no-unpack", "--all-platforms", &from]).success();
    wharf.run(&["tag", &from, &to]).success();
    let plan = json(&wharf.run(&["push", "--referrers", "--dry-run", "--format", "json", &to]).success());
    assert_eq!(plan[0]["referrers"][0]["digest"], *own);
    assert_eq!(listed(&target, "team/app", root), [&*theirs], "a plan changes nothing");
    let pushed = wharf.run(&["push", "--referrers", &to]);
    assert!(pushed.stderr.contains("and what refers to it"), "{}", pushed.stderr);
    pushed.success();
    assert_eq!(listed(&target, "team/app", root), [&*theirs, &*own]);
    let again = json(&wharf.run(&["push", "--referrers", "--format", "json", &to]).success());
    assert_eq!(again[0]["up_to_date"], Value::Bool(true));
    let found = json(&wharf.run(&["referrers", "--format", "json", &to]).success());
    assert_eq!(found.as_array().map(Vec::len), Some(2));

    // The other way round, without anything here.
    let back = format!("{}/back:1", source.address());
    let plan = wharf.run(&["copy", "--referrers", "--dry-run", &to, &back]).success();
    assert!(plan.contains("send") && source.accesses("/v2/back/blobs/uploads").is_empty(), "{plan}");
    let copied = json(&wharf.run(&["copy", "--referrers", "--format", "json", &to, &back]).success());
    assert_eq!(copied[0]["referrers"].as_array().map(Vec::len), Some(2));
    assert_eq!(listed(&source, "back", root), [&*theirs, &*own]);
    let plan = wharf.run(&["copy", "--referrers", "--dry-run", &to, &back]).success();
    assert!(plan.contains("0B to send in 0 parts, 0 to mount"), "{plan}");
}

/// A signature that is pushed by itself is found, too.
#[test]
fn whoever_pushes_a_signature_lists_it() {
    let (source, target) = (open_registry(), open_registry());
    let image = demo();
    let (signature, digest) = signed(image.root(), "alone");
    source.push("app", "sig", &signature);
    let (_directory, wharf) = wharf();
    let (from, to) = (format!("{}/app@{digest}", source.address()), format!("{}/app:sig", target.address()));
    wharf.run(&["pull", "-q", "--no-unpack", &from]).success();
    wharf.run(&["tag", &from, &to]).success();
    let pushed = wharf.run(&["push", &to]);
    assert!(pushed.stderr.contains(&format!("are under the tag `{}`", tag(image.root()))), "{}", pushed.stderr);
    pushed.success();
    assert_eq!(listed(&target, "app", image.root()), [digest]);
}
