//! Transactions: what becomes visible, what is a conflict, and what others and
//! killed processes cannot break.

use super::{NS, age, files, finished, image, key, named, open, record, run, store, write_index};
use crate::{
    host::Transaction as _,
    nouns::{
        descriptor::Descriptor,
        problem::ErrorCode,
        record::{ImageRecord, Schema},
    },
    portable::{
        Store,
        lock::{LOCK, STALE_S},
        names::REF_NAME,
    },
};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs, path::Path};

const A: &str = "docker.io/library/a:1";
const B: &str = "docker.io/library/b:1";
const PROVENANCE: &str = "provenance/docker.io/library/a:1";

/// What a verb writes about an image that is here.
fn written(descriptor: &str, updated: i64) -> Vec<u8> {
    let target = Descriptor::parse(descriptor.as_bytes()).unwrap();
    let record = ImageRecord { target, created: 1, updated, size: 0, labels: BTreeMap::new(), platforms: Vec::new() };
    record.encode().unwrap()
}

fn write(store: &Store, records: &[(&str, Option<Vec<u8>>)]) {
    let transaction = run(store.begin()).unwrap();
    for (key, value) in records {
        match value {
            Some(value) => transaction.put(NS, key, value.clone()),
            None => transaction.delete(NS, key),
        }
    }
    run(transaction.commit()).unwrap();
}

fn index(directory: &Path) -> String {
    fs::read_to_string(directory.join("index.json")).unwrap()
}

#[test]
fn what_is_written_is_read_by_another_process() {
    let (directory, one) = store();
    let other = open(directory.path());
    let manifest = image(&one, "amd64");
    write(&one, &[(&key(A), Some(written(&manifest, 2))), (PROVENANCE, Some(b"how".to_vec()))]);
    let found = record(&other, A).unwrap().unwrap();
    assert_eq!((found.created, found.updated), (1, 2));
    // What is here is found out, and not what the writer said.
    assert_eq!(found.platforms[0].platform.as_deref(), Some("linux/amd64"));
    let transaction = run(other.begin()).unwrap();
    assert_eq!(run(transaction.get(NS, PROVENANCE)).unwrap().as_deref(), Some(&b"how"[..]));
    let keys: Vec<String> = run(transaction.scan(NS, "", None, 9)).unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [&key(A), PROVENANCE, "schema"]);
    write(&other, &[(&key(A), None), (PROVENANCE, None)]);
    assert!(record(&one, A).is_none());
    assert_eq!(run(run(one.begin()).unwrap().get(NS, PROVENANCE)).unwrap(), None);
}

/// What a verb reads after a commit is what it wrote, so that the next pull finds nothing to do.
#[test]
fn a_record_that_was_read_is_written_as_it_is() {
    let (directory, store) = store();
    write(&store, &[(&key(A), Some(written(&image(&store, "amd64"), 2)))]);
    let before = (record(&store, A).unwrap().unwrap(), index(directory.path()));
    write(&store, &[(&key(A), Some(before.0.encode().unwrap())), ("schema", Some(Schema::current()))]);
    assert_eq!((record(&store, A).unwrap().unwrap(), index(directory.path())), before);
}

#[test]
fn a_transaction_sees_its_snapshot_and_its_own_writes() {
    let (_directory, store) = store();
    let (old, new) = (image(&store, "amd64"), image(&store, "arm64"));
    write(&store, &[(&key(A), Some(written(&old, 1))), (&key(B), Some(written(&old, 1)))]);
    let transaction = run(store.begin()).unwrap();
    let before = run(transaction.get(NS, &key(A))).unwrap();
    write(&store, &[(&key(A), Some(written(&new, 2)))]);
    assert_eq!(run(transaction.get(NS, &key(A))).unwrap(), before);
    transaction.delete(NS, &key(A));
    transaction.put(NS, &key("docker.io/library/c:1"), b"mine".to_vec());
    assert_eq!(run(transaction.get(NS, &key(A))).unwrap(), None);
    let scan = |after: Option<&str>, limit| run(transaction.scan(NS, "image/", after, limit)).unwrap();
    assert_eq!(
        scan(None, 9).into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
        [key(B), key("docker.io/library/c:1")]
    );
    assert_eq!(scan(Some(&key(B)), 9), [(key("docker.io/library/c:1"), b"mine".to_vec())]);
    assert_eq!(scan(None, 0), []);
}

/// What was read, what another process wrote meanwhile, and whether that is a conflict.
#[test]
fn a_commit_fails_exactly_when_something_that_was_read_has_changed() {
    type Look = fn(&crate::portable::Transaction);
    type Change = &'static [(&'static str, bool)];
    let name = |number: u8| format!("image/docker.io/library/p:{number:02}");
    fn get(transaction: &crate::portable::Transaction, key: &str) {
        drop(run(transaction.get(NS, key)));
    }
    fn scan(transaction: &crate::portable::Transaction, after: Option<&str>, limit: u32) {
        drop(run(transaction.scan(NS, "image/docker.io/library/p", after, limit)));
    }
    let rows: &[(&str, Look, Change, bool)] = &[
        ("a record is changed", |t| get(t, "image/docker.io/library/p:10"), &[("10", true)], true),
        ("a record is deleted", |t| get(t, "image/docker.io/library/p:10"), &[("10", false)], true),
        ("a missing record appears", |t| get(t, "image/docker.io/library/p:15"), &[("15", true)], true),
        ("another record is changed", |t| get(t, "image/docker.io/library/p:10"), &[("20", true)], false),
        ("nothing was read", |_| (), &[("10", true)], false),
        ("a gap of a scan is filled", |t| scan(t, None, 9), &[("15", true)], true),
        ("the end of a scan is extended", |t| scan(t, None, 9), &[("99", true)], true),
        ("a record of a scan is changed", |t| scan(t, None, 9), &[("20", true)], true),
        ("a record of a scan is deleted", |t| scan(t, None, 9), &[("20", false)], true),
        ("beyond the limit of a scan", |t| scan(t, None, 1), &[("20", true)], false),
        ("within the limit of a scan", |t| scan(t, None, 1), &[("05", true)], true),
        ("before the start", |t| scan(t, Some("image/docker.io/library/p:10"), 9), &[("05", true)], false),
        ("provenance is changed", |t| get(t, PROVENANCE), &[(PROVENANCE, true)], true),
        ("provenance is not changed", |t| get(t, PROVENANCE), &[("10", true)], false),
    ];
    for (what, look, change, conflicts) in rows {
        let (directory, store) = store();
        let manifest = image(&store, "amd64");
        write(&store, &[(&name(10), Some(written(&manifest, 1))), (&name(20), Some(written(&manifest, 1)))]);
        let transaction = run(store.begin()).unwrap();
        look(&transaction);
        for (which, is_there) in *change {
            let key = if which.len() == 2 { format!("image/docker.io/library/p:{which}") } else { (*which).to_owned() };
            write(&open(directory.path()), &[(&key, is_there.then(|| written(&manifest, 2)))]);
        }
        transaction.put(NS, &key(A), written(&manifest, 1));
        let outcome = run(transaction.commit());
        assert_eq!(outcome, if *conflicts { Err(ErrorCode::Conflict) } else { Ok(()) }, "{what}");
        assert_eq!(record(&store, A).is_some(), !conflicts, "{what}");
        let left = files(directory.path()).into_iter().filter(|name| name.starts_with(".wharf/tmp/"));
        assert_eq!(left.count(), 0, "{what}");
    }
}

#[test]
fn what_has_no_place_in_a_layout_is_refused_whole() {
    let (directory, store) = store();
    let manifest = image(&store, "amd64");
    let before = index(directory.path());
    let rows = [
        ("other", key(A), written(&manifest, 1), ErrorCode::Unsupported),
        (NS, "schema".to_owned(), b"2".to_vec(), ErrorCode::Unsupported),
        (NS, key(A), b"no record".to_vec(), ErrorCode::Invalid),
        (NS, key("a"), written(&manifest, 1), ErrorCode::Invalid),
        (NS, "k".repeat(1_025), b"1".to_vec(), ErrorCode::TooLarge(1_024)),
        (NS, PROVENANCE.to_owned(), vec![0; (4 << 20) + 1], ErrorCode::TooLarge(4 << 20)),
    ];
    for (namespace, key_of_it, value, expected) in rows {
        let transaction = run(store.begin()).unwrap();
        transaction.put(NS, &key(B), written(&manifest, 1));
        transaction.put(namespace, &key_of_it, value);
        assert_eq!(run(transaction.commit()), Err(expected), "{namespace} {key_of_it:.40}");
        assert_eq!(index(directory.path()), before);
    }
    let transaction = run(store.begin()).unwrap();
    assert_eq!(run(transaction.get("other", "schema")), Err(ErrorCode::Unsupported));
    assert_eq!(run(transaction.scan("other", "", None, 1)), Err(ErrorCode::Unsupported));
}

#[test]
fn a_dropped_transaction_and_one_that_only_reads_write_nothing() {
    let (directory, store) = store();
    let transaction = run(store.begin()).unwrap();
    transaction.put(NS, &key(A), written(&image(&store, "amd64"), 1));
    drop(transaction);
    run(run(store.begin()).unwrap().commit()).unwrap();
    assert!(record(&store, A).is_none() && !index(directory.path()).contains("sha256"));
}

/// Others who write under the lock, and tools that know none, while a commit waits.
#[test]
fn a_commit_that_others_overtake_is_made_again_from_what_they_wrote() {
    let (directory, store) = store();
    let manifest = image(&store, "amd64");
    let lock = directory.path().join(LOCK);
    fs::write(&lock, "somebody").unwrap();
    let transaction = run(store.begin()).unwrap();
    transaction.put(NS, &key(A), written(&manifest, 1));
    let mut commit = Box::pin(transaction.commit());
    assert!(finished(commit.as_mut(), 50).is_none(), "somebody holds the lock");
    write_index(directory.path(), &["7".to_owned(), named(&manifest, &[(REF_NAME, "theirs")])]);
    fs::remove_file(&lock).unwrap();
    run(commit).unwrap();
    assert!(index(directory.path()).starts_with(r#"{"schemaVersion":2,"manifests":[7,"#));
    assert!(record(&store, A).unwrap().is_ok());
    assert!(record(&store, "docker.io/library/theirs:latest").unwrap().is_ok());
}

#[test]
fn a_commit_that_reads_and_is_overtaken_while_it_waits_is_a_conflict() {
    let (directory, store) = store();
    let manifest = image(&store, "amd64");
    fs::write(directory.path().join(LOCK), "somebody").unwrap();
    let transaction = run(store.begin()).unwrap();
    run(transaction.get(NS, &key(A))).unwrap();
    transaction.put(NS, &key(A), written(&manifest, 1));
    let mut commit = Box::pin(transaction.commit());
    assert!(finished(commit.as_mut(), 50).is_none());
    write_index(directory.path(), &[named(&manifest, &[(REF_NAME, A)])]);
    fs::remove_file(directory.path().join(LOCK)).unwrap();
    assert_eq!(run(commit), Err(ErrorCode::Conflict));
}

#[test]
fn many_commits_at_once_lose_nothing() {
    let (directory, store) = store();
    let manifest = image(&store, "amd64");
    let stores: Vec<Store> = (0..20).map(|_| open(directory.path())).collect();
    let commits = stores.iter().enumerate().map(async |(number, store)| {
        let transaction = store.begin().await.unwrap();
        transaction.put(NS, &key(&format!("docker.io/library/a:{number}")), written(&manifest, 1));
        transaction.commit().await
    });
    assert!(run(futures_util::future::join_all(commits)).into_iter().all(|outcome| outcome == Ok(())));
    let transaction = run(store.begin()).unwrap();
    assert_eq!(run(transaction.scan(NS, "image/", None, 100)).unwrap().len(), 20);
}

/// Threads stand for processes: each has a store of its own.
#[test]
fn commits_of_several_threads_lose_nothing() {
    let (directory, store) = store();
    let record_of_it = written(&image(&store, "amd64"), 1);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (path, value) = (directory.path(), &record_of_it);
            scope.spawn(move || {
                let store = open(path);
                for number in 0..8 {
                    write(&store, &[(&key(&format!("docker.io/library/a:{thread}-{number}")), Some(value.clone()))]);
                }
            });
        }
    });
    assert_eq!(run(run(store.begin()).unwrap().scan(NS, "image/", None, 100)).unwrap().len(), 32);
    assert!(files(directory.path()).iter().all(|name| !name.contains("lock") && !name.contains("tmp")));
}

/// What a process leaves that was killed before, while and after it held the lock.
#[test]
fn what_a_killed_commit_left_is_no_obstacle_and_goes() {
    let (directory, store) = store();
    let manifest = image(&store, "amd64");
    let left = [LOCK, ".wharf/lock.0123", ".wharf/tmp/0123"];
    fs::create_dir_all(directory.path().join(".wharf/tmp")).unwrap();
    for name in left {
        fs::write(directory.path().join(name), r#"{"schemaVersion":2,"manif"#).unwrap();
        age(&directory.path().join(name), 7_200);
    }
    write(&store, &[(&key(A), Some(written(&manifest, 1)))]);
    assert!(record(&store, A).unwrap().is_ok());
    let found: Vec<_> = files(directory.path()).into_iter().filter(|name| name.starts_with(".wharf")).collect();
    assert_eq!(found, [".wharf/lock.0123"]);
}

/// Somebody has broken the lock while its holder was stopped: nothing is written on top of theirs.
#[test]
fn whoever_waits_for_a_lock_that_is_broken_goes_on() {
    let (directory, store) = store();
    let lock = directory.path().join(LOCK);
    fs::create_dir_all(directory.path().join(".wharf")).unwrap();
    fs::write(&lock, "stopped").unwrap();
    let transaction = run(store.begin()).unwrap();
    transaction.put(NS, &key(A), written(&image(&store, "amd64"), 1));
    let mut commit = Box::pin(transaction.commit());
    assert!(finished(commit.as_mut(), 50).is_none());
    age(&lock, STALE_S + 1);
    run(commit).unwrap();
    assert!(!lock.exists());
}

#[test]
fn an_index_that_would_be_larger_than_any_document_is_not_written() {
    let (directory, store) = store();
    let padding = format!(r#""{}""#, "x".repeat((4 << 20) - 100));
    write_index(directory.path(), &[padding]);
    let before = index(directory.path());
    let transaction = run(store.begin()).unwrap();
    transaction.put(NS, &key(A), written(&image(&store, "amd64"), 1));
    assert_eq!(run(transaction.commit()), Err(ErrorCode::TooLarge(4 << 20)));
    assert_eq!(index(directory.path()), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever stands in the layout beside wharf's names stays, byte for byte.
    #[test]
    fn what_others_wrote_survives_any_writes(
        extra in "[ -~]{0,20}",
        theirs in prop::collection::vec("[a-z]{1,3}", 0..4),
        writes in prop::collection::vec((0..4_u8, any::<bool>()), 0..8),
    ) {
        let (directory, store) = store();
        let manifest = image(&store, "amd64");
        // Names that nobody can mean by one of wharf's.
        let entries: Vec<String> =
            theirs.iter().map(|name| named(&manifest, &[("x", name), (REF_NAME, &format!("T/{name}"))])).collect();
        let extra = serde_json::to_string(&extra).unwrap();
        let text = format!(r#"{{"x":{extra},"schemaVersion":2,"manifests":[{}],"y":1.0}}"#, entries.join(","));
        fs::write(directory.path().join("index.json"), &text).unwrap();
        for (name, is_put) in &writes {
            let key = key(&format!("docker.io/library/a:{name}"));
            write(&store, &[(&key, is_put.then(|| written(&manifest, 1)))]);
        }
        for name in 0..4 {
            write(&store, &[(&key(&format!("docker.io/library/a:{name}")), None)]);
        }
        prop_assert_eq!(index(directory.path()), text);
    }
}
