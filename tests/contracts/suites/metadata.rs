//! `wit/metadata.wit`, kept by every host. Records are those of images: the portable host has a place for no others, and
//! makes them of what is in its directory. So each is told by a number, the time at which it was last changed.
//!
//! One thing is left out: that a record which was changed and changed back has changed. The portable host cannot tell.

use super::subject::{Subject, put};
use super::suite;
use std::collections::BTreeMap;
use wharf_component::host::{Host, Transaction};
use wharf_component::nouns::descriptor::Descriptor;
use wharf_component::nouns::problem::ErrorCode;
use wharf_component::nouns::record::{IMAGE_PREFIX, ImageRecord};

suite! {
    [simulated: Simulated, real: Real, portable: Portable];
    what_was_committed_is_read_by_others_and_after_a_restart,
    a_transaction_reads_its_snapshot_and_its_own_writes,
    dropping_a_transaction_forgets_its_writes,
    writes_become_visible_together,
    a_commit_fails_exactly_when_something_that_was_read_has_changed,
    of_two_who_count_one_begins_again,
    a_scan_is_in_order_and_can_be_continued,
    an_answer_of_a_scan_is_bounded_and_a_walk_sees_everything,
    what_is_too_large_is_refused_whole,
    a_record_that_is_absent_is_deleted_already,
    a_commit_without_writes_compares_nothing,
    a_namespace_is_listed_that_has_records,
}

const NS: &str = "default";

/// The record key of a name.
fn key(name: &str) -> String {
    format!("{IMAGE_PREFIX}docker.io/library/{name}")
}

/// Brings an image without layers, and returns its manifest.
async fn image<H: Host>(host: &H) -> Descriptor {
    let config = br#"{"created":"2024-01-02T03:04:05Z","architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    put(host, config).await;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[]}}"#,
        super::subject::sha256(config),
        config.len(),
    );
    put(host, manifest.as_bytes()).await;
    let digest = super::subject::sha256(manifest.as_bytes());
    Descriptor::new("application/vnd.oci.image.manifest.v1+json", digest, manifest.len() as u64)
}

/// The record that has this number.
fn record(target: &Descriptor, number: i64) -> Vec<u8> {
    let (target, labels) = (target.clone(), BTreeMap::new());
    let record = ImageRecord { target, created: 1, updated: number, size: 0, labels, platforms: Vec::new() };
    record.encode().expect("a record is small")
}

/// Its number.
fn number(value: &[u8]) -> i64 {
    ImageRecord::decode(value).expect("a record").updated
}

async fn get<T: Transaction>(transaction: &T, name: &str) -> Option<i64> {
    transaction.get(NS, &key(name)).await.unwrap().map(|value| number(&value))
}

/// Names and numbers that begin with a prefix.
async fn scan<T: Transaction>(transaction: &T, prefix: &str, after: Option<&str>, limit: u32) -> Vec<(String, i64)> {
    let after = after.map(key);
    let found = transaction.scan(NS, &key(prefix), after.as_deref(), limit).await.unwrap();
    found.into_iter().map(|(name, value)| (name[key("").len()..].to_owned(), number(&value))).collect()
}

async fn write<H: Host>(host: &H, target: &Descriptor, records: &[(&str, Option<i64>)]) {
    let transaction = host.begin().await.unwrap();
    for (name, number) in records {
        match number {
            Some(number) => transaction.put(NS, &key(name), record(target, *number)),
            None => transaction.delete(NS, &key(name)),
        }
    }
    transaction.commit().await.unwrap();
}

async fn now<H: Host>(host: &H, name: &str) -> Option<i64> {
    get(&host.begin().await.unwrap(), name).await
}

fn what_was_committed_is_read_by_others_and_after_a_restart<S: Subject>() {
    let subject = S::new();
    let other = subject.other();
    subject.run(async {
        let target = image(subject.host()).await;
        write(subject.host(), &target, &[("a:1", Some(1)), ("b:1", Some(2))]).await;
        assert_eq!((now(&other, "a:1").await, now(&other, "b:1").await), (Some(1), Some(2)));
    });
    let subject = subject.restart();
    subject.run(async {
        assert_eq!((now(subject.host(), "a:1").await, now(subject.host(), "c:1").await), (Some(1), None));
    });
}

fn a_transaction_reads_its_snapshot_and_its_own_writes<S: Subject>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    subject.run(async {
        let target = image(host).await;
        write(host, &target, &[("p:a", Some(1)), ("p:b", Some(1))]).await;
        let reader = host.begin().await.unwrap();
        assert_eq!(get(&reader, "p:a").await, Some(1));
        write(&other, &target, &[("p:a", Some(2)), ("p:b", None), ("p:c", Some(2))]).await;
        assert_eq!(get(&reader, "p:b").await, Some(1), "the snapshot is from the first read");
        assert_eq!(get(&reader, "p:c").await, None);
        reader.put(NS, &key("p:aa"), record(&target, 3));
        reader.delete(NS, &key("p:a"));
        assert_eq!((get(&reader, "p:a").await, get(&reader, "p:aa").await), (None, Some(3)));
        assert_eq!(scan(&reader, "p:", None, 10).await, [("p:aa".to_owned(), 3), ("p:b".to_owned(), 1)]);
    });
}

fn dropping_a_transaction_forgets_its_writes<S: Subject>() {
    let subject = S::new();
    subject.run(async {
        let target = image(subject.host()).await;
        let transaction = subject.host().begin().await.unwrap();
        transaction.put(NS, &key("a:1"), record(&target, 1));
        drop(transaction);
        assert_eq!(now(subject.host(), "a:1").await, None);
    });
}

fn writes_become_visible_together<S: Subject>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    subject.run(async {
        let target = image(host).await;
        let transaction = host.begin().await.unwrap();
        for name in ["a:1", "b:1", "c:1"] {
            transaction.put(NS, &key(name), record(&target, 1));
            assert_eq!(scan(&other.begin().await.unwrap(), "", None, 9).await, []);
        }
        transaction.commit().await.unwrap();
        assert_eq!(scan(&other.begin().await.unwrap(), "", None, 9).await.len(), 3);
    });
}

/// What a transaction looks at.
#[derive(Clone, Copy)]
enum Look {
    Nothing,
    Get(&'static str),
    Scan(Option<&'static str>, u32),
}

fn a_commit_fails_exactly_when_something_that_was_read_has_changed<S: Subject>() {
    use Look::{Get, Nothing, Scan};
    type Change = &'static [(&'static str, Option<i64>)];
    let rows: &[(&str, Look, Change, bool)] = &[
        ("a record that was read is changed", Get("a:1"), &[("a:1", Some(9))], true),
        ("a record that was read is deleted", Get("a:1"), &[("a:1", None)], true),
        ("a record that was missing appears", Get("new:1"), &[("new:1", Some(9))], true),
        ("another record is changed", Get("a:1"), &[("b:1", Some(9))], false),
        ("nothing was read", Nothing, &[("a:1", Some(9))], false),
        ("a gap of a scan is filled", Scan(None, 9), &[("p:15", Some(9))], true),
        ("the end of a whole scan is extended", Scan(None, 9), &[("p:99", Some(9))], true),
        ("a record of a scan is changed", Scan(None, 9), &[("p:20", Some(9))], true),
        ("a record of a scan is deleted", Scan(None, 9), &[("p:20", None)], true),
        ("one goes and one comes", Scan(None, 9), &[("p:20", None), ("p:15", Some(9))], true),
        ("beyond the limit of a scan", Scan(None, 1), &[("p:20", Some(9))], false),
        ("within the limit of a scan", Scan(None, 1), &[("p:05", Some(9))], true),
        ("before the start of a scan", Scan(Some("p:10"), 9), &[("p:05", Some(9))], false),
        ("outside the prefix of a scan", Scan(None, 9), &[("q:1", Some(9))], false),
    ];
    for &(what, look, change, conflicts) in rows {
        let subject = S::new();
        let (host, other) = (subject.host(), subject.other());
        subject.run(async {
            let target = image(host).await;
            let before = [("a:1", Some(1)), ("b:1", Some(1)), ("p:10", Some(1)), ("p:20", Some(1))];
            write(host, &target, &before).await;
            let transaction = host.begin().await.unwrap();
            match look {
                Nothing => {}
                Get(name) => drop(get(&transaction, name).await),
                Scan(after, limit) => drop(scan(&transaction, "p:", after, limit).await),
            }
            write(&other, &target, change).await;
            transaction.put(NS, &key("mine:1"), record(&target, 7));
            let expected = if conflicts { Err(ErrorCode::Conflict) } else { Ok(()) };
            assert_eq!(transaction.commit().await, expected, "{what}");
            assert_eq!(now(host, "mine:1").await, (!conflicts).then_some(7), "{what}");
        });
    }
}

fn of_two_who_count_one_begins_again<S: Subject>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    subject.run(async {
        let target = image(host).await;
        write(host, &target, &[("count:1", Some(0))]).await;
        for round in 0..10 {
            let (one, two) = (host.begin().await.unwrap(), other.begin().await.unwrap());
            let seen = (get(&one, "count:1").await.unwrap(), get(&two, "count:1").await.unwrap());
            assert_eq!(seen, (2 * round, 2 * round));
            one.put(NS, &key("count:1"), record(&target, seen.0 + 1));
            two.put(NS, &key("count:1"), record(&target, seen.1 + 1));
            assert_eq!((one.commit().await, two.commit().await), (Ok(()), Err(ErrorCode::Conflict)));
            write(&other, &target, &[("count:1", Some(2 * round + 2))]).await;
        }
    });
}

fn a_scan_is_in_order_and_can_be_continued<S: Subject>() {
    let subject = S::new();
    subject.run(async {
        let host = subject.host();
        let target = image(host).await;
        let names = ["p:0", "p:1", "p:10", "p:A", "p:_", "p:a", "p:a.b"];
        for name in names.iter().rev().chain(&["o:1", "q:1"]) {
            write(host, &target, &[(name, Some(1))]).await;
        }
        let transaction = host.begin().await.unwrap();
        let only = |found: Vec<(String, i64)>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(only(scan(&transaction, "p:", None, 100).await), names);
        let mut seen: Vec<String> = Vec::new();
        while let Some(name) = only(scan(&transaction, "p:", seen.last().map(String::as_str), 1).await).pop() {
            seen.push(name);
        }
        assert_eq!(seen, names);
        assert_eq!(only(scan(&transaction, "p:", Some("a"), 2).await), names[..2], "`after` may be before the prefix");
        assert_eq!(scan(&transaction, "p:", Some("z"), 2).await, []);
        assert_eq!(scan(&transaction, "p:", None, 0).await, []);
    });
}

fn an_answer_of_a_scan_is_bounded_and_a_walk_sees_everything<S: Subject>() {
    let subject = S::new();
    subject.run(async {
        let host = subject.host();
        let target = image(host).await;
        let names: Vec<String> = (0..1_050).map(|number| format!("p:{number:04}")).collect();
        let records: Vec<_> = names.iter().map(|name| (name.as_str(), Some(1))).collect();
        write(host, &target, &records).await;
        let transaction = host.begin().await.unwrap();
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = scan(&transaction, "p:", seen.last().map(String::as_str), u32::MAX).await;
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 1_000, "{} records at once", page.len());
            seen.extend(page.into_iter().map(|(name, _)| name));
        }
        assert_eq!(seen, names);
    });
}

fn what_is_too_large_is_refused_whole<S: Subject>() {
    let subject = S::new();
    subject.run(async {
        let host = subject.host();
        let target = image(host).await;
        let long = "k".repeat(1_025);
        let rows = [(long.clone(), record(&target, 1), 1_024), (key("a:1"), vec![0; (4 << 20) + 1], 4 << 20)];
        for (name, value, limit) in rows {
            let transaction = host.begin().await.unwrap();
            transaction.put(NS, &key("small:1"), record(&target, 1));
            transaction.put(NS, &name, value);
            assert_eq!(transaction.commit().await, Err(ErrorCode::TooLarge(limit)));
            assert_eq!(now(host, "small:1").await, None);
        }
        let transaction = host.begin().await.unwrap();
        assert_eq!(transaction.get(NS, &long).await, Err(ErrorCode::TooLarge(1_024)));
        assert_eq!(transaction.scan(NS, &long, None, 9).await, Err(ErrorCode::TooLarge(1_024)));
    });
}

fn a_record_that_is_absent_is_deleted_already<S: Subject>() {
    let subject = S::new();
    subject.run(async {
        let host = subject.host();
        let target = image(host).await;
        write(host, &target, &[("a:1", None)]).await;
        write(host, &target, &[("a:1", Some(1)), ("b:1", Some(1))]).await;
        write(host, &target, &[("a:1", None)]).await;
        assert_eq!((now(host, "a:1").await, now(host, "b:1").await), (None, Some(1)));
    });
}

fn a_commit_without_writes_compares_nothing<S: Subject>() {
    let subject = S::new();
    let (host, other) = (subject.host(), subject.other());
    subject.run(async {
        let target = image(host).await;
        write(host, &target, &[("a:1", Some(1))]).await;
        let transaction = host.begin().await.unwrap();
        assert_eq!((get(&transaction, "a:1").await, scan(&transaction, "", None, 9).await.len()), (Some(1), 1));
        write(&other, &target, &[("a:1", Some(2)), ("b:1", Some(1))]).await;
        assert_eq!(transaction.commit().await, Ok(()));
        assert_eq!(now(host, "a:1").await, Some(2));
    });
}

fn a_namespace_is_listed_that_has_records<S: Subject>() {
    let subject = S::new();
    let host = subject.host();
    subject.run(async {
        let target = image(host).await;
        write(host, &target, &[("a:1", Some(1))]).await;
        let transaction = host.begin().await.unwrap();
        assert_eq!(transaction.namespaces(None, 9).await.unwrap(), [NS]);
        assert_eq!(transaction.namespaces(Some("def"), 1).await.unwrap(), [NS]);
        assert_eq!(transaction.namespaces(Some(NS), 9).await.unwrap(), [""; 0]);
        assert_eq!(transaction.namespaces(None, 0).await.unwrap(), [""; 0]);
    });
}
