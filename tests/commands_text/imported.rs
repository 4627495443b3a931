//! `import` and `manifest`: from arguments to options, and what is told of what was made.

use super::{HARMLESS, HOSTILE, LAYER, MANIFEST, digest};
use serde_json::json;
use std::ffi::OsString;
use wharf::cli::{self, ArchivePlace, ManifestCommand, PlanFile, Verb};
use wharf::images::{Composed, Descriptor, Edit, Imported, IndexEntry};
use wharf::render::{composed, imported};

fn parse(words: &[&str]) -> Result<Verb, String> {
    let words = std::iter::once(&"wharf").chain(words).map(OsString::from);
    cli::parse(words).map(|cli| cli.verb).map_err(|error| error.to_string())
}

fn import(words: &[&str]) -> cli::Import {
    match parse(&[&["import"], words].concat()) {
        Ok(Verb::Import(import)) => import,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_archive_is_a_file_an_address_or_standard_input() {
    assert!(matches!(import(&["-"]).source(), ArchivePlace::Here(PlanFile::Standard)));
    assert!(matches!(import(&["root.tar", "app:1"]).source(), ArchivePlace::Here(PlanFile::Named(_))));
    let url = "http://lan:8000/root.tar";
    let asked = import(&[url, "app:1", "-c", "CMD a", "--change", "USER b", "-m", "c", "--platform", "linux/arm64"]);
    assert_eq!(asked.source(), ArchivePlace::There(url));
    assert_eq!(asked.access(url).plain_http, ["lan:8000"]);
    assert_eq!(asked.access("https://lan/root.tar").plain_http, [""; 0]);
    let options = asked.options();
    assert_eq!((options.name.as_deref(), options.message.as_deref()), (Some("app:1"), Some("c")));
    assert_eq!(
        (options.changes, options.platform.as_deref()),
        (["CMD a", "USER b"].map(str::to_owned).to_vec(), Some("linux/arm64"))
    );
    for words in
        [&["import"][..], &["import", "a", "b", "c"], &["import", "a", ""], &["import", "-q", "--progress", "tty", "a"]]
    {
        assert!(parse(words).is_err(), "{words:?}");
    }
}

fn descriptor(media_type: &str, mark: char) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: digest(mark), size: 7 }
}

#[test]
fn what_was_imported_is_told() {
    let done = Imported {
        name: "docker.io/library/app:1".to_owned(),
        target: descriptor(MANIFEST, '1'),
        id: digest('2'),
        layer: descriptor(LAYER, '3'),
        diff_id: digest('4'),
        platform: "linux/amd64".to_owned(),
        moved: Some(digest('5')),
        notes: vec![HOSTILE.to_owned()],
    };
    let expected = json!({
        "name": "docker.io/library/app:1",
        "target": {"media_type": MANIFEST, "digest": digest('1'), "size": 7},
        "id": digest('2'),
        "layer": {"media_type": LAYER, "digest": digest('3'), "size": 7},
        "diff_id": digest('4'), "platform": "linux/amd64", "moved": digest('5'), "notes": [HOSTILE],
    });
    let read: serde_json::Value = serde_json::from_str(&imported::json(&done)).expect("it is JSON");
    assert_eq!(read, expected);
    let told = imported::talk(&done);
    assert_eq!(told, format!("imported `docker.io/library/app:1` for linux/amd64\n{HARMLESS}\n"));
}

fn edit(words: &[&str]) -> (String, Edit) {
    let Ok(Verb::Manifest(asked)) = parse(&[&["manifest"], words].concat()) else { panic!("{words:?}") };
    let (name, edit, _) = asked.command.edit().expect("it changes an index");
    (name.to_owned(), edit)
}

#[test]
fn what_becomes_of_an_index_is_said_by_arguments() {
    let (name, Edit::Create(members)) = edit(&["create", "a:1", "b:1", "c:1"]) else { panic!() };
    assert_eq!((name.as_str(), members.len(), members[1].reference.as_str()), ("a:1", 2, "c:1"));
    let words = ["add", "a:1", "b:1", "--platform", "linux/arm64", "--arch", "arm64", "--annotation", "k=v=w"];
    let (_, Edit::Add(member)) = edit(&words) else { panic!() };
    assert_eq!(
        (member.platform.as_deref(), member.wording.architecture.as_deref()),
        (Some("linux/arm64"), Some("arm64"))
    );
    assert_eq!(member.wording.annotations, [("k".to_owned(), "v=w".to_owned())]);
    let (_, Edit::Remove(which)) = edit(&["rm", "a:1", "linux/arm64", "sha256:00"]) else { panic!() };
    assert_eq!(which, ["linux/arm64", "sha256:00"]);
    let words =
        ["annotate", "a:1", "b:1", "--os", "windows", "--os-version", "10", "--os-features", "a,b", "--variant", ""];
    let (_, Edit::Annotate((which, wording))) = edit(&words) else { panic!() };
    assert_eq!(
        (which.as_str(), wording.os.as_deref(), wording.os_version.as_deref()),
        ("b:1", Some("windows"), Some("10"))
    );
    assert_eq!((wording.os_features, wording.variant.as_deref()), (["a", "b"].map(str::to_owned).to_vec(), Some("")));
    let (_, Edit::Amend(members)) = edit(&["create", "--amend", "a:1", "b:1"]) else { panic!() };
    assert_eq!(members.len(), 1);
    for words in
        [&["annotate", "a:1", "--annotation", "k=v"][..], &["annotate", "--index", "a:1", "--annotation", "k=v"]]
    {
        let (_, Edit::AnnotateIndex(wording)) = edit(words) else { panic!("{words:?}") };
        assert_eq!(wording.annotations, [("k".to_owned(), "v".to_owned())]);
    }
    assert!(parse(&["manifest", "annotate", "--index", "a:1", "b:1"]).is_err());
    let Ok(Verb::Manifest(asked)) = parse(&["manifest", "push", "-q", "a:1"]) else { panic!() };
    assert!(matches!(&asked.command, ManifestCommand::Push(push) if push.quiet && push.reference == "a:1"));
    for words in
        [&["manifest"][..], &["manifest", "create", "a:1"], &["manifest", "add", "a:1", "b:1", "--annotation", "k"]]
    {
        assert!(parse(words).is_err(), "{words:?}");
    }
}

#[test]
fn an_index_is_told() {
    let entry = IndexEntry {
        manifest: descriptor(MANIFEST, '2'),
        platform: Some("linux/arm64".to_owned()),
        annotations: vec![("k".to_owned(), "v".to_owned())],
        here: true,
    };
    let done = Composed { name: "a".to_owned(), target: descriptor("index", '1'), entries: vec![entry], before: None };
    let expected = json!({
        "name": "a", "target": {"media_type": "index", "digest": digest('1'), "size": 7}, "before": null,
        "manifests": [{"media_type": MANIFEST, "digest": digest('2'), "size": 7, "platform": "linux/arm64",
            "annotations": {"k": "v"}, "here": true}],
    });
    let read: serde_json::Value = serde_json::from_str(&composed::json(&done)).expect("it is JSON");
    assert_eq!(read, expected);
    assert_eq!(composed::document("{\"a\":1}"), "{\n  \"a\": 1\n}\n");
    assert_eq!(composed::document("no JSON"), "no JSON\n");
}
