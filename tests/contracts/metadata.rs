//! What `metadata` promises: snapshots, conflicts, durability, many processes.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use wharf::metadata::{Error, Metadata, Transaction, VALUE_BYTES_MAX};

const NS: &str = "default";

fn open(path: &Path) -> Metadata {
    let root = Dir::open_ambient_dir(path, ambient_authority()).expect("the directory was just made");
    Metadata::open(&root, path).expect("the store opens")
}

fn store() -> (tempfile::TempDir, Metadata) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let metadata = open(directory.path());
    (directory, metadata)
}

fn write(metadata: &Metadata, records: &[(&str, Option<&str>)]) {
    let mut transaction = metadata.begin().unwrap();
    for (key, value) in records {
        match value {
            Some(value) => transaction.put(NS, key, value.as_bytes().to_vec()),
            None => transaction.delete(NS, key),
        }
    }
    transaction.commit().unwrap();
}

fn get(transaction: &mut Transaction, key: &str) -> Option<String> {
    transaction.get(NS, key).unwrap().map(|value| String::from_utf8(value).unwrap())
}

fn scan(transaction: &mut Transaction, prefix: &str, after: Option<&str>, limit: u32) -> Vec<String> {
    transaction.scan(NS, prefix, after, limit).unwrap().into_iter().map(|(key, _)| key).collect()
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let (directory, metadata) = store();
    write(&metadata, &[("a", Some("1")), ("b", Some("2"))]);
    drop(metadata);
    let metadata = open(directory.path());
    let mut transaction = metadata.begin().unwrap();
    assert_eq!(get(&mut transaction, "a").as_deref(), Some("1"));
    assert_eq!(transaction.get("other", "a").unwrap(), None, "namespaces are apart");
}

#[test]
fn a_transaction_reads_its_snapshot_and_its_own_writes() {
    let (_directory, metadata) = store();
    write(&metadata, &[("a", Some("old")), ("b", Some("old"))]);
    let mut reader = metadata.begin().unwrap();
    assert_eq!(get(&mut reader, "a").as_deref(), Some("old"));
    write(&metadata, &[("a", Some("new")), ("b", None), ("c", Some("new"))]);
    assert_eq!(get(&mut reader, "b").as_deref(), Some("old"), "the snapshot is from the first read");
    reader.put(NS, "aa", b"mine".to_vec());
    reader.delete(NS, "a");
    assert_eq!(get(&mut reader, "a"), None);
    assert_eq!(scan(&mut reader, "", None, 10), ["aa", "b"]);
}

#[test]
fn dropping_a_transaction_forgets_its_writes() {
    let (_directory, metadata) = store();
    let mut transaction = metadata.begin().unwrap();
    transaction.put(NS, "a", b"1".to_vec());
    drop(transaction);
    assert_eq!(get(&mut metadata.begin().unwrap(), "a"), None);
}

/// What a transaction read, what another one wrote in the meantime, and whether
/// the first one conflicts.
#[test]
fn a_commit_fails_exactly_when_something_that_was_read_has_changed() {
    type Look = fn(&mut Transaction);
    type Change = &'static [(&'static str, Option<&'static str>)];
    let rows: &[(&str, Look, Change, bool)] = &[
        ("a record that was read is changed", |t| drop(get(t, "a")), &[("a", Some("x"))], true),
        ("a record that was read is deleted", |t| drop(get(t, "a")), &[("a", None)], true),
        ("a record that was missing appears", |t| drop(get(t, "new")), &[("new", Some("x"))], true),
        ("another record is changed", |t| drop(get(t, "a")), &[("b", Some("x"))], false),
        ("nothing was read", |_| (), &[("a", Some("x"))], false),
        ("a gap of a scan is filled", |t| drop(scan(t, "p/", None, 10)), &[("p/15", Some("x"))], true),
        ("the end of a whole scan is extended", |t| drop(scan(t, "p/", None, 10)), &[("p/99", Some("x"))], true),
        ("a record of a scan is changed", |t| drop(scan(t, "p/", None, 10)), &[("p/20", Some("x"))], true),
        ("a record of a scan is deleted", |t| drop(scan(t, "p/", None, 10)), &[("p/20", None)], true),
        ("one goes and one comes", |t| drop(scan(t, "p/", None, 10)), &[("p/20", None), ("p/15", Some("x"))], true),
        ("beyond the limit of a scan", |t| drop(scan(t, "p/", None, 1)), &[("p/20", Some("x"))], false),
        ("within the limit of a scan", |t| drop(scan(t, "p/", None, 1)), &[("p/05", Some("x"))], true),
        ("before the start of a scan", |t| drop(scan(t, "p/", Some("p/10"), 9)), &[("p/05", Some("x"))], false),
        ("outside the prefix of a scan", |t| drop(scan(t, "p/", None, 9)), &[("q", Some("x"))], false),
    ];
    for (what, look, change, conflicts) in rows {
        let (_directory, metadata) = store();
        write(&metadata, &[("a", Some("1")), ("b", Some("1")), ("p/10", Some("1")), ("p/20", Some("1"))]);
        let mut transaction = metadata.begin().unwrap();
        look(&mut transaction);
        write(&metadata, change);
        transaction.put(NS, "mine", b"1".to_vec());
        let outcome = transaction.commit();
        assert_eq!(matches!(outcome, Err(Error::Conflict)), *conflicts, "{what}: {outcome:?}");
        assert_eq!(get(&mut metadata.begin().unwrap(), "mine").is_some(), !conflicts, "{what}");
    }
}

#[test]
fn a_record_that_was_deleted_and_written_again_is_a_change() {
    let (_directory, metadata) = store();
    write(&metadata, &[("a", Some("same"))]);
    let mut transaction = metadata.begin().unwrap();
    get(&mut transaction, "a");
    write(&metadata, &[("a", None)]);
    write(&metadata, &[("a", Some("same"))]);
    transaction.put(NS, "b", b"1".to_vec());
    assert!(matches!(transaction.commit(), Err(Error::Conflict)));
}

#[test]
fn a_scan_is_in_order_of_bytes_and_can_be_continued() {
    let (_directory, metadata) = store();
    let keys = ["p/", "p/A", "p/a", "p/a/b", "p/é", "p/\u{10ffff}"];
    for key in keys.iter().rev().chain(&["o", "p", "q"]) {
        write(&metadata, &[(key, Some("1"))]);
    }
    let mut transaction = metadata.begin().unwrap();
    assert_eq!(scan(&mut transaction, "p/", None, 100), keys);
    let mut seen = Vec::new();
    while let Some(key) = scan(&mut transaction, "p/", seen.last().map(String::as_str), 1).pop() {
        seen.push(key);
    }
    assert_eq!(seen, keys);
    assert_eq!(scan(&mut transaction, "p/", Some("a"), 2), keys[..2], "`after` may be before the prefix");
    assert_eq!(scan(&mut transaction, "p/", Some("z"), 2), [""; 0]);
    assert_eq!(scan(&mut transaction, "p/", None, 0), [""; 0]);
}

#[test]
fn what_is_too_large_is_refused_whole() {
    let (_directory, metadata) = store();
    let long = "k".repeat(1_025);
    for (key, size) in [("big", VALUE_BYTES_MAX + 1), (&long, 1)] {
        let mut transaction = metadata.begin().unwrap();
        transaction.put(NS, "small", b"1".to_vec());
        transaction.put(NS, key, vec![0; size]);
        assert!(matches!(transaction.commit(), Err(Error::TooLarge { .. })));
        assert_eq!(get(&mut metadata.begin().unwrap(), "small"), None);
    }
    let mut transaction = metadata.begin().unwrap();
    transaction.put(NS, "just", vec![7; VALUE_BYTES_MAX]);
    transaction.commit().unwrap();
    assert_eq!(metadata.begin().unwrap().get(NS, "just").unwrap().map(|value| value.len()), Some(VALUE_BYTES_MAX));
}

#[test]
fn only_the_owner_can_read_the_files() {
    let (directory, metadata) = store();
    write(&metadata, &[("a", Some("1"))]);
    let mut names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap()).collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    assert!(names.len() >= 2, "the file and its log are there");
    for entry in names {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}

#[test]
fn a_file_of_somebody_else_or_of_a_later_wharf_is_refused_and_left_alone() {
    for (what, sql) in [
        ("another application", "CREATE TABLE t (x); PRAGMA application_id = 7; PRAGMA user_version = 1;"),
        ("a later version", "CREATE TABLE t (x); PRAGMA application_id = 0x77687266; PRAGMA user_version = 2;"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metadata.sqlite");
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let before = std::fs::read(&path).unwrap();
        let root = Dir::open_ambient_dir(directory.path(), ambient_authority()).unwrap();
        let outcome = Metadata::open(&root, directory.path());
        assert!(matches!(outcome, Err(Error::Damaged(_))), "{what}: {outcome:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{what}");
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("metadata.sqlite"),
        b"this is no database, and long enough to see that".repeat(40),
    )
    .unwrap();
    let root = Dir::open_ambient_dir(directory.path(), ambient_authority()).unwrap();
    assert!(matches!(Metadata::open(&root, directory.path()), Err(Error::Damaged(_))));
}

const WRITERS: u32 = 8;
const COMMITS_EACH: u32 = 1_250;
const WRITER_STORE: &str = "WHARF_TEST_WRITER_STORE";

/// The work of one process of the next test; does nothing when it runs alone.
/// It adds one to a counter that all share, and writes a record of its own, in
/// one transaction, and begins again after a conflict.
#[test]
fn writer_process() {
    let Some(path) = std::env::var_os(WRITER_STORE) else { return };
    let metadata = open(Path::new(&path));
    for round in 0..COMMITS_EACH {
        loop {
            let mut transaction = metadata.begin().unwrap();
            let count: u32 = get(&mut transaction, "count").map_or(0, |text| text.parse().unwrap());
            transaction.put(NS, "count", (count + 1).to_string().into_bytes());
            transaction.put(NS, &format!("writer/{}/{round}", std::process::id()), b"done".to_vec());
            match transaction.commit() {
                Ok(()) => break,
                Err(Error::Conflict) => {}
                Err(error) => panic!("a writer failed: {error}"),
            }
        }
    }
}

#[test]
fn eight_processes_lose_none_of_ten_thousand_transactions() {
    let (directory, metadata) = store();
    let test = std::env::current_exe().unwrap();
    let children: Vec<_> = (0..WRITERS)
        .map(|_| {
            Command::new(&test)
                .args(
                    ["--exact", concat!(module_path!(), "::writer_process")]
                        .map(|name| name.trim_start_matches("integration::")),
                )
                .env(WRITER_STORE, directory.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let mut transaction = metadata.begin().unwrap();
    assert_eq!(get(&mut transaction, "count"), Some((WRITERS * COMMITS_EACH).to_string()));
    let own = transaction.scan(NS, "writer/", None, u32::MAX).unwrap();
    assert_eq!(own.len() as u32, WRITERS * COMMITS_EACH);
}
