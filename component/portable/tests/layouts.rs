//! Which directories become a store, and which stay as they are.

use super::{ambient, files, image, named, open, record, run, write_index};
use crate::portable::{Refusal, Store};
use std::fs;

const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const EMPTY: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

#[test]
fn an_empty_directory_becomes_a_layout() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path());
    assert_eq!(files(directory.path()), ["index.json", "oci-layout"]);
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(read("oci-layout"), MARKER);
    let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    assert_eq!(read("index.json"), index);
    assert!(directory.path().join("blobs").is_dir(), "image-layout.md wants it");
}

#[test]
fn a_layout_of_another_tool_is_opened_and_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("oci-layout"), MARKER).unwrap();
    fs::write(directory.path().join("index.json"), EMPTY).unwrap();
    fs::write(directory.path().join("notes.txt"), "").unwrap();
    open(directory.path());
    assert_eq!(files(directory.path()), ["index.json", "notes.txt", "oci-layout"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
}

#[test]
fn what_is_no_layout_is_refused_and_not_changed() {
    type Files = &'static [(&'static str, &'static str)];
    let rows: &[(Files, &str)] = &[
        (&[("a.txt", "")], "it is no image layout: there is `a.txt` in it, and no `oci-layout`"),
        (&[("index.json", EMPTY)], "it is no image layout: there is `index.json` in it, and no `oci-layout`"),
        (&[("oci-layout", MARKER)], "it has an `oci-layout`, and no `index.json`"),
        (
            &[("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#), ("index.json", EMPTY)],
            "its `oci-layout` says version `2.0.0`, and wharf knows `1.0.0`",
        ),
        (
            &[("oci-layout", ""), ("index.json", EMPTY)],
            "its `oci-layout` is damaged: the document is not JSON: EOF while parsing a value (byte 0)",
        ),
        (
            &[("oci-layout", MARKER), ("index.json", "x")],
            "its `index.json` is damaged: expected value at line 1 column 1",
        ),
    ];
    for (given, expected) in rows {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in *given {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let refusal = run(Store::open(directory.path(), ambient())).unwrap_err();
        assert_eq!(refusal.to_string(), *expected);
        let names: Vec<_> = given.iter().map(|(name, _)| *name).collect();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), names.len());
        for (name, text) in *given {
            assert_eq!(fs::read_to_string(directory.path().join(name)).unwrap(), *text);
        }
    }
    let refusal = run(Store::open("there/is/none".as_ref(), ambient())).unwrap_err();
    assert_eq!(refusal, Refusal::Absent);
}

/// Each step of the making, as a process that was killed after it leaves it.
#[test]
fn a_layout_that_was_begun_is_finished() {
    let steps: [&[&str]; 4] = [
        &[".wharf"],
        &[".wharf", "blobs/sha256"],
        &[".wharf", "blobs/sha256", "blobs/sha512", ".wharf/tmp"],
        &[".wharf"],
    ];
    for (at, step) in steps.iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        for name in *step {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        if at == 3 {
            fs::write(directory.path().join("index.json"), EMPTY).unwrap();
        }
        open(directory.path());
        let found = fs::read_to_string(directory.path().join("index.json")).unwrap();
        assert_eq!(found == EMPTY, at == 3, "an index that is there is not written again");
    }
}

#[test]
fn two_that_make_the_same_layout_do_not_lose_what_the_faster_one_wrote() {
    let directory = tempfile::tempdir().unwrap();
    // The slower one has seen an empty directory, and waits for the lock.
    fs::create_dir(directory.path().join(".wharf")).unwrap();
    fs::write(directory.path().join(".wharf/lock"), "faster").unwrap();
    let mut slower = Box::pin(Store::open(directory.path(), ambient()));
    assert!(super::finished(slower.as_mut(), 10).is_none());
    fs::remove_file(directory.path().join(".wharf/lock")).unwrap();
    let faster = open(directory.path());
    write_index(directory.path(), &[named(&image(&faster, "amd64"), &[(crate::portable::names::REF_NAME, "a")])]);
    let slower = run(slower).unwrap();
    assert!(record(&slower, "docker.io/library/a:latest").unwrap().is_ok());
}
