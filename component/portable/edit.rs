//! How one name of `index.json` changes. Everything else stays as it stands.
//!
//! ```text
//! {"mediaType": …, "digest": …, "size": …, "platform": …, "annotations": {
//!   "org.opencontainers.image.ref.name": "docker.io/library/alpine:3.20",
//!   "io.containerd.image.name":          "docker.io/library/alpine:3.20",
//!   "wharf.created":                     "2024-03-01T00:00:00Z",
//!   "wharf.updated":                     "2024-03-01T00:01:00Z"}}
//! ```
//!
//! The name is written in full, because only that means the same to everybody;
//! skopeo, umoci and podman compare it as text. Keys that begin with `wharf.` are
//! wharf's: when the name came here, when it last changed, and `wharf.label.…`, the
//! labels of the record. annotations.md asks for reversed domains, and there is none.
//! `platform` is there if the target is the manifest of one platform; image-index.md.

use super::{
    index::{Index, Object, raw, text},
    names::{CONTAINERD_NAME, REF_NAME, Rank, reading},
};
use crate::nouns::{
    descriptor::Descriptor, media_type::Kind, platform::Platform, record::ImageRecord, reference::Reference, time,
};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// When the name came here, by RFC 3339.
pub(super) const CREATED: &str = "wharf.created";
/// When what is recorded of it last changed, by RFC 3339.
pub(super) const UPDATED: &str = "wharf.updated";
/// Before the key of a label of the record.
pub(super) const LABEL: &str = "wharf.label.";

/// Makes a name stand for what the record says. The entry that has exactly this
/// name is changed or replaced in its place. An entry that only means the name stays, and
/// is not meant any more.
pub(super) fn put(index: &mut Index, name: &Reference, record: &ImageRecord) {
    let name = name.to_string();
    let is_exact = |entry: &RawValue| reading(entry).name == Ok((name.clone(), Rank::Exact));
    let places: Vec<usize> = (0..index.entries.len()).filter(|&at| is_exact(&index.entries[at])).collect();
    let Some((&first, others)) = places.split_first() else {
        index.entries.push(fresh(&name, record));
        return;
    };
    index.entries[first] = revised(&index.entries[first], &name, record).unwrap_or_else(|| fresh(&name, record));
    // Two entries of one name are none to skopeo and umoci. The others lose the name and stay.
    for &other in others {
        if let Ok(mut entry) = serde_json::from_str::<Object>(index.entries[other].get()) {
            annotate(&mut entry, |key| [REF_NAME, CONTAINERD_NAME].contains(&key), BTreeMap::new());
            index.entries[other] = raw(entry.write());
        }
    }
}

/// Removes a name: every entry that stands for it or means it.
pub(super) fn delete(index: &mut Index, name: &str) {
    index.entries.retain(|entry| reading(entry).name.ok().is_none_or(|(other, _)| other != name));
}

/// What wharf says of an entry.
fn annotations(name: &str, record: &ImageRecord) -> BTreeMap<String, String> {
    let own = [
        (REF_NAME, name.to_owned()),
        (CONTAINERD_NAME, name.to_owned()),
        (CREATED, time::format(record.created)),
        (UPDATED, time::format(record.updated)),
    ];
    let labels = record.labels.iter().map(|(key, value)| (format!("{LABEL}{key}"), value.clone()));
    own.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(labels).collect()
}

/// Makes an entry.
fn fresh(name: &str, record: &ImageRecord) -> Box<RawValue> {
    let Descriptor { media_type, digest, size, .. } = record.target.clone();
    let mut descriptor = Descriptor::new(media_type, digest, size);
    if descriptor.kind() == Kind::Manifest
        && let Some(platform) = record.platforms.first().and_then(|present| present.platform.as_deref())
    {
        descriptor.platform = Platform::parse(platform, &Platform::default()).ok();
    }
    descriptor.annotations = annotations(name, record);
    raw(serde_json::to_string(&descriptor).expect("texts and numbers can always be written"))
}

/// Changes what wharf says of an entry; none if the entry points elsewhere.
fn revised(entry: &RawValue, name: &str, record: &ImageRecord) -> Option<Box<RawValue>> {
    let there = reading(entry).descriptor.ok()?;
    let target = &record.target;
    if (&there.media_type, &there.digest, there.size) != (&target.media_type, &target.digest, target.size) {
        return None;
    }
    let mut entry: Object = serde_json::from_str(entry.get()).ok()?;
    annotate(&mut entry, |key| key.starts_with(LABEL), annotations(name, record));
    Some(raw(entry.write()))
}

/// Removes and sets annotations, and leaves the others where they are.
fn annotate(entry: &mut Object, is_gone: impl Fn(&str) -> bool, new: BTreeMap<String, String>) {
    let there = entry.get("annotations").and_then(|there| serde_json::from_str::<Object>(there.get()).ok());
    let mut annotations = there.unwrap_or(Object(Vec::new()));
    annotations.0.retain(|(key, _)| new.contains_key(key) || !is_gone(key));
    for (key, value) in new {
        annotations.set(&key, raw(text(&value)));
    }
    entry.set("annotations", raw(annotations.write()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::{
        digest::{Algorithm, Digest},
        media_type,
    };

    fn record(content: &str) -> ImageRecord {
        let digest = Digest::of(Algorithm::Sha256, content.as_bytes());
        ImageRecord {
            target: Descriptor::new(media_type::OCI_INDEX, digest, 7),
            created: 1_709_251_200,
            updated: 1_709_251_260,
            size: 7,
            labels: BTreeMap::new(),
            platforms: Vec::new(),
        }
    }

    fn name(text: &str) -> Reference {
        Reference::parse_docker(text).unwrap()
    }

    fn index(entries: &[&str]) -> Index {
        Index::parse(format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(",")).as_bytes()).unwrap()
    }

    fn written(index: &Index) -> Vec<&str> {
        index.entries.iter().map(|entry| entry.get()).collect()
    }

    #[test]
    fn an_entry_is_written_like_this() {
        let mut index = index(&[]);
        put(&mut index, &name("alpine:3.20"), &record("a"));
        let digest = Digest::of(Algorithm::Sha256, b"a");
        let expected = format!(
            r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{digest}","size":7,"annotations":{{"io.containerd.image.name":"docker.io/library/alpine:3.20","org.opencontainers.image.ref.name":"docker.io/library/alpine:3.20","wharf.created":"2024-03-01T00:00:00Z","wharf.updated":"2024-03-01T00:01:00Z"}}}}"#
        );
        assert_eq!(written(&index), [expected]);
    }

    #[test]
    fn the_same_target_keeps_what_others_wrote_beside_it() {
        let digest = Digest::of(Algorithm::Sha256, b"a");
        let theirs = format!(
            r#"{{"x": 1.50,"size":7,"digest":"{digest}","mediaType":"application/vnd.oci.image.index.v1+json","annotations":{{"z":"1","wharf.label.old":"","org.opencontainers.image.ref.name":"docker.io/library/a:1","b": "2"}},"y":[ ]}}"#
        );
        let mut index = index(&["7", &theirs, r#"{"a": null}"#]);
        let mut record = record("a");
        record.labels = BTreeMap::from([("new".to_owned(), "\"".to_owned())]);
        put(&mut index, &name("a:1"), &record);
        let expected = format!(
            r#"{{"x":1.50,"size":7,"digest":"{digest}","mediaType":"application/vnd.oci.image.index.v1+json","annotations":{{"z":"1","org.opencontainers.image.ref.name":"docker.io/library/a:1","b":"2","io.containerd.image.name":"docker.io/library/a:1","wharf.created":"2024-03-01T00:00:00Z","wharf.label.new":"\"","wharf.updated":"2024-03-01T00:01:00Z"}},"y":[ ]}}"#
        );
        assert_eq!(written(&index), ["7", &expected, r#"{"a": null}"#]);
    }

    #[test]
    fn a_name_that_moves_is_replaced_in_its_place() {
        let mut index = index(&["1"]);
        put(&mut index, &name("a:1"), &record("a"));
        put(&mut index, &name("a:2"), &record("a"));
        put(&mut index, &name("a:1"), &record("b"));
        let mut expected = self::index(&["1"]);
        put(&mut expected, &name("a:1"), &record("b"));
        put(&mut expected, &name("a:2"), &record("a"));
        assert_eq!(written(&index), written(&expected));
    }

    #[test]
    fn an_entry_that_only_means_the_name_stays_until_the_name_is_deleted() {
        let theirs = r#"{"annotations":{"org.opencontainers.image.ref.name":"alpine:3.20"}}"#;
        let mut index = index(&[theirs, "2"]);
        put(&mut index, &name("alpine:3.20"), &record("a"));
        assert_eq!((index.entries.len(), index.entries[0].get()), (3, theirs));
        delete(&mut index, "docker.io/library/alpine:3.20");
        assert_eq!(written(&index), ["2"]);
    }

    /// containers/image takes the first of two and umoci refuses both.
    #[test]
    fn a_second_entry_of_the_name_loses_it() {
        let double = r#"{"annotations":{"a":"1","org.opencontainers.image.ref.name":"docker.io/library/a:1"}}"#;
        let mut index = index(&[double, double]);
        put(&mut index, &name("a:1"), &record("a"));
        assert_eq!(written(&index)[1], r#"{"annotations":{"a":"1"}}"#);
    }

    #[test]
    fn a_manifest_says_what_it_runs_on() {
        let mut record = record("a");
        record.target.media_type = media_type::OCI_MANIFEST.to_owned();
        record.platforms = vec![crate::nouns::record::Present {
            manifest: record.target.clone(),
            config: record.target.digest.clone(),
            platform: Some("linux/arm/v7".to_owned()),
            created: None,
            size: 7,
            layers: 1,
            labels: BTreeMap::new(),
        }];
        let mut index = index(&[]);
        put(&mut index, &name("a:1"), &record);
        let platform = reading(&index.entries[0]).descriptor.unwrap().platform;
        assert_eq!(platform, Some(Platform::new("linux", "arm").with_variant("v7")));
    }
}
