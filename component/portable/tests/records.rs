//! Records made of what is in a layout, whoever wrote it.

use super::{NS, image, key, named, put, record, run, store, write_index};
use crate::{
    host::Transaction as _,
    nouns::{
        digest::Digest,
        record::{ImageRecord, SCHEMA_KEY, Schema},
    },
    portable::names::{CONTAINERD_NAME, REF_NAME},
};
use std::fs;

const ALPINE: &str = "docker.io/library/alpine:3.20";

/// An index of such images, as a descriptor.
fn index(store: &super::Store, entries: &[String]) -> String {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
        entries.join(",")
    );
    let digest = put(store, text.as_bytes());
    format!(r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{digest}","size":{}}}"#, text.len())
}

fn on(descriptor: &str, architecture: &str) -> String {
    let platform = format!(r#"{{"os":"linux","architecture":"{architecture}"}}"#);
    format!(r#"{},"platform":{platform}}}"#, descriptor.strip_suffix('}').unwrap())
}

fn digest(descriptor: &str) -> Digest {
    descriptor.split('"').find(|text| text.starts_with("sha256:")).unwrap().parse().unwrap()
}

#[test]
fn an_image_of_another_tool_has_a_record() {
    let (directory, store) = store();
    let manifest = image(&store, "amd64");
    write_index(directory.path(), &[named(&manifest, &[(REF_NAME, "alpine:3.20")])]);
    let found = record(&store, ALPINE).unwrap().unwrap();
    assert_eq!(found.target.digest, digest(&manifest));
    let [present] = &found.platforms[..] else { panic!("{found:?}") };
    assert_eq!(present.manifest, found.target);
    assert_eq!((present.platform.as_deref(), present.layers), (Some("linux/amd64"), 1));
    assert_eq!(present.created, Some(1_704_164_645));
    assert_eq!(present.labels.get("a").map(String::as_str), Some("b"));
    let blobs = run(store.entries(None, 100)).unwrap();
    assert_eq!(found.size, blobs.iter().map(|(_, size)| size).sum::<u64>());
    assert_eq!(present.size, found.size);
    let path = directory.path().join("blobs/sha256").join(found.target.digest.encoded());
    let written = fs::metadata(path).unwrap().modified().unwrap();
    let seconds = written.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert_eq!((found.created, found.updated), (seconds, seconds), "nobody else says when it came");
}

#[test]
fn what_is_here_of_an_index_is_recorded_in_its_order() {
    let (directory, store) = store();
    let (amd64, arm64, riscv64) = (image(&store, "amd64"), image(&store, "arm64"), image(&store, "riscv64"));
    let nested = index(&store, &[on(&riscv64, "riscv64")]);
    let whole = index(&store, &[on(&arm64, "arm64"), nested, on(&amd64, "amd64")]);
    write_index(directory.path(), &[named(&whole, &[(REF_NAME, ALPINE)])]);
    let platforms = |store| {
        let found: ImageRecord = record(store, ALPINE).unwrap().unwrap();
        assert_eq!(found.target.digest, digest(&whole));
        found.platforms.into_iter().map(|present| present.platform.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(platforms(&store), ["linux/arm64", "linux/amd64", "linux/riscv64"]);
    // Each part that goes takes its platform with it.
    let layer = super::sha256(b"layer of arm64");
    run(store.remove(&layer)).unwrap();
    assert_eq!(platforms(&store), ["linux/amd64", "linux/riscv64"]);
    run(store.remove(&digest(&amd64))).unwrap();
    assert_eq!(platforms(&store), ["linux/riscv64"]);
    run(store.remove(&digest(&riscv64))).unwrap();
    let why = format!("`{layer}` is not here");
    assert_eq!(record(&store, ALPINE).unwrap().unwrap_err().to_string(), why);
}

#[test]
fn a_document_is_hashed_before_it_is_believed() {
    let (directory, store) = store();
    let manifest = image(&store, "amd64");
    write_index(directory.path(), &[named(&manifest, &[(REF_NAME, ALPINE)])]);
    let path = directory.path().join("blobs/sha256").join(digest(&manifest).encoded());
    let bytes = fs::read(&path).unwrap();
    let mut wrong = bytes.clone();
    let at = wrong.windows(6).position(|window| window == b"config").unwrap();
    wrong[at] = b'C';
    for (damaged, why) in [(&wrong[..], "is damaged: what is in `blobs` hashes to"), (b"{}", "there are 2 bytes of it")]
    {
        fs::write(&path, damaged).unwrap();
        let found = record(&store, ALPINE).unwrap().unwrap_err().to_string();
        assert!(found.contains(why), "{found}");
    }
}

#[test]
fn every_entry_is_listed_and_a_bad_one_costs_itself_only() {
    let (directory, store) = store();
    let (good, nameless) = (image(&store, "amd64"), image(&store, "arm64"));
    let text = put(&store, b"text");
    let other = format!(r#"{{"mediaType":"text/plain","digest":"{text}","size":4}}"#);
    let entries = [
        named(&good, &[(REF_NAME, "3.20"), (CONTAINERD_NAME, ALPINE)]),
        nameless.clone(),
        named(&other, &[(REF_NAME, "text")]),
        "null".to_owned(),
        named(&good, &[(REF_NAME, "UPPER")]),
    ];
    write_index(directory.path(), &entries);
    let transaction = run(store.begin()).unwrap();
    let found = run(transaction.scan(NS, "image/", None, 100)).unwrap();
    let said: Vec<String> = found
        .iter()
        .map(|(key, value)| match ImageRecord::decode(value) {
            Ok(record) => format!("{key}: {} platforms", record.platforms.len()),
            Err(error) => format!("{key}: {error}"),
        })
        .collect();
    let mut expected = [
        format!("image/{ALPINE}: 1 platforms"),
        format!(
            "image/docker.io/library/text:latest: `{text}` is not usable: the document is not JSON: expected ident (byte 2)"
        ),
        "image/index.json, entry 4: the entry is damaged: invalid type: null, expected struct Unchecked (byte 4)"
            .to_owned(),
        format!("image/{}: it has no name in `index.json`", digest(&nameless)),
        format!("image/{}: its name in `index.json`, `UPPER`, is no name of an image", digest(&good)),
    ];
    expected.sort();
    assert_eq!(said, expected);
}

#[test]
fn pages_of_a_scan_show_every_record_once() {
    let (directory, store) = store();
    let manifest = image(&store, "amd64");
    let names: Vec<String> = (0..1_050).map(|number| format!("docker.io/library/a:{number:04}")).collect();
    let entries: Vec<_> = names.iter().map(|name| named(&manifest, &[(REF_NAME, name)])).collect();
    write_index(directory.path(), &entries);
    let transaction = run(store.begin()).unwrap();
    for (limit, most) in [(7, 7), (u32::MAX, 1_000)] {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = run(transaction.scan(NS, "image/", seen.last().map(String::as_str), limit)).unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= most);
            seen.extend(page.into_iter().map(|(key, _)| key));
        }
        assert_eq!(seen, names.iter().map(|name| key(name)).collect::<Vec<_>>());
    }
}

#[test]
fn the_schema_is_always_the_current_one() {
    let (_directory, store) = store();
    let transaction = run(store.begin()).unwrap();
    assert_eq!(run(transaction.get(NS, SCHEMA_KEY)).unwrap(), Some(Schema::current()));
    let all = run(transaction.scan(NS, "", None, 9)).unwrap();
    assert_eq!(all, [(SCHEMA_KEY.to_owned(), Schema::current())]);
}
