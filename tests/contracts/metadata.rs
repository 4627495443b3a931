//! What `metadata` promises: snapshots, conflicts, durability, many processes.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wharf::metadata::{
    ENTRY_BYTES, Error, KEY_BYTES_MAX, Metadata, READS_BYTES_MAX, SCAN_BYTES_MAX, SCAN_RECORDS_MAX, Transaction,
    VALUE_BYTES_MAX, WRITES_BYTES_MAX,
};

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

/// The keys of every record, by as many scans as it takes.
fn walk(transaction: &mut Transaction, prefix: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    loop {
        let page = scan(transaction, prefix, seen.last().map(String::as_str), u32::MAX);
        if page.is_empty() {
            return seen;
        }
        seen.extend(page);
    }
}

#[track_caller]
fn check_limit<T: std::fmt::Debug>(outcome: Result<T, Error>, expected: usize) {
    match outcome {
        Err(Error::TooLarge { limit }) => assert_eq!(limit, expected as u64),
        other => panic!("{other:?}"),
    }
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
fn an_answer_of_a_scan_is_bounded_and_a_walk_still_sees_everything() {
    let (_directory, metadata) = store();
    let mut expected = Vec::new();
    let mut transaction = metadata.begin().unwrap();
    for index in 0..2_500 {
        let key = format!("small/{index:04}");
        transaction.put(NS, &key, Vec::new());
        expected.push(key);
    }
    for index in 0..5 {
        transaction.put(NS, &format!("large/{index}"), vec![index; 3 << 20]);
    }
    let check = |transaction: &mut Transaction, what: &str| {
        assert_eq!(scan(transaction, "small/", None, u32::MAX).len(), SCAN_RECORDS_MAX as usize, "{what}");
        assert_eq!(walk(transaction, "small/"), expected, "{what}");
        let large = transaction.scan(NS, "large/", None, 10).unwrap();
        let bytes: usize = large.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(large.len() == 2 && bytes <= SCAN_BYTES_MAX, "{what}: {} records", large.len());
        assert_eq!(walk(transaction, "large/"), (0..5).map(|index| format!("large/{index}")).collect::<Vec<_>>());
    };
    check(&mut transaction, "its own writes");
    transaction.commit().unwrap();
    check(&mut metadata.begin().unwrap(), "what is stored");

    // What is stored and what was written take turns; a whole page is removed, and what comes after it is found.
    let mut transaction = metadata.begin().unwrap();
    for index in 0..1_200 {
        transaction.delete(NS, &format!("small/{index:04}"));
    }
    transaction.put(NS, "small/1500", b"changed".to_vec());
    transaction.put(NS, "small/1500.5", b"new".to_vec());
    let mut merged = expected[1_200..].to_vec();
    merged.insert(301, "small/1500.5".to_owned());
    assert_eq!(walk(&mut transaction, "small/"), merged);
    assert_eq!(get(&mut transaction, "small/1500").as_deref(), Some("changed"));
    transaction.delete(NS, "large/0");
    transaction.put(NS, "large/3", vec![9; 4 << 20]);
    assert_eq!(walk(&mut transaction, "large/"), ["large/1", "large/2", "large/3", "large/4"]);
}

/// A scan that its bytes have cut short has not looked at what follows.
#[test]
fn a_scan_that_was_cut_short_conflicts_with_what_it_saw_alone() {
    for (changed, conflicts) in [("large/1", true), ("large/15", false), ("large/2", false), ("large/9", false)] {
        let (_directory, metadata) = store();
        let mut transaction = metadata.begin().unwrap();
        for index in 0..3 {
            transaction.put(NS, &format!("large/{index}"), vec![index; 4_000_000]);
        }
        transaction.commit().unwrap();
        let mut transaction = metadata.begin().unwrap();
        assert_eq!(scan(&mut transaction, "large/", None, 10), ["large/0", "large/1"]);
        write(&metadata, &[(changed, Some("x"))]);
        transaction.put(NS, "mine", Vec::new());
        assert_eq!(matches!(transaction.commit(), Err(Error::Conflict)), conflicts, "{changed}");
    }
}

#[test]
fn a_transaction_buffers_writes_up_to_its_limit_and_no_further() {
    let (_directory, metadata) = store();
    let mut transaction = metadata.begin().unwrap();
    // Again and again the same record: only one of them is kept.
    for round in 0..40 {
        transaction.put(NS, "same", vec![round; VALUE_BYTES_MAX]);
    }
    transaction.commit().unwrap();
    assert_eq!(metadata.begin().unwrap().get(NS, "same").unwrap().map(|value| value[0]), Some(39));

    let mut transaction = metadata.begin().unwrap();
    transaction.put(NS, "first", Vec::new());
    for index in 0..WRITES_BYTES_MAX / VALUE_BYTES_MAX {
        transaction.put(NS, &format!("record/{index:02}"), vec![0; VALUE_BYTES_MAX]);
    }
    assert_eq!(walk(&mut transaction, "record/").len(), WRITES_BYTES_MAX / VALUE_BYTES_MAX - 1, "one is not kept");
    check_limit(transaction.commit(), WRITES_BYTES_MAX);
    assert_eq!(get(&mut metadata.begin().unwrap(), "first"), None);

    let mut transaction = metadata.begin().unwrap();
    for index in 0..=WRITES_BYTES_MAX / (KEY_BYTES_MAX + NS.len() + ENTRY_BYTES) {
        transaction.delete(NS, &format!("{index:0>KEY_BYTES_MAX$}"));
    }
    check_limit(transaction.commit(), WRITES_BYTES_MAX);
}

#[test]
fn a_transaction_remembers_reads_up_to_its_limit() {
    let (_directory, metadata) = store();
    let mut transaction = metadata.begin().unwrap();
    let key = "k".repeat(KEY_BYTES_MAX);
    // Each read remembers the namespace and the two ends of its range.
    let bytes = NS.len() + 2 * KEY_BYTES_MAX + 1 + ENTRY_BYTES;
    for _ in 0..READS_BYTES_MAX / bytes {
        assert_eq!(transaction.get(NS, &key).unwrap(), None);
    }
    check_limit(transaction.get(NS, &key), READS_BYTES_MAX);
    check_limit(transaction.scan(NS, &key, None, 1), READS_BYTES_MAX);
}

#[test]
fn names_that_are_longer_than_any_are_refused() {
    let (_directory, metadata) = store();
    let (just, long) = ("n".repeat(KEY_BYTES_MAX), "n".repeat(KEY_BYTES_MAX + 1));
    let mut transaction = metadata.begin().unwrap();
    transaction.put(&just, &just, b"here".to_vec());
    transaction.commit().unwrap();
    let mut transaction = metadata.begin().unwrap();
    assert_eq!(transaction.get(&just, &just).unwrap(), Some(b"here".to_vec()));
    assert_eq!(transaction.scan(&just, &just, None, 9).unwrap().len(), 1);
    assert_eq!(transaction.scan(&just, "", Some(&just), 9).unwrap(), []);
    check_limit(transaction.get(&long, "k"), KEY_BYTES_MAX);
    check_limit(transaction.get(NS, &long), KEY_BYTES_MAX);
    check_limit(transaction.scan(&long, "", None, 9), KEY_BYTES_MAX);
    check_limit(transaction.scan(NS, &long, None, 9), KEY_BYTES_MAX);
    check_limit(transaction.scan(NS, "", Some(&long), 9), KEY_BYTES_MAX);
    for (namespace, key) in [(NS, &*long), (&*long, "k")] {
        let mut transaction = metadata.begin().unwrap();
        transaction.delete(namespace, key);
        check_limit(transaction.commit(), KEY_BYTES_MAX);
    }
}

/// The log was left as it was until it had a thousand pages, and every start of
/// the program read all of it again.
#[test]
fn the_log_stays_short() {
    let (directory, metadata) = store();
    for round in 0..300 {
        write(&metadata, &[(&format!("image/{round}"), Some(&"v".repeat(2_000)))]);
    }
    let log = std::fs::metadata(directory.path().join("metadata.sqlite-wal")).unwrap().len();
    assert!(log < 512 << 10, "the log has {log} bytes");

    // It grows while a snapshot is held, and is cut when it has been moved.
    let mut reader = metadata.begin().unwrap();
    get(&mut reader, "image/0");
    for round in 0..100 {
        write(&metadata, &[("large", Some(&round.to_string().repeat(20_000)))]);
    }
    let grown = std::fs::metadata(directory.path().join("metadata.sqlite-wal")).unwrap().len();
    assert!(grown > 2 << 20, "the log has {grown} bytes");
    drop(reader);
    write(&metadata, &[("a", Some("1"))]);
    write(&metadata, &[("a", Some("2"))]);
    let cut = std::fs::metadata(directory.path().join("metadata.sqlite-wal")).unwrap().len();
    assert!(cut <= 1 << 20, "the log has {cut} bytes");
}

/// A name goes by a record that is written: on a disk that was full to the last byte nothing could be removed.
#[test]
fn the_log_has_its_room_before_it_needs_it() {
    let (directory, metadata) = store();
    let room = || std::fs::metadata(directory.path().join("metadata.sqlite-wal")).unwrap().blocks() * 512;
    let reserved = room();
    assert!(reserved >= 512 << 10, "{reserved} bytes");
    (0..100).for_each(|_| write(&metadata, &[("a", Some("1")), ("b", None)]));
    assert_eq!(room(), reserved);
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
        assert!(matches!(outcome, Err(Error::Damaged(_) | Error::Version(2))), "{what}: {outcome:?}");
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
                        .map(|name| name.split_once("::").map_or(name, |(_, rest)| rest)),
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
    assert_eq!(walk(&mut transaction, "writer/").len() as u32, WRITERS * COMMITS_EACH);
}

const OPENERS: usize = 8;
const FRESH_STORES: usize = 20;
const OPENER_STORES: &str = "WHARF_TEST_OPENER_STORES";
const OPENER_START: &str = "WHARF_TEST_OPENER_START";

/// The work of one process of the next test; does nothing when it runs alone.
/// It opens each store at a moment on which all processes agree.
#[test]
fn opener_process() {
    let Some(path) = std::env::var_os(OPENER_STORES) else { return };
    let start: u64 = std::env::var(OPENER_START).unwrap().parse().unwrap();
    for index in 0..FRESH_STORES {
        let moment = UNIX_EPOCH + Duration::from_millis(start + 40 * index as u64);
        std::thread::sleep(moment.duration_since(SystemTime::now()).unwrap_or_default());
        let metadata = open(&Path::new(&path).join(index.to_string()));
        write(&metadata, &[(&std::process::id().to_string(), Some("opened"))]);
    }
}

/// Setting a store up failed now and then with `database is locked` when several
/// processes did so at the same time.
#[test]
fn eight_processes_set_up_twenty_stores_at_the_same_time() {
    let directory = tempfile::tempdir().unwrap();
    for index in 0..FRESH_STORES {
        std::fs::create_dir(directory.path().join(index.to_string())).unwrap();
    }
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() + 300;
    let children: Vec<_> = (0..OPENERS)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(
                    ["--exact", concat!(module_path!(), "::opener_process")]
                        .map(|name| name.split_once("::").map_or(name, |(_, rest)| rest)),
                )
                .env(OPENER_STORES, directory.path())
                .env(OPENER_START, start.to_string())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for index in 0..FRESH_STORES {
        let metadata = open(&directory.path().join(index.to_string()));
        assert_eq!(walk(&mut metadata.begin().unwrap(), "").len(), OPENERS, "store {index}");
    }
}
